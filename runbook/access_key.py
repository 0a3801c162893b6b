"""Who may write to the bucket in the blog: an IAM user, whose only access key lies in Secrets Manager."""

import json

from . import s3_policy, tags
from .errors import AwsError, NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, added, compare, destroyed
from .roles import INLINE, policy
from .secret import Secret
from .secretsmanager import (
    CURRENT,
    PREVIOUS,
    destroy_secret,
    find_tags,
    mend_tags,
    read_secret,
    want_tags,
    write_secret,
)
from .session import AWS
from .wait import wait

_ABSENT = {"NoSuchEntity"}


def want_user(p: Params) -> Document:
    """The user, what it may do (Distribution's list, on this bucket alone), and where its key is."""
    return Document(
        UserName=p.user_name,
        Policy=policy(*s3_policy.statements(p)),
        AccessKey=_stored(p),
        **tags.want(p),
        **want_tags(p, [p.key_secret]),
    )


def find_user(aws: AWS, p: Params) -> Document | None:
    """The user in the same words; its key is told by where it is, never by its id. What else it may do, by policies
    of other names or by its groups, is told as added."""
    user, stored = aws.iam.find("get_user", _ABSENT, UserName=p.user_name), stored_id(aws, p)
    if user is None:
        return None
    seen = user["User"].get("Tags", [])
    if {"Key": "runbook:deployment", "Value": p.name} not in seen:
        raise NotOurs(f"IAM user {p.user_name}", p)
    inline = aws.iam.find("get_user_policy", _ABSENT, UserName=p.user_name, PolicyName=INLINE)
    return Document(
        UserName=p.user_name,
        Policy=inline["PolicyDocument"] if inline else None,
        AccessKey=_told(aws, p, stored),
        **tags.found(p, seen),
        **find_tags(aws, p, [p.key_secret]),
        **added(_rights(aws, p)),
    )


def ensure_user(aws: AWS, p: Params) -> Changes:
    """Make the user, its policy and its key. A key whose secret half was never stored is replaced.

    Raises StepFailed for a stored key that somebody made inactive: that was on purpose.
    """
    wanted, found = want_user(p), find_user(aws, p)
    report = compare(_title(p), wanted, found)
    if report:
        return report.changes.done
    if found is None:
        aws.iam.create_user(UserName=p.user_name, Tags=tags.pairs(p.tags))
        found = Document(tags.want(p))
    if tags.differ(p, found):
        aws.iam.tag_user(UserName=p.user_name, Tags=tags.pairs(p.extra_tags))
    for what in found.get("Added", {}):
        _take_away(aws, p, what)
    if found.get("Policy") != wanted["Policy"]:
        document = json.dumps(wanted["Policy"])
        aws.iam.put_user_policy(UserName=p.user_name, PolicyName=INLINE, PolicyDocument=document)
    if found.get("AccessKey") != wanted["AccessKey"]:
        _ensure_key(aws, p)
    mend_tags(aws, p, [p.key_secret])
    return report.changes.done


def verify_user(aws: AWS, p: Params) -> Report:
    return compare(_title(p), want_user(p), find_user(aws, p))


def destroy_user(aws: AWS, p: Params) -> Changes:
    """IAM deletes a user only without keys and policies; the secret goes last."""
    user = find_user(aws, p)
    if user:
        for key in keys(aws, p):
            aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=key)
        for name in aws.iam.all("list_user_policies", "PolicyNames", UserName=p.user_name):
            aws.iam.delete_user_policy(UserName=p.user_name, PolicyName=name)
        for what in _rights(aws, p):
            _take_away(aws, p, what)
        aws.iam.delete_user(UserName=p.user_name)
    secret = destroy_secret(aws, p, p.key_secret)
    return destroyed(_title(p), bool(user or secret))


def _rights(aws: AWS, p: Params) -> dict[str, str]:
    """What the user may do by anything but its one policy: each as `_take_away` takes it."""
    inline = aws.iam.all("list_user_policies", "PolicyNames", UserName=p.user_name)
    attached = aws.iam.all("list_attached_user_policies", "AttachedPolicies", UserName=p.user_name)
    groups = aws.iam.all("list_groups_for_user", "Groups", UserName=p.user_name)
    return {
        **{f"inline policy {name}": "there" for name in inline if name != INLINE},
        **{f"policy {each['PolicyArn']}": "attached" for each in attached},
        **{f"group {each['GroupName']}": "a member" for each in groups},
    }


def _take_away(aws: AWS, p: Params, what: str) -> None:
    kind, _, name = what.rpartition(" ")
    if kind == "inline policy":
        aws.iam.delete_user_policy(UserName=p.user_name, PolicyName=name)
    elif kind == "policy":
        aws.iam.detach_user_policy(UserName=p.user_name, PolicyArn=name)
    else:
        # AWS lets a policy say of which groups, never of which users; the least policy allows neither.
        raise StepFailed(
            f"{_title(p)} is in the IAM group {name}, where somebody put it; take it out and run this again"
        )


def _ensure_key(aws: AWS, p: Params) -> None:
    stored, found = stored_id(aws, p), keys(aws, p)
    if stored in found and found[stored]["Status"] == "Inactive":
        raise StepFailed(
            f"{_title(p)}: its access key was made inactive; make it active again in IAM, "
            "or delete it there for a new one, then run notebook 01_enable_s3_and_authentication again"
        )
    drop_lost_keys(aws, p)
    if stored not in found:
        make_key(aws, p)


def keys(aws: AWS, p: Params) -> dict[str, dict]:
    """The user's keys by their ids: Status (Active or Inactive) and CreateDate, as IAM tells them."""
    found = aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name)
    return {key["AccessKeyId"]: key for key in found}


def stored_id(aws: AWS, p: Params, *, stage: str = CURRENT) -> str | None:
    """Id of the key that is stored; of the one before it with `stage=PREVIOUS`. None without both halves of one."""
    value = read_secret(aws, p, p.key_secret, stage=stage)
    if value is None:
        return None
    try:
        both = json.loads(value.reveal())
        return str(both["accesskey"]) if both["secretkey"] else None
    except (ValueError, TypeError, KeyError):
        return None


def drop_lost_keys(aws: AWS, p: Params, *, made: str | None = None) -> None:
    """Delete those that nobody knows the secret half of: a user has at most two keys.

    The one that was stored before stays: registries use it until a rotation is complete. So does the one that was
    just `made`, whose secret may not be told of yet.
    """
    known = {stored_id(aws, p), stored_id(aws, p, stage=PREVIOUS), made}
    for key in keys(aws, p).keys() - known:
        aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=key)


def make_key(aws: AWS, p: Params) -> None:
    """A new key, stored; the one that was stored until now stays, and works."""
    made, value = _make_key(aws, p)
    write_secret(aws, p, p.key_secret, value, f"S3 key of the IAM user {p.user_name}, for the registry")
    _wait_until_listed(aws, p, made)
    # A lost reply is asked for again by botocore, and each time makes a key.
    drop_lost_keys(aws, p, made=made)


def _wait_until_listed(aws: AWS, p: Params, key: str) -> None:
    """IAM is eventually consistent: the next run must not take the new key for a deleted one."""

    def look():
        if key in keys(aws, p):
            return key, "its key is made and stored"
        return None, "its key is stored and not listed yet"

    wait(_title(p), look, timeout=60)


def _make_key(aws: AWS, p: Params) -> tuple[str, Secret]:
    try:
        key = aws.iam.create_access_key(UserName=p.user_name)["AccessKey"]
    except AwsError as error:
        if error.code != "LimitExceeded":
            raise
        drop_lost_keys(aws, p)  # the second one is that of a lost reply
        key = aws.iam.create_access_key(UserName=p.user_name)["AccessKey"]
    both = {"accesskey": key["AccessKeyId"], "secretkey": key["SecretAccessKey"]}
    return key["AccessKeyId"], Secret(json.dumps(both))


def _told(aws: AWS, p: Params, stored: str | None) -> str:
    """A key that was stored before and is there yet is no difference: notebook 11 tells of it."""
    found = keys(aws, p)
    if stored not in found:
        return "not stored"
    if found[stored]["Status"] == "Inactive":
        return f"{_stored(p)}, inactive"
    other = found.keys() - {stored}
    lost = other and not other <= {stored_id(aws, p, stage=PREVIOUS)}
    return f"{_stored(p)}, and another key beside it" if lost else _stored(p)


def _stored(p: Params) -> str:
    return f"stored in secretsmanager:{p.key_secret}"


def _title(p: Params) -> str:
    return f"IAM user {p.user_name}"

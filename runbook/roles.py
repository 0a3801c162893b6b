"""One IAM role: its trust, its managed policies, its inline policy. The nodes, the task and its start each have one."""

import json

from . import tags
from .errors import NotOurs
from .params import Params
from .report import Changes, Document, Report, added, compare, destroyed
from .session import AWS
from .wait import wait

_SPREAD_SECONDS = 120
_ABSENT = {"NoSuchEntity"}
INLINE = "runbook"  # the name of the one inline policy


def trust(service: str, **condition: dict) -> dict:
    """Who may assume the role: one AWS service, such as `ec2.amazonaws.com`."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [{**statement, "Condition": condition} if condition else statement]}


def ecs_tasks_trust(p: Params, account: str) -> dict:
    """ECS may assume the role for tasks of this account and region, and for nobody else's:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html"""
    return trust(
        "ecs-tasks.amazonaws.com",
        StringEquals={"aws:SourceAccount": account},
        ArnLike={"aws:SourceArn": f"arn:aws:ecs:{p.region}:{account}:*"},
    )


def policy(*statements: dict) -> dict:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: list[str], *resources: str) -> dict:
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def find_role(aws: AWS, p: Params, name: str) -> Document | None:
    """RoleName, Trust, ManagedPolicies (sorted ARNs), InlinePolicy, and the ARN; other inline policies as added."""
    role = aws.iam.find("get_role", _ABSENT, RoleName=name)
    if role is None:
        return None
    role = role["Role"]
    seen = role.get("Tags", [])
    if {"Key": "runbook:deployment", "Value": p.name} not in seen:
        raise NotOurs(f"IAM role {name}", p)
    inline = aws.iam.find("get_role_policy", _ABSENT, RoleName=name, PolicyName=INLINE)
    attached = aws.iam.all("list_attached_role_policies", "AttachedPolicies", RoleName=name)
    return Document(
        RoleName=name,
        Trust=role["AssumeRolePolicyDocument"],
        ManagedPolicies=sorted(policy["PolicyArn"] for policy in attached),
        InlinePolicy=inline["PolicyDocument"] if inline else None,
        Arn=role["Arn"],
        **tags.found(p, seen),
        **added({f"inline policy {each}": "there" for each in _inline(aws, name) if each != INLINE}),
    )


def ensure_role(aws: AWS, p: Params, wanted: dict) -> Changes:
    """Make the role as `wanted` says: RoleName, Trust, ManagedPolicies, InlinePolicy (None: it has none)."""
    name, found = wanted["RoleName"], find_role(aws, p, wanted["RoleName"])
    report = _compare(p, wanted, found)
    if report:
        return report.changes.done
    if found is None:
        document = json.dumps(wanted["Trust"])
        aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, Tags=tags.pairs(p.tags))
        found = Document(wanted, ManagedPolicies=[], InlinePolicy=None, **tags.want(p))
    if tags.differ(p, found):
        aws.iam.tag_role(RoleName=name, Tags=tags.pairs(p.extra_tags))
    if found["Trust"] != wanted["Trust"]:
        aws.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(wanted["Trust"]))
    for arn in set(wanted["ManagedPolicies"]) - set(found["ManagedPolicies"]):
        aws.iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    for arn in set(found["ManagedPolicies"]) - set(wanted["ManagedPolicies"]):
        aws.iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    for what in found.get("Added", {}):
        aws.iam.delete_role_policy(RoleName=name, PolicyName=what.rpartition(" ")[2])
    if wanted["InlinePolicy"] is None and found["InlinePolicy"] is not None:
        aws.iam.delete_role_policy(RoleName=name, PolicyName=INLINE)
    elif found["InlinePolicy"] != wanted["InlinePolicy"]:
        document = json.dumps(wanted["InlinePolicy"])
        aws.iam.put_role_policy(RoleName=name, PolicyName=INLINE, PolicyDocument=document)
    wait(f"IAM role {name}", lambda: _told(aws, p, wanted), timeout=_SPREAD_SECONDS, every=2)
    return report.changes.done


def verify_role(aws: AWS, p: Params, wanted: dict) -> Report:
    return _compare(p, wanted, find_role(aws, p, wanted["RoleName"]))


def destroy_role(aws: AWS, p: Params, name: str) -> Changes:
    """IAM deletes a role only when nothing is attached to it any more."""
    found = find_role(aws, p, name)
    if found:
        for arn in found["ManagedPolicies"]:
            aws.iam.detach_role_policy(RoleName=name, PolicyArn=arn)
        for each in _inline(aws, name):
            aws.iam.delete_role_policy(RoleName=name, PolicyName=each)
        aws.iam.delete_role(RoleName=name)
    return destroyed(f"IAM role {name}", bool(found))


def _told(aws: AWS, p: Params, wanted: dict) -> tuple[bool | None, str]:
    """IAM tells of a change after a moment:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency"""
    try:
        report = verify_role(aws, p, wanted)
    except NotOurs:
        return None, "IAM does not tell its tags yet"
    missing = ", ".join(check.name for check in report.checks if not check.ok)
    return (None, f"IAM does not tell yet: {missing}") if missing else (True, "as wanted")


def _inline(aws: AWS, name: str) -> list[str]:
    return aws.iam.all("list_role_policies", "PolicyNames", RoleName=name)


def _compare(p: Params, wanted: dict, found: Document | None) -> Report:
    return compare(f"IAM role {wanted['RoleName']}", wanted | tags.want(p), found)

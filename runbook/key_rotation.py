"""A new S3 key for the registry in place of the old one: both work until every registry has the new one.

AWS's own order: https://docs.aws.amazon.com/IAM/latest/UserGuide/id-credentials-access-keys-update.html
"""

import datetime
import json
import time

from . import access_key, due, lease, rollout
from .errors import Denied, Expired, RunbookError, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare
from .secret import Secret
from .secretsmanager import read_secret
from .session import AWS
from .turnover import PRESENT, ensure_tasks, find_tasks, prove, require_service
from .wait import wait

# A pull is sent on to an address in S3 that is signed with the registry's key, and clients follow it at once. The
# address is good for 20 minutes, or until its key is not (Distribution, registry/storage/driver/s3-aws/s3.go).
FOLLOWED = 10  # seconds
_USABLE_WITHIN = 120  # seconds; IAM is eventually consistent


def want_key(p: Params, since: due.Since) -> Document:
    """One key, made since then, that all tasks have; nothing where a role stands for it."""
    if p.credentials != "access-key":
        return Document(Key="none: a role, whose credentials AWS itself renews every few hours")
    return Document(Made=since.words, Former="none", Tasks=PRESENT)


def find_key(aws: AWS, p: Params, since: due.Since) -> Document | None:
    """The same of what is. None without the user, or without a key that is stored."""
    if p.credentials != "access-key":
        return want_key(p, since)
    if access_key.find_user(aws, p) is None:
        return None
    keys, stored = access_key.keys(aws, p), access_key.stored_id(aws, p)
    if stored not in keys:
        return None
    former = [key["Status"].lower() for key_id, key in keys.items() if key_id != stored]
    return Document(
        Made=due.told(_made(keys[stored]), since), Former=", ".join(former) or "none", Tasks=find_tasks(aws, p)
    )


@lease.exclusive
def ensure_key(aws: AWS, p: Params, *, since: due.Given = None) -> Changes:
    """Rotate the key if it was made before `since`, and complete a rotation that was begun.

    The new key is tried at S3, stored, given to new tasks, and proven by a push and a pull; then the old one is made
    inactive, the proof repeated (if it fails, the old key is active again), and only then the old key is deleted.
    StepFailed when somebody else uses the old key: it then stays.
    """
    since = due.since(aws, p, since)
    report = compare(_title(p), want_key(p, since), find_key(aws, p, since))
    if report:
        return report.changes.done
    if report.absent:
        raise StepFailed(f"{_title(p)} is not there; run notebook 01_enable_s3_and_authentication first")
    require_service(aws, p)
    access_key.drop_lost_keys(aws, p)
    if not _is_new(aws, p, since):
        if len(access_key.keys(aws, p)) > 1:
            _retire(aws, p)  # of an earlier rotation: a user has at most two keys
        access_key.make_key(aws, p)
    _retire(aws, p)
    return report.changes.done


def verify_key(aws: AWS, p: Params, *, since: due.Given = None) -> Report:
    since = due.since(aws, p, since)
    return compare(_title(p), want_key(p, since), find_key(aws, p, since))


def made(aws: AWS, p: Params) -> datetime.datetime | None:
    """When the stored key was made; None where there is none."""
    key = access_key.keys(aws, p).get(access_key.stored_id(aws, p)) if access_key.find_user(aws, p) else None
    return _made(key) if key else None


def _title(p: Params) -> str:
    return f"key of the IAM user {p.user_name}" if p.credentials == "access-key" else "S3 key"


def _made(key: dict) -> datetime.datetime:
    return key["CreateDate"].astimezone(datetime.UTC)


def _is_new(aws: AWS, p: Params, since: due.Since) -> bool:
    return due.told(made(aws, p), since) == since.words


def _retire(aws: AWS, p: Params) -> None:
    """Give all tasks the stored key, then take the former one away."""
    wait(_title(p), lambda: _usable(aws, p), timeout=_USABLE_WITHIN, every=2)
    ensure_tasks(aws, p)
    stored = access_key.stored_id(aws, p)
    for key_id, key in access_key.keys(aws, p).items():
        if key_id != stored:
            if key["Status"] == "Active":
                _deactivate(aws, p, key_id)
            aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=key_id)


def _usable(aws: AWS, p: Params) -> tuple[bool | None, str]:
    """Whether S3 takes the stored key for the registry's bucket."""
    owner = aws.as_key(*_stored(aws, p))
    try:
        owner.s3.list_objects_v2(Bucket=p.bucket, MaxKeys=1)
    except (Denied, Expired):
        return None, "S3 does not take the new key yet"
    return True, "S3 takes the new key"


def _stored(aws: AWS, p: Params) -> tuple[str, Secret]:
    both = json.loads(read_secret(aws, p, p.key_secret).reveal())
    return both["accesskey"], Secret(both["secretkey"])


def _deactivate(aws: AWS, p: Params, key_id: str) -> None:
    ended = [task["stoppedAt"] for task in rollout.tasks(aws, p, "STOPPED") if "stoppedAt" in task]
    over = time.monotonic() + FOLLOWED
    wait(_title(p), lambda: (time.monotonic() >= over or None, "addresses signed with the old key"), timeout=60)
    used = aws.iam.get_access_key_last_used(AccessKeyId=key_id)["AccessKeyLastUsed"].get("LastUsedDate")
    # IAM tells it hours late, so it can be seen that a key is in use, never that it is not.
    if used and ended and used > max(ended) + datetime.timedelta(seconds=FOLLOWED):
        raise StepFailed(
            f"{_title(p)}: the old key was used at {used:%Y-%m-%d %H:%M:%S} UTC, after the last registry with it had "
            "ended: somebody else has it. It still works; find out who, or make it inactive in IAM, then run this again"
        )
    _set(aws, p, key_id, "Inactive")
    try:
        prove(aws, p)
    except RunbookError as error:
        _set(aws, p, key_id, "Active")
        raise StepFailed(
            f"{_title(p)}: without the old key the registry fails, so the old key is active again: {error}"
        ) from error


def _set(aws: AWS, p: Params, key_id: str, status: str) -> None:
    aws.iam.update_access_key(UserName=p.user_name, AccessKeyId=key_id, Status=status)

"""The deployment's secrets in AWS Secrets Manager: found by name, ours by tag, read only at the place of use."""

import datetime
from collections.abc import Iterable
from typing import NamedTuple

from . import tags, wait
from .errors import AwsError, NotOurs
from .params import Params
from .report import Changes, Document, destroyed
from .secret import Secret
from .session import AWS

# Staging labels of a secret's versions. The first two are AWS's own; the third is ours, for a password that waits for
# the registry to take it (AWS's AWSPENDING would say that Secrets Manager itself is rotating it):
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html
CURRENT, PREVIOUS, NEXT = "AWSCURRENT", "AWSPREVIOUS", "NEXT"
_ABSENT = {"ResourceNotFoundException"}


class Version(NamedTuple):
    """One version of a secret: its text, and when it was made (whole seconds, AWS's clock)."""

    text: Secret
    made: datetime.datetime


def find_secret(aws: AWS, p: Params, name: str) -> Document | None:
    """Name, ARN and current VersionId (None: no value yet), never the value. One scheduled for deletion is absent."""
    found = _describe(aws, p, name)
    if found is None or found.get("DeletedDate"):
        return None
    current = [v for v, stages in found.get("VersionIdsToStages", {}).items() if "AWSCURRENT" in stages]
    return Document(Name=name, ARN=found["ARN"], VersionId=current[0] if current else None)


def read_secret(aws: AWS, p: Params, name: str, *, stage: str = CURRENT) -> Secret | None:
    """The value, as a rule the current one; None when there is no such secret (or no value in it yet)."""
    found = find_version(aws, p, name, stage=stage)
    return found.text if found else None


def find_version(aws: AWS, p: Params, name: str, *, stage: str = CURRENT) -> Version | None:
    """The version with that label; None when there is none."""
    if find_secret(aws, p, name) is None:
        return None
    found = aws.secretsmanager.find("get_secret_value", _ABSENT, SecretId=name, VersionStage=stage)
    if found is None:
        return None
    return Version(Secret(found["SecretString"]), found["CreatedDate"].astimezone(datetime.UTC).replace(microsecond=0))


def want_tags(p: Params, names: Iterable[str]) -> dict[str, dict]:
    """The part of a `want_x` that says the extra tags of its secrets; nothing where the params ask for none."""
    return {"Secrets": {name: tags.want(p) for name in names}} if p.extra_tags else {}


def find_tags(aws: AWS, p: Params, names: Iterable[str]) -> dict[str, dict]:
    """The same part of what is; that a secret is absent is told elsewhere."""
    if not p.extra_tags:
        return {}
    there = {name: _describe(aws, p, name) for name in names}
    return {"Secrets": {name: tags.found(p, each["Tags"]) if each else tags.want(p) for name, each in there.items()}}


def mend_tags(aws: AWS, p: Params, names: Iterable[str]) -> None:
    """Tag those of the secrets that are there and lack an extra tag."""
    for name, seen in find_tags(aws, p, names).get("Secrets", {}).items():
        if tags.differ(p, seen):
            aws.secretsmanager.tag_resource(SecretId=name, Tags=tags.pairs(p.extra_tags))


def write_secret(aws: AWS, p: Params, name: str, value: Secret, description: str) -> str:
    """Create the secret or give it a new version; returns the VersionId."""
    if _is_there(aws, p, name):
        return aws.secretsmanager.put_secret_value(SecretId=name, SecretString=value)["VersionId"]
    return _create(aws, p, name, description, SecretString=value)["VersionId"]


def write_next(aws: AWS, name: str, value: Secret) -> None:
    """A version beside the current one of a secret that is there. Its label leaves the one that had it."""
    aws.secretsmanager.put_secret_value(SecretId=name, SecretString=value, VersionStages=[NEXT])


def bring_back(aws: AWS, p: Params, name: str) -> Document | None:
    """The secret as `find_secret` tells it; one that is scheduled for deletion is brought back, with its value."""
    return find_secret(aws, p, name) if _is_there(aws, p, name) else None


def ensure_empty(aws: AWS, p: Params, name: str, description: str) -> None:
    """Create the secret without a value if it is absent: its ARN is known then. One that has a value keeps it."""
    if not _is_there(aws, p, name):
        _create(aws, p, name, description)


def _is_there(aws: AWS, p: Params, name: str) -> bool:
    """Whether the secret exists; one that is scheduled for deletion is brought back first."""
    scheduled = _describe(aws, p, name)
    if scheduled and scheduled.get("DeletedDate"):
        aws.secretsmanager.restore_secret(SecretId=name)
    return find_secret(aws, p, name) is not None


def _create(aws: AWS, p: Params, name: str, description: str, **value: Secret) -> dict:
    """A forced deletion is asynchronous, and the name is taken until it is done:
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html"""

    def create():
        try:
            given = {"Description": description, "Tags": tags.pairs(p.tags), **value}
            made = aws.secretsmanager.create_secret(Name=name, **given)
        except AwsError as error:
            if error.code == "InvalidRequestException" and "deletion" in error.message:
                return None, "the old secret of that name is still being deleted"
            raise
        return made, "created"

    return wait.wait(f"secret {name}", create, timeout=120, every=2)


def _describe(aws: AWS, p: Params, name: str) -> dict | None:
    """Also a secret that is scheduled for deletion. NotOurs without our tag."""
    found = aws.secretsmanager.find("describe_secret", _ABSENT, SecretId=name)
    if found and {"Key": "runbook:deployment", "Value": p.name} not in found.get("Tags", []):
        raise NotOurs(f"secret {name}", p)
    return found


def destroy_secret(aws: AWS, p: Params, name: str) -> Changes:
    """Delete at once, without a recovery window: the name must be free for the next deployment."""
    found = find_secret(aws, p, name)
    if found:
        aws.secretsmanager.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    return destroyed(f"secret {name}", bool(found))

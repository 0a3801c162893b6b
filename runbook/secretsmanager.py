"""The deployment's secrets in AWS Secrets Manager: found by name, ours by tag, read only at the place of use."""

from . import wait
from .errors import AwsError, NotOurs
from .params import Params
from .report import Changes, Document, destroyed
from .secret import Secret
from .session import AWS

_ABSENT = {"ResourceNotFoundException"}


def find_secret(aws: AWS, p: Params, name: str) -> Document | None:
    """Name, ARN and current VersionId (None: no value yet), never the value. One scheduled for deletion is absent."""
    found = _describe(aws, p, name)
    if found is None or found.get("DeletedDate"):
        return None
    current = [v for v, stages in found.get("VersionIdsToStages", {}).items() if "AWSCURRENT" in stages]
    return Document(Name=name, ARN=found["ARN"], VersionId=current[0] if current else None)


def read_secret(aws: AWS, p: Params, name: str) -> Secret | None:
    """The current value; None when there is no such secret (or no value in it yet)."""
    if find_secret(aws, p, name) is None:
        return None
    value = aws.secretsmanager.find("get_secret_value", _ABSENT, SecretId=name)
    return Secret(value["SecretString"]) if value else None


def write_secret(aws: AWS, p: Params, name: str, value: Secret, description: str) -> str:
    """Create the secret or give it a new version; returns the VersionId."""
    if _is_there(aws, p, name):
        return aws.secretsmanager.put_secret_value(SecretId=name, SecretString=value)["VersionId"]
    return _create(aws, p, name, description, SecretString=value)["VersionId"]


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
    tags = [{"Key": k, "Value": v} for k, v in p.tags.items()]

    def create():
        try:
            made = aws.secretsmanager.create_secret(Name=name, Description=description, Tags=tags, **value)
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

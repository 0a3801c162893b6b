"""The secrets that ECS hands to the containers: whether they are there, and the execution role may read them.

No secret's value is read.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..finding import Finding
from . import identity, policies
from .deployment import Deployment
from .rules import found

_OLD = 90  # days


class Place(NamedTuple):
    """Where a secret is: `service` is secretsmanager or ssm; `arn` is without key, stage and version."""

    service: str
    name: str
    arn: str


def secrets(d: Deployment) -> dict[str, Place]:
    given = [each["valueFrom"] for container in d.task["containerDefinitions"] for each in container.get("secrets", [])]
    return {f"secret {place.name}": place for place in (_place(d, each) for each in given)}


def there(d: Deployment, where: str, place: Place) -> Iterator[Finding]:
    if place.service == "ssm":
        filters = [{"Key": "Name", "Option": "Equals", "Values": [place.name]}]
        told = d.aws.ssm.all("describe_parameters", "Parameters", ParameterFilters=filters)
        changed = told[0].get("LastModifiedDate") if told else None
        if told and told[0]["Type"] != "SecureString":
            yield found("parameter-plain", where)
    else:
        told = d.aws.secretsmanager.find("describe_secret", {"ResourceNotFoundException"}, SecretId=place.arn)
        changed = (told or {}).get("LastChangedDate")
        told = told if told and "DeletedDate" not in told else None
    if not told:
        yield found("secret-absent", where)
    elif changed and (days := d.age(changed)) > _OLD:
        yield found("secret-old", where, days=days)


def read(d: Deployment, where: str, place: Place) -> Iterator[Finding]:
    """By the role's policies; a policy of the secret's own may allow it, too."""
    arn = d.task.get("executionRoleArn")
    if arn is None:
        yield found("no-execution-role", where)
        return
    role = arn.rsplit("/")[-1]
    action = "ssm:GetParameters" if place.service == "ssm" else "secretsmanager:GetSecretValue"
    if policies.allowed(identity.documents(d, "role", role), action, place.arn):
        return
    if place.service == "secretsmanager":
        told = d.aws.secretsmanager.find("get_resource_policy", {"ResourceNotFoundException"}, SecretId=place.arn)
        if told and told.get("ResourcePolicy"):
            return
    yield found("secret-denied", where, role=role)


def _place(d: Deployment, value: str) -> Place:
    """https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html: an ARN of either service, or the name
    of a parameter. A secret's ARN ends in a hyphen and six characters, and may go on with key, stage and version."""
    parts = value.split(":")
    if len(parts) > 6 and parts[2] == "secretsmanager":
        return Place("secretsmanager", re.sub(r"-\w{6}$", "", parts[6]), ":".join(parts[:7]))
    if len(parts) > 5 and parts[2] == "ssm":
        path = parts[5].removeprefix("parameter")
        return Place("ssm", path if path.count("/") > 1 else path.removeprefix("/"), value)
    return Place("ssm", value, f"arn:aws:ssm:{d.aws.region}:{d.aws.account}:parameter/{value.removeprefix('/')}")


CHECKS = (there, read)

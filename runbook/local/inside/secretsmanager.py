"""Secrets Manager and Parameter Store inside moto: what the ECS agent reads for `secrets`, by the execution role."""

import json

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.secretsmanager.exceptions import SecretsManagerClientError
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from . import credentials


class SecretError(Exception):
    """A secret that the agent cannot get; the text is ECS's and never holds a value."""


def value(value_from: str, *, region: str, role_arn: str | None) -> str:
    """The text behind `valueFrom` of a container definition.

    `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:JSON-KEY:VERSION-STAGE:VERSION-ID]` is a secret; anything
    else a parameter's name or ARN (ECS developer guide, "Pass sensitive data to an Amazon ECS container").
    """
    if not role_arn:
        raise SecretError("the task definition has `secrets` but no executionRoleArn")
    words = value_from.split(":")
    if words[:1] == ["arn"] and words[2:3] == ["secretsmanager"] and len(words) >= 7:
        return _secret(value_from, words, role_arn)
    return _parameter(value_from, region, role_arn)


def _secret(value_from: str, words: list[str], role_arn: str) -> str:
    key, stage, version = (words[7:] + ["", "", ""])[:3]
    arn = ":".join(words[:7])
    asm = "unable to retrieve secret from asm: "
    failed = f"{asm}service call has been retried 1 time(s): failed to fetch secret {value_from} from secrets manager: "
    _permit(role_arn, "secretsmanager:GetSecretValue", arn, failed)
    try:
        answer = secretsmanager_backends[DEFAULT_ACCOUNT_ID][words[3]].get_secret_value(
            arn, version or None, stage or None
        )
    except SecretsManagerClientError as error:
        raise SecretError(f"{failed}{error.error_type}: {error.message}") from error
    if "SecretString" not in answer:
        raise SecretError(f"{asm}secret {value_from} is binary, a container's environment takes text")
    if not key:
        return answer["SecretString"]
    try:
        found = json.loads(answer["SecretString"])[key]
    except (ValueError, KeyError, TypeError):
        raise SecretError(f"{asm}retrieved secret from Secrets Manager did not contain json key {key}") from None
    return found if isinstance(found, str) else json.dumps(found)


def _parameter(value_from: str, region: str, role_arn: str) -> str:
    name = value_from.partition(":parameter")[2] or value_from
    arn = f"arn:aws:ssm:{region}:{DEFAULT_ACCOUNT_ID}:parameter/{name.lstrip('/')}"
    failed = "unable to retrieve secrets from ssm: service call has been retried 1 time(s): "
    _permit(role_arn, "ssm:GetParameters", arn, failed)
    backend = ssm_backends[DEFAULT_ACCOUNT_ID][region]
    found = backend.get_parameters([value_from])
    if not found:
        raise SecretError(f"{failed}invalid ssm parameters: {name}")
    parameter = found[value_from]
    return parameter.decrypt(parameter.value)


def _permit(role_arn: str, action: str, resource: str, failed: str) -> None:
    """Ask the role's trust, and its policies."""
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    role = next((role for role in list(iam.roles.values()) if role_arn in (role.arn, role.name)), None)
    if role is None or not credentials.trusts(role, "ecs-tasks.amazonaws.com", resource.split(":")[3]):
        raise SecretError(
            f"ECS was unable to assume the role '{role_arn}' that was provided for this task. Please verify that "
            "the role being passed has the proper trust relationship and permissions"
        )
    if not credentials.allowed(role, action, resource, {}):
        raise SecretError(
            f"{failed}AccessDeniedException: User: {role_arn} is not authorized to perform: {action} "
            f"on resource: {resource}"
        )

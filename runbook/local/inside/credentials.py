"""Credentials inside moto: what roles give out, whom a request's key belongs to, and what its owner's policies allow.

Keys of AWS's own form (AKIA, ASIA and sixteen characters) must be those of a user or of a session that this account
has. Any other key id is the operator's: the person at this computer, who may do everything.
"""

import datetime
import fnmatch
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.responses import BaseResponse
from moto.core.utils import get_service_model
from moto.iam.models import Role, User, iam_backends
from moto.sts.models import sts_backends

from . import authorization, dispatch, policies, s3, settling
from .dispatch import Refused

PARTITION = "aws"
KEY_ID = re.compile(r"(AKIA|ASIA)[A-Z0-9]{16}")
SIGNED = re.compile(r"Credential=([^/,\s]+)/|^AWS ([^:\s]+):")

_counted: Counter[str] = Counter()
_counting = threading.Lock()


@dataclass(frozen=True)
class Lent:
    """Temporary credentials of a role, and when they end (UTC)."""

    role_arn: str
    access_key_id: str
    secret_access_key: str = ""
    token: str = ""
    expiration: datetime.datetime = datetime.datetime.min

    def __repr__(self) -> str:
        return f"<credentials of {self.role_arn}>"


class NotAssumed(Exception):
    """A role that the service cannot assume; the text is AWS's."""


class _Unknown(Exception):
    """A key that opens nothing; the text is the reason, a key of CODES."""


def install() -> None:
    """Check every request's key from now on; a second call changes nothing."""
    if _guard not in dispatch.GUARDS:
        dispatch.GUARDS.append(_guard)


def requests() -> dict[str, int]:
    """The requests to S3 so far, by operation, without those of the operator."""
    with _counting:
        return dict(_counted)


def is_operators(request) -> bool:
    """Whether it comes from the person at this computer."""
    key_id, _ = _shown(request)
    return key_id is not None and not KEY_ID.fullmatch(key_id)


def lend(role_arn: str, *, service: str, session: str, region: str, seconds: int) -> Lent:
    """Credentials of a role for a service as ec2.amazonaws.com, for `seconds`; NotAssumed if its trust forbids that."""
    role = _role(role_arn)
    if role is None or not trusts(role, service, region):
        raise NotAssumed(
            f"Unable to assume the role '{role_arn}'. Please verify that the role being passed has the proper trust "
            f"relationship and permissions: {service} must be allowed to assume it."
        )
    assumed = sts_backends[ACCOUNT][PARTITION].assume_role(
        region_name=region,
        role_session_name=session,
        role_arn=role.arn,
        policy="",
        duration=seconds,
        external_id="",
    )
    return Lent(
        role.arn,
        assumed.access_key_id,
        assumed.secret_access_key,
        assumed.session_token,
        assumed.expiration.replace(tzinfo=datetime.UTC),
    )


def _role(arn_or_name: str) -> Role | None:
    roles = list(iam_backends[ACCOUNT][PARTITION].roles.values())
    return next((role for role in roles if arn_or_name in (role.arn, role.name)), None)


def trusts(role: Role, service: str, region: str) -> bool:
    """Whether the trust policy lets the service in; a condition that is not about where the call comes from is unmet.

    ECS says aws:SourceAccount and aws:SourceArn: ECS developer guide, "Amazon ECS task IAM role".
    """
    document = role.assume_role_policy_document
    statements = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    known = {
        "aws:sourceaccount": ACCOUNT,
        "aws:sourcearn": f"arn:{PARTITION}:{service.split('.')[0].removesuffix('-tasks')}:{region}:{ACCOUNT}:x",
    }
    for statement in policies.many(statements):
        met = all(
            operator in ("StringEquals", "StringLike", "ArnEquals", "ArnLike")
            and any(fnmatch.fnmatchcase(known.get(key.lower(), ""), pattern) for pattern in policies.many(value))
            for operator, pairs in statement.get("Condition", {}).items()
            for key, value in pairs.items()
        )
        principal = statement.get("Principal", {})
        if (
            statement["Effect"] == "Allow"
            and isinstance(principal, dict)
            and service in policies.many(principal.get("Service", []))
            and {"sts:AssumeRole", "sts:*", "*"} & set(policies.many(statement["Action"]))
            and met
        ):
            return True
    return False


# who asks


# Reason -> (S3's code and status, the code of the query protocol, that of the JSON protocols).
CODES = {
    "id": ("InvalidAccessKeyId", 403, "InvalidClientTokenId", "UnrecognizedClientException"),
    "token": ("InvalidToken", 400, "InvalidClientTokenId", "UnrecognizedClientException"),
    "expired": ("ExpiredToken", 400, "ExpiredToken", "ExpiredTokenException"),
}
WORDS = {
    "id": "The AWS Access Key Id you provided does not exist in our records.",
    "token": "The provided token is malformed or otherwise invalid.",
    "expired": "The provided token has expired.",
}


def _guard(response: BaseResponse, request) -> None:
    """Refuse a request whose key is nobody's, and one that its owner's policies do not allow."""
    key_id, token = _shown(request)
    to_s3 = response.service_name == "s3"
    if key_id is None and not to_s3:
        return
    if key_id is not None and not KEY_ID.fullmatch(key_id):
        return
    operation = response._get_action()
    if to_s3:
        with _counting:
            _counted[operation or request.method] += 1
    if key_id is None:
        raise Refused("AccessDenied", "Access Denied", 403)
    try:
        owner, name = _owner(key_id, token)
    except _Unknown as reason:
        raise _refusal(response, str(reason)) from None
    _check(response, request, operation, owner, name)


def _shown(request) -> tuple[str | None, str | None]:
    """(access key id, session token) of a request that is signed by its header or by its query (a presigned URL)."""
    found = SIGNED.search(request.headers.get("Authorization", ""))
    if found:
        return unquote(found[1] or found[2]), request.headers.get("X-Amz-Security-Token")
    credential, query = request.args.get("X-Amz-Credential"), request.args
    if credential:
        return credential.partition("/")[0], query.get("X-Amz-Security-Token")
    return query.get("AWSAccessKeyId"), query.get("x-amz-security-token")


def _owner(key_id: str, token: str | None) -> tuple[Role | User | None, str]:
    """(whose policies count, its ARN); None for a role that was deleted since. _Unknown says why the key is no good."""
    if key_id.startswith("AKIA"):
        for user in list(iam_backends[ACCOUNT][PARTITION].users.values()):
            keys = [key for key in user.access_keys if not settling.is_fresh(key.create_date)]
            if any(key.access_key_id == key_id and key.status == "Active" for key in keys):
                if token:
                    raise _Unknown("token")
                return user, user.arn
        raise _Unknown("id")
    session = sts_backends[ACCOUNT][PARTITION].get_assumed_role_from_access_key(key_id)
    if session is None or not token:
        raise _Unknown("id")
    if token != session.session_token:
        raise _Unknown("token")
    if session.expiration.replace(tzinfo=datetime.UTC) <= datetime.datetime.now(datetime.UTC):
        raise _Unknown("expired")
    return _role(session.role_arn), session.arn


def _refusal(response: BaseResponse, reason: str) -> Refused:
    s3_code, status, query_code, json_code = CODES[reason]
    if response.service_name == "s3":
        return Refused(s3_code, WORDS[reason], status)
    if response.service_name == "ec2":
        return Refused("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    return (
        Refused(json_code, WORDS[reason]) if "json" in _protocol(response) else Refused(query_code, WORDS[reason], 403)
    )


def _protocol(response: BaseResponse) -> str:
    return get_service_model(response.boto3_service_name).metadata["protocol"]


# what it may do


def _check(response: BaseResponse, request, operation: str | None, owner: Role | User | None, name: str) -> None:
    for each in authorization.asked(response, request, operation):
        if not allowed(owner, *each):
            raise _denied(
                response,
                f"User: {name} is not authorized to perform: {each.action} on resource: {each.resource} because no "
                "identity-based policy allows the action",
            )
        if response.service_name == "s3" and _denied_by_bucket(owner, name, each):
            raise _denied(
                response,
                f"User: {name} is not authorized to perform: {each.action} on resource: {each.resource} with an "
                "explicit deny in a resource-based policy",
            )


def _denied_by_bucket(owner: Role | User | None, name: str, asked: authorization.Asked) -> bool:
    bucket = asked.resource.removeprefix(f"arn:{PARTITION}:s3:::").partition("/")[0]
    return s3.denies(bucket, {name, *([owner.arn] if owner else [])}, asked.action, asked.resource)


def _denied(response: BaseResponse, message: str) -> Refused:
    if response.service_name == "ec2":
        return Refused("UnauthorizedOperation", f"You are not authorized to perform this operation. {message}", 403)
    if "json" in _protocol(response):
        return Refused("AccessDeniedException", message)
    return Refused("AccessDenied", message, 403)


def allowed(owner: Role | User | None, action: str, resource: str, context: policies.Context) -> bool:
    """Whether the policies of a user or a role, and of the user's groups, allow it. A call here counts as over TLS."""
    if owner is None:
        return False
    owners = [owner]
    if isinstance(owner, User):
        owners += iam_backends[ACCOUNT][PARTITION].get_groups_for_user(owner.name)
    inline = [each for one in owners for each in one.policies.values()]
    documents = [each["policy_document"] if isinstance(each, dict) else each for each in inline]
    attached = [each for one in owners for each in one.managed_policies.values()]
    documents += [each.document for policy in attached for each in policy.versions if each.is_default]
    return policies.allowed(documents, action, resource, {"aws:securetransport": "true", **context})

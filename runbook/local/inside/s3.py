"""Buckets inside moto: a bucket policy that concerns plain HTTP alone does not concern this cloud."""

import functools
import json

from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket


def install() -> None:
    """Mend moto's bucket policies; a second call changes nothing."""
    if hasattr(FakeBucket.get_permission, "__wrapped__"):
        return
    FakeBucket.get_permission = _as_if_over_tls(FakeBucket.get_permission)


def _as_if_over_tls(plain):
    """moto takes a condition that it does not know for fulfilled: a TLS-only policy would forbid every object.

    A call to this cloud counts as one over TLS, which on AWS it is.
    """

    @functools.wraps(plain)
    def get_permission(self, action: str, resource: str) -> PermissionResult:
        if self.policy is None:
            return PermissionResult.NEUTRAL
        policy = json.loads(self.policy)
        statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
        concerned = [statement for statement in statements if not _for_plain_http(statement)]
        return IAMPolicy(json.dumps(policy | {"Statement": concerned})).is_action_permitted(action, resource)

    return get_permission


def _for_plain_http(statement: dict) -> bool:
    value = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return str(value).lower() == "false"

"""Buckets inside moto: a policy that concerns plain HTTP alone does not concern this cloud, and one that names somebody
concerns nobody else."""

import functools
import json

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.s3.models import FakeBucket, s3_backends

from . import policies

PARTITION = "aws"


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
        concerned = [each for each in statements if not _for_plain_http(each) and not _for_somebody(each)]
        return IAMPolicy(json.dumps(policy | {"Statement": concerned})).is_action_permitted(action, resource)

    return get_permission


def denies(bucket: str, principals: set[str], action: str, resource: str) -> bool:
    """Whether the bucket's policy denies it to one of these ARNs; one that names nobody is moto's own business."""
    kept = s3_backends[ACCOUNT][PARTITION].buckets.get(bucket)
    if kept is None or kept.policy is None:
        return False
    statements = [each for each in policies.many(json.loads(kept.policy)["Statement"]) if _for_somebody(each)]
    named = [each for each in statements if principals & set(policies.many(each["Principal"]["AWS"]))]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    context = {"aws:securetransport": "true"}
    return not policies.allowed([{"Statement": [everything, *named]}], action, resource, context)


def _for_somebody(statement: dict) -> bool:
    """Whether it names whom it concerns, which moto does not look at."""
    principal = statement.get("Principal")
    return isinstance(principal, dict) and "AWS" in principal and "*" not in policies.many(principal["AWS"])


def _for_plain_http(statement: dict) -> bool:
    value = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return str(value).lower() == "false"

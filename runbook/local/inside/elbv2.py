"""Target groups inside moto: what the ECS scheduler registers with them, and sees of them."""

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.elbv2.models import elbv2_backends


def register_target(region: str, arn: str, instance_id: str, port: int) -> None:
    elbv2_backends[ACCOUNT][region].register_targets(arn, [{"id": instance_id, "port": port}])


def deregister_target(region: str, arn: str, instance_id: str, port: int) -> None:
    elbv2_backends[ACCOUNT][region].deregister_targets(arn, [{"id": instance_id, "port": port}])


def target_health(region: str, arn: str) -> dict[tuple[str, int], str]:
    """The state of each target: initial, healthy, unhealthy, draining or unused."""
    group = elbv2_backends[ACCOUNT][region].target_groups.get(arn)
    return {(each["id"], int(each["port"])): "initial" for each in group.targets.values()} if group else {}


def attached(region: str, arn: str) -> bool:
    """Whether a listener leads to the target group."""
    group = elbv2_backends[ACCOUNT][region].target_groups.get(arn)
    return bool(group and group.load_balancer_arns)

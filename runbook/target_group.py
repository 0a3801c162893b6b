"""The target group of the application balancer: what a healthy registry answers, and how one may leave."""

from . import tags, vpc
from .errors import AwsError, NotOurs, StepFailed
from .params import Params
from .session import AWS
from .wait import wait

_ABSENT = {"TargetGroupNotFound"}


def want(p: Params) -> dict:
    """The group in AWS's own words, ids replaced by names.

    A registry is trusted after two answers and given up after three failures: half a minute, in which it may be
    busy with the hashes of many logins.
    """
    return {
        "TargetGroupName": p.target_group_name,
        "TargetType": "instance",
        "Protocol": "HTTP",
        "Port": p.port,  # each target has a port of its own; a group must name one all the same
        "Vpc": "that of the nodes",
        "HealthCheck": {
            "HealthCheckProtocol": "HTTP",
            "HealthCheckPort": "traffic-port",
            "HealthCheckPath": "/",
            "HealthCheckIntervalSeconds": 10,
            "HealthCheckTimeoutSeconds": 5,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 3,
            "Matcher": {"HttpCode": "200"},
        },
        "Attributes": {
            "deregistration_delay.timeout_seconds": str(p.deregistration_delay),
            "slow_start.duration_seconds": "0",
            # In turn, so that the pieces of one upload meet every registry: what does not bear that shows at once.
            "load_balancing.algorithm.type": "round_robin",
        },
        **tags.want(p),
    }


def describe(aws: AWS, p: Params) -> dict | None:
    """The group as Elastic Load Balancing describes it; its LoadBalancerArns are empty while no listener leads to it.

    NotOurs without our tag.
    """
    found = aws.elbv2.find("describe_target_groups", _ABSENT, Names=[p.target_group_name])
    if not found or not found["TargetGroups"]:
        return None
    group = found["TargetGroups"][0]
    told = aws.elbv2.find("describe_tags", _ABSENT, ResourceArns=[group["TargetGroupArn"]])
    if told is None:
        return None
    seen = told["TagDescriptions"][0]["Tags"]
    if {"Key": "runbook:deployment", "Value": p.name} not in seen:
        raise NotOurs(f"target group {p.target_group_name}", p)
    return group | {"Tags": seen}


def find(aws: AWS, p: Params) -> dict | None:
    """What is, in the words of `want`."""
    group = describe(aws, p)
    if group is None:
        return None
    attributes = aws.elbv2.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"])["Attributes"]
    return {
        "TargetGroupName": group["TargetGroupName"],
        "TargetType": group["TargetType"],
        "Protocol": group["Protocol"],
        "Port": group["Port"],
        "Vpc": "that of the nodes" if group["VpcId"] == vpc.vpc_id(aws, p) else "another VPC",
        "HealthCheck": {key: group.get(key) for key in want(p)["HealthCheck"]},
        "Attributes": {each["Key"]: each["Value"] for each in attributes},
        **tags.found(p, group["Tags"]),
    }


def ensure(aws: AWS, p: Params) -> None:
    """The target group with its health check and attributes; what of it cannot be changed is said."""
    wanted = want(p)
    if describe(aws, p) is None:
        aws.elbv2.create_target_group(
            Name=p.target_group_name,
            Protocol=wanted["Protocol"],
            Port=wanted["Port"],
            VpcId=vpc.vpc_id(aws, p),
            TargetType=wanted["TargetType"],
            Tags=tags.pairs(p.tags),
            **wanted["HealthCheck"],
        )
    found = wait(f"target group {p.target_group_name}", lambda: _made(aws, p), timeout=120, every=2)
    seen, arn = find(aws, p), {"TargetGroupArn": found["TargetGroupArn"]}
    for key in ("TargetType", "Protocol", "Port", "Vpc"):
        if seen[key] != wanted[key]:
            raise StepFailed(
                f"target group {p.target_group_name}: {key} is {seen[key]} instead of {wanted[key]}, which cannot be "
                "changed; destroy the load balancer and run this again"
            )
    if tags.differ(p, seen):
        aws.elbv2.add_tags(ResourceArns=[found["TargetGroupArn"]], Tags=tags.pairs(p.extra_tags))
    if seen["HealthCheck"] != wanted["HealthCheck"]:
        aws.elbv2.modify_target_group(**arn, **wanted["HealthCheck"])
    if differing := _differing(wanted["Attributes"], seen["Attributes"]):
        aws.elbv2.modify_target_group_attributes(**arn, Attributes=differing)


def destroy(aws: AWS, p: Params) -> bool:
    """Delete the group after the listeners that send to it; gives whether it was there."""
    group = describe(aws, p)
    if group:
        what, arn = f"target group {p.target_group_name}", group["TargetGroupArn"]
        wait(what, lambda: _deleted(aws, arn), timeout=120, every=2)
    return bool(group)


def _made(aws: AWS, p: Params) -> tuple[dict | None, str]:
    group = describe(aws, p)
    return group, "made" if group else "not to be seen yet"


def _differing(wanted: dict[str, str], found: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in wanted.items() if found.get(key) != value]


def _deleted(aws: AWS, arn: str) -> tuple[bool | None, str]:
    try:
        aws.elbv2.find("delete_target_group", {"TargetGroupNotFound"}, TargetGroupArn=arn)
    except AwsError as error:
        if error.code != "ResourceInUse":
            raise
        return None, "still used by a listener"
    return True, "deleted"

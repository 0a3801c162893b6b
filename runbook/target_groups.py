"""The target group of an application balancer: how it is found, and how healthy its targets are."""

from .errors import NotOurs
from .params import Params
from .session import AWS


def find(aws: AWS, p: Params) -> dict | None:
    """The group as Elastic Load Balancing describes it; None when absent, NotOurs when it does not carry our tag."""
    found = aws.elbv2.find("describe_target_groups", {"TargetGroupNotFound"}, Names=[p.target_group_name])
    if not found or not found["TargetGroups"]:
        return None
    group = found["TargetGroups"][0]
    tags = aws.elbv2.describe_tags(ResourceArns=[group["TargetGroupArn"]])["TagDescriptions"][0]["Tags"]
    if {"Key": "runbook:deployment", "Value": p.name} not in tags:
        raise NotOurs(f"target group {p.target_group_name}", p)
    return group


def health(aws: AWS, p: Params) -> list[dict]:
    """Each target and its health, as DescribeTargetHealth tells them; none while the group is absent."""
    group = find(aws, p)
    if group is None:
        return []
    return aws.elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]

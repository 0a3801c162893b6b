"""The Auto Scaling group of the nodes: its size, its subnets, what it launches; who joins is the nodes' matter."""

from . import instances, launching, wait
from .errors import AwsError, NotOurs
from .params import Params
from .report import Changes, destroyed
from .session import AWS

_SUBNETS = "the nodes' subnets in the zones that have the type"
_END_SECONDS = 900


def want(p: Params) -> dict:
    """The group in words. How many instances it has within its size is not said."""
    return {
        "size": f"{p.nodes} to {p.max_nodes}",
        "launches": f"{p.scaling_group_name}, newest version",
        "subnets": _SUBNETS,
        "health check": "EC2",
        "new instances": "protected from scale-in",
        "tags": _tags(p),
    }


def describe(aws: AWS, p: Params, *, deleting: bool = False) -> dict | None:
    """The group as Auto Scaling describes it. One that is being deleted has a Status, and counts as absent unless
    `deleting`: https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_AutoScalingGroup.html
    """
    names = [p.scaling_group_name]
    found = aws.autoscaling.all("describe_auto_scaling_groups", "AutoScalingGroups", AutoScalingGroupNames=names)
    if not found:
        return None
    tags = {tag["Key"]: tag["Value"] for tag in found[0].get("Tags", [])}
    if tags.get("runbook:deployment") != p.name:
        raise NotOurs(f"Auto Scaling group {p.scaling_group_name}", p)
    return found[0] if deleting or not found[0].get("Status") else None


def find(aws: AWS, p: Params, *, group: dict) -> dict:
    """The described group in the same words."""
    template = group.get("LaunchTemplate", {})
    newest = "newest version" if template.get("Version") == "$Latest" else "another version"
    protected = group.get("NewInstancesProtectedFromScaleIn")
    subnets = set(group.get("VPCZoneIdentifier", "").split(","))
    return {
        "size": f"{group['MinSize']} to {group['MaxSize']}",
        "launches": f"{template.get('LaunchTemplateName')}, {newest}",
        "subnets": _SUBNETS if subnets == set(launching.subnets(aws, p).values()) else "other subnets",
        "health check": group["HealthCheckType"],
        "new instances": "protected from scale-in" if protected else "not protected",
        "tags": {tag["Key"]: tag["Value"] for tag in group["Tags"] if tag["PropagateAtLaunch"]},
    }


def ensure(aws: AWS, p: Params) -> dict:
    """Create it without an instance, or change what differs, save for its size; gives it as Auto Scaling describes it.

    A node that joins the cluster before the group has a capacity provider may never belong to that:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/asg-capacity-providers.html
    """
    request = {
        "AutoScalingGroupName": p.scaling_group_name,
        "VPCZoneIdentifier": ",".join(launching.subnets(aws, p).values()),
        "LaunchTemplate": {"LaunchTemplateName": p.scaling_group_name, "Version": "$Latest"},
        "HealthCheckType": "EC2",
        "NewInstancesProtectedFromScaleIn": True,
    }
    tags = [
        {"Key": k, "Value": v, "PropagateAtLaunch": True}
        | {"ResourceId": p.scaling_group_name, "ResourceType": "auto-scaling-group"}
        for k, v in _tags(p).items()
    ]
    group = describe(aws, p)
    if group is None:
        create = {**request, "MinSize": 0, "MaxSize": p.max_nodes, "DesiredCapacity": 0, "Tags": tags}
        wait.wait("Auto Scaling group", lambda: _created(aws, p, create), timeout=_END_SECONDS, every=3)
        return wait.wait("Auto Scaling group", lambda: (describe(aws, p), "created"), timeout=60)
    wanted, found = want(p), find(aws, p, group=group)
    if any(found[key] != wanted[key] for key in wanted if key not in ("tags", "size")):
        aws.autoscaling.update_auto_scaling_group(**request)
    if any(found["tags"].get(key) != value for key, value in wanted["tags"].items()):
        aws.autoscaling.create_or_update_tags(Tags=tags)
    return group


def ensure_size(aws: AWS, p: Params) -> None:
    """Its least and its most instances. Auto Scaling moves a desired capacity that lies outside of them:
    https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_UpdateAutoScalingGroup.html
    """
    group = describe(aws, p) or {}
    if (group.get("MinSize"), group.get("MaxSize")) != (p.nodes, p.max_nodes):
        aws.autoscaling.update_auto_scaling_group(
            AutoScalingGroupName=p.scaling_group_name, MinSize=p.nodes, MaxSize=p.max_nodes
        )


def destroy(aws: AWS, p: Params) -> Changes:
    """Delete it with all its instances, and wait until both are gone. At most 15 minutes."""
    existed = describe(aws, p, deleting=True) or _left(aws, p)
    if existed:
        wait.wait(f"Auto Scaling group {p.scaling_group_name}", lambda: _gone(aws, p), timeout=_END_SECONDS, every=3)
    return destroyed(f"Auto Scaling group {p.scaling_group_name}", bool(existed))


def failure(aws: AWS, p: Params) -> str:
    """Why the group's newest activity failed: no capacity in the zone, a quota, a profile that is not known yet."""
    newest = aws.autoscaling.describe_scaling_activities(AutoScalingGroupName=p.scaling_group_name, MaxRecords=1)
    failed = [each.get("StatusMessage", "") for each in newest["Activities"] if each["StatusCode"] == "Failed"]
    return "".join(f" ({message})" for message in failed)


def _tags(p: Params) -> dict[str, str]:
    return {"Name": p.scaling_group_name} | p.tags


def _created(aws: AWS, p: Params, request: dict) -> tuple[bool | None, str]:
    if describe(aws, p, deleting=True):
        return None, "the former one is still being deleted"
    try:
        aws.autoscaling.create_auto_scaling_group(**request)
    except AwsError as error:
        if launching.is_profile_unknown(error):
            return None, "Auto Scaling does not know the new instance profile yet"
        raise
    return True, "created"


def _left(aws: AWS, p: Params) -> list[dict]:
    return [instance for instance in instances.of_group(aws, p) if instances.state(instance) != "terminated"]


def _gone(aws: AWS, p: Params) -> tuple[bool | None, str]:
    """Delete the group if need be, and see whether it and its instances are gone."""
    group = describe(aws, p, deleting=True)
    if group and not group.get("Status"):
        try:
            aws.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=p.scaling_group_name, ForceDelete=True)
        except AwsError as error:
            if error.code not in ("ScalingActivityInProgress", "ResourceInUse"):
                raise
            return None, "the group is busy"
    left = _left(aws, p)
    if group or left:
        return None, f"being deleted, {len(left)} instances left"
    return True, "deleted"

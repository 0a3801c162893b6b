"""The nodes with capacity: auto-scaling-group: from a launch template, as many as the cluster's load needs."""

from . import auto_scaling_group, capacity_provider, instances, launch_template, launching, node_role, wait
from .errors import AwsError
from .instances import membership, state
from .params import Params
from .report import Changes, Document, Report, compare
from .session import AWS

_JOIN_SECONDS, _END_SECONDS = 900, 900
_LIVE = ("pending", "running", "stopping", "stopped")


def want_nodes(p: Params) -> Document:
    """The launch template, the group, the capacity provider. How many nodes there are within the size is not said."""
    return Document(
        {
            "launch template": launch_template.want(p),
            "group": auto_scaling_group.want(p),
            "capacity provider": capacity_provider.want(p),
        }
    )


def find_nodes(aws: AWS, p: Params) -> Document | None:
    """The same, and each node as Auto Scaling, ECS and Systems Manager see it. None when nothing is there.

    `ami` is a note (current or older): AWS publishes a new AMI every few weeks, which each new instance takes.
    """
    template, group = launch_template.find(aws, p), auto_scaling_group.describe(aws, p)
    provider = capacity_provider.find(aws, p, group_arn=group["AutoScalingGroupARN"] if group else None)
    found = _live(aws, p)
    if not (template or group or provider or found):
        return None
    return Document(
        {
            "launch template": template,
            "group": auto_scaling_group.find(aws, p, group=group) if group else None,
            "capacity provider": provider,
            "nodes": _nodes(aws, p, group, found, launch_template.versions_as_wanted(aws, p) if template else set()),
        }
    )


def ensure_nodes(aws: AWS, p: Params) -> Changes:
    """Role, instance profile, template, group, capacity provider, and only then the instances; returns when the least
    number is in the cluster.

    An instance of an older template, or that is not the provider's, is replaced, one after the other: ECS drains each
    before it ends.
    """
    report = verify_nodes(aws, p)
    if report:
        return report.changes.done
    launching.require_earlier(aws, p)
    node_role.ensure(aws, p)
    launch_template.ensure(aws, p)
    capacity_provider.ensure(aws, p, group_arn=auto_scaling_group.ensure(aws, p)["AutoScalingGroupARN"])
    auto_scaling_group.ensure_size(aws, p)
    _wait_until_joined(aws, p)
    _take_tasks_again(aws, p)
    while older := _older(aws, p):
        _replace(aws, p, older[0])
    for stranger in _strangers(aws, p):
        _replace(aws, p, stranger)
    if crowded := _crowded(aws, p):
        _replace(aws, p, crowded)
    instances.deregister(aws, p)
    return report.changes.done


def verify_nodes(aws: AWS, p: Params) -> Report:
    """Everything against what is wanted; enough nodes in the cluster, of the newest template, in two zones or more."""
    found, role = find_nodes(aws, p), node_role.verify(aws, p)
    report = compare("nodes", want_nodes(p), found)
    if found is None:
        return report
    joined = _joined(p, found["nodes"])
    enough = f"at least {p.nodes} in the cluster"
    seen = enough if len(joined) >= p.nodes else f"{len(joined)}{_why_not(p, found['nodes'])}"
    report = report.check("nodes", len(joined) >= p.nodes, enough, seen)
    older = [name for name, node in found["nodes"].items() if _is_older(node)]
    report = report.check("templates", not older, "the newest one", ", ".join(older) or "the newest one")
    drained = [name for name, node in found["nodes"].items() if _is_drained(node)]
    report = report.check("draining", not drained, "none", ", ".join(drained) or "none")
    zones, least = {found["nodes"][name]["zone"] for name in joined}, _least_zones(aws, p)
    spread = f"at least {least}"
    report = report.check("zones", len(zones) >= least, spread, spread if len(zones) >= least else sorted(zones))
    report += role
    return instances.check_port_22(aws, p, report, instances=_live(aws, p))


def destroy_nodes(aws: AWS, p: Params) -> Changes:
    """The provider, the group with every instance, the template, the profile, the role; waits until each is gone."""
    done = capacity_provider.destroy(aws, p) + auto_scaling_group.destroy(aws, p)
    instances.deregister(aws, p)
    return done + launch_template.destroy(aws, p) + node_role.destroy(aws, p)


def _live(aws: AWS, p: Params) -> list[dict]:
    return [instance for instance in instances.of_group(aws, p) if state(instance) in _LIVE]


def _nodes(aws: AWS, p: Params, group: dict | None, live: list[dict], current: set[str]) -> dict[str, dict]:
    """Each live instance in words; `current` are the template's versions that say what is wanted."""
    members = {member["InstanceId"]: member for member in (group or {}).get("Instances", [])}
    registered, online = instances.registrations(aws, p), instances.pings(aws, live)
    image, nodes = launching.current_ami(aws), {}
    for name, instance in instances.named_by_zone(p, live).items():
        instance_id = instance["InstanceId"]
        member = members.get(instance_id, {})
        version = member.get("LaunchTemplate", {}).get("Version")
        nodes[name] = {
            "zone": instance["Placement"]["AvailabilityZone"],
            "state": state(instance),
            "group": member.get("LifecycleState", "not in it"),
            "cluster": membership(p, registered.get(instance_id)),
            "systems manager": online.get(instance_id, "not registered"),
            "capacity provider": registered.get(instance_id, {}).get("capacityProviderName"),
            "template": "newest" if version in current else "older",
            "ami": "current" if instance["ImageId"] == image else "older",
        }
    return nodes


def _joined(p: Params, nodes: dict[str, dict]) -> list[str]:
    return [name for name, node in nodes.items() if not _missing(p, node)]


def _missing(p: Params, node: dict) -> str | None:
    """Why a node does not count yet, in words; None when it does."""
    if node["group"] != "InService" or node["state"] != "running":
        return f"instance {node['state']}, {node['group']}"
    if node["cluster"] != p.cluster_name:
        return f"running, {node['cluster']}"
    if node["capacity provider"] != p.capacity_provider_name:
        return f"in the cluster, not of capacity provider {p.capacity_provider_name}"
    ping = node["systems manager"]
    return None if ping == "Online" else f"in the cluster, Systems Manager: {ping}"


def _why_not(p: Params, nodes: dict[str, dict]) -> str:
    return "".join(f"; {name} {why}" for name, node in nodes.items() if (why := _missing(p, node)))


def _is_drained(node: dict) -> bool:
    """By hand, that is: Auto Scaling takes an instance that it ends out of service first."""
    return node["group"] == "InService" and node["cluster"] == "draining"


def _is_stranger(p: Params, node: dict) -> bool:
    """It joined the cluster before the capacity provider was there, which gives it no task."""
    joined = node["group"] == "InService" and node["cluster"] == p.cluster_name
    return joined and node["capacity provider"] != p.capacity_provider_name


def _is_older(node: dict) -> bool:
    return node["group"] == "InService" and node["template"] == "older"


def _least_zones(aws: AWS, p: Params) -> int:
    return min(2, p.nodes, len(launching.subnets(aws, p)))


def _wait_until_joined(aws: AWS, p: Params, *, full: bool = False) -> None:
    """Until the least number (`full`: as many as the group desires) is in the cluster and known to Systems Manager.

    At most 15 minutes. A node that was drained by hand counts, as it is told to take tasks afterwards, and so does one
    that is not the provider's: it is replaced.
    """

    def look() -> tuple[bool | None, str]:
        group = auto_scaling_group.describe(aws, p) or {}
        desired = group.get("DesiredCapacity", p.nodes) if full else p.nodes
        nodes = _nodes(aws, p, group, _live(aws, p), set())
        there = sum(not _missing(p, node) or _is_drained(node) or _is_stranger(p, node) for node in nodes.values())
        seen = f"{there} of {desired} in the cluster{_why_not(p, nodes)}{auto_scaling_group.failure(aws, p)}"
        return (True if there >= desired else None), seen

    wait.wait("nodes", look, timeout=_JOIN_SECONDS, every=2)


def _take_tasks_again(aws: AWS, p: Params) -> None:
    members = {member["InstanceId"] for member in _in_service(aws, p)}
    for instance_id, item in instances.registrations(aws, p).items():
        if instance_id in members and item["status"] == "DRAINING":
            arns = [item["containerInstanceArn"]]
            aws.ecs.update_container_instances_state(cluster=p.cluster_name, containerInstances=arns, status="ACTIVE")


def _in_service(aws: AWS, p: Params) -> list[dict]:
    group = auto_scaling_group.describe(aws, p) or {}
    return [member for member in group.get("Instances", []) if member["LifecycleState"] == "InService"]


def _older(aws: AWS, p: Params) -> list[str]:
    """Ids of the instances in service from a version of the template that says something else."""
    current, members = launch_template.versions_as_wanted(aws, p), _in_service(aws, p)
    return [m["InstanceId"] for m in members if m.get("LaunchTemplate", {}).get("Version") not in current]


def _strangers(aws: AWS, p: Params) -> list[str]:
    """Ids of the instances in service and in the cluster that are not the capacity provider's."""
    members, registered = {member["InstanceId"] for member in _in_service(aws, p)}, instances.registrations(aws, p)
    return [
        instance_id
        for instance_id, item in sorted(registered.items())
        if instance_id in members and item.get("capacityProviderName") != p.capacity_provider_name
    ]


def _crowded(aws: AWS, p: Params) -> str | None:
    """Id of an instance to replace when too many share a zone: Auto Scaling launches in the zone that has fewest.

    It does not move protected instances itself:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html
    """
    members = _in_service(aws, p)
    crowded = len({member["AvailabilityZone"] for member in members}) < _least_zones(aws, p)
    return members[0]["InstanceId"] if crowded else None


def _replace(aws: AWS, p: Params, instance_id: str) -> None:
    """End one instance through the group, which has ECS drain it and launches another, and wait for both.

    The protection from scale-in is none from this call:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-instance-protection.html
    """

    def asked() -> tuple[bool | None, str]:
        try:
            aws.autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance_id, ShouldDecrementDesiredCapacity=False
            )
        except AwsError as error:
            if error.code != "ScalingActivityInProgress":
                raise
            return None, "the group is busy"
        return True, "being replaced"

    def ended() -> tuple[bool | None, str]:
        left = [i for i in instances.of_group(aws, p) if i["InstanceId"] == instance_id and state(i) != "terminated"]
        return (None if left else True), "one is drained and ends" if left else "one has ended"

    wait.wait("nodes", asked, timeout=_END_SECONDS, every=3)
    wait.wait("nodes", ended, timeout=_END_SECONDS + p.deregistration_delay, every=3)
    _wait_until_joined(aws, p, full=True)

"""The EC2 instances of a deployment: read, launched, waited for, terminated, as `nodes` decides."""

import hashlib
import re
import time
from typing import NamedTuple

from . import launching, vpc, wait
from .errors import AwsError, NotOurs
from .params import Params
from .report import Report
from .session import AWS

LIVE = ("pending", "running", "stopping", "stopped")
_JOIN_SECONDS, _DRAIN_SECONDS, _TERMINATE_SECONDS = 600, 300, 600


class Instances(NamedTuple):
    """The instances of one deployment, as EC2 describes them.

    `nodes` has one live instance a name, the oldest; `surplus` the other live ones; `ending` those that shut down;
    `ended` those that are terminated, which EC2 shows for about an hour.
    """

    nodes: dict[str, dict]
    surplus: list[dict]
    ending: list[dict]
    ended: list[dict]

    @property
    def live(self) -> list[dict]:
        return [*self.nodes.values(), *self.surplus]


def node_name(p: Params, index: int) -> str:
    """Tag Name of the instance, counted from 1."""
    return f"{p.name}-node-{index}"


def name_of(instance: dict) -> str:
    return next((tag["Value"] for tag in instance.get("Tags", []) if tag["Key"] == "Name"), "")


def read(aws: AWS, p: Params) -> Instances:
    """All instances with the deployment's tag and a node's name, whatever their state."""
    filters = [{"Name": "tag:runbook:deployment", "Values": [p.name]}]
    reservations = aws.ec2.all("describe_instances", "Reservations", Filters=filters)
    found = [instance for reservation in reservations for instance in reservation["Instances"]]
    found = [i for i in found if re.fullmatch(rf"{re.escape(p.name)}-node-\d+", name_of(i))]
    found.sort(key=lambda i: (i["LaunchTime"], i["InstanceId"]))
    wanted = {node_name(p, index) for index in range(1, p.nodes + 1)}
    nodes: dict[str, dict] = {}
    surplus = []
    for instance in found:
        name = name_of(instance)
        if state(instance) not in LIVE:
            continue
        if name in wanted and name not in nodes:
            nodes[name] = instance
        else:
            surplus.append(instance)
    ending = [i for i in found if state(i) == "shutting-down"]
    return Instances(nodes, surplus, ending, [i for i in found if state(i) == "terminated"])


def of_group(aws: AWS, p: Params) -> list[dict]:
    """All instances that the Auto Scaling group has launched, whatever their state, the oldest first."""
    tags = {"tag:runbook:deployment": p.name, "tag:aws:autoscaling:groupName": p.scaling_group_name}
    filters = [{"Name": name, "Values": [value]} for name, value in tags.items()]
    reservations = aws.ec2.all("describe_instances", "Reservations", Filters=filters)
    found = [instance for reservation in reservations for instance in reservation["Instances"]]
    return sorted(found, key=lambda i: (i["LaunchTime"], i["InstanceId"]))


def named_by_zone(p: Params, found: list[dict]) -> dict[str, dict]:
    """Instances of the group by a name for each: they share their tag Name, so they are counted in each zone."""
    names, counts = {}, {}
    for instance in found:
        zone = instance["Placement"]["AvailabilityZone"]
        counts[zone] = counts.get(zone, 0) + 1
        names[f"{p.scaling_group_name} {counts[zone]} in {zone}"] = instance
    return dict(sorted(names.items()))


def state(instance: dict) -> str:
    return instance["State"]["Name"]


def registrations(aws: AWS, p: Params) -> dict[str, dict]:
    """ECS's container instances of the cluster, by the id of the EC2 instance; none when there is no cluster."""
    try:
        arns = aws.ecs.all("list_container_instances", "containerInstanceArns", cluster=p.cluster_name)
    except AwsError as error:
        if error.code != "ClusterNotFoundException":
            raise
        return {}
    found: list[dict] = []
    for first in range(0, len(arns), 100):  # the most that one call may name
        chunk = arns[first : first + 100]
        answer = aws.ecs.describe_container_instances(cluster=p.cluster_name, containerInstances=chunk)
        found += answer["containerInstances"]
    return {item["ec2InstanceId"]: item for item in found}


def require_cluster(aws: AWS, p: Params) -> dict | None:
    """The ACTIVE cluster as ECS describes it, None when there is none; NotOurs without our tag."""
    asked = {"clusters": [p.cluster_name], "include": ["TAGS", "ATTACHMENTS"]}
    found = [each for each in aws.ecs.describe_clusters(**asked)["clusters"] if each["status"] == "ACTIVE"]
    if found and {"key": "runbook:deployment", "value": p.name} not in found[0].get("tags", []):
        raise NotOurs(f"ECS cluster {p.cluster_name}", p)
    return found[0] if found else None


def membership(p: Params, registration: dict | None) -> str:
    """What the cluster knows of an instance: the cluster's name when its agent is connected and takes tasks."""
    if registration is None:
        return "not registered"
    if not registration["agentConnected"]:
        return "agent not connected"
    return p.cluster_name if registration["status"] == "ACTIVE" else registration["status"].lower()


def pings(aws: AWS, instances: list[dict]) -> dict[str, str]:
    """Systems Manager's PingStatus by instance id; an instance that has never called is not in it."""
    ids = [instance["InstanceId"] for instance in instances if state(instance) == "running"]
    if not ids:
        return {}
    filters = [{"Key": "InstanceIds", "Values": ids}]
    found = aws.ssm.all("describe_instance_information", "InstanceInformationList", Filters=filters)
    return {item["InstanceId"]: item["PingStatus"] for item in found}


def check_port_22(aws: AWS, p: Params, report: Report, *, instances: list[dict]) -> Report:
    """The report with a check that no security group of the instances lets everyone reach port 22."""
    ids = sorted({group["GroupId"] for instance in instances for group in instance["SecurityGroups"]})
    groups = vpc.groups_of(aws, p, ids)
    world = ", ".join(group["GroupName"] for group in groups if any(map(_is_open, group["IpPermissions"])))
    return report.check("port 22", not world, "closed to the world", world or "closed to the world")


def launch(aws: AWS, p: Params, name: str, *, user_data: str) -> None:
    """Run one instance; node 1 in the first availability zone that has the type, node 2 in the second, and so on."""
    image, subnets = launching.current_ami(aws), list(launching.subnets(aws, p).values())
    tags = [{"Key": k, "Value": v} for k, v in ({"Name": name} | p.tags).items()]
    request = {
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": image,
        "InstanceType": p.instance_type,
        "IamInstanceProfile": {"Name": p.node_role},
        "SecurityGroupIds": [vpc.group_id(aws, p, p.node_group)],
        "SubnetId": subnets[(int(name.rsplit("-", 1)[1]) - 1) % len(subnets)],
        "UserData": user_data,
        "MetadataOptions": launching.metadata(p),
        "BlockDeviceMappings": [{"DeviceName": launching.root_device(aws, image), "Ebs": launching.VOLUME}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        "ClientToken": token(p, name, read(aws, p), time.strftime("%Y%m%d%H", time.gmtime())),
    }
    wait.wait(name, lambda: _run(aws, request), timeout=launching.PROFILE_SECONDS, every=3)


def token(p: Params, name: str, found: Instances, hour: str) -> str:
    """ClientToken of a launch: another one once an earlier instance of that name is seen, and each hour.

    AWS remembers a token for longer than it shows a terminated instance, hence the hour:
    https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
    """
    seen = [i["InstanceId"] for i in (*found.live, *found.ending, *found.ended) if name_of(i) == name]
    return hashlib.sha256(" ".join([p.name, name, hour, *sorted(seen)]).encode()).hexdigest()


def wait_until_joined(aws: AWS, p: Params, names: list[str]) -> None:
    """Until each is running, in the cluster, and known to Systems Manager. At most ten minutes."""

    def look() -> tuple[bool | None, str]:
        found = read(aws, p)
        registered, online = registrations(aws, p), pings(aws, found.live)
        missing = {name: reason for name in names if (reason := _missing(p, found, name, registered, online))}
        seen = [f"{len(names) - len(missing)} of {len(names)} in the cluster"]
        return (None if missing else True), "; ".join(seen + [f"{name} {why}" for name, why in missing.items()])

    wait.wait("nodes", look, timeout=_JOIN_SECONDS)


def terminate(aws: AWS, p: Params, gone: list[dict], *, drain: bool = True) -> None:
    """Terminate instances, and leave nothing of them in the cluster; with `drain`, once ECS has moved their tasks."""
    if not gone:
        return
    ids = {instance["InstanceId"] for instance in gone}
    if drain:
        _drain(aws, p, ids)
    aws.ec2.terminate_instances(InstanceIds=sorted(ids))

    def ended() -> tuple[bool | None, str]:
        found = read(aws, p)
        left = [f"{name_of(i)} {state(i)}" for i in (*found.live, *found.ending) if i["InstanceId"] in ids]
        return (None if left else True), ", ".join(left) or "terminated"

    wait.wait("nodes", ended, timeout=_TERMINATE_SECONDS)


def deregister(aws: AWS, p: Params) -> None:
    """Take from the cluster what is left of instances that are gone. ECS does so itself while the agent is
    connected, and not for an instance that was stopped first:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deregister_container_instance.html
    """
    if _left_behind(aws, p):
        require_cluster(aws, p)
        wait.wait("cluster", lambda: _deregistered(aws, p), timeout=_DRAIN_SECONDS, every=2)


def _missing(p: Params, found: Instances, name: str, registered: dict, online: dict) -> str | None:
    """Why a node is not there yet, in words; None when it is."""
    if name not in found.nodes:
        ended = [i.get("StateReason", {}).get("Message", "") for i in found.ended if name_of(i) == name]
        return f"not visible ({ended[-1]})" if ended and ended[-1] else "not visible"
    instance = found.nodes[name]
    if state(instance) != "running":
        return f"instance {state(instance)}"
    if (seen := membership(p, registered.get(instance["InstanceId"]))) != p.cluster_name:
        return f"running, {seen}"
    ping = online.get(instance["InstanceId"], "not registered")
    return None if ping == "Online" else f"in the cluster, Systems Manager: {ping}"


def _run(aws: AWS, request: dict) -> tuple[bool | None, str]:
    try:
        aws.ec2.run_instances(**request)
    except AwsError as error:
        if launching.is_profile_unknown(error):
            return None, "EC2 does not know the new instance profile yet"
        raise
    return True, "launched"


def _drain(aws: AWS, p: Params, ids: set[str]) -> None:
    connected = [r for key, r in registrations(aws, p).items() if key in ids and r["agentConnected"]]
    active = [item["containerInstanceArn"] for item in connected if item["status"] == "ACTIVE"]
    for first in range(0, len(active), 10):  # the most that one call may name
        chunk = active[first : first + 10]
        aws.ecs.update_container_instances_state(cluster=p.cluster_name, containerInstances=chunk, status="DRAINING")

    def look() -> tuple[bool | None, str]:
        left = [r for key, r in registrations(aws, p).items() if key in ids and r["agentConnected"]]
        tasks = sum(r["runningTasksCount"] for r in left)
        return (None if tasks else True), f"{tasks} tasks left on them"

    if connected:
        wait.wait("draining nodes", look, timeout=_DRAIN_SECONDS, every=2)


def _left_behind(aws: AWS, p: Params) -> list[dict]:
    """Registrations of terminated instances, and of any that EC2 has forgotten (an hour after their end)."""
    registered, states = registrations(aws, p), {}
    ids = sorted(registered)
    for first in range(0, len(ids), 200):  # the most values that one filter may have
        filters = [{"Name": "instance-id", "Values": ids[first : first + 200]}]
        for reservation in aws.ec2.all("describe_instances", "Reservations", Filters=filters):
            states |= {instance["InstanceId"]: state(instance) for instance in reservation["Instances"]}
    forgotten = {key for key, item in registered.items() if not item["agentConnected"]} - states.keys()
    return [item for key, item in registered.items() if key in forgotten or states.get(key) == "terminated"]


def _deregistered(aws: AWS, p: Params) -> tuple[bool | None, str]:
    left = _left_behind(aws, p)
    for item in left:
        if not item["agentConnected"]:
            arn = item["containerInstanceArn"]
            # ECS may have done so itself in the meantime; the next look tells.
            asked = {"cluster": p.cluster_name, "containerInstance": arn, "force": True}
            aws.ecs.find("deregister_container_instance", {"InvalidParameterException"}, **asked)
    return (None if left else True), f"{len(left)} terminated nodes still registered"


def _is_open(permission: dict) -> bool:
    networks = [r["CidrIp"] for r in permission.get("IpRanges", [])]
    networks += [r["CidrIpv6"] for r in permission.get("Ipv6Ranges", [])]
    covers = permission["IpProtocol"] == "-1" or (
        permission["IpProtocol"] == "tcp" and permission["FromPort"] <= 22 <= permission["ToPort"]
    )
    return covers and any(network in ("0.0.0.0/0", "::/0") for network in networks)

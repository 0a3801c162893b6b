"""The EC2 instances of a deployment: read, launched, waited for, terminated; `nodes` decides which and when."""

import hashlib
import re
import time
from typing import NamedTuple

from . import vpc, wait
from .errors import AwsError, StepFailed
from .params import Params
from .session import AWS

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html
AMI_PARAMETER = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
# The ECS agent and the SSM agent run in the host's network, one hop from the metadata service; a container in bridge
# mode is one hop further away, so that with a limit of 1 no task obtains the node's role:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html
METADATA = {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 1}
_VOLUME = {"VolumeSize": 30, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}  # size in GiB
_LIVE = ("pending", "running", "stopping", "stopped")
_JOIN_SECONDS, _DRAIN_SECONDS, _TERMINATE_SECONDS, _PROFILE_SECONDS = 600, 300, 600, 120
# What EC2 says of an instance profile that IAM has made but not yet spread.
_PROFILE_UNKNOWN = ("Invalid IAM Instance Profile", "has no associated IAM Roles")


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
        if state(instance) not in _LIVE:
            continue
        if name in wanted and name not in nodes:
            nodes[name] = instance
        else:
            surplus.append(instance)
    ending = [i for i in found if state(i) == "shutting-down"]
    return Instances(nodes, surplus, ending, [i for i in found if state(i) == "terminated"])


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


def current_ami(aws: AWS) -> str:
    """Id of the ECS-optimized image that AWS recommends today."""
    return aws.ssm.get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]


def launch(aws: AWS, p: Params, name: str, *, user_data: str) -> None:
    """Run one instance; node 1 in the first availability zone that has the type, node 2 in the second, and so on."""
    image, subnets = current_ami(aws), _subnets(aws, p)
    root = aws.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"]
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
        "MetadataOptions": METADATA,
        "BlockDeviceMappings": [{"DeviceName": root, "Ebs": _VOLUME}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        "ClientToken": token(p, name, read(aws, p), time.strftime("%Y%m%d%H", time.gmtime())),
    }
    wait.wait(name, lambda: _run(aws, request), timeout=_PROFILE_SECONDS, every=3)


def _subnets(aws: AWS, p: Params) -> list[str]:
    """The default subnets of the zones that offer the instance type: us-east-1 has one without the newer types.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-discovery.html
    """
    offered = aws.ec2.all(
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [p.instance_type]}],
    )
    names = {offer["Location"] for offer in offered}
    found = [subnet for zone, subnet in vpc.zones(aws).items() if zone in names]
    if not found:
        raise StepFailed(
            f"no zone of the default VPC offers instance type {p.instance_type} in {aws.region}; "
            f"change instance_type in {p.source}"
        )
    return found


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
        if error.code == "InvalidParameterValue" and any(text in error.message for text in _PROFILE_UNKNOWN):
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
    """Registrations of our terminated instances, and of any that EC2 has forgotten (an hour after their end)."""
    registered, found = registrations(aws, p), read(aws, p)
    known = {instance["InstanceId"] for instance in (*found.live, *found.ending)}
    lost = {key for key, item in registered.items() if not item["agentConnected"]} - known
    filters = [{"Name": "instance-id", "Values": sorted(lost)}]
    reservations = aws.ec2.all("describe_instances", "Reservations", Filters=filters) if lost else []
    there = {instance["InstanceId"] for reservation in reservations for instance in reservation["Instances"]}
    gone = {instance["InstanceId"] for instance in found.ended} | (lost - there)
    return [item for key, item in registered.items() if key in gone]


def _deregistered(aws: AWS, p: Params) -> tuple[bool | None, str]:
    left = _left_behind(aws, p)
    for item in left:
        if not item["agentConnected"]:
            arn = item["containerInstanceArn"]
            # ECS may have done so itself in the meantime; the next look tells.
            asked = {"cluster": p.cluster_name, "containerInstance": arn, "force": True}
            aws.ecs.find("deregister_container_instance", {"InvalidParameterException"}, **asked)
    return (None if left else True), f"{len(left)} terminated nodes still registered"

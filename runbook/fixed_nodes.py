"""The nodes with capacity: instances, a fixed number that join the cluster by their user data."""

import base64

from . import instances, launching, node_role, tags, vpc, wait
from .errors import AwsError
from .instances import membership, name_of, node_name, state
from .launching import metadata, metadata_words
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS
from .user_data import digest, user_data

# Of a live instance; type and user data only while it is stopped, which is no less than a new node is.
_UNCHANGEABLE = ("type", "user data", "root volume")
_STOP_SECONDS = 300


def want_nodes(p: Params) -> Document:
    """Each node by name, and no surplus one."""
    node = {
        "type": p.instance_type,
        "state": "running",
        "cluster": p.cluster_name,
        "systems manager": "Online",
        "user data": digest(user_data(p)),
        "profile": p.node_role,
        "groups": [p.node_group],
        "metadata": metadata_words(metadata(p)),
        "root volume": "encrypted",
        **tags.want(p),
    }
    names = [node_name(p, index) for index in range(1, p.nodes + 1)]
    return Document({name: dict(node) for name in names} | {"surplus": []})


def find_nodes(aws: AWS, p: Params) -> Document | None:
    """Each node by name as EC2, ECS and Systems Manager see it. None when no instance is live.

    `ami` is a note (current or older): AWS publishes a new AMI every few weeks, and a deployment that is left alone
    must not begin to differ by itself.
    """
    found = instances.read(aws, p)
    if not found.live:
        return None
    registered, online = instances.registrations(aws, p), instances.pings(aws, found.live)
    current, profiles = launching.current_ami(aws), _associations(aws, found.live)
    nodes = {}
    for name, instance in sorted(found.nodes.items()):
        instance_id = instance["InstanceId"]
        nodes[name] = {
            "type": instance["InstanceType"],
            "state": state(instance),
            "cluster": membership(p, registered.get(instance_id)),
            "systems manager": online.get(instance_id, "not registered"),
            "user data": digest(_given_user_data(aws, instance_id)),
            "profile": _profile_name(profiles.get(instance_id)),
            "groups": sorted(group["GroupName"] for group in instance["SecurityGroups"]),
            "metadata": metadata_words(instance["MetadataOptions"]),
            "root volume": _root_volume(aws, instance),
            **tags.found(p, instance["Tags"]),
            "ami": "current" if instance["ImageId"] == current else "older",
        }
    return Document(nodes | {"surplus": sorted(name_of(instance) for instance in found.surplus)})


def ensure_nodes(aws: AWS, p: Params) -> Changes:
    """Role, instance profile, instances; returns when all of them are in the cluster.

    What cannot be changed on an instance is changed by a new one in its place, one node after the other.
    """
    report = verify_nodes(aws, p)
    if report:
        return report.changes.done
    launching.require_earlier(aws, p)
    node_role.ensure(aws, p)
    instances.terminate(aws, p, instances.read(aws, p).surplus)
    wanted = [name for name in want_nodes(p) if name != "surplus"]
    for name, found in (find_nodes(aws, p) or {}).items():
        if name in wanted and _unchangeable(p, name, found):
            instances.terminate(aws, p, [instances.read(aws, p).nodes[name]])
            instances.launch(aws, p, name, user_data=user_data(p))
            instances.wait_until_joined(aws, p, [name])
    live = instances.read(aws, p).nodes
    for name in wanted:
        if name in live:
            _mend(aws, p, name)
        else:
            instances.launch(aws, p, name, user_data=user_data(p))
    instances.wait_until_joined(aws, p, wanted)
    instances.deregister(aws, p)
    return report.changes.done


def verify_nodes(aws: AWS, p: Params) -> Report:
    """Each node against what is wanted, its role, and that port 22 is closed to the world."""
    found, role = find_nodes(aws, p), node_role.verify(aws, p)
    report = compare("nodes", want_nodes(p), found)
    if found is None:
        return report
    for name in found:
        if name != "surplus" and (wrong := _unchangeable(p, name, found[name])):
            seen = f"one whose {' and '.join(wrong)} cannot be changed while it runs"
            report = report.check(f"{name}.instance", False, "a new one in its place, then notebook 03 again", seen)
    report += role
    return instances.check_port_22(aws, p, report, instances=instances.read(aws, p).live)


def destroy_nodes(aws: AWS, p: Params) -> Changes:
    """Terminate every instance and wait until it is gone, then the instance profile and the role."""
    found = instances.read(aws, p)
    instances.terminate(aws, p, found.live + found.ending, drain=False)
    instances.deregister(aws, p)
    return destroyed("nodes", bool(found.live or found.ending)) + node_role.destroy(aws, p)


def _unchangeable(p: Params, name: str, found: dict) -> list[str]:
    """What differs and takes a new instance. A volume that is not attached yet is no difference."""
    wanted = want_nodes(p)[name]
    return [key for key in _UNCHANGEABLE if found[key] not in (wanted[key], None)]


def _mend(aws: AWS, p: Params, name: str) -> None:
    """Change on a live instance what differs and can be changed there; each write only for what differs."""
    wanted, found = want_nodes(p)[name], (find_nodes(aws, p) or {})[name]
    instance = instances.read(aws, p).nodes[name]
    instance_id = instance["InstanceId"]
    if tags.differ(p, found):
        aws.ec2.create_tags(Resources=[instance_id], Tags=tags.pairs(p.extra_tags))
    if found["metadata"] != wanted["metadata"]:
        aws.ec2.modify_instance_metadata_options(InstanceId=instance_id, **metadata(p))
    if found["groups"] != wanted["groups"]:
        group = vpc.group_id(aws, p, p.node_group)
        aws.ec2.modify_instance_attribute(InstanceId=instance_id, Groups=[group])
    if found["profile"] != wanted["profile"]:
        _associate_profile(aws, p, instance)
    if found["state"] in ("stopping", "stopped"):
        wait.wait(name, lambda: _stopped(aws, p, name), timeout=_STOP_SECONDS, every=2)
        aws.ec2.start_instances(InstanceIds=[instance_id])
    if found["cluster"] == "draining":
        registration = instances.registrations(aws, p)[instance_id]
        aws.ecs.update_container_instances_state(
            cluster=p.cluster_name, containerInstances=[registration["containerInstanceArn"]], status="ACTIVE"
        )


def _stopped(aws: AWS, p: Params, name: str) -> tuple[bool | None, str]:
    seen = state(instances.read(aws, p).nodes[name])
    return (True if seen == "stopped" else None), seen


def _associate_profile(aws: AWS, p: Params, instance: dict) -> None:
    found, profile = _associations(aws, [instance]).get(instance["InstanceId"]), {"Name": p.node_role}

    def associate() -> tuple[bool | None, str]:
        try:
            if found:
                association = found["AssociationId"]
                aws.ec2.replace_iam_instance_profile_association(AssociationId=association, IamInstanceProfile=profile)
            else:
                aws.ec2.associate_iam_instance_profile(InstanceId=instance["InstanceId"], IamInstanceProfile=profile)
        except AwsError as error:
            if launching.is_profile_unknown(error):
                return None, "EC2 does not know the new instance profile yet"
            raise
        return True, "associated"

    wait.wait(name_of(instance), associate, timeout=launching.PROFILE_SECONDS, every=3)


def _associations(aws: AWS, live: list[dict]) -> dict[str, dict]:
    """The association of each instance with its instance profile, by instance id."""
    filters = [{"Name": "instance-id", "Values": [instance["InstanceId"] for instance in live]}]
    found = aws.ec2.all("describe_iam_instance_profile_associations", "IamInstanceProfileAssociations", Filters=filters)
    return {item["InstanceId"]: item for item in found if item["State"] in ("associating", "associated")}


def _profile_name(association: dict | None) -> str | None:
    return association["IamInstanceProfile"]["Arn"].rsplit("/", 1)[1] if association else None


def _given_user_data(aws: AWS, instance_id: str) -> str:
    answer = aws.ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    return base64.b64decode(answer["UserData"].get("Value", "")).decode(errors="replace")


def _root_volume(aws: AWS, instance: dict) -> str | None:
    root = [
        m["Ebs"]["VolumeId"] for m in instance["BlockDeviceMappings"] if m["DeviceName"] == instance["RootDeviceName"]
    ]
    if not root:
        return None
    volume = aws.ec2.describe_volumes(VolumeIds=root)["Volumes"][0]
    return "encrypted" if volume["Encrypted"] else "not encrypted"

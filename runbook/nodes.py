"""The nodes: EC2 instances that join the cluster by their user data and are managed without SSH."""

import base64
import hashlib

from . import instances, roles, vpc, wait
from .errors import NotOurs, StepFailed
from .instances import METADATA, membership, name_of, node_name, state
from .params import Params
from .report import Changes, Document, Report, Text, compare, destroyed
from .session import AWS

MANAGED_POLICIES = [
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
]
# Of a live instance; type and user data only while it is stopped, which is no less than a new node is.
_UNCHANGEABLE = ("type", "user data", "root volume")
_STOP_SECONDS = 300


def user_data(p: Params) -> Text:
    """The script that a node runs once, at its first boot, before the ECS agent starts."""
    return Text(
        "#!/bin/bash\n"
        "set -eu\n"
        f"install -d -m 0755 /etc/ecs {p.auth_folder}\n"
        "cat > /etc/ecs/ecs.config <<'END'\n"
        f"ECS_CLUSTER={p.cluster_name}\n"
        "ECS_ENABLE_TASK_IAM_ROLE=true\n"
        "END\n"
    )


def want_nodes(p: Params) -> Document:
    """Each node by name, and no surplus one."""
    node = {
        "type": p.instance_type,
        "state": "running",
        "cluster": p.cluster_name,
        "systems manager": "Online",
        "user data": _digest(user_data(p)),
        "profile": p.node_role,
        "groups": [p.node_group],
        "metadata": _metadata_words(METADATA),
        "root volume": "encrypted",
    }
    names = [node_name(p, index) for index in range(1, p.nodes + 1)]
    return Document({name: dict(node) for name in names} | {"surplus": []})


def want_node_role(p: Params, *, account: str) -> Document:
    """The nodes' role: join the cluster, answer Systems Manager, read the htpasswd secret and nothing else.

    A secret's ARN ends in a hyphen and six characters of AWS's choice.
    """
    secret = f"arn:aws:secretsmanager:{p.region}:{account}:secret:{p.htpasswd_secret}-*"
    return Document(
        RoleName=p.node_role,
        Trust=roles.trust("ec2.amazonaws.com"),
        ManagedPolicies=MANAGED_POLICIES,
        InlinePolicy=roles.policy(roles.allow(["secretsmanager:GetSecretValue"], secret)),
    )


def find_nodes(aws: AWS, p: Params) -> Document | None:
    """Each node by name as EC2, ECS and Systems Manager see it. None when no instance is live.

    `ami` is a note (current or older): AWS publishes a new AMI every few weeks, and a deployment that is left alone
    must not begin to differ by itself.
    """
    found = instances.read(aws, p)
    if not found.live:
        return None
    registered, online = instances.registrations(aws, p), instances.pings(aws, found.live)
    current, profiles = instances.current_ami(aws), _associations(aws, found.live)
    nodes = {}
    for name, instance in sorted(found.nodes.items()):
        instance_id = instance["InstanceId"]
        nodes[name] = {
            "type": instance["InstanceType"],
            "state": state(instance),
            "cluster": membership(p, registered.get(instance_id)),
            "systems manager": online.get(instance_id, "not registered"),
            "user data": _digest(_given_user_data(aws, instance_id)),
            "profile": _profile_name(profiles.get(instance_id)),
            "groups": sorted(group["GroupName"] for group in instance["SecurityGroups"]),
            "metadata": _metadata_words(instance["MetadataOptions"]),
            "root volume": _root_volume(aws, instance),
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
    if vpc.group_id(aws, p, p.node_group) is None:
        raise StepFailed(f"security group {p.node_group} is not there; run notebook 02_create_a_task_definition first")
    clusters = aws.ecs.describe_clusters(clusters=[p.cluster_name])["clusters"]
    if [cluster["status"] for cluster in clusters] != ["ACTIVE"]:
        raise StepFailed(f"ECS cluster {p.cluster_name} is not there; run notebook 02_create_a_task_definition first")
    roles.ensure_role(aws, p, want_node_role(p, account=aws.account))
    _ensure_profile(aws, p)
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
    found = find_nodes(aws, p)
    report = compare("nodes", want_nodes(p), found)
    if found is None:
        return report
    for name in found:
        if name != "surplus" and (wrong := _unchangeable(p, name, found[name])):
            seen = f"one whose {' and '.join(wrong)} cannot be changed while it runs"
            report = report.check(f"{name}.instance", False, "a new one in its place, then notebook 03 again", seen)
    role = compare("role", want_node_role(p, account=aws.account), roles.find_role(aws, p, p.node_role))
    differs = "; ".join(check.name for check in role.checks if not check.ok)
    seen = f"differs in {differs}" if differs else "as wanted"
    report = report.check(f"IAM role {p.node_role}", role, "as wanted", seen)
    profile = _find_profile(aws, p)
    report = report.check(f"instance profile {p.node_role}", profile == [p.node_role], [p.node_role], profile)
    world = _open_to_the_world(aws, instances.read(aws, p).live)
    return report.check("port 22", not world, "closed to the world", world or "closed to the world")


def destroy_nodes(aws: AWS, p: Params) -> Changes:
    """Terminate every instance and wait until it is gone, then the instance profile and the role."""
    found = instances.read(aws, p)
    instances.terminate(aws, p, found.live + found.ending, drain=False)
    instances.deregister(aws, p)
    profile = _find_profile(aws, p)
    if profile is not None:
        for role in profile:
            aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=role)
        aws.iam.delete_instance_profile(InstanceProfileName=p.node_role)
    done = destroyed("nodes", bool(found.live or found.ending))
    done += destroyed(f"instance profile {p.node_role}", profile is not None)
    return done + roles.destroy_role(aws, p, p.node_role)


def _unchangeable(p: Params, name: str, found: dict) -> list[str]:
    """What differs and takes a new instance. A volume that is not attached yet is no difference."""
    wanted = want_nodes(p)[name]
    return [key for key in _UNCHANGEABLE if found[key] not in (wanted[key], None)]


def _mend(aws: AWS, p: Params, name: str) -> None:
    """Change on a live instance what differs and can be changed there; each write only for what differs."""
    wanted, found = want_nodes(p)[name], (find_nodes(aws, p) or {})[name]
    instance = instances.read(aws, p).nodes[name]
    instance_id = instance["InstanceId"]
    if found["metadata"] != wanted["metadata"]:
        aws.ec2.modify_instance_metadata_options(InstanceId=instance_id, **METADATA)
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


def _find_profile(aws: AWS, p: Params) -> list[str] | None:
    """The roles in the instance profile (at most one); None when there is no such profile."""
    found = aws.iam.find("get_instance_profile", {"NoSuchEntity"}, InstanceProfileName=p.node_role)
    if found is None:
        return None
    if {"Key": "runbook:deployment", "Value": p.name} not in found["InstanceProfile"].get("Tags", []):
        raise NotOurs(f"instance profile {p.node_role}", p)
    return [role["RoleName"] for role in found["InstanceProfile"]["Roles"]]


def _ensure_profile(aws: AWS, p: Params) -> None:
    found = _find_profile(aws, p)
    if found is None:
        tags = [{"Key": k, "Value": v} for k, v in p.tags.items()]
        aws.iam.create_instance_profile(InstanceProfileName=p.node_role, Tags=tags)
    for role in set(found or []) - {p.node_role}:
        aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=role)
    if p.node_role not in (found or []):
        aws.iam.add_role_to_instance_profile(InstanceProfileName=p.node_role, RoleName=p.node_role)


def _associate_profile(aws: AWS, p: Params, instance: dict) -> None:
    found, profile = _associations(aws, [instance]).get(instance["InstanceId"]), {"Name": p.node_role}
    if found:
        association = found["AssociationId"]
        aws.ec2.replace_iam_instance_profile_association(AssociationId=association, IamInstanceProfile=profile)
    else:
        aws.ec2.associate_iam_instance_profile(InstanceId=instance["InstanceId"], IamInstanceProfile=profile)


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


def _digest(text: str) -> str:
    return f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _metadata_words(options: dict) -> str:
    version = "IMDSv2 only" if options["HttpTokens"] == "required" else "IMDSv1 too"
    return f"{options['HttpEndpoint']}, {version}, hop limit {options['HttpPutResponseHopLimit']}"


def _root_volume(aws: AWS, instance: dict) -> str | None:
    root = [
        m["Ebs"]["VolumeId"] for m in instance["BlockDeviceMappings"] if m["DeviceName"] == instance["RootDeviceName"]
    ]
    if not root:
        return None
    volume = aws.ec2.describe_volumes(VolumeIds=root)["Volumes"][0]
    return "encrypted" if volume["Encrypted"] else "not encrypted"


def _open_to_the_world(aws: AWS, live: list[dict]) -> str:
    """Names of the nodes' security groups that let everyone reach port 22."""
    ids = sorted({group["GroupId"] for instance in live for group in instance["SecurityGroups"]})
    if not ids:
        return ""
    groups = aws.ec2.all("describe_security_groups", "SecurityGroups", GroupIds=ids)
    return ", ".join(group["GroupName"] for group in groups if any(map(_is_open, group["IpPermissions"])))


def _is_open(permission: dict) -> bool:
    networks = [r["CidrIp"] for r in permission.get("IpRanges", [])]
    networks += [r["CidrIpv6"] for r in permission.get("Ipv6Ranges", [])]
    covers = permission["IpProtocol"] == "-1" or (
        permission["IpProtocol"] == "tcp" and permission["FromPort"] <= 22 <= permission["ToPort"]
    )
    return covers and any(network in ("0.0.0.0/0", "::/0") for network in networks)

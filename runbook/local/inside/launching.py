"""Launch templates inside moto: whether instances can be launched from one, and the launch of one for a group."""

from collections import Counter
from collections.abc import Iterable

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState
from moto.autoscaling.models import FakeAutoScalingGroup as Group
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.exceptions import ServiceException
from moto.core.types import Base64EncodedString
from moto.ec2.models import ec2_backends
from moto.ec2.utils import convert_tag_spec, parse_user_data
from moto.ssm.models import ssm_backends

from . import account, ec2


class LaunchFailed(Exception):
    """No instance can be launched; the message is AWS's."""


def unusable(region: str, named: dict[str, str]) -> str | None:
    """Why instances cannot be launched from this launch template; None if they can."""
    backend = ec2_backends[ACCOUNT][region]
    try:
        if named.get("LaunchTemplateId"):
            template = backend.get_launch_template(named["LaunchTemplateId"])
        else:
            template = backend.get_launch_template_by_name(named["LaunchTemplateName"])
        data = template.get_version(named.get("Version") or "$Default").data
    except ServiceException as absent:
        return absent.message
    ami, kind = image(region, data.get("ImageId", "")), data.get("InstanceType")
    profile = data.get("IamInstanceProfile") or {}
    if not account.image_exists(region, ami):
        return f"The image id '[{ami}]' does not exist"
    if kind not in ec2.INSTANCE_TYPES:
        return f"The instance type {kind} is not valid"
    if profile and not account.instance_profile_exists(profile.get("Name"), profile.get("Arn")):
        kind = "name" if profile.get("Name") else "arn"
        return (
            f"Value ({profile.get('Name') or profile.get('Arn')}) for parameter iamInstanceProfile.{kind} is invalid. "
            f"Invalid IAM Instance Profile {'name' if kind == 'name' else 'ARN'}"
        )
    unknown = [each for each in data.get("SecurityGroupIds", []) if account.group(region, each) is None]
    return f"The security group '{unknown[0]}' does not exist" if unknown else None


def subnets(region: str, ids: list[str]) -> tuple[list[str], set[str]]:
    """Which of the subnets do not exist, and the VPCs of those that do."""
    known = {each.id: each.vpc_id for zone in ec2_backends[ACCOUNT][region].subnets.values() for each in zone.values()}
    return [each for each in ids if each not in known], {known[each] for each in ids if each in known}


def registers(group: Group) -> dict[str, int]:
    """What an instance that the group launches now would register with ECS: CPU and MEMORY."""
    return ec2.size(version(group).data["InstanceType"])


def launch(group: Group, zones: Iterable[str]) -> InstanceState:
    """Launch an instance as the template's version says; LaunchFailed if none can be.

    It comes where fewest of the group are; `zones` are those of its instances.
    """
    try:
        with ec2.MAKING:
            return _launch(group, version(group), Counter(zones))
    except ServiceException as refused:
        raise LaunchFailed(refused.message) from None


def version(group: Group):
    """The version of its launch template from which a group launches now."""
    template = group.ec2_launch_template
    if template.id not in group.ec2_backend.launch_templates:
        raise LaunchFailed(f"The launch template {template.name} does not exist")
    return template.get_version(group.launch_template_version)


def _launch(group: Group, version, taken: Counter) -> InstanceState:
    data, backend, region = version.data, group.ec2_backend, group.region
    profile = data.get("IamInstanceProfile") or {}
    if profile and not account.instance_profile_exists(profile.get("Name"), profile.get("Arn")):
        raise LaunchFailed(f"Invalid IAM Instance Profile {profile.get('Name') or profile.get('Arn')}")
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    given = data.get("UserData")
    more = {"block_device_mappings": data["BlockDeviceMappings"]} if data.get("BlockDeviceMappings") else {}
    instance = backend.run_instances(
        image(region, data.get("ImageId", "")),
        1,
        given if given is None or isinstance(given, Base64EncodedString) else parse_user_data(given),
        data.get("SecurityGroups", []),
        instance_type=data.get("InstanceType", "m1.small"),
        is_instance_type_default=False,
        region_name=region,
        subnet_id=_subnet(group, taken).id,
        security_group_ids=[*data.get("SecurityGroupIds", []), *interface.get("Groups", [])],
        associate_public_ip=interface.get("AssociatePublicIpAddress"),
        key_name=data.get("KeyName"),
        ebs_optimized=data.get("EbsOptimized", False),
        metadata_options=data.get("MetadataOptions") or {},
        monitoring_state="enabled" if (data.get("Monitoring") or {}).get("Enabled") else "disabled",
        launch_template={"LaunchTemplateId": version.template.id, "Version": str(version.number)},
        tags={
            "instance": group.get_propagated_tags() | {ASG_NAME_TAG: group.name},
            "volume": convert_tag_spec(data.get("TagSpecifications", [])).get("volume", {}),
        },
        **more,
    ).instances[0]
    if profile:
        backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
    protected = group.new_instances_protected_from_scale_in
    state = InstanceState(instance, "Pending", protected_from_scale_in=protected, autoscaling_group=group)
    state.launched = {
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "Version": str(version.number),
    }
    return state


def image(region: str, name: str) -> str:
    """The AMI that a launch template names, by id or as resolve:ssm:PARAMETER."""
    if not name.startswith("resolve:ssm:"):
        return name
    parameter = ssm_backends[ACCOUNT][region].get_parameter(name.removeprefix("resolve:ssm:"))
    return parameter.value if parameter else name


def _subnet(group: Group, taken: Counter):
    backend = group.ec2_backend
    if group.vpc_zone_identifier:
        subnets = [backend.get_subnet(each.strip()) for each in group.vpc_zone_identifier.split(",")]
    else:
        filters = {"availability-zone": group.availability_zones, "default-for-az": ["true"]}
        subnets = backend.describe_subnets(filters=filters)
    return min(subnets, key=lambda subnet: taken[subnet.availability_zone])

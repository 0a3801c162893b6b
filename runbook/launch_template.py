"""The launch template of the Auto Scaling group: what each of its instances is."""

import base64

from . import launching, tags, vpc
from .errors import NotOurs
from .params import Params
from .report import Changes, destroyed
from .session import AWS
from .user_data import digest, user_data

_ABSENT = {"InvalidLaunchTemplateName.NotFoundException"}
_TAGGED = ("instance", "volume")
# What EC2 does where a template says nothing of the metadata service.
_UNSAID = {"HttpEndpoint": "enabled", "HttpTokens": "optional", "HttpPutResponseHopLimit": 1}


def want(p: Params) -> dict:
    """The template's own extra tags, and its newest version."""
    return _want_version(p) | tags.want(p)


def _want_version(p: Params) -> dict:
    """In words. Each launch takes the image that AWS recommends at that time:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
    """
    return {
        "image": f"resolve:ssm:{launching.AMI_PARAMETER}",
        "type": p.instance_type,
        "user data": digest(user_data(p)),
        "profile": p.node_role,
        "groups": [p.node_group],
        "metadata": launching.metadata_words(launching.metadata(p)),
        "root volume": _volume_words(launching.VOLUME),
        "key pair": "none",
        "detailed monitoring": "off",
        "tags": {kind: _tags(p) for kind in _TAGGED},
    }


def find(aws: AWS, p: Params) -> dict | None:
    """The newest version in the same words; None when there is no such template, NotOurs when it is another's."""
    found = aws.ec2.find("describe_launch_templates", _ABSENT, LaunchTemplateNames=[p.scaling_group_name])
    if found is None:
        return None
    template = found["LaunchTemplates"][0]
    if {"Key": "runbook:deployment", "Value": p.name} not in template.get("Tags", []):
        raise NotOurs(f"launch template {p.scaling_group_name}", p)
    versions = _versions(aws, p)
    return versions[max(versions)] | tags.found(p, template["Tags"])


def versions_as_wanted(aws: AWS, p: Params) -> set[str]:
    """The numbers of the versions that say what is wanted: instances of another one are to be replaced."""
    return {str(number) for number, words in _versions(aws, p).items() if words == _want_version(p)}


def ensure(aws: AWS, p: Params) -> None:
    """Make the template, or a new version of it: a version cannot be changed."""
    found = find(aws, p)
    if found is not None:
        if tags.differ(p, found):
            template = aws.ec2.describe_launch_templates(LaunchTemplateNames=[p.scaling_group_name])
            ids = [each["LaunchTemplateId"] for each in template["LaunchTemplates"]]
            aws.ec2.create_tags(Resources=ids, Tags=tags.pairs(p.extra_tags))
        if any(found[key] != value for key, value in _want_version(p).items()):
            _add_version(aws, p)
        return
    aws.ec2.create_launch_template(
        LaunchTemplateName=p.scaling_group_name,
        LaunchTemplateData=_data(aws, p),
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags.pairs(p.tags)}],
    )


def destroy(aws: AWS, p: Params) -> Changes:
    found = find(aws, p)
    if found:
        aws.ec2.delete_launch_template(LaunchTemplateName=p.scaling_group_name)
    return destroyed(f"launch template {p.scaling_group_name}", bool(found))


def _add_version(aws: AWS, p: Params) -> None:
    aws.ec2.create_launch_template_version(LaunchTemplateName=p.scaling_group_name, LaunchTemplateData=_data(aws, p))


def _data(aws: AWS, p: Params) -> dict:
    """The version as the API takes it."""
    device = launching.root_device(aws, launching.current_ami(aws))
    return {
        "ImageId": _want_version(p)["image"],
        "InstanceType": p.instance_type,
        "UserData": base64.b64encode(user_data(p).encode()).decode(),
        "IamInstanceProfile": {"Name": p.node_role},
        "SecurityGroupIds": [vpc.group_id(aws, p, p.node_group)],
        "MetadataOptions": launching.metadata(p),
        "BlockDeviceMappings": [{"DeviceName": device, "Ebs": launching.VOLUME}],
        "Monitoring": {"Enabled": False},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags.pairs(_tags(p))} for kind in _TAGGED],
    }


def _versions(aws: AWS, p: Params) -> dict[int, dict]:
    """Every version in words, by its number."""
    asked = {"LaunchTemplateName": p.scaling_group_name}
    found = aws.ec2.all("describe_launch_template_versions", "LaunchTemplateVersions", **asked)
    ids = {group for each in found for group in each["LaunchTemplateData"].get("SecurityGroupIds", [])}
    names = {group["GroupId"]: group["GroupName"] for group in vpc.groups_of(aws, p, sorted(ids))}
    return {each["VersionNumber"]: _words(each["LaunchTemplateData"], names) for each in found}


def _words(data: dict, group_names: dict[str, str]) -> dict:
    given = {spec["ResourceType"]: tags.read(spec["Tags"]) for spec in data.get("TagSpecifications", [])}
    volumes = [mapping["Ebs"] for mapping in data.get("BlockDeviceMappings", []) if "Ebs" in mapping]
    return {
        "image": data.get("ImageId"),
        "type": data.get("InstanceType"),
        "user data": digest(base64.b64decode(data.get("UserData", "")).decode(errors="replace")),
        "profile": data.get("IamInstanceProfile", {}).get("Name"),
        "groups": sorted(group_names.get(group, "a group that is gone") for group in data.get("SecurityGroupIds", [])),
        "metadata": launching.metadata_words(_UNSAID | data.get("MetadataOptions", {})),
        "root volume": ", ".join(map(_volume_words, volumes)) or "as the image says",
        "key pair": data.get("KeyName", "none"),
        "detailed monitoring": "on" if data.get("Monitoring", {}).get("Enabled") else "off",
        "tags": {kind: given.get(kind, {}) for kind in _TAGGED},
    }


def _volume_words(volume: dict) -> str:
    encrypted = "encrypted" if volume.get("Encrypted") else "not encrypted"
    return f"{volume.get('VolumeSize', '?')} GiB {volume.get('VolumeType', 'of any type')}, {encrypted}"


def _tags(p: Params) -> dict[str, str]:
    return {"Name": p.scaling_group_name} | p.tags

"""EC2 instances inside moto: what an instance's metadata service tells it, and how it may be asked."""

import functools
from dataclasses import dataclass

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import EC2Backend, ec2_backends
from moto.iam.models import iam_backends


@dataclass(frozen=True)
class Options:
    """MetadataOptions of DescribeInstances."""

    enabled: bool
    token_required: bool
    hop_limit: int


@dataclass(frozen=True)
class Profile:
    """The instance profile, and the role in it if there is one."""

    arn: str
    id: str
    role_name: str | None
    role_arn: str | None


def install() -> None:
    """Mend ModifyInstanceMetadataOptions; a second call changes nothing."""
    if not hasattr(EC2Backend.modify_instance_metadata_options, "__wrapped__"):
        EC2Backend.modify_instance_metadata_options = _only_what_is_given(EC2Backend.modify_instance_metadata_options)


def _only_what_is_given(plain):
    """What the call does not name stays as it is; moto forgets it."""

    @functools.wraps(plain)
    def modify_instance_metadata_options(self, instance_id: str, **given):
        before = dict(vars(self.get_instance(instance_id).metadata_options))
        options = plain(self, instance_id=instance_id, **given)
        for name, value in before.items():
            if getattr(options, name) is None:
                setattr(options, name, value)
        if given.get("hop_limit") is None:
            options.http_put_response_hop_limit = before["http_put_response_hop_limit"]
        return options

    return modify_instance_metadata_options


def options(region: str, instance_id: str) -> Options:
    kept = ec2_backends[ACCOUNT][region].get_instance(instance_id).metadata_options
    return Options(kept.http_endpoint == "enabled", kept.http_tokens == "required", kept.http_put_response_hop_limit)


def profile(region: str, instance_id: str) -> Profile | None:
    """The profile that is associated with the instance and still there."""
    association = ec2_backends[ACCOUNT][region].iam_instance_profile_associations.get(instance_id)
    if association is None:
        return None
    kept = iam_backends[ACCOUNT]["aws"].instance_profiles.get(association.iam_instance_profile.name)
    if kept is None:
        return None
    role = kept.roles[0] if kept.roles else None
    return Profile(kept.arn, kept.id, role.name if role else None, role.arn if role else None)


def identity(region: str, instance_id: str, address: str) -> dict[str, str | None]:
    """The instance identity document (EC2 user guide), without what this cloud cannot know."""
    kept = ec2_backends[ACCOUNT][region].get_instance(instance_id)
    return {
        "accountId": ACCOUNT,
        "architecture": "x86_64",
        "availabilityZone": kept.placement.zone,
        "imageId": kept.image_id,
        "instanceId": instance_id,
        "instanceType": kept.instance_type,
        "pendingTime": f"{kept.launch_time:%Y-%m-%dT%H:%M:%SZ}",
        "privateIp": address,
        "region": region,
        "version": "2017-09-30",
    }

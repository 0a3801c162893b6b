"""Launches inside moto: an image may be named by a parameter, and a template's later versions have user data too."""

import functools

from moto.core.types import Base64EncodedString
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ssm.models import ssm_backends

_ALIAS = "resolve:ssm:"


def install() -> None:
    """Mend moto's launches; a second call changes nothing."""
    if hasattr(InstanceBackend.run_instances, "__wrapped__"):
        return
    InstanceBackend.run_instances = _resolving(InstanceBackend.run_instances)
    LaunchTemplateVersion.user_data = property(_user_data)


def _resolving(plain):
    """The image that the parameter names at the time of the launch:
    https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
    """

    @functools.wraps(plain)
    def run_instances(self, image_id, *args, **kwargs):
        if image_id and image_id.startswith(_ALIAS):
            parameter = ssm_backends[self.account_id][self.region_name].get_parameter(image_id.removeprefix(_ALIAS))
            image_id = parameter.value if parameter else image_id
        return plain(self, image_id, *args, **kwargs)

    return run_instances


def _user_data(version: LaunchTemplateVersion) -> Base64EncodedString | None:
    """moto's own refuses (AssertionError) what CreateLaunchTemplateVersion has put there: a plain text."""
    given = version.data.get("UserData")
    return given if given is None or isinstance(given, Base64EncodedString) else Base64EncodedString(given)

"""Machine images inside moto: `resolve:ssm:PARAMETER` is the image that the parameter names at the launch."""

import functools

from moto.ec2.models.instances import InstanceBackend
from moto.ssm.models import ssm_backends

_ALIAS = "resolve:ssm:"


def install() -> None:
    """Let launches resolve the alias, as EC2 does; a second call changes nothing."""
    if not hasattr(InstanceBackend.run_instances, "__wrapped__"):
        InstanceBackend.run_instances = _resolving(InstanceBackend.run_instances)


def _resolving(plain):
    @functools.wraps(plain)
    def run_instances(self, image_id, *args, **kwargs):
        if image_id and image_id.startswith(_ALIAS):
            parameter = ssm_backends[self.account_id][self.region_name].get_parameter(image_id.removeprefix(_ALIAS))
            image_id = parameter.value if parameter else image_id
        return plain(self, image_id, *args, **kwargs)

    return run_instances

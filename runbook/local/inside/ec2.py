"""EC2 instances inside moto: what runs, which role it has, and its registration with ECS."""

import base64
import functools
import threading
from dataclasses import dataclass

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instances import Instance as MotoInstance
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses.instances import InstanceResponse
from moto.ecs.models import ContainerInstance, ecs_backends
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.iam.models import Role, iam_backends

from . import ecs

PARTITION = "aws"
# What the agent registers is what the system sees of the type's memory: about this share of it, in MiB.
VISIBLE_MEMORY = 0.934
MAKING = threading.Lock()  # held by RunInstances: moto gives an instance that runs already its profile last


@dataclass(frozen=True)
class Instance:
    """One EC2 instance as the API has it; `state` is pending, running, stopping, stopped or terminated."""

    id: str
    region: str
    state: str


def install() -> None:
    """Let no instance be seen before it is complete, and a template's tags change; a second call changes nothing."""
    if not hasattr(InstanceResponse.run_instances, "__wrapped__"):
        InstanceResponse.run_instances = _whole(InstanceResponse.run_instances)
        LaunchTemplate.tags = property(lambda template: template.get_tags(), lambda template, tags: None)


def _whole(plain):
    @functools.wraps(plain)
    def run_instances(self):
        with MAKING:
            return plain(self)

    return run_instances


def instances() -> list[Instance]:
    """Every instance of every region that holds something."""
    with MAKING:
        return [
            Instance(each.id, region, each.state)
            for region, backend in list(ec2_backends[ACCOUNT].items())
            for reservation in list(backend.reservations.values())
            for each in list(reservation.instances)
        ]


def user_data(region: str, instance_id: str) -> bytes:
    """What the instance was given to run at its first boot."""
    given = _instance(region, instance_id).user_data
    return base64.b64decode(given.as_bytes()) if given else b""


def tags(region: str, instance_id: str) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in _instance(region, instance_id).get_tags()}


def instance_type(region: str, instance_id: str) -> str:
    return _instance(region, instance_id).instance_type


def image_id(region: str, instance_id: str) -> str:
    return _instance(region, instance_id).image_id


def set_private_address(region: str, instance_id: str, address: str) -> None:
    """Make the instance's primary network interface have this address; moto chose one of the subnet's."""
    interface = _instance(region, instance_id).nics[0]
    for each in interface.private_ip_addresses:
        if each["PrivateIpAddress"] == interface.private_ip_address:
            each["PrivateIpAddress"] = address
    interface.private_ip_address = address


def role(region: str, instance_id: str) -> Role | None:
    """The role of the instance's profile; None when it has no profile, or the profile no role, any more."""
    backend = ec2_backends[ACCOUNT][region]
    association = backend.iam_instance_profile_associations.get(instance_id)
    if association is None:
        return None
    profile = iam_backends[ACCOUNT][PARTITION].instance_profiles.get(association.iam_instance_profile.name)
    return profile.roles[0] if profile and profile.roles else None


def allows(role: Role, action: str) -> bool:
    """Whether the role's policies allow an action on every resource; boundaries and conditions are not looked at."""
    policies = [*role.policies.values(), *role.managed_policies.values()]
    results = [IAMPolicy(policy).is_action_permitted(action) for policy in policies]
    return PermissionResult.PERMITTED in results and PermissionResult.DENIED not in results


def register(region: str, instance_id: str, cluster: str) -> str | None:
    """Register a container instance as the agent does, with the resources of its type; its ARN.

    None when there is no such cluster (yet). moto gives every instance the same CPU and memory.
    """
    backend = ecs_backends[ACCOUNT][region]
    if cluster not in backend.clusters or backend.clusters[cluster].status != "ACTIVE":
        return None
    amounts = size(_instance(region, instance_id).instance_type)
    with ecs.LOCK:
        container_instance = backend.register_container_instance(cluster, instance_id)
        for resource in container_instance.registered_resources + container_instance.remaining_resources:
            if resource["name"] in amounts:
                resource["integerValue"] = amounts[resource["name"]]
    return container_instance.container_instance_arn


def size(instance_type: str) -> dict[str, int]:
    """What the agent registers for an instance of this type: CPU in units, MEMORY in MiB."""
    kind = INSTANCE_TYPES[instance_type]
    return {
        "CPU": kind["VCpuInfo"]["DefaultVCpus"] * 1024,
        "MEMORY": int(kind["MemoryInfo"]["SizeInMiB"] * VISIBLE_MEMORY),
    }


def is_registered(region: str, cluster: str, arn: str) -> bool:
    """Whether the API still knows the container instance (it can be deregistered there)."""
    return _container_instance(region, cluster, arn) is not None


def set_connected(region: str, cluster: str, arn: str, connected: bool) -> None:
    """Write whether the instance's agent is there."""
    container_instance = _container_instance(region, cluster, arn)
    if container_instance:
        container_instance.agent_connected = connected


def deregister(region: str, cluster: str, arn: str) -> None:
    """Take a container instance out of its cluster, and count it out, which moto's own operation does not."""
    backend = ecs_backends[ACCOUNT][region]
    with ecs.LOCK:
        if backend.container_instances.get(cluster, {}).pop(arn.split("/")[-1], None):
            backend.clusters[cluster].registered_container_instances_count -= 1


def _container_instance(region: str, cluster: str, arn: str) -> ContainerInstance | None:
    return ecs_backends[ACCOUNT][region].container_instances.get(cluster, {}).get(arn.split("/")[-1])


def _instance(region: str, instance_id: str) -> MotoInstance:
    return ec2_backends[ACCOUNT][region].get_instance(instance_id)

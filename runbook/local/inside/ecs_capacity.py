"""ECS capacity providers inside moto: which instances are whose, and the answers of their API as AWS gives them."""

import copy
import re

from moto.core.responses import ActionResult
from moto.ecs.exceptions import (
    ClusterNotFoundException,
    EcsClientException,
    ECSException,
    InvalidParameterException,
)
from moto.ecs.models import CapacityProvider, Cluster, ContainerInstance
from moto.ecs.models import EC2ContainerServiceBackend as Backend
from moto.ecs.responses import EC2ContainerServiceResponse as Response

from . import autoscaling, ecs

NAME = re.compile(r"(?!(?i:aws|ecs|fargate))[A-Za-z0-9_-]{1,255}")
MOST_PROVISIONING = 100  # tasks that wait for an instance of one provider


def provider_of(backend: Backend, instance: ContainerInstance) -> str | None:
    """The capacity provider of the instance's cluster whose Auto Scaling group has the instance."""
    group = autoscaling.group_of(backend.region_name, instance.ec2_instance_id)
    providers = [backend.capacity_providers.get(name) for name in _cluster(backend, instance).capacity_providers or []]
    return next((each.name for each in providers if group and each and _group(each) == group), None)


def group_name(arn: str) -> str:
    """The name of the Auto Scaling group with this ARN."""
    return arn.rpartition("autoScalingGroupName/")[2]


def scales(backend: Backend, provider: str) -> bool:
    """Whether a task that finds no room waits for an instance, because the provider sees to one."""
    settings = backend.capacity_providers[provider].auto_scaling_group_provider["managedScaling"]
    return settings["status"] == "ENABLED"


def may_wait(backend: Backend, cluster: str, provider: str) -> bool:
    """Whether one more task may be PROVISIONING."""
    known = provider in backend.capacity_providers
    waiting = len(ecs.provisioning(backend.region_name, cluster, provider))
    return known and scales(backend, provider) and waiting < MOST_PROVISIONING


def strategy(backend: Backend, cluster: Cluster, launch_type: str | None, given: list[dict] | None) -> list[dict]:
    """The strategy of a service or task that is asked for: its own, else the cluster's default, [] for none."""
    if launch_type and given:
        raise InvalidParameterException(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    wanted = given or ([] if launch_type else cluster.default_capacity_provider_strategy) or []
    return checked(cluster, wanted)


def checked(cluster: Cluster, wanted: list[dict]) -> list[dict]:
    """A strategy with AWS's defaults; its provider must be the cluster's."""
    if len(wanted) > 1:
        raise EcsClientException("capacityProviderStrategy: the embedded cloud knows only one provider at a time.")
    if any(item["capacityProvider"] not in (cluster.capacity_providers or []) for item in wanted):
        raise InvalidParameterException(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with "
            "the cluster. Associate the capacity provider with the cluster and try again."
        )
    return [{"weight": 0, "base": 0} | item for item in wanted]


def named(wanted: list[dict]) -> str | None:
    """The one capacity provider of a strategy."""
    return wanted[0]["capacityProvider"] if wanted else None


# answers of the API


def _create_capacity_provider(self: Response) -> ActionResult:
    backend, name = self.ecs_backend, self._get_param("name")
    if not NAME.fullmatch(name):
        raise EcsClientException(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters "
            "(upper and lowercase), numbers, underscores, and hyphens. The name cannot be prefixed with "
            '"aws", "ecs", or "fargate". Specify a valid name and try again.'
        )
    wanted = dict(self._get_param("autoScalingGroupProvider"))
    if name in backend.capacity_providers:
        raise EcsClientException("A capacity provider with the specified name already exists.")
    _check_group(backend, wanted["autoScalingGroupArn"], wanted)
    wanted.setdefault("managedDraining", "ENABLED")
    return ActionResult(
        {"capacityProvider": backend.create_capacity_provider(name, wanted, self._get_param("tags") or [])}
    )


def _describe_capacity_providers(self: Response) -> ActionResult:
    """Without names: all (moto fails); tags only where they are asked for."""
    backend = self.ecs_backend
    names = self._get_param("capacityProviders") or list(backend.capacity_providers)
    found, failures = backend.describe_capacity_providers(names)
    if "TAGS" not in (self._get_param("include") or []):
        found = [copy.copy(provider) for provider in found]
        for provider in found:
            provider.tags = []
    return ActionResult({"capacityProviders": found, "failures": failures})


def _update_capacity_provider(self: Backend, name_or_arn: str, asg_provider: dict) -> CapacityProvider:
    provider = _known(self, name_or_arn)
    settings = provider.auto_scaling_group_provider
    _check_group(self, settings["autoScalingGroupArn"], settings | asg_provider)
    settings |= {key: value for key, value in asg_provider.items() if key != "managedScaling"}
    settings["managedScaling"] |= asg_provider.get("managedScaling") or {}
    provider.update_status = "UPDATE_COMPLETE"
    return provider


def _delete_capacity_provider(self: Backend, name_or_arn: str) -> CapacityProvider:
    provider = _known(self, name_or_arn)
    for cluster in self.clusters.values():
        if cluster.status == "ACTIVE" and provider.name in (cluster.capacity_providers or []):
            raise EcsClientException(
                f"The capacity provider cannot be deleted because it is associated with cluster: {cluster.name}. "
                "Remove the capacity provider from the cluster and try again."
            )
    del self.capacity_providers[provider.name]
    provider.update_status = "DELETE_COMPLETE"
    return provider


def _put_cluster_capacity_providers(
    self: Backend, cluster_name: str, capacity_providers: list[str], default_capacity_provider_strategy: list[dict]
) -> Cluster:
    cluster = self._get_cluster(cluster_name)
    if cluster.status != "ACTIVE":
        raise ClusterNotFoundException
    names = [_known_to_cluster(self, name) for name in capacity_providers]
    for provider in set(cluster.capacity_providers or []) - set(names):
        if _users(self, cluster, provider):
            raise ECSException(
                "ResourceInUseException", "The specified capacity provider is in use and cannot be removed."
            )
    before, cluster.capacity_providers = cluster.capacity_providers, names
    try:
        cluster.default_capacity_provider_strategy = checked(cluster, default_capacity_provider_strategy)
    except ECSException:
        cluster.capacity_providers = before
        raise
    return cluster


def _users(backend: Backend, cluster: Cluster, provider: str) -> bool:
    """Whether a service has the provider in its strategy, or a living task runs by it."""
    services = ecs.services(backend, cluster)
    living = ecs.alive(ecs.tasks(backend, cluster=cluster.name))
    return any(named(service.capacity_provider_strategy) == provider for service in services) or any(
        task.capacity_provider_name == provider for task in living
    )


def _known(backend: Backend, name_or_arn: str) -> CapacityProvider:
    provider = backend._get_provider(name_or_arn)
    if provider is None:
        raise EcsClientException(
            "The specified capacity provider does not exist. Specify a valid name or ARN and try again."
        )
    return provider


def _known_to_cluster(backend: Backend, name_or_arn: str) -> str:
    provider = backend._get_provider(name_or_arn)
    if provider is None:
        raise InvalidParameterException(f"The specified capacity provider '{name_or_arn}' was not found.")
    return provider.name


def _check_group(backend: Backend, arn: str, settings: dict) -> None:
    """The group must exist, and protect its instances where ECS shall decide which of them goes."""
    group = autoscaling.group(backend.region_name, group_name(arn))
    if group is None or group.arn != arn:
        raise EcsClientException(
            "The specified Auto Scaling group ARN is invalid or does not exist. Specify a valid ARN and try again."
        )
    protected = settings.get("managedTerminationProtection") == "ENABLED"
    if protected and (settings.get("managedScaling") or {}).get("status") != "ENABLED":
        raise EcsClientException(
            "The managed termination protection setting for the capacity provider is invalid. To enable managed "
            "termination protection for a capacity provider, managed scaling must be enabled."
        )
    if protected and not group.new_instances_protected_from_scale_in:
        raise EcsClientException(
            "The managed termination protection setting for the capacity provider is invalid. To enable managed "
            "termination protection for a capacity provider, the Auto Scaling group must have instance protection "
            "from scale in enabled."
        )


def _cluster(backend: Backend, instance: ContainerInstance) -> Cluster:
    return backend.clusters[instance.cluster_name]


def _group(provider: CapacityProvider) -> str:
    """The name of the provider's Auto Scaling group."""
    return group_name(provider.auto_scaling_group_provider["autoScalingGroupArn"])

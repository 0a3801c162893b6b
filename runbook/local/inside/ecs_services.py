"""ECS inside moto: what the API does with services."""

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ecs.exceptions import EcsClientException, ECSException, InvalidParameterException, ServiceNotFoundException
from moto.ecs.models import EC2ContainerServiceBackend as Backend
from moto.ecs.models import Service, TaskDefinition
from moto.ecs.responses import EC2ContainerServiceResponse as Response

from . import ecs, ecs_capacity, ecs_placement

# Fields of CreateService that moto forgets; UpdateService keeps what it is given.
KEPT = {
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
    "enableExecuteCommand": "enable_execute_command",
    "enableECSManagedTags": "enable_ecs_managed_tags",
}
# Fields of UpdateService that start a new deployment when they are given.
DEPLOYING = {"load_balancers", "network_configuration", "platform_version", "service_registries"}


def _create_service(self: Response) -> ActionResult:
    backend = self.ecs_backend
    cluster = backend._get_cluster(self._get_param("cluster", "default"))
    existing = backend.services.get(f"{cluster.name}:{self._get_param('serviceName')}")
    if existing and existing.status == "DRAINING":
        raise InvalidParameterException("Unable to Start a service that is still Draining.")
    token = self._get_param("clientToken")
    if existing and existing.status == "ACTIVE":
        if token and token == existing.client_token:
            return ActionResult({"service": existing})
        raise InvalidParameterException("Creation of service was not idempotent.")
    only("launchType", self._get_param("launchType"), "EC2")
    only("schedulingStrategy", self._get_param("schedulingStrategy"), "REPLICA")
    only("deploymentController", (self._get_param("deploymentController") or {}).get("type"), "ECS")
    for name in ("placementConstraints", "serviceConnectConfiguration", "serviceRegistries", "platformVersion"):
        only(name, self._get_param(name), None)
    given = self._get_param("capacityProviderStrategy")
    strategy = ecs_capacity.strategy(backend, cluster, self._get_param("launchType"), given)
    configuration = _configuration(self._get_param("deploymentConfiguration"))
    definition = active(backend, self._get_param("taskDefinition"))
    placement, balancers = self._get_param("placementStrategy") or [], self._get_param("loadBalancers") or []
    rebalancing = _rebalancing(
        self._get_param("availabilityZoneRebalancing"), placement, balancers, ecs.DEPLOYMENT_DEFAULTS | configuration
    )
    service = backend.create_service(
        cluster.name,
        self._get_param("serviceName"),
        self._get_int_param("desiredCount"),
        definition.arn,
        load_balancers=balancers,
        tags=self._get_param("tags"),
        propagate_tags=self._get_param("propagateTags") or "NONE",
        network_configuration=self._get_param("networkConfiguration"),
        role_arn=self._get_param("role"),
    )
    service.capacity_provider_strategy, service.launch_type = strategy, None if strategy else "EC2"
    service.client_token, service.created_at, service.deployments = token, utcnow(), []
    service.last_completed = None
    for name, attribute in KEPT.items():
        setattr(service, attribute, self._get_param(name))
    service.availability_zone_rebalancing, service.placement_strategy = rebalancing, placement
    service.deployment_configuration = ecs.DEPLOYMENT_DEFAULTS | configuration
    service.running_count = service.pending_count = 0
    ecs.new_deployment(service, definition)
    return ActionResult({"service": service})


def _rebalancing(wanted: str | None, placement: list[dict], balancers: list[dict], configuration: dict) -> str:
    """Whether the service's zones are balanced: by default where that is possible, and only there (ECS's own words for
    its refusal are not known).

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
    """
    first = placement[0] if placement else ecs_placement.DEFAULT[0]
    reason = None
    if (first["type"], first.get("field")) != ("spread", ecs_placement.ZONE):
        reason = f"a placement strategy that does not begin with spread over {ecs_placement.ZONE}"
    elif any(each.get("loadBalancerName") for each in balancers):
        reason = "a Classic Load Balancer"
    elif configuration["maximumPercent"] <= 100:
        reason = f"a maximumPercent of {configuration['maximumPercent']}"
    if wanted == "ENABLED" and reason:
        raise InvalidParameterException(f"Availability Zone rebalancing does not support {reason}.")
    return wanted or ("DISABLED" if reason else "ENABLED")


def _configuration(given: dict | None) -> dict:
    given = dict(given or {})
    only("deploymentConfiguration.strategy", given.pop("strategy", None), "ROLLING")
    for name in given.keys() - ecs.DEPLOYMENT_DEFAULTS.keys():
        only(f"deploymentConfiguration.{name}", given[name], None)
    return given


def _list_services(self: Backend, cluster_str, scheduling_strategy=None, launch_type=None) -> list[str]:
    found = ecs.services(self, self._get_cluster(cluster_str))
    return sorted(
        service.arn
        for service in found
        if scheduling_strategy in (None, service.scheduling_strategy) and launch_type in (None, service.launch_type)
    )


def _update_service(self: Backend, service_properties: dict) -> Service:
    given = {name: value for name, value in service_properties.items() if value is not None}
    service = self._get_service(given.pop("cluster", "default"), given.pop("service").split("/")[-1])
    if service.status != "ACTIVE":
        raise ECSException("ServiceNotActiveException", "Service was not ACTIVE.")
    for name in ("placement_constraints", "service_connect_configuration"):
        only(name, given.get(name), None)
    _change_strategy(self, service, given)
    definition = service.deployments[0]["definition"]
    if "task_definition" in given:
        definition = active(self, given.pop("task_definition"))
    deploy = given.pop("force_new_deployment", False) or definition.arn != service.task_definition
    deploy = deploy or any(getattr(service, name) != given[name] for name in DEPLOYING & given.keys())
    configuration = _configuration(given.pop("deployment_configuration", None))
    _rebalancing(
        given.get("availability_zone_rebalancing", service.availability_zone_rebalancing),
        given.get("placement_strategy", service.placement_strategy),
        given.get("load_balancers", service.load_balancers),
        service.deployment_configuration | configuration,
    )
    for name, value in given.items():
        setattr(service, name, value)
    service.deployment_configuration |= configuration
    if deploy:
        ecs.new_deployment(service, definition)
    return service


def _change_strategy(backend: Backend, service: Service, given: dict) -> None:
    """Make a capacity provider strategy that differs from the service's the service's own."""
    if "capacity_provider_strategy" not in given:
        return
    cluster = backend.clusters[service.cluster_name]
    wanted = ecs_capacity.checked(cluster, given.pop("capacity_provider_strategy"))
    if wanted != service.capacity_provider_strategy and not given.get("force_new_deployment"):
        raise InvalidParameterException(
            "When switching from launch type to capacity provider strategy on an existing service, or making a change "
            "to a capacity provider strategy on a service that is already using one, you must force a new deployment."
        )
    service.capacity_provider_strategy, service.launch_type = wanted, None if wanted else "EC2"


def _delete_service(self: Backend, cluster_name: str, service_name: str, force: bool) -> Service:
    """DRAINING; the scheduler makes it INACTIVE when its last task has stopped."""
    service = self._get_service(cluster_name, service_name.split("/")[-1])
    if service.status == "INACTIVE":
        raise ServiceNotFoundException
    if service.desired_count > 0 and not force:
        raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
    service.status, service.desired_count = "DRAINING", 0
    return service


def only(name: str, value, possible) -> None:
    if value and value != possible:
        raise EcsClientException(f"{name} {value}: the embedded cloud knows only {possible or 'its absence'}.")


def active(backend: Backend, name: str) -> TaskDefinition:
    definition = backend.describe_task_definition(name)
    if definition.status != "ACTIVE":
        raise EcsClientException("TaskDefinition is inactive")
    return definition

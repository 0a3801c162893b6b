"""ECS inside moto: the answers of the API that moto drops, makes up or gets wrong, as AWS gives them."""

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ecs.exceptions import (
    EcsClientException,
    ECSException,
    InvalidParameterException,
    ServiceNotFoundException,
)
from moto.ecs.models import EC2ContainerServiceBackend as Backend
from moto.ecs.models import Service, Task, TaskDefinition
from moto.ecs.responses import EC2ContainerServiceResponse as Response

from . import ecs

# Fields of CreateService that moto forgets; UpdateService keeps what it is given.
KEPT = {
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
    "enableExecuteCommand": "enable_execute_command",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
}
# Fields of UpdateService that start a new deployment when they are given.
DEPLOYING = {"load_balancers", "network_configuration", "platform_version", "service_registries"}
_original = {}


def patch() -> None:
    """Put the answers below in the place of moto's; a second call changes nothing."""
    if _original:
        return
    _original["call_action"], _original["create_service"] = Response.call_action, Response.create_service
    _original["create_cluster"] = Backend.create_cluster
    for function in (_call_action, _create_service, _run_task, _start_task, _describe_tasks):
        setattr(Response, function.__name__[1:], function)
    for function in (
        *(_create_cluster, _list_clusters, _delete_cluster, _list_services, _update_service, _delete_service),
        *(_list_tasks, _stop_task, _deregister_container_instance),
    ):
        setattr(Backend, function.__name__[1:], function)


def _call_action(self: Response):
    with ecs.LOCK:
        return _original["call_action"](self)


# clusters


def _create_cluster(self: Backend, cluster_name: str, *args, **kwargs):
    """Of one that is ACTIVE: that one, as it is (moto makes it anew)."""
    cluster = self.clusters.get(cluster_name)
    if cluster is None or cluster.status != "ACTIVE":
        cluster = _original["create_cluster"](self, cluster_name, *args, **kwargs)
    cluster.capacity_providers = cluster.capacity_providers or []
    return cluster


def _list_clusters(self: Backend) -> list[str]:
    return [cluster.arn for cluster in self.clusters.values() if cluster.status != "INACTIVE"]


def _delete_cluster(self: Backend, cluster_str: str):
    cluster = self._get_cluster(cluster_str)
    if ecs.services(self, cluster):
        raise ECSException(
            "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
        )
    if self.container_instances.get(cluster.name):
        raise ECSException(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if ecs.alive(ecs.tasks(self, cluster=cluster.name)):
        raise ECSException("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    cluster.status = "INACTIVE"
    return cluster


def _deregister_container_instance(self: Backend, cluster_str: str, container_instance_str: str, force: bool):
    """The scheduler stops the tasks of an instance that is no longer there."""
    cluster = self._get_cluster(cluster_str)
    identity = container_instance_str.split("/")[-1]
    instance = self.container_instances.get(cluster.name, {}).get(identity)
    if instance is None:
        raise InvalidParameterException(f"Referenced container instance {identity} not found.")
    arns = [task.container_instance_arn for task in ecs.alive(ecs.tasks(self, cluster=cluster.name))]
    if instance.container_instance_arn in arns and not force:
        raise InvalidParameterException("Found running tasks on the instance.")
    del self.container_instances[cluster.name][identity]
    instance.status, instance.agent_connected = "INACTIVE", False
    ecs.count(self)
    return instance


# services


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
    _only("launchType", self._get_param("launchType"), "EC2")
    _only("schedulingStrategy", self._get_param("schedulingStrategy"), "REPLICA")
    _only("deploymentController", (self._get_param("deploymentController") or {}).get("type"), "ECS")
    for name in ("capacityProviderStrategy", "placementConstraints", "serviceConnectConfiguration"):
        _only(name, self._get_param(name), None)
    configuration = _configuration(self._get_param("deploymentConfiguration"))
    definition = _active(backend, self._get_param("taskDefinition"))
    result = _original["create_service"](self)
    service = backend.services[f"{cluster.name}:{self._get_param('serviceName')}"]
    service.client_token, service.created_at, service.deployments = token, utcnow(), []
    service.last_completed = None
    for name, attribute in KEPT.items():
        setattr(service, attribute, self._get_param(name))
    service.placement_strategy = self._get_param("placementStrategy") or []
    service.deployment_configuration = ecs.DEPLOYMENT_DEFAULTS | configuration
    service.running_count = service.pending_count = 0
    ecs.new_deployment(service, definition)
    return result


def _configuration(given: dict | None) -> dict:
    given = dict(given or {})
    _only("deploymentConfiguration.strategy", given.pop("strategy", None), "ROLLING")
    for name in given.keys() - ecs.DEPLOYMENT_DEFAULTS.keys():
        _only(f"deploymentConfiguration.{name}", given[name], None)
    return given


def _only(name: str, value, possible) -> None:
    if value and value != possible:
        raise EcsClientException(f"{name} {value}: the embedded cloud knows only {possible or 'its absence'}.")


def _active(backend: Backend, name: str) -> TaskDefinition:
    definition = backend.describe_task_definition(name)
    if definition.status != "ACTIVE":
        raise EcsClientException("TaskDefinition is inactive")
    return definition


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
    for name in ("capacity_provider_strategy", "placement_constraints", "service_connect_configuration"):
        _only(name, given.get(name), None)
    definition = service.deployments[0]["definition"]
    if "task_definition" in given:
        definition = _active(self, given.pop("task_definition"))
    deploy = given.pop("force_new_deployment", False) or definition.arn != service.task_definition
    deploy = deploy or any(getattr(service, name) != given[name] for name in DEPLOYING & given.keys())
    configuration = _configuration(given.pop("deployment_configuration", None))
    for name, value in given.items():
        setattr(service, name, value)
    service.deployment_configuration |= configuration
    if deploy:
        ecs.new_deployment(service, definition)
    return service


def _delete_service(self: Backend, cluster_name: str, service_name: str, force: bool) -> Service:
    """DRAINING; the scheduler makes it INACTIVE when its last task has stopped."""
    service = self._get_service(cluster_name, service_name.split("/")[-1])
    if service.status == "INACTIVE":
        raise ServiceNotFoundException
    if service.desired_count > 0 and not force:
        raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
    service.status, service.desired_count = "DRAINING", 0
    return service


# tasks


def _run_task(self: Response) -> ActionResult:
    backend, cluster, definition = _task_request(self)
    group = self._get_param("group") or f"family:{definition.family}"
    if not ecs.instances(backend, cluster.name):
        raise InvalidParameterException("No Container Instances were found in your cluster.")
    started, failures = [], []
    for _ in range(self._get_int_param("count", 1)):
        try:
            instance = ecs.choose(backend, cluster.name, definition, group)
        except LookupError:
            candidate = ecs.instances(backend, cluster.name)[0]
            failures.append(_resource_failure(candidate, definition))
            continue
        started.append(_started(self, backend, instance, definition, group))
    return ActionResult({"tasks": started, "failures": failures})


def _start_task(self: Response) -> ActionResult:
    backend, cluster, definition = _task_request(self)
    group = self._get_param("group") or f"family:{definition.family}"
    registered = {instance.id: instance for instance in ecs.instances(backend, cluster.name)}
    started, failures = [], []
    for name in self._get_param("containerInstances") or []:
        instance = registered.get(name.split("/")[-1])
        if instance is None:
            failures.append({"arn": name, "reason": "MISSING"})
        elif ecs.lacks(instance, ecs.needs(definition)):
            failures.append(_resource_failure(instance, definition))
        else:
            started.append(_started(self, backend, instance, definition, group))
    return ActionResult({"tasks": started, "failures": failures})


def _task_request(self: Response) -> tuple:
    backend = self.ecs_backend
    _only("launchType", self._get_param("launchType"), "EC2")
    for name in ("capacityProviderStrategy", "networkConfiguration", "placementConstraints"):
        _only(name, self._get_param(name), None)
    definition = _active(backend, self._get_param("taskDefinition"))
    return backend, backend._get_cluster(self._get_param("cluster", "default")), definition


def _started(self: Response, backend: Backend, instance, definition, group: str) -> Task:
    overrides, tags = self._get_param("overrides") or {}, self._get_param("tags") or []
    by = self._get_param("startedBy") or ""
    return ecs.new_task(backend, instance, definition, group=group, started_by=by, overrides=overrides, tags=tags)


def _resource_failure(instance, definition) -> dict:
    lacking = ecs.lacks(instance, ecs.needs(definition))
    return {"arn": instance.container_instance_arn, "reason": f"RESOURCE:{lacking}"}


def _find_task(backend: Backend, cluster: str, name: str) -> Task | None:
    return next((task for task in ecs.tasks(backend, cluster=cluster) if name in (task.id, task.task_arn)), None)


def _describe_tasks(self: Response) -> ActionResult:
    backend, names = self.ecs_backend, self._get_param("tasks") or []
    cluster = backend._get_cluster(self._get_param("cluster", "default"))
    if not names:
        raise InvalidParameterException("Tasks cannot be empty.")
    found = {name: _find_task(backend, cluster.name, name) for name in names}
    prefix = f"arn:aws:ecs:{backend.region_name}:{backend.account_id}:task/{cluster.name}/"
    missing = [name if ":" in name else prefix + name for name, task in found.items() if task is None]
    return ActionResult(
        {
            "tasks": [task for task in found.values() if task],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in missing],
        }
    )


def _list_tasks(
    self: Backend,
    cluster_str=None,
    container_instance=None,
    family=None,
    started_by=None,
    service_name=None,
    desiredStatus=None,  # noqa: N803 - moto's own name
) -> list[Task]:
    """RUNNING is the default of desiredStatus (API reference, ListTasks)."""
    cluster = self._get_cluster(cluster_str or "default")
    group = f"service:{service_name.split('/')[-1]}" if service_name else None
    return [
        task
        for task in ecs.tasks(self, cluster=cluster.name, group=group)
        if task.desired_status == (desiredStatus or "RUNNING")
        and (not container_instance or task.container_instance_arn.endswith(container_instance.split("/")[-1]))
        and family in (None, task.definition.family)
        and started_by in (None, task.started_by)
    ]


def _stop_task(self: Backend, cluster_str: str, task_str: str, reason: str | None) -> Task:
    task = _find_task(self, self._get_cluster(cluster_str).name, task_str)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    ecs.stop(task, reason or "Task stopped by user", "UserInitiated")
    return task

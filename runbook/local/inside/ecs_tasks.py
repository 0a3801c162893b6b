"""ECS inside moto: what the API does with tasks."""

from moto.core.responses import ActionResult
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend as Backend
from moto.ecs.models import Task
from moto.ecs.responses import EC2ContainerServiceResponse as Response

from . import ecs, ecs_capacity, ecs_placement
from .ecs_services import active, only


def _run_task(self: Response) -> ActionResult:
    backend, cluster, definition = _task_request(self)
    group = self._get_param("group") or f"family:{definition.family}"
    given = self._get_param("capacityProviderStrategy")
    provider = ecs_capacity.named(ecs_capacity.strategy(backend, cluster, self._get_param("launchType"), given))
    placement = self._get_param("placementStrategy")
    started, failures = [], []
    for _ in range(self._get_int_param("count", 1)):
        waits = provider is not None and ecs_capacity.may_wait(backend, cluster.name, provider)
        candidates = ecs_placement.instances(backend, cluster.name, provider)
        if not candidates and not waits:
            raise InvalidParameterException("No Container Instances were found in your cluster.")
        try:
            instance = ecs_placement.choose(
                backend, cluster.name, definition, group, provider=provider, strategy=placement
            )
        except LookupError:
            if not waits:
                failures.append(_resource_failure(candidates[0], definition))
                continue
            instance = None
        started.append(_started(self, backend, cluster, instance, definition, group, provider))
    return ActionResult({"tasks": started, "failures": failures})


def _start_task(self: Response) -> ActionResult:
    backend, cluster, definition = _task_request(self)
    group = self._get_param("group") or f"family:{definition.family}"
    registered = {instance.id: instance for instance in ecs_placement.instances(backend, cluster.name)}
    started, failures = [], []
    for name in self._get_param("containerInstances") or []:
        instance = registered.get(name.split("/")[-1])
        if instance is None:
            failures.append({"arn": name, "reason": "MISSING"})
        elif ecs_placement.lacks(instance, ecs.needs(definition)):
            failures.append(_resource_failure(instance, definition))
        else:
            started.append(_started(self, backend, cluster, instance, definition, group, None))
    return ActionResult({"tasks": started, "failures": failures})


def _task_request(self: Response) -> tuple:
    backend = self.ecs_backend
    only("launchType", self._get_param("launchType"), "EC2")
    for name in ("networkConfiguration", "placementConstraints"):
        only(name, self._get_param(name), None)
    definition = active(backend, self._get_param("taskDefinition"))
    return backend, backend._get_cluster(self._get_param("cluster", "default")), definition


def _started(self: Response, backend: Backend, cluster, instance, definition, group: str, provider: str | None) -> Task:
    return ecs.new_task(
        backend,
        cluster,
        definition,
        group=group,
        instance=instance,
        provider=provider,
        strategy=self._get_param("placementStrategy"),
        overrides=self._get_param("overrides") or {},
        tags=self._get_param("tags") or [],
        started_by=self._get_param("startedBy") or "",
    )


def _resource_failure(instance, definition) -> dict:
    lacking = ecs_placement.lacks(instance, ecs.needs(definition))
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
        and (not container_instance or (task.container_instance_arn or "").endswith(container_instance.split("/")[-1]))
        and family in (None, task.definition.family)
        and started_by in (None, task.started_by)
    ]


def _stop_task(self: Backend, cluster_str: str, task_str: str, reason: str | None) -> Task:
    task = _find_task(self, self._get_cluster(cluster_str).name, task_str)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    ecs.stop(task, reason or "Task stopped by user", "UserInitiated")
    return task

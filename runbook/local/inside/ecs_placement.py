"""ECS inside moto: on which container instance a task is placed, and which resource an instance lacks for it."""

import random

from moto.ecs.models import ContainerInstance, Task
from moto.ecs.models import EC2ContainerServiceBackend as Backend

from . import ecs, ecs_capacity

LACKING = {
    "PORTS": "is already using a port required by your task",
    "CPU": "has insufficient CPU units available",
    "MEMORY": "has insufficient memory available",
}
ZONE = "attribute:ecs.availability-zone"
# ECS spreads the tasks of a service over the zones when it is told nothing.
DEFAULT = [{"type": "spread", "field": ZONE}, {"type": "spread", "field": "instanceId"}]


def instances(backend: Backend, cluster: str, provider: str | None = None) -> list[ContainerInstance]:
    """Those that take tasks; of one capacity provider only, if one is named."""
    found = list(backend.container_instances.get(cluster, {}).values())
    ready = [instance for instance in found if instance.status == "ACTIVE" and instance.agent_connected]
    return [each for each in ready if provider is None or ecs_capacity.provider_of(backend, each) == provider]


def lacks(instance: ContainerInstance, wanted: dict) -> str | None:
    """Which resource of `wanted` the instance has not left: "PORTS", "CPU", "MEMORY" or None."""
    left = {resource["name"]: resource for resource in instance.remaining_resources}
    if set(wanted["PORTS"]) & set(left["PORTS"]["stringSetValue"]):
        return "PORTS"
    return next((name for name in ("CPU", "MEMORY") if wanted[name] > left[name]["integerValue"]), None)


def choose(
    backend: Backend,
    cluster: str,
    definition,
    group: str,
    *,
    provider: str | None = None,
    strategy: list[dict] | None = None,
    zone: str | None = None,
) -> ContainerInstance:
    """The instance that the placement strategy prefers of those with room; LookupError in ECS's words if none has."""
    candidates = [each for each in instances(backend, cluster, provider) if zone in (None, value(each, ZONE))]
    if not candidates:
        raise (
            LookupError("Reason: No Container Instances were found in your capacity provider.")
            if provider
            else LookupError("Reason: No Container Instances were found in your cluster.")
        )
    wanted = ecs.needs(definition)
    fitting = [instance for instance in candidates if lacks(instance, wanted) is None]
    if not fitting:
        problem = LACKING[lacks(candidates[0], wanted)]
        raise LookupError(f"The closest matching (container-instance {candidates[0].id}) {problem}.")
    crowd = crowding(backend, cluster, ecs.alive(ecs.tasks(backend, cluster=cluster, group=group)))
    rules = [*(strategy or DEFAULT), {"type": "spread", "field": "instanceId"}]
    return min(fitting, key=lambda instance: [_rank(rule, instance, crowd) for rule in rules])


def crowding(backend: Backend, cluster: str, living: list[Task]) -> list[ContainerInstance]:
    """The instance of each of these tasks, as often as it has one."""
    registered = backend.container_instances.get(cluster, {})
    names = [task.container_instance_arn.split("/")[-1] for task in living if task.container_instance_arn]
    return [registered[name] for name in names if name in registered]


def least_wanted(backend: Backend, cluster: str, tasks: list[Task]) -> Task:
    """The task to stop when there are too many: one that does not run yet, else one where most are, else the newest."""
    crowd = crowding(backend, cluster, tasks)

    def rank(task: Task) -> tuple:
        own = next(iter(crowding(backend, cluster, [task])), None)
        fields = [] if own is None else [ZONE, "instanceId"]
        crowds = [sum(value(each, field) == value(own, field) for each in crowd) for field in fields]
        return task.last_status == "RUNNING", *[-count for count in crowds or [0, 0]], -task.created_at.timestamp()

    return min(tasks, key=rank)


def _rank(rule: dict, instance: ContainerInstance, crowd: list[ContainerInstance]) -> float:
    """How little one rule of a placement strategy likes an instance."""
    kind, field = rule["type"], rule.get("field", "")
    if kind == "random":
        return random.random()
    if kind == "binpack":
        left = {resource["name"]: resource for resource in instance.remaining_resources}
        return left[field.upper()]["integerValue"]
    return sum(value(each, field) == value(instance, field) for each in crowd)


def value(instance: ContainerInstance, field: str) -> str:
    """What the tasks are spread over: the instance itself, or the value of one of its attributes."""
    return instance.attributes.get(field.removeprefix("attribute:"), "") if ":" in field else instance.id

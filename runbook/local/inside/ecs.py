"""ECS inside moto: its tasks, services and container instances as the scheduler reads and writes them."""

import copy
import math
import random
import threading
import uuid

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow
from moto.ecs.models import Cluster, ContainerInstance, Service, Task, TaskDefinition, ecs_backends
from moto.ecs.models import EC2ContainerServiceBackend as Backend

LOCK = threading.RLock()  # held by each answer of the ECS API and by each round of the scheduler
EVENTS = 100  # DescribeServices shows no more
STOPPED_TASKS = 20  # of one service or family that stay visible
DEPLOYMENT_DEFAULTS = {
    "deploymentCircuitBreaker": {"enable": False, "rollback": False},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
}


def backends() -> list[Backend]:
    """One for each region in which there is a cluster."""
    return [backend for backend in list(ecs_backends[DEFAULT_ACCOUNT_ID].values()) if backend.clusters]


def tasks(backend: Backend, *, cluster: str | None = None, group: str | None = None) -> list[Task]:
    """All that are visible, oldest first."""
    found = [
        task for name, of_cluster in backend.tasks.items() for task in of_cluster.values() if cluster in (None, name)
    ]
    return [task for task in found if group in (None, task.group)]


def alive(found: list[Task]) -> list[Task]:
    return [task for task in found if task.last_status != "STOPPED"]


def new_task(
    backend: Backend,
    cluster: Cluster,
    definition: TaskDefinition,
    *,
    group: str,
    instance: ContainerInstance | None = None,
    provider: str | None = None,
    started_by: str = "",
    load_balancers: list[dict] | None = None,
    strategy: list[dict] | None = None,
    overrides: dict | None = None,
    tags: list | None = None,
) -> Task:
    """A PENDING task with its place taken on `instance`, a PROVISIONING one without; nothing runs yet.

    `definition`, `instance_id`, `load_balancers` (what its service sends to it), `targets` (what is registered of it)
    and `strategy` (how it is placed) are ours: the API does not show them.
    """
    plain = copy.copy(definition)
    plain.network_mode = "bridge"  # moto would make a network interface for another mode, and never remove it
    task = Task(cluster, plain, None, needs(definition), backend, group, "EC2", overrides, started_by, tags)
    task.id = uuid.uuid4().hex  # as AWS's; moto's has hyphens
    task._transitions = []  # moto would move the task on at each DescribeTasks
    task.last_status, task.created_at, task.stopped_reason = "PROVISIONING", utcnow(), None
    task.cpu, task.memory = str(task.resource_requirements["CPU"]), str(task.resource_requirements["MEMORY"])
    task.capacity_provider_name, task.definition, task.instance_id = provider, definition, None
    task.load_balancers, task.targets, task.strategy, task.stop_code = load_balancers or [], [], strategy, None
    task.containers = [_container(task, container) for container in definition.container_definitions]
    backend.tasks.setdefault(cluster.name, {})[task.task_arn] = task
    if instance:
        place(backend, task, instance)
    return task


def place(backend: Backend, task: Task, instance: ContainerInstance) -> None:
    """Take the task's place on `instance`."""
    task.last_status, task.container_instance_arn = "PENDING", instance.container_instance_arn
    task.instance_id, task.availability_zone = instance.ec2_instance_id, instance.attributes["ecs.availability-zone"]
    count(backend)


def _container(task: Task, definition: dict) -> dict:
    prefix = task.task_arn.replace(":task/", ":container/")
    return {
        "containerArn": f"{prefix}/{uuid.uuid4()}",
        "taskArn": task.task_arn,
        "name": definition["name"],
        "image": definition["image"],
        "lastStatus": "PENDING",
        "networkBindings": [],
        "networkInterfaces": [],
        "healthStatus": "UNKNOWN",
        "cpu": str(definition.get("cpu") or 0),
        "memory": str(definition.get("memory") or definition.get("memoryReservation") or ""),
    }


def stop(task: Task, reason: str, code: str) -> None:
    """Say that a task shall stop; the first reason stays."""
    if task.desired_status != "STOPPED":
        task.desired_status, task.stopped_reason, task.stop_code = "STOPPED", reason, code
        task.stopping_at = utcnow()


def waits_for_targets(task: Task) -> bool:
    """Whether a task that shall stop still has to wait until the balancer has let go of it (DEACTIVATING)."""
    return bool(task.targets) and task.stop_code != "EssentialContainerExited"


def provisioning(region: str, cluster: str, provider: str) -> list[Task]:
    """The tasks that wait for an instance of a capacity provider, oldest first."""
    found = tasks(ecs_backends[DEFAULT_ACCOUNT_ID][region], cluster=cluster)
    return [
        task
        for task in found
        if (task.last_status, task.desired_status, task.capacity_provider_name) == ("PROVISIONING", "RUNNING", provider)
    ]


def busy_instances(region: str, cluster: str) -> set[str]:
    """The EC2 ids of the instances of a cluster with a living task."""
    with LOCK:
        found = alive(tasks(ecs_backends[DEFAULT_ACCOUNT_ID][region], cluster=cluster))
        return {task.instance_id for task in found if task.instance_id}


def forget_old_tasks(backend: Backend, stopped: Task) -> None:
    """Keep the newest stopped tasks of the group of `stopped`."""
    same = [
        task
        for task in tasks(backend, cluster=stopped.cluster_name, group=stopped.group)
        if task.last_status == "STOPPED"
    ]
    for task in sorted(same, key=lambda task: task.stopped_at)[:-STOPPED_TASKS]:
        del backend.tasks[task.cluster_name][task.task_arn]


def needs(definition: TaskDefinition) -> dict:
    """What a task reserves: the task's own size, else the sum over its containers (memoryReservation before memory)."""
    containers = definition.container_definitions
    memory = [c.get("memoryReservation") or c.get("memory") or 0 for c in containers]
    mappings = [m for c in containers for m in c.get("portMappings") or [] if m.get("hostPort")]
    ports = {
        protocol: [str(m["hostPort"]) for m in mappings if m.get("protocol", "tcp") == protocol]
        for protocol in ("tcp", "udp")
    }
    return {
        "CPU": int(definition.cpu or sum(c.get("cpu") or 0 for c in containers)),
        "MEMORY": int(definition.memory or sum(memory)),
        "PORTS": ports["tcp"],
        "PORTS_UDP": ports["udp"],
    }


def draining(backend: Backend, cluster: str) -> set[str]:
    """The ARNs of the instances that are to get rid of their services' tasks."""
    found = list(backend.container_instances.get(cluster, {}).values())
    return {instance.container_instance_arn for instance in found if instance.status == "DRAINING"}


def count(backend: Backend) -> None:
    """Write what the tasks take up into container instances and clusters."""
    living = alive(tasks(backend))
    for name, cluster in backend.clusters.items():
        registered = list(backend.container_instances.get(name, {}).values())
        for instance in registered:
            mine = [task for task in living if task.container_instance_arn == instance.container_instance_arn]
            instance.running_tasks_count, instance.pending_tasks_count = split(mine)
            instance.remaining_resources = _left(instance, [task.resource_requirements for task in mine])
        mine = [task for task in living if task.cluster_name == name]
        cluster.running_tasks_count, cluster.pending_tasks_count = split(mine)
        cluster.registered_container_instances_count = len(registered)
        active = [service for service in services(backend, cluster) if service.status == "ACTIVE"]
        cluster.active_services_count = len(active)


def split(living: list[Task]) -> tuple[int, int]:
    """(running, pending); a task that is on its way out is neither."""
    running = sum(task.last_status == "RUNNING" for task in living)
    return running, sum(task.last_status in ("PROVISIONING", "PENDING") for task in living)


def _left(instance: ContainerInstance, taken: list[dict]) -> list[dict]:
    left = copy.deepcopy(instance.registered_resources)
    for resource in left:
        for needed in taken:
            if resource["type"] == "INTEGER":
                resource["integerValue"] -= needed[resource["name"]]
            else:
                resource["stringSetValue"] += needed[resource["name"]]
    return left


def services(backend: Backend, cluster: Cluster | None = None) -> list[Service]:
    """Those that are ACTIVE or DRAINING."""
    found = [service for service in list(backend.services.values()) if service.status != "INACTIVE"]
    return [service for service in found if cluster is None or service.cluster_name == cluster.name]


def new_deployment(service: Service, definition: TaskDefinition) -> dict:
    """Make a deployment of a task definition the PRIMARY one; the others drain.

    Its keys "definition" (as it was, whatever becomes of it) and "loadBalancers" are ours: the API does not show them.
    """
    for deployment in service.deployments:
        deployment["status"] = "ACTIVE"
    identity = f"ecs-svc/{random.randrange(10**18, 10**19)}"
    deployment = {
        "id": identity,
        "status": "PRIMARY",
        "taskDefinition": definition.arn,
        "definition": definition,
        "loadBalancers": service.load_balancers,
        "createdAt": utcnow(),
        "failedTasks": 0,
    }
    if service.capacity_provider_strategy:
        deployment["capacityProviderStrategy"] = service.capacity_provider_strategy
    else:
        deployment["launchType"] = "EC2"
    service.task_definition = definition.arn
    service.deployments.insert(0, deployment)
    roll(deployment, "IN_PROGRESS", f"ECS deployment {identity} in progress.")
    return deployment


def roll(deployment: dict, state: str, reason: str) -> None:
    deployment |= {"rolloutState": state, "rolloutStateReason": reason, "updatedAt": utcnow()}


def limits(service: Service) -> tuple[int, int]:
    """How many tasks must run and how many may be there while a deployment rolls out."""
    configuration = service.deployment_configuration
    lowest = math.ceil(service.desired_count * configuration["minimumHealthyPercent"] / 100)
    return lowest, service.desired_count * configuration["maximumPercent"] // 100


def event(service: Service, message: str) -> None:
    """Add to the service's events, newest first; they begin with the service's name as ECS's do."""
    entry = {"id": str(uuid.uuid4()), "createdAt": utcnow(), "message": f"(service {service.name}) {message}"}
    service.events = [entry, *service.events][:EVENTS]


def roll_back(service: Service, good: dict) -> None:
    """Make a deployment that was completed the PRIMARY one again."""
    others = [deployment for deployment in service.deployments if deployment is not good]
    for deployment in others:
        deployment["status"] = "ACTIVE"
    good["status"], service.task_definition = "PRIMARY", good["taskDefinition"]
    service.load_balancers = good["loadBalancers"]
    service.capacity_provider_strategy = good.get("capacityProviderStrategy", [])
    service.deployments = [good, *others]
    roll(good, "IN_PROGRESS", f"ECS deployment circuit breaker: rolling back to deploymentId {good['id']}.")

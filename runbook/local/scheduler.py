"""The ECS service scheduler: it keeps each service's desired count, and rolls a new task definition out."""

import math
import time
from dataclasses import dataclass
from datetime import timedelta

from . import placement, rebalancing
from .inside import ecs, ecs_api, ecs_capacity, ecs_placement
from .nodes import Nodes
from .state import Place
from .targets import Targets
from .tasks import Surroundings, Tasks
from .usage import Usage

HELP = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
STEADY_SECONDS = 1.0  # how long its tasks have been RUNNING when a service is called steady
HEALTHY_SECONDS = 10.0  # a task that ran this long did start successfully
LONGEST_WAIT = 60.0  # seconds between two attempts; ECS goes up to 15 minutes
FAILED = ("EssentialContainerExited", "TaskFailedToStart")


@dataclass
class Pace:
    """How a deployment fares: tasks that failed one after another, and when the next may start (time.monotonic)."""

    failures: int = 0
    not_before: float = 0.0

    def failed(self, lived: timedelta) -> None:
        """The first failure is repaired at once, then after 1, 2, 4 … seconds."""
        self.failures = 1 if lived >= timedelta(seconds=HEALTHY_SECONDS) else self.failures + 1
        wait = 0.0 if self.failures == 1 else min(2.0 ** (self.failures - 2), LONGEST_WAIT)
        self.not_before = time.monotonic() + wait


@dataclass
class Told:
    """What the events have said already: ECS leaves a repeated message out until its cause has gone.

    `rebalancing` from the event that says so on; `newcomer` is the task that was started for it, one too many.
    """

    steady: bool = False
    obstacle: str | None = None
    rebalancing: bool = False
    newcomer: ecs.Task | None = None


class Scheduler:
    """The part that makes the counts of the services true."""

    def __init__(self, place: Place, nodes: Nodes, surroundings: Surroundings | None = None):
        ecs_api.patch()
        self._tasks = Tasks(place, nodes, surroundings)
        self._usage = Usage(self._tasks)
        self._paces: dict[str, Pace] = {}
        self._told: dict[ecs.Service, Told] = {}

    def step(self) -> None:
        with ecs.LOCK:
            for task in self._tasks.step():
                self._ended(task)
            current = {}
            for backend in ecs.backends():
                ecs.count(backend)
                placement.place_waiting(backend)
                targets = Targets(backend.region_name)
                for service in ecs.services(backend):
                    current[service] = self._told.get(service) or Told()
                    self._told[service] = current[service]
                    self._serve(backend, service, targets)
            self._told = current

    def close(self) -> None:
        with ecs.LOCK:
            self._tasks.close()

    def status(self) -> list[dict]:
        return self._tasks.status()

    def usage(self) -> list[dict]:
        """What each service has used (CPU seconds of its tasks since they began) and has reserved (CPU units)."""
        with ecs.LOCK:
            return self._usage.read()

    def _ended(self, task: ecs.Task) -> None:
        Targets(task.region_name).forget(task)
        if task.stop_code in FAILED and task.started_by.startswith("ecs-svc/"):
            born = getattr(task, "started_at", None) or task.stopped_at
            self._pace(task.started_by).failed(task.stopped_at - born)

    def _pace(self, deployment_id: str) -> Pace:
        return self._paces.setdefault(deployment_id, Pace())

    def _serve(self, backend: ecs.Backend, service: ecs.Service, targets: Targets) -> None:
        cluster, group = service.cluster_name, f"service:{service.name}"
        self._balance(service, targets, ecs.alive(ecs.tasks(backend, cluster=cluster, group=group)))
        self._break(service, service.deployments[0])
        primary = service.deployments[0]
        leaving = ecs.draining(backend, cluster)
        living = ecs.alive(ecs.tasks(backend, cluster=cluster, group=group))
        self._stop_surplus(backend, service, primary, living, leaving, targets)
        self._start_missing(backend, service, primary, living, leaving)
        living = ecs.alive(ecs.tasks(backend, cluster=cluster, group=group))
        self._tell(service, primary, living, targets)
        if self._told[service].steady and all(_stays(task, primary, leaving) for task in living):
            self._rebalance(backend, service, primary, living)
        if service.status == "DRAINING" and not living:
            service.status, service.deployments = "INACTIVE", []

    def _balance(self, service: ecs.Service, targets: Targets, living: list[ecs.Task]) -> None:
        """Register tasks that run, take out those that stop, and stop those whose target stays unhealthy."""
        grace = service.health_check_grace_period_seconds or 0
        for task in living:
            for arn in targets.register(task):
                ecs.event(service, f"registered 1 targets in (target-group {arn})")
            if target := targets.failing(task, grace):
                arn, instance_id, port = target
                where = f"(instance {instance_id}) (port {port})"
                why = f"due to (reason {targets.reason(target)})."
                ecs.event(service, f"{where} is unhealthy in (target-group {arn}) {why}")
                ecs.stop(task, f"Task failed ELB health checks in (target-group {arn})", "ServiceSchedulerInitiated")
                ecs.event(service, f"has stopped 1 running tasks: {_names([task])}.")
                self._pace(task.started_by).failed(timedelta(0))
            for arn in targets.release(task) if task.desired_status == "STOPPED" else []:
                ecs.event(service, f"deregistered 1 targets in (target-group {arn})")

    def _break(self, service: ecs.Service, primary: dict) -> None:
        """The deployment circuit breaker; its threshold is half the desired count and at least 3, as ECS has it."""
        pace = self._pace(primary["id"])
        primary["failedTasks"] = pace.failures
        if pace.failures >= 3:
            self._obstacle(service, f"is unable to consistently start tasks successfully. {HELP}")
        breaker = service.deployment_configuration.get("deploymentCircuitBreaker") or {}
        tripped = pace.failures >= max(3, math.ceil(service.desired_count / 2))
        if not (breaker.get("enable") and tripped and primary["rolloutState"] == "IN_PROGRESS"):
            return
        ecs.roll(primary, "FAILED", "ECS deployment circuit breaker: tasks failed to start.")
        ecs.event(service, f"(deployment {primary['id']}) deployment failed: tasks failed to start.")
        good = service.last_completed
        if breaker.get("rollback") and good:
            self._paces.pop(good["id"], None)
            ecs.roll_back(service, good)
            ecs.event(service, f"rolling back to deployment {good['id']}.")

    def _stop_surplus(
        self,
        backend: ecs.Backend,
        service: ecs.Service,
        primary: dict,
        living: list[ecs.Task],
        leaving: set[str],
        targets: Targets,
    ) -> None:
        """Stop what is beyond the desired count, and, as far as enough others run, old tasks and those on `leaving`."""
        going = [task for task in living if task.desired_status == "RUNNING"]
        mine = [task for task in going if _stays(task, primary, leaving)]
        if self._is_moving(backend, service, primary, mine, targets):
            return
        stopping = []
        while len(mine) > service.desired_count:
            stopping.append(ecs_placement.least_wanted(backend, service.cluster_name, mine))
            mine.remove(stopping[-1])
        if primary["rolloutState"] != "FAILED" or service.desired_count == 0:
            spare = sum(targets.ready(task) for task in going) - ecs.limits(service)[0]
            spare -= sum(targets.ready(task) for task in stopping)
            for task in [task for task in going if not _stays(task, primary, leaving)]:
                if not targets.ready(task) or spare > 0:
                    spare -= targets.ready(task)
                    stopping.append(task)
        if stopping:
            _stop(service, primary, stopping, f"has stopped {len(stopping)} running tasks: {_names(stopping)}.")

    def _is_moving(
        self, backend: ecs.Backend, service: ecs.Service, primary: dict, mine: list[ecs.Task], targets: Targets
    ) -> bool:
        """Whether the one task too many is there to balance the zones; when it is ready, one of the richest goes."""
        told = self._told[service]
        if told.newcomer not in mine or len(mine) != service.desired_count + 1:
            told.newcomer = None
        elif targets.ready(told.newcomer):
            told.newcomer = None
            zone, task = rebalancing.leaver(backend, service, mine)
            why = f"in {zone} due to AZ rebalancing"
            _stop(service, primary, [task], f"has stopped 1 running tasks {why}: {_names([task])}.")
            return True
        return told.newcomer is not None

    def _start_missing(
        self,
        backend: ecs.Backend,
        service: ecs.Service,
        primary: dict,
        living: list[ecs.Task],
        leaving: set[str],
    ) -> None:
        going = [task for task in living if task.desired_status == "RUNNING"]
        missing = service.desired_count - sum(_stays(task, primary, leaving) for task in going)
        room = ecs.limits(service)[1] - len(living)
        if missing <= 0 or primary["rolloutState"] == "FAILED":
            return
        if room <= 0 and len(going) == len(living):
            self._obstacle(
                service,
                "was unable to stop or start tasks during a deployment because of the service deployment "
                "configuration. Update the minimumHealthyPercent or maximumPercent value and try again.",
            )
        if time.monotonic() < self._pace(primary["id"]).not_before:
            return
        started = []
        for _ in range(min(missing, room)):
            try:
                instance = placement.room(backend, service, primary)
            except LookupError as reason:
                provider = ecs_capacity.named(primary.get("capacityProviderStrategy") or [])
                if not (provider and ecs_capacity.may_wait(backend, service.cluster_name, provider)):
                    what = "was unable to place a task because no container instance met all of its requirements."
                    self._obstacle(service, f"{what} {reason} {HELP}")
                    break
                instance = None
            started.append(placement.new_task(backend, service, primary, instance))
        if started:
            ecs.event(service, f"has started {len(started)} tasks: {_names(started)}.")

    def _rebalance(self, backend: ecs.Backend, service: ecs.Service, primary: dict, living: list[ecs.Task]) -> None:
        """See whether the zones of a steady service are balanced, and start a task where one is missing."""
        if service.availability_zone_rebalancing != "ENABLED":
            return
        told, counts = self._told[service], rebalancing.census(backend, service, living)
        shown = ", ".join(f"{count} tasks in {zone}" for zone, count in counts.most_common())
        if not rebalancing.uneven(counts):
            if told.rebalancing:
                ecs.event(service, f"is AZ balanced with {shown}.")
            told.rebalancing = False
            return
        if not told.rebalancing:
            ecs.event(service, f"is not AZ balanced with {shown}. AZ Rebalancing in progress.")
        told.rebalancing = True
        if len(living) >= ecs.limits(service)[1] or time.monotonic() < self._pace(primary["id"]).not_before:
            return
        zone = rebalancing.poorest(counts)
        try:
            instance = placement.room(backend, service, primary, zone=zone)
        except LookupError:
            what = f"is unable to place a task in {zone} because no container instance met all of its requirements."
            self._obstacle(service, what)
        else:
            told.newcomer = placement.new_task(backend, service, primary, instance)
            ecs.event(service, f"has started 1 tasks in {zone} to AZ Rebalance: {_names([told.newcomer])}.")

    def _obstacle(self, service: ecs.Service, message: str) -> None:
        told = self._told[service]
        if told.obstacle != message:
            told.obstacle = message
            ecs.event(service, message)

    def _tell(self, service: ecs.Service, primary: dict, living: list[ecs.Task], targets: Targets) -> None:
        """Counts, rollout state and the steady state, from what really runs."""
        service.running_count, service.pending_count = ecs.split(living)
        for deployment in service.deployments:
            its = [task for task in living if task.started_by == deployment["id"]]
            deployment["runningCount"], deployment["pendingCount"] = ecs.split(its)
            going = sum(task.desired_status == "RUNNING" for task in its)
            deployment["desiredCount"] = service.desired_count if deployment is primary else going
        told = self._told[service]
        settled = ecs.utcnow() - timedelta(seconds=STEADY_SECONDS)
        calm = [
            task
            for task in living
            if task.started_by == primary["id"] and targets.ready(task) and task.started_at <= settled
        ]
        if not len(calm) == len(living) == service.desired_count or service.status != "ACTIVE":
            told.steady = False
            return
        if primary["rolloutState"] == "IN_PROGRESS":
            ecs.roll(primary, "COMPLETED", f"ECS deployment {primary['id']} completed.")
            ecs.event(service, f"(deployment {primary['id']}) deployment completed.")
            service.last_completed, service.deployments = primary, [primary]
        if not told.steady:
            told.steady, told.obstacle = True, None
            ecs.event(service, "has reached a steady state.")


def _stop(service: ecs.Service, primary: dict, tasks: list[ecs.Task], message: str) -> None:
    """Stop tasks that run too many, and say so in the events."""
    for task in tasks:
        ecs.stop(task, f"Scaling activity initiated by (deployment {primary['id']})", "ServiceSchedulerInitiated")
    ecs.event(service, message)
    if count := sum(bool(task.targets) for task in tasks):
        ecs.event(service, f"has begun draining connections on {count} tasks.")


def _stays(task: ecs.Task, primary: dict, leaving: set[str]) -> bool:
    return task.started_by == primary["id"] and task.container_instance_arn not in leaving


def _names(tasks: list[ecs.Task]) -> str:
    return " ".join(f"(task {task.id})" for task in tasks)

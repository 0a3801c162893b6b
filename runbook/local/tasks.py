"""The tasks: for each task that ECS has placed on a node its containers run, and what becomes of them is its status."""

import shutil
import time
from dataclasses import dataclass, field

from . import containers
from .containers import Container, ContainerError
from .inside import ecs
from .nodes import Nodes
from .state import Place

ALIVE_SECONDS = (
    0.5  # how long a process has lived when its task is called RUNNING; the agent on EC2 takes about as long
)
CLOSE_SECONDS = 3.0  # what a container gets for its end when the cloud goes down


@dataclass
class Run:
    """What really runs for a task."""

    task: ecs.Task
    containers: list[Container] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)


class Tasks:
    """All tasks that run, in all regions."""

    def __init__(self, place: Place, nodes: Nodes):
        self._place, self._nodes = place, nodes
        self._runs: dict[str, Run] = {}

    def step(self) -> list[ecs.Task]:
        """Start, watch and stop; the tasks that came to their end in this round."""
        ended, known = [], set()
        for backend in ecs.backends():
            for task in ecs.alive(ecs.tasks(backend)):
                known.add(task.task_arn)
                run = self._runs.get(task.task_arn)
                if run is None:
                    self._runs[task.task_arn] = run = Run(task)
                    self._start(backend, run)
                self._watch(backend, run)
                if all(container.exit_code is not None for container in run.containers) and (
                    task.desired_status == "STOPPED"
                ):
                    self._end(backend, run)
                    ended.append(task)
        for arn in self._runs.keys() - known:  # whoever resets moto takes the task from under its process
            self._drop(self._runs[arn])
        return ended

    def close(self) -> None:
        while self._runs:
            for run in list(self._runs.values()):
                self._drop(run, CLOSE_SECONDS)
            time.sleep(0.02)

    def status(self) -> list[dict]:
        """For `cloud status`."""
        return [
            {
                "task": run.task.id,
                "group": run.task.group,
                "state": run.task.last_status,
                "instance": run.task.instance_id,
                "ports": [f"{b['bindIP']}:{b['hostPort']}" for c in run.containers for b in c.bindings],
            }
            for run in list(self._runs.values())
        ]

    def _start(self, backend: ecs.Backend, run: Run) -> None:
        task = run.task
        node = self._nodes.get(task.instance_id)
        if node is None or task.desired_status == "STOPPED":
            return
        overrides = {one["name"]: one for one in task.overrides.get("containerOverrides") or []}
        unknown = sorted(task.overrides.keys() - {"containerOverrides"})
        for definition, shown in zip(task.definition.container_definitions, task.containers, strict=True):
            override = overrides.get(definition["name"], {})
            try:
                if unknown:
                    raise ContainerError(f"CannotCreateContainerError: overrides not known here: {unknown}")
                container = containers.start(
                    self._place,
                    node,
                    definition,
                    task.definition,
                    task.id,
                    region=backend.region_name,
                    override=override,
                )
            except (ContainerError, OSError) as error:
                reason = str(error) if isinstance(error, ContainerError) else f"CannotStartContainerError: {error}"
                shown["reason"] = reason
                ecs.stop(task, reason, "TaskFailedToStart")
                return
            except Exception:
                ecs.stop(task, "InternalError: see the cloud's log", "TaskFailedToStart")
                raise
            run.containers.append(container)
            shown["networkBindings"] = container.bindings

    def _watch(self, backend: ecs.Backend, run: Run) -> None:
        task = run.task
        self._see_host(backend, run)
        for container in run.containers:
            container.step()
            if container.exit_code is not None and container.essential:
                ecs.stop(task, "Essential container in task exited", "EssentialContainerExited")
        if task.desired_status == "STOPPED":
            for container in run.containers:
                container.stop()
        elif task.last_status == "PENDING" and time.monotonic() - run.since >= ALIVE_SECONDS:
            task.last_status, task.started_at = "RUNNING", ecs.utcnow()
        _show(run)

    def _see_host(self, backend: ecs.Backend, run: Run) -> None:
        """A host that is gone takes its tasks with it at once, without time to end."""
        task = run.task
        identity = task.container_instance_arn.split("/")[-1]
        if self._nodes.get(task.instance_id) is None:
            reason, code = f"Host EC2 (instance {task.instance_id}) terminated.", "TerminationNotice"
        elif identity not in backend.container_instances.get(task.cluster_name, {}):
            reason, code = "Container instance deregistration forced by user.", "UserInitiated"
        else:
            return
        ecs.stop(task, reason, code)
        for container in run.containers:
            container.stop(0)

    def _end(self, backend: ecs.Backend, run: Run) -> None:
        task = run.task
        task.last_status, task.stopped_at = "STOPPED", ecs.utcnow()
        task.execution_stopped_at = task.stopped_at
        for shown in task.containers:
            shown["lastStatus"] = "STOPPED"
        self._drop(run)
        ecs.forget_old_tasks(backend, task)

    def _drop(self, run: Run, timeout: float = 0) -> None:
        """Forget a run whose processes have ended; else see to it that they do within `timeout` seconds."""
        for container in run.containers:
            container.stop(timeout)
            container.step()
        if all(container.exit_code is not None for container in run.containers):
            shutil.rmtree(self._place.folder("volumes", run.task.id), ignore_errors=True)
            del self._runs[run.task.task_arn]


def _show(run: Run) -> None:
    """The state of the containers as DescribeTasks tells it."""
    shown = {one["name"]: one for one in run.task.containers}
    for container in run.containers:
        entry = shown[container.name]
        if container.exit_code is None:
            entry["lastStatus"] = run.task.last_status
        else:
            entry |= {"lastStatus": "STOPPED", "exitCode": container.exit_code}

"""The tasks: for each task that ECS has placed on a node its containers run, and what becomes of them is its status."""

import shutil
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Protocol

from . import containers, dependencies, mounts
from .container import Container, ContainerError
from .inside import ecs
from .nodes import Node, Nodes
from .ports import Ports
from .state import Place

ALIVE_SECONDS = (
    0.5  # how long a process has lived when its task is called RUNNING; the agent on EC2 takes about as long
)
CLOSE_SECONDS = 3.0  # what a container gets for its end when the cloud goes down
NEVER_STARTED = 143  # the exit code that the agent gives a container whose dependency failed (amazon-ecs-agent#3218)


class Surroundings(Protocol):
    """What a container finds beside what its task definition says."""

    def environment(self, node: Node, task_definition, task_id: str) -> dict[str, str]:
        """Variables that lead AWS's clients to the credentials of the node's role and of the task's."""

    def hosts(self) -> str:
        """The text of /etc/hosts."""

    def forget(self, task_id: str) -> None:
        """The task has ended: its credentials are no longer handed out."""


class Nothing:
    """Surroundings without credentials and names."""

    def environment(self, node: Node, task_definition, task_id: str) -> dict[str, str]:
        return {}

    def hosts(self) -> str:
        return mounts.LOCALHOST

    def forget(self, task_id: str) -> None:
        """There is nothing to forget."""


@dataclass
class Run:
    """What really runs for a task; `waiting` are the definitions of the containers that have not started yet."""

    task: ecs.Task
    waiting: list[dict]
    containers: dict[str, Container] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)
    ports: Ports | None = None


class Tasks:
    """All tasks that run, in all regions."""

    def __init__(self, place: Place, nodes: Nodes, surroundings: Surroundings | None = None):
        self._place, self._nodes, self._surroundings = place, nodes, surroundings or Nothing()
        self._runs: dict[str, Run] = {}
        self._ports: dict[str, Ports] = defaultdict(Ports)

    def step(self) -> list[ecs.Task]:
        """Start, watch and stop; the tasks that came to their end in this round."""
        ended, known = [], set()
        for backend in ecs.backends():
            for task in ecs.alive(ecs.tasks(backend)):
                known.add(task.task_arn)
                run = self._runs.get(task.task_arn)
                if run is None:
                    run = self._runs[task.task_arn] = Run(task, list(task.definition.container_definitions))
                if task.instance_id:
                    self._start(backend, run)
                    self._watch(backend, run)
                if all(container.exit_code is not None for container in run.containers.values()) and (
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
                "ports": [f"{b['bindIP']}:{b['hostPort']}" for c in run.containers.values() for b in c.bindings],
            }
            for run in list(self._runs.values())
        ]

    def cpu_seconds(self) -> dict[str, float]:
        """What the processes of each task have used so far, by the task's ARN."""
        return {
            arn: sum(container.cpu_seconds() for container in list(run.containers.values()))
            for arn, run in list(self._runs.items())
        }

    def _start(self, backend: ecs.Backend, run: Run) -> None:
        """Start those of the containers that wait whose turn it is."""
        node = self._nodes.get(run.task.instance_id)
        for definition in list(run.waiting) if node else []:
            if run.task.desired_status == "STOPPED":
                return
            try:
                whole = run.task.definition.container_definitions
                if dependencies.may_start(definition, whole, run.waiting, run.containers):
                    run.waiting.remove(definition)
                    self._start_one(backend, run, node, definition)
                    run.since = time.monotonic()
            except dependencies.Unresolvable as error:
                run.waiting.remove(definition)
                _never(run.task, definition, f"CannotStartContainerError: {error}")

    def _start_one(self, backend: ecs.Backend, run: Run, node: Node, definition: dict) -> None:
        task, name = run.task, definition["name"]
        overrides = {one["name"]: one for one in task.overrides.get("containerOverrides") or []}
        unknown = sorted(task.overrides.keys() - {"containerOverrides"})
        shown = next(one for one in task.containers if one["name"] == name)
        run.ports = self._ports[node.address]
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
                override=overrides.get(name),
                credentials=self._surroundings.environment(node, task.definition, task.id),
                hosts=self._surroundings.hosts(),
                ports=run.ports,
            )
        except (ContainerError, OSError) as error:
            reason = str(error) if isinstance(error, ContainerError) else f"CannotStartContainerError: {error}"
            shown["reason"] = reason
            ecs.stop(task, reason, "TaskFailedToStart")
        except Exception:
            ecs.stop(task, "InternalError: see the cloud's log", "TaskFailedToStart")
            raise
        else:
            run.containers[name] = container
            shown["networkBindings"] = container.bindings

    def _watch(self, backend: ecs.Backend, run: Run) -> None:
        task = run.task
        self._see_host(backend, run)
        for container in run.containers.values():
            container.step()
            if container.exit_code is not None and container.essential:
                ecs.stop(task, "Essential container in task exited", "EssentialContainerExited")
        if task.desired_status == "STOPPED":
            self._stop(run)
        elif task.last_status == "PENDING" and not run.waiting and time.monotonic() - run.since >= ALIVE_SECONDS:
            task.last_status, task.started_at = "RUNNING", ecs.utcnow()
        _show(run)

    def _stop(self, run: Run) -> None:
        """Ask the containers to end, first those that others do not wait for."""
        if ecs.waits_for_targets(run.task):
            run.task.last_status = "DEACTIVATING"
            return
        if run.task.last_status == "DEACTIVATING":
            run.task.last_status = "STOPPING"
        for name, container in run.containers.items():
            if dependencies.may_stop(name, run.task.definition.container_definitions, run.containers):
                container.stop()

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
        for container in run.containers.values():
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
        for container in run.containers.values():
            container.stop(timeout)
            container.step()
        if all(container.exit_code is not None for container in run.containers.values()):
            for container in run.containers.values():
                run.ports.release(container.bindings)
            self._surroundings.forget(run.task.id)
            shutil.rmtree(self._place.folder("volumes", run.task.id), ignore_errors=True)
            del self._runs[run.task.task_arn]


def _never(task: ecs.Task, definition: dict, reason: str) -> None:
    """A container that will never start; with an essential one the task fails."""
    shown = next(one for one in task.containers if one["name"] == definition["name"])
    shown |= {"lastStatus": "STOPPED", "exitCode": NEVER_STARTED, "reason": reason}
    if definition.get("essential", True):
        ecs.stop(task, "Task failed to start", "TaskFailedToStart")


def _show(run: Run) -> None:
    """The state of the containers as DescribeTasks tells it."""
    shown = {one["name"]: one for one in run.task.containers}
    for name, container in run.containers.items():
        if container.exit_code is None:
            shown[name]["lastStatus"] = (
                "RUNNING" if time.monotonic() - container.started >= ALIVE_SECONDS else "PENDING"
            )
        else:
            shown[name] |= {"lastStatus": "STOPPED", "exitCode": container.exit_code}

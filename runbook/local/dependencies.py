"""The order of a task's containers (`dependsOn`), as the ECS agent keeps it.

https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html and the agent's
engine/dependencygraph/graph.go
"""

import time

from .container import Container


class Unresolvable(Exception):
    """A container that can never start, because of what became of another; the text is the agent's."""


def may_start(definition: dict, definitions: list[dict], waiting: list[dict], started: dict[str, Container]) -> bool:
    """Whether what a container waits for has come; Unresolvable if it never will.

    What is neither in `waiting` nor in `started` will never start.
    """
    others = {other["name"]: other for other in definitions}
    due = True
    for dependency in definition.get("dependsOn") or []:
        other = others[dependency["containerName"]]
        container = started.get(other["name"])
        exit_code = container.exit_code if container else None
        if container is None and other not in waiting:
            raise Unresolvable(
                f"dependency graph: because {definition['name']} depends on {other['name']}, which will never start, "
                "it will never start"
            )
        if dependency["condition"] == "SUCCESS" and exit_code:
            raise Unresolvable(
                f"dependency graph: failed to resolve container ordering dependency [{other['name']}({other['image']}) "
                f"(STOPPED->RUNNING) - Exit: {exit_code}] for target [{definition['name']}({definition['image']}) "
                "(NONE->RUNNING)] as dependency did not exit successfully."
            )
        if dependency["condition"] == "START":
            due = due and container is not None
            continue
        if container is not None and exit_code is None and _late(other, container):
            raise Unresolvable(
                f"dependency graph: container ordering dependency [{other['name']}({other['image']}) "
                f"(RUNNING->RUNNING)] for target [{definition['name']}({definition['image']}) (NONE->RUNNING)] "
                "has timed out."
            )
        due = due and exit_code is not None
    return due


def may_stop(name: str, definitions: list[dict], started: dict[str, Container]) -> bool:
    """Whether every container that waited for this one has stopped: the agent stops them in the reverse order."""
    later = [d["name"] for d in definitions if name in [one["containerName"] for one in d.get("dependsOn") or []]]
    return all(started[each].exit_code is not None for each in later if each in started)


def _late(definition: dict, container: Container) -> bool:
    """`startTimeout` (seconds) is that of the container that others wait for, and none unless it is set."""
    timeout = definition.get("startTimeout")
    return bool(timeout) and time.monotonic() - container.started > timeout

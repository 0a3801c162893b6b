"""A changed revision of the task definition, and what becomes of it."""

import copy
from collections.abc import Callable

from ... import revisions, rollout
from ...errors import AwsError
from ...params import Params
from ...session import AWS
from ...wait import wait

_SECONDS = 180
_KEPT = (
    *("family", "networkMode", "containerDefinitions", "volumes", "requiresCompatibilities"),
    *("executionRoleArn", "taskRoleArn"),
)
Edit = Callable[[dict, dict], None]
"""Changes a task definition and the registry's container in it."""


def redefine(aws: AWS, p: Params, edit: Edit) -> str:
    """Put the service on a new revision: the one that it runs, edited. Gives its ARN."""
    runs = rollout.describe(aws, p)["taskDefinition"]
    live = aws.ecs.describe_task_definition(taskDefinition=runs)["taskDefinition"]
    task = {key: copy.deepcopy(live[key]) for key in _KEPT if live.get(key)}
    edit(task, next(each for each in task["containerDefinitions"] if each["name"] == p.container_name))
    tags = revisions.find_active(aws, p)[0]["tags"]
    made = wait("task definition", lambda: _registered(aws, task | {"tags": tags}), timeout=_SECONDS)
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, taskDefinition=made)
    return made


def _registered(aws: AWS, task: dict) -> tuple[str | None, str]:
    """IAM spreads a new role within seconds."""
    try:
        made = aws.ecs.register_task_definition(**task)
    except AwsError as error:
        if "Role is not valid" in error.message:
            return None, error.message
        raise
    return made["taskDefinition"]["taskDefinitionArn"], "registered"


def variables(container: dict) -> dict[str, str]:
    return {pair["name"]: pair["value"] for pair in container["environment"]}


def change(**values: str | None) -> Edit:
    """Sets variables of the registry's container; None takes one away."""

    def edit(_: dict, registry: dict) -> None:
        wanted = {name: value for name, value in (variables(registry) | values).items() if value is not None}
        registry["environment"] = [{"name": name, "value": value} for name, value in wanted.items()]

    return edit


def drop_secret(container: dict, name: str) -> None:
    container["secrets"] = [each for each in container["secrets"] if each["name"] != name]


def until_live(aws: AWS, p: Params, revision: str) -> None:
    rollout.wait_until_steady(aws, p, revision, former=set())


def until_rolled_back(aws: AWS, p: Params, revision: str) -> None:
    """Its tasks have failed, ECS has gone back to the revision before, and that one is steady."""

    def look():
        service = rollout.describe(aws, p)
        found = rollout.deployments(service)
        seen = ", ".join(f"revision {each['taskDefinition'].rsplit(':')[-1]} {each['rolloutState']}" for each in found)
        back = [each["rolloutState"] for each in found] == ["COMPLETED"] and found[0]["taskDefinition"] != revision
        return (back and service["runningCount"] == service["desiredCount"]) or None, seen

    wait(f"the end of revision {revision.rsplit(':')[-1]}", look, timeout=_SECONDS)

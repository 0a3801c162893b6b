"""Edits of a service's task definition, and what becomes of the revision that they make."""

import copy
from collections.abc import Callable

from ... import rollout
from ...errors import AwsError
from ...params import Params
from ...session import AWS
from ...wait import wait

# What DescribeTaskDefinition tells and RegisterTaskDefinition does not take.
_TOLD = ("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
         "registeredBy", "deregisteredAt", "deleteRequestedAt")  # fmt: skip
_SECONDS = 180
Edit = Callable[[dict, dict], None]
"""Changes a task definition and the registry's container in it."""


def register(aws: AWS, p: Params, edit: Edit) -> str:
    """ARN of a new revision of the service's task definition: the present one, edited."""
    service = rollout.describe(aws, p)
    found = aws.ecs.describe_task_definition(taskDefinition=service["taskDefinition"], include=["TAGS"])
    task = {key: copy.deepcopy(value) for key, value in found["taskDefinition"].items() if key not in _TOLD}
    edit(task, next(each for each in task["containerDefinitions"] if each["name"] == p.container_name))

    def look() -> tuple[str | None, str]:
        try:
            made = aws.ecs.register_task_definition(**task, tags=found["tags"])
        except AwsError as error:
            if "Role is not valid" in error.message:  # IAM spreads a new role within seconds
                return None, error.message
            raise
        return made["taskDefinition"]["taskDefinitionArn"], "registered"

    return wait("task definition", look, timeout=_SECONDS)


def redefine(aws: AWS, p: Params, edit: Edit) -> str:
    """Put the service on a new revision: the one that it runs, edited. Gives its ARN."""
    made = register(aws, p, edit)
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, taskDefinition=made)
    return made


def roll_out(aws: AWS, p: Params, edit: Edit) -> None:
    """The same, and wait until all of the service's tasks run it."""
    rollout.wait_until_steady(aws, p, redefine(aws, p, edit), former=set())


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


def roll_back(aws: AWS, p: Params, edit: Edit) -> None:
    """The same, and wait until its tasks have failed, ECS has gone back, and the revision before is steady."""
    revision = redefine(aws, p, edit)

    def look() -> tuple[bool | None, str]:
        service = rollout.describe(aws, p)
        found = rollout.deployments(service)
        seen = ", ".join(f"revision {each['taskDefinition'].rsplit(':')[-1]} {each['rolloutState']}" for each in found)
        back = [each["rolloutState"] for each in found] == ["COMPLETED"] and found[0]["taskDefinition"] != revision
        return (back and service["runningCount"] == service["desiredCount"]) or None, seen

    wait(f"the end of revision {revision.rsplit(':')[-1]}", look, timeout=_SECONDS)

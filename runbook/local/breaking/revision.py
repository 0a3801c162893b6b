"""A running service, given another task definition: the present one, changed."""

import copy
from collections.abc import Callable

from ... import rollout
from ...params import Params
from ...session import AWS
from ...wait import wait

# What DescribeTaskDefinition tells and RegisterTaskDefinition does not take.
_TOLD = ("taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities", "registeredAt",
         "registeredBy", "deregisteredAt", "deleteRequestedAt")  # fmt: skip
_STEADY_SECONDS = 300


def register(aws: AWS, p: Params, change: Callable[[dict], None]) -> str:
    """ARN of a new revision of the service's task definition, in which `change(task)` has changed what it liked."""
    service = rollout.describe(aws, p)
    found = aws.ecs.describe_task_definition(taskDefinition=service["taskDefinition"], include=["TAGS"])
    task = {key: copy.deepcopy(value) for key, value in found["taskDefinition"].items() if key not in _TOLD}
    change(task)
    return aws.ecs.register_task_definition(**task, tags=found["tags"])["taskDefinition"]["taskDefinitionArn"]


def set_variables(task: dict, p: Params, **values: str) -> None:
    """Give the registry's container these variables."""
    container = next(each for each in task["containerDefinitions"] if each["name"] == p.container_name)
    kept = [pair for pair in container["environment"] if pair["name"] not in values]
    container["environment"] = kept + [{"name": name, "value": value} for name, value in values.items()]


def roll_out(aws: AWS, p: Params, change: Callable[[dict], None]) -> None:
    """Register the changed task definition and wait until all of the service's tasks run it."""
    arn = register(aws, p, change)
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, taskDefinition=arn)
    rollout.wait_until_steady(aws, p, arn, former=set())


def wait_for(what: str, is_there: Callable[[], bool]) -> None:
    """Until the symptom shows."""
    wait(what, lambda: (is_there() or None, "the symptom shows" if is_there() else "not yet"), timeout=_STEADY_SECONDS)

"""Edits of a service's task definition, and what becomes of the revision that they make."""

from collections.abc import Callable

from ... import rollout
from ...errors import AwsError
from ...params import Params
from ...session import AWS
from ...wait import wait
from .revision import register

_SECONDS = 180
Edit = Callable[[dict, dict], None]
"""Changes a task definition and the registry's container in it."""


def redefine(aws: AWS, p: Params, edit: Edit) -> str:
    """Put the service on a new revision: the one that it runs, edited. Gives its ARN."""

    def change(task: dict) -> None:
        edit(task, next(each for each in task["containerDefinitions"] if each["name"] == p.container_name))

    def look() -> tuple[str | None, str]:
        try:
            return register(aws, p, change), "registered"
        except AwsError as error:
            if "Role is not valid" in error.message:  # IAM spreads a new role within seconds
                return None, error.message
            raise

    made = wait("task definition", look, timeout=_SECONDS)
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, taskDefinition=made)
    return made


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

    def look() -> tuple[bool | None, str]:
        service = rollout.describe(aws, p)
        found = rollout.deployments(service)
        seen = ", ".join(f"revision {each['taskDefinition'].rsplit(':')[-1]} {each['rolloutState']}" for each in found)
        back = [each["rolloutState"] for each in found] == ["COMPLETED"] and found[0]["taskDefinition"] != revision
        return (back and service["runningCount"] == service["desiredCount"]) or None, seen

    wait(f"the end of revision {revision.rsplit(':')[-1]}", look, timeout=_SECONDS)

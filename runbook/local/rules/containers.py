"""What ECS refuses. A client that validates first never sees these; one that does not fails here as on AWS."""

import re

from ..inside import account
from ..inside.dispatch import Refused

FAMILY = re.compile(r"[A-Za-z0-9_-]{1,255}")
MOST_SERVICES = 10


def register_task_definition(params: dict, region: str) -> None:
    """RegisterTaskDefinition: the constraints of its parameters and of ContainerDefinition."""
    if not FAMILY.fullmatch(params.get("family", "")):
        raise _client("Family must be 1 to 255 letters, numbers, hyphens and underscores.")
    containers = params.get("containerDefinitions", [])
    if not any(container.get("essential", True) for container in containers):
        raise _client("Task definition does not have any essential containers.")
    volumes = {volume.get("name") for volume in params.get("volumes", [])}
    for container in containers:
        _container(container, params, volumes)
    for kind in ("taskRoleArn", "executionRoleArn"):
        if role := params.get(kind):
            _role(role)


def _container(container: dict, params: dict, volumes: set[str]) -> None:
    name = container.get("name", "")
    for mount in container.get("mountPoints", []):
        if mount.get("sourceVolume") not in volumes:
            raise _client(f"Unknown volume '{mount.get('sourceVolume')}'.")
    logging = container.get("logConfiguration", {})
    if logging.get("logDriver") == "awslogs":
        for option in ("awslogs-group", "awslogs-region"):
            if not logging.get("options", {}).get(option):
                raise _client(f"Log driver awslogs requires option '{option}'.")
    if container.get("secrets") and not params.get("executionRoleArn"):
        raise _client(
            "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."
        )
    reserved, limit = container.get("memoryReservation"), container.get("memory")
    if reserved and limit and reserved > limit:
        raise _client(f"Invalid setting for container '{name}'. 'memoryReservation' must not exceed 'memory'.")
    for mapping in container.get("portMappings", []):
        _port(mapping, params.get("networkMode"))


def _port(mapping: dict, mode: str | None) -> None:
    inside, outside = mapping.get("containerPort"), mapping.get("hostPort")
    for port in (inside, outside):
        if port is not None and not 0 <= port <= 65535:
            raise _client(f"Port {port} is not within 0 and 65535.")
    if mode in ("host", "awsvpc") and outside is not None and outside != inside:
        raise _client(f"When networkMode={mode}, the host ports and container ports in port mappings must match.")


def _role(arn: str) -> None:
    """A role is passed by its ARN, or by its name alone."""
    if not account.role_exists(arn):
        raise _client("Role is not valid")


def create_service(params: dict, region: str) -> None:
    """CreateService: the container and the port of a load balancer must exist, and the load balancer."""
    _load_balancers(params, region)


def update_service(params: dict, region: str) -> None:
    """UpdateService: only an active service; containers and ports of a new load balancer must exist."""
    if "loadBalancers" in params:
        _load_balancers(params, region)


def _load_balancers(params: dict, region: str) -> None:
    definition = account.task_definition(region, params.get("taskDefinition") or "")
    if definition is None:
        return
    containers = {each["name"]: each for each in definition.container_definitions}
    for wanted in params.get("loadBalancers", []):
        name, port = wanted.get("containerName"), wanted.get("containerPort")
        if name not in containers:
            raise _invalid(f"The container {name} does not exist in the task definition.")
        if port not in [each.get("containerPort") for each in containers[name].get("portMappings", [])]:
            raise _invalid(f"The container {name} did not have a container port {port} defined.")
        balancer = wanted.get("loadBalancerName")
        if balancer and account.classic_balancer(region, balancer) is None:
            raise _invalid(f"Unable to describe the load balancer {balancer}: it does not exist.")


def describe_services(params: dict, region: str) -> None:
    """DescribeServices: "You may specify up to 10 services to describe in a single operation"."""
    if len(params.get("services", [])) > MOST_SERVICES:
        raise _invalid(f"Services cannot have more than {MOST_SERVICES} elements.")


def _client(message: str) -> Refused:
    return Refused("ClientException", message)


def _invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", message)


RULES = {
    ("ecs", "RegisterTaskDefinition"): register_task_definition,
    ("ecs", "CreateService"): create_service,
    ("ecs", "UpdateService"): update_service,
    ("ecs", "DescribeServices"): describe_services,
}

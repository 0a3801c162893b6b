"""What ECS refuses. A client that validates first never sees these; one that does not fails here as on AWS."""

import re

from ..inside import account, elbv2
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
    for volume in params.get("volumes", []):
        _volume(volume)
    _order(containers)
    if params.get("networkMode") == "awsvpc" and any(each.get("links") for each in containers):
        raise _client("Links are not supported when networkMode=awsvpc.")
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


def _volume(volume: dict) -> None:
    docker = volume.get("dockerVolumeConfiguration")
    if docker and (volume.get("host") or {}).get("sourcePath"):
        raise _client("When the volume parameter is specified, only one volume configuration type should be used.")
    if docker and docker.get("autoprovision") and docker.get("scope", "task") == "task":
        raise _client("'autoprovision' is only supported for a Docker volume of the scope 'shared'.")


def _order(containers: list[dict]) -> None:
    """`dependsOn` must name containers of the task, in no circle, and wait for the end of no essential one."""
    named = {container["name"]: container for container in containers}
    if len(named) != len(containers):
        raise _client("Container.name contains duplicate values")
    before = {
        name: {one["containerName"] for one in container.get("dependsOn", [])} for name, container in named.items()
    }
    for container in containers:
        for dependency in container.get("dependsOn", []):
            other = named.get(dependency["containerName"])
            if other is None:
                raise _client(
                    f"Invalid container dependency: {dependency['containerName']} is not in the task definition."
                )
            if dependency["condition"] in ("SUCCESS", "COMPLETE") and other.get("essential", True):
                raise _client(
                    "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
                )
    while free := [name for name, others in before.items() if not others & before.keys()]:
        for name in free:
            del before[name]
    if before:
        raise _client("Cyclic container dependencies are not allowed.")


def _port(mapping: dict, mode: str | None) -> None:
    inside, outside = mapping.get("containerPort"), mapping.get("hostPort")
    for port in (inside, outside):
        if port is not None and not 0 <= port <= 65535:
            raise _client(f"Port {port} is not within 0 and 65535.")
    if mode in ("host", "awsvpc") and outside is not None and outside != inside:
        raise _client(f"When networkMode={mode}, the host ports and container ports in port mappings must match.")


def _role(arn: str) -> None:
    """A role is passed by its ARN, or by its name alone."""
    if not account.role_is_known(arn):
        raise _client("Role is not valid")


def create_service(params: dict, region: str) -> None:
    """CreateService: its load balancers must exist, and their container and port; what they need must be told."""
    _linked_role()
    _network(params, account.task_definition(region, params.get("taskDefinition") or ""))
    _load_balancers(params, region, account.task_definition(region, params.get("taskDefinition") or ""))
    _placement(params)
    if params.get("healthCheckGracePeriodSeconds") and not params.get("loadBalancers"):
        raise _invalid("Health check grace period is only valid for services configured to use load balancers")


def create_cluster(params: dict, region: str) -> None:
    """CreateCluster: the role of ECS itself must be usable ("Using service-linked roles for Amazon ECS")."""
    _linked_role()


def _linked_role() -> None:
    if account.linked_role_is_fresh("ecs.amazonaws.com"):
        raise _invalid(
            "Unable to assume the service linked role. Please verify that the ECS service linked role exists."
        )


def _network(params: dict, definition) -> None:
    """CreateService, networkConfiguration: "required for … the awsvpc network mode … not supported for other"."""
    awsvpc = definition is not None and definition.network_mode == "awsvpc"
    if awsvpc and not params.get("networkConfiguration"):
        raise _invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if definition is not None and not awsvpc and params.get("networkConfiguration"):
        raise _invalid("Network Configuration is not valid for the given networkMode of this task definition.")


def update_service(params: dict, region: str) -> None:
    """UpdateService: a new load balancer is looked at as for a new service, with the service's task definition."""
    _placement(params)
    if "loadBalancers" in params:
        service = account.service(region, params.get("cluster") or "default", params["service"])
        name = params.get("taskDefinition") or (service.task_definition if service else "")
        _load_balancers(params, region, account.task_definition(region, name))


def _load_balancers(params: dict, region: str, definition) -> None:
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
        if balancer and definition.network_mode == "awsvpc":
            raise _invalid("Classic Load Balancers are not supported with the awsvpc network mode.")
        if balancer and account.classic_balancer(region, balancer) is None:
            raise _invalid(f"Unable to describe the load balancer {balancer}: it does not exist.")
        if group := wanted.get("targetGroupArn"):
            _target_group(group, region, definition.network_mode)


def _target_group(arn: str, region: str, mode: str) -> None:
    group = account.target_group(region, arn)
    if group is None:
        raise _invalid(f"The target group {arn} does not exist.")
    if group.target_type != ("ip" if mode == "awsvpc" else "instance"):
        raise _invalid(
            f"The provided target group {arn} has target type {group.target_type}, which is incompatible with the "
            f"{mode} network mode specified in the task definition."
        )
    if not elbv2.attached(region, arn):
        raise _invalid(f"The target group with targetGroupArn {arn} does not have an associated load balancer.")


def _placement(params: dict) -> None:
    """PlacementStrategy: the fields that each type knows."""
    for rule in params.get("placementStrategy") or []:
        kind, field = rule.get("type"), rule.get("field", "")
        good = {
            "random": not field,
            "binpack": field.lower() in ("cpu", "memory"),
            "spread": field in ("instanceId", "host") or field.startswith("attribute:"),
        }
        if not good.get(kind):
            raise _invalid(f"Placement strategy {kind} with field '{field}' is invalid.")


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
    ("ecs", "CreateCluster"): create_cluster,
    ("ecs", "CreateService"): create_service,
    ("ecs", "UpdateService"): update_service,
    ("ecs", "DescribeServices"): describe_services,
}

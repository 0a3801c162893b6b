"""The deployment as the audit's questions look at it: what several of them want to know is read once."""

import datetime
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import yaml

from .. import config, lint
from ..session import AWS

_AT_ONCE = 100  # container instances that one call describes
_DYNAMIC = (32768, 65535)  # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html


class Deployment:
    """One ECS service, and cached reads of what stands behind it."""

    def __init__(self, aws: AWS, service: dict, now: datetime.datetime):
        self.aws, self.service, self.now = aws, service, now
        self.cluster = service["clusterArn"].rsplit("/")[-1]
        self._once: dict[tuple, Any] = {}

    def once(self, key: tuple, read: Callable[[], Any]) -> Any:
        """What `read` gives, read once for that key."""
        if key not in self._once:
            self._once[key] = read()
        return self._once[key]

    def age(self, moment: datetime.datetime) -> int:
        return max((self.now - moment).days, 0)

    def arn_of_bucket(self, name: str) -> str:
        """In the service's own partition: aws, aws-cn or aws-us-gov."""
        return f"arn:{self.service['serviceArn'].split(':')[1]}:s3:::{name}"

    @cached_property
    def task(self) -> dict:
        return self.aws.ecs.describe_task_definition(taskDefinition=self.service["taskDefinition"])["taskDefinition"]

    @property
    def title(self) -> str:
        return f"task definition {self.task['family']}:{self.task['revision']}"

    @property
    def network_mode(self) -> str:
        return self.task.get("networkMode", "bridge")

    @cached_property
    def registry(self) -> dict:
        """The container that the balancer leads to; else the one with the registry's variables, else the first."""
        containers = self.task["containerDefinitions"]
        balanced = {each.get("containerName") for each in self.service.get("loadBalancers", [])}
        for is_it in (
            lambda each: each["name"] in balanced,
            lambda each: any(name.startswith("REGISTRY_") for name in variables(each)),
            lambda each: True,
        ):
            if fitting := [each for each in containers if is_it(each)]:
                return fitting[0]
        raise AssertionError("ECS registers no task definition without a container")

    @property
    def environment(self) -> dict[str, str]:
        return variables(self.registry)

    @property
    def from_secrets(self) -> set[str]:
        return {each["name"] for each in self.registry.get("secrets", [])}

    @property
    def major(self) -> int | None:
        """The registry's major version, where the image's tag tells it, or the path of its configuration."""
        if told := lint.image_version(self.registry["image"]):
            return told[0]
        command = self.registry.get("command") or []
        return next((major for major, path in config.CONFIG_PATHS.items() if path in command), None)

    @property
    def ends_tls(self) -> bool:
        """Whether the registry itself speaks TLS."""
        return "REGISTRY_HTTP_TLS_CERTIFICATE" in self.environment.keys() | self.from_secrets

    @property
    def ports(self) -> tuple[int, int]:
        """The first and the last port by which the registry may be reached at its address."""
        mappings = self.registry.get("portMappings", [])
        serving = [each for each in mappings if each["containerPort"] == self._container_port] or mappings[:1]
        if not serving:
            return (self._container_port, self._container_port)
        inside, outside = serving[0]["containerPort"], serving[0].get("hostPort", 0)
        if self.network_mode != "bridge":
            return (inside, inside)
        return (outside, outside) if outside else _DYNAMIC

    @property
    def _container_port(self) -> int:
        return next((each["containerPort"] for each in self.service.get("loadBalancers", [])), 5000)

    @property
    def fixed_port(self) -> int | None:
        """The nodes' port that the task takes for itself, if it takes one."""
        first, last = self.ports
        return first if first == last and self.network_mode in ("bridge", "host") else None

    @cached_property
    def container_instances(self) -> list[dict]:
        arns = self.aws.ecs.all("list_container_instances", "containerInstanceArns", cluster=self.cluster)
        return [
            each
            for some in _in_parts(arns)
            for each in self.aws.ecs.describe_container_instances(cluster=self.cluster, containerInstances=some)[
                "containerInstances"
            ]
        ]

    @cached_property
    def nodes(self) -> list[dict]:
        """The EC2 instances of the cluster."""
        ids = sorted(each["ec2InstanceId"] for each in self.container_instances if each.get("ec2InstanceId"))
        return [
            instance
            for some in _in_parts(ids)
            for reservation in self.aws.ec2.all(
                "describe_instances", "Reservations", Filters=[{"Name": "instance-id", "Values": some}]
            )
            for instance in reservation["Instances"]
        ]


def variables(container: dict) -> dict[str, str]:
    """The container's plain variables; ECS keeps the last of two of a name."""
    return {each["name"]: each.get("value", "") for each in container.get("environment", [])}


def redis(environment: dict[str, str]) -> dict[str, Any]:
    """The registry's redis section, as far as variables say it: `addrs` is a list in any version."""
    whole = _yaml(environment.get("REGISTRY_REDIS", ""))
    told = dict(whole) if isinstance(whole, dict) else {}
    for name in ("ADDR", "ADDRS", "PASSWORD"):
        if value := environment.get(f"REGISTRY_REDIS_{name}"):
            told[name.lower()] = _yaml(value) if name == "ADDRS" else value
    addresses = told.get("addrs") or told.get("addr") or []
    return told | {"addrs": [addresses] if isinstance(addresses, str) else list(addresses)}


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _in_parts(items: list) -> Iterator[list]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]

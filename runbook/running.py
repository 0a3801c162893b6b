"""The nodes that run now: those that take the htpasswd file, and that stand behind the balancer."""

from typing import NamedTuple

from . import instances
from .params import Params
from .session import AWS


class Node(NamedTuple):
    """One running node: its name, as reports show it, its EC2 instance's id, and its tags."""

    name: str
    id: str
    tags: dict[str, str]


def running_nodes(aws: AWS, p: Params) -> list[Node]:
    """The deployment's nodes that EC2 calls running, sorted by name."""
    if p.scales:
        running = [instance for instance in instances.of_group(aws, p) if instances.state(instance) == "running"]
        found = instances.named_by_zone(p, running)
    else:
        found = instances.read(aws, p).nodes
    return [
        Node(name, instance["InstanceId"], {tag["Key"]: tag["Value"] for tag in instance["Tags"]})
        for name, instance in sorted(found.items())
        if instances.state(instance) == "running"
    ]

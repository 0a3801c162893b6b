"""Capacity providers inside moto, as draining and managed scaling see them: their groups, instances and tasks."""

from dataclasses import dataclass
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ecs.models import ContainerInstance, ecs_backends

from . import autoscaling, ecs, ecs_capacity, launching


@dataclass(frozen=True)
class Provider:
    """A capacity provider of a cluster, and the Auto Scaling group that it stands for."""

    region: str
    cluster: str
    name: str
    group: str
    details: dict[str, Any]

    @property
    def drains(self) -> bool:
        """Managed draining is on unless it was switched off (ECS guide, "Managed instance draining")."""
        return self.details.get("managedDraining", "ENABLED") == "ENABLED"

    @property
    def scaling(self) -> dict[str, Any] | None:
        scaling = self.details.get("managedScaling") or {}
        return scaling if scaling.get("status") == "ENABLED" else None


def providers() -> list[Provider]:
    """Those that a cluster uses, of every region."""
    return [
        Provider(region, cluster.name, provider.name, ecs_capacity.group_name(details["autoScalingGroupArn"]), details)
        for region, backend in list(ecs_backends[ACCOUNT].items())
        for cluster in list(backend.clusters.values())
        for provider in [backend._get_provider(name) for name in cluster.capacity_providers or []]
        if cluster.status == "ACTIVE" and provider and (details := provider.auto_scaling_group_provider)
    ]


def drain(region: str, instance_id: str) -> bool:
    """Set an instance's container instances DRAINING; whether a task still lives on one of them."""
    busy = False
    with ecs.LOCK:
        backend = ecs_backends[ACCOUNT][region]
        for instance in _members(region, instance_id):
            instance.status = "DRAINING"
            arn = instance.container_instance_arn
            found = ecs.alive(ecs.tasks(backend, cluster=instance.cluster_name))
            busy = busy or any(task.container_instance_arn == arn for task in found)
    return busy


def has_joined(region: str, instance_id: str) -> bool:
    """Whether an instance is registered with a cluster."""
    return bool(_members(region, instance_id))


def needed(region: str, group: str, waiting: list[ecs.Task]) -> int:
    """How many new instances of a group the waiting tasks need; a task that is larger than one needs none.

    First fit by CPU, memory and fixed host ports, in the order in which the tasks came.
    """
    found = autoscaling.group(region, group)
    if found is None or not waiting:
        return 0
    size = launching.registers(found)
    rooms: list[dict[str, Any]] = []
    for wanted in [ecs.needs(task.definition) for task in waiting]:
        if any(wanted[name] > size[name] for name in size):
            continue
        room = next((room for room in rooms if _fits(room, wanted)), None)
        if room is None:
            room = size | {"PORTS": set()}
            rooms.append(room)
        for name in size:
            room[name] -= wanted[name]
        room["PORTS"] |= set(wanted["PORTS"])
    return len(rooms)


def _fits(room: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return (
        wanted["CPU"] <= room["CPU"] and wanted["MEMORY"] <= room["MEMORY"] and not room["PORTS"] & {*wanted["PORTS"]}
    )


def _members(region: str, instance_id: str) -> list[ContainerInstance]:
    found = [
        each
        for cluster in list(ecs_backends[ACCOUNT][region].container_instances.values())
        for each in list(cluster.values())
    ]
    return [each for each in found if each.ec2_instance_id == instance_id]

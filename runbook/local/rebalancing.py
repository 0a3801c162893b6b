"""Availability Zone rebalancing of an ECS service: which zones have too many of its tasks, and which too few.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
"""

from collections import Counter

from .inside import ecs, ecs_capacity, ecs_placement


def census(backend: ecs.Backend, service: ecs.Service, tasks: list[ecs.Task]) -> Counter[str]:
    """How many of the tasks stand in each zone in which the service could have one."""
    provider = ecs_capacity.named(service.capacity_provider_strategy)
    instances = ecs_placement.instances(backend, service.cluster_name, provider)
    counts = Counter({ecs_placement.value(each, ecs_placement.ZONE): 0 for each in instances})
    counts.update(task.availability_zone for task in tasks)
    return counts


def uneven(counts: Counter[str]) -> bool:
    """Whether one task more in the poorest zone and one less in the richest brings them nearer to each other."""
    return bool(counts) and max(counts.values()) - min(counts.values()) > 1


def poorest(counts: Counter[str]) -> str:
    return min(counts, key=lambda zone: (counts[zone], zone))


def leaver(backend: ecs.Backend, service: ecs.Service, tasks: list[ecs.Task]) -> tuple[str, ecs.Task]:
    """The richest zone, and the task that is to stop in it."""
    [(zone, _)] = census(backend, service, tasks).most_common(1)
    there = [task for task in tasks if task.availability_zone == zone]
    return zone, ecs_placement.least_wanted(backend, service.cluster_name, there)

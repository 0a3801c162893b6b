"""New tasks of a service's deployment, and their places on the instances."""

from contextlib import suppress

from .inside import ecs, ecs_capacity, ecs_placement


def room(
    backend: ecs.Backend, service: ecs.Service, deployment: dict, *, zone: str | None = None
) -> ecs.ContainerInstance:
    """The instance for one more task of a deployment, in one zone only if it is named; LookupError if there is none."""
    return ecs_placement.choose(
        backend,
        service.cluster_name,
        deployment["definition"],
        f"service:{service.name}",
        provider=ecs_capacity.named(deployment.get("capacityProviderStrategy") or []),
        strategy=service.placement_strategy,
        zone=zone,
    )


def new_task(
    backend: ecs.Backend, service: ecs.Service, deployment: dict, instance: ecs.ContainerInstance | None
) -> ecs.Task:
    """One task more of a deployment; without an instance it waits for one."""
    return ecs.new_task(
        backend,
        backend.clusters[service.cluster_name],
        deployment["definition"],
        group=f"service:{service.name}",
        instance=instance,
        provider=ecs_capacity.named(deployment.get("capacityProviderStrategy") or []),
        started_by=deployment["id"],
        load_balancers=deployment["loadBalancers"],
        strategy=service.placement_strategy,
    )


def place_waiting(backend: ecs.Backend) -> None:
    """Give the tasks that wait for an instance their place on one that has come."""
    waiting = [task for task in ecs.tasks(backend) if task.last_status == "PROVISIONING"]
    for task in [task for task in waiting if task.desired_status == "RUNNING"]:
        provider = task.capacity_provider_name
        with suppress(LookupError):  # none has come yet
            instance = ecs_placement.choose(
                backend, task.cluster_name, task.definition, task.group, provider=provider, strategy=task.strategy
            )
            ecs.place(backend, task, instance)

"""What the tasks of each service use of the processor, from which CloudWatch's CPUUtilization is made."""

from .inside import ecs
from .tasks import Tasks


class Usage:
    """CPU seconds by service. The sum of a service does not become smaller when one of its tasks goes."""

    def __init__(self, tasks: Tasks):
        self._tasks = tasks
        self._totals: dict[tuple[str, str, str], float] = {}
        self._seen: dict[str, float] = {}

    def read(self) -> list[dict]:
        """For each service region, cluster, service, cpu_seconds (a sum that grows) and reserved_cpu (CPU units)."""
        now, found = self._tasks.cpu_seconds(), []
        for backend in ecs.backends():
            for service in ecs.services(backend):
                key = backend.region_name, service.cluster_name, service.name
                mine = ecs.tasks(backend, cluster=service.cluster_name, group=f"service:{service.name}")
                running = [task for task in mine if task.last_status == "RUNNING"]
                grown = [
                    max(0.0, now[task.task_arn] - self._seen.get(task.task_arn, 0.0))
                    for task in running
                    if task.task_arn in now
                ]
                self._totals[key] = self._totals.get(key, 0.0) + sum(grown)
                found.append(
                    {
                        "region": backend.region_name,
                        "cluster": service.cluster_name,
                        "service": service.name,
                        "cpu_seconds": self._totals[key],
                        "reserved_cpu": sum(task.resource_requirements["CPU"] for task in running),
                    }
                )
        self._seen = now
        return found

"""The targets of load-balanced services: the scheduler registers its tasks with target groups, and takes them out."""

from datetime import timedelta

from .inside import ecs, elbv2

Target = tuple[str, str, int]  # target group, instance, port


class Targets:
    """One round's view of the target groups of a region; each is read once."""

    def __init__(self, region: str):
        self._region = region
        self._health: dict[str, dict[tuple[str, int], elbv2.Health]] = {}

    def state(self, target: Target) -> str | None:
        """initial, healthy, unhealthy, draining or unused; None for what is not, or no longer, in its group."""
        seen = self._seen(target)
        return seen.state if seen else None

    def reason(self, target: Target) -> str | None:
        """Why a target is in its state, in the words of DescribeTargetHealth."""
        seen = self._seen(target)
        return seen.description if seen else None

    def _seen(self, target: Target) -> elbv2.Health | None:
        arn, instance_id, port = target
        if arn not in self._health:
            self._health[arn] = elbv2.healths(self._region, arn)
        return self._health[arn].get((instance_id, port))

    def ready(self, task: ecs.Task) -> bool:
        """Whether a task runs and, where its service is load-balanced, every target of it is healthy."""
        if (task.desired_status, task.last_status) != ("RUNNING", "RUNNING"):
            return False
        return len(task.targets) == len(groups(task)) and all(self.state(each) == "healthy" for each in task.targets)

    def register(self, task: ecs.Task) -> list[str]:
        """Register what of a running task is not yet; the groups that got a target."""
        known = [arn for arn, *_ in task.targets]
        due = [wanted for wanted in groups(task) if wanted["targetGroupArn"] not in known]
        due = [wanted for wanted in due if elbv2.attached(self._region, wanted["targetGroupArn"])]
        for wanted in due if (task.desired_status, task.last_status) == ("RUNNING", "RUNNING") else []:
            target = (wanted["targetGroupArn"], task.instance_id, host_port(task, wanted))
            elbv2.register_target(self._region, *target)
            task.targets.append(target)
            self._health.pop(target[0], None)
        return [arn for arn, *_ in task.targets if arn not in known]

    def release(self, task: ecs.Task) -> list[str]:
        """Deregister a task that is to stop; the groups that began to drain. A target stays until it is drained."""
        begun = []
        for target in list(task.targets):
            if self.state(target) not in (None, "draining"):
                elbv2.deregister_target(self._region, *target)
                self._health.pop(target[0], None)
                begun.append(target[0])
            if self.state(target) is None:
                task.targets.remove(target)
        return begun

    def forget(self, task: ecs.Task) -> None:
        """Take a task that has ended out of its groups; nothing waits until they have drained."""
        self.release(task)
        task.targets = []

    def failing(self, task: ecs.Task, grace: int) -> Target | None:
        """The target of a running task that is unhealthy, when `grace` seconds since its start are over."""
        if task.desired_status != "RUNNING" or not task.targets or ecs.utcnow() < task.started_at + timedelta(0, grace):
            return None
        return next((target for target in task.targets if self.state(target) == "unhealthy"), None)


def groups(task: ecs.Task) -> list[dict]:
    """The target groups that a task belongs to, each with its container and port."""
    return [each for each in task.load_balancers if each.get("targetGroupArn")]


def host_port(task: ecs.Task, wanted: dict) -> int:
    container = next(each for each in task.containers if each["name"] == wanted["containerName"])
    bindings = container["networkBindings"]
    return next(each["hostPort"] for each in bindings if each["containerPort"] == wanted["containerPort"])

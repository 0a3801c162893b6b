"""The balancer's targets: the service's tasks, which ECS registers with the target group and takes out again."""

from . import instances, lease, rollout, target_group, target_health, wait
from .errors import AwsError, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS

# Seconds in which ECS does not stop a new task for failed checks: a registry listens within a few seconds, and is
# healthy after two checks.
_GRACE = 60
_PERIOD = "healthCheckGracePeriodSeconds"
_HEALTHY_WITHIN = 300  # seconds
_SOON = {
    "does not have an associated load balancer": "ECS does not know the listener of the target group yet",
    "only valid for services configured to use load balancers": "ECS does not know the service's target group yet",
}
_FIXED = "none: the classic balancer sends to the nodes"


def want_targets(p: Params) -> Document:
    """What the service says of its balancer, with the target group by its name."""
    if not p.scales:
        return Document(targets=_FIXED)
    group = {"targetGroupArn": p.target_group_name, "containerName": p.container_name, "containerPort": p.port}
    return Document(loadBalancers=[group], healthCheckGracePeriodSeconds=_GRACE)


def find_targets(aws: AWS, p: Params) -> Document | None:
    """The same of what is. None while no target group is attached."""
    return _in_words(p, rollout.describe(aws, p), target_group.describe(aws, p)) if p.scales else want_targets(p)


@lease.exclusive
def ensure_targets(aws: AWS, p: Params) -> Changes:
    """Attach the target group to the service, take targets out that are none of its tasks, and wait until as many as
    `replicas` are healthy.

    The service is made without one, as ECS takes no target group to which no listener leads. StepFailed when the
    service, the group or its listener is missing, or when the tasks do not become healthy.
    """
    if not p.scales:
        return _fixed().changes.done
    service, group = rollout.describe(aws, p), target_group.describe(aws, p)
    if service is None or service["status"] != "ACTIVE":
        raise StepFailed(f"service {p.service_name} is not there; run notebook 04_launch_your_service first")
    if group is None or not group.get("LoadBalancerArns"):
        raise StepFailed(
            f"target group {p.target_group_name} {'has no listener' if group else 'is not there'}; "
            "run notebook 05_configure_https_on_the_load_balancer from its start"
        )
    found, wanted = _in_words(p, service, group), want_targets(p)
    report, former = compare(_title(p), wanted, found), set()
    if found is None or found["loadBalancers"] != wanted["loadBalancers"]:
        former = {each["id"] for each in rollout.deployments(service)}
        attached = [each | {"targetGroupArn": group["TargetGroupArn"]} for each in wanted["loadBalancers"]]
        wait.wait(_title(p), lambda: _updated(aws, p, loadBalancers=attached), timeout=120, every=3)
    if found is None or found[_PERIOD] != _GRACE:
        wait.wait(_title(p), lambda: _updated(aws, p, **{_PERIOD: _GRACE}), timeout=120, every=3)
    rollout.wait_until_steady(aws, p, service["taskDefinition"], former=former)
    if strange := _strange(aws, p):
        targets = [{"Id": instance, "Port": port} for instance, port in sorted(strange)]
        which = {"TargetGroupArn": group["TargetGroupArn"], "Targets": targets}
        aws.elbv2.find("deregister_targets", {"InvalidTarget"}, **which)  # its instance may be gone by now
        report = _check_strange(report, strange)
    wait.wait(_title(p), lambda: _healthy(aws, p), timeout=_HEALTHY_WITHIN, every=2)
    return report.changes.done


def verify_targets(aws: AWS, p: Params) -> Report:
    """Attached, as many healthy targets as `replicas`, and no target that is not one of the service's tasks."""
    if not p.scales:
        return _fixed()
    report = compare(_title(p), want_targets(p), find_targets(aws, p))
    if report.absent:
        return report
    targets = target_health.health(aws, p)
    wanted, ok = f"at least {p.replicas}", target_health.count(targets, "healthy") >= p.replicas
    report = report.check("healthy targets", ok, wanted, wanted if ok else target_health.words(p, targets))
    return _check_strange(report, _strange(aws, p))


@lease.exclusive
def destroy_targets(aws: AWS, p: Params) -> Changes:
    """Take the service out of the balancer: no task is left, and none of its targets.

    The service keeps the name of the group until it goes itself. ECS takes an empty list for it as well, but what it
    then makes of the grace period, which a service without a balancer must not have, is not documented.
    """
    if not p.scales:
        return destroyed(_title(p), False)
    service = rollout.describe(aws, p)
    attached = bool(service and service["status"] == "ACTIVE" and service.get("loadBalancers"))
    running = attached and service["desiredCount"] > 0
    if running:
        aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, desiredCount=0)
    if target_health.health(aws, p):
        wait.wait(_title(p), lambda: _gone(aws, p), timeout=rollout.stop_timeout(p), every=2)
    return destroyed(_title(p), running)


def _title(p: Params) -> str:
    return f"targets of {p.balancer_name}"


def _fixed() -> Report:
    return Report("targets").check("targets", True, _FIXED, _FIXED)


def _in_words(p: Params, service: dict | None, group: dict | None) -> Document | None:
    if service is None or service["status"] != "ACTIVE" or not service.get("loadBalancers"):
        return None
    present = group["TargetGroupArn"] if group else None
    attached = [
        each | {"targetGroupArn": p.target_group_name if each.get("targetGroupArn") == present else "another group"}
        for each in service["loadBalancers"]
    ]
    return Document({"loadBalancers": attached, _PERIOD: service.get(_PERIOD, 0)})


def _updated(aws: AWS, p: Params, **change: object) -> tuple[bool | None, str]:
    """Change one thing of the service. Both together, AWS has refused for a service without a balancer:
    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1313

    ECS hears of a new listener a little later than its owner:
    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1868
    """
    try:
        aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, **change)
    except AwsError as error:
        for sign, seen in _SOON.items():
            if sign in error.message:
                return None, seen
        raise
    return True, "attached"


def _healthy(aws: AWS, p: Params) -> tuple[bool | None, str]:
    targets = target_health.health(aws, p)
    enough = target_health.count(targets, "healthy") >= p.replicas
    return enough or None, f"{target_health.words(p, targets)}; {p.replicas} healthy ones needed"


def _gone(aws: AWS, p: Params) -> tuple[bool | None, str]:
    targets = target_health.health(aws, p)
    return (None if targets else True), f"{len(targets)} targets left, {target_health.count(targets, 'draining')} drain"


def _strange(aws: AWS, p: Params) -> set[tuple[str, int]]:
    """Targets that are none of the service's tasks. The targets are read first: ECS registers a task that it shows."""
    targets = _ports(target_health.health(aws, p))
    return targets - _ports_of_tasks(aws, p)


def _check_strange(report: Report, strange: set) -> Report:
    return report.check("targets of others", not strange, "none", str(len(strange) or "none"))


def _ports(targets: list[dict]) -> set[tuple[str, int]]:
    """Instance and port of each target that is not on its way out."""
    staying = [each for each in targets if each["TargetHealth"]["State"] != "draining"]
    return {(each["Target"]["Id"], each["Target"]["Port"]) for each in staying}


def _ports_of_tasks(aws: AWS, p: Params) -> set[tuple[str, int]]:
    registered = instances.registrations(aws, p).items()
    nodes = {registration["containerInstanceArn"]: node for node, registration in registered}
    return {
        (nodes.get(task.get("containerInstanceArn"), ""), binding["hostPort"])
        for task in rollout.living(aws, p)
        for container in task.get("containers", [])
        for binding in container.get("networkBindings", [])
        if "hostPort" in binding
    }

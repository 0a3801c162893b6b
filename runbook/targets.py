"""The balancer's targets: the service's tasks, which ECS registers with the target group and takes out again."""

from . import instances, rollout, target_group, target_health, wait
from .errors import AwsError, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS

# Seconds in which ECS does not stop a new task for failed checks: a registry listens within a few seconds, and is
# healthy after two checks.
_GRACE = 60
_HEALTHY_WITHIN = 300  # seconds
_FIXED = "none: the classic balancer sends to the nodes"


def want_targets(p: Params) -> Document:
    """What the service says of its balancer, with the target group by its name."""
    if not p.scales:
        return Document(targets=_FIXED)
    group = {"targetGroupArn": p.target_group_name, "containerName": p.container_name, "containerPort": p.port}
    return Document(loadBalancers=[group], healthCheckGracePeriodSeconds=_GRACE)


def find_targets(aws: AWS, p: Params) -> Document | None:
    """The same of what is; what the endpoint does not tell is left out. None while no target group is attached."""
    return _in_words(p, rollout.describe(aws, p), target_group.describe(aws, p)) if p.scales else want_targets(p)


def ensure_targets(aws: AWS, p: Params) -> Changes:
    """Attach the target group to the service, and wait until as many targets as `replicas` are healthy.

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
    report = _compare(p, _in_words(p, service, group))
    former: set[str] = set()
    if any(not check.ok and not check.name.startswith("health") for check in report.checks):
        former = {each["id"] for each in rollout.deployments(service)}
    if not report:
        wait.wait(_title(p), lambda: _attach(aws, p, group), timeout=120, every=3)
    rollout.wait_until_steady(aws, p, service["taskDefinition"], former=former)
    wait.wait(_title(p), lambda: _healthy(aws, p), timeout=_HEALTHY_WITHIN, every=2)
    return report.changes.done


def verify_targets(aws: AWS, p: Params) -> Report:
    """Attached, as many healthy targets as `replicas`, and no target that is not one of the service's tasks."""
    if not p.scales:
        return _fixed()
    report = _compare(p, find_targets(aws, p))
    if report.absent:
        return report
    targets = target_health.health(aws, p)
    wanted, ok = f"at least {p.replicas}", target_health.count(targets, "healthy") >= p.replicas
    report = report.check("healthy targets", ok, wanted, wanted if ok else target_health.words(p, targets))
    strange = len(_ports(targets) - _ports_of_tasks(aws, p))
    return report.check("targets of others", not strange, "none", str(strange or "none"))


def destroy_targets(aws: AWS, p: Params) -> Changes:
    """Take the service out of the balancer: no task is left, and none of its targets."""
    if not p.scales:
        return destroyed(_title(p), False)
    service = rollout.describe(aws, p)
    attached = bool(service and service["status"] == "ACTIVE" and service.get("loadBalancers"))
    if attached:
        nothing = {"loadBalancers": [], "desiredCount": 0}
        aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, **nothing)
    if target_health.health(aws, p):
        wait.wait(_title(p), lambda: _gone(aws, p), timeout=rollout.stop_timeout(p), every=2)
    return destroyed(_title(p), attached)


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
    found = {key: service[key] for key in want_targets(p) if key in service}
    return Document(found | {"loadBalancers": attached})


def _compare(p: Params, found: Document | None) -> Report:
    wanted = want_targets(p)
    if found is not None and "healthCheckGracePeriodSeconds" not in found:
        del wanted["healthCheckGracePeriodSeconds"]
    return compare(_title(p), wanted, found)


def _attach(aws: AWS, p: Params, group: dict) -> tuple[bool | None, str]:
    """ECS hears of a new listener a little later than its owner:
    https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1868"""
    wanted = want_targets(p)
    wanted["loadBalancers"] = [each | {"targetGroupArn": group["TargetGroupArn"]} for each in wanted["loadBalancers"]]
    try:
        aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, **wanted)
    except AwsError as error:
        if "does not have an associated load balancer" in error.message:
            return None, "ECS does not know the listener of the target group yet"
        raise
    return True, "attached"


def _healthy(aws: AWS, p: Params) -> tuple[bool | None, str]:
    targets = target_health.health(aws, p)
    enough = target_health.count(targets, "healthy") >= p.replicas
    return enough or None, f"{target_health.words(p, targets)}; {p.replicas} healthy ones needed"


def _gone(aws: AWS, p: Params) -> tuple[bool | None, str]:
    targets = target_health.health(aws, p)
    return (None if targets else True), f"{len(targets)} targets left, {target_health.count(targets, 'draining')} drain"


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

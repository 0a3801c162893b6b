"""Service auto scaling: how many tasks the service has, by the CPU they use and the requests they get."""

from . import lease, rollout, tags, target_group, wait
from .errors import AwsError, StepFailed
from .params import Params
from .report import Changes, Document, Report, added, compare, destroyed
from .session import AWS

_NAMESPACE = {"ServiceNamespace": "ecs", "ScalableDimension": "ecs:service:DesiredCount"}
_COOLDOWNS = {"ScaleOutCooldown": 60, "ScaleInCooldown": 300}  # seconds
_SUSPENDED = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
_FIXED = "none: the number of tasks is fixed"
# https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PutScalingPolicy.html
_SOON = {"ConcurrentUpdateException", "FailedResourceAccessException"}


def want_scaling(p: Params) -> Document:
    """The bounds, and by policy what is held: quickly out, slowly in, the larger number wins.

    CPU is what bcrypt takes, requests what a crowd of pulls makes while S3 does the work:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-autoscaling-targettracking.html
    """
    if not p.scales:
        return Document(scaling=_FIXED)
    cpu = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    requests = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": _label_in_words(p)}
    return Document(
        ResourceId=_resource(p),
        MinCapacity=p.replicas,
        MaxCapacity=p.max_replicas,
        Suspended="no",
        Policies={
            f"{p.name}-cpu": _policy(cpu, p.target_cpu),
            f"{p.name}-requests": _policy(requests, p.target_requests),
        },
        **tags.want(p),
    )


def find_scaling(aws: AWS, p: Params) -> Document | None:
    """The same of what is; None when the service is not scaled."""
    if not p.scales:
        return want_scaling(p)
    target = _target(aws, p)
    if target is None:
        return None
    label = _label(aws, p)
    return Document(
        ResourceId=target["ResourceId"],
        MinCapacity=target["MinCapacity"],
        MaxCapacity=target["MaxCapacity"],
        Suspended="yes" if any(target.get("SuspendedState", {}).get(key) for key in _SUSPENDED) else "no",
        Policies={each["PolicyName"]: _in_words(p, each, label) for each in _policies(aws, p)},
        **(tags.found(p, _tags(aws, target)) if p.extra_tags else {}),
        **added({f"scheduled action {name}": "there" for name in _scheduled(aws, p)}),
    )


@lease.exclusive
def ensure_scaling(aws: AWS, p: Params) -> Changes:
    """Register the service for scaling, put both policies, delete others. StepFailed without service or balancer.

    A scalable target is a setting of its service, so the service's tag says whose it is.
    """
    if not p.scales:
        return _fixed().changes.done
    service, label = rollout.describe(aws, p), _label(aws, p)
    if service is None or service["status"] != "ACTIVE":
        raise StepFailed(f"service {p.service_name} is not there; run notebook 04_launch_your_service first")
    if label is None:
        raise StepFailed(
            f"target group {p.target_group_name} of balancer {p.balancer_name}, whose requests are counted, is not "
            "there; run notebook 05_configure_https_on_the_load_balancer from its start"
        )
    wanted, found = want_scaling(p), find_scaling(aws, p)
    report = _compare(p, found)
    if not report:
        bounds = ("MinCapacity", "MaxCapacity", "Suspended")
        if found is None or any(found[key] != wanted[key] for key in bounds):
            _register(aws, p, found)
        present = found["Policies"] if found else {}
        for name, policy in wanted["Policies"].items():
            if present.get(name) != policy:
                _put(aws, p, name, policy, label)
        for name in present.keys() - wanted["Policies"].keys():
            aws.application_autoscaling.delete_scaling_policy(**_which(p), PolicyName=name)
        for name in _scheduled(aws, p):
            aws.application_autoscaling.delete_scheduled_action(**_which(p), ScheduledActionName=name)
        if found and tags.differ(p, found):
            arn = _target(aws, p)["ScalableTargetARN"]
            aws.application_autoscaling.tag_resource(ResourceARN=arn, Tags=p.extra_tags)
    return report.changes.done


def verify_scaling(aws: AWS, p: Params) -> Report:
    """Bounds and policies as wanted, none more, nothing suspended."""
    return _compare(p, find_scaling(aws, p)) if p.scales else _fixed()


@lease.exclusive
def destroy_scaling(aws: AWS, p: Params) -> Changes:
    """Take the policies and the service's registration away; the tasks stay as many as they are."""
    if not p.scales:
        return destroyed(_title(p), False)
    rollout.describe(aws, p)
    target = _target(aws, p)
    if target:
        for policy in _policies(aws, p):
            aws.application_autoscaling.delete_scaling_policy(**_which(p), PolicyName=policy["PolicyName"])
        aws.application_autoscaling.deregister_scalable_target(**_which(p))
    return destroyed(_title(p), bool(target))


def _title(p: Params) -> str:
    return f"scaling of {p.service_name}"


def _fixed() -> Report:
    return Report("scaling").check("scaling", True, _FIXED, _FIXED)


def _resource(p: Params) -> str:
    return f"service/{p.cluster_name}/{p.service_name}"


def _which(p: Params) -> dict:
    return _NAMESPACE | {"ResourceId": _resource(p)}


def _policy(metric: dict, target: int) -> dict:
    return {"PredefinedMetricSpecification": metric, "TargetValue": float(target), **_COOLDOWNS}


def _label_in_words(p: Params) -> str:
    return f"app/{p.balancer_name}/targetgroup/{p.target_group_name}"


def _label(aws: AWS, p: Params) -> str | None:
    """The ends of the balancer's and the group's ARNs, by which CloudWatch counts requests; None until both are
    there: https://docs.aws.amazon.com/autoscaling/application/APIReference/API_PredefinedMetricSpecification.html"""
    group = target_group.describe(aws, p) or {}
    balancers = [arn.split(":loadbalancer/")[1] for arn in group.get("LoadBalancerArns", [])]
    ours = [name for name in balancers if name.startswith(f"app/{p.balancer_name}/")]
    return f"{ours[0]}/{group['TargetGroupArn'].rsplit(':')[-1]}" if ours else None


def _target(aws: AWS, p: Params) -> dict | None:
    asked = _NAMESPACE | {"ResourceIds": [_resource(p)]}
    found = aws.application_autoscaling.all("describe_scalable_targets", "ScalableTargets", **asked)
    return found[0] if found else None


def _tags(aws: AWS, target: dict) -> dict[str, str]:
    arn = target["ScalableTargetARN"]
    return aws.application_autoscaling.list_tags_for_resource(ResourceARN=arn)["Tags"]


def _scheduled(aws: AWS, p: Params) -> list[str]:
    """Names of the scheduled actions, which would move the bounds; none is ours."""
    found = aws.application_autoscaling.all("describe_scheduled_actions", "ScheduledActions", **_which(p))
    return [each["ScheduledActionName"] for each in found]


def _policies(aws: AWS, p: Params) -> list[dict]:
    return aws.application_autoscaling.all("describe_scaling_policies", "ScalingPolicies", **_which(p))


def _in_words(p: Params, policy: dict, label: str | None) -> dict:
    found = dict(policy.get("TargetTrackingScalingPolicyConfiguration") or {"PolicyType": policy["PolicyType"]})
    metric = dict(found.get("PredefinedMetricSpecification", {}))
    if "ResourceLabel" in metric:
        metric["ResourceLabel"] = _label_in_words(p) if metric["ResourceLabel"] == label else "another balancer's"
        found["PredefinedMetricSpecification"] = metric
    if found.get("DisableScaleIn") is False:  # AWS's default, told by some endpoints
        del found["DisableScaleIn"]
    return found


def _compare(p: Params, found: Document | None) -> Report:
    wanted = want_scaling(p)
    if found is not None:
        wanted["Policies"] |= {name: None for name in found["Policies"] if name not in wanted["Policies"]}
    return compare(_title(p), wanted, found)


def _register(aws: AWS, p: Params, found: Document | None) -> None:
    """Tags go with the first registration alone: AWS takes none for a target that is there."""
    request = _which(p) | {"MinCapacity": p.replicas, "MaxCapacity": p.max_replicas}
    if found is None:
        request["Tags"] = p.tags
    elif found["Suspended"] == "yes":
        request["SuspendedState"] = dict.fromkeys(_SUSPENDED, False)
    _write(aws, p, "register_scalable_target", request)


def _put(aws: AWS, p: Params, name: str, policy: dict, label: str) -> None:
    metric = dict(policy["PredefinedMetricSpecification"])
    if "ResourceLabel" in metric:
        metric["ResourceLabel"] = label
    tracking = policy | {"PredefinedMetricSpecification": metric}
    request = {"PolicyName": name, "PolicyType": "TargetTrackingScaling"}
    request["TargetTrackingScalingPolicyConfiguration"] = tracking
    _write(aws, p, "put_scaling_policy", _which(p) | request)


def _write(aws: AWS, p: Params, operation: str, request: dict) -> None:
    """The role with which Application Auto Scaling reads ECS and CloudWatch is made at its first use, and takes a
    while to be usable."""

    def write():
        try:
            getattr(aws.application_autoscaling, operation)(**request)
        except AwsError as error:
            if error.code in _SOON:
                return None, f"Application Auto Scaling is not ready ({error.code})"
            raise
        return True, "written"

    wait.wait(_title(p), write, timeout=120, every=3)

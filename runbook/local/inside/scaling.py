"""Application Auto Scaling inside moto: the targets and policies of ECS services, their alarms, tags and activities."""

import functools
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

from moto.applicationautoscaling.models import ApplicationAutoscalingBackend as Backend
from moto.applicationautoscaling.models import FakeApplicationAutoscalingPolicy as Policy
from moto.applicationautoscaling.models import FakeScalableTarget as Target
from moto.applicationautoscaling.models import applicationautoscaling_backends
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.cloudwatch.models import Alarm, cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.exceptions import JsonRESTError
from moto.ecs.models import ecs_backends

from . import ecs

DIMENSION = "ecs:service:DesiredCount"
CPU, REQUESTS = "ECSServiceAverageCPUUtilization", "ALBRequestCountPerTarget"
OUT_MINUTES, IN_MINUTES = 3, 15  # how long a metric is above the target, or below 90 % of it, before anything is done
LOW = 0.9
COOLDOWN = 300  # seconds, of a service ("Target tracking scaling policies", default cooldown periods)
ACTIVITIES = 100


@dataclass(frozen=True)
class Tracking:
    """A target tracking policy: what it follows, and its two alarms as they are now."""

    name: str
    target: float
    out_cooldown: int
    in_cooldown: int
    scales_in: bool
    high: Alarm | None
    low: Alarm | None


def install() -> None:
    """Put moto's answers right; a second call changes nothing."""
    if hasattr(Backend.put_scaling_policy, "__wrapped__"):
        return
    Policy._generate_ecs_alarms = _alarms
    Backend.put_scaling_policy = _replacing(Backend.put_scaling_policy)
    Backend.deregister_scalable_target = _with_its_policies(Backend.deregister_scalable_target)
    Response = ApplicationAutoScalingResponse
    Response.register_scalable_target = _with_tags(Response.register_scalable_target)
    for answer in (_describe_scaling_activities, _list_tags_for_resource, _tag_resource, _untag_resource):
        setattr(Response, answer.__name__[1:], answer)


def _alarms(self: Policy) -> list[Alarm]:
    """The two alarms that a target tracking policy makes; they are no one else's to change."""
    configuration = self.target_tracking_scaling_policy_configuration
    predefined, target = configuration["PredefinedMetricSpecification"], configuration["TargetValue"]
    _, cluster, service = self.resource_id.split("/")
    if predefined["PredefinedMetricType"] != REQUESTS:
        metric = predefined["PredefinedMetricType"].removeprefix("ECSServiceAverage")
        dimensions = [{"Name": "ClusterName", "Value": cluster}, {"Name": "ServiceName", "Value": service}]
        watched = {"namespace": "AWS/ECS", "metric_name": metric, "statistic": "Average", "unit": "Percent"}
    else:
        group = predefined["ResourceLabel"].partition("/targetgroup/")[2]
        dimensions = [{"Name": "TargetGroup", "Value": f"targetgroup/{group}"}]
        watched = {"namespace": "AWS/ApplicationELB", "metric_name": "RequestCountPerTarget", "statistic": "Sum"}
    action = f"{self.policy_arn}:createdBy/{uuid.uuid4()}"
    sides = [("High", "GreaterThanThreshold", target, OUT_MINUTES)]
    if not configuration.get("DisableScaleIn"):
        sides.append(("Low", "LessThanThreshold", LOW * target, IN_MINUTES))
    return [
        cloudwatch_backends[self.account_id][self.region_name].put_metric_alarm(
            name=f"TargetTracking-{self.resource_id}-Alarm{side}-{uuid.uuid4()}",
            comparison_operator=comparison,
            evaluation_periods=minutes,
            period=60,
            threshold=float(threshold),
            description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {self.policy_arn}.",
            dimensions=dimensions,
            alarm_actions=[action],
            **watched,
        )
        for side, comparison, threshold, minutes in sides
    ]


def _replacing(plain):
    """PutScalingPolicy of one that exists: its old alarms go; the ARN stays."""

    @functools.wraps(plain)
    def put_scaling_policy(self: Backend, policy_name, service_namespace, resource_id, scalable_dimension, *args, **kw):
        key = Policy.formulate_key(service_namespace, resource_id, scalable_dimension, policy_name)
        old = self.policies.get(key)
        policy = plain(self, policy_name, service_namespace, resource_id, scalable_dimension, *args, **kw)
        if old:
            old.delete_alarms(self.account_id, self.region_name)
            policy.policy_arn = old.policy_arn
        return policy

    return put_scaling_policy


def _with_its_policies(plain):
    @functools.wraps(plain)
    def deregister_scalable_target(self: Backend, namespace: str, r_id: str, dimension: str) -> None:
        plain(self, namespace, r_id, dimension)
        for policy in list(self.policies.values()):
            if (policy.resource_id, policy.scalable_dimension) == (r_id, dimension):
                self.delete_scaling_policy(policy.policy_name, namespace, r_id, dimension)

    return deregister_scalable_target


def _with_tags(plain):
    @functools.wraps(plain)
    def register_scalable_target(self) -> str:
        answer = plain(self)
        tags = self._get_param("Tags")
        if tags:
            target = _by_arn(self.applicationautoscaling_backend, json.loads(answer)["ScalableTargetARN"])
            _tags(target).update(tags)
        return answer

    return register_scalable_target


def _tags(target: Target) -> dict[str, str]:
    return vars(target).setdefault("tags", {})


def _by_arn(backend: Backend, arn: str) -> Target:
    for target in _targets(backend):
        if target.arn == arn:
            return target
    raise JsonRESTError("ResourceNotFoundException", f"No scalable target found for resource ARN: {arn}")


def _list_tags_for_resource(self) -> str:
    target = _by_arn(self.applicationautoscaling_backend, self._get_param("ResourceARN"))
    return json.dumps({"Tags": _tags(target)})


def _tag_resource(self) -> str:
    _tags(_by_arn(self.applicationautoscaling_backend, self._get_param("ResourceARN"))).update(self._get_param("Tags"))
    return json.dumps({})


def _untag_resource(self) -> str:
    target = _by_arn(self.applicationautoscaling_backend, self._get_param("ResourceARN"))
    for name in self._get_param("TagKeys"):
        _tags(target).pop(name, None)
    return json.dumps({})


def _describe_scaling_activities(self) -> str:
    wanted = self._get_param("ResourceId")
    activities = [
        activity
        for target in _targets(self.applicationautoscaling_backend)
        for activity in _activities(target)
        if wanted in (None, target.resource_id)
    ]
    return json.dumps({"ScalingActivities": activities})


def _activities(target: Target) -> list[dict[str, Any]]:
    return vars(target).setdefault("activities", [])


def _targets(backend: Backend) -> list[Target]:
    return [target for of_kind in list(backend.targets.values()) for target in list(of_kind.values())]


# what the rules and the data plane ask, and what the latter does


def target(region: str, resource: str) -> Target | None:
    return applicationautoscaling_backends[ACCOUNT][region].targets.get(DIMENSION, {}).get(resource)


def has_policy(region: str, resource: str, name: str) -> bool:
    key = Policy.formulate_key("ecs", resource, DIMENSION, name)
    return key in applicationautoscaling_backends[ACCOUNT][region].policies


def targets() -> list[tuple[str, Target]]:
    """(region, target) of every service that may be scaled."""
    return [
        (region, target)
        for region, backend in list(applicationautoscaling_backends[ACCOUNT].items())
        for target in _targets(backend)
        if target.scalable_dimension == DIMENSION
    ]


def policies(region: str, target: Target) -> list[Tracking]:
    backend = applicationautoscaling_backends[ACCOUNT][region]
    alarms = cloudwatch_backends[ACCOUNT][region].alarms
    found = []
    for policy in list(backend.policies.values()):
        if (policy.resource_id, policy.scalable_dimension) != (target.resource_id, target.scalable_dimension):
            continue
        configuration = policy.target_tracking_scaling_policy_configuration
        high, low = (
            next((alarms.get(each.name) for each in policy.alarms if f"-Alarm{side}-" in each.name), None)
            for side in ("High", "Low")
        )
        found.append(
            Tracking(
                policy.policy_name,
                float(configuration["TargetValue"]),
                int(configuration.get("ScaleOutCooldown", COOLDOWN)),
                int(configuration.get("ScaleInCooldown", COOLDOWN)),
                not configuration.get("DisableScaleIn"),
                high,
                low,
            )
        )
    return found


def service(region: str, target: Target) -> ecs.Service | None:
    """The service of a target; None when it is not ACTIVE any more."""
    _, cluster, name = target.resource_id.split("/")
    found = ecs_backends[ACCOUNT][region].services.get(f"{cluster}:{name}")
    return found if found and found.status == "ACTIVE" else None


def is_deploying(service: ecs.Service) -> bool:
    return any(deployment["rolloutState"] == "IN_PROGRESS" for deployment in service.deployments)


def set_desired(target: Target, service: ecs.Service, count: int, alarm: Alarm, policy: str) -> None:
    """Change a service's desired count as UpdateService does; the service's events and the activities tell of it."""
    description = f"Setting desired count to {count}."
    cause = f"monitor alarm {alarm.name} in state ALARM triggered policy {policy}"
    with ecs.LOCK:
        service.desired_count = count
        ecs.event(service, f"Message: Successfully set desired count to {count}. Cause: {cause}")
    now = time.time()
    activity = {
        "ActivityId": str(uuid.uuid4()),
        "ServiceNamespace": "ecs",
        "ResourceId": target.resource_id,
        "ScalableDimension": target.scalable_dimension,
        "Description": description,
        "Cause": cause,
        "StartTime": now,
        "EndTime": now,
        "StatusCode": "Successful",
        "StatusMessage": f"Successfully set desired count to {count}. Change successfully fulfilled by ecs.",
    }
    _activities(target).insert(0, activity)
    del _activities(target)[ACTIVITIES:]

"""What Auto Scaling, Application Auto Scaling and CloudWatch refuse, and what of them is not played here."""

import re

from ..inside import autoscaling, launching, scaling
from ..inside.dispatch import Refused

NOT_PLAYED = {
    "AttachInstances": "attaching instances",
    "AttachLoadBalancerTargetGroups": "target groups of an Auto Scaling group",
    "AttachLoadBalancers": "load balancers of an Auto Scaling group",
    "AttachTrafficSources": "traffic sources",
    "CreateLaunchConfiguration": "launch configurations",
    "DetachInstances": "detaching instances",
    "EnterStandby": "standby",
    "PutLifecycleHook": "lifecycle hooks",
    "PutScalingPolicy": "scaling policies of an Auto Scaling group",
    "PutScheduledUpdateGroupAction": "scheduled actions",
    "PutWarmPool": "warm pools",
    "SuspendProcesses": "suspended processes",
}
NOT_PLAYED_OF_GROUPS = (
    *("LaunchConfigurationName", "MixedInstancesPolicy", "InstanceId", "LoadBalancerNames", "TargetGroupARNs"),
    *("PlacementGroup", "LifecycleHookSpecificationList", "TrafficSources", "InstanceMaintenancePolicy"),
    *("MaxInstanceLifetime", "DesiredCapacityType", "CapacityRebalance"),
)
TERMINATION = (["Default"], [], None)
DIMENSIONS = {scaling.DIMENSION}
STATISTICS = {"SampleCount", "Average", "Sum", "Minimum", "Maximum"}
DAY = 86400


def create_auto_scaling_group(params: dict, region: str) -> None:
    """CreateAutoScalingGroup; moto makes a group of the same name anew, and leaves the first one's instances alone."""
    name = params["AutoScalingGroupName"]
    if not 1 <= len(name) <= 255 or ":" in name or not name.isprintable():
        raise invalid(f"Value '{name}' at 'autoScalingGroupName' failed to satisfy constraint: 1 to 255, no colon")
    if autoscaling.group(region, name):
        raise Refused(
            "AlreadyExists",
            f"AutoScalingGroup by this name already exists - A group with the name {name} already exists",
        )
    _playable(params)
    if not params.get("LaunchTemplate"):
        raise invalid("Valid requests must contain either LaunchTemplate, LaunchConfigurationName or others.")
    _sizes(params["MinSize"], params["MaxSize"], params.get("DesiredCapacity"))
    _template(params["LaunchTemplate"], region)
    _subnets(params, region)
    for tag in params.get("Tags", []):
        if tag["Key"].lower().startswith("aws:"):
            raise invalid(f"Tag key {tag['Key']}: keys that begin with aws: are reserved")


def update_auto_scaling_group(params: dict, region: str) -> None:
    group = _group(params, region)
    _playable(params)
    low, high = params.get("MinSize", group.min_size), params.get("MaxSize", group.max_size)
    _sizes(low, high, params.get("DesiredCapacity"))
    if params.get("LaunchTemplate"):
        _template(params["LaunchTemplate"], region)
    _subnets(params, region)


def set_desired_capacity(params: dict, region: str) -> None:
    group, desired = _group(params, region), params["DesiredCapacity"]
    if desired < group.min_size:
        raise invalid(f"New SetDesiredCapacity value {desired} is below min value {group.min_size} for the group.")
    if desired > group.max_size:
        raise invalid(f"New SetDesiredCapacity value {desired} is above max value {group.max_size} for the group.")


def delete_auto_scaling_group(params: dict, region: str) -> None:
    group = _group(params, region)
    if group.instance_states and not params.get("ForceDelete"):
        raise Refused(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still "
            "in the group.",
        )


def start_instance_refresh(params: dict, region: str) -> None:
    _group(params, region)
    if params.get("DesiredConfiguration"):
        raise invalid("DesiredConfiguration: the embedded cloud refreshes to what the group itself says.")
    preferences = params.get("Preferences", {})
    lowest, highest = preferences.get("MinHealthyPercentage", 90), preferences.get("MaxHealthyPercentage")
    if not 0 <= lowest <= 100 or (highest is not None and not 100 <= highest <= 200):
        raise invalid("MinHealthyPercentage is 0 to 100, MaxHealthyPercentage 100 to 200.")
    if highest is not None and (highest - lowest > 100 or highest == lowest == 100):
        raise invalid("The difference between MinHealthyPercentage and MaxHealthyPercentage is 1 to 100.")
    for name in ("CheckpointPercentages", "AutoRollback", "AlarmSpecification", "BakeTime"):
        if preferences.get(name):
            raise invalid(f"{name}: the embedded cloud does not play it.")


def create_launch_template_version(params: dict, region: str) -> None:
    if params.get("SourceVersion"):
        raise Refused("InvalidParameterValue", "SourceVersion: the embedded cloud takes a whole version.")


def not_played(operation: str):
    def refuse(params: dict, region: str) -> None:
        raise invalid(f"{operation}: the embedded cloud does not play {NOT_PLAYED[operation]}.")

    return refuse


def invalid(message: str) -> Refused:
    return Refused("ValidationError", message)


def _group(params: dict, region: str):
    name = params["AutoScalingGroupName"]
    group = autoscaling.group(region, name)
    if group is None:
        raise invalid(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    if group.status == autoscaling.DELETING:
        raise Refused("ScalingActivityInProgress", f"AutoScalingGroup '{name}' is pending delete")
    return group


def _playable(params: dict) -> None:
    for name in NOT_PLAYED_OF_GROUPS:
        if params.get(name):
            raise invalid(f"{name}: the embedded cloud does not play it.")
    if params.get("HealthCheckType", "EC2") != "EC2":
        raise invalid(f"HealthCheckType {params['HealthCheckType']}: the embedded cloud knows only EC2.")
    if params.get("TerminationPolicies") not in TERMINATION:
        raise invalid("TerminationPolicies: the embedded cloud knows only Default.")


def _sizes(lowest: int, highest: int, desired: int | None) -> None:
    if lowest < 0 or lowest > highest:
        raise invalid("Max bound must be greater than or equal to min bound; neither is negative")
    if desired is not None and not lowest <= desired <= highest:
        side = "above max" if desired > highest else "below min"
        raise invalid(f"Desired capacity:{desired} must be between the specified min size and max size: it is {side}")


def _template(named: dict, region: str) -> None:
    problem = launching.unusable(region, named)
    if problem:
        raise invalid(f"You must use a valid fully-formed launch template. {problem}")


def _subnets(params: dict, region: str) -> None:
    given = params.get("VPCZoneIdentifier")
    if given:
        missing, networks = launching.subnets(region, [each.strip() for each in given.split(",")])
        if missing:
            raise invalid(f"The subnet ID '{missing[0]}' does not exist")
        if len(networks) > 1:
            raise invalid("The subnets are not all in one VPC")


# Application Auto Scaling


def register_scalable_target(params: dict, region: str) -> None:
    _service_only(params)
    if params.get("SuspendedState") and any(params["SuspendedState"].values()):
        raise validation("SuspendedState: the embedded cloud does not play it.")
    known = scaling.target(region, params["ResourceId"])
    lowest = params.get("MinCapacity", known.min_capacity if known else None)
    highest = params.get("MaxCapacity", known.max_capacity if known else None)
    if lowest is None or highest is None:
        raise validation("MinCapacity and MaxCapacity are needed for a new scalable target")
    if not 0 <= lowest <= highest:
        raise validation("Maximum capacity cannot be less than minimum capacity")


def deregister_scalable_target(params: dict, region: str) -> None:
    _service_only(params)
    _registered(params, region)


def put_application_policy(params: dict, region: str) -> None:
    """PutScalingPolicy of Application Auto Scaling: target tracking of an ECS service, by two of AWS's metrics."""
    _service_only(params)
    _registered(params, region)
    kind, configuration = params.get("PolicyType"), params.get("TargetTrackingScalingPolicyConfiguration") or {}
    if kind != "TargetTrackingScaling":
        raise validation(f"PolicyType {kind}: the embedded cloud plays only TargetTrackingScaling.")
    predefined = configuration.get("PredefinedMetricSpecification") or {}
    metric, label = predefined.get("PredefinedMetricType"), predefined.get("ResourceLabel")
    if metric not in (scaling.CPU, scaling.REQUESTS):
        raise validation(f"the metric {metric}: the embedded cloud plays {scaling.CPU} and {scaling.REQUESTS}.")
    if configuration.get("TargetValue", 0) <= 0:
        raise validation("TargetValue must be greater than 0")
    if metric == scaling.REQUESTS and not re.fullmatch(r"app/[^/]+/[^/]+/targetgroup/[^/]+/[^/]+", label or ""):
        raise validation(f"ResourceLabel {label}: app/NAME/ID/targetgroup/NAME/ID is its form for this metric")
    if metric == scaling.CPU and label:
        raise validation("ResourceLabel is only for ALBRequestCountPerTarget")


def delete_application_policy(params: dict, region: str) -> None:
    if not scaling.has_policy(region, params["ResourceId"], params["PolicyName"]):
        raise Refused("ObjectNotFoundException", f"No scaling policy found: {params['PolicyName']}")


def put_scheduled_action(params: dict, region: str) -> None:
    raise validation("PutScheduledAction: the embedded cloud does not play scheduled actions.")


def validation(message: str) -> Refused:
    return Refused("ValidationException", message)


def _service_only(params: dict) -> None:
    if params["ServiceNamespace"] != "ecs" or params["ScalableDimension"] != scaling.DIMENSION:
        raise validation(f"{params['ScalableDimension']}: the embedded cloud scales only {scaling.DIMENSION}.")


def _registered(params: dict, region: str) -> None:
    resource = params["ResourceId"]
    if scaling.target(region, resource) is None:
        raise Refused(
            "ObjectNotFoundException",
            f"No scalable target registered for service namespace: ecs, resource ID: {resource}, scalable dimension: "
            f"{scaling.DIMENSION}",
        )


# CloudWatch


def put_metric_alarm(params: dict, region: str) -> None:
    """PutMetricAlarm: its period, its statistic, and how many datapoints it takes."""
    if params.get("Metrics") or params.get("ExtendedStatistic") or params.get("ThresholdMetricId"):
        raise invalid("The embedded cloud plays alarms of one metric with one of the five statistics.")
    for name in ("MetricName", "Namespace", "Statistic", "Period", "Threshold"):
        if params.get(name) is None:
            raise invalid(f"{name} is needed for an alarm of one metric")
    period, periods = params["Period"], params["EvaluationPeriods"]
    if period not in (10, 20, 30) and (period < 60 or period % 60):
        raise invalid(f"Invalid period {period}: 10, 20, 30 or a multiple of 60")
    if period < 60 and params["Namespace"].startswith("AWS/"):
        raise invalid("Period must not be less than 60 for metrics of AWS's namespaces")
    if periods < 1 or (period < 3600 and period * periods > DAY) or period * periods > 7 * DAY:
        raise invalid("Metrics cannot be checked across more than a day (a week, with periods of an hour or more)")
    if not 1 <= params.get("DatapointsToAlarm", periods) <= periods:
        raise invalid("DatapointsToAlarm must be between 1 and EvaluationPeriods")
    if params.get("TreatMissingData", "missing") not in ("breaching", "notBreaching", "ignore", "missing"):
        raise invalid(f"Option {params['TreatMissingData']} is not supported for TreatMissingData")
    if params["Statistic"] not in STATISTICS:
        raise invalid(f"Statistic {params['Statistic']} is none of {', '.join(sorted(STATISTICS))}")


def put_composite_alarm(params: dict, region: str) -> None:
    raise invalid("PutCompositeAlarm: the embedded cloud does not play composite alarms.")


def subscribe(params: dict, region: str) -> None:
    """Subscribe of SNS: nothing is delivered out of this computer."""
    if params["Protocol"] not in ("email", "email-json", "sqs"):
        raise Refused("InvalidParameter", f"Protocol {params['Protocol']}: the embedded cloud knows email and sqs.")


RULES = {
    ("autoscaling", "CreateAutoScalingGroup"): create_auto_scaling_group,
    ("autoscaling", "UpdateAutoScalingGroup"): update_auto_scaling_group,
    ("autoscaling", "SetDesiredCapacity"): set_desired_capacity,
    ("autoscaling", "DeleteAutoScalingGroup"): delete_auto_scaling_group,
    ("autoscaling", "StartInstanceRefresh"): start_instance_refresh,
    **{("autoscaling", operation): not_played(operation) for operation in NOT_PLAYED},
    ("ec2", "CreateLaunchTemplateVersion"): create_launch_template_version,
    ("application-autoscaling", "RegisterScalableTarget"): register_scalable_target,
    ("application-autoscaling", "DeregisterScalableTarget"): deregister_scalable_target,
    ("application-autoscaling", "PutScalingPolicy"): put_application_policy,
    ("application-autoscaling", "DeleteScalingPolicy"): delete_application_policy,
    ("application-autoscaling", "PutScheduledAction"): put_scheduled_action,
    ("cloudwatch", "PutMetricAlarm"): put_metric_alarm,
    ("cloudwatch", "PutCompositeAlarm"): put_composite_alarm,
    ("sns", "Subscribe"): subscribe,
}

"""CloudWatch alarms: targets that fail their health check, answers of 5xx, and full disks of the nodes."""

from typing import Any

from . import lease, tags, target_group
from .errors import NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, added, compare, destroyed
from .session import AWS

_TITLE = "alarms"
_KEYS = (
    *("Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "DatapointsToAlarm"),
    *("ComparisonOperator", "Threshold", "TreatMissingData", "ActionsEnabled"),
)


def want_alarms(p: Params) -> Document:
    """Each alarm in CloudWatch's own words, ids replaced by names; or in words that there are none.

    A client tries again after a 5xx, and a registry that is replaced may cost one or two: ten in five minutes are
    more than that. A disk that is not measured is neither full nor well, so its alarm then says INSUFFICIENT_DATA.
    """
    if not p.alarms:
        return Document(Alarms="off: nobody is told when something fails")
    balancer, group = f"load balancer {p.balancer_name}", f"target group {p.target_group_name}"
    targets = {"LoadBalancer": balancer, "TargetGroup": group}
    return Document(
        {
            f"{p.name}-unhealthy-targets": _alarm(p, "UnHealthyHostCount", "Maximum", 60, 3, 1.0, targets)
            | {"AlarmDescription": "a registry has failed its health check for three minutes"},
            f"{p.name}-5xx-targets": _alarm(p, "HTTPCode_Target_5XX_Count", "Sum", 300, 1, 10.0, targets)
            | {"AlarmDescription": "registries answered 5xx ten times or more in five minutes"},
            f"{p.name}-5xx-balancer": _alarm(
                p, "HTTPCode_ELB_5XX_Count", "Sum", 300, 1, 10.0, {"LoadBalancer": balancer}
            )
            | {"AlarmDescription": "the balancer itself answered 5xx ten times or more in five minutes"},
            f"{p.name}-disk": _alarm(
                p, "disk_used_percent", "Maximum", 300, 1, 85.0, {"AutoScalingGroupName": p.scaling_group_name}
            )
            | {
                "Namespace": "CWAgent",
                "TreatMissingData": "missing",
                "AlarmDescription": "the disk of a node is 85 percent full or more",
            },
        }
    )


def find_alarms(aws: AWS, p: Params) -> Document | None:
    """The same of the alarms that are there. None when none of them is."""
    if not p.alarms:
        return want_alarms(p)
    names = _dimension_names(aws, p)
    return Document({name: _found(p, alarm, names) for name, alarm in _described(aws, p).items()}) or None


@lease.exclusive
def ensure_alarms(aws: AWS, p: Params) -> Changes:
    """Write each alarm that is missing or differs. StepFailed without the balancer, or without the topic."""
    wanted = want_alarms(p)
    found = find_alarms(aws, p)
    report = compare(_TITLE, wanted, found)
    if report:
        return report.changes.done
    require_topic(aws, p)
    names = {name: value for value, name in _dimension_names(aws, p).items()}
    if f"target group {p.target_group_name}" not in names:
        raise StepFailed(
            f"{_TITLE} need load balancer {p.balancer_name} and its target group, which are not there; "
            "run notebook 05_configure_https_on_the_load_balancer from its start"
        )
    for name, alarm in wanted.items():
        seen = (found or {}).get(name)
        if any(not check.name.startswith("Tags.") for check in compare("", alarm, seen).checks if not check.ok):
            _put(aws, p, name, alarm, names)
        if seen and tags.differ(p, seen):
            arn = _described(aws, p)[name]["AlarmArn"]
            aws.cloudwatch.tag_resource(ResourceARN=arn, Tags=tags.pairs(p.extra_tags))
    return report.changes.done


def verify_alarms(aws: AWS, p: Params) -> Report:
    """Wanted against found, and that none of them is in ALARM now."""
    report = compare(_TITLE, want_alarms(p), find_alarms(aws, p))
    if p.alarms:
        for name, alarm in _described(aws, p).items():
            state = "in ALARM" if alarm["StateValue"] == "ALARM" else "not in ALARM"
            report = report.check(f"{name} now", state == "not in ALARM", "not in ALARM", state)
    return report


@lease.exclusive
def destroy_alarms(aws: AWS, p: Params) -> Changes:
    """Delete those that are there."""
    found = sorted(_described(aws, p)) if p.alarms else []
    if found:
        aws.cloudwatch.delete_alarms(AlarmNames=found)
    return destroyed(_TITLE, bool(found))


def _alarm(
    p: Params, metric: str, statistic: str, period: int, periods: int, threshold: float, dimensions: dict[str, str]
) -> dict[str, Any]:
    """Periods are seconds. Without a request there is no datum of 5xx: that is well."""
    actions = [p.alarms_to] if p.alarms_to else []
    return {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": metric,
        "Dimensions": dimensions,
        "Statistic": statistic,
        "Period": period,
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": periods,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": threshold,
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": True,
        "AlarmActions": actions,
        "OKActions": actions,
        **tags.want(p),
    }


def _described(aws: AWS, p: Params) -> dict[str, dict]:
    """Our alarms by name, as CloudWatch describes them. NotOurs when one does not carry our tag."""
    names = sorted(want_alarms(p))
    found = aws.cloudwatch.all("describe_alarms", "MetricAlarms", AlarmNames=names, AlarmTypes=["MetricAlarm"])
    for alarm in found:
        alarm["Tags"] = aws.cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"]
        if {"Key": "runbook:deployment", "Value": p.name} not in alarm["Tags"]:
            raise NotOurs(f"alarm {alarm['AlarmName']}", p)
    return {alarm["AlarmName"]: alarm for alarm in found}


def _found(p: Params, alarm: dict, names: dict[str, str]) -> dict[str, Any]:
    dimensions = {each["Name"]: names.get(each["Value"], "another") for each in alarm.get("Dimensions", [])}
    wanted = want_alarms(p)[alarm["AlarmName"]]["Dimensions"]
    more = {f"dimension {each}": dimensions[each] for each in dimensions.keys() - wanted.keys()}
    if actions := alarm.get("InsufficientDataActions"):
        more["InsufficientDataActions"] = sorted(actions)
    return {
        **{key: alarm.get(key) for key in _KEYS},
        "Dimensions": dimensions,
        "AlarmActions": sorted(alarm.get("AlarmActions", [])),
        "OKActions": sorted(alarm.get("OKActions", [])),
        "AlarmDescription": alarm.get("AlarmDescription"),
        **tags.found(p, alarm["Tags"]),
        **added(more),
    }


def _dimension_names(aws: AWS, p: Params) -> dict[str, str]:
    """What the metrics call our balancer and target group (the ends of their ARNs), and what a reader does.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
    """
    names = {p.scaling_group_name: p.scaling_group_name}
    group = target_group.describe(aws, p)
    if group and group["LoadBalancerArns"]:
        names[group["TargetGroupArn"].rpartition(":")[2]] = f"target group {p.target_group_name}"
        balancer = group["LoadBalancerArns"][0].partition(":loadbalancer/")[2]
        names[balancer] = f"load balancer {p.balancer_name}"
    return names


def require_topic(aws: AWS, p: Params) -> None:
    """StepFailed when the topic that the params name is not there, or in another region."""
    if p.alarms_to is None:
        return
    region = p.alarms_to.split(":")[3]
    if region != p.region:
        raise StepFailed(
            f"the topic in {p.source} (alarms_to) is in region {region}, the alarms in {p.region}; an alarm reaches "
            "topics of its own region only: name one there"
        )
    if aws.sns.find("get_topic_attributes", {"NotFound"}, TopicArn=p.alarms_to) is None:
        raise StepFailed(
            f"the topic in {p.source} (alarms_to) is not there: create it (aws sns create-topic) and subscribe those "
            "who shall be told, or leave alarms_to out"
        )


def _put(aws: AWS, p: Params, name: str, alarm: dict, names: dict[str, str]) -> None:
    """Create the alarm, or put it in the place of the one of that name; an existing one keeps its tags."""
    dimensions = [{"Name": key, "Value": names[value]} for key, value in alarm["Dimensions"].items()]
    given = {**alarm, "Dimensions": dimensions, "Tags": tags.pairs(p.tags)}
    aws.cloudwatch.put_metric_alarm(**given, AlarmName=name)

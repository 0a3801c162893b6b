"""CloudWatch inside moto: the data of its metrics, and its alarms with their states and actions."""

import functools
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from moto.cloudwatch.models import Alarm, CloudWatchBackend, MetricDatum, cloudwatch_backends
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.utils import utcnow
from moto.sns.models import sns_backends

log = logging.getLogger(__name__)

KEPT = timedelta(hours=1)
KINDS = {"ALARM": "alarm_actions", "OK": "ok_actions", "INSUFFICIENT_DATA": "insufficient_data_actions"}


@dataclass(frozen=True)
class Metric:
    """One metric; `dimensions` are (name, value)."""

    region: str
    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


def metric(region: str, namespace: str, name: str, **dimensions: str) -> Metric:
    return Metric(region, namespace, name, frozenset(dimensions.items()))


def install() -> None:
    """A new alarm has INSUFFICIENT_DATA, a changed one keeps its state; a second call changes nothing."""
    if not hasattr(CloudWatchBackend.put_metric_alarm, "__wrapped__"):
        CloudWatchBackend.put_metric_alarm = _keeping_the_state(CloudWatchBackend.put_metric_alarm)


def _keeping_the_state(plain):
    @functools.wraps(plain)
    def put_metric_alarm(self: CloudWatchBackend, name: str, *args, **kwargs) -> Alarm:
        before = self.alarms.get(name)
        alarm = plain(self, name, *args, **kwargs)
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        else:
            alarm.state_value, alarm.state_reason = before.state_value, before.state_reason
            alarm.state_updated_timestamp, alarm.history = before.state_updated_timestamp, before.history
        return alarm

    return put_metric_alarm


def put(metric: Metric, value: float, unit: str, *, rate: float | None = None) -> None:
    """Add a datum, as the service whose metric it is does. `rate` is what alarms and scaling take for it."""
    dimensions = [{"Name": name, "Value": each} for name, each in sorted(metric.dimensions)]
    datum = MetricDatum(metric.namespace, metric.name, float(value), dimensions, None, unit)
    datum.rate = rate
    cloudwatch_backends[ACCOUNT][metric.region].metric_data.append(datum)


def unseen() -> Iterator[tuple[Metric, float, str | None]]:
    """The data that came since the last call, with their units, whoever put them; those of an hour ago go."""
    for region, backend in list(cloudwatch_backends[ACCOUNT].items()):
        data, old = backend.metric_data, utcnow() - KEPT
        while data and getattr(data[0], "seen", False) and data[0].timestamp < old:
            del data[0]
        new = []
        for datum in reversed(list(data)):
            if getattr(datum, "seen", False):
                break
            datum.seen = True
            new.append(datum)
        for datum in reversed(new):
            dimensions = frozenset((each.name, each.value) for each in datum.dimensions)
            values = [datum.value] if isinstance(datum, MetricDatum) else [datum.min, datum.max]
            if (rate := getattr(datum, "rate", None)) is not None:
                values = [rate]
            for value in values:
                yield Metric(region, datum.namespace, datum.name, dimensions), value, datum.unit


def alarms() -> list[Alarm]:
    """Of every region."""
    return [alarm for backend in list(cloudwatch_backends[ACCOUNT].values()) for alarm in list(backend.alarms.values())]


def watched(alarm: Alarm) -> Metric:
    dimensions = frozenset((each.name, each.value) for each in alarm.dimensions)
    return Metric(alarm.region_name, alarm.namespace, alarm.metric_name, dimensions)


def change(alarm: Alarm, state: str, reason: str) -> None:
    """Write an alarm's new state, and tell the topics of its actions for that state."""
    old = alarm.state_value
    alarm.update_state(reason, "{}", state)
    log.info("alarm %s: %s", alarm.name, state)
    actions = getattr(alarm, KINDS[state]) if alarm.actions_enabled else []
    for arn in actions:
        if arn.split(":")[2] == "sns":
            _publish(alarm, arn, old)


def _publish(alarm: Alarm, arn: str, old: str) -> None:
    topic = sns_backends[ACCOUNT][arn.split(":")[3]].topics.get(arn)
    if topic is None:
        log.warning("alarm %s: there is no topic %s", alarm.name, arn)
        return
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": ACCOUNT,
        "NewStateValue": alarm.state_value,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": alarm.state_updated_timestamp.isoformat(),
        "Region": alarm.region_name,
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": old,
        "Trigger": {
            "MetricName": alarm.metric_name,
            "Namespace": alarm.namespace,
            "Statistic": alarm.statistic.upper(),
            "Dimensions": [{"name": each.name, "value": each.value} for each in alarm.dimensions],
            "Period": alarm.period,
            "EvaluationPeriods": alarm.evaluation_periods,
            "ComparisonOperator": alarm.comparison_operator,
            "Threshold": alarm.threshold,
            "TreatMissingData": alarm.treat_missing_data or "missing",
        },
    }
    topic.publish(json.dumps(message), subject=f'{alarm.state_value}: "{alarm.name}" in {alarm.region_name}')

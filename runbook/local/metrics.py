"""CloudWatch: what really happens is measured, in AWS's units, and the alarms are judged by it.

Time is compressed: what AWS measures once a minute is measured here every two seconds, and that counts as a minute, for
the periods of alarms, too. To alarms and scaling, requests are as many as they would come to in a whole minute at this
rate, for that is what a target of requests a minute means. A metric's datum keeps the time at which it was put, so that
one minute of a clock holds thirty; their RequestCount sums up to the requests that there were, and so do the errors.
"""

import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import node_agent
from .inside import autoscaling, cloudwatch, ec2
from .inside.cloudwatch import Metric, metric
from .nodes import Node, Nodes

MINUTE_SECONDS = 2.0
KEPT_MINUTES = 1500  # the longest that an alarm may look back is a day
BALANCER = "AWS/ApplicationELB"
CLASSIC = "AWS/ELB"
COUNTERS = ("requests", "target_5xx", "elb_5xx")
COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanOrEqualToThreshold": (lambda value, limit: value >= limit, "greater than or equal to"),
    "GreaterThanThreshold": (lambda value, limit: value > limit, "greater than"),
    "LessThanThreshold": (lambda value, limit: value < limit, "less than"),
    "LessThanOrEqualToThreshold": (lambda value, limit: value <= limit, "less than or equal to"),
}
STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
    "SampleCount": len,
}
MORE_PERIODS = 2  # beyond the evaluation periods, in which an alarm looks for data where some are missing


Rows = Callable[[], list[dict]]


@dataclass
class Series:
    """What was measured of one metric: (minute, value, unit), the newest last."""

    data: deque[tuple[int, float, str | None]] = field(default_factory=deque)

    def add(self, minute: int, value: float, unit: str | None) -> None:
        self.data.append((minute, value, unit))
        while self.data[0][0] <= minute - KEPT_MINUTES:
            self.data.popleft()

    def values(self, after: int, until: int, unit: str | None) -> list[float]:
        found = []
        for minute, value, its_unit in reversed(self.data):
            if minute <= after:
                break
            if minute <= until and unit in (None, its_unit):
                found.append(value)
        return found


class Metrics:
    """The part that measures, and judges the alarms; `minute` counts the minutes that it measured.

    `usage` tells of each service: region, cluster, service, cpu_seconds (since its beginning), reserved_cpu (units).
    `counters` tells of each target group: region, load_balancer, target_group, requests, target_5xx and elb_5xx (since
    its beginning), healthy, unhealthy (now); and of each classic balancer, whose target_group is None: region,
    load_balancer, requests.
    """

    def __init__(self, nodes: Nodes, usage: Rows, counters: Rows):
        cloudwatch.install()
        self.minute = 0
        self._nodes, self._usage, self._counters = nodes, usage, counters
        self._looked = time.monotonic()
        self._before: dict[tuple, float] = {}
        self._series: dict[Metric, Series] = defaultdict(Series)

    def step(self) -> None:
        seconds = time.monotonic() - self._looked
        if seconds >= MINUTE_SECONDS:
            self._looked += seconds
            self.measure(seconds)

    def close(self) -> None:
        """Nothing runs for it."""

    def measure(self, seconds: float) -> None:
        """Take one minute's measure; `seconds` have really gone by since the last."""
        self.minute += 1
        self._measure_services(seconds)
        self._measure_balancers(seconds)
        self._measure_disks()
        for each, value, unit in cloudwatch.unseen():
            self._series[each].add(self.minute, value, unit)
        for alarm in cloudwatch.alarms():
            points = self._datapoints(alarm)
            state, reason = judge(alarm, points)
            if state not in (None, alarm.state_value):
                cloudwatch.change(alarm, state, reason)

    def latest(self, of: Metric) -> float | None:
        """The average of the newest minute, if that minute was measured."""
        values = self._series[of].values(self.minute - 1, self.minute, None) if of in self._series else []
        return sum(values) / len(values) if values else None

    def _grown(self, key: tuple, now: float) -> float:
        """By how much a cumulative number has grown since the last measure; 0 the first time, or if it went back."""
        before, self._before[key] = self._before.get(key, now), now
        return max(0.0, now - before)

    def _measure_services(self, seconds: float) -> None:
        for row in self._usage():
            key = (row["region"], row["cluster"], row["service"])
            grown = self._grown(key, row["cpu_seconds"])
            if row["reserved_cpu"]:
                of = metric(row["region"], "AWS/ECS", "CPUUtilization", ClusterName=key[1], ServiceName=key[2])
                cloudwatch.put(of, 100 * grown / seconds * 1024 / row["reserved_cpu"], "Percent")

    def _measure_balancers(self, seconds: float) -> None:
        totals: dict[tuple[str, str, str], float] = defaultdict(float)
        for row in self._counters():
            region, balancer, group = row["region"], row["load_balancer"], row["target_group"]
            if group is None:
                self._measure_classic(row, seconds)
                continue
            both = {"LoadBalancer": balancer, "TargetGroup": group}
            grown = {name: self._grown((balancer, group, name), row[name]) for name in COUNTERS}
            requests = grown["requests"] * 60 / seconds
            cloudwatch.put(metric(region, BALANCER, "HealthyHostCount", **both), row["healthy"], "Count")
            cloudwatch.put(metric(region, BALANCER, "UnHealthyHostCount", **both), row["unhealthy"], "Count")
            counted = metric(region, BALANCER, "RequestCount", **both)
            cloudwatch.put(counted, grown["requests"], "Count", rate=requests)
            targets = row["healthy"] or row["unhealthy"]
            if targets:
                share = requests / targets
                cloudwatch.put(metric(region, BALANCER, "RequestCountPerTarget", **both), share, "None")
                of = metric(region, BALANCER, "RequestCountPerTarget", TargetGroup=group)
                cloudwatch.put(of, share, "None")
            if grown["target_5xx"]:
                of = metric(region, BALANCER, "HTTPCode_Target_5XX_Count", **both)
                cloudwatch.put(of, grown["target_5xx"], "Count")
            totals[region, balancer, "RequestCount"] += grown["requests"]
            totals[region, balancer, "HTTPCode_Target_5XX_Count"] += grown["target_5xx"]
            totals[region, balancer, "HTTPCode_ELB_5XX_Count"] += grown["elb_5xx"]
        for (region, balancer, name), count in totals.items():
            if count or name == "RequestCount":  # the others are reported only when there are some
                rate = count * 60 / seconds if name == "RequestCount" else None
                cloudwatch.put(metric(region, BALANCER, name, LoadBalancer=balancer), count, "Count", rate=rate)

    def _measure_classic(self, row: dict, seconds: float) -> None:
        # https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-cloudwatch-metrics.html: "Elastic Load
        # Balancing reports metrics to CloudWatch only when requests are flowing through the load balancer".
        grown = self._grown((row["region"], row["load_balancer"]), row["requests"])
        if grown:
            of = metric(row["region"], CLASSIC, "RequestCount", LoadBalancerName=row["load_balancer"])
            cloudwatch.put(of, grown, "Count", rate=grown * 60 / seconds)

    def _measure_disks(self) -> None:
        for node in self._nodes.all():
            configuration = node_agent.running(node.root)
            role = ec2.role(node.region, node.instance_id) if configuration else None
            if role and ec2.allows(role, "cloudwatch:PutMetricData"):
                for of in disk_metrics(node, configuration):
                    cloudwatch.put(of, disk_used(node), "Percent")

    def _datapoints(self, alarm: cloudwatch.Alarm) -> list[float | None]:
        """The alarm's statistic in each period that it looks at, the newest first; None where nothing was measured."""
        length = max(1, alarm.period // 60)
        series = self._series.get(cloudwatch.watched(alarm), Series())
        points: list[float | None] = []
        for k in range(alarm.evaluation_periods + MORE_PERIODS):
            until = self.minute - k * length
            values = series.values(until - length, until, alarm.unit)
            points.append(STATISTICS[alarm.statistic](values) if values else None)
        return points


def judge(alarm: cloudwatch.Alarm, points: list[float | None]) -> tuple[str | None, str]:
    """(state, reason) of an alarm from its datapoints, the newest first; None for the state leaves it as it is.

    Where data are missing, real ones of a little before count first, as "Configuring how CloudWatch alarms treat
    missing data" of the user guide has it.
    """
    periods, treat = alarm.evaluation_periods, alarm.treat_missing_data or "missing"
    needed = alarm.datapoints_to_alarm or periods
    breaches, words = COMPARISONS[alarm.comparison_operator]
    recent = points[:periods]
    if None in recent:
        recent = [point for point in points if point is not None][:periods]
    absent = periods - len(recent)
    if not recent and treat == "ignore":
        return None, ""
    if not recent and treat == "missing":
        return "INSUFFICIENT_DATA", f"Insufficient Data: {absent} datapoints were unknown."
    breaching = sum(breaches(point, alarm.threshold) for point in recent)
    seen = ", ".join(f"{point:.1f}" for point in recent)
    if treat == "breaching":
        breaching += absent
    elif treat in ("missing", "ignore") and absent and breaching < needed and breaching == len(recent):
        return None, ""  # too few to tell, and all of them breach
    crossed = "Threshold Crossed: "
    if not recent:
        kind = "Breaching" if treat == "breaching" else "NonBreaching"
        reason = f"{crossed}no datapoints were received for {periods} periods and they were treated as [{kind}]."
    else:
        told = f"{breaching} out of the last {periods} datapoints [{seen}] were {words} the threshold"
        reason = f"{crossed}{told} ({alarm.threshold}) ({needed} are needed for ALARM)."
    return ("ALARM" if breaching >= needed else "OK"), reason


def disk_metrics(node: Node, configuration: dict) -> Iterable[Metric]:
    """The metrics under which the node's agent reports its disk: with all dimensions, and each aggregation."""
    mount = {"path": "/", "device": "root", "fstype": "bind"}
    own = {
        "InstanceId": node.instance_id,
        "InstanceType": ec2.instance_type(node.region, node.instance_id),
        "ImageId": ec2.image_id(node.region, node.instance_id),
        "AutoScalingGroupName": autoscaling.group_of(node.region, node.instance_id),
    }
    section = configuration["metrics"]
    appended = {name: own[name] for name in section.get("append_dimensions", {}) if own[name]}
    everything = mount | (appended or {"host": node.instance_id})
    sets = [everything]
    for names in section.get("aggregation_dimensions", []):
        if all(name in everything for name in names):
            sets.append({name: everything[name] for name in names})
    namespace = section.get("namespace", "CWAgent")
    return [metric(node.region, namespace, "disk_used_percent", **each) for each in sets]


def disk_used(node: Node) -> float:
    """Percent, as `df` has it: of what a plain user may use."""
    seen = os.statvfs(node.root)
    used = seen.f_blocks - seen.f_bfree
    return 100 * used / max(1, used + seen.f_bavail)

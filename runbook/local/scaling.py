"""Scaling by measure: services by target tracking, Auto Scaling groups by what the tasks of capacity providers need.

Both go by the compressed minutes of metrics.py. The rules are those of the guides "Target tracking scaling policies"
(Application Auto Scaling) and "Amazon ECS cluster auto scaling".
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable

from .inside import autoscaling, capacity, cloudwatch, ecs, scaling
from .metrics import Metrics

log = logging.getLogger(__name__)

Provisioning = Callable[[str, str, str], list[ecs.Task]]
"""The tasks of a (region, cluster, capacity provider) that wait for an instance."""


class Scaling:
    """The part that sets desired counts and capacities."""

    def __init__(self, metrics: Metrics, provisioning: Provisioning):
        scaling.install()
        self._metrics, self._provisioning = metrics, provisioning
        self._minute = 0
        self._changed: dict[str, tuple[int, int]] = {}  # the minute of each target's last way out, and in
        self._spare: dict[tuple[str, str, str], int] = defaultdict(int)  # minutes in which a provider had too much

    def step(self) -> None:
        if self._minute == self._metrics.minute:
            return
        self._minute = self._metrics.minute
        for region, target in scaling.targets():
            service = scaling.service(region, target)
            if service:
                self._track(region, target, service)
        for provider in capacity.providers():
            if provider.scaling:
                self._manage(provider)

    def close(self) -> None:
        """Nothing runs for it."""

    def _track(self, region: str, target: scaling.Target, service: scaling.ecs.Service) -> None:
        """Scale out if any policy wants it, to the most that one wants; in if all that may agree, by one.

        A count outside the bounds is left alone until a way towards them is wanted; then it is first put within them
        (ECS guide, "Automatically scale your Amazon ECS service").
        """
        policies = scaling.policies(region, target)
        out, into = self._changed.get(target.arn, (-math.inf, -math.inf))
        current, wanted = service.desired_count, []
        for policy in policies:
            if policy.high and policy.high.state_value == "ALARM":
                value = self._metrics.latest(cloudwatch.watched(policy.high))
                cooling = self._minute - out < policy.out_cooldown / 60
                if value is not None and not cooling:
                    wanted.append((math.ceil(current * value / policy.target), policy))
        if wanted:
            count, policy = max(wanted, key=lambda each: each[0])
            count = min(max(count, target.min_capacity), target.max_capacity)
            if count > current:
                scaling.set_desired(target, service, count, policy.high, policy.name)
                self._changed[target.arn] = (self._minute, into)
            return
        may = [policy for policy in policies if policy.scales_in]
        if not may or any(policy.high and policy.high.state_value == "ALARM" for policy in policies):
            return
        if scaling.is_deploying(service) or any(not each.low or each.low.state_value != "ALARM" for each in may):
            return
        cooling = self._minute - max(out, into) < max(policy.in_cooldown for policy in may) / 60
        if not cooling and current > target.min_capacity:
            count = min(current - 1, target.max_capacity)
            scaling.set_desired(target, service, count, may[0].low, may[0].name)
            self._changed[target.arn] = (out, self._minute)

    def _manage(self, provider: capacity.Provider) -> None:
        """CapacityProviderReservation is M / N in percent: instances that the tasks need, and instances that there are.

        N = 0 gives 100 without a need and 200 with one ("Deep dive on Amazon ECS cluster auto scaling").
        """
        region, name = provider.region, provider.group
        with autoscaling.LOCK:
            group = autoscaling.group(region, name)
            if group is None or group.status == autoscaling.DELETING:
                return
            living = autoscaling.living(group)
            busy = ecs.busy_instances(region, provider.cluster)
            empty = [state for state in living if state.instance_id not in busy]
            waiting = self._provisioning(region, provider.cluster, provider.name)
            there = len(living)
            needed = there - len(empty) + capacity.needed(region, name, waiting)
            reservation = 100 * needed / there if there else 200 if needed else 100
            of = cloudwatch.metric(
                region,
                "AWS/ECS/ManagedScaling",
                "CapacityProviderReservation",
                CapacityProviderName=provider.name,
                ClusterName=provider.cluster,
            )
            cloudwatch.put(of, reservation, "Percent")
            settings = provider.scaling
            wanted = min(max(math.ceil(needed * 100 / settings["targetCapacity"]), group.min_size), group.max_size)
            key = (region, provider.cluster, provider.name)
            if wanted >= group.desired_capacity:
                self._spare[key] = 0
                self._grow(group, wanted, settings)
                return
            self._spare[key] += 1
            if self._spare[key] >= scaling.IN_MINUTES:
                self._spare[key] = 0
                self._shrink(group, wanted, empty)

    def _grow(self, group: autoscaling.Group, wanted: int, settings: dict) -> None:
        step = wanted - group.desired_capacity
        if step > 0:
            step = min(max(step, settings["minimumScalingStepSize"]), settings["maximumScalingStepSize"])
            autoscaling.set_desired(group.region, group.name, group.desired_capacity + step)
            log.info("%s grows to %s for tasks that wait", group.name, group.desired_capacity)

    def _shrink(self, group: autoscaling.Group, wanted: int, empty: list[autoscaling.InstanceState]) -> None:
        """Instances without tasks lose their protection from scale in; the others keep theirs."""
        for state in empty:
            state.protected_from_scale_in = False
        fewest = max(wanted, group.desired_capacity - len(empty))
        autoscaling.set_desired(group.region, group.name, fewest)
        log.info("%s shrinks to %s: its other instances are empty", group.name, group.desired_capacity)

"""Auto Scaling groups: each keeps its desired capacity with real instances, which become nodes as any instance does."""

import time
from collections import Counter

from .inside import autoscaling, capacity, launching

DRAIN_SECONDS = 600.0  # how long an instance may take to get rid of its tasks; on AWS up to 48 hours
RETRY_SECONDS = 2.0  # after a launch that failed


class Groups:
    """The part that launches and terminates the instances of Auto Scaling groups."""

    def __init__(self):
        autoscaling.install()
        self._retry: dict[str, float] = {}
        self._draining: dict[str, float] = {}

    def step(self) -> None:
        with autoscaling.LOCK:
            draining = {(each.region, each.group) for each in capacity.providers() if each.drains}
            for group in autoscaling.groups():
                drains = (group.region, group.name) in draining and group.status != autoscaling.DELETING
                self._look(group)
                for state in autoscaling.leaving(group):
                    self._see_off(group, state, drains)
                surge = self._refresh(group)
                self._balance(group, group.desired_capacity + surge)
                if group.status == autoscaling.DELETING and not group.instance_states:
                    autoscaling.drop(group)

    def close(self) -> None:
        """Nothing runs for a group itself."""

    def _look(self, group: autoscaling.Group) -> None:
        """Take note of what became of the instances: EC2 health checks, and SetInstanceHealth."""
        for state in list(group.instance_states):
            ends = state.lifecycle_state.startswith("Terminating")
            if state.instance.state == "terminated":
                if not ends:
                    autoscaling.leave(group, state, "an instance was terminated by a user or has failed")
                autoscaling.forget(group, state)
                self._draining.pop(state.instance_id, None)
            elif not ends and (state.instance.state in ("stopping", "stopped") or state.health_status == "Unhealthy"):
                state.health_status = "Unhealthy"
                autoscaling.leave(group, state, "an instance was taken out of service in response to a health check")
            elif state.lifecycle_state == "Pending" and state.instance.state == "running":
                autoscaling.enter(state)

    def _see_off(self, group: autoscaling.Group, state: autoscaling.InstanceState, drains: bool) -> None:
        """Terminate an instance; with managed draining when its tasks have gone."""
        if drains and state.instance.state == "running":
            until = self._draining.setdefault(state.instance_id, time.monotonic() + DRAIN_SECONDS)
            state.lifecycle_state = "Terminating:Wait"
            if capacity.drain(group.region, state.instance_id) and time.monotonic() < until:
                return
        autoscaling.terminate(group, state)

    def _refresh(self, group: autoscaling.Group) -> int:
        """One step of an instance refresh; how many instances the group may have above its desired capacity.

        One instance after the other; the new one first where MaxHealthyPercentage is above 100.
        """
        refresh = autoscaling.running_refresh(group)
        if refresh is None:
            return 0
        if refresh["Status"] == "Cancelling":
            refresh |= {"Status": "Cancelled", "EndTime": autoscaling.utcnow()}
            return 0
        refresh["Status"] = "InProgress"
        preferences = refresh["Preferences"]
        living = autoscaling.living(group)
        old = [state for state in living if state.instance_id in refresh["old"]]
        if preferences["ScaleInProtectedInstances"] == "Ignore":
            old = [state for state in old if not state.protected_from_scale_in]
        refresh["InstancesToUpdate"] = len(old)
        if refresh["old"]:
            refresh["PercentageComplete"] = 100 * (len(refresh["old"]) - len(old)) // len(refresh["old"])
        surge = int(bool(old) and preferences.get("MaxHealthyPercentage", 100) > 100)
        ready = [state for state in living if self._is_ready(group, state)]
        if len(ready) < group.desired_capacity + surge or autoscaling.leaving(group):
            return surge
        if not old:
            refresh |= {"Status": "Successful", "PercentageComplete": 100, "EndTime": autoscaling.utcnow()}
            return 0
        if old[0].protected_from_scale_in and preferences["ScaleInProtectedInstances"] == "Wait":
            refresh["StatusReason"] = "The instance refresh waits for instances that are protected from scale in."
            return surge
        autoscaling.leave(group, old[0], "an instance was taken out of service in response to an instance refresh")
        return surge

    def _is_ready(self, group: autoscaling.Group, state: autoscaling.InstanceState) -> bool:
        """In service, and, in the group of a capacity provider, in its cluster: what AWS's instance warm-up is for."""
        if state.lifecycle_state != "InService":
            return False
        mine = any((each.region, each.group) == (group.region, group.name) for each in capacity.providers())
        return not mine or capacity.has_joined(group.region, state.instance_id)

    def _balance(self, group: autoscaling.Group, wanted: int) -> None:
        living = autoscaling.living(group)
        if len(living) > wanted:
            out = living if group.status == autoscaling.DELETING else chosen(living, len(living) - wanted)
            for state in out:
                autoscaling.leave(group, state, "an instance was taken out of service to match the desired capacity")
        elif time.monotonic() >= self._retry.get(group.arn, 0):
            for _ in range(wanted - len(living)):
                try:
                    autoscaling.launch(group, "an instance was started to match the desired capacity")
                except launching.LaunchFailed:
                    self._retry[group.arn] = time.monotonic() + RETRY_SECONDS
                    break


def chosen(living: list[autoscaling.InstanceState], count: int) -> list[autoscaling.InstanceState]:
    """Which instances scale-in takes: none that is protected, from the fullest zone, of the oldest template first.

    The source is "Default termination policy" in the guide of Auto Scaling.
    """
    left, out = list(living), []
    for _ in range(count):
        zones = Counter(state.availability_zone for state in left)
        free = [state for state in left if not state.protected_from_scale_in]
        if not free:
            break
        out.append(min(free, key=lambda state: (-zones[state.availability_zone], _version(state))))
        left.remove(out[-1])
    return out


def _version(state: autoscaling.InstanceState) -> int:
    return int(state.launch_template["Version"]) if state.launch_template else 0

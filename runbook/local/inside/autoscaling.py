"""Auto Scaling groups inside moto: what they shall hold, their instances, and what has happened to them.

moto launches within the call, into one subnet, with a part of the launch template, and forgets a group at once. Here a
call writes down what is wanted; the data plane (groups.py) launches and terminates, one look after the other.
"""

import functools
import threading
import uuid

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, InstanceState, autoscaling_backends
from moto.autoscaling.models import FakeAutoScalingGroup as Group
from moto.autoscaling.responses import AutoScalingResponse
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from . import launching

LOCK = threading.RLock()  # held by each answer of the API and by each round of the groups
DELETING = "Delete in progress"
ACTIVITIES = 100  # of one group that stay visible
FULL_REFRESH = {"MinHealthyPercentage": 90, "ScaleInProtectedInstances": "Wait", "SkipMatching": False}
RUNNING_REFRESH = ("Pending", "InProgress", "Cancelling")


def install() -> None:
    """Let calls write what is wanted and nothing else; a second call changes nothing."""
    if hasattr(Group.update, "__wrapped__"):
        return
    Group.update = _update(Group.update)
    Group.set_desired_capacity = _set_desired_capacity
    Group.status = None
    InstanceState.launch_template = property(lambda state: getattr(state, "launched", None))
    AutoScalingBackend.delete_auto_scaling_group = _delete
    AutoScalingBackend.terminate_instance = _terminate_instance
    AutoScalingBackend.notify_terminate_instances = lambda self, instance_ids: None  # the next round sees it
    AutoScalingResponse.call_action = _call_action(AutoScalingResponse.call_action)
    for answer in (_describe_scaling_activities, _start_instance_refresh, _cancel_instance_refresh):
        setattr(AutoScalingResponse, answer.__name__[1:], answer)
    AutoScalingResponse.describe_instance_refreshes = _describe_instance_refreshes
    AutoScalingResponse.terminate_instance_in_auto_scaling_group = _terminate_instance_in_auto_scaling_group


def _call_action(plain):
    @functools.wraps(plain)
    def call_action(self):
        with LOCK:
            return plain(self)

    return call_action


def _set_desired_capacity(self: Group, new_capacity: int | None) -> None:
    self.desired_capacity = self.min_size if new_capacity is None else new_capacity


def _update(plain):
    """UpdateAutoScalingGroup: new limits move a desired capacity that lies outside of them."""

    @functools.wraps(plain)
    def update(self: Group, *, desired_capacity=None, max_size=None, min_size=None, **rest):
        lowest = self.min_size if min_size is None else min_size
        highest = self.max_size if max_size is None else max_size
        desired = self.desired_capacity if desired_capacity is None else desired_capacity
        desired = min(max(desired, lowest), highest)
        plain(self, desired_capacity=desired, max_size=max_size, min_size=min_size, **rest)

    return update


def _delete(self: AutoScalingBackend, group_name: str) -> None:
    group = _named(self, group_name)
    group.status, group.min_size, group.desired_capacity = DELETING, 0, 0
    if not group.instance_states:
        drop(group)


def _named(backend: AutoScalingBackend, name: str) -> Group:
    if name not in backend.autoscaling_groups:
        raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return backend.autoscaling_groups[name]


def _terminate_instance(self: AutoScalingBackend, instance_id: str, should_decrement: bool) -> dict:
    for group in self.autoscaling_groups.values():
        for state in living(group):
            if state.instance_id == instance_id:
                if should_decrement:
                    if group.desired_capacity - 1 < group.min_size:
                        raise ValidationError(
                            "Currently, desiredSize equals minSize. Terminating instance without replacement will "
                            "violate group's min size constraint."
                        )
                    group.desired_capacity -= 1
                return leave(group, state, f"instance {instance_id} was taken out of service in response to a user")
    raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def _terminate_instance_in_auto_scaling_group(self: AutoScalingResponse) -> ActionResult:
    decrement = self._get_bool_param("ShouldDecrementDesiredCapacity", False)
    activity = self.autoscaling_backend.terminate_instance(self._get_param("InstanceId"), decrement)
    return ActionResult({"Activity": activity})


def _describe_scaling_activities(self: AutoScalingResponse) -> ActionResult:
    name, wanted = self._get_param("AutoScalingGroupName"), self._get_param("ActivityIds", [])
    backend = self.autoscaling_backend
    found = [_named(backend, name)] if name else list(backend.autoscaling_groups.values())
    seen = [each for group in found for each in _activities(group) if not wanted or each["ActivityId"] in wanted]
    return ActionResult({"Activities": seen[: self._get_int_param("MaxRecords", ACTIVITIES)]})


def _start_instance_refresh(self: AutoScalingResponse) -> ActionResult:
    group = _named(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
    if running_refresh(group):
        raise AutoscalingClientError(
            "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution."
        )
    preferences = FULL_REFRESH | (self._get_param("Preferences") or {})
    newest = str(launching.version(group).number)
    old = [
        state
        for state in living(group)
        if not (preferences["SkipMatching"] and state.launched and state.launched["Version"] == newest)
    ]
    refresh = {
        "InstanceRefreshId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "Status": "Pending",
        "StartTime": utcnow(),
        "PercentageComplete": 0,
        "InstancesToUpdate": len(old),
        "Preferences": preferences,
        "old": [state.instance_id for state in old],
    }
    refreshes(group).insert(0, refresh)
    return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})


def _cancel_instance_refresh(self: AutoScalingResponse) -> ActionResult:
    refresh = running_refresh(_named(self.autoscaling_backend, self._get_param("AutoScalingGroupName")))
    if refresh is None:
        raise AutoscalingClientError(
            "ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found."
        )
    refresh["Status"] = "Cancelling"
    return ActionResult({"InstanceRefreshId": refresh["InstanceRefreshId"]})


def _describe_instance_refreshes(self: AutoScalingResponse) -> ActionResult:
    group, wanted = self._get_param("AutoScalingGroupName"), self._get_param("InstanceRefreshIds", [])
    found = [
        {name: value for name, value in each.items() if name != "old"}
        for each in refreshes(_named(self.autoscaling_backend, group))
        if not wanted or each["InstanceRefreshId"] in wanted
    ]
    return ActionResult({"InstanceRefreshes": found})


# what other parts ask


def groups() -> list[Group]:
    """Of every region."""
    backends = list(autoscaling_backends[ACCOUNT].values())
    return [group for backend in backends for group in list(backend.autoscaling_groups.values())]


def group(region: str, name: str) -> Group | None:
    return autoscaling_backends[ACCOUNT][region].autoscaling_groups.get(name)


def group_of(region: str, instance_id: str) -> str | None:
    """The name of the Auto Scaling group that an instance is in."""
    for each in list(autoscaling_backends[ACCOUNT][region].autoscaling_groups.values()):
        if any(state.instance_id == instance_id for state in list(each.instance_states)):
            return each.name
    return None


def group_arn(region: str, name: str) -> str | None:
    found = group(region, name)
    return found.arn if found else None


def set_desired(region: str, name: str, n: int) -> None:
    """Set a group's desired capacity, within its limits; a group that is being deleted keeps 0."""
    with LOCK:
        found = group(region, name)
        if found and found.status != DELETING:
            found.desired_capacity = min(max(n, found.min_size), found.max_size)


def living(group: Group) -> list[InstanceState]:
    """The instances that count, oldest first: Pending and InService."""
    return [state for state in group.instance_states if state.lifecycle_state in ("Pending", "InService")]


def leaving(group: Group) -> list[InstanceState]:
    return [state for state in group.instance_states if state.lifecycle_state.startswith("Terminating")]


def refreshes(group: Group) -> list[dict]:
    """Newest first; their key "old" is ours: the ids of the instances that are still to be replaced."""
    return vars(group).setdefault("refreshes", [])


def running_refresh(group: Group) -> dict | None:
    return next((each for each in refreshes(group) if each["Status"] in RUNNING_REFRESH), None)


# what the groups do


def launch(group: Group, cause: str) -> None:
    """Launch one more instance; launching.LaunchFailed, and an activity that says so, if none can be."""
    try:
        state = launching.launch(group, [each.availability_zone for each in living(group)])
    except launching.LaunchFailed as failed:
        record(group, "Launching a new EC2 instance", cause, "Failed", f"{failed}. Launching EC2 instance failed.")
        raise
    state.activity = record(group, f"Launching a new EC2 instance: {state.instance_id}", cause, "PreInService")
    group.instance_states.append(state)


def enter(state: InstanceState) -> None:
    """An instance that runs is in service."""
    state.lifecycle_state = "InService"
    end(state.activity)


def leave(group: Group, state: InstanceState, cause: str) -> dict:
    """Begin to terminate an instance; the activity that shows it."""
    state.lifecycle_state = "Terminating"
    state.activity = record(group, f"Terminating EC2 instance: {state.instance_id}", cause, "InProgress")
    return state.activity


def terminate(group: Group, state: InstanceState) -> None:
    """End the instance of a state that leaves; it goes from the group with `forget`."""
    if state.instance.state != "terminated":
        group.ec2_backend.terminate_instances([state.instance_id])


def forget(group: Group, state: InstanceState) -> None:
    group.instance_states.remove(state)
    end(state.activity)


def drop(group: Group) -> None:
    group.autoscaling_backend.autoscaling_groups.pop(group.name, None)


def record(group: Group, description: str, cause: str, status: str, message: str | None = None) -> dict:
    """Write an activity; one that has failed once more since is the same one."""
    now = utcnow()
    newest = next(iter(_activities(group)), None)
    if message and newest and newest.get("StatusMessage") == message:
        newest["EndTime"] = now
        return newest
    activity = {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": description,
        "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} {cause}.",
        "StartTime": now,
        "StatusCode": status,
        "Progress": 50,
        "Details": "{}",
    }
    if message:
        activity |= {"StatusMessage": message, "EndTime": now, "Progress": 100}
    _activities(group).insert(0, activity)
    del _activities(group)[ACTIVITIES:]
    return activity


def end(activity: dict) -> None:
    activity |= {"StatusCode": "Successful", "Progress": 100, "EndTime": utcnow()}


def _activities(group: Group) -> list[dict]:
    return vars(group).setdefault("activities", [])

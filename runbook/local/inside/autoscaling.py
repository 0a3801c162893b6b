"""Auto Scaling groups inside moto: what they shall hold, their instances, and what has happened to them.

moto launches within the call, into one subnet, with a part of the launch template, and forgets a group at once. Here a
call writes down what is wanted; the data plane (groups.py) launches and terminates, one look after the other.
"""

import functools
import threading
import uuid
from collections import Counter

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import ASG_NAME_TAG, AutoScalingBackend, InstanceState, autoscaling_backends
from moto.autoscaling.models import FakeAutoScalingGroup as Group
from moto.autoscaling.responses import AutoScalingResponse
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.core.utils import utcnow
from moto.ec2.utils import convert_tag_spec, parse_user_data
from moto.ssm.models import ssm_backends

from . import account, ec2

LOCK = threading.RLock()  # held by each answer of the API and by each round of the groups
DELETING = "Delete in progress"
ACTIVITIES = 100  # of one group that stay visible
FULL_REFRESH = {"MinHealthyPercentage": 90, "ScaleInProtectedInstances": "Wait", "SkipMatching": False}
RUNNING_REFRESH = ("Pending", "InProgress", "Cancelling")


class LaunchFailed(Exception):
    """No instance can be launched; the message is AWS's."""


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
    return ActionResult({"Activities": seen})


def _start_instance_refresh(self: AutoScalingResponse) -> ActionResult:
    group = _named(self.autoscaling_backend, self._get_param("AutoScalingGroupName"))
    if running_refresh(group):
        raise AutoscalingClientError(
            "InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution."
        )
    preferences = FULL_REFRESH | (self._get_param("Preferences") or {})
    newest = str(_version(group).number)
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


def registers(group: Group) -> dict[str, int]:
    """What an instance that the group launches now would register with ECS: CPU and MEMORY."""
    return ec2.size(_version(group).data["InstanceType"])


# what the groups do


def launch(group: Group, cause: str) -> None:
    """Launch one instance as the template's version says, in the zone with fewest; LaunchFailed if none can be."""
    try:
        with ec2.MAKING:
            _launch(group, _version(group), cause)
    except ServiceException as refused:
        raise LaunchFailed(refused.message) from None


def _version(group: Group):
    template = group.ec2_launch_template
    if template.id not in group.ec2_backend.launch_templates:
        raise LaunchFailed(f"The launch template {template.name} does not exist")
    return template.get_version(group.launch_template_version)


def _launch(group: Group, version, cause: str) -> None:
    data, backend, region = version.data, group.ec2_backend, group.region
    profile = data.get("IamInstanceProfile") or {}
    if profile and not account.instance_profile_exists(profile.get("Name"), profile.get("Arn")):
        raise LaunchFailed(f"Invalid IAM Instance Profile {profile.get('Name') or profile.get('Arn')}")
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    given = data.get("UserData")
    more = {"block_device_mappings": data["BlockDeviceMappings"]} if data.get("BlockDeviceMappings") else {}
    instance = backend.run_instances(
        image(region, data.get("ImageId", "")),
        1,
        given if given is None or isinstance(given, Base64EncodedString) else parse_user_data(given),
        data.get("SecurityGroups", []),
        instance_type=data.get("InstanceType", "m1.small"),
        is_instance_type_default=False,
        region_name=region,
        subnet_id=_subnet(group).id,
        security_group_ids=[*data.get("SecurityGroupIds", []), *interface.get("Groups", [])],
        associate_public_ip=interface.get("AssociatePublicIpAddress"),
        key_name=data.get("KeyName"),
        ebs_optimized=data.get("EbsOptimized", False),
        metadata_options=data.get("MetadataOptions") or {},
        monitoring_state="enabled" if (data.get("Monitoring") or {}).get("Enabled") else "disabled",
        launch_template={"LaunchTemplateId": version.template.id, "Version": str(version.number)},
        tags={
            "instance": group.get_propagated_tags() | {ASG_NAME_TAG: group.name},
            "volume": convert_tag_spec(data.get("TagSpecifications", [])).get("volume", {}),
        },
        **more,
    ).instances[0]
    if profile:
        backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
    protected = group.new_instances_protected_from_scale_in
    state = InstanceState(instance, "Pending", protected_from_scale_in=protected, autoscaling_group=group)
    state.launched = {
        "LaunchTemplateId": version.template.id,
        "LaunchTemplateName": version.template.name,
        "Version": str(version.number),
    }
    state.activity = record(group, f"Launching a new EC2 instance: {instance.id}", cause, "PreInService")
    group.instance_states.append(state)


def image(region: str, name: str) -> str:
    """The AMI that a launch template names, by id or as resolve:ssm:PARAMETER."""
    if not name.startswith("resolve:ssm:"):
        return name
    parameter = ssm_backends[ACCOUNT][region].get_parameter(name.removeprefix("resolve:ssm:"))
    return parameter.value if parameter else name


def _subnet(group: Group):
    backend = group.ec2_backend
    if group.vpc_zone_identifier:
        subnets = [backend.get_subnet(each.strip()) for each in group.vpc_zone_identifier.split(",")]
    else:
        filters = {"availability-zone": group.availability_zones, "default-for-az": ["true"]}
        subnets = backend.describe_subnets(filters=filters)
    taken = Counter(state.availability_zone for state in living(group))
    return min(subnets, key=lambda subnet: taken[subnet.availability_zone])


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

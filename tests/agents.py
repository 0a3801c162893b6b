"""What AWS does on its own while the runbook waits, where moto does not: agents join, groups balance and end."""

import base64
import functools
import time
from types import SimpleNamespace

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState
from moto.backends import get_backend
from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString
from moto.ec2.models.instances import InstanceBackend
from moto.ec2.models.launch_templates import LaunchTemplateVersion
from moto.ssm.responses import SimpleSystemManagerResponse

ACCOUNT, REGION = "123456789012", "eu-central-1"


def install(monkeypatch):
    """Agents that do a round whenever the runbook sleeps; moto has no DescribeInstanceInformation of its own."""
    agents = Agents()
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=time.monotonic, sleep=agents))
    monkeypatch.setattr(SimpleSystemManagerResponse, "describe_instance_information", lambda s: agents.ping(s), False)
    monkeypatch.setattr(FakeAutoScalingGroup, "replace_autoscaling_group_instances", _launch_balanced)
    monkeypatch.setattr(InstanceState, "launch_template", property(_launched_from))
    monkeypatch.setattr(InstanceBackend, "run_instances", _resolving(InstanceBackend.run_instances))
    monkeypatch.setattr(LaunchTemplateVersion, "user_data", property(_template_user_data))
    return agents


class Agents:
    """What happens on AWS while the runbook waits: running nodes join the cluster named in their user data."""

    def __init__(self):
        self.rounds, self.joining, self.online = 0, True, True

    def __call__(self, _seconds=0):
        self.rounds += 1
        ec2, ecs = (get_backend(service)[ACCOUNT][REGION] for service in ("ec2", "ecs"))
        for instance in ec2.all_instances():
            config = dict(line.split("=", 1) for line in _user_data(instance).splitlines() if "=" in line)
            if (name := config.get("ECS_CLUSTER")) not in ecs.clusters:
                continue
            registered = ecs.container_instances.get(name, {})
            mine = [item for item in registered.values() if item.ec2_instance_id == instance.id]
            if instance.state == "running" and self.joining:
                for item in mine or [_registered(ecs, name, instance.id)]:
                    item.agent_connected = True
            for item in mine:
                if instance.state == "stopped":
                    item.agent_connected = False
                if instance.state == "terminated" and item.agent_connected:
                    ecs.deregister_container_instance(name, item.container_instance_arn, force=True)

        groups = get_backend("autoscaling")[ACCOUNT][REGION].autoscaling_groups
        for instance in ec2.all_instances():
            of = [tag["value"] for tag in instance.get_tags() if tag["key"] == "aws:autoscaling:groupName"]
            if of and of[0] not in groups and instance.state == "running":  # moto leaves the protected ones
                ec2.terminate_instances([instance.id])

    def ping(self, response):
        ids = [i.id for i in get_backend("ec2")[ACCOUNT][REGION].all_instances() if i.state == "running"]
        found = [{"InstanceId": instance_id, "PingStatus": "Online"} for instance_id in ids if self.online]
        return ActionResult({"InstanceInformationList": found})


def _registered(ecs, cluster, instance_id):
    """A capacity provider of the cluster takes the instances of its group that join from then on."""
    item = ecs.register_container_instance(cluster, instance_id)
    groups = get_backend("autoscaling")[ACCOUNT][REGION].autoscaling_groups.values()
    arns = [group.arn for group in groups if instance_id in {state.instance.id for state in group.instance_states}]
    for provider in map(ecs.capacity_providers.get, ecs.clusters[cluster].capacity_providers or []):
        if provider.auto_scaling_group_provider["autoScalingGroupArn"] in arns:
            item.capacity_provider_name = provider.name
    return item


def _user_data(instance):
    return base64.b64decode(str(instance.user_data or "")).decode()


def _launch_balanced(
    self, count_needed, propagated_tags, plain=FakeAutoScalingGroup.replace_autoscaling_group_instances
):
    """One instance after the other, in the subnet that has fewest; moto takes the first subnet for all.

    Each remembers the template's version that it is of; moto calls all instances of the default version.
    """
    subnets = self.vpc_zone_identifier
    for _ in range(count_needed):
        taken = [each.instance.subnet_id for each in self.active_instances()]
        self.vpc_zone_identifier = min(subnets.split(","), key=taken.count)
        plain(self, 1, dict(propagated_tags))
        self.instance_states[-1].version = self.ec2_launch_template.latest_version_number
    self.vpc_zone_identifier = subnets


def _launched_from(state):
    template = state.auto_scaling_group.ec2_launch_template
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": str(state.version)}


def _resolving(plain):
    """`resolve:ssm:PARAMETER` is the image that the parameter names at the time of the launch."""

    @functools.wraps(plain)
    def run_instances(self, image_id, *args, **kwargs):
        if image_id.startswith("resolve:ssm:"):
            parameters = get_backend("ssm")[self.account_id][self.region_name]
            image_id = parameters.get_parameter(image_id.removeprefix("resolve:ssm:")).value
        return plain(self, image_id, *args, **kwargs)

    return run_instances


def _template_user_data(version):
    """moto's own fails on the plain text that CreateLaunchTemplateVersion has put there."""
    given = version.data.get("UserData")
    return Base64EncodedString(given) if isinstance(given, str) else given

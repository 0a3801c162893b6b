"""Auto Scaling groups of the embedded cloud: real nodes, kept at the desired count, spread, drained and replaced."""

import base64
import json
import uuid
from collections import Counter
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from runbook.local import groups

pytestmark = pytest.mark.embedded


class Group:
    """One Auto Scaling group of the shared cloud, its launch template and its cluster."""

    def __init__(self, cloud, **settings):
        self.cloud, self.ec2, self.ecs = cloud, cloud.client("ec2"), cloud.client("ecs")
        self.auto = cloud.client("autoscaling")
        self.name, self.cluster = f"group-{uuid.uuid4().hex[:8]}", cloud.cluster()
        self.zones = {
            each["AvailabilityZone"]: each["SubnetId"]
            for each in self.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        }
        self.security_group = self.ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
        self.data = {
            "ImageId": cloud.image(),
            "InstanceType": "t3.small",
            "IamInstanceProfile": {"Name": cloud.profile(cloud.ec2_policy)},
            "SecurityGroupIds": [self.security_group],
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 30, "VolumeType": "gp3", "Encrypted": True}}
            ],
            "UserData": user_data(f"echo ECS_CLUSTER={self.cluster} >> /etc/ecs/ecs.config"),
            "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}],
        }
        self.ec2.create_launch_template(LaunchTemplateName=self.name, LaunchTemplateData=self.data)
        self.create(**settings)

    def create(self, **settings):
        self.auto.create_auto_scaling_group(
            **{
                "AutoScalingGroupName": self.name,
                "LaunchTemplate": {"LaunchTemplateName": self.name, "Version": "$Latest"},
                "MinSize": 0,
                "MaxSize": 4,
                "VPCZoneIdentifier": ",".join(list(self.zones.values())[:2]),
                "Tags": [{"Key": "of", "Value": "the group", "PropagateAtLaunch": True}],
            }
            | settings
        )

    def found(self):
        return self.auto.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]

    def instances(self, state=None):
        seen = self.found()[0]["Instances"]
        return {each["InstanceId"]: each for each in seen if state in (None, each["LifecycleState"])}

    def settled(self, count):
        """The instances, when the group has this many and they have joined their cluster."""

        def done():
            seen = self.instances()
            ready = [each for each in seen.values() if each["LifecycleState"] == "InService"]
            return len(seen) == len(ready) == count and seen.keys() == self.members().keys() and seen

        return self.cloud.until(done) if count else self.cloud.until(lambda: self.instances() == {})

    def members(self):
        arns = self.ecs.list_container_instances(cluster=self.cluster)["containerInstanceArns"]
        if not arns:
            return {}
        found = self.ecs.describe_container_instances(cluster=self.cluster, containerInstances=arns)
        return {each["ec2InstanceId"]: each for each in found["containerInstances"]}

    def desire(self, count):
        self.auto.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=count)

    def activities(self):
        return self.auto.describe_scaling_activities(AutoScalingGroupName=self.name)["Activities"]

    def delete(self):
        self.auto.delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)
        self.cloud.until(lambda: self.found() == [])


def user_data(*lines):
    return base64.b64encode("\n".join(["#!/bin/bash", *lines, ""]).encode()).decode()


@pytest.fixture
def make(cloud):
    made = []

    def one(**settings):
        made.append(Group(cloud, **settings))
        return made[-1]

    yield one
    for group in made:
        if group.found():
            group.delete()


def test_its_instances_are_nodes_with_all_that_the_template_says(make, cloud):
    group = make(MinSize=2)
    seen = group.settled(2)
    assert len({each["AvailabilityZone"] for each in seen.values()}) == 2
    for each in seen.values():
        assert each["LaunchTemplate"] | {"LaunchTemplateId": ""} == {
            "LaunchTemplateId": "",
            "LaunchTemplateName": group.name,
            "Version": "1",
        }
    reservations = group.ec2.describe_instances(InstanceIds=list(seen))["Reservations"]
    for instance in [each for reservation in reservations for each in reservation["Instances"]]:
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
        assert [each["GroupId"] for each in instance["SecurityGroups"]] == [group.security_group]
        assert instance["IamInstanceProfile"]["Arn"].endswith(group.data["IamInstanceProfile"]["Name"])
        assert instance["Placement"]["AvailabilityZone"] == seen[instance["InstanceId"]]["AvailabilityZone"]
        assert instance["SubnetId"] == group.zones[instance["Placement"]["AvailabilityZone"]]
        assert "KeyName" not in instance
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert (tags["of"], tags["from"]) == ("the group", "template")
        assert tags["aws:autoscaling:groupName"] == group.name
        volumes = [each["Ebs"]["VolumeId"] for each in instance["BlockDeviceMappings"]]
        (volume,) = group.ec2.describe_volumes(VolumeIds=volumes)["Volumes"]
        assert (volume["Size"], volume["Encrypted"], volume["VolumeType"]) == (30, True, "gp3")
        assert instance["PrivateIpAddress"] == cloud.node(instance["InstanceId"])["address"]


def test_it_grows_shrinks_and_stays_balanced(make):
    group = make(DesiredCapacity=1)
    group.settled(1)
    group.desire(4)
    seen = group.settled(4)
    assert set(Counter(each["AvailabilityZone"] for each in seen.values()).values()) == {2}
    kept, *_ = seen
    group.auto.set_instance_protection(AutoScalingGroupName=group.name, InstanceIds=[kept], ProtectedFromScaleIn=True)
    group.auto.update_auto_scaling_group(AutoScalingGroupName=group.name, MaxSize=2)
    assert group.found()[0]["DesiredCapacity"] == 2
    left = group.settled(2)
    assert kept in left
    assert len({each["AvailabilityZone"] for each in left.values()}) == 2
    group.desire(0)
    assert list(group.settled(1)) == [kept]
    ended = [each for each in group.activities() if each["Description"].startswith("Terminating")]
    assert len(ended) == 3 and {each["StatusCode"] for each in ended} == {"Successful"}


def test_what_is_terminated_stopped_or_unhealthy_is_replaced(make):
    group = make(DesiredCapacity=3)
    before = group.settled(3)
    gone, stopped, sick = before
    group.ec2.terminate_instances(InstanceIds=[gone])
    group.ec2.stop_instances(InstanceIds=[stopped])
    group.auto.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy")
    group.cloud.until(lambda: not before.keys() & group.instances().keys())
    group.settled(3)
    assert all(group.cloud.node(each) is None for each in before)


def test_one_instance_is_terminated_through_the_group(make):
    group = make(MinSize=1, DesiredCapacity=2)
    first, second = group.settled(2)
    terminate = group.auto.terminate_instance_in_auto_scaling_group
    done = terminate(InstanceId=first, ShouldDecrementDesiredCapacity=True)
    assert done["Activity"]["Description"] == f"Terminating EC2 instance: {first}"
    assert list(group.settled(1)) == [second]
    with pytest.raises(ClientError, match="violate group's min size"):
        terminate(InstanceId=second, ShouldDecrementDesiredCapacity=True)
    terminate(InstanceId=second, ShouldDecrementDesiredCapacity=False)
    group.cloud.until(lambda: second not in group.instances())
    group.settled(1)
    with pytest.raises(ClientError, match="No managed instance found"):
        terminate(InstanceId=second, ShouldDecrementDesiredCapacity=False)


def test_it_goes_when_its_instances_have_gone(make):
    group = make(DesiredCapacity=2)
    seen = group.settled(2)
    group.delete()
    reservations = group.ec2.describe_instances(InstanceIds=list(seen))["Reservations"]
    assert {each["Instances"][0]["State"]["Name"] for each in reservations} == {"terminated"}
    group.cloud.until(lambda: group.members() == {})


def test_a_launch_that_fails_is_told_and_tried_again(make):
    group = make()
    group.ec2.create_launch_template_version(
        LaunchTemplateName=group.name, LaunchTemplateData=group.data | {"IamInstanceProfile": {"Name": "late-profile"}}
    )
    group.desire(1)
    failed = group.cloud.until(group.activities)[0]
    assert failed["StatusCode"] == "Failed"
    assert "Invalid IAM Instance Profile late-profile" in failed["StatusMessage"]
    assert group.instances() == {}
    group.ec2.create_launch_template_version(LaunchTemplateName=group.name, LaunchTemplateData=group.data)
    (instance,) = group.settled(1).values()
    assert instance["LaunchTemplate"]["Version"] == "3"


def test_a_refresh_replaces_one_after_the_other(make):
    group = make(DesiredCapacity=2, NewInstancesProtectedFromScaleIn=True)
    old = group.settled(2)
    group.ec2.create_launch_template_version(
        LaunchTemplateName=group.name, LaunchTemplateData=group.data | {"InstanceType": "t3.medium"}
    )
    refresh = group.auto.start_instance_refresh(
        AutoScalingGroupName=group.name,
        Preferences={"MinHealthyPercentage": 100, "ScaleInProtectedInstances": "Refresh", "SkipMatching": True},
    )["InstanceRefreshId"]
    with pytest.raises(ClientError, match="InstanceRefreshInProgress"):
        group.auto.start_instance_refresh(AutoScalingGroupName=group.name)
    fewest = []

    def done():
        fewest.append(len(group.instances("InService")))
        (seen,) = group.auto.describe_instance_refreshes(AutoScalingGroupName=group.name)["InstanceRefreshes"]
        assert seen["InstanceRefreshId"] == refresh
        return seen["Status"] == "Successful" and seen["PercentageComplete"] == 100

    group.cloud.until(done)
    assert min(fewest) >= 1
    now = group.settled(2)
    assert not now.keys() & old.keys()
    assert {each["InstanceType"] for each in now.values()} == {"t3.medium"}


@pytest.mark.parametrize(
    ("protected", "taken"),
    [((), ["b1", "a1", "b2"]), (("b1",), ["b2", "a1", "b3"]), (("a1", "a2", "b1", "b2"), ["b3"])],
)
def test_what_scale_in_takes(protected, taken):
    living = [
        SimpleNamespace(
            name=name,
            availability_zone=name[0],
            protected_from_scale_in=name in protected,
            launch_template={"Version": "1"},
        )
        for name in ("a1", "a2", "b1", "b2", "b3")
    ]
    assert [state.name for state in groups.chosen(living, 3)] == taken


def provider(group, **more):
    """A capacity provider of the group, used by its cluster; its name."""
    details = {"autoScalingGroupArn": group.found()[0]["AutoScalingGroupARN"], **more}
    group.ecs.create_capacity_provider(name=group.name, autoScalingGroupProvider=details)
    group.ecs.put_cluster_capacity_providers(
        cluster=group.cluster,
        capacityProviders=[group.name],
        defaultCapacityProviderStrategy=[{"capacityProvider": group.name, "weight": 1}],
    )
    return group.name


def test_an_instance_of_a_capacity_provider_is_drained_before_it_is_terminated(make):
    group = make(DesiredCapacity=2)
    first, second = group.settled(2)
    provider(group, managedDraining="ENABLED")
    group.ecs.register_task_definition(
        family=group.name,
        containerDefinitions=[
            {
                "name": "registry",
                "image": "registry:2.8.3",
                "memory": 64,
                "environment": [{"name": "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "value": "/tmp"}],
            }
        ],
    )
    group.ecs.create_service(
        cluster=group.cluster, serviceName="registry", taskDefinition=group.name, desiredCount=2, launchType="EC2"
    )

    def where():
        tasks = group.ecs.list_tasks(cluster=group.cluster)["taskArns"]
        found = group.ecs.describe_tasks(cluster=group.cluster, tasks=tasks)["tasks"] if tasks else []
        arns = {each["containerInstanceArn"]: id for id, each in group.members().items()}
        return [arns.get(each["containerInstanceArn"]) for each in found if each["lastStatus"] == "RUNNING"]

    group.cloud.until(lambda: sorted(where()) == sorted([first, second]))
    group.auto.terminate_instance_in_auto_scaling_group(InstanceId=first, ShouldDecrementDesiredCapacity=True)
    fewest, states = [], set()

    def gone():
        fewest.append(len(where()))
        member = group.members().get(first)
        states.add((group.instances().get(first, {}).get("LifecycleState"), member and member["status"]))
        return first not in group.instances()

    group.cloud.until(gone)
    assert min(fewest) >= 2, "a task was stopped before another ran"
    assert ("Terminating:Wait", "DRAINING") in states
    assert where() == [second, second]
    group.ecs.delete_service(cluster=group.cluster, service="registry", force=True)


def test_the_agent_that_user_data_sets_up_reports_the_disk_of_the_group(make, cloud):
    group = make()
    configuration = {
        "metrics": {
            "append_dimensions": {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"},
            "aggregation_dimensions": [["AutoScalingGroupName"]],
            "metrics_collected": {"disk": {"measurement": ["used_percent"], "resources": ["/"]}},
        }
    }
    ctl = "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
    script = user_data(
        "dnf install -y amazon-cloudwatch-agent",
        f"echo '{json.dumps(configuration)}' > /opt/agent.json",
        f"{ctl} -a fetch-config -m ec2 -s -c file:/opt/agent.json",
        "dnf install -y -q nginx",
    )
    profile = cloud.profile(cloud.ec2_policy, "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy")
    data = group.data | {"UserData": script, "IamInstanceProfile": {"Name": profile}}
    group.ec2.create_launch_template_version(LaunchTemplateName=group.name, LaunchTemplateData=data)
    group.desire(1)
    names = [{"Name": "AutoScalingGroupName", "Value": group.name}]

    def reported():
        found = cloud.client("cloudwatch").list_metrics(Namespace="CWAgent", Dimensions=names)["Metrics"]
        return [each for each in found if each["Dimensions"] == names]

    (metric,) = cloud.until(reported)
    assert metric["MetricName"] == "disk_used_percent"
    (instance,) = group.instances()
    said = (cloud.root(instance) / "var/log/cloud-init-output.log").read_text()
    assert "Configuration validation succeeded" in said
    assert "Unable to find a match: nginx" in said

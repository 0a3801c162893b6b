"""Scaling in the embedded cloud: services by their metrics, Auto Scaling groups by the tasks that wait."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from runbook.local.groups import Groups
from runbook.local.inside import capacity, ecs, ecs_api, scaling
from runbook.local.metrics import Metrics
from runbook.local.scaling import Scaling

pytestmark = pytest.mark.moto

REGION = "eu-central-1"
RESOURCE, DIMENSION = "service/registry/registry", "ecs:service:DesiredCount"
LABEL = "app/registry/1f/targetgroup/registry/2f"
TARGET = {"ServiceNamespace": "ecs", "ResourceId": RESOURCE, "ScalableDimension": DIMENSION}


class World:
    """A service with two policies, and an account in which the test says what is measured."""

    def __init__(self, clients, monkeypatch):
        self.ecs, self.cloudwatch, self.autoscaling, self.ec2, self.application = clients
        self.cpu = {"region": REGION, "cluster": "registry", "service": "registry", "cpu_seconds": 0.0}
        self.cpu |= {"reserved_cpu": 1024}
        self.requests = {
            "region": REGION,
            "load_balancer": "app/registry/1f",
            "target_group": "targetgroup/registry/2f",
        }
        self.requests |= {"requests": 0, "target_5xx": 0, "elb_5xx": 0, "healthy": 2, "unhealthy": 0}
        self.waiting, self.busy = [], set()
        monkeypatch.setattr(ecs, "busy_instances", lambda region, cluster: self.busy)
        machines = SimpleNamespace(all=lambda: [])
        self.metrics = Metrics(machines, lambda: [self.cpu], lambda: [self.requests])
        self.scaling = Scaling(self.metrics, lambda region, cluster, provider: self.waiting)
        self.groups = Groups()
        self.ecs.create_cluster(clusterName="registry")
        self.ecs.register_task_definition(
            family="registry", containerDefinitions=[{"name": "registry", "image": "registry:2.8.3", "memory": 512}]
        )
        self.ecs.create_service(
            cluster="registry", serviceName="registry", taskDefinition="registry", desiredCount=2, launchType="EC2"
        )
        self.service().deployments[0]["rolloutState"] = "COMPLETED"
        self.application.register_scalable_target(**TARGET, MinCapacity=2, MaxCapacity=6, Tags={"a": "b"})

    def follow(self, kind, value, **more):
        predefined = {"PredefinedMetricType": kind}
        if kind == scaling.REQUESTS:
            predefined["ResourceLabel"] = LABEL
        settings = {"TargetValue": value, "ScaleOutCooldown": 60, "ScaleInCooldown": 60} | more
        return self.application.put_scaling_policy(
            **TARGET,
            PolicyName=kind,
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"PredefinedMetricSpecification": predefined, **settings},
        )

    def minute(self, cpu=0, requests=0, count=1):
        """Minutes at this use of the CPU (percent) and with so many requests a minute and target."""
        for _ in range(count):
            self.cpu["cpu_seconds"] += 2 * cpu / 100
            self.requests["requests"] += requests * 2 * 2 / 60
            self.metrics.measure(2.0)
            self.scaling.step()

    def service(self):
        return ecs.ecs_backends[ecs.DEFAULT_ACCOUNT_ID][REGION].services["registry:registry"]

    def desired(self):
        found = self.ecs.describe_services(cluster="registry", services=["registry"])["services"]
        return found[0]["desiredCount"]

    def alarms(self):
        return {each["AlarmName"].rpartition("-Alarm")[2][:4].strip("-"): each for each in self.all_alarms()}

    def all_alarms(self):
        return self.cloudwatch.describe_alarms()["MetricAlarms"]


@pytest.fixture(scope="module")
def clients():
    """They are made once, while moto listens: making them takes longer than a test."""
    services = ("ecs", "cloudwatch", "autoscaling", "ec2", "application-autoscaling")
    with mock_aws():
        return [boto3.client(each, region_name=REGION) for each in services]


@pytest.fixture
def world(clients, unmended, monkeypatch):
    with mock_aws():
        ecs_api.patch()
        yield World(clients, monkeypatch)


def test_it_scales_out_after_three_minutes_above_the_target_and_in_after_fifteen_below(world):
    world.follow(scaling.CPU, 60)
    world.minute(cpu=50)
    world.minute(cpu=90, count=2)
    assert world.desired() == 2
    world.minute(cpu=90)
    assert world.desired() == 3, "ceil(2 x 90 / 60)"
    assert world.alarms()["High"]["StateValue"] == "ALARM"
    world.minute(cpu=58)
    assert world.alarms()["High"]["StateValue"] == "OK"
    world.minute(cpu=30, count=14)
    assert world.desired() == 3
    world.minute(cpu=30)
    assert world.desired() == 2
    world.minute(cpu=30, count=5)
    assert world.desired() == 2, "its least"
    activities = world.application.describe_scaling_activities(ServiceNamespace="ecs")["ScalingActivities"]
    assert [each["Description"] for each in activities] == [
        "Setting desired count to 2.",
        "Setting desired count to 3.",
    ]
    assert "triggered policy ECSServiceAverageCPUUtilization" in activities[0]["Cause"]
    events = world.ecs.describe_services(cluster="registry", services=["registry"])["services"][0]["events"]
    assert "Successfully set desired count to 2" in events[0]["message"]


def test_the_largest_wish_counts_and_no_more_than_the_most(world):
    world.follow(scaling.CPU, 50)
    world.follow(scaling.REQUESTS, 600)
    world.minute()
    world.minute(cpu=60, requests=1200, count=3)
    assert world.desired() == 4
    world.minute(cpu=60, requests=60000, count=2)
    assert world.desired() == 6


def test_it_scales_in_only_when_all_agree_and_none_deploys(world):
    world.follow(scaling.CPU, 50)
    world.follow(scaling.REQUESTS, 600)
    world.minute()
    world.minute(cpu=10, requests=1200, count=3)
    assert world.desired() == 4
    world.minute(cpu=10, requests=580, count=20)
    assert world.desired() == 4, "the requests do not agree"
    world.service().deployments[0]["rolloutState"] = "IN_PROGRESS"
    world.minute(cpu=10, requests=10, count=20)
    assert world.desired() == 4, "a deployment goes on"
    world.service().deployments[0]["rolloutState"] = "COMPLETED"
    world.minute(cpu=10, requests=10)
    assert world.desired() == 3


def test_between_two_ways_lies_the_cooldown(world):
    world.follow(scaling.CPU, 50, ScaleOutCooldown=300)
    world.minute()
    world.minute(cpu=60, count=3)
    assert world.desired() == 3
    world.minute(cpu=60, count=4)
    assert world.desired() == 3
    world.minute(cpu=60)
    assert world.desired() == 4


def test_a_count_above_the_most_comes_down_to_it_when_scaling_in_is_wanted(world):
    world.follow(scaling.CPU, 50)
    world.minute()
    world.minute(cpu=500, count=3)
    assert world.desired() == 6
    world.application.register_scalable_target(**TARGET, MinCapacity=2, MaxCapacity=3)
    world.minute(cpu=500, count=3)
    assert world.desired() == 6, "a way out leaves it alone"
    world.minute(cpu=10, count=15)
    assert world.desired() == 3
    world.minute(cpu=10)
    assert world.desired() == 2


def test_a_count_below_the_least_comes_up_to_it_when_scaling_out_is_wanted(world):
    world.follow(scaling.CPU, 50)
    world.application.register_scalable_target(**TARGET, MinCapacity=4, MaxCapacity=6)
    world.minute(cpu=10, count=20)
    assert world.desired() == 2, "a way in leaves it alone"
    world.minute(cpu=51, count=3)
    assert world.desired() == 4


def test_a_policy_may_leave_scaling_in_alone(world):
    world.follow(scaling.CPU, 50, DisableScaleIn=True)
    assert list(world.alarms()) == ["High"]
    world.minute()
    world.minute(cpu=60, count=3)
    world.minute(cpu=0, count=20)
    assert world.desired() == 3


def test_the_alarms_of_a_policy_are_right_and_go_with_it(world):
    world.follow(scaling.REQUESTS, 600)
    high, low = world.alarms()["High"], world.alarms()["Low"]
    assert high["AlarmName"].startswith("TargetTracking-service/registry/registry-AlarmHigh-")
    assert (high["Threshold"], high["EvaluationPeriods"], low["Threshold"], low["EvaluationPeriods"]) == (
        600,
        3,
        540,
        15,
    )
    assert high["Dimensions"] == [{"Name": "TargetGroup", "Value": "targetgroup/registry/2f"}]
    first = world.follow(scaling.REQUESTS, 900)
    assert {each["Threshold"] for each in world.all_alarms()} == {900, 810}
    found = world.application.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert [each["PolicyARN"] for each in found] == [first["PolicyARN"]]
    world.application.deregister_scalable_target(**TARGET)
    assert world.all_alarms() == []
    assert world.application.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"] == []


def test_a_target_has_tags(world):
    (target,) = world.application.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"]
    arn = target["ScalableTargetARN"]
    world.application.tag_resource(ResourceARN=arn, Tags={"c": "d"})
    world.application.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert world.application.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"c": "d"}


@pytest.fixture
def group(world, monkeypatch):
    """An Auto Scaling group of t3.small with a capacity provider, of which the test says what its tasks need."""
    monkeypatch.setattr(capacity, "drain", lambda region, instance_id: False)
    ec2 = world.ec2
    data = {"ImageId": "ami-12c6146b", "InstanceType": "t3.small"}
    ec2.create_launch_template(LaunchTemplateName="registry", LaunchTemplateData=data)
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    world.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="registry",
        LaunchTemplate={"LaunchTemplateName": "registry"},
        MinSize=1,
        MaxSize=4,
        VPCZoneIdentifier=",".join(each["SubnetId"] for each in subnets[:2]),
        NewInstancesProtectedFromScaleIn=True,
    )
    arn = world.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["AutoScalingGroupARN"]
    world.ecs.create_capacity_provider(
        name="registry",
        autoScalingGroupProvider={
            "autoScalingGroupArn": arn,
            "managedScaling": {"status": "ENABLED", "targetCapacity": 100},
            "managedTerminationProtection": "ENABLED",
        },
    )
    world.ecs.put_cluster_capacity_providers(
        cluster="registry", capacityProviders=["registry"], defaultCapacityProviderStrategy=[]
    )

    def seen():
        for _ in range(3):  # launched, in service, gone
            world.groups.step()
        return world.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]

    return seen


def task(memory):
    container = {"name": "registry", "memory": memory}
    return SimpleNamespace(definition=SimpleNamespace(cpu=None, memory=None, container_definitions=[container]))


def reservation(world):
    names = {"CapacityProviderName": "registry", "ClusterName": "registry"}
    data = world.cloudwatch.get_metric_data(
        StartTime=datetime.now(UTC) - timedelta(minutes=2),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        MetricDataQueries=[
            {
                "Id": "a",
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/ECS/ManagedScaling",
                        "MetricName": "CapacityProviderReservation",
                        "Dimensions": [{"Name": name, "Value": value} for name, value in names.items()],
                    },
                    "Period": 60,
                    "Stat": "Maximum",
                },
            }
        ],
    )
    return max(data["MetricDataResults"][0]["Values"])


def test_a_group_grows_for_the_tasks_that_wait_and_shrinks_when_instances_are_empty(world, group):
    first = group()["Instances"][0]["InstanceId"]
    world.busy = {first}
    world.waiting = [task(1000), task(1000), task(500)]  # an instance has room for 1912 MiB
    world.minute()
    assert group()["DesiredCapacity"] == 3
    assert reservation(world) == 300
    world.minute()
    assert group()["DesiredCapacity"] == 3, "the instances come, the tasks still wait"
    ids = [each["InstanceId"] for each in group()["Instances"]]
    world.waiting, world.busy = [], set(ids)
    world.minute(count=16)
    assert group()["DesiredCapacity"] == 3
    kept = ids[1]
    world.busy = {kept}
    world.minute(count=14)
    assert group()["DesiredCapacity"] == 3
    world.minute()
    left = group()
    assert left["DesiredCapacity"] == 1
    assert [each["InstanceId"] for each in left["Instances"]] == [kept]


def test_a_group_grows_no_further_than_its_most(world, group):
    group()
    world.waiting = [task(1500) for _ in range(9)] + [task(99999)]
    world.minute()
    assert group()["DesiredCapacity"] == 4

"""Capacity providers of the embedded cloud, and on which instance a task is placed."""

import boto3
import pytest
from botocore.exceptions import ClientError
from refusals import refused
from scheduled import CLUSTER, REGION, SERVICE, until

from runbook.local.inside import ecs, ecs_placement

pytestmark = pytest.mark.embedded

DYNAMIC = [{"containerPort": 5000, "hostPort": 0}]
SCALING = {"managedScaling": {"status": "ENABLED", "targetCapacity": 100}}
BY_PROVIDER = [{"capacityProvider": "registry", "weight": 1}]


@pytest.fixture
def cloud(services):
    return services


@pytest.fixture
def groups(cloud):
    """Auto Scaling, with an empty group `nodes`."""
    client = boto3.client("autoscaling", region_name=REGION)
    launch = {"LaunchConfigurationName": "nodes", "ImageId": "ami-12c6146b", "InstanceType": "t3.small"}
    client.create_launch_configuration(**launch)
    client.create_auto_scaling_group(
        AutoScalingGroupName="nodes",
        LaunchConfigurationName="nodes",
        MinSize=0,
        MaxSize=4,
        DesiredCapacity=0,
        AvailabilityZones=[f"{REGION}a"],
    )
    return client


@pytest.fixture
def group(groups):
    return groups.describe_auto_scaling_groups()["AutoScalingGroups"][0]["AutoScalingGroupARN"]


def provider(cloud, group, name="registry", **more):
    wanted = {"autoScalingGroupArn": group, **SCALING, **more}
    return cloud.ecs.create_capacity_provider(name=name, autoScalingGroupProvider=wanted)["capacityProvider"]


def associate(cloud, *names, strategy=()):
    cloud.ecs.put_cluster_capacity_providers(
        cluster=CLUSTER, capacityProviders=list(names), defaultCapacityProviderStrategy=list(strategy)
    )


def join(cloud, groups, zone=f"{REGION}a"):
    """A node of the Auto Scaling group."""
    node = cloud.machines.add(zone=zone)
    groups.attach_instances(InstanceIds=[node.instance_id], AutoScalingGroupName="nodes")
    return node


def test_a_provider_is_what_aws_would_make_of_it(cloud, group):
    made = provider(cloud, group)
    assert made["autoScalingGroupProvider"] == {
        "autoScalingGroupArn": group,
        "managedScaling": {
            "status": "ENABLED",
            "targetCapacity": 100,
            "minimumScalingStepSize": 1,
            "maximumScalingStepSize": 10000,
            "instanceWarmupPeriod": 300,
        },
        "managedTerminationProtection": "DISABLED",
        "managedDraining": "ENABLED",
    }
    cloud.ecs.update_capacity_provider(
        name="registry",
        autoScalingGroupProvider={"managedScaling": {"targetCapacity": 80}, "managedDraining": "DISABLED"},
    )
    [found] = cloud.ecs.describe_capacity_providers()["capacityProviders"]
    assert found["autoScalingGroupProvider"]["managedDraining"] == "DISABLED" and found["status"] == "ACTIVE"
    assert found["autoScalingGroupProvider"]["managedScaling"]["targetCapacity"] == 80
    assert found["autoScalingGroupProvider"]["managedScaling"]["status"] == "ENABLED"
    cloud.ecs.tag_resource(resourceArn=made["capacityProviderArn"], tags=[{"key": "of", "value": "tests"}])
    assert cloud.ecs.list_tags_for_resource(resourceArn=made["capacityProviderArn"])["tags"][0]["key"] == "of"
    [found] = cloud.ecs.describe_capacity_providers(include=["TAGS"])["capacityProviders"]
    assert found["tags"] == [{"key": "of", "value": "tests"}]
    missing = cloud.ecs.describe_capacity_providers(capacityProviders=["none"])
    assert missing["capacityProviders"] == [] and missing["failures"][0]["reason"] == "MISSING"


def test_what_a_provider_and_a_cluster_refuse(cloud, group):
    create = cloud.ecs.create_capacity_provider
    right = {"autoScalingGroupArn": group}
    for name in ("aws-registry", "ECS1", "fargate_x", "with space", "n" * 256):
        refused("ClientException", create, name=name, autoScalingGroupProvider=right)
    absent = {"autoScalingGroupArn": f"{group}-absent"}
    refused("ClientException", create, name="registry", autoScalingGroupProvider=absent)
    protected = right | {"managedTerminationProtection": "ENABLED", **SCALING}
    refused("ClientException", create, name="registry", autoScalingGroupProvider=protected)
    assert cloud.ecs.describe_capacity_providers()["capacityProviders"] == []

    provider(cloud, group)
    refused("ClientException", create, name="registry", autoScalingGroupProvider=right)
    put = cloud.ecs.put_cluster_capacity_providers
    empty = {"cluster": CLUSTER, "defaultCapacityProviderStrategy": []}
    refused("InvalidParameterException", put, capacityProviders=["none"], **empty)
    strategy = {"defaultCapacityProviderStrategy": [{"capacityProvider": "registry"}]}
    refused("InvalidParameterException", put, cluster=CLUSTER, capacityProviders=[], **strategy)
    associate(cloud, "registry", strategy=BY_PROVIDER)
    [cluster] = cloud.ecs.describe_clusters(clusters=[CLUSTER])["clusters"]
    assert cluster["capacityProviders"] == ["registry"] and "settings" not in cluster
    assert cluster["defaultCapacityProviderStrategy"] == [{"capacityProvider": "registry", "weight": 1, "base": 0}]
    cloud.ecs.update_cluster(cluster=CLUSTER, settings=[{"name": "containerInsights", "value": "enabled"}])
    [cluster] = cloud.ecs.describe_clusters(clusters=[CLUSTER], include=["SETTINGS"])["clusters"]
    assert cluster["settings"] == [{"name": "containerInsights", "value": "enabled"}]
    refused("ClientException", cloud.ecs.delete_capacity_provider, capacityProvider="registry")

    cloud.create(cloud.define(), count=0)
    assert cloud.service()["capacityProviderStrategy"][0]["capacityProvider"] == "registry"  # the cluster's default
    refused("ResourceInUseException", put, capacityProviders=[], **empty)
    cloud.ecs.delete_service(cluster=CLUSTER, service=SERVICE)
    until(lambda: cloud.service()["status"] == "INACTIVE")
    associate(cloud)
    cloud.ecs.delete_capacity_provider(capacityProvider="registry")
    refused("ClientException", cloud.ecs.delete_capacity_provider, capacityProvider="registry")


def test_a_strategy_of_a_service(cloud, group):
    provider(cloud, group)
    definition = cloud.define()
    with pytest.raises(ClientError, match="not associated with the cluster"):
        cloud.create(definition, count=0, capacityProviderStrategy=BY_PROVIDER)
    associate(cloud, "registry")
    with pytest.raises(ClientError, match="both a launch type and capacity provider strategy"):
        cloud.create(definition, count=0, launchType="EC2", capacityProviderStrategy=BY_PROVIDER)
    cloud.create(definition, count=0, launchType="EC2")
    assert cloud.service()["launchType"] == cloud.service()["deployments"][0]["launchType"] == "EC2"
    with pytest.raises(ClientError, match="you must force a new deployment"):
        cloud.update(capacityProviderStrategy=BY_PROVIDER)
    cloud.update(capacityProviderStrategy=BY_PROVIDER, forceNewDeployment=True)
    service = cloud.service()
    full = [{"capacityProvider": "registry", "weight": 1, "base": 0}]
    assert service["capacityProviderStrategy"] == service["deployments"][0]["capacityProviderStrategy"] == full
    assert "launchType" not in service and "launchType" not in service["deployments"][0]
    cloud.update(capacityProviderStrategy=full, desiredCount=0)  # the same: nothing to force


def test_a_task_waits_for_an_instance_of_its_provider(cloud, groups, group):
    provider(cloud, group)
    associate(cloud, "registry")
    stranger = cloud.machines.add()
    cloud.create(cloud.define(portMappings=DYNAMIC), capacityProviderStrategy=BY_PROVIDER)
    task = until(cloud.tasks)[0]
    assert (task["lastStatus"], task["capacityProviderName"]) == ("PROVISIONING", "registry")
    assert "containerInstanceArn" not in task
    assert [each.id for each in ecs.provisioning(REGION, CLUSTER, "registry")] == [task["taskArn"].split("/")[-1]]
    assert ecs.busy_instances(REGION, CLUSTER) == set()
    assert cloud.service()["pendingCount"] == 1

    node = join(cloud, groups)
    again = cloud.steady()
    assert (again["taskArn"], again["containerInstanceArn"]) == (task["taskArn"], node.container_instance_arn)
    assert ecs.busy_instances(REGION, CLUSTER) == {node.instance_id}
    assert ecs.provisioning(REGION, CLUSTER, "registry") == []
    registered = cloud.ecs.describe_container_instances(
        cluster=CLUSTER, containerInstances=[node.container_instance_arn, stranger.container_instance_arn]
    )["containerInstances"]
    assert [each.get("capacityProviderName") for each in registered] == ["registry", None]


def test_a_waiting_task_that_is_stopped_never_runs(cloud, group):
    provider(cloud, group)
    associate(cloud, "registry")
    definition = cloud.define(portMappings=DYNAMIC)
    run = {"cluster": CLUSTER, "taskDefinition": definition, "capacityProviderStrategy": BY_PROVIDER}
    answer = cloud.ecs.run_task(count=2, **run)
    assert [task["lastStatus"] for task in answer["tasks"]] == ["PROVISIONING"] * 2 and answer["failures"] == []
    arns = [task["taskArn"] for task in answer["tasks"]]
    for arn in arns:
        cloud.ecs.stop_task(cluster=CLUSTER, task=arn)
    cloud.ecs.get_waiter("tasks_stopped").wait(cluster=CLUSTER, tasks=arns, WaiterConfig={"Delay": 1})
    for task in cloud.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"]:
        assert "startedAt" not in task and task["stopCode"] == "UserInitiated"


def test_without_managed_scaling_a_task_is_not_even_made(cloud, group):
    provider(cloud, group, managedScaling={"status": "DISABLED"})
    associate(cloud, "registry")
    cloud.create(cloud.define(portMappings=DYNAMIC), capacityProviderStrategy=BY_PROVIDER)
    until(cloud.messages)
    assert "No Container Instances were found in your capacity provider." in cloud.messages()[0]
    assert cloud.tasks() == []


def zones(cloud):
    found = [task["availabilityZone"][-1] for task in cloud.tasks()]
    return sorted(found)


def test_tasks_spread_over_zones_then_instances(cloud):
    nodes = [cloud.machines.add(zone=f"{REGION}{letter}") for letter in "aab"]
    spread = [{"type": "spread", "field": field} for field in ("attribute:ecs.availability-zone", "instanceId")]
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), count=4, placementStrategy=spread)
    cloud.steady()
    assert zones(cloud) == ["a", "a", "b", "b"]
    on = [task["containerInstanceArn"] for task in cloud.tasks()]
    assert [on.count(node.container_instance_arn) for node in nodes] == [1, 1, 2]
    cloud.update(desiredCount=2)
    until(lambda: cloud.service()["runningCount"] == 2)
    assert zones(cloud) == ["a", "b"]
    assert cloud.service()["placementStrategy"] == spread


def test_tasks_are_packed_where_least_is_left(cloud):
    for _ in range(2):
        cloud.machines.add()
    packed = [{"type": "binpack", "field": "memory"}]
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), count=3, placementStrategy=packed)
    cloud.steady()
    assert len({task["containerInstanceArn"] for task in cloud.tasks()}) == 1
    [backend] = ecs.backends()
    definition = backend.describe_task_definition("registry")
    for strategy in ([{"type": "random"}], [{"type": "spread", "field": "attribute:absent"}], None):
        assert ecs_placement.choose(backend, CLUSTER, definition, "service:x", strategy=strategy)

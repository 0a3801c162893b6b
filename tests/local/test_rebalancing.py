"""ECS moves the tasks of a service when they stand unevenly in the zones."""

import pytest
from refusals import refused
from scheduled import CLUSTER, REGION, SERVICE, until

from runbook.local import tasks

pytestmark = pytest.mark.embedded

DYNAMIC = [{"containerPort": 5000, "hostPort": 0}]
A, B = f"{REGION}a", f"{REGION}b"


@pytest.fixture
def cloud(services):
    return services


def zones(cloud):
    return sorted(task["availabilityZone"] for task in cloud.tasks() if task["lastStatus"] == "RUNNING")


def said(cloud):
    """What the events say of the zones, oldest first, without the tasks' ids."""
    prefix = f"(service {SERVICE}) "
    found = [message.removeprefix(prefix) for message in reversed(cloud.messages()) if " AZ " in message]
    return [message.partition("(task")[0] for message in found]


def crowded(cloud, count, **fields):
    """A steady service with all tasks in the first zone, and then a node in the second one."""
    cloud.machines.add(zone=A)
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), count=count, **fields)
    until(lambda: zones(cloud) == [A] * count)
    cloud.steady()
    return cloud.machines.add(zone=B)


def test_a_task_more_in_the_poor_zone_then_one_less_in_the_rich_one(cloud):
    most = []
    crowded(cloud, 2)
    until(lambda: most.append(len(cloud.tasks())) or zones(cloud) == [A, B])
    assert min(most) == 2 and max(most) == 3
    until(lambda: said(cloud)[-1:] == [f"is AZ balanced with 1 tasks in {A}, 1 tasks in {B}."])
    assert said(cloud) == [
        f"is not AZ balanced with 2 tasks in {A}, 0 tasks in {B}. AZ Rebalancing in progress.",
        f"has started 1 tasks in {B} to AZ Rebalance: ",
        f"has stopped 1 running tasks in {A} due to AZ rebalancing: ",
        f"is AZ balanced with 1 tasks in {A}, 1 tasks in {B}.",
    ]
    assert len(cloud.service()["deployments"]) == 1


def test_it_goes_on_until_the_zones_differ_by_one(cloud):
    crowded(cloud, 5)
    until(lambda: "is AZ balanced" in said(cloud)[-1:][0] if said(cloud) else False, 60)
    assert zones(cloud) == [A, A, A, B, B]
    assert [message.split()[0:3] for message in said(cloud)].count(["is", "not", "AZ"]) == 1
    assert sum("to AZ Rebalance" in message for message in said(cloud)) == 2


def test_a_newcomer_that_is_stopped_is_replaced_and_a_deployment_ends_it(cloud, monkeypatch):
    monkeypatch.setattr(tasks, "ALIVE_SECONDS", 5)
    crowded(cloud, 2)
    newcomer = until(lambda: [task for task in cloud.tasks() if task["availabilityZone"] == B])[0]
    cloud.ecs.stop_task(cluster=CLUSTER, task=newcomer["taskArn"])
    until(lambda: sum("to AZ Rebalance" in message for message in said(cloud)) == 2)
    monkeypatch.undo()
    cloud.update(taskDefinition=cloud.define(portMappings=DYNAMIC, cpu=65), desiredCount=3)
    until(lambda: [each["rolloutState"] for each in cloud.service()["deployments"]] == ["COMPLETED"])
    until(lambda: said(cloud)[-1].startswith("is AZ balanced"))
    assert zones(cloud) in ([A, A, B], [A, B, B])


def test_what_does_not_fit_there_is_told_once(cloud):
    node = crowded(cloud, 2, availabilityZoneRebalancing="DISABLED")
    cloud.ecs.run_task(cluster=CLUSTER, taskDefinition=cloud.define(portMappings=DYNAMIC, cpu=1000))
    until(lambda: busy(cloud, node))
    assert said(cloud) == [] and zones(cloud) == [A, A]
    cloud.update(availabilityZoneRebalancing="ENABLED")
    lacks = "because no container instance met all of its requirements."
    until(lambda: f"(service {SERVICE}) is unable to place a task in {B} {lacks}" in cloud.messages())
    assert len(cloud.service()["deployments"]) == 1


def busy(cloud, node):
    arn = node.container_instance_arn
    found = cloud.ecs.describe_container_instances(cluster=CLUSTER, containerInstances=[arn])
    return found["containerInstances"][0]["runningTasksCount"]


BY_INSTANCE = [{"type": "spread", "field": "instanceId"}]
AT_MOST = {"maximumPercent": 100, "minimumHealthyPercent": 0}


def test_it_is_on_where_it_is_possible_and_refused_elsewhere(cloud):
    definition = cloud.define(portMappings=DYNAMIC)
    wrong = {"cluster": CLUSTER, "serviceName": "wrong", "taskDefinition": definition, "desiredCount": 0}
    wrong |= {"availabilityZoneRebalancing": "ENABLED"}
    for more in ({"placementStrategy": BY_INSTANCE}, {"deploymentConfiguration": AT_MOST}):
        refused("InvalidParameterException", cloud.ecs.create_service, **wrong, **more)
    cloud.create(definition, count=0, placementStrategy=BY_INSTANCE)
    assert cloud.service()["availabilityZoneRebalancing"] == "DISABLED"
    cloud.ecs.delete_service(cluster=CLUSTER, service=SERVICE)
    until(lambda: cloud.service()["status"] == "INACTIVE")
    cloud.create(definition, count=0)
    assert cloud.service()["availabilityZoneRebalancing"] == "ENABLED"
    change = {"cluster": CLUSTER, "service": SERVICE, "deploymentConfiguration": AT_MOST}
    refused("InvalidParameterException", cloud.ecs.update_service, **change)
    cloud.ecs.update_service(**change, availabilityZoneRebalancing="DISABLED")
    assert cloud.service()["availabilityZoneRebalancing"] == "DISABLED"

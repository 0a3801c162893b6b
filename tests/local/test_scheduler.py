"""Services of the embedded cloud: real registries, kept at the desired count, rolled out, and told of truly."""

import os
import signal
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from scheduled import CLUSTER, SERVICE, WAIT, answers, short, until

pytestmark = pytest.mark.embedded


@pytest.fixture
def cloud(services):
    return services


@pytest.fixture
def node(cloud):
    return cloud.machines.add()


def registry(node):
    """The process id of the registry that listens on a node."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            serves = b"registry\0serve" in (folder / "cmdline").read_bytes()
            if serves and f"HTTP_ADDR={node.address}:5000".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is somebody else's
    assert len(found) <= 1
    return found[0] if found else None


def test_a_service_becomes_steady_and_answers(cloud, node):
    cloud.create(cloud.define())
    cloud.ecs.get_waiter("services_stable").wait(cluster=CLUSTER, services=[SERVICE], WaiterConfig=WAIT)
    task = cloud.steady()
    cloud.ecs.get_waiter("tasks_running").wait(cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig=WAIT)

    assert answers(f"{node.address}:5000").status_code == 200
    assert cloud.messages() == [
        "(service registry) has reached a steady state.",
        f"(service registry) (deployment {task['startedBy']}) deployment completed.",
        f"(service registry) has started 1 tasks: (task {short(task)}).",
    ]
    service = cloud.service()
    assert (service["runningCount"], service["pendingCount"], len(service["deployments"])) == (1, 0, 1)
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert task["group"] == "service:registry" and task["startedAt"] >= task["createdAt"]
    assert task["containers"][0]["networkBindings"] == [
        {"bindIP": node.address, "containerPort": 5000, "hostPort": 5000, "protocol": "tcp"}
    ]
    instance = cloud.ecs.describe_container_instances(
        cluster=CLUSTER, containerInstances=[task["containerInstanceArn"]]
    )["containerInstances"][0]
    left = {resource["name"]: resource for resource in instance["remainingResources"]}
    had = {resource["name"]: resource for resource in instance["registeredResources"]}
    assert had["CPU"]["integerValue"] - left["CPU"]["integerValue"] == 256
    assert had["MEMORY"]["integerValue"] - left["MEMORY"]["integerValue"] == 128
    assert "5000" in left["PORTS"]["stringSetValue"] and instance["runningTasksCount"] == 1


def test_a_killed_process_is_replaced(cloud, node):
    cloud.create(cloud.define())
    first = cloud.steady()
    os.kill(registry(node), signal.SIGKILL)
    until(lambda: cloud.tasks("STOPPED"))
    second = until(lambda: [task for task in cloud.tasks() if task["lastStatus"] == "RUNNING"])[0]
    assert second["taskArn"] != first["taskArn"]
    until(lambda: answers(f"{node.address}:5000"))
    cloud.steady()

    stopped = cloud.tasks("STOPPED")[0]
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["containers"][0]["exitCode"] == 137
    assert stopped["stoppedAt"] >= stopped["startedAt"]
    assert cloud.messages()[:2] == [
        "(service registry) has reached a steady state.",
        f"(service registry) has started 1 tasks: (task {short(second)}).",
    ]


def test_a_steady_state_is_told_once(cloud, node):
    cloud.create(cloud.define())
    cloud.steady()
    time.sleep(0.5)  # ten rounds of the scheduler in which nothing happens
    assert cloud.messages().count("(service registry) has reached a steady state.") == 1


def test_without_a_node_or_room_the_events_say_why(cloud):
    cloud.create(cloud.define())
    unable = "(service registry) was unable to place a task because no container instance met all of its requirements."
    more = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
    until(cloud.messages)
    assert cloud.messages() == [f"{unable} Reason: No Container Instances were found in your cluster. {more}"]

    node = cloud.machines.add()
    cloud.steady()
    cloud.update(desiredCount=2)
    instance = node.container_instance_arn.split("/")[-1]
    closest = f"{unable} The closest matching (container-instance {instance})"
    until(lambda: cloud.messages()[0] == f"{closest} is already using a port required by your task. {more}")
    cloud.update(taskDefinition=cloud.define(memory=100_000, portMappings=[]))
    until(lambda: cloud.messages()[0] == f"{closest} has insufficient memory available. {more}")
    cloud.update(taskDefinition=cloud.define(cpu=100_000, portMappings=[]))
    until(lambda: cloud.messages()[0] == f"{closest} has insufficient CPU units available. {more}")
    assert len(cloud.tasks()) == 1


def test_tasks_spread_over_the_nodes_and_the_count_follows(cloud, node):
    other = cloud.machines.add()
    cloud.create(cloud.define(), count=2)
    cloud.steady()
    arns = {task["containerInstanceArn"] for task in cloud.tasks()}
    assert arns == {node.container_instance_arn, other.container_instance_arn}

    cloud.update(desiredCount=1)
    until(lambda: len(cloud.tasks("STOPPED")) == 1 and cloud.service()["runningCount"] == 1)
    stopped = cloud.tasks("STOPPED")[0]
    message = f"(service registry) has stopped 1 running tasks: (task {short(stopped)})."
    assert message in cloud.messages()
    assert stopped["stopCode"] == "ServiceSchedulerInitiated" and "Scaling activity" in stopped["stoppedReason"]

    cloud.update(desiredCount=0)
    until(lambda: cloud.service()["runningCount"] == 0)
    until(lambda: answers(f"{node.address}:5000") is answers(f"{other.address}:5000") is None)


def test_one_node_and_one_port_roll_out_with_nothing_in_between(cloud, node):
    cloud.create(cloud.define(), deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100})
    old = cloud.steady()
    new = cloud.define(environment=[{"name": "REGISTRY_HTTP_HEADERS", "value": "{X-Runbook: [new]}"}])
    cloud.update(taskDefinition=new)
    living = []
    while (service := cloud.service())["deployments"][0]["rolloutState"] != "COMPLETED":
        living.append(service["runningCount"] + service["pendingCount"])
        time.sleep(0.02)
    assert set(living) <= {0, 1}

    task = cloud.steady()
    assert task["taskDefinitionArn"] == new and task["startedBy"] != old["startedBy"]
    assert until(lambda: answers(f"{node.address}:5000")).headers["X-Runbook"] == "new"
    service = cloud.service()
    assert service["taskDefinition"] == new and len(service["deployments"]) == 1
    assert service["deploymentConfiguration"]["maximumPercent"] == 100
    assert cloud.messages()[:4] == [
        "(service registry) has reached a steady state.",
        f"(service registry) (deployment {task['startedBy']}) deployment completed.",
        f"(service registry) has started 1 tasks: (task {short(task)}).",
        f"(service registry) has stopped 1 running tasks: (task {short(old)}).",
    ]


def test_with_room_the_old_task_stops_when_the_new_one_runs(cloud, node):
    cloud.machines.add()
    cloud.create(cloud.define())
    old = cloud.steady()
    cloud.update(forceNewDeployment=True)
    deployments = cloud.service()["deployments"]
    assert [(d["status"], d["rolloutState"]) for d in deployments] == [
        ("PRIMARY", "IN_PROGRESS"),
        ("ACTIVE", "COMPLETED"),
    ]
    running = []
    while len((service := cloud.service())["deployments"]) == 2:
        running.append(service["runningCount"])
        time.sleep(0.02)
    assert set(running) <= {1, 2}
    task = cloud.steady()
    assert cloud.tasks("STOPPED")[0]["stoppingAt"] >= task["startedAt"]
    assert task["taskArn"] != old["taskArn"] and task["taskDefinitionArn"] == old["taskDefinitionArn"]


def test_a_static_port_on_the_only_node_blocks_a_rollout_by_default(cloud, node):
    cloud.create(cloud.define())
    old = cloud.steady()
    cloud.update(forceNewDeployment=True)
    until(lambda: "already using a port required by your task" in cloud.messages()[0])
    assert [task["taskArn"] for task in cloud.tasks()] == [old["taskArn"]]
    blocked = {"minimumHealthyPercent": 100, "maximumPercent": 100}
    cloud.update(deploymentConfiguration=blocked, availabilityZoneRebalancing="DISABLED")
    until(lambda: "unable to stop or start tasks during a deployment" in cloud.messages()[0])
    cloud.update(deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 100})
    assert cloud.steady()["taskArn"] != old["taskArn"]


def test_a_deleted_service_drains_before_its_cluster_can_go(cloud, node):
    cloud.create(cloud.define())
    cloud.steady()

    def refused(operation, **arguments):
        with pytest.raises(ClientError) as caught:
            getattr(cloud.ecs, operation)(cluster=CLUSTER, **arguments)
        return caught.value.response["Error"]["Code"]

    assert refused("delete_service", service=SERVICE) == "InvalidParameterException"
    assert refused("delete_cluster") == "ClusterContainsServicesException"
    answer = cloud.ecs.delete_service(cluster=CLUSTER, service=SERVICE, force=True)
    assert answer["service"]["status"] == "DRAINING"
    assert refused("update_service", service=SERVICE, desiredCount=1) == "ServiceNotActiveException"
    again = {"serviceName": SERVICE, "taskDefinition": "registry"}
    assert refused("create_service", **again) == "InvalidParameterException"
    cloud.ecs.get_waiter("services_inactive").wait(cluster=CLUSTER, services=[SERVICE], WaiterConfig=WAIT)
    assert answers(f"{node.address}:5000") is None and registry(node) is None
    assert cloud.ecs.list_services(cluster=CLUSTER)["serviceArns"] == []
    assert refused("delete_cluster") == "ClusterContainsContainerInstancesException"
    cloud.machines.terminate(node)
    assert cloud.ecs.delete_cluster(cluster=CLUSTER)["cluster"]["status"] == "INACTIVE"


def test_a_draining_instance_gives_its_tasks_away(cloud, node):
    cloud.create(cloud.define())
    cloud.steady()
    other = cloud.machines.add()
    cloud.ecs.update_container_instances_state(
        cluster=CLUSTER, containerInstances=[node.container_instance_arn], status="DRAINING"
    )
    until(lambda: registry(node) is None and registry(other))
    assert cloud.steady()["containerInstanceArn"] == other.container_instance_arn


def test_a_task_definition_that_is_gone_still_runs(cloud, node):
    definition = cloud.define()
    cloud.create(definition)
    first = cloud.steady()
    cloud.ecs.deregister_task_definition(taskDefinition=definition)
    cloud.ecs.delete_task_definitions(taskDefinitions=[definition])
    cloud.ecs.stop_task(cluster=CLUSTER, task=first["taskArn"])
    until(lambda: cloud.tasks("STOPPED"))
    assert cloud.steady()["taskDefinitionArn"] == definition
    with pytest.raises(ClientError, match="TaskDefinition|task definition"):
        cloud.update(taskDefinition=definition)


def test_what_ends_a_task_is_its_reason(cloud, node):
    cloud.create(cloud.define())
    first = cloud.steady()
    cloud.ecs.stop_task(cluster=CLUSTER, task=first["taskArn"], reason="by hand")
    second = until(lambda: [task for task in cloud.tasks() if task["lastStatus"] == "RUNNING"])[0]
    cloud.steady()
    cloud.ecs.deregister_container_instance(cluster=CLUSTER, containerInstance=node.container_instance_arn, force=True)
    until(lambda: len(cloud.tasks("STOPPED")) == 2)
    other = cloud.machines.add()
    third = cloud.steady()
    cloud.machines.terminate(other)
    until(lambda: len(cloud.tasks("STOPPED")) == 3)
    assert {task["taskArn"]: (task["stoppedReason"], task["stopCode"]) for task in cloud.tasks("STOPPED")} == {
        first["taskArn"]: ("by hand", "UserInitiated"),
        second["taskArn"]: ("Container instance deregistration forced by user.", "UserInitiated"),
        third["taskArn"]: (f"Host EC2 (instance {other.instance_id}) terminated.", "TerminationNotice"),
    }
    assert registry(node) is registry(other) is None


def test_a_task_that_cannot_start_says_why_and_is_tried_ever_less_often(cloud, node):
    cloud.create(cloud.define(image="elasticio/docker-registry-ecs:latest"))
    until(lambda: any("unable to consistently start tasks" in message for message in cloud.messages()))
    task = cloud.tasks("STOPPED")[0]
    assert task["stopCode"] == "TaskFailedToStart" and "startedAt" not in task
    assert task["stoppedReason"].startswith("CannotPullContainerError: ") and "registry:2.8" in task["stoppedReason"]
    assert task["containers"][0]["reason"] == task["stoppedReason"]
    deployment = cloud.service()["deployments"][0]
    assert deployment["rolloutState"] == "IN_PROGRESS" and deployment["failedTasks"] >= 3
    begun = sorted(task["createdAt"] for task in cloud.tasks("STOPPED"))
    gaps = [(b - a).total_seconds() for a, b in zip(begun, begun[1:], strict=False)]
    assert gaps[1] > max(gaps[0], 0.9)


def test_a_program_that_ends_at_once_trips_the_circuit_breaker(cloud, node):
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}, "minimumHealthyPercent": 0}
    good = cloud.define()
    cloud.create(good, deploymentConfiguration=breaker | {"maximumPercent": 100})
    first = cloud.steady()
    bad = cloud.define(command=["/etc/distribution/config.yml"])
    cloud.update(taskDefinition=bad)
    until(lambda: any("rolling back" in message for message in cloud.messages()))
    task = cloud.steady()
    service = cloud.service()
    assert service["taskDefinition"] == task["taskDefinitionArn"] == good
    assert [d["id"] for d in service["deployments"]] == [first["startedBy"]]
    failed = next(t["startedBy"] for t in cloud.tasks("STOPPED") if t["taskDefinitionArn"] == bad)
    messages = cloud.messages()
    assert f"(service registry) (deployment {failed}) deployment failed: tasks failed to start." in messages
    assert f"(service registry) rolling back to deployment {first['startedBy']}." in messages
    assert {t["stoppedReason"] for t in cloud.tasks("STOPPED") if t["taskDefinitionArn"] == bad} == {
        "Essential container in task exited"
    }


def test_without_rollback_a_failed_deployment_stays_failed(cloud, node):
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    cloud.create(cloud.define(image="nginx"), deploymentConfiguration=breaker)
    until(lambda: cloud.service()["deployments"][0]["rolloutState"] == "FAILED")
    deployment = cloud.service()["deployments"][0]
    assert deployment["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert deployment["failedTasks"] == len(cloud.tasks("STOPPED")) == 3


def test_a_task_of_its_own_runs_and_stops(cloud, node):
    definition = cloud.define()
    answer = cloud.ecs.run_task(cluster=CLUSTER, taskDefinition=definition, count=2, startedBy="me")
    [task] = answer["tasks"]
    assert answer["failures"] == [{"arn": node.container_instance_arn, "reason": "RESOURCE:PORTS"}]
    assert (task["lastStatus"], task["group"], task["startedBy"]) == ("PENDING", "family:registry", "me")
    cloud.ecs.get_waiter("tasks_running").wait(cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig=WAIT)
    assert until(lambda: answers(f"{node.address}:5000")).status_code == 200
    cloud.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    cloud.ecs.get_waiter("tasks_stopped").wait(cluster=CLUSTER, tasks=[task["taskArn"]], WaiterConfig=WAIT)
    assert answers(f"{node.address}:5000") is None

    answer = cloud.ecs.start_task(
        cluster=CLUSTER, taskDefinition=definition, containerInstances=[node.container_instance_arn, "none"]
    )
    assert len(answer["tasks"]) == 1 and answer["failures"] == [{"arn": "none", "reason": "MISSING"}]
    missing = cloud.ecs.describe_tasks(cluster=CLUSTER, tasks=["none"])
    assert missing["tasks"] == [] and missing["failures"][0]["reason"] == "MISSING"


def test_a_service_is_made_once_and_keeps_what_it_was_told(cloud):
    definition = cloud.define()
    told = {"healthCheckGracePeriodSeconds": 30, "clientToken": "one", "enableExecuteCommand": True}
    cloud.create(definition, count=0, **told)
    cloud.create(definition, count=0, **told)
    with pytest.raises(ClientError, match="not idempotent"):
        cloud.create(definition, count=0)
    service = cloud.service()
    assert (service["healthCheckGracePeriodSeconds"], service["enableExecuteCommand"]) == (30, True)
    assert service["deploymentConfiguration"] == {
        "deploymentCircuitBreaker": {"enable": False, "rollback": False},
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
    }
    with pytest.raises(ClientError, match="BLUE_GREEN"):
        cloud.update(deploymentConfiguration={"strategy": "BLUE_GREEN"})
    with pytest.raises(ClientError, match="FARGATE"):
        cloud.ecs.run_task(cluster=CLUSTER, taskDefinition=definition, launchType="FARGATE")


def test_only_the_newest_stopped_tasks_are_remembered(cloud, node):
    definition = cloud.define(image="nginx")
    for _ in range(23):
        cloud.ecs.run_task(cluster=CLUSTER, taskDefinition=definition)
        until(lambda: not cloud.ecs.list_tasks(cluster=CLUSTER)["taskArns"])
    until(lambda: len(cloud.ecs.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"]) == 20)


def test_nothing_runs_on_when_the_cloud_closes(cloud, node):
    cloud.create(cloud.define())
    cloud.steady()
    pid = registry(node)
    cloud.close()
    assert not Path(f"/proc/{pid}").exists()
    assert not any(cloud.place.folder("containers").iterdir())
    assert not any(cloud.place.folder("volumes").iterdir())

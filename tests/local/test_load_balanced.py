"""Load-balanced services of the embedded cloud: registered, replaced, and drained before they end."""

import os
import signal
import threading
import time

import pytest
import requests
from botocore.exceptions import ClientError
from scheduled import CLUSTER, SERVICE, answers, until

from runbook.local.inside import elbv2

pytestmark = pytest.mark.embedded

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/registry/0123456789abcdef"
OTHER = GROUP.replace("registry", "other")
DYNAMIC = [{"containerPort": 5000, "hostPort": 0}]


def balanced(group=GROUP):
    return [{"targetGroupArn": group, "containerName": "registry", "containerPort": 5000}]


class Groups:
    """Target groups that really ask each target, as a balancer does; a target drains for `drain` seconds."""

    def __init__(self, machines):
        self.machines, self.drain = machines, 0.5
        self.targets: dict[str, dict[tuple[str, int], float | None]] = {GROUP: {}, OTHER: {}}
        self.calls = []

    def register_target(self, region, arn, instance_id, port):
        self.calls.append(("register", arn, port))
        self.targets[arn][instance_id, port] = None

    def deregister_target(self, region, arn, instance_id, port):
        self.calls.append(("deregister", arn, port))
        self.targets[arn][instance_id, port] = time.monotonic() + self.drain

    def healths(self, region, arn):
        now = time.monotonic()
        self.targets[arn] = {key: end for key, end in self.targets[arn].items() if end is None or end > now}
        return {key: elbv2.DRAINING if end else self.health(*key) for key, end in self.targets[arn].items()}

    def health(self, instance_id, port):
        found = answers(f"{self.address(instance_id)}:{port}")
        return elbv2.HEALTHY if found is not None and found.status_code == 200 else elbv2.FAILED

    def address(self, instance_id):
        return self.machines.nodes[instance_id].address

    def attached(self, region, arn):
        return True

    def serving(self):
        """The addresses that a balancer would send a request to now."""
        return [f"{self.address(i)}:{port}" for (i, port), end in list(self.targets[GROUP].items()) if end is None]


@pytest.fixture
def cloud(services):
    return services


@pytest.fixture
def node(cloud):
    return cloud.machines.add()


@pytest.fixture
def groups(cloud, node, monkeypatch):
    groups = Groups(cloud.machines)
    for name in ("register_target", "deregister_target", "healths", "attached"):
        monkeypatch.setattr(elbv2, name, getattr(groups, name))
    return groups


def told(header):
    return [{"name": "REGISTRY_HTTP_HEADERS", "value": f"{{X-Runbook: [{header}]}}"}]


def port(task):
    return task["containers"][0]["networkBindings"][0]["hostPort"]


def rolled_out(cloud):
    """Wait until the only deployment is completed; the service's first task."""
    until(lambda: [each["rolloutState"] for each in cloud.service()["deployments"]] == ["COMPLETED"])
    return cloud.steady()


def failing(cloud):
    """A revision in which nothing listens where the balancer asks: the configuration is told another port."""
    return cloud.define(portMappings=DYNAMIC, cpu=64, environment=[{"name": "REGISTRY_HTTP_ADDR", "value": ":5555"}])


class Stream:
    """Requests, one after another, each to a registry that the balancer would choose and on a new connection."""

    def __init__(self, groups):
        self.groups, self.made, self.failed, self.ended = groups, 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.is_set():
            for address in self.groups.serving():
                try:
                    self.failed += [] if requests.get(f"http://{address}/v2/", timeout=5).ok else [address]
                except requests.RequestException as error:
                    self.failed.append(str(error))
                self.made += 1
            time.sleep(0.01)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def test_a_rolling_deployment_on_one_node_fails_no_request(cloud, node, groups):
    create = {"loadBalancers": balanced(), "healthCheckGracePeriodSeconds": 30}
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64, environment=told("old")), count=2, **create)
    cloud.steady()
    old = {port(task) for task in cloud.tasks()}
    assert {port for _, port in groups.targets[GROUP]} == old
    assert any("registered 1 targets in (target-group" in message for message in cloud.messages())

    groups.drain = 1.5
    with Stream(groups) as stream:
        cloud.update(taskDefinition=cloud.define(portMappings=DYNAMIC, cpu=64, environment=told("new")))
        seen, least = set(), 9
        while len((service := cloud.service())["deployments"]) == 2:
            seen |= {task["lastStatus"] for task in cloud.tasks("STOPPED")}
            least = min(least, len(groups.serving()))
            assert service["runningCount"] <= 4
            time.sleep(0.05)
        cloud.steady()
    assert stream.failed == [] and stream.made > 20
    assert "DEACTIVATING" in seen and least >= 2
    stopped = [task for task in cloud.tasks("STOPPED")]
    assert {port(task) for task in stopped} == old
    for task in stopped:
        assert (task["stoppedAt"] - task["stoppingAt"]).total_seconds() >= 1.5
        assert task["stopCode"] == "ServiceSchedulerInitiated"
    new = {port(task) for task in cloud.tasks()}
    assert len(new) == 2 and not new & old
    assert {port for _, port in groups.targets[GROUP]} == new
    last_registered = max(i for i, call in enumerate(groups.calls) if call[0] == "register" and call[2] in new)
    first_out = min(i for i, call in enumerate(groups.calls) if call[0] == "deregister")
    assert first_out > min(i for i, call in enumerate(groups.calls) if call[0] == "register" and call[2] in new)
    assert last_registered < len(groups.calls) - 1
    messages = cloud.messages()
    assert any("deregistered 1 targets in (target-group" in message for message in messages)
    assert any("has begun draining connections on" in message for message in messages)


def test_a_task_that_dies_is_taken_out_at_once_and_replaced(cloud, node, groups):
    groups.drain = 60
    create = {"loadBalancers": balanced(), "healthCheckGracePeriodSeconds": 60}
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), **create)
    task = cloud.steady()
    [run] = cloud.scheduler._tasks._runs.values()
    os.kill(run.containers["registry"]._program(), signal.SIGKILL)
    stopped = until(lambda: [one for one in cloud.tasks("STOPPED") if one["lastStatus"] == "STOPPED"])[0]
    assert stopped["taskArn"] == task["taskArn"] and stopped["stoppedReason"] == "Essential container in task exited"
    assert ("deregister", GROUP, port(task)) in groups.calls
    replacement = cloud.steady()
    assert port(replacement) != port(task)
    assert len(groups.serving()) == 1


def test_unhealthy_targets_are_replaced_and_trip_the_circuit_breaker(cloud, node, groups):
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    good = cloud.define(portMappings=DYNAMIC, cpu=64)
    cloud.create(good, loadBalancers=balanced(), deploymentConfiguration=breaker)
    first = cloud.steady()
    bad = failing(cloud)
    cloud.update(taskDefinition=bad, healthCheckGracePeriodSeconds=1)
    until(lambda: any("rolling back" in message for message in cloud.messages()))
    task = cloud.steady()
    assert task["taskArn"] == first["taskArn"]  # it ran on all the while
    ended = [one for one in cloud.tasks("STOPPED") if one["taskDefinitionArn"] == bad]
    assert len(ended) >= 3
    reasons = {one["stoppedReason"] for one in ended}
    assert f"Task failed ELB health checks in (target-group {GROUP})" in reasons
    for one in ended:
        if "ELB" in one["stoppedReason"]:
            assert (one["stoppingAt"] - one["startedAt"]).total_seconds() >= 1
    said = f"is unhealthy in (target-group {GROUP}) due to (reason Health checks failed)."
    assert any(said in message for message in cloud.messages())
    assert groups.serving() == [f"{node.address}:{port(task)}"]


def test_a_target_group_is_attached_changed_and_detached_by_deployments(cloud, node, groups):
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64))
    first = cloud.steady()
    assert groups.calls == []
    cloud.update(loadBalancers=balanced(), healthCheckGracePeriodSeconds=30)
    second = rolled_out(cloud)
    assert second["taskArn"] != first["taskArn"] and len(groups.serving()) == 1
    assert cloud.service()["loadBalancers"] == balanced()
    cloud.update(loadBalancers=balanced())
    assert len(cloud.service()["deployments"]) == 1  # nothing differs

    cloud.update(loadBalancers=balanced(OTHER))
    third = rolled_out(cloud)
    assert third["taskArn"] != second["taskArn"]
    assert groups.targets[GROUP] == {} and [key[1] for key in groups.targets[OTHER]] == [port(third)]
    cloud.update(loadBalancers=[], desiredCount=0)
    until(lambda: cloud.service()["runningCount"] == 0 and not cloud.tasks("RUNNING"))
    until(lambda: groups.healths(None, OTHER) == {})
    assert cloud.service()["loadBalancers"] == []


def test_who_stops_a_task_waits_for_its_connections_too(cloud, node, groups):
    groups.drain = 1
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), count=2, loadBalancers=balanced())
    task = cloud.steady()
    cloud.ecs.stop_task(cluster=CLUSTER, task=task["taskArn"])
    assert answers(f"{node.address}:{port(task)}").status_code == 200
    gone = until(lambda: [one for one in cloud.tasks("STOPPED") if one["lastStatus"] == "STOPPED"])[0]
    assert (gone["stoppedAt"] - gone["stoppingAt"]).total_seconds() >= 1
    cloud.steady()
    cloud.ecs.delete_service(cluster=CLUSTER, service=SERVICE, force=True)
    until(lambda: cloud.service()["status"] == "INACTIVE")
    assert groups.healths(None, GROUP) == {}


def test_a_draining_instance_lets_its_connections_end(cloud, node, groups):
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), count=2, loadBalancers=balanced())
    cloud.steady()
    other = cloud.machines.add()
    with Stream(groups) as stream:
        cloud.ecs.update_container_instances_state(
            cluster=CLUSTER, containerInstances=[node.container_instance_arn], status="DRAINING"
        )
        until(lambda: all(address.startswith(other.address) for address in groups.serving()) and groups.serving())
        cloud.steady()
    assert stream.failed == [] and stream.made
    assert {task["containerInstanceArn"] for task in cloud.tasks()} == {other.container_instance_arn}


def test_a_service_without_a_listener_waits(cloud, node, groups, monkeypatch):
    monkeypatch.setattr(elbv2, "attached", lambda region, arn: False)
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), loadBalancers=balanced())
    until(lambda: cloud.service()["runningCount"] == 1)
    time.sleep(1.5)  # longer than a service without a balancer takes to be steady
    assert cloud.service()["deployments"][0]["rolloutState"] == "IN_PROGRESS" and groups.calls == []
    monkeypatch.setattr(elbv2, "attached", lambda region, arn: True)
    cloud.steady()
    with pytest.raises(ClientError, match="capacity provider strategy"):
        cloud.update(capacityProviderStrategy=[{"capacityProvider": "none", "weight": 1}], forceNewDeployment=True)


def test_a_task_that_hangs_is_replaced(cloud, node, groups):
    """Its SIGTERM waits with it, so that it ends by SIGKILL."""
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64, stopTimeout=2), loadBalancers=balanced())
    task = cloud.steady()
    [run] = cloud.scheduler._tasks._runs.values()
    os.kill(run.containers["registry"]._program(), signal.SIGSTOP)
    ended = until(lambda: [one for one in cloud.tasks("STOPPED") if one["lastStatus"] == "STOPPED"], seconds=120)[0]
    assert ended["taskArn"] == task["taskArn"] and ended["containers"][0]["exitCode"] == 128 + signal.SIGKILL
    assert ended["stoppedReason"] == f"Task failed ELB health checks in (target-group {GROUP})"
    assert port(cloud.steady()) != port(task)
    assert len(groups.serving()) == 1

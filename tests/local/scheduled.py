"""What the tests of ECS services share: an account with a scheduler that runs, and nodes for it."""

import threading
import time

import boto3
import pytest
import requests
from moto import mock_aws

from runbook.local.inside import ec2
from runbook.local.nodes import Node
from runbook.local.scheduler import Scheduler
from runbook.local.state import Place

REGION = "eu-central-1"
CLUSTER, SERVICE = "images", "registry"
WAIT = {"Delay": 1, "MaxAttempts": 60}


class Machines:
    """The nodes of one test: no user data runs on them, they register at once."""

    def __init__(self, place, ecs_client):
        self.place, self.client, self.nodes = place, ecs_client, {}
        self.ec2 = boto3.client("ec2", region_name=REGION)

    def add(self, cluster=CLUSTER, zone=f"{REGION}a"):
        where = {"Placement": {"AvailabilityZone": zone}}
        made = self.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, **where)["Instances"][0]
        k, name = len(self.nodes) + 1, made["InstanceId"]
        folder = self.place.folder("nodes", name)
        (folder / "root").mkdir()
        node = Node(name, REGION, k, self.place.node_address(k), folder, running=True, cluster=cluster)
        node.container_instance_arn = ec2.register(REGION, name, cluster)
        self.nodes[name] = node
        return node

    def terminate(self, node):
        self.ec2.terminate_instances(InstanceIds=[node.instance_id])
        del self.nodes[node.instance_id]
        ec2.deregister(REGION, node.cluster, node.container_instance_arn)

    def all(self):
        return list(self.nodes.values())

    def get(self, instance_id):
        return self.nodes.get(instance_id)


class Cloud:
    """One account with a scheduler that runs, and clients for it."""

    def __init__(self, home, block, surroundings=None):
        self.place = Place(home, block)
        self.ecs = boto3.client("ecs", region_name=REGION)
        self.logs = boto3.client("logs", region_name=REGION)
        self.secrets = boto3.client("secretsmanager", region_name=REGION)
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.machines = Machines(self.place, self.ecs)
        self.scheduler = Scheduler(self.place, self.machines, surroundings)
        self.errors, self.closing = [], threading.Event()
        self.loop = threading.Thread(target=self.run)
        self.loop.start()

    def run(self):
        while not self.closing.wait(0.05):
            try:
                self.scheduler.step()
            except Exception as error:
                self.errors.append(error)
        self.scheduler.close()

    def close(self):
        self.closing.set()
        self.loop.join()
        if self.errors:
            raise self.errors[0]

    def define(self, **fields):
        """Register a revision of a registry with one container; `fields` are the container's."""
        task = {name: fields.pop(name) for name in ("executionRoleArn", "volumes", "networkMode") if name in fields}
        container = {
            "name": "registry",
            "image": "registry:2.8.3",
            "cpu": 256,
            "memory": 128,
            "portMappings": [{"containerPort": 5000, "hostPort": 5000}],
        }
        answer = self.ecs.register_task_definition(family="registry", containerDefinitions=[container | fields], **task)
        return answer["taskDefinition"]["taskDefinitionArn"]

    def create(self, definition, count=1, **fields):
        self.ecs.create_service(
            cluster=CLUSTER, serviceName=SERVICE, taskDefinition=definition, desiredCount=count, **fields
        )

    def update(self, **fields):
        self.ecs.update_service(cluster=CLUSTER, service=SERVICE, **fields)

    def service(self):
        return self.ecs.describe_services(cluster=CLUSTER, services=[SERVICE])["services"][0]

    def messages(self):
        return [event["message"] for event in self.service()["events"]]

    def tasks(self, status="RUNNING"):
        arns = self.ecs.list_tasks(cluster=CLUSTER, serviceName=SERVICE, desiredStatus=status)["taskArns"]
        return self.ecs.describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []

    def steady(self):
        """Wait until the service has told that it is steady, and is; its first task."""

        def running():
            if self.messages()[:1] == [f"(service {SERVICE}) has reached a steady state."]:
                tasks = [task for task in self.tasks() if task["lastStatus"] == "RUNNING"]
                return tasks if len(tasks) == self.service()["desiredCount"] else None

        return until(running)[0]


def until(condition, seconds=30):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return value


def short(task):
    return task["taskArn"].split("/")[-1]


def answers(address, path="/v2/"):
    try:
        return requests.get(f"http://{address}{path}", timeout=2)
    except (requests.ConnectionError, requests.Timeout):
        return None


@pytest.fixture
def services(tmp_path, block, account, monkeypatch):
    """An account with a running scheduler."""
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")  # nothing here asks for one
    with mock_aws(config={"core": {"passthrough": {"urls": [r"^http://127\."]}}}):
        one = Cloud(tmp_path, block)
        try:
            yield one
        finally:
            one.close()

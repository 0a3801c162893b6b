"""What the tests of the service and its targets share: a small scheduler that stands for ECS's own, and an account."""

import datetime
import itertools
import json
import time

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ecs.models import EC2ContainerServiceBackend, Task, ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elbv2.models import elbv2_backends

import runbook
from runbook import revisions, secretsmanager
from runbook.secret import Secret

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Scheduler:
    """Makes moto's counts, rollouts and tasks as ECS would, one round at each sleep of a wait.

    `reason` says why its tasks fail; None means that they run.
    """

    def __init__(self, region):
        self.region, self.reason, self.exit_code, self.log, self.rounds = region, None, None, [], 0
        self.stop_code, self.init = "EssentialContainerExited", None  # init: the container that fails instead
        self.breaks = False  # whether the circuit breaker gives the deployment up

    @property
    def backend(self):
        return ecs_backends[ACCOUNT][self.region]

    def sleep(self, _seconds=0):
        self.rounds += 1
        for one in self.backend.services.values():
            self._serve(one)

    def _serve(self, one):
        backend, cluster = self.backend, self.backend.clusters[one.cluster_name]
        tasks = backend.tasks.setdefault(cluster.name, {})
        if one.status == "DRAINING":
            one.status = "INACTIVE"
        mine = [task for task in tasks.values() if task.group == f"service:{one.name}"]
        if one.status == "INACTIVE":
            for task in mine:
                task.desired_status = task.last_status = "STOPPED"
            return
        primary = one.deployments[0]
        new = getattr(one, "served", None) != (primary["id"], one.task_definition, one.load_balancers)
        if new:
            primary |= {"taskDefinition": one.task_definition, "rolloutState": "IN_PROGRESS"}
            one.served = (primary["id"], one.task_definition, one.load_balancers)
        there = backend.container_instances.get(cluster.name, {})
        for task in mine:
            if new or task.container_instance_arn.rsplit("/")[-1] not in there:
                task.desired_status = task.last_status = "STOPPED"
        running = [task for task in mine if task.last_status == "RUNNING"]
        if self.reason is None:
            nodes = list(there.values())
            for number in range(len(running), one.desired_count if nodes else 0):
                running.append(self._task(one, cluster, nodes[number % len(nodes)]))
            for task in running[one.desired_count :]:
                task.desired_status = task.last_status = "STOPPED"
            self._register(one, running[: one.desired_count])
            one.running_count, one.pending_count = one.desired_count, 0
            primary["rolloutState"] = "COMPLETED"
            self._event(one, f"has started {len(running)} tasks: (task {running[0].id if running else None}).")
            return
        one.running_count, one.pending_count = 0, one.desired_count
        task = self._task(one, cluster, next(iter(backend.container_instances[cluster.name].values())))
        task.desired_status = task.last_status = "STOPPED"
        task.stopped_reason, task.stop_code = self.reason, self.stop_code
        task.containers[0].exitCode = self.exit_code
        if self.init:
            task.containers[0].name = self.init
        self._write_log(task)
        if self.breaks:
            primary |= {"rolloutState": "FAILED", "rolloutStateReason": "ECS deployment circuit breaker: failed."}

    def _task(self, one, cluster, node):
        definition = self.backend.describe_task_definition(one.task_definition)
        arn = node.container_instance_arn
        task = Task(cluster, definition, arn, {}, self.backend, f"service:{one.name}", "EC2")
        task._transitions = []  # moto would move the task on at each DescribeTasks
        task.created_at = NOW + datetime.timedelta(seconds=self.rounds)
        self.backend.tasks[cluster.name][task.task_arn] = task
        return task

    def _register(self, one, running):
        """The target group has the running tasks, each with a port of its own, and whatever others registered."""
        wanted = {}
        for number, task in enumerate(running):
            port = 32768 + number
            task.containers[0].network_bindings = [{"hostPort": port, "containerPort": 5000}]
            node = self.backend.container_instances[one.cluster_name][task.container_instance_arn.rsplit("/")[-1]]
            wanted[node.ec2_instance_id] = {"Id": node.ec2_instance_id, "Port": port}
        for group in elbv2_backends[ACCOUNT][self.region].target_groups.values():
            attached = [each["targetGroupArn"] for each in one.load_balancers]
            mine = getattr(one, "group", None) == group.arn
            if group.arn in attached:
                others = {key: each for key, each in group.targets.items() if key not in getattr(one, "registered", ())}
                group.targets, one.group, one.registered = others | wanted, group.arn, set(wanted)
            elif mine:
                group.targets = {}

    def _event(self, one, message):
        entry = {"id": str(self.rounds), "createdAt": NOW + datetime.timedelta(seconds=self.rounds)}
        one.events = [entry | {"message": f"(service {one.name}) {message}"}, *one.events]

    def _write_log(self, task):
        stream = {"logGroupName": "/ecs/registry", "logStreamName": f"registry/{self.init or 'registry'}/{task.id}"}
        if self.log:
            events = [{"timestamp": int(time.time() * 1000), "message": line} for line in self.log]
            self.aws.logs.create_log_stream(**stream)
            self.aws.logs.put_log_events(**stream, logEvents=events)


def production(**changes):
    """The production params for AWS, which moto then plays."""
    aws = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role"}
    return runbook.load({**runbook.load("production").model_dump(), **aws, **changes})


def ours(p):
    return [{"key": key, "value": value} for key, value in p.tags.items()]


def add_revision(aws, p, image="registry:2.8.3"):
    container = {"name": p.container_name, "image": image, "memory": 1000, "cpu": 1024}
    aws.ecs.register_task_definition(family=p.family, containerDefinitions=[container], tags=ours(p))
    return revisions.newest(aws, p)


def add_node(aws, p, number, version):
    """A node of the cluster with the htpasswd file in the given version, in a zone of its own as far as there are."""
    tags = [*p.tags.items(), ("runbook:htpasswd", version), ("Name", f"{p.name}-node-{number}")]
    specification = {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags]}
    options = {"ImageId": "ami-12c6146b", "MinCount": 1, "MaxCount": 1, "TagSpecifications": [specification]}
    options["Placement"] = {"AvailabilityZone": f"{p.region}{'abc'[number % 3]}"}
    instance = aws.ec2.run_instances(**options)["Instances"][0]["InstanceId"]
    document = json.dumps({"instanceId": instance})
    aws.ecs.register_container_instance(cluster=p.cluster_name, instanceIdentityDocument=document)
    return instance


def prepare(aws, p):
    """What notebooks 02 and 03 leave behind."""
    providers = {"capacityProviders": [p.capacity_provider_name]} if p.scales else {}
    aws.ecs.create_cluster(clusterName=p.cluster_name, **providers)
    add_revision(aws, p)
    aws.logs.create_log_group(logGroupName=p.log_group)
    version = secretsmanager.write_secret(aws, p, p.htpasswd_secret, Secret("testuser:$2y$"), "htpasswd")
    for number in range(1, p.nodes + 1):
        add_node(aws, p, number, version)


_KEPT = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "deploymentConfiguration": "deployment_configuration",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "placementStrategy": "placement_strategy",
}


_numbers = itertools.count(1)


def keep_all(monkeypatch):
    """What moto forgets of a CreateService, though it keeps it of an UpdateService; and an update begins at once."""
    original, backend = EC2ContainerServiceResponse.create_service, EC2ContainerServiceBackend.update_service

    def create(self):
        answer = original(self)
        cluster, name = self._get_param("cluster"), self._get_param("serviceName")
        made = self.ecs_backend.services[f"{cluster}:{name}"]
        for given, attribute in _KEPT.items():
            setattr(made, attribute, self._get_param(given))
        if made.capacity_provider_strategy:
            made.launch_type = None
        return answer

    def update(self, service_properties):
        deploys = "load_balancers" in service_properties
        made = backend(self, service_properties)
        made.deployments[0]["rolloutState"] = "IN_PROGRESS"
        if deploys:
            made.deployments[0]["id"] = f"ecs-svc/{next(_numbers)}"
        return made

    monkeypatch.setattr(EC2ContainerServiceResponse, "create_service", create)
    monkeypatch.setattr(EC2ContainerServiceBackend, "update_service", update)


def balanced(aws, p):
    """An application balancer whose listener leads to the target group: what notebook 05 makes before the targets."""
    tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
    vpc = aws.ec2.all("describe_vpcs", "Vpcs")[0]["VpcId"]
    subnets = [subnet["SubnetId"] for subnet in aws.ec2.all("describe_subnets", "Subnets")]
    balancer = aws.elbv2.create_load_balancer(Name=p.balancer_name, Subnets=subnets, Tags=tags)["LoadBalancers"][0]
    where = {"Protocol": "HTTP", "Port": p.port, "VpcId": vpc, "TargetType": "instance"}
    group = aws.elbv2.create_target_group(Name=p.target_group_name, Tags=tags, **where)["TargetGroups"][0]
    forward = [{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}]
    listener = {"Protocol": "HTTP", "Port": 80, "DefaultActions": forward}
    aws.elbv2.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], **listener)

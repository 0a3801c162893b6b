"""What AWS refuses of ECS: AWS's error code, and that the right call passes."""

import json

import boto3
import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.elbv2.models import elbv2_backends
from refusals import REGION, TRUST, balancer, refused, task_definition

from runbook.local.inside import elbv2

pytestmark = pytest.mark.moto


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "bad name"},
        {"family": "f" * 256},
        {"container": {"essential": False}},
        {"container": {"mountPoints": [{"sourceVolume": "auth", "containerPath": "/auth"}]}},
        {"container": {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-region": REGION}}}},
        {"container": {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/g"}}}},
        {"container": {"secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:::secret:a"}]}},
        {"container": {"memoryReservation": 1024}},
        {"container": {"portMappings": [{"containerPort": 70000}]}},
        {"container": {"portMappings": [{"containerPort": 1, "hostPort": 2}]}, "networkMode": "host"},
        {"taskRoleArn": "nonsense"},
        {"executionRoleArn": "arn:aws:iam::123456789012:role/absent"},
    ],
)
def test_a_wrong_task_definition(aws, changes):
    refused("ClientException", aws.ecs.register_task_definition, **task_definition(**changes))
    assert aws.ecs.list_task_definitions()["taskDefinitionArns"] == []


def init(condition="SUCCESS", essential=False):
    """A registry that waits for another container."""
    first = {"name": "htpasswd", "image": "registry:2.8.3", "memory": 64, "essential": essential}
    second = task_definition()["containerDefinitions"][0]
    return [first, second | {"dependsOn": [{"containerName": "htpasswd", "condition": condition}]}]


def test_the_order_of_containers(aws):
    def register(*containers, **more):
        return {"family": "registry", "containerDefinitions": containers, **more}

    first, second = init()
    wrong = [
        register(second),
        register(*init(essential=True)),
        register(*init("COMPLETE", essential=True)),
        register(first, first, second),
        register(first | {"dependsOn": [{"containerName": "registry", "condition": "START"}]}, second),
    ]
    for each in wrong:
        refused("ClientException", aws.ecs.register_task_definition, **each)
    shared = {"scope": "task", "driver": "local", "autoprovision": True}
    for volume in ({"dockerVolumeConfiguration": shared}, {"host": {"sourcePath": "/a"}}):
        volume = {"name": "auth", "dockerVolumeConfiguration": {"scope": "task"}} | volume
        refused("ClientException", aws.ecs.register_task_definition, **register(first, second, volumes=[volume]))
    assert aws.ecs.list_task_definitions()["taskDefinitionArns"] == []
    good = {"name": "auth", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}}
    aws.ecs.register_task_definition(**register(first, second, volumes=[good]))
    aws.ecs.register_task_definition(**register(*init("START", essential=True)))


def test_a_right_task_definition(aws):
    role = aws.iam.create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    container = {
        "memoryReservation": 256,
        "mountPoints": [{"sourceVolume": "auth", "containerPath": "/auth", "readOnly": True}],
        "secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:::secret:a"}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {"awslogs-region": REGION, "awslogs-group": "/g"},
        },
    }
    volumes = [{"name": "auth", "host": {"sourcePath": "/home/ec2-user/auth"}}]
    definition = task_definition(container=container, volumes=volumes, executionRoleArn=role)
    made = aws.ecs.register_task_definition(**definition)["taskDefinition"]
    assert made["revision"] == 1


@pytest.fixture
def cluster(aws):
    aws.ecs.create_cluster(clusterName="registry")
    aws.ecs.register_task_definition(**task_definition())
    return {
        "cluster": "registry",
        "serviceName": "registry",
        "taskDefinition": "registry",
        "desiredCount": 1,
        "launchType": "EC2",
    }


@pytest.mark.parametrize(
    "change",
    [{"containerName": "other"}, {"containerPort": 80}, {"loadBalancerName": "absent"}],
)
def test_a_service_behind_what_is_not_there(aws, cluster, change):
    balancer(aws)
    right = {"loadBalancerName": "registry", "containerName": "registry", "containerPort": 5000}
    wrong = dict(cluster, loadBalancers=[right | change])
    refused("InvalidParameterException", aws.ecs.create_service, **wrong)
    aws.ecs.create_service(**dict(cluster, loadBalancers=[right]))


def target_group(name, **moto):
    """A new target group; its ARN. `moto`: what moto shall say of it, as nobody can make one so here."""
    elbv2 = boto3.client("elbv2", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    ec2 = boto3.client("ec2", region_name=REGION, aws_access_key_id="x", aws_secret_access_key="x")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    fields = {"Protocol": "HTTP", "Port": 5000, "VpcId": vpc, "TargetType": "instance"}
    arn = elbv2.create_target_group(Name=name, **fields)["TargetGroups"][0]["TargetGroupArn"]
    for attribute, value in moto.items():
        setattr(elbv2_backends[ACCOUNT][REGION].target_groups[arn], attribute, value)
    return arn


def test_a_target_group_that_does_not_fit_or_has_no_listener(aws, cluster, monkeypatch):
    group, other = target_group("registry"), target_group("registry-ip", target_type="ip")
    right = {"targetGroupArn": group, "containerName": "registry", "containerPort": 5000}

    def fails(match, **change):
        wanted = [right | change]
        create = refused("InvalidParameterException", aws.ecs.create_service, **cluster, loadBalancers=wanted)
        assert match in create["Error"]["Message"]
        return create

    fails("does not exist", targetGroupArn=f"{group}0")
    fails("has target type ip, which is incompatible with the bridge network mode", targetGroupArn=other)
    fails("does not have an associated load balancer")
    fails("did not have a container port", containerPort=80)
    update = {"cluster": "registry", "service": "registry", "loadBalancers": [right]}
    aws.ecs.create_service(**cluster)
    refused("InvalidParameterException", aws.ecs.update_service, **update)
    monkeypatch.setattr(elbv2, "attached", lambda region, arn: True)
    aws.ecs.update_service(**update)
    update["loadBalancers"] = [right | {"containerName": "other"}]
    refused("InvalidParameterException", aws.ecs.update_service, **update)


def test_a_service_that_is_told_what_does_not_fit(aws, cluster):
    create = dict(cluster, serviceName="other")
    refused("InvalidParameterException", aws.ecs.create_service, **create, healthCheckGracePeriodSeconds=10)
    for kind, field in (("spread", "cpu"), ("binpack", "disk"), ("random", "cpu")):
        wrong = [{"type": kind, "field": field}]
        refused("InvalidParameterException", aws.ecs.create_service, **create, placementStrategy=wrong)
    right = [{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "binpack", "field": "memory"}]
    aws.ecs.create_service(**create, placementStrategy=[*right, {"type": "random"}])


def test_ten_services_are_described_at_once(aws, cluster):
    names = [f"service-{n}" for n in range(11)]
    refused("InvalidParameterException", aws.ecs.describe_services, cluster="registry", services=names)
    assert len(aws.ecs.describe_services(cluster="registry", services=names[:10])["failures"]) == 10


def test_awsvpc_has_a_network_configuration_and_nothing_else_has(aws):
    aws.ecs.create_cluster(clusterName="registry")
    subnet = aws.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    network = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}}}
    service = {"cluster": "registry", "taskDefinition": "registry", "desiredCount": 1}
    aws.ecs.register_task_definition(**task_definition())
    refused("InvalidParameterException", aws.ecs.create_service, serviceName="a", **service, **network)
    aws.ecs.register_task_definition(**task_definition(networkMode="awsvpc"))
    refused("InvalidParameterException", aws.ecs.create_service, serviceName="b", **service)
    aws.ecs.create_service(serviceName="c", **service, **network)


def test_awsvpc_has_no_links_and_no_classic_balancer(aws):
    linked = task_definition(networkMode="awsvpc", container={"links": ["other"]})
    refused("ClientException", aws.ecs.register_task_definition, **linked)
    aws.ecs.create_cluster(clusterName="registry")
    aws.ecs.register_task_definition(**task_definition(networkMode="awsvpc"))
    balancer(aws)
    subnet = aws.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    behind = [{"loadBalancerName": "registry", "containerName": "registry", "containerPort": 5000}]
    refused(
        "InvalidParameterException",
        aws.ecs.create_service,
        cluster="registry",
        serviceName="a",
        taskDefinition="registry",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": []}},
        loadBalancers=behind,
    )

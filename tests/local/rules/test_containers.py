"""What AWS refuses of ECS: AWS's error code, and that the right call passes."""

import json

import pytest
from refusals import REGION, TRUST, balancer, refused, task_definition

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


def test_ten_services_are_described_at_once(aws, cluster):
    names = [f"service-{n}" for n in range(11)]
    refused("InvalidParameterException", aws.ecs.describe_services, cluster="registry", services=names)
    assert len(aws.ecs.describe_services(cluster="registry", services=names[:10])["failures"]) == 10

"""What the tests of the rules share: the right calls that each test makes wrong, and the error that AWS answers."""

import pytest
from botocore.exceptions import ClientError

REGION = "eu-central-1"
IMAGE = "ami-12c6146b"  # one of those that moto's account begins with
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


def refused(code, call, /, *arguments, **params):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **params)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def task_definition(**changes):
    container = {"name": "registry", "image": "registry:2.8.3", "memory": 512, "essential": True}
    container |= {"portMappings": [{"containerPort": 5000, "hostPort": 5000}]} | changes.pop("container", {})
    return {"family": "registry", "containerDefinitions": [container], **changes}


HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 5000}


def balancer(aws, **changes):
    params = {"LoadBalancerName": "registry", "Listeners": [HTTP], "AvailabilityZones": [f"{REGION}a"]}
    return aws.elb.create_load_balancer(**params | changes)


def run(aws, **more):
    return aws.ec2.run_instances(**{"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1} | more)["Instances"]

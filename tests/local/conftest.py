"""An embedded cloud for the tests of a session, in a folder of its own."""

import json
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from programs import members
from scheduled import services  # noqa: F401 (a fixture)

from runbook import local

REGION = "eu-central-1"
BLOCKS = range(121, 250)
AMI = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
EC2_POLICY = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
SSM_POLICY = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


class Cloud:
    """One embedded cloud, and what tests do to it."""

    ec2_policy, ssm_policy = EC2_POLICY, SSM_POLICY

    def __init__(self, home: Path):
        self.home = home
        self.running: local.Running | None = None
        self._clients: dict[tuple[str, str, str], Any] = {}

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Within this, `runbook.local` speaks of this cloud."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNBOOK_HOME", str(self.home))
            yield

    def up(self, port: int | None = None) -> local.Running:
        """Up; what is new in it is known at once: tests of other things wait for nothing."""
        with self.chosen(), pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNBOOK_SETTLING_SECONDS", os.environ.get("RUNBOOK_SETTLING_SECONDS", "0"))
            self.running = local.up(port)
        return self.running

    def down(self) -> bool:
        with self.chosen():
            return local.down()

    def status(self) -> dict[str, Any]:
        with self.chosen():
            return local.status()

    def client(self, service: str, region: str = REGION) -> Any:
        """A client that the caller's AWS settings and proxies do not reach."""
        key = (self.running.endpoint, service, region)
        if key not in self._clients:
            config = Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
            self._clients[key] = self._session.client(
                service, region_name=region, endpoint_url=self.running.endpoint, config=config
            )
        return self._clients[key]

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")

    def until(self, condition: Callable[[], Any], seconds: float = 30) -> Any:
        """What `condition` answers as soon as that is true; the cloud's log is in the error otherwise."""
        deadline = time.monotonic() + seconds
        while not (answer := condition()):
            if time.monotonic() > deadline:
                raise AssertionError(f"not so after {seconds} s; {(self.home / 'cloud.log').read_text()[-4000:]}")
            time.sleep(0.05)
        return answer

    def profile(self, *policies: str) -> str:
        """A new instance profile whose role has these managed policies; its name."""
        iam, name = self.client("iam"), f"test-{uuid.uuid4().hex[:12]}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        for policy in policies:
            iam.attach_role_policy(RoleName=name, PolicyArn=policy)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        return name

    def cluster(self) -> str:
        """A new, empty cluster; its name."""
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.client("ecs").create_cluster(clusterName=name)
        return name

    def image(self) -> str:
        """The AMI that nodes are made of; its id."""
        return self.client("ssm").get_parameter(Name=AMI)["Parameter"]["Value"]

    def instance(self, user_data: str = "", profile: str | None = None, instance_type: str = "t3.small") -> str:
        """A new instance, whose node runs; its id."""
        more = {"IamInstanceProfile": {"Name": profile}} if profile else {}
        made = self.client("ec2").run_instances(
            ImageId=self.image(), InstanceType=instance_type, MinCount=1, MaxCount=1, UserData=user_data, **more
        )
        instance_id = made["Instances"][0]["InstanceId"]
        self.until(lambda: (self.node(instance_id) or {}).get("state") in ("running", "user data runs"))
        return instance_id

    def member(self, cluster: str) -> str:
        """A new instance that has joined the cluster, and takes commands; its id."""
        user_data = f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n"
        instance_id = self.instance(user_data, self.profile(EC2_POLICY, SSM_POLICY))
        self.until(lambda: self.node(instance_id)["cluster"] == cluster)
        return instance_id

    def node(self, instance_id: str) -> dict[str, Any] | None:
        """What the cloud's status says of an instance's node."""
        return next((node for node in self.status()["nodes"] if node["instance"] == instance_id), None)

    def root(self, instance_id: str) -> Path:
        """The folder that the instance sees as /."""
        return self.home / "data" / "nodes" / instance_id / "root"

    def terminate(self, *instance_ids: str) -> None:
        self.client("ec2").terminate_instances(InstanceIds=list(instance_ids))
        self.until(lambda: not any(self.node(instance_id) for instance_id in instance_ids))

    def everything(self) -> str:
        """One program of each kind runs; the instance whose user data does not end."""
        ec2, ecs, elbv2 = self.client("ec2"), self.client("ecs"), self.client("elbv2")
        sleeper, cluster = self.instance("#!/bin/bash\nexec sleep 600\n"), self.cluster()
        self.member(cluster)
        container = {"name": "registry", "image": "registry:2.8.3", "cpu": 64, "memory": 128}
        ecs.register_task_definition(family="registry", containerDefinitions=[container])
        ecs.run_task(cluster=cluster, taskDefinition="registry")
        found = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        subnets = [each["SubnetId"] for each in found]
        balancer = elbv2.create_load_balancer(Name="registry", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
        gone = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "410"}}
        elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=80, DefaultActions=[gone])
        cache = {"ReplicationGroupId": "registry", "ReplicationGroupDescription": "of a test"}
        self.client("elasticache").create_replication_group(**cache, CacheNodeType="cache.t4g.micro")
        programs = ("sleep 600", "registry serve", "haproxy", "redis-server")
        self.until(lambda: all(any(each in words for words in self.processes().values()) for each in programs))
        return sleeper

    def processes(self, pid: int | None = None) -> dict[int, str]:
        """The living processes of this cloud, or of that with this process: their numbers and command lines."""
        return members(pid or self.running.pid)


@pytest.fixture(scope="session")
def new_cloud() -> type[Cloud]:
    """For a module that has a cloud of its own."""
    return Cloud


@pytest.fixture(scope="session")
def cloud(tmp_path_factory) -> Iterator[Cloud]:
    """A cloud that the tests share: name things so that no other test meets them."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    cloud.up()
    yield cloud
    cloud.down()


@pytest.fixture
def block() -> Iterator[int]:
    """A block of loopback addresses above those that clouds take; no other test has it at the same time."""
    with socket.socket(socket.AF_UNIX) as claim:
        for number in random.SystemRandom().sample(BLOCKS, len(BLOCKS)):
            with suppress(OSError):  # another test has it: the cloud's own way to claim one
                claim.bind(f"\0runbook-cloud-{number}")
                break
        else:
            raise AssertionError("every block is taken")
        yield number


@pytest.fixture
def own_cloud(tmp_path) -> Iterator[Cloud]:
    """A cloud, not up yet, for a test that starts, stops or breaks it."""
    cloud = Cloud(tmp_path / "home")
    os.mkdir(cloud.home, 0o700)
    yield cloud
    cloud.down()

"""The inventory: the same for two accounts of one history, and whatever is more, less or other shows."""

import json

import pytest
import world
from inventory import difference, inventory

import runbook
from runbook import plan

pytestmark = pytest.mark.moto


def deployed(p, folder):
    with pytest.MonkeyPatch.context() as patch, world.account(p, patch, folder) as aws:
        for step in plan.STEPS:
            step.ensure(aws, p)
        return inventory()


def test_two_deployments_of_the_same_params_are_equal_and_another_choice_shows(account, tmp_path):
    choices = ({}, {}, {"idle_timeout": 400})
    one, same, other = (
        deployed(world.blog(tmp_path, **choice), tmp_path / str(number)) for number, choice in enumerate(choices)
    )
    assert difference(one, same) == []
    assert [line.partition(": ")[2] for line in difference(one, other)] == ["300 → 400"]
    assert one == json.loads(json.dumps(one))


@pytest.fixture
def some(aws, p):
    """A bucket, groups, a role, a secret and a task definition."""
    for step in plan.STEPS[:4]:
        step.ensure(aws, p)
    aws.s3.put_object(Bucket=p.bucket, Key="one", Body=b"1")
    aws.secretsmanager.create_secret(Name="one", SecretString="1")
    _register(aws, p)
    return aws


def _register(aws, p):
    container = {"name": "registry", "image": "registry:2", "memory": 100, "command": ["serve", "config"]}
    aws.ecs.register_task_definition(family=p.family, containerDefinitions=[container])


def _group(aws):
    return aws.ec2.create_security_group(GroupName="orphan", Description="x")["GroupId"]


def _tag(aws, p):
    aws.ecs.tag_resource(resourceArn=_cluster(aws, p), tags=[{"key": "more", "value": "x"}])


def _cluster(aws, p):
    return aws.ecs.describe_clusters(clusters=[p.cluster_name])["clusters"][0]["clusterArn"]


def _rule(aws, p):
    (group,) = aws.ec2.describe_security_groups(GroupNames=[p.node_group])["SecurityGroups"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}
    aws.ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])


def _object(aws, p):
    aws.s3.put_object(Bucket=p.bucket, Key="two", Body=b"1")


def _bytes(aws, p):
    aws.s3.put_object(Bucket=p.bucket, Key="one", Body=b"2")


def _policy(aws, p):
    aws.s3.delete_bucket_policy(Bucket=p.bucket)


def _inactive(aws, p):
    aws.ecs.deregister_task_definition(taskDefinition=f"{p.family}:1")


def _key(aws, p):
    aws.iam.create_access_key(UserName=p.user_name)


def _version(aws, p):
    aws.secretsmanager.put_secret_value(SecretId="one", SecretString="2")


def _elsewhere(aws, p):
    runbook.connect(p.model_copy(update={"region": "eu-west-1"})).sns.create_topic(Name="x")


OTHERWISE = {
    "a tag": (_tag, "ecs / more"),
    "a rule of a security group": (_rule, "ec2 / sg-‹registry-node› / ingress_rules"),
    "a security group": (lambda aws, p: _group(aws), "ec2 / orphan"),
    "a revision": (_register, "ecs / task_definitions / registry / 2"),
    "a revision that is no longer active": (_inactive, "ecs / INACTIVE"),
    "an object": (_object, "s3 / two"),
    "an object's bytes": (_bytes, "s3 / 1 bytes"),
    "a policy that is gone": (_policy, "s3 / policy"),
    "an access key": (_key, "iam / access_keys"),
    "a secret's version": (_version, "secretsmanager / versions"),
    "a thing of another service and region": (_elsewhere, "sns / eu-west-1"),
}


def test_what_is_otherwise_is_seen_and_nothing_else(some, p):
    for what, (change, where) in OTHERWISE.items():
        before = inventory()
        assert difference(before, inventory()) == [], what
        change(some, p)
        found = difference(before, inventory())
        service, *words = where.split(" / ")
        assert found and all(line[2:].startswith(f"{service} ") for line in found), (what, found)
        assert any(all(word in line for word in words) for line in found), (what, found)


def test_what_is_undone_leaves_no_trace(some, p):
    before = inventory()
    some.ec2.delete_security_group(GroupId=_group(some))
    some.s3.put_object(Bucket=p.bucket, Key="two", Body=b"1")
    some.s3.delete_object(Bucket=p.bucket, Key="two")
    assert difference(before, inventory()) == []


def test_a_terminated_instance_is_no_difference(some):
    instance = some.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    before = inventory()
    some.ec2.terminate_instances(InstanceIds=[instance])
    again = some.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    assert again != instance and difference(before, inventory()) == []
    some.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    assert any("i-‹id›" in line for line in difference(before, inventory()))

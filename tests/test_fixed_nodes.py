"""The fixed nodes, on moto; in place of the ECS and SSM agents, something that does their part."""

import pytest
from agents import ACCOUNT, REGION, install
from moto import mock_aws
from moto.backends import get_backend

import runbook
from runbook import cluster, instances, launching, network, nodes, roles, vpc
from runbook.errors import AwsError, NotOurs, StepFailed, TimedOut

NODE_1, NODE_2 = "registry-node-1", "registry-node-2"


@pytest.fixture
def agents(monkeypatch):
    return install(monkeypatch)


def prepare(aws, p):
    network.ensure_groups(aws, p)
    cluster.ensure_cluster(aws, p)


@pytest.fixture
def ready(aws, p, agents):
    """An account in which the earlier things of the notebook are there."""
    prepare(aws, p)
    return aws


def two(p):
    return p.model_copy(update={"nodes": 2})


def failed(report):
    return [check.name for check in report.checks if not check.ok]


@pytest.mark.pure
def test_want_nodes(p):
    wanted = nodes.want_nodes(two(p))
    assert list(wanted) == [NODE_1, NODE_2, "surplus"]
    assert wanted[NODE_1] == wanted[NODE_2]
    assert wanted[NODE_1] | {"user data": "…"} == {
        "type": "t3.small",
        "state": "running",
        "cluster": "registry",
        "systems manager": "Online",
        "user data": "…",
        "profile": "registry-node",
        "groups": ["registry-node"],
        "metadata": "enabled, IMDSv2 only, hop limit 1",
        "root volume": "encrypted",
    }
    assert (
        nodes.want_nodes(p.model_copy(update={"name": "other"}))["other-node-1"]["user data"]
        != wanted[NODE_1]["user data"]
    )


@pytest.mark.pure
def test_a_launch_has_the_same_token_until_something_changed(p):
    def found(*ended):
        return instances.Instances({}, [], [], [_ended(name, number) for number, name in enumerate(ended)])

    def _ended(name, number):
        return {"InstanceId": f"i-{number}", "Tags": [{"Key": "Name", "Value": name}]}

    first = instances.token(p, NODE_1, found(), "2026010112")
    assert first == instances.token(p, NODE_1, found(NODE_2), "2026010112") and len(first) <= 64
    others = {
        instances.token(p, NODE_2, found(), "2026010112"),
        instances.token(p, NODE_1, found(NODE_1), "2026010112"),
        instances.token(p, NODE_1, found(), "2026010113"),
        instances.token(p.model_copy(update={"name": "other"}), NODE_1, found(), "2026010112"),
    }
    assert first not in others and len(others) == 4


@pytest.mark.moto
def test_made_once(ready, p):
    p = two(p)
    assert nodes.find_nodes(ready, p) is None
    assert nodes.verify_nodes(ready, p).absent
    assert nodes.ensure_nodes(ready, p)
    found = nodes.find_nodes(ready, p)
    assert found[NODE_1].pop("ami") == found[NODE_2].pop("ami") == "current"
    assert found == nodes.want_nodes(p)
    assert nodes.verify_nodes(ready.read_only(), p).require()
    assert not nodes.ensure_nodes(ready.read_only(), p)


@pytest.mark.moto
def test_what_an_instance_is(ready, p):
    p = two(p)
    nodes.ensure_nodes(ready, p)
    for instance in instances.read(ready, p).nodes.values():
        assert not instance.get("KeyName")
        assert {"Key": "runbook:deployment", "Value": "registry"} in instance["Tags"]
        volume = ready.ec2.describe_volumes(VolumeIds=[instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]])[
            "Volumes"
        ][0]
        assert (volume["VolumeType"], volume["Size"], volume["Encrypted"]) == ("gp3", 30, True)
        assert {"Key": "runbook:deployment", "Value": "registry"} in volume["Tags"]
    zones = [i["Placement"]["AvailabilityZone"] for i in instances.read(ready, p).nodes.values()]
    assert sorted(zones) == ["eu-central-1a", "eu-central-1b"]


@pytest.mark.moto
@pytest.mark.parametrize("missing", ["group", "cluster"])
def test_earlier_things_are_needed(ready, p, missing):
    network.destroy_groups(ready, p) if missing == "group" else cluster.destroy_cluster(ready, p)
    with pytest.raises(StepFailed, match="is not there; run notebook 02_create_a_task_definition first"):
        nodes.ensure_nodes(ready.read_only(), p)


@pytest.mark.moto
@pytest.mark.timeout(600)
def test_killed_anywhere(crash_everywhere, agents):
    def check(aws, p):
        agents()
        assert nodes.verify_nodes(aws, p).require()
        assert len(instances.read(aws, p).live) == 1

    writes = crash_everywhere(nodes.ensure_nodes, check, prepare)
    assert "ec2 RunInstances" in writes and "iam AddRoleToInstanceProfile" in writes


@pytest.mark.moto
def test_waits_until_ec2_knows_the_profile(ready, p, monkeypatch):
    message = (
        "Value (registry-node) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    )
    real, answers = ready.ec2.run_instances, [AwsError("ec2", "RunInstances", "InvalidParameterValue", message)] * 2

    def run_instances(**request):
        if answers:
            raise answers.pop()
        return real(**request)

    monkeypatch.setattr(ready.ec2, "run_instances", run_instances, raising=False)
    nodes.ensure_nodes(ready, p)
    assert not answers
    assert nodes.verify_nodes(ready, p).require()


@pytest.mark.moto
def test_another_invalid_parameter_is_not_waited_for(ready, p, agents, monkeypatch):
    def run_instances(**_):
        raise AwsError("ec2", "RunInstances", "InvalidParameterValue", "Invalid value for InstanceType")

    monkeypatch.setattr(ready.ec2, "run_instances", run_instances, raising=False)
    with pytest.raises(AwsError, match="Invalid value for InstanceType"):
        nodes.ensure_nodes(ready, p)
    assert agents.rounds == 0


@pytest.mark.moto
def test_says_what_it_waits_for(ready, p, agents, monkeypatch):
    agents.joining = False
    monkeypatch.setattr(instances, "_JOIN_SECONDS", 0)
    with pytest.raises(TimedOut, match="0 of 1 in the cluster; registry-node-1 running, not registered"):
        nodes.ensure_nodes(ready, p)
    agents.joining, agents.online = True, False
    agents()
    with pytest.raises(TimedOut, match="registry-node-1 in the cluster, Systems Manager: not registered"):
        nodes.ensure_nodes(ready, p)
    assert failed(nodes.verify_nodes(ready, p)) == [f"{NODE_1}.systems manager"]


def _stop(aws, p, instance_id):
    aws.ec2.stop_instances(InstanceIds=[instance_id])


def _open_metadata(aws, p, instance_id):
    aws.ec2.modify_instance_metadata_options(
        InstanceId=instance_id, HttpTokens="optional", HttpPutResponseHopLimit=2, HttpEndpoint="enabled"
    )


def _other_group(aws, p, instance_id):
    group = aws.ec2.create_security_group(GroupName="other", Description="x", VpcId=vpc.vpc_id(aws, p))["GroupId"]
    aws.ec2.modify_instance_attribute(InstanceId=instance_id, Groups=[group])


def _other_profile(aws, p, instance_id):
    aws.iam.create_instance_profile(InstanceProfileName="other")
    filters = [{"Name": "instance-id", "Values": [instance_id]}]
    found = aws.ec2.describe_iam_instance_profile_associations(Filters=filters)["IamInstanceProfileAssociations"][0]
    aws.ec2.replace_iam_instance_profile_association(
        AssociationId=found["AssociationId"], IamInstanceProfile={"Name": "other"}
    )


def _no_profile(aws, p, instance_id):
    filters = [{"Name": "instance-id", "Values": [instance_id]}]
    found = aws.ec2.describe_iam_instance_profile_associations(Filters=filters)["IamInstanceProfileAssociations"][0]
    aws.ec2.disassociate_iam_instance_profile(AssociationId=found["AssociationId"])


def _draining(aws, p, instance_id):
    arn = instances.registrations(aws, p)[instance_id]["containerInstanceArn"]
    aws.ecs.update_container_instances_state(cluster="registry", containerInstances=[arn], status="DRAINING")


@pytest.mark.moto
@pytest.mark.parametrize(
    "drift, key",
    [
        (_stop, "state"),
        (_open_metadata, "metadata"),
        (_other_group, "groups"),
        (_other_profile, "profile"),
        (_no_profile, "profile"),
        (_draining, "cluster"),
    ],
)
def test_drift_is_named_and_mended_on_the_same_instance(ready, p, agents, drift, key):
    nodes.ensure_nodes(ready, p)
    before = instances.read(ready, p).nodes[NODE_1]["InstanceId"]
    drift(ready, p, before)
    assert f"{NODE_1}.{key}" in failed(nodes.verify_nodes(ready, p))
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert instances.read(ready, p).nodes[NODE_1]["InstanceId"] == before


def _type(p):
    return p.model_copy(update={"instance_type": "t3.large"})


def _auth_elsewhere(p):
    class Moved(type(p)):
        @property
        def auth_folder(self):
            return "/srv/auth"

    return Moved.model_construct(**dict(p))


@pytest.mark.moto
@pytest.mark.parametrize("change, key", [(_type, "type"), (_auth_elsewhere, "user data")])
def test_what_cannot_be_changed_is_replaced_one_by_one(ready, p, agents, change, key):
    p = two(p)
    nodes.ensure_nodes(ready, p)
    before = {i["InstanceId"] for i in instances.read(ready, p).live}
    p = change(p)
    report = nodes.verify_nodes(ready, p)
    assert failed(report) == [f"{NODE_1}.{key}", f"{NODE_2}.{key}", f"{NODE_1}.instance", f"{NODE_2}.instance"]
    assert f"one whose {key} cannot be changed while it runs → a new one in its place" in repr(report.changes)
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    after = {i["InstanceId"] for i in instances.read(ready, p).live}
    assert len(after) == 2 and not after & before
    assert set(instances.registrations(ready, p)) == after


@pytest.mark.moto
def test_one_by_one_means_that_the_other_one_stays(ready, p, agents, monkeypatch):
    p = two(p)
    nodes.ensure_nodes(ready, p)
    fewest, real = [], instances.launch

    def launch(aws, p, name, **kw):
        fewest.append(len(instances.read(aws, p).live))
        return real(aws, p, name, **kw)

    monkeypatch.setattr(instances, "launch", launch)
    nodes.ensure_nodes(ready, _type(p))
    assert fewest == [1, 1]


@pytest.mark.moto
def test_an_older_image_is_a_note_only(ready, p, monkeypatch):
    nodes.ensure_nodes(ready, p)
    monkeypatch.setattr(launching, "current_ami", lambda aws: "ami-tomorrow")
    assert nodes.find_nodes(ready, p)[NODE_1]["ami"] == "older"
    assert not nodes.ensure_nodes(ready.read_only(), p)


@pytest.mark.moto
def test_fewer_nodes(ready, p, agents):
    nodes.ensure_nodes(ready, two(p))
    kept = instances.read(ready, p).nodes[NODE_1]["InstanceId"]
    report = nodes.verify_nodes(ready, p)
    assert failed(report) == ["surplus"] and NODE_2 in report.failures()
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert set(instances.registrations(ready, p)) == {kept}


@pytest.mark.moto
def test_surplus_nodes_are_drained_first(ready, p, agents, monkeypatch):
    nodes.ensure_nodes(ready, two(p))
    surplus = instances.read(ready, p).surplus[0]["InstanceId"]
    registration = next(
        item
        for item in get_backend("ecs")[ACCOUNT][REGION].container_instances["registry"].values()
        if item.ec2_instance_id == surplus
    )
    registration.running_tasks_count = 1
    seen = []

    def round(_seconds):
        seen.append((registration.status, instances.read(ready, p).surplus[0]["State"]["Name"]))
        registration.running_tasks_count = 0

    monkeypatch.setattr("runbook.wait.time.sleep", round)
    instances.terminate(ready, p, instances.read(ready, p).surplus)
    assert seen == [("DRAINING", "running")]
    assert not instances.read(ready, p).surplus


@pytest.mark.moto
def test_a_second_instance_of_the_same_name_is_surplus(ready, p, agents):
    nodes.ensure_nodes(ready, p)
    instances.launch(ready, p, NODE_1, user_data=nodes.user_data(p))
    assert len(instances.read(ready, p).live) == 2
    assert "surplus" in failed(nodes.verify_nodes(ready, p))
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert len(instances.read(ready, p).live) == len(instances.registrations(ready, p)) == 1


@pytest.mark.moto
def test_a_terminated_node_is_made_again(ready, p, agents):
    nodes.ensure_nodes(ready, p)
    ready.ec2.terminate_instances(InstanceIds=[instances.read(ready, p).nodes[NODE_1]["InstanceId"]])
    assert nodes.find_nodes(ready, p) is None
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert len(instances.registrations(ready, p)) == 1


@pytest.mark.moto
def test_drift_of_the_role_and_the_profile(ready, p):
    nodes.ensure_nodes(ready, p)
    ready.iam.delete_role_policy(RoleName="registry-node", PolicyName=roles.INLINE)
    ready.iam.remove_role_from_instance_profile(InstanceProfileName="registry-node", RoleName="registry-node")
    report = nodes.verify_nodes(ready, p)
    parts = [f"IAM role registry-node InlinePolicy.{part}" for part in ("Version", "Statement")]
    assert failed(report) == [*parts, "instance profile registry-node"]
    assert "InlinePolicy.Statement" in report.failures()
    nodes.ensure_nodes(ready, p)
    assert nodes.verify_nodes(ready, p).require()


@pytest.mark.moto
def test_port_22_open_to_the_world(ready, p):
    nodes.ensure_nodes(ready, p)
    rule = {"IpProtocol": "tcp", "FromPort": 20, "ToPort": 30, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    ready.ec2.authorize_security_group_ingress(GroupId=vpc.group_id(ready, p, p.node_group), IpPermissions=[rule])
    assert failed(nodes.verify_nodes(ready, p)) == ["port 22"]


@pytest.mark.moto
@pytest.mark.parametrize("thing", ["instance profile", "IAM role"])
def test_foreign_things_are_left_alone(ready, p, thing):
    if thing == "IAM role":
        ready.iam.create_role(
            RoleName="registry-node", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}'
        )
    else:
        ready.iam.create_instance_profile(InstanceProfileName="registry-node")
    with pytest.raises(NotOurs, match=f"{thing} registry-node"):
        nodes.ensure_nodes(ready, p)
    assert not instances.read(ready, p).live
    with pytest.raises(NotOurs, match=f"{thing} registry-node"):
        nodes.destroy_nodes(ready.read_only(), p)


@pytest.mark.moto
def test_instances_of_others_are_not_seen(ready, p):
    p = two(p)
    image = launching.current_ami(ready)
    tags = [
        [("Name", NODE_1)],
        [("Name", NODE_1), ("runbook:deployment", "other")],
        [("Name", "mine"), *p.tags.items()],
    ]
    for one in tags:
        spec = [{"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in one]}]
        ready.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=spec)
    assert nodes.find_nodes(ready, p) is None
    assert not nodes.destroy_nodes(ready.read_only(), p)


@pytest.mark.moto
def test_destroy_leaves_nothing(ready, p):
    nodes.ensure_nodes(ready, two(p))
    assert nodes.destroy_nodes(ready, p)
    assert nodes.find_nodes(ready, p) is None
    assert not instances.registrations(ready, p)
    assert not ready.ec2.all("describe_volumes", "Volumes")
    assert not ready.iam.all("list_instance_profiles", "InstanceProfiles")
    assert roles.find_role(ready, p, "registry-node") is None
    assert not nodes.destroy_nodes(ready.read_only(), p)
    assert cluster.destroy_cluster(ready, p) and network.destroy_groups(ready, p)


@pytest.mark.moto
@pytest.mark.timeout(600)
def test_destroy_killed_anywhere(crash_everywhere, agents):
    def all_made(aws, p):
        prepare(aws, p)
        nodes.ensure_nodes(aws, p)

    def check(aws, p):
        assert nodes.find_nodes(aws, p) is None and not instances.registrations(aws, p)
        assert not aws.iam.all("list_instance_profiles", "InstanceProfiles")
        assert roles.find_role(aws, p, p.node_role) is None

    assert "ec2 TerminateInstances" in crash_everywhere(nodes.destroy_nodes, check, all_made)


@pytest.mark.moto
def test_a_stopped_node_leaves_no_registration(ready, p, agents):
    nodes.ensure_nodes(ready, p)
    ready.ec2.stop_instances(InstanceIds=[instances.read(ready, p).nodes[NODE_1]["InstanceId"]])
    agents()
    nodes.destroy_nodes(ready, p)
    assert not instances.registrations(ready, p)


@pytest.mark.moto
def test_a_zone_without_the_instance_type_is_left_out(p, account):
    """us-east-1 has such a zone: it was there before the newer types."""
    p = runbook.load(p.model_dump() | {"region": "us-east-1", "nodes": 6})
    with mock_aws():
        aws = runbook.connect(p)
        prepare(aws, p)
        aws.iam.create_instance_profile(InstanceProfileName=p.node_role)
        for number in range(1, 7):
            instances.launch(aws, p, instances.node_name(p, number), user_data="")
        zones = [i["Placement"]["AvailabilityZone"][-1] for _, i in sorted(instances.read(aws, p).nodes.items())]
    assert zones == ["a", "b", "c", "d", "f", "a"]


@pytest.mark.moto
def test_an_instance_type_that_the_region_lacks(ready, p):
    ready.iam.create_instance_profile(InstanceProfileName=p.node_role)
    wrong = p.model_copy(update={"instance_type": "t3.smal"})
    with pytest.raises(StepFailed, match="t3.smal.*eu-central-1.*instance_type in"):
        instances.launch(ready, wrong, NODE_1, user_data="")


@pytest.mark.moto
def test_tasks_of_a_lost_agent_do_not_hold_a_drain_up(ready, p, agents, monkeypatch):
    nodes.ensure_nodes(ready, two(p))
    first, second = (i["InstanceId"] for i in instances.read(ready, two(p)).live)
    for item in get_backend("ecs")[ACCOUNT][REGION].container_instances["registry"].values():
        if item.ec2_instance_id == second:
            item.agent_connected, item.running_tasks_count = False, 1
    monkeypatch.setattr(instances, "_DRAIN_SECONDS", 0)
    instances.terminate(ready, two(p), instances.read(ready, two(p)).live)
    assert not instances.read(ready, two(p)).live


@pytest.mark.moto
def test_a_registration_that_ecs_removes_meanwhile(ready, p, agents, monkeypatch):
    nodes.ensure_nodes(ready, p)
    ready.ec2.stop_instances(InstanceIds=[instances.read(ready, p).nodes[NODE_1]["InstanceId"]])
    agents()
    real = ready.ecs.deregister_container_instance

    def removed_just_before(**request):
        real(**request)
        raise AwsError("ecs", "DeregisterContainerInstance", "InvalidParameterException", "instance not found")

    monkeypatch.setattr(ready.ecs, "deregister_container_instance", removed_just_before, raising=False)
    nodes.destroy_nodes(ready, p)
    assert not instances.registrations(ready, p)


@pytest.mark.moto
def test_a_registration_whose_instance_ec2_has_forgotten(ready, p, agents):
    """A node that was stopped and then terminated by hand: EC2 shows it for an hour, ECS for ever."""
    nodes.ensure_nodes(ready, p)
    instance = instances.read(ready, p).nodes[NODE_1]["InstanceId"]
    ready.ec2.stop_instances(InstanceIds=[instance])
    agents()
    ready.ec2.terminate_instances(InstanceIds=[instance])
    get_backend("ec2")[ACCOUNT][REGION].reservations.clear()
    assert set(instances.registrations(ready, p)) == {instance}
    nodes.destroy_nodes(ready, p)
    assert not instances.registrations(ready, p)


@pytest.mark.moto
def test_a_lost_node_of_somebody_else_stays_registered(ready, p, agents):
    theirs = ready.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ecs = get_backend("ecs")[ACCOUNT][REGION]
    ecs.register_container_instance("registry", theirs).agent_connected = False
    nodes.destroy_nodes(ready, p)
    assert set(instances.registrations(ready, p)) == {theirs}

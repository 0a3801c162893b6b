"""The nodes of an Auto Scaling group, on moto; what AWS does on its own is played by `agents`."""

import base64

import pytest
from agents import install
from moto.backends import get_backend

from runbook import (
    cluster,
    instances,
    launch_template,
    launching,
    network,
    node_role,
    nodes,
    roles,
    running,
    scaling_nodes,
    vpc,
)
from runbook.errors import AwsError, NotOurs, StepFailed, TimedOut

NAME, PROVIDER = "registry-asg", "runbook-registry"


@pytest.fixture
def p(scaling):
    """The params for production instead of the blog's."""
    return scaling


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


def failed(report):
    return [check.name for check in report.checks if not check.ok]


def group(aws):
    return aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])["AutoScalingGroups"][0]


def ids(aws, p):
    return [i["InstanceId"] for i in instances.of_group(aws, p) if i["State"]["Name"] == "running"]


def newest(aws):
    found = aws.ec2.describe_launch_template_versions(LaunchTemplateName=NAME)["LaunchTemplateVersions"]
    return max(found, key=lambda each: each["VersionNumber"])["LaunchTemplateData"]


@pytest.mark.pure
def test_want_nodes(p):
    wanted = nodes.want_nodes(p)
    own = {"Tags": {"team": "platform"}}  # of the template and of the provider themselves
    tags = {"Name": NAME, "runbook:deployment": "registry", "team": "platform"}
    assert wanted["launch template"] | {"user data": "…"} == {
        "image": "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id",
        "type": "t3.small",
        "user data": "…",
        "profile": NAME,
        "groups": [NAME],
        "metadata": "enabled, IMDSv2 only, hop limit 1",
        "root volume": "30 GiB gp3, encrypted",
        "key pair": "none",
        "detailed monitoring": "off",
        "tags": {"instance": tags, "volume": tags},
        **own,
    }
    assert wanted["group"] == {
        "size": "2 to 4",
        "launches": f"{NAME}, newest version",
        "subnets": "the nodes' subnets in the zones that have the type",
        "health check": "EC2",
        "new instances": "protected from scale-in",
        "tags": tags,
    }
    assert wanted["capacity provider"] == {
        "group": NAME,
        "managed scaling": "enabled, target 100 %",
        "managed termination protection": "enabled",
        "managed draining": "enabled",
        "of the cluster": [PROVIDER],
        "default strategy": [PROVIDER],
        **own,
    }


@pytest.mark.pure
@pytest.mark.parametrize("credentials, hops", [("access-key", 1), ("task-role", 1), ("instance-role", 2)])
def test_only_a_registry_with_the_nodes_role_is_let_near_it(p, credentials, hops):
    p = p.model_copy(update={"credentials": credentials})
    assert launching.metadata(p) == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": hops,
    }
    assert nodes.want_nodes(p)["launch template"]["metadata"].endswith(f"hop limit {hops}")


@pytest.mark.moto
def test_made_once(ready, p):
    assert nodes.find_nodes(ready, p) is None
    assert nodes.verify_nodes(ready, p).absent
    assert nodes.ensure_nodes(ready, p)
    found = nodes.find_nodes(ready, p)
    members = found.pop("nodes")
    assert found == nodes.want_nodes(p)
    assert list(members) == [f"{NAME} 1 in eu-central-1a", f"{NAME} 1 in eu-central-1b"]
    assert members[f"{NAME} 1 in eu-central-1b"] == {
        "zone": "eu-central-1b",
        "state": "running",
        "group": "InService",
        "cluster": "registry",
        "systems manager": "Online",
        "capacity provider": PROVIDER,
        "template": "newest",
        "ami": "current",
    }
    report = nodes.verify_nodes(ready.read_only(), p).require()
    assert not any(secret in repr(report) for secret in [*ids(ready, p), "subnet-", "sg-", "lt-"])
    assert not nodes.ensure_nodes(ready.read_only(), p)


@pytest.mark.moto
def test_what_the_api_is_told(ready, p):
    nodes.ensure_nodes(ready, p)
    data = newest(ready)
    assert data["SecurityGroupIds"] == [vpc.group_id(ready, p, NAME)]
    assert data["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }
    assert data["BlockDeviceMappings"][0]["DeviceName"] == "/dev/xvda"
    assert "KeyName" not in data and data["Monitoring"] == {"Enabled": False}
    assert base64.b64decode(data["UserData"]).decode() == nodes.user_data(p)
    made = group(ready)
    assert (made["MinSize"], made["MaxSize"], made["DesiredCapacity"]) == (2, 4, 2)
    assert set(made["VPCZoneIdentifier"].split(",")) == set(vpc.node_subnets(ready, p).values())
    assert made["NewInstancesProtectedFromScaleIn"] and all(i["ProtectedFromScaleIn"] for i in made["Instances"])
    for instance in instances.of_group(ready, p):
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert p.tags.items() <= tags.items() and tags["Name"] == NAME
        assert instance["ImageId"] == launching.current_ami(ready)


@pytest.mark.moto
def test_no_instance_is_launched_before_the_group_has_its_provider(ready, p):
    sizes, real = [], ready.ecs._client.put_cluster_capacity_providers

    def put(**asked):
        sizes.append((group(ready)["MinSize"], group(ready)["DesiredCapacity"], len(instances.of_group(ready, p))))
        return real(**asked)

    ready.ecs._client.put_cluster_capacity_providers = put
    nodes.ensure_nodes(ready, p)
    assert sizes == [(0, 0, 0)] and len(ids(ready, p)) == 2


@pytest.mark.moto
def test_a_node_that_joined_before_the_provider_is_replaced(ready, p, agents):
    nodes.ensure_nodes(ready, p)
    before = ids(ready, p)
    (registered,) = get_backend("ecs")["123456789012"][p.region].container_instances.values()
    stranger = next(item for item in registered.values() if item.ec2_instance_id == before[0])
    stranger.capacity_provider_name = None
    report = nodes.verify_nodes(ready, p)
    assert failed(report) == ["nodes", "zones"] and "not of capacity provider runbook-registry" in report.failures()
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert before[0] not in ids(ready, p) and before[1] in ids(ready, p)


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
        assert len(ids(aws, p)) == 2 == len(instances.registrations(aws, p))

    writes = crash_everywhere(nodes.ensure_nodes, check, prepare)
    for write in ("ec2 CreateLaunchTemplate", "autoscaling CreateAutoScalingGroup", "ecs CreateCapacityProvider"):
        assert writes.count(write) == 1
    assert writes.count("ecs PutClusterCapacityProviders") == 1


@pytest.mark.moto
@pytest.mark.timeout(600)
def test_destroy_killed_anywhere(crash_everywhere, agents):
    def all_made(aws, p):
        prepare(aws, p)
        nodes.ensure_nodes(aws, p)

    def check(aws, p):
        assert nodes.find_nodes(aws, p) is None and not instances.registrations(aws, p) and not ids(aws, p)
        assert not aws.iam.all("list_instance_profiles", "InstanceProfiles")
        assert roles.find_role(aws, p, p.node_role) is None

    assert "autoscaling DeleteAutoScalingGroup" in crash_everywhere(nodes.destroy_nodes, check, all_made)


def _size(aws):
    aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=NAME, MaxSize=9)


def _one_subnet(aws):
    one = group(aws)["VPCZoneIdentifier"].split(",")[0]
    aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=NAME, VPCZoneIdentifier=one)


def _unprotected(aws):
    aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=NAME, NewInstancesProtectedFromScaleIn=False)


def _pinned(aws):
    template = {"LaunchTemplateName": NAME, "Version": "1"}
    aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=NAME, LaunchTemplate=template)


def _health(aws):
    aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=NAME, HealthCheckType="ELB")


def _tag(aws):
    tag = {"ResourceId": NAME, "ResourceType": "auto-scaling-group", "Key": "team", "Value": "x"}
    aws.autoscaling.create_or_update_tags(Tags=[tag | {"PropagateAtLaunch": True}])


def _target(aws):
    settings = {"managedScaling": {"status": "ENABLED", "targetCapacity": 50}}
    aws.ecs.update_capacity_provider(name=PROVIDER, autoScalingGroupProvider=settings)


def _no_scaling(aws):
    settings = {"managedScaling": {"status": "DISABLED"}}
    aws.ecs.update_capacity_provider(name=PROVIDER, autoScalingGroupProvider=settings)


def _termination(aws):
    settings = {"managedTerminationProtection": "DISABLED"}
    aws.ecs.update_capacity_provider(name=PROVIDER, autoScalingGroupProvider=settings)


def _out_of_the_cluster(aws):
    aws.ecs.put_cluster_capacity_providers(cluster="registry", capacityProviders=[], defaultCapacityProviderStrategy=[])


def _no_strategy(aws):
    aws.ecs.put_cluster_capacity_providers(
        cluster="registry", capacityProviders=[PROVIDER], defaultCapacityProviderStrategy=[]
    )


def _role(aws):
    aws.iam.detach_role_policy(RoleName=NAME, PolicyArn=node_role.SSM)


def _profile(aws):
    aws.iam.remove_role_from_instance_profile(InstanceProfileName=NAME, RoleName=NAME)


@pytest.mark.moto
@pytest.mark.parametrize(
    "drift, checks, writes",
    [
        (_size, ["group.size"], ["UpdateAutoScalingGroup"]),
        (_one_subnet, ["group.subnets"], ["UpdateAutoScalingGroup"]),
        (_unprotected, ["group.new instances"], ["UpdateAutoScalingGroup"]),
        (_pinned, ["group.launches"], ["UpdateAutoScalingGroup"]),
        (_health, ["group.health check"], ["UpdateAutoScalingGroup"]),
        (_tag, ["group.tags.team"], ["CreateOrUpdateTags"]),
        (_target, ["capacity provider.managed scaling"], ["UpdateCapacityProvider"]),
        (_no_scaling, ["capacity provider.managed scaling"], ["UpdateCapacityProvider"]),
        (_termination, ["capacity provider.managed termination protection"], ["UpdateCapacityProvider"]),
        (
            _out_of_the_cluster,
            ["capacity provider.of the cluster", "capacity provider.default strategy"],
            ["PutClusterCapacityProviders"],
        ),
        (_no_strategy, ["capacity provider.default strategy"], ["PutClusterCapacityProviders"]),
        (_role, [f"IAM role {NAME} ManagedPolicies"], ["AttachRolePolicy"]),
        (_profile, [f"instance profile {NAME}"], ["AddRoleToInstanceProfile"]),
    ],
)
def test_drift_is_named_and_mended_alone(ready, p, drift, checks, writes):
    nodes.ensure_nodes(ready, p)
    before = ids(ready, p)
    drift(ready)
    assert failed(nodes.verify_nodes(ready, p)) == checks
    made = []
    for service in ("autoscaling", "ecs", "ec2", "iam"):
        getattr(ready, service).meta.events.register("before-call", lambda model, **_: made.append(model.name))
    nodes.ensure_nodes(ready, p)
    assert [name for name in made if not name.startswith(("Describe", "Get", "List"))] == writes
    assert nodes.verify_nodes(ready, p).require()
    assert ids(ready, p) == before


@pytest.mark.moto
def test_a_changed_template_is_brought_to_the_instances_one_by_one(ready, p, agents, monkeypatch):
    nodes.ensure_nodes(ready, p)
    before, fewest = ids(ready, p), []
    real = scaling_nodes._replace

    def replace(aws, p, instance_id):
        fewest.append(len(set(before) & set(ids(aws, p))))
        real(aws, p, instance_id)

    monkeypatch.setattr(scaling_nodes, "_replace", replace)
    p = p.model_copy(update={"instance_type": "t3.large"})
    report = nodes.verify_nodes(ready, p)
    assert failed(report) == ["launch template.type", "templates"]
    assert f"templates: {NAME} 1 in eu-central-1a, {NAME} 1 in eu-central-1b → the newest one" in repr(report.changes)
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert fewest == [2, 1] and not set(ids(ready, p)) & set(before) and len(ids(ready, p)) == 2
    assert {i["InstanceType"] for i in instances.of_group(ready, p) if i["State"]["Name"] == "running"} == {"t3.large"}
    assert set(instances.registrations(ready, p)) == set(ids(ready, p))


@pytest.mark.moto
def test_a_version_that_says_the_same_is_not_older(ready, p):
    nodes.ensure_nodes(ready, p)
    before = ids(ready, p)
    ready.ec2.create_launch_template_version(
        LaunchTemplateName=NAME, LaunchTemplateData=newest(ready) | {"KeyName": "of-somebody"}
    )
    report = nodes.verify_nodes(ready, p)
    assert failed(report) == ["launch template.key pair"] and "of-somebody" in report.failures()
    nodes.ensure_nodes(ready, p)
    assert nodes.verify_nodes(ready, p).require()
    assert ids(ready, p) == before


@pytest.mark.moto
def test_a_template_without_metadata_options_or_volume_is_told(ready, p):
    nodes.ensure_nodes(ready, p)
    bare = {"ImageId": launching.current_ami(ready), "InstanceType": p.instance_type}
    ready.ec2.create_launch_template_version(LaunchTemplateName=NAME, LaunchTemplateData=bare)
    found = launch_template.find(ready, p)
    assert found["metadata"] == "enabled, IMDSv1 too, hop limit 1"
    assert found["root volume"] == "as the image says" and found["groups"] == [] and found["profile"] is None


@pytest.mark.moto
def test_scaling_is_no_drift(ready, p, agents):
    nodes.ensure_nodes(ready, p)
    ready.autoscaling.set_desired_capacity(AutoScalingGroupName=NAME, DesiredCapacity=3)
    assert nodes.verify_nodes(ready, p).require()
    agents()
    assert not nodes.ensure_nodes(ready.read_only(), p)
    assert len(nodes.find_nodes(ready, p)["nodes"]) == 3 == len(running.running_nodes(ready, p))


@pytest.mark.moto
def test_more_nodes_at_least(ready, p, agents):
    nodes.ensure_nodes(ready, p)
    p = p.model_copy(update={"nodes": 3})
    assert failed(nodes.verify_nodes(ready, p)) == ["group.size", "nodes"]
    nodes.ensure_nodes(ready, p)
    assert nodes.verify_nodes(ready, p).require()
    assert group(ready)["DesiredCapacity"] == 3


@pytest.mark.moto
def test_too_few_nodes_and_why(ready, p, agents, monkeypatch):
    agents.joining = False
    monkeypatch.setattr(scaling_nodes, "_JOIN_SECONDS", 0)
    with pytest.raises(TimedOut, match=f"0 of 2 in the cluster; {NAME} 1 in eu-central-1a running, not registered"):
        nodes.ensure_nodes(ready, p)
    agents.joining, agents.online = True, False
    agents()
    with pytest.raises(TimedOut, match="in the cluster, Systems Manager: not registered"):
        nodes.ensure_nodes(ready, p)
    assert failed(nodes.verify_nodes(ready, p)) == ["nodes", "zones"]


@pytest.mark.moto
def test_why_the_group_launches_nothing(ready, p, agents, monkeypatch):
    agents.joining = False
    monkeypatch.setattr(scaling_nodes, "_JOIN_SECONDS", 0)
    activity = {"StatusCode": "Failed", "StatusMessage": "You have requested more vCPU capacity than your limit"}
    monkeypatch.setattr(
        ready.autoscaling, "describe_scaling_activities", lambda **_: {"Activities": [activity]}, raising=False
    )
    with pytest.raises(TimedOut, match="more vCPU capacity than your limit"):
        nodes.ensure_nodes(ready, p)


@pytest.mark.moto
def test_a_node_that_was_drained_by_hand_takes_tasks_again(ready, p, agents):
    nodes.ensure_nodes(ready, p)
    before = ids(ready, p)
    arn = instances.registrations(ready, p)[before[0]]["containerInstanceArn"]
    ready.ecs.update_container_instances_state(cluster="registry", containerInstances=[arn], status="DRAINING")
    assert failed(nodes.verify_nodes(ready, p)) == ["nodes", "draining", "zones"]
    nodes.ensure_nodes(ready, p)
    assert nodes.verify_nodes(ready, p).require() and ids(ready, p) == before


@pytest.mark.moto
def test_nodes_that_share_a_zone_are_spread(ready, p, agents):
    one = p.model_copy(update={"node_subnets": [vpc.node_subnets(ready, p)["eu-central-1c"]]})
    nodes.ensure_nodes(ready, one)
    assert nodes.verify_nodes(ready, one).require(), "one zone is all that these params give"
    assert failed(nodes.verify_nodes(ready, p)) == ["group.subnets", "zones"]
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert len(ids(ready, p)) == 2


@pytest.mark.moto
def test_waits_until_auto_scaling_knows_the_profile(ready, p, monkeypatch):
    message = (
        "You must use a valid fully-formed launch template. Value (registry-asg) for parameter "
        "iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
    )
    refused = AwsError("autoscaling", "CreateAutoScalingGroup", "ValidationError", message)
    answers = _answer(monkeypatch, ready.autoscaling, "create_auto_scaling_group", [refused] * 2)
    nodes.ensure_nodes(ready, p)
    assert not answers and nodes.verify_nodes(ready, p).require()


@pytest.mark.moto
def test_another_refusal_of_the_group_is_not_waited_for(ready, p, agents, monkeypatch):
    refused = AwsError("autoscaling", "CreateAutoScalingGroup", "ValidationError", "The image id does not exist")
    _answer(monkeypatch, ready.autoscaling, "create_auto_scaling_group", [refused])
    with pytest.raises(AwsError, match="image id does not exist"):
        nodes.ensure_nodes(ready, p)
    assert agents.rounds == 0


@pytest.mark.moto
@pytest.mark.parametrize("code", ["ResourceInUseException", "UpdateInProgressException"])
def test_a_busy_cluster_is_waited_for(ready, p, agents, monkeypatch, code):
    busy = AwsError("ecs", "op", code, "busy")
    answers = _answer(monkeypatch, ready.ecs, "put_cluster_capacity_providers", [busy])
    answers += _answer(monkeypatch, ready.ecs, "delete_capacity_provider", [busy])
    nodes.ensure_nodes(ready, p)
    assert nodes.verify_nodes(ready, p).require()
    assert nodes.destroy_nodes(ready, p)
    assert nodes.find_nodes(ready, p) is None


@pytest.mark.moto
def test_a_busy_group_is_waited_for(ready, p, agents, monkeypatch):
    nodes.ensure_nodes(ready, p)
    busy = AwsError("autoscaling", "op", "ScalingActivityInProgress", "busy")
    answers = _answer(monkeypatch, ready.autoscaling, "delete_auto_scaling_group", [busy])
    replaced = _answer(monkeypatch, ready.autoscaling, "terminate_instance_in_auto_scaling_group", [busy])
    p = p.model_copy(update={"instance_type": "t3.large"})
    nodes.ensure_nodes(ready, p)
    assert not replaced and nodes.verify_nodes(ready, p).require()
    assert nodes.destroy_nodes(ready, p) and not answers and not ids(ready, p)


def _answer(monkeypatch, client, operation, errors):
    """The first calls of an operation answer with these errors, the later ones really."""
    real, left = getattr(client, operation), list(errors)

    def call(**parameters):
        if left:
            raise left.pop(0)
        return real(**parameters)

    monkeypatch.setattr(client, operation, call, raising=False)
    return left


@pytest.mark.moto
def test_a_group_that_was_deleted_by_hand_gets_a_provider_of_its_own(ready, p, agents):
    """A capacity provider keeps the ARN of its group, and a group of the same name has another one."""
    nodes.ensure_nodes(ready, p)
    ready.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=NAME, ForceDelete=True)
    agents()
    assert "capacity provider.group" in failed(nodes.verify_nodes(ready, p))
    nodes.ensure_nodes(ready, p)
    agents()
    assert nodes.verify_nodes(ready, p).require()
    assert len(ids(ready, p)) == 2 == len(instances.registrations(ready, p))


@pytest.mark.moto
def test_a_group_that_is_being_deleted_is_waited_for(ready, p, agents, monkeypatch):
    nodes.ensure_nodes(ready, p)
    real, left = ready.autoscaling.all, ["Delete in progress"] * 4

    def all_groups(operation, key, **asked):
        found = real(operation, key, **asked)
        if operation == "describe_auto_scaling_groups" and left and found:
            found = [found[0] | {"Status": left.pop()}]
            if not left:
                ready.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=NAME, ForceDelete=True)
        return found

    monkeypatch.setattr(ready.autoscaling, "all", all_groups, raising=False)
    assert nodes.find_nodes(ready, p)["group"] is None
    nodes.ensure_nodes(ready, p)
    agents()
    assert not left and nodes.verify_nodes(ready, p).require()


@pytest.mark.moto
@pytest.mark.parametrize(
    "thing", ["instance profile", "IAM role", "launch template", "Auto Scaling group", "capacity provider"]
)
def test_foreign_things_are_left_alone(ready, p, thing):
    name = PROVIDER if thing == "capacity provider" else NAME
    if thing == "IAM role":
        ready.iam.create_role(RoleName=NAME, AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}')
    elif thing == "instance profile":
        ready.iam.create_instance_profile(InstanceProfileName=NAME)
    else:
        image = {"ImageId": launching.current_ami(ready), "InstanceType": "t3.small"}
        template = NAME if thing == "launch template" else "theirs"
        ready.ec2.create_launch_template(LaunchTemplateName=template, LaunchTemplateData=image)
        theirs = NAME if thing == "Auto Scaling group" else "theirs"
        subnet = next(iter(vpc.node_subnets(ready, p).values()))
        request = {"AutoScalingGroupName": theirs, "MinSize": 0, "MaxSize": 1, "VPCZoneIdentifier": subnet}
        ready.autoscaling.create_auto_scaling_group(**request, LaunchTemplate={"LaunchTemplateName": template})
        if thing == "capacity provider":
            arn = ready.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"][0]["AutoScalingGroupARN"]
            ready.ecs.create_capacity_provider(name=PROVIDER, autoScalingGroupProvider={"autoScalingGroupArn": arn})
    for verb in (nodes.ensure_nodes, nodes.destroy_nodes):
        with pytest.raises(NotOurs, match=f"{thing} {name}"):
            verb(ready, p)
    assert not ids(ready, p)


@pytest.mark.moto
def test_instances_of_others_are_not_seen(ready, p):
    """The tag of the group is AWS's own: nobody else can set it."""
    image = launching.current_ami(ready)
    tags = [{"Key": k, "Value": v} for k, v in {"Name": NAME, **p.tags}.items()]
    spec = [{"ResourceType": "instance", "Tags": tags}]
    ready.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=spec)
    assert nodes.find_nodes(ready, p) is None and not running.running_nodes(ready, p)
    assert not nodes.destroy_nodes(ready.read_only(), p)


@pytest.mark.moto
def test_port_22_open_to_the_world(ready, p):
    nodes.ensure_nodes(ready, p)
    rule = {"IpProtocol": "tcp", "FromPort": 20, "ToPort": 30, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    used = {group["GroupId"] for i in instances.of_group(ready, p) for group in i["SecurityGroups"]}
    ready.ec2.authorize_security_group_ingress(GroupId=used.pop(), IpPermissions=[rule])
    assert failed(nodes.verify_nodes(ready, p)) == ["port 22"]


@pytest.mark.moto
def test_running_nodes_have_a_name_each(ready, p, agents):
    p = p.model_copy(update={"nodes": 4})
    nodes.ensure_nodes(ready, p)
    found = running.running_nodes(ready, p)
    assert [node.name for node in found] == [
        f"{NAME} 1 in eu-central-1a",
        f"{NAME} 1 in eu-central-1b",
        f"{NAME} 1 in eu-central-1c",
        f"{NAME} 2 in eu-central-1a",
    ]
    assert {node.id for node in found} == set(ids(ready, p)) and found[0].tags["team"] == "platform"


@pytest.mark.moto
def test_destroy_leaves_nothing(ready, p):
    nodes.ensure_nodes(ready, p)
    done = repr(nodes.destroy_nodes(ready, p))
    for thing in (f"capacity provider {PROVIDER}", f"Auto Scaling group {NAME}", f"launch template {NAME}"):
        assert f"- {thing}: destroyed" in done
    assert nodes.find_nodes(ready, p) is None and not instances.registrations(ready, p)
    assert ready.ecs.describe_clusters(clusters=["registry"])["clusters"][0]["capacityProviders"] == []
    assert not ready.ec2.all("describe_volumes", "Volumes")
    assert not ready.ec2.all("describe_launch_templates", "LaunchTemplates")
    assert not ready.iam.all("list_instance_profiles", "InstanceProfiles")
    assert roles.find_role(ready, p, NAME) is None
    assert not nodes.destroy_nodes(ready.read_only(), p)
    assert cluster.destroy_cluster(ready, p) and network.destroy_groups(ready, p)

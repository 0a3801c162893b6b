"""EC2 instances as nodes: their address, their user data, and their registration with ECS."""

import threading

import boto3
import pytest
from moto import mock_aws
from moto.ec2.models import EC2Backend
from moto.ec2.responses.instances import InstanceResponse

from runbook.local import nodes
from runbook.local.inside import ec2

pytestmark = pytest.mark.embedded


def test_an_instance_is_not_seen_before_it_has_its_profile(account, monkeypatch):
    monkeypatch.setattr(InstanceResponse, "run_instances", InstanceResponse.run_instances)  # put back after the test
    plain, seen = EC2Backend.associate_iam_instance_profile, []

    def look():
        seen.extend(ec2.role(each.region, each.id) for each in ec2.instances())

    def associate(self, *args, **kwargs):
        looking.start()
        looking.join(0.3)  # without a lock it would have looked by then
        return plain(self, *args, **kwargs)

    looking = threading.Thread(target=look)
    monkeypatch.setattr(EC2Backend, "associate_iam_instance_profile", associate)
    with mock_aws():
        ec2.install()
        ec2.install()
        iam = boto3.client("iam")
        iam.create_role(RoleName="node", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="node")
        iam.add_role_to_instance_profile(InstanceProfileName="node", RoleName="node")
        boto3.client("ec2", region_name="eu-central-1").run_instances(
            ImageId="ami-12c6146b", MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "node"}
        )
        looking.join()
    assert [role.name for role in seen] == ["node"]


def registered(cloud, cluster: str) -> list[dict]:
    ecs = cloud.client("ecs")
    arns = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    if not arns:
        return []
    return ecs.describe_container_instances(cluster=cluster, containerInstances=arns)["containerInstances"]


def joining(cluster: str) -> str:
    return f"#!/bin/bash\necho ECS_CLUSTER={cluster} >> /etc/ecs/ecs.config\n"


def test_user_data_runs_and_the_node_joins_its_cluster(cloud):
    cluster = cloud.cluster()
    instance = cloud.member(cluster)
    (found,) = registered(cloud, cluster)
    assert found["ec2InstanceId"] == instance
    assert found["agentConnected"] is True
    assert found["status"] == "ACTIVE"
    described = cloud.client("ecs").describe_clusters(clusters=[cluster])["clusters"][0]
    assert described["registeredContainerInstancesCount"] == 1
    cloud.terminate(instance)


@pytest.mark.parametrize(("kind", "cpu", "mib"), [("t3.small", 2048, 2048), ("m5.xlarge", 4096, 16384)])
def test_the_resources_are_those_of_the_instance_type(cloud, kind, cpu, mib):
    cluster = cloud.cluster()
    instance = cloud.instance(joining(cluster), cloud.profile(cloud.ec2_policy), kind)
    (found,) = cloud.until(lambda: registered(cloud, cluster))
    for which in ("registeredResources", "remainingResources"):
        amounts = {each["name"]: each["integerValue"] for each in found[which]}
        assert amounts["CPU"] == cpu
        assert 0.9 * mib < amounts["MEMORY"] < mib
    cloud.terminate(instance)


def test_the_private_address_is_the_nodes_own_on_loopback(cloud):
    first, second = cloud.instance(), cloud.instance()
    addresses = []
    for instance in (first, second):
        reservations = cloud.client("ec2").describe_instances(InstanceIds=[instance])["Reservations"]
        address = reservations[0]["Instances"][0]["PrivateIpAddress"]
        assert address == cloud.node(instance)["address"]
        assert address.startswith(cloud.running.endpoint.removeprefix("http://").rpartition(".0.1:")[0] + ".1.")
        addresses.append(address)
    assert addresses[0] != addresses[1]
    cloud.terminate(first)
    third = cloud.instance()
    assert cloud.node(third)["address"] == addresses[0]
    cloud.terminate(second, third)


def test_user_data_runs_as_root_and_its_output_is_kept(cloud):
    instance = cloud.instance("#!/bin/bash\nset -e\nid -un\npwd\nmkdir /home/ec2-user/auth\nfalse\necho no\n")
    log = cloud.root(instance) / nodes.USER_DATA_OUTPUT
    cloud.until(lambda: cloud.node(instance)["state"] == "running")
    assert log.read_text() == "root\n/\n"
    assert (cloud.root(instance) / "home/ec2-user/auth").is_dir()
    cloud.terminate(instance)


def test_user_data_that_is_no_script_is_not_run_and_says_so(cloud):
    instance = cloud.instance("#cloud-config\nruncmd: [touch /opt/x]\n")
    assert "only a script" in (cloud.root(instance) / nodes.USER_DATA_OUTPUT).read_text()
    assert not (cloud.root(instance) / "opt/x").exists()
    cloud.terminate(instance)


def test_without_a_role_that_may_it_does_not_register(cloud):
    cluster = cloud.cluster()
    without = cloud.instance(joining(cluster))
    too_little = cloud.instance(joining(cluster), cloud.profile(cloud.ssm_policy))
    # One that may, started after them, tells when they would have registered.
    member = cloud.member(cluster)
    assert [each["ec2InstanceId"] for each in registered(cloud, cluster)] == [member]
    cloud.terminate(without, too_little, member)


def test_a_cluster_that_comes_later_is_joined(cloud):
    cluster = "later-" + cloud.cluster()
    instance = cloud.instance(joining(cluster), cloud.profile(cloud.ec2_policy))
    cloud.until(lambda: cloud.node(instance)["state"] == "running")
    assert cloud.node(instance)["cluster"] is None
    cloud.client("ecs").create_cluster(clusterName=cluster)
    cloud.until(lambda: cloud.node(instance)["cluster"] == cluster)
    cloud.terminate(instance)


def test_terminate_takes_the_node_its_files_and_its_registration_away(cloud):
    cluster = cloud.cluster()
    instance = cloud.member(cluster)
    assert cloud.root(instance).is_dir()
    cloud.client("ec2").terminate_instances(InstanceIds=[instance])
    cloud.until(lambda: cloud.node(instance) is None)
    cloud.until(lambda: not cloud.root(instance).parent.exists())
    assert registered(cloud, cluster) == []
    described = cloud.client("ecs").describe_clusters(clusters=[cluster])["clusters"][0]
    assert described["registeredContainerInstancesCount"] == 0


def test_terminate_ends_user_data_that_still_runs(cloud):
    instance = cloud.instance("#!/bin/bash\nexec sleep 601\n")
    cloud.until(lambda: any("sleep 601" in words for words in cloud.processes().values()))
    cloud.terminate(instance)
    cloud.until(lambda: not any("sleep 601" in words for words in cloud.processes().values()))


def test_stop_disconnects_it_and_start_brings_it_back_with_its_files(cloud):
    cluster, ec2 = cloud.cluster(), cloud.client("ec2")
    instance = cloud.member(cluster)
    (cloud.root(instance) / "root/kept").write_text("x")
    ec2.stop_instances(InstanceIds=[instance])
    cloud.until(lambda: cloud.node(instance)["state"] == "stopped")
    assert registered(cloud, cluster)[0]["agentConnected"] is False
    ec2.start_instances(InstanceIds=[instance])
    cloud.until(lambda: cloud.node(instance)["state"] == "running")
    assert registered(cloud, cluster)[0]["agentConnected"] is True
    assert (cloud.root(instance) / "root/kept").exists()
    config = (cloud.root(instance) / "etc/ecs/ecs.config").read_text()
    assert config.count("ECS_CLUSTER") == 1, "user data ran twice"
    cloud.terminate(instance)


def test_what_is_deregistered_through_the_api_stays_so_until_it_starts_again(cloud):
    cluster, ecs, ec2 = cloud.cluster(), cloud.client("ecs"), cloud.client("ec2")
    instance = cloud.member(cluster)
    arn = registered(cloud, cluster)[0]["containerInstanceArn"]
    ecs.deregister_container_instance(cluster=cluster, containerInstance=arn, force=True)
    cloud.until(lambda: cloud.node(instance)["cluster"] is None)
    ec2.stop_instances(InstanceIds=[instance])
    cloud.until(lambda: cloud.node(instance)["state"] == "stopped")
    ec2.start_instances(InstanceIds=[instance])
    cloud.until(lambda: cloud.node(instance)["cluster"] == cluster)
    assert registered(cloud, cluster)[0]["containerInstanceArn"] != arn
    cloud.terminate(instance)


@pytest.mark.parametrize(
    ("text", "cluster"),
    [("", None), ("ECS_CLUSTER=a\n", "a"), ("ECS_CLUSTER=a\n ECS_CLUSTER=b \nECS_LOGLEVEL=info", "b")],
)
def test_the_agents_configuration_is_read_as_the_agent_does(tmp_path, text, cluster):
    (tmp_path / "etc/ecs").mkdir(parents=True)
    (tmp_path / "etc/ecs/ecs.config").write_text(text)
    assert nodes.configured_cluster(tmp_path) == cluster

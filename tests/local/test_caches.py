"""ElastiCache in the embedded cloud: what the API says of a cache is what a real redis-server does."""

import os
import re
import signal
import socket
import ssl
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from .refusals import refused

pytestmark = pytest.mark.embedded


class Redis:
    """A client of one cache, that finds it as a container does: by the name in /etc/hosts."""

    def __init__(self, cloud, endpoint, token=None, tls=False):
        group = next(each for each in cloud.status()["caches"] if endpoint["Address"].find(each["group"]) >= 0)
        address, port = group["address"].split(":")
        assert int(port) == endpoint["Port"]
        self.channel = socket.create_connection((address, int(port)), 5)
        if tls:
            trust = ssl.create_default_context(cafile=cloud.running.ca)
            self.channel = trust.wrap_socket(self.channel, server_hostname=endpoint["Address"])
        if token:
            assert self("AUTH", token) == "+OK"

    def __call__(self, *words):
        parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        self.channel.sendall(f"*{len(words)}\r\n{parts}".encode())
        return self.channel.recv(65536).decode().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()


@pytest.fixture(scope="module")
def network(cloud):
    """(subnet group, security group) that the caches of this module use."""
    ec2, name = cloud.client("ec2"), f"c-{uuid.uuid4().hex[:12]}"
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    group = ec2.create_security_group(GroupName=name, Description="of a cache")["GroupId"]
    cloud.client("elasticache").create_cache_subnet_group(
        CacheSubnetGroupName=name,
        CacheSubnetGroupDescription="of a cache",
        SubnetIds=[each["SubnetId"] for each in subnets],
    )
    return name, group


@pytest.fixture
def make(cloud, network):
    """`make(**more)` creates a replication group and says its name; all are deleted after the test."""
    client, names = cloud.client("elasticache"), []

    def make(**more):
        name = f"c-{uuid.uuid4().hex[:12]}"
        client.create_replication_group(
            ReplicationGroupId=name,
            ReplicationGroupDescription="of a test",
            CacheNodeType="cache.t4g.micro",
            CacheSubnetGroupName=network[0],
            SecurityGroupIds=[network[1]],
            **more,
        )
        names.append(name)
        return name

    yield make
    for name in names:
        delete(cloud, name)


def found(cloud, name):
    return cloud.client("elasticache").describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]


def available(cloud, name):
    return cloud.until(lambda: found(cloud, name)["Status"] == "available" and found(cloud, name))


def primary(group):
    return group["NodeGroups"][0]["PrimaryEndpoint"]


def delete(cloud, name):
    available(cloud, name)
    cloud.client("elasticache").delete_replication_group(ReplicationGroupId=name)
    cloud.until(lambda: gone(cloud, name))
    assert name not in {each["group"] for each in cloud.status()["caches"]}


def gone(cloud, name):
    try:
        return not found(cloud, name)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ReplicationGroupNotFoundFault"
        return True


def server(cloud, name):
    """The process id of the group's redis-server."""
    return next(pid for pid, words in cloud.processes().items() if "redis-server" in words and serves(pid, name))


def serves(pid, name):
    return any(name in os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir())


def test_it_is_made_serves_and_goes(cloud, network, make):
    client, family = cloud.client("elasticache"), {"CacheParameterGroupFamily": "redis7", "Description": "of a test"}
    group = f"g-{uuid.uuid4().hex[:12]}"
    tags = [{"Key": "runbook:deployment", "Value": "x"}]
    client.create_cache_parameter_group(CacheParameterGroupName=group, Tags=tags, **family)
    policy = [{"ParameterName": "maxmemory-policy", "ParameterValue": "allkeys-lru"}]
    client.modify_cache_parameter_group(CacheParameterGroupName=group, ParameterNameValues=policy)
    changed = client.describe_cache_parameters(CacheParameterGroupName=group, Source="user")["Parameters"]
    assert [(each["ParameterName"], each["ParameterValue"]) for each in changed] == [
        ("maxmemory-policy", "allkeys-lru")
    ]
    (shown,) = client.describe_cache_parameter_groups(CacheParameterGroupName=group)["CacheParameterGroups"]
    assert client.list_tags_for_resource(ResourceName=shown["ARN"])["TagList"] == tags

    name = make(Engine="redis", EngineVersion="7.1", CacheParameterGroupName=group, Tags=tags, NumCacheClusters=1)
    first = found(cloud, name)
    assert first["Status"] in ("creating", "available")
    ready = available(cloud, name)
    endpoint = primary(ready)
    assert re.fullmatch(rf"{name}\.[0-9a-f]{{6}}\.ng\.0001\.euc1\.cache\.amazonaws\.com", endpoint["Address"])
    assert (ready["TransitEncryptionEnabled"], ready["AuthTokenEnabled"], ready["MemberClusters"]) == (
        False,
        False,
        [f"{name}-001"],
    )
    assert client.list_tags_for_resource(ResourceName=ready["ARN"])["TagList"] == tags
    (member,) = client.describe_cache_clusters(CacheClusterId=f"{name}-001", ShowCacheNodeInfo=True)["CacheClusters"]
    assert (member["EngineVersion"], member["CacheParameterGroup"]["CacheParameterGroupName"]) == ("7.1.0", group)
    assert (member["CacheSubnetGroupName"], member["SecurityGroups"][0]["SecurityGroupId"]) == network
    with Redis(cloud, endpoint) as redis:
        assert redis("SET", "a", "b") == "+OK"
        memory = redis("INFO", "memory")
        assert "maxmemory_policy:allkeys-lru" in memory
        assert f"maxmemory:{536870912 * 3 // 4}" in memory
        assert redis("CONFIG", "GET", "*").startswith("-ERR unknown command")

    refused("InvalidCacheParameterGroupState", client.delete_cache_parameter_group, CacheParameterGroupName=group)
    refused("CacheSubnetGroupInUse", client.delete_cache_subnet_group, CacheSubnetGroupName=network[0])
    refused("DependencyViolation", cloud.client("ec2").delete_security_group, GroupId=network[1])
    client.modify_replication_group(
        ReplicationGroupId=name, CacheParameterGroupName="default.redis7", SnapshotRetentionLimit=1
    )
    cloud.until(lambda: "maxmemory_policy:volatile-lru" in asked(cloud, available(cloud, name)))
    assert found(cloud, name)["SnapshotRetentionLimit"] == 1
    client.delete_cache_parameter_group(CacheParameterGroupName=group)
    refused("CacheParameterGroupNotFound", client.describe_cache_parameters, CacheParameterGroupName=group)


def asked(cloud, group):
    with Redis(cloud, primary(group)) as redis:
        return redis("INFO", "memory")


def test_over_tls_with_a_token(cloud, make):
    token = uuid.uuid4().hex
    name = make(Engine="valkey", TransitEncryptionEnabled=True, AtRestEncryptionEnabled=True, AuthToken=token)
    ready = available(cloud, name)
    endpoint = primary(ready)
    assert re.fullmatch(rf"master\.{name}\.[0-9a-f]{{6}}\.euc1\.cache\.amazonaws\.com", endpoint["Address"])
    assert (ready["Engine"], ready["AtRestEncryptionEnabled"], ready["TransitEncryptionMode"]) == (
        "valkey",
        True,
        "required",
    )
    with Redis(cloud, endpoint, tls=True) as redis:
        assert redis("GET", "a").startswith("-NOAUTH")
    with Redis(cloud, endpoint, token, tls=True) as redis:
        assert redis("SET", "a", "b") == "+OK"
    with pytest.raises((OSError, AssertionError)), Redis(cloud, endpoint) as redis:
        assert redis("PING") == "+PONG"
    assert token not in str(cloud.processes()) and token not in (cloud.home / "cloud.log").read_text()
    (config,) = cloud.home.glob(f"data/caches/*/{name}/redis.conf")
    assert (config.stat().st_mode & 0o777, config.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_server_that_dies_is_not_available_and_starts_again_empty(cloud, make):
    name = make()
    endpoint, pid = primary(available(cloud, name)), server(cloud, name)
    with Redis(cloud, endpoint) as redis:
        redis("SET", "a", "b")
        os.kill(pid, signal.SIGSTOP)
        os.kill(pid, signal.SIGKILL)
    cloud.until(lambda: found(cloud, name)["Status"] == "modifying")
    available(cloud, name)
    assert server(cloud, name) != pid
    with Redis(cloud, endpoint) as redis:
        assert redis("GET", "a") == "$-1"


def test_a_port_in_use_is_said_in_the_status(cloud, make):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 (a listener on every address is what is to be met; it says nothing)
        taken.listen()
        port = taken.getsockname()[1]
        name = make(Port=port)
        status = lambda: next((each for each in cloud.status()["caches"] if each["group"] == name), {})  # noqa: E731
        said = cloud.until(lambda: status().get("error"))
        address = status()["address"].partition(":")[0]
        assert said == f"port {port} of {address} is in use: stop what listens there"
        assert (status()["answers"], found(cloud, name)["Status"]) == (False, "creating")
        client = cloud.client("elasticache")  # which deletes no group that is being made or changed
        refused("InvalidReplicationGroupState", client.delete_replication_group, ReplicationGroupId=name)
    available(cloud, name)
    assert status()["error"] is None


def test_what_elasticache_refuses(cloud, network, make):
    client = cloud.client("elasticache")
    right = {
        "ReplicationGroupId": "a",
        "ReplicationGroupDescription": "a",
        "CacheNodeType": "cache.t4g.micro",
        "CacheSubnetGroupName": network[0],
    }
    for code, wrong in (
        ("InvalidParameterValue", {"ReplicationGroupId": "1a"}),
        ("InvalidParameterValue", {"ReplicationGroupId": "a--b"}),
        ("InvalidParameterValue", {"ReplicationGroupId": "a" * 41}),
        ("InvalidParameterValue", {"CacheNodeType": "cache.no.such"}),
        ("InvalidParameterValue", {"Engine": "memcached"}),
        ("InvalidParameterValue", {"EngineVersion": "5.0"}),
        ("InvalidParameterValue", {"SecurityGroupIds": ["sg-0123456789abcdef0"]}),
        ("InvalidParameterValue", {"TransitEncryptionEnabled": True, "AuthToken": "short"}),
        ("InvalidParameterValue", {"TransitEncryptionEnabled": True, "AuthToken": "with an @ and a blank"}),
        ("InvalidParameterCombination", {"AuthToken": "a" * 16}),
        ("InvalidParameterCombination", {"AutomaticFailoverEnabled": True}),
        ("InvalidParameterCombination", {"MultiAZEnabled": True}),
        ("InvalidParameterCombination", {"NumCacheClusters": 2}),
        ("InvalidParameterCombination", {"ReplicasPerNodeGroup": 1}),
        ("InvalidParameterCombination", {"CacheParameterGroupName": "default.valkey8"}),
        ("CacheParameterGroupNotFound", {"CacheParameterGroupName": "absent"}),
        ("CacheSubnetGroupNotFoundFault", {"CacheSubnetGroupName": "absent"}),
    ):
        refused(code, client.create_replication_group, **right | wrong)
    name = make()
    refused("ReplicationGroupAlreadyExists", client.create_replication_group, **right | {"ReplicationGroupId": name})
    available(cloud, name)
    client.modify_replication_group(ReplicationGroupId=name, CacheNodeType="cache.t4g.small", ApplyImmediately=True)
    cloud.until(lambda: f"maxmemory:{1471026299 * 3 // 4}" in asked(cloud, available(cloud, name)))


def test_what_is_refused_of_parameter_and_subnet_groups(cloud):
    client = cloud.client("elasticache")
    made = {"CacheParameterGroupName": f"g-{uuid.uuid4().hex[:12]}", "Description": "a"}
    refused("InvalidParameterValue", client.create_cache_parameter_group, CacheParameterGroupFamily="redis9", **made)
    client.create_cache_parameter_group(CacheParameterGroupFamily="valkey8", **made)
    refused(
        "CacheParameterGroupAlreadyExists", client.create_cache_parameter_group,
        CacheParameterGroupFamily="valkey8", **made,
    )  # fmt: skip
    name = {"CacheParameterGroupName": made["CacheParameterGroupName"]}
    for wrong in (("maxmemory-policy", "some"), ("timeout", "5"), ("no-such", "1")):
        values = [dict(zip(("ParameterName", "ParameterValue"), wrong, strict=True))]
        refused("InvalidParameterValue", client.modify_cache_parameter_group, ParameterNameValues=values, **name)
    client.delete_cache_parameter_group(**name)
    refused("CacheParameterGroupNotFound", client.delete_cache_parameter_group, **name)
    refused("InvalidParameterValue", client.delete_cache_parameter_group, CacheParameterGroupName="default.redis7")
    subnets = {
        "CacheSubnetGroupName": "a",
        "CacheSubnetGroupDescription": "a",
        "SubnetIds": ["subnet-0123456789abcdef0"],
    }
    refused("InvalidSubnet", client.create_cache_subnet_group, **subnets)
    refused("CacheSubnetGroupNotFoundFault", client.delete_cache_subnet_group, CacheSubnetGroupName="absent")


def test_the_subnets_of_a_group_change_save_for_the_one_that_is_used(cloud, network, make):
    client, name = cloud.client("elasticache"), network[0]
    make()
    (found,) = client.describe_cache_subnet_groups(CacheSubnetGroupName=name)["CacheSubnetGroups"]
    used, *others = [each["SubnetIdentifier"] for each in found["Subnets"]]
    refused("SubnetInUse", client.modify_cache_subnet_group, CacheSubnetGroupName=name, SubnetIds=others)
    for wanted in ([used], [used, *others]):
        client.modify_cache_subnet_group(CacheSubnetGroupName=name, SubnetIds=wanted)
        (found,) = client.describe_cache_subnet_groups(CacheSubnetGroupName=name)["CacheSubnetGroups"]
        assert sorted(each["SubnetIdentifier"] for each in found["Subnets"]) == sorted(wanted)
    refused(
        "CacheSubnetGroupNotFoundFault",
        client.modify_cache_subnet_group,
        CacheSubnetGroupName="absent",
        SubnetIds=[used],
    )

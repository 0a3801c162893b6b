"""The shared cache: made once, waited for, changed where it can be, else replaced, and taken away."""

from types import SimpleNamespace

import pytest

import runbook
from runbook import cache, elasticache, vpc
from runbook.errors import NotOurs, StepFailed, TimedOut
from runbook.local.inside import elasticache as inside
from runbook.local.inside import elasticache_api

pytestmark = pytest.mark.moto


def params(**changes):
    given = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **changes}
    return runbook.load({**runbook.load("production").model_dump(), **given})


@pytest.fixture
def p():
    return params()


@pytest.fixture(autouse=True)
def caches(monkeypatch, unmended):
    """moto with the embedded cloud's mending; its servers come and go while the step naps. Gives the naps."""
    elasticache_api.install()
    naps = []

    def nap(seconds):
        naps.append(seconds)
        for group in inside.groups("eu-central-1"):
            if group.status == "deleting":
                inside.gone("eu-central-1", group.name)
            else:
                group.status = "available"

    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: sum(naps), sleep=nap))
    return naps


def tags(p):
    return [{"Key": key, "Value": value} for key, value in p.tags.items()]


def make_group(aws, p, name, tags):
    specification = {"ResourceType": "security-group", "Tags": tags}
    given = {"GroupName": name, "Description": "cache", "VpcId": vpc.vpc_id(aws, p)}
    return aws.ec2.create_security_group(**given, TagSpecifications=[specification])["GroupId"]


def earlier(aws, p):
    make_group(aws, p, p.cache_name, tags(p))


@pytest.fixture
def ready(aws, p):
    earlier(aws, p)
    return aws


def changed(aws):
    """The writes from here on."""
    writes = []

    def note(model, **_):
        if not model.name.startswith(("Describe", "List", "Get")):
            writes.append(model.name)

    aws.elasticache._client.meta.events.register("before-call", note)
    return writes


def left(aws):
    """What is there of caches: replication groups, parameter groups but AWS's own, subnet groups."""
    parameters = aws.elasticache.all("describe_cache_parameter_groups", "CacheParameterGroups")
    return [
        *[
            each["ReplicationGroupId"]
            for each in aws.elasticache.all("describe_replication_groups", "ReplicationGroups")
        ],
        *[n for each in parameters if not (n := each["CacheParameterGroupName"]).startswith("default.")],
        *[
            each["CacheSubnetGroupName"]
            for each in aws.elasticache.all("describe_cache_subnet_groups", "CacheSubnetGroups")
        ],
    ]


@pytest.mark.pure
def test_want():
    assert cache.want_cache(params(cache_node_type="cache.t4g.small", extra_tags={})) == {
        "ReplicationGroupId": "registry-cache",
        "Engine": "valkey",
        "EngineVersion": "8",
        "CacheNodeType": "cache.t4g.small",
        "Nodes": 1,
        "AutomaticFailover": "disabled",
        "TransitEncryptionEnabled": True,
        "AtRestEncryptionEnabled": True,
        "AutoMinorVersionUpgrade": True,
        "SnapshotRetentionLimit": 0,
        "SecurityGroups": ["registry-cache"],
        "ParameterGroup": "registry-cache",
        "ParameterGroupFamily": "valkey8",
        "Parameters": {"maxmemory-policy": "allkeys-lru"},
        "SubnetGroup": "registry-cache",
        "Subnets": "those of the nodes",
        "Status": "available",
        "Endpoint": "there",
    }


@pytest.mark.pure
def test_version_2_speaks_no_tls_with_it():
    with_2 = params(image="registry:2.8.3", cloud="embedded", credentials="instance-role")
    assert cache.want_cache(with_2)["TransitEncryptionEnabled"] is False


def test_with_the_cache_in_memory_there_is_nothing_to_do(aws):
    p = params(cache="memory")
    assert cache.want_cache(p) == {"Cache": "in each registry's memory: nothing to set up"}
    reader = aws.read_only()
    assert cache.verify_cache(reader, p).require()
    assert repr(cache.ensure_cache(reader, p)) == "= cache: unchanged"
    assert repr(cache.destroy_cache(reader, p)) == "= cache: absent"


def test_from_nothing_then_nothing_to_write(ready, p, caches):
    assert repr(cache.ensure_cache(ready, p)) == "+ cache registry-cache: created"
    assert caches, "it is waited for"
    assert not cache.ensure_cache(ready.read_only(), p)
    report = cache.verify_cache(ready.read_only(), p).require()
    host, _, port = elasticache.endpoint(elasticache.describe(ready, p)).partition(":")
    assert host.startswith("master.registry-cache.") and port == "6379"
    assert host not in repr(report)
    answer = ready.elasticache.describe_cache_subnet_groups(CacheSubnetGroupName="registry-cache")
    subnets = {each["SubnetIdentifier"] for each in answer["CacheSubnetGroups"][0]["Subnets"]}
    assert subnets == set(vpc.node_subnets(ready, p).values())
    arns = [ready.elasticache.describe_replication_groups()["ReplicationGroups"][0]["ARN"]]
    arns += [answer["CacheSubnetGroups"][0]["ARN"]]
    named = {"CacheParameterGroupName": "registry-cache"}
    arns += [ready.elasticache.describe_cache_parameter_groups(**named)["CacheParameterGroups"][0]["ARN"]]
    for arn in arns:
        assert ready.elasticache.list_tags_for_resource(ResourceName=arn)["TagList"] == tags(p)


def test_a_kill_anywhere_is_completed(crash_everywhere):
    def check(aws, p):
        assert cache.verify_cache(aws, p).require()
        assert left(aws) == ["registry-cache"] * 3

    writes = crash_everywhere(cache.ensure_cache, check, prepare=earlier)
    assert [write.rpartition(" ")[2] for write in writes] == [
        "CreateCacheParameterGroup",
        "ModifyCacheParameterGroup",
        "CreateCacheSubnetGroup",
        "CreateReplicationGroup",
    ]


def _modify(**changes):
    def drift(aws, p):
        aws.elasticache.modify_replication_group(ReplicationGroupId=p.cache_name, ApplyImmediately=True, **changes)

    return drift


def _security_group(aws, p):
    other = make_group(aws, p, "another", [{"Key": "another", "Value": "one"}])
    _modify(SecurityGroupIds=[other])(aws, p)


def _policy(aws, p):
    pair = {"ParameterName": "maxmemory-policy", "ParameterValue": "noeviction"}
    aws.elasticache.modify_cache_parameter_group(CacheParameterGroupName=p.cache_name, ParameterNameValues=[pair])


@pytest.mark.parametrize(
    ("drift", "says", "mended_by"),
    [
        (_modify(CacheNodeType="cache.t4g.small"), "wanted cache.t4g.micro, found cache.t4g.small",
         "ModifyReplicationGroup"),
        (_modify(AutoMinorVersionUpgrade=False), "AutoMinorVersionUpgrade: wanted true", "ModifyReplicationGroup"),
        (_modify(SnapshotRetentionLimit=3), "SnapshotRetentionLimit: wanted 0, found 3", "ModifyReplicationGroup"),
        (_modify(CacheParameterGroupName="default.valkey8"), "ParameterGroup: wanted registry-cache, found default.",
         "ModifyReplicationGroup"),
        (_security_group, 'SecurityGroups: wanted ["registry-cache"], found ["another"]', "ModifyReplicationGroup"),
        (_policy, "Parameters.maxmemory-policy: wanted allkeys-lru, found noeviction", "ModifyCacheParameterGroup"),
    ],
)  # fmt: skip
def test_drift_is_named_and_mended_alone(ready, p, drift, says, mended_by):
    cache.ensure_cache(ready, p)
    drift(ready, p)
    assert says in cache.verify_cache(ready, p).failures()
    writes = changed(ready)
    assert repr(cache.ensure_cache(ready, p)).startswith("~ cache registry-cache: changed")
    assert writes == [mended_by]
    assert cache.verify_cache(ready, p).require()
    assert not cache.ensure_cache(ready.read_only(), p)


def test_what_cannot_be_changed_is_replaced(ready):
    without_tls = params(image="registry:2.8.3", cloud="embedded", credentials="instance-role")
    cache.ensure_cache(ready, without_tls)
    before, p = elasticache.endpoint(elasticache.describe(ready, without_tls)), params()
    assert "TransitEncryptionEnabled: wanted true, found false" in cache.verify_cache(ready, p).failures()
    writes = changed(ready)
    assert repr(cache.ensure_cache(ready, p)).startswith("~ cache registry-cache: changed")
    assert writes[0] == "DeleteReplicationGroup" and writes[-1] == "CreateReplicationGroup"
    assert elasticache.endpoint(elasticache.describe(ready, p)) != before
    assert cache.verify_cache(ready, p).require()


def test_other_subnets_are_told_and_changed_in_place(ready, p, monkeypatch):
    zones = vpc.node_subnets(ready, p)
    with monkeypatch.context() as patch:
        patch.setattr(vpc, "node_subnets", lambda aws, p: dict(list(zones.items())[:1]))
        cache.ensure_cache(ready, p)
    assert "Subnets: wanted those of the nodes, found other subnets" in cache.verify_cache(ready, p).failures()
    writes = changed(ready)
    cache.ensure_cache(ready, p)
    assert cache.verify_cache(ready, p).require()
    assert writes == ["ModifyCacheSubnetGroup"]


def test_a_cache_that_stands_in_a_subnet_of_others_is_replaced(ready, p, monkeypatch):
    zones = list(vpc.node_subnets(ready, p).items())
    with monkeypatch.context() as patch:
        patch.setattr(vpc, "node_subnets", lambda aws, p: dict(zones[:1]))
        cache.ensure_cache(ready, p)
    made = inside.groups(p.region)[0].created
    monkeypatch.setattr(vpc, "node_subnets", lambda aws, p: dict(zones[1:]))
    cache.ensure_cache(ready, p)
    assert cache.verify_cache(ready, p).require()
    assert inside.groups(p.region)[0].created > made


def test_one_that_is_being_made_is_waited_for_and_not_made_twice(ready, p, monkeypatch, caches):
    stuck = SimpleNamespace(monotonic=lambda: sum(caches), sleep=lambda _: caches.append(300))
    with monkeypatch.context() as patch:
        patch.setattr("runbook.wait.time", stuck)
        with pytest.raises(TimedOut, match="Status: wanted available, found creating"):
            cache.ensure_cache(ready, p)
    failed = cache.verify_cache(ready, p).failures()
    assert (
        "Status: wanted available, found creating" in failed and "Endpoint: wanted there, found not there yet" in failed
    )
    writes = changed(ready)
    cache.ensure_cache(ready, p)
    assert writes == [] and cache.verify_cache(ready, p).require()


def test_one_that_could_not_be_created_is_told(ready, p):
    cache.ensure_cache(ready, p)
    inside.groups(p.region)[0].status = "create-failed"

    def failed(parsed, **_):
        parsed["ReplicationGroups"][0]["Status"] = "create-failed"

    ready.elasticache._client.meta.events.register("after-call.elasticache.DescribeReplicationGroups", failed)
    for verb in (cache.ensure_cache, cache.destroy_cache):
        with pytest.raises(StepFailed, match="could not be created; see its events in ElastiCache"):
            verb(ready, p)


def test_without_the_security_group_the_notebook_is_named(aws, p):
    with pytest.raises(StepFailed, match="the security group registry-cache, .* run notebook 02_create_a_task"):
        cache.ensure_cache(aws, p)
    assert left(aws) == []


def _their_cache(aws, p):
    given = {"Engine": "valkey", "EngineVersion": "8.0", "CacheNodeType": "cache.t4g.micro"}
    aws.elasticache.create_replication_group(
        ReplicationGroupId="registry-cache", ReplicationGroupDescription="theirs", **given
    )
    inside.groups("eu-central-1")[0].status = "available"


def _their_parameters(aws, p):
    given = {"CacheParameterGroupFamily": "valkey8", "Description": "theirs"}
    aws.elasticache.create_cache_parameter_group(CacheParameterGroupName="registry-cache", **given)


def _their_subnets(aws, p):
    given = {"CacheSubnetGroupDescription": "theirs", "SubnetIds": list(vpc.balancer_subnets(aws, p).values())}
    aws.elasticache.create_cache_subnet_group(CacheSubnetGroupName="registry-cache", **given)


@pytest.mark.parametrize("make", [_their_cache, _their_parameters, _their_subnets])
def test_what_carries_the_name_without_our_tag_is_left_alone(ready, p, make):
    make(ready, p)
    writes = changed(ready)
    for verb in (cache.find_cache, cache.ensure_cache, cache.verify_cache, cache.destroy_cache):
        with pytest.raises(NotOurs, match="registry-cache"):
            verb(ready, p)
    assert writes == [] and left(ready) == ["registry-cache"]


def test_destroy_leaves_nothing_and_can_be_repeated(ready, p):
    cache.ensure_cache(ready, p)
    writes = changed(ready)
    assert repr(cache.destroy_cache(ready, p)) == "- cache registry-cache: destroyed"
    assert writes == ["DeleteReplicationGroup", "DeleteCacheParameterGroup", "DeleteCacheSubnetGroup"]
    assert left(ready) == []
    assert repr(cache.destroy_cache(ready.read_only(), p)) == "= cache registry-cache: absent"
    assert cache.verify_cache(ready, p).absent


def test_one_that_is_just_going_away_is_waited_for(ready, p):
    cache.ensure_cache(ready, p)
    ready.elasticache.delete_replication_group(ReplicationGroupId=p.cache_name)
    assert "Status: wanted available, found deleting" in cache.verify_cache(ready, p).failures()
    cache.ensure_cache(ready, p)
    assert cache.verify_cache(ready, p).require()

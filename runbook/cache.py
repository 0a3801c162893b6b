"""The shared cache of blob descriptors: one ElastiCache node for all registries, in reach of the nodes alone.

It is Valkey, which AWS prices below Redis and which speaks the same protocol. It has one node and no copy: what it
holds can be read from S3 again, and a registry that cannot reach it goes on with S3. So a cache that cannot be changed
into the wanted one is replaced.
"""

from . import cache_groups, config, elasticache, lease, tags, vpc
from .errors import AwsError, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS
from .wait import wait

# Minor versions come by themselves (AutoMinorVersionUpgrade); registries need no command newer than Redis 2.
_VERSION = "8.0"
_SETTLES_WITHIN = 1800  # seconds; five to ten minutes as a rule
# What ModifyReplicationGroup takes, and under which name. The rest is fixed when a cache is created; TLS too could be
# switched in place, in two steps that each take as long as a new cache:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/in-transit-encryption-enable.html
_CHANGEABLE = {
    "CacheNodeType": "CacheNodeType",
    "AutoMinorVersionUpgrade": "AutoMinorVersionUpgrade",
    "SnapshotRetentionLimit": "SnapshotRetentionLimit",
    "SecurityGroups": "SecurityGroupIds",
    "ParameterGroup": "CacheParameterGroupName",
}
_OF_GROUPS = ("Parameters", "Subnets", "GroupTags")


def want_cache(p: Params) -> Document:
    """The cache in AWS's own words, ids replaced by names; or in words that each registry has its own."""
    if p.cache == "memory":
        return Document(Cache="in each registry's memory: nothing to set up")
    return Document(
        ReplicationGroupId=p.cache_name,
        Engine="valkey",
        EngineVersion=_major(_VERSION),
        CacheNodeType=p.cache_node_type,
        Nodes=1,
        AutomaticFailover="disabled",
        TransitEncryptionEnabled=config.cache_tls(p),
        AtRestEncryptionEnabled=True,
        AutoMinorVersionUpgrade=True,
        SnapshotRetentionLimit=0,
        SecurityGroups=[p.cache_name],
        **cache_groups.want(p),
        Status="available",
        Endpoint="there",
        **tags.want(p),
    )


def find_cache(aws: AWS, p: Params) -> Document | None:
    """The same of what is. None without the replication group, even where its parameter or subnet group is there."""
    if p.cache == "memory":
        return want_cache(p)
    groups, found = cache_groups.find(aws, p), elasticache.describe(aws, p)
    if found is None:
        return None
    member = _member(aws, found)
    return Document(
        ReplicationGroupId=p.cache_name,
        Engine=member.get("Engine"),
        EngineVersion=_major(member.get("EngineVersion")),
        CacheNodeType=found.get("CacheNodeType"),
        Nodes=len(found["MemberClusters"]),
        AutomaticFailover=found["AutomaticFailover"],
        TransitEncryptionEnabled=found.get("TransitEncryptionEnabled", False),
        AtRestEncryptionEnabled=found.get("AtRestEncryptionEnabled", False),
        AutoMinorVersionUpgrade=member.get("AutoMinorVersionUpgrade"),
        SnapshotRetentionLimit=found.get("SnapshotRetentionLimit", 0),
        SecurityGroups=vpc.group_names(aws, p, [each["SecurityGroupId"] for each in member.get("SecurityGroups", [])]),
        **cache_groups.attached(groups, member),
        Status=found["Status"],
        Endpoint="there" if elasticache.endpoint(found) else "not there yet",
        **(tags.found(p, found["Tags"]) if "Tags" in found else tags.want(p)),
    )


@lease.exclusive
def ensure_cache(aws: AWS, p: Params) -> Changes:
    """Create the cache, change what differs, or replace it; then wait until it is available."""
    title, wanted = _title(p), want_cache(p)
    report = compare(title, wanted, find_cache(aws, p))
    if report:
        return report.changes.done
    group = vpc.group_id(aws, p, p.cache_name)
    if group is None:
        raise StepFailed(
            f"{title} needs the security group {p.cache_name}, which is not there; "
            "run notebook 02_create_a_task_definition from its start"
        )
    _settle(aws, p)
    found = find_cache(aws, p)
    if found is not None and _must_be_replaced(wanted, found):
        _destroy(aws, p)
        found = None
    try:
        cache_groups.ensure(aws, p)
    except AwsError as error:
        if error.code != "SubnetInUse":
            raise
        _destroy(aws, p)
        found = None
        cache_groups.ensure(aws, p)
    if found and tags.differ(p, found):
        arn = elasticache.describe(aws, p)["ARN"]
        aws.elasticache.add_tags_to_resource(ResourceName=arn, Tags=tags.pairs(p.extra_tags))
    if found is None:
        _create(aws, p, group)
    elif changes := _changes(wanted, found, group):
        name = {"ReplicationGroupId": p.cache_name, "ApplyImmediately": True}
        for key, value in changes.items():  # a cache that is being changed takes no other change
            aws.elasticache.modify_replication_group(**name, **{key: value})
            _settle(aws, p)
    wait(title, lambda: _as_wanted(aws, p), timeout=_SETTLES_WITHIN, every=3)
    return report.changes.done


def verify_cache(aws: AWS, p: Params) -> Report:
    """Wanted against found, and that it has an endpoint."""
    return compare(_title(p), want_cache(p), find_cache(aws, p))


@lease.exclusive
def destroy_cache(aws: AWS, p: Params) -> Changes:
    """Delete the cache, wait until it is gone, then what it was made from."""
    if p.cache == "memory":
        return destroyed(_title(p), False)
    return destroyed(_title(p), _destroy(aws, p))


def _title(p: Params) -> str:
    return "cache" if p.cache == "memory" else f"cache {p.cache_name}"


def _major(version: str | None) -> str | None:
    return version.partition(".")[0] if version else None


def _member(aws: AWS, group: dict) -> dict:
    """Its one node, which alone tells the version and the groups; {} while it is being made."""
    for name in group["MemberClusters"]:
        found = aws.elasticache.find("describe_cache_clusters", {"CacheClusterNotFound"}, CacheClusterId=name)
        if found:
            return found["CacheClusters"][0]
    return {}


def _must_be_replaced(wanted: Document, found: Document) -> bool:
    mended = (*_CHANGEABLE, *_OF_GROUPS, "Status", "Endpoint", "Tags")
    return not compare("", {key: value for key, value in wanted.items() if key not in mended}, found)


def _changes(wanted: Document, found: Document, group: str) -> dict:
    differing = {_CHANGEABLE[key]: wanted[key] for key in _CHANGEABLE if found[key] != wanted[key]}
    return differing | ({"SecurityGroupIds": [group]} if "SecurityGroupIds" in differing else {})


def _create(aws: AWS, p: Params, group: str) -> None:
    aws.elasticache.create_replication_group(
        ReplicationGroupId=p.cache_name,
        ReplicationGroupDescription=f"{p.name}: blob descriptors of all registries",
        Engine="valkey",
        EngineVersion=_VERSION,
        CacheNodeType=p.cache_node_type,
        NumCacheClusters=1,
        AutomaticFailoverEnabled=False,
        CacheParameterGroupName=p.cache_name,
        CacheSubnetGroupName=p.cache_name,
        SecurityGroupIds=[group],
        AtRestEncryptionEnabled=True,
        TransitEncryptionEnabled=config.cache_tls(p),
        AutoMinorVersionUpgrade=True,
        SnapshotRetentionLimit=0,
        Tags=tags.pairs(p.tags),
    )


def _settle(aws: AWS, p: Params) -> None:
    """Until it is available, or gone, whatever it is doing: in between it takes no call."""

    def look():
        found = elasticache.describe(aws, p)
        status = found["Status"] if found else "absent"
        if status == "create-failed":
            raise StepFailed(_failed(p))
        return (True if status in ("available", "absent") else None), status

    if look()[0] is None:
        wait(_title(p), look, timeout=_SETTLES_WITHIN, every=3)


def _as_wanted(aws: AWS, p: Params) -> tuple[bool | None, str]:
    found = find_cache(aws, p)
    if found and found["Status"] == "create-failed":
        raise StepFailed(_failed(p))
    report = compare("", want_cache(p), found)
    return (True if report else None), "; ".join(str(check) for check in report.checks if not check.ok) or "available"


def _failed(p: Params) -> str:
    return f"{_title(p)} could not be created; see its events in ElastiCache, delete it there and run this again"


def _destroy(aws: AWS, p: Params) -> bool:
    _settle(aws, p)
    found = elasticache.describe(aws, p)
    if found:
        wait(_title(p), lambda: _deleted(aws, p), timeout=_SETTLES_WITHIN, every=3)
    return cache_groups.destroy(aws, p) or bool(found)


def _deleted(aws: AWS, p: Params) -> tuple[bool | None, str]:
    found = elasticache.describe(aws, p)
    if found is None:
        return True, "absent"
    if found["Status"] == "available":
        try:
            aws.elasticache.find("delete_replication_group", elasticache.ABSENT, ReplicationGroupId=p.cache_name)
        except AwsError as error:
            if error.code not in elasticache.BUSY:
                raise
    return None, "deleting"

"""The cache that the registry's configuration names, where it is one of ElastiCache's of this region."""

from collections.abc import Iterator

from ..finding import Finding
from .deployment import Deployment, redis
from .rules import found


def caches(d: Deployment) -> dict[str, dict]:
    """By its name; an address that is nobody's here has no description."""
    hosts = [str(each).rpartition(":")[0] or str(each) for each in redis(d.environment)["addrs"]]
    return {f"cache {_name(known) if known else host}": known for host, known in ((h, _known(d, h)) for h in hosts)}


def looked_at(d: Deployment, where: str, cache: dict) -> Iterator[Finding]:
    if not cache:
        yield found("cache-unknown", where, address=where.removeprefix("cache "))
        return
    if not cache.get("AtRestEncryptionEnabled"):
        yield found("cache-plain", where)
    if d.major == 2:
        yield found("cache-tls-2" if cache.get("TransitEncryptionEnabled") else "cache-no-tls-2", where)
    elif not cache.get("TransitEncryptionEnabled"):
        yield found("cache-no-tls", where)
    if not cache.get("SnapshotRetentionLimit"):
        yield found("cache-no-backups", where)
    if not cache.get("AuthTokenEnabled"):
        yield found("cache-no-token", where)
    if cache.get("AutomaticFailover", "disabled") == "disabled":
        yield found("cache-one-node", where)


def member(d: Deployment, where: str, cache: dict) -> Iterator[Finding]:
    """What a replication group tells of its members alone."""
    if not cache:
        return
    name = cache["MemberClusters"][0] if cache.get("MemberClusters") else cache.get("CacheClusterId")
    if name is None:
        return
    one = d.aws.elasticache.describe_cache_clusters(CacheClusterId=name)["CacheClusters"][0]
    if not one.get("AutoMinorVersionUpgrade"):
        yield found("cache-minor", where)
    if group := one.get("CacheParameterGroup"):
        name = group["CacheParameterGroupName"]
        told = d.aws.elasticache.all("describe_cache_parameters", "Parameters", CacheParameterGroupName=name)
        policy = {each["ParameterName"]: each.get("ParameterValue") for each in told}.get("maxmemory-policy")
        if policy != "allkeys-lru":
            yield found("cache-eviction", where, policy=policy)


def _known(d: Deployment, host: str) -> dict | None:
    groups = d.once(("groups",), lambda: d.aws.elasticache.all("describe_replication_groups", "ReplicationGroups"))
    for each in groups:
        ends = [node.get("PrimaryEndpoint") for node in each.get("NodeGroups", [])]
        if host in [end["Address"] for end in (*ends, each.get("ConfigurationEndpoint")) if end]:
            return each
    operation, shown = "describe_cache_clusters", {"ShowCacheNodeInfo": True}
    for each in d.once(("clusters",), lambda: d.aws.elasticache.all(operation, "CacheClusters", **shown)):
        ends = [node.get("Endpoint") for node in each.get("CacheNodes", [])]
        if host in [end["Address"] for end in ends if end]:
            return each
    return None


def _name(cache: dict) -> str:
    return cache.get("ReplicationGroupId") or cache["CacheClusterId"]


CHECKS = (looked_at, member)

"""What ElastiCache refuses."""

import re

from ..inside import account, elasticache
from ..inside.cache_parameters import FAMILIES, NODE_TYPES, TABLE, fits
from ..inside.dispatch import Refused

NAME = re.compile(r"[A-Za-z](-?[A-Za-z0-9])*")
LONGEST_GROUP, LONGEST = 40, 255
AUTH_TOKEN = re.compile(r"""[!-~]{16,128}""")
# What a cache of one node needs; anything else that a call asks for is not done here.
CREATED = set(
    "ReplicationGroupId ReplicationGroupDescription AutomaticFailoverEnabled MultiAZEnabled NumCacheClusters "
    "CacheNodeType Engine EngineVersion CacheParameterGroupName CacheSubnetGroupName SecurityGroupIds Tags "
    "PreferredMaintenanceWindow Port AutoMinorVersionUpgrade SnapshotRetentionLimit AuthToken "
    "TransitEncryptionEnabled AtRestEncryptionEnabled KmsKeyId ClusterMode NetworkType IpDiscovery".split()
)
MODIFIED = set(
    "ReplicationGroupId ReplicationGroupDescription AutomaticFailoverEnabled MultiAZEnabled SecurityGroupIds "
    "CacheParameterGroupName ApplyImmediately Engine EngineVersion AutoMinorVersionUpgrade SnapshotRetentionLimit "
    "CacheNodeType".split()
)


def create_replication_group(params: dict, region: str) -> None:
    """CreateReplicationGroup: names, node type, versions, what does not go together, what must be there."""
    _name(params["ReplicationGroupId"], "ReplicationGroupId", LONGEST_GROUP)
    _not_done(params, CREATED)
    if (params.get("NumCacheClusters") or 1) != 1 or params.get("ClusterMode", "disabled") != "disabled":
        raise _combination("The embedded cloud runs caches of one node: NumCacheClusters 1, ClusterMode disabled.")
    _failover(params)
    if not params.get("CacheNodeType"):
        raise _value("The parameter CacheNodeType must be provided and must not be blank.")
    _node_type(params["CacheNodeType"])
    engine = params.get("Engine", "redis").lower()
    if engine not in FAMILIES:
        raise _value(f"Invalid Cache Engine: {engine}")
    version = params.get("EngineVersion") or next(iter(FAMILIES[engine]))
    _version(engine, version)
    _parameter_group(params.get("CacheParameterGroupName"), FAMILIES[engine][version], region)
    subnets = params.get("CacheSubnetGroupName")
    if subnets and not elasticache.subnet_group_exists(region, subnets):
        raise Refused("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {subnets} does not exist.")
    _security_groups(params, region)
    if params.get("AuthToken") is not None:
        if not params.get("TransitEncryptionEnabled"):
            raise _combination("The AUTH token is only supported when encryption-in-transit is enabled.")
        if not AUTH_TOKEN.fullmatch(params["AuthToken"]) or set('/"@') & set(params["AuthToken"]):
            raise _value('Invalid AuthToken provided. It must be 16 to 128 printable characters other than / " @')


def modify_replication_group(params: dict, region: str) -> None:
    """ModifyReplicationGroup: as for a new one; the engine's family must stay that of its parameter group."""
    _not_done(params, MODIFIED)
    _failover(params)
    _security_groups(params, region)
    if params.get("CacheNodeType"):
        _node_type(params["CacheNodeType"])
    found = [each for each in elasticache.groups(region) if each.name == params["ReplicationGroupId"].lower()]
    if found:
        engine, version = found[0].engine, params.get("EngineVersion") or found[0].version
        if params.get("Engine", engine) != engine:
            raise _combination("The embedded cloud does not change a cache's engine.")
        _version(engine, version)
        wanted = params.get("CacheParameterGroupName") or found[0].parameter_group
        _parameter_group(wanted, FAMILIES[engine][version], region)


def create_parameter_group(params: dict, region: str) -> None:
    """CreateCacheParameterGroup: name and family."""
    _name(params["CacheParameterGroupName"], "CacheParameterGroupName", LONGEST)
    families = {name for versions in FAMILIES.values() for name in versions.values()}
    if params["CacheParameterGroupFamily"] not in families:
        raise _value(f"CacheParameterGroupFamily {params['CacheParameterGroupFamily']} is not a valid family.")


def modify_parameter_group(params: dict, region: str) -> None:
    """ModifyCacheParameterGroup: known parameters with values that they allow; not of a default group."""
    if params["CacheParameterGroupName"].startswith("default."):
        raise _value("The parameter group is a default one and cannot be modified.")
    for each in params["ParameterNameValues"]:
        name, value = each.get("ParameterName"), each.get("ParameterValue", "")
        if name not in TABLE:
            raise _value(f"Could not find parameter {name}")
        if not fits(name, value):
            raise _value(f"The value {value} is not valid for the parameter {name}. Allowed: {TABLE[name][1]}")


def delete_parameter_group(params: dict, region: str) -> None:
    """DeleteCacheParameterGroup: not a default one."""
    if params["CacheParameterGroupName"].startswith("default."):
        raise _value("The parameter group is a default one and cannot be deleted.")


def create_subnet_group(params: dict, region: str) -> None:
    """CreateCacheSubnetGroup: a name; subnets that exist."""
    _name(params["CacheSubnetGroupName"], "CacheSubnetGroupName", LONGEST)
    for subnet in params["SubnetIds"]:
        if not account.subnet_exists(region, subnet):
            raise Refused("InvalidSubnet", f"The subnet ID '{subnet}' does not exist.")


def _name(name: str, key: str, longest: int) -> None:
    if len(name) > longest or not NAME.fullmatch(name):
        raise _value(
            f"The parameter {key} must be provided and must not be blank. It begins with a letter, has only ASCII "
            f"letters, digits and hyphens, at most {longest}, does not end with a hyphen or have two in a row."
        )


def _not_done(params: dict, known: set[str]) -> None:
    asked = sorted(key for key, value in params.items() if value not in (None, [], "") and key not in known)
    if asked:
        raise _combination(f"The embedded cloud does not do {', '.join(asked)}.")


def _failover(params: dict) -> None:
    if params.get("AutomaticFailoverEnabled") or params.get("MultiAZEnabled"):
        raise _combination("Replication groups with automatic failover enabled must have at least one replica.")


def _node_type(name: str) -> None:
    if name not in NODE_TYPES:
        raise _value(f"Invalid Cache Node Type: {name}. The embedded cloud has {', '.join(sorted(NODE_TYPES))}.")


def _version(engine: str, version: str) -> None:
    if version not in FAMILIES[engine]:
        raise _value(f"Cannot find version {version} for {engine}")


def _parameter_group(name: str | None, wanted: str, region: str) -> None:
    if not name:
        return
    family = elasticache.family(region, name.lower())
    if family is None:
        raise Refused("CacheParameterGroupNotFound", f"CacheParameterGroup {name} not found.", 404)
    if family != wanted:
        raise _combination(f"Expected a parameter group of family {wanted} but found one of family {family}")


def _security_groups(params: dict, region: str) -> None:
    if any(account.group(region, each) is None for each in params.get("SecurityGroupIds") or []):
        raise _value("Some security group Ids do not exist")


def _value(message: str) -> Refused:
    return Refused("InvalidParameterValue", message)


def _combination(message: str) -> Refused:
    return Refused("InvalidParameterCombination", message)


RULES = {
    ("elasticache", "CreateReplicationGroup"): create_replication_group,
    ("elasticache", "ModifyReplicationGroup"): modify_replication_group,
    ("elasticache", "CreateCacheParameterGroup"): create_parameter_group,
    ("elasticache", "ModifyCacheParameterGroup"): modify_parameter_group,
    ("elasticache", "DeleteCacheParameterGroup"): delete_parameter_group,
    ("elasticache", "CreateCacheSubnetGroup"): create_subnet_group,
}

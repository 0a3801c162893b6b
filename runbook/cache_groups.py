"""What the cache is made from: its parameters (what it forgets first) and the subnets that it stands in."""

from . import tags, vpc
from .errors import AwsError, NotOurs
from .params import Params
from .session import AWS
from .wait import wait

FAMILY = "valkey8"
# A cache that is full forgets what was not asked for the longest; ElastiCache's own default, volatile-lru, would
# refuse new entries, as the registry's have no end: https://distribution.github.io/distribution/about/configuration/
_PARAMETERS = {"maxmemory-policy": "allkeys-lru"}
_SUBNETS = "those of the nodes"
_PARAMETERS_ABSENT, _SUBNETS_ABSENT = {"CacheParameterGroupNotFound"}, {"CacheSubnetGroupNotFoundFault"}
_KINDS = ("parameter group", "subnet group")
_IN_USE = {"InvalidCacheParameterGroupState", "CacheSubnetGroupInUse"}


def want(p: Params) -> dict:
    return {
        "ParameterGroup": p.cache_name,
        "ParameterGroupFamily": FAMILY,
        "Parameters": dict(_PARAMETERS),
        "SubnetGroup": p.cache_name,
        "Subnets": _SUBNETS,
        **({"GroupTags": {kind: tags.want(p) for kind in _KINDS}} if p.extra_tags else {}),
    }


def find(aws: AWS, p: Params) -> dict:
    """Family, parameters and subnets of the two groups of our name; None for what is not there."""
    parameters, subnets = _parameter_group(aws, p), _subnet_group(aws, p)
    ids = {each["SubnetIdentifier"] for each in subnets["Subnets"]} if subnets else set()
    right = ids == set(vpc.node_subnets(aws, p).values())
    return {
        "ParameterGroupFamily": parameters["CacheParameterGroupFamily"] if parameters else None,
        "Parameters": _values(aws, p) if parameters else {},
        "Subnets": _SUBNETS if right else "other subnets" if subnets else None,
        **(_group_tags(p, parameters, subnets) if p.extra_tags else {}),
    }


def _group_tags(p: Params, *groups: dict | None) -> dict:
    """Of a group that is not there nothing is told: it will be made with its tags."""
    told = [tags.found(p, group["Tags"]) if group else tags.want(p) for group in groups]
    return {"GroupTags": dict(zip(_KINDS, told, strict=True))}


def attached(groups: dict, member: dict) -> dict:
    """The same of a cache's node, with the groups that it really uses."""
    return groups | {
        "ParameterGroup": member.get("CacheParameterGroup", {}).get("CacheParameterGroupName"),
        "SubnetGroup": member.get("CacheSubnetGroupName"),
    }


def ensure(aws: AWS, p: Params) -> None:
    """Create what is missing, and set the parameters that differ. NotOurs when a group does not carry our tag."""
    name, given = p.cache_name, tags.pairs(p.tags)
    if _parameter_group(aws, p) is None:
        aws.elasticache.create_cache_parameter_group(
            CacheParameterGroupName=name,
            CacheParameterGroupFamily=FAMILY,
            Description=f"{p.name}: the registries' cache",
            Tags=given,
        )
    found = _values(aws, p)
    if differing := {key: value for key, value in _PARAMETERS.items() if found.get(key) != value}:
        pairs = [{"ParameterName": key, "ParameterValue": value} for key, value in differing.items()]
        aws.elasticache.modify_cache_parameter_group(CacheParameterGroupName=name, ParameterNameValues=pairs)
    subnets = list(vpc.node_subnets(aws, p).values())
    if (group := _subnet_group(aws, p)) is None:
        aws.elasticache.create_cache_subnet_group(
            CacheSubnetGroupName=name,
            CacheSubnetGroupDescription=f"{p.name}: the nodes' subnets",
            SubnetIds=subnets,
            Tags=given,
        )
    elif {each["SubnetIdentifier"] for each in group["Subnets"]} != set(subnets):
        aws.elasticache.modify_cache_subnet_group(CacheSubnetGroupName=name, SubnetIds=subnets)
    for group in (_parameter_group(aws, p), _subnet_group(aws, p)):
        if group and tags.differ(p, tags.found(p, group["Tags"])):
            aws.elasticache.add_tags_to_resource(ResourceName=group["ARN"], Tags=tags.pairs(p.extra_tags))


def destroy(aws: AWS, p: Params) -> bool:
    """Delete both, after the cache that used them; gives whether one was there."""
    parameters, subnets = _parameter_group(aws, p), _subnet_group(aws, p)
    if parameters:
        _delete(aws, p, "delete_cache_parameter_group", _PARAMETERS_ABSENT, CacheParameterGroupName=p.cache_name)
    if subnets:
        _delete(aws, p, "delete_cache_subnet_group", _SUBNETS_ABSENT, CacheSubnetGroupName=p.cache_name)
    return bool(parameters or subnets)


def _parameter_group(aws: AWS, p: Params) -> dict | None:
    name = {"CacheParameterGroupName": p.cache_name}
    found = aws.elasticache.find("describe_cache_parameter_groups", _PARAMETERS_ABSENT, **name)
    return _ours(aws, p, "parameter group", found["CacheParameterGroups"]) if found else None


def _subnet_group(aws: AWS, p: Params) -> dict | None:
    name = {"CacheSubnetGroupName": p.cache_name}
    found = aws.elasticache.find("describe_cache_subnet_groups", _SUBNETS_ABSENT, **name)
    return _ours(aws, p, "subnet group", found["CacheSubnetGroups"]) if found else None


def _ours(aws: AWS, p: Params, what: str, found: list[dict]) -> dict | None:
    if not found:
        return None
    seen = aws.elasticache.list_tags_for_resource(ResourceName=found[0]["ARN"])["TagList"]
    if {"Key": "runbook:deployment", "Value": p.name} not in seen:
        raise NotOurs(f"ElastiCache {what} {p.cache_name}", p)
    return found[0] | {"Tags": seen}


def _values(aws: AWS, p: Params) -> dict[str, str]:
    found = aws.elasticache.all("describe_cache_parameters", "Parameters", CacheParameterGroupName=p.cache_name)
    return {each["ParameterName"]: each.get("ParameterValue") for each in found if each["ParameterName"] in _PARAMETERS}


def _delete(aws: AWS, p: Params, operation: str, absent: set[str], **name: str) -> None:
    def look():
        try:
            aws.elasticache.find(operation, absent, **name)
        except AwsError as error:
            if error.code not in _IN_USE:
                raise
            return None, "still used by the cache"
        return True, "deleted"

    wait(f"cache {p.cache_name}", look, timeout=300, every=3)

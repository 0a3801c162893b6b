"""The shared cache, as ElastiCache tells it to those who connect to it."""

from .errors import NotOurs
from .params import Params
from .session import AWS

_ABSENT = {"ReplicationGroupNotFoundFault"}


def endpoint(aws: AWS, p: Params) -> str | None:
    """ "host:port" of the cache's primary node; None while there is none yet. NotOurs without our tag.

    ElastiCache tells the tags of a cache that is available, of another one it may refuse to.
    """
    answer = aws.elasticache.find("describe_replication_groups", _ABSENT, ReplicationGroupId=p.cache_name)
    if answer is None:
        return None
    [group] = answer["ReplicationGroups"]
    if group["Status"] == "deleting":
        return None
    if group["Status"] == "available":
        tags = aws.elasticache.list_tags_for_resource(ResourceName=group["ARN"])["TagList"]
        if {"Key": "runbook:deployment", "Value": p.name} not in tags:
            raise NotOurs(f"ElastiCache replication group {p.cache_name}", p)
    primary = next((node.get("PrimaryEndpoint") for node in group.get("NodeGroups", [])), None)
    return f"{primary['Address']}:{primary['Port']}" if primary else None

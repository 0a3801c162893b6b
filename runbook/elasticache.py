"""The shared cache, as ElastiCache tells it to those who connect to it."""

from .params import Params
from .session import AWS

_ABSENT = {"ReplicationGroupNotFoundFault"}


def endpoint(aws: AWS, p: Params) -> str | None:
    """ "host:port" of the cache's primary node; None while there is none yet."""
    answer = aws.elasticache.find("describe_replication_groups", _ABSENT, ReplicationGroupId=p.cache_name)
    if answer is None:
        return None
    [group] = answer["ReplicationGroups"]
    primary = next((node.get("PrimaryEndpoint") for node in group.get("NodeGroups", [])), None)
    return f"{primary['Address']}:{primary['Port']}" if primary else None

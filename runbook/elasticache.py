"""The replication group that is the shared cache: as ElastiCache describes it, and where the registries reach it."""

from .errors import NotOurs
from .params import Params
from .session import AWS

ABSENT = {"ReplicationGroupNotFoundFault"}
BUSY = {"InvalidReplicationGroupState"}  # it is being changed, or deleted


def describe(aws: AWS, p: Params) -> dict | None:
    """As DescribeReplicationGroups tells it, and its Tags. NotOurs without our tag, told of an available cache only:
    https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_ListTagsForResource.html
    """
    answer = aws.elasticache.find("describe_replication_groups", ABSENT, ReplicationGroupId=p.cache_name)
    if not answer or not answer["ReplicationGroups"]:
        return None
    found = answer["ReplicationGroups"][0]
    if found["Status"] == "available":
        found["Tags"] = aws.elasticache.list_tags_for_resource(ResourceName=found["ARN"])["TagList"]
        if {"Key": "runbook:deployment", "Value": p.name} not in found["Tags"]:
            raise NotOurs(f"cache {p.cache_name}", p)
    return found


def endpoint(group: dict | None) -> str | None:
    """ "host:port" of the described group's primary node; None while there is none yet, or none any more."""
    if group is None or group["Status"] == "deleting":
        return None
    primary = next((node.get("PrimaryEndpoint") for node in group.get("NodeGroups", [])), None)
    return f"{primary['Address']}:{primary['Port']}" if primary else None

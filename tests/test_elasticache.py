"""The address of the shared cache."""

import pytest

from runbook import elasticache
from runbook.errors import NotOurs

pytestmark = pytest.mark.moto


def make(aws, p, tags):
    asked = {"ReplicationGroupDescription": "test", "CacheNodeType": p.cache_node_type, "Engine": "redis"}
    tags = [{"Key": k, "Value": v} for k, v in tags.items()]
    aws.elasticache.create_replication_group(ReplicationGroupId=p.cache_name, Tags=tags, **asked)


def test_absent_there_and_going(aws, p):
    assert elasticache.endpoint(elasticache.describe(aws, p)) is None
    make(aws, p, p.tags)
    address, _, port = elasticache.endpoint(elasticache.describe(aws, p)).partition(":")
    assert "registry-cache" in address and port == "6379"
    aws.elasticache.delete_replication_group(ReplicationGroupId=p.cache_name)
    assert elasticache.endpoint(elasticache.describe(aws, p)) is None


def test_a_cache_that_is_being_made_has_no_address_yet(aws, p):
    make(aws, p, p.tags)

    def creating(parsed, **_):
        parsed["ReplicationGroups"][0] |= {"Status": "creating", "NodeGroups": []}

    aws.elasticache._client.meta.events.register("after-call.elasticache.DescribeReplicationGroups", creating)
    assert elasticache.endpoint(elasticache.describe(aws, p)) is None


def test_a_foreign_cache_is_not_used(aws, p):
    make(aws, p, {"runbook:deployment": "another"})
    with pytest.raises(NotOurs, match="cache registry-cache"):
        elasticache.endpoint(elasticache.describe(aws, p))

"""The log group, alone."""

import pytest

from runbook import log_group

pytestmark = pytest.mark.moto


def test_made_once_mended_and_destroyed(aws, p):
    assert log_group.find_log_group(aws, p) is None
    assert repr(log_group.ensure_log_group(aws, p)) == "+ log group /ecs/registry: created"
    assert log_group.find_log_group(aws, p) == log_group.want_log_group(p)
    assert not log_group.ensure_log_group(aws.read_only(), p)
    aws.logs.put_retention_policy(logGroupName=p.log_group, retentionInDays=1)
    assert "retentionInDays: 1 → 30" in repr(log_group.ensure_log_group(aws, p))
    assert log_group.destroy_log_group(aws, p)
    assert not log_group.destroy_log_group(aws.read_only(), p)


def test_one_whose_name_begins_alike_is_another(aws, p):
    aws.logs.create_log_group(logGroupName=p.log_group + "-mirror")
    assert log_group.find_log_group(aws, p) is None

"""Each thing that a person brings, wrong in each way: told before the first write, with the key that names it."""

import datetime

import pytest
from moto import mock_aws

import runbook
from runbook import plan, preflight
from runbook.errors import StepFailed
from runbook.local import authority

pytestmark = pytest.mark.moto


@pytest.fixture
def zone(aws):
    return aws.route53.create_hosted_zone(Name="elastic.io", CallerReference="x")


def test_x(aws, scaling, zone):
    print(preflight.preflight(aws, scaling))
    assert 0

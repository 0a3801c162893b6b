"""moto's account with the rules in force."""

from types import SimpleNamespace

import boto3
import pytest
from botocore.handlers import validate_bucket_name
from moto import mock_aws
from refusals import REGION

from runbook.local import rules
from runbook.local.inside import acm, elb, elbv2_api, settling


@pytest.fixture(scope="module")
def clients():
    """They are made once, while moto listens: making them takes longer than a test."""
    services = ("acm", "ec2", "ecs", "elb", "elbv2", "iam", "route53", "s3", "secretsmanager", "ssm")
    services += ("application-autoscaling", "autoscaling", "cloudwatch", "sns")
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "x")
    with mock_aws():
        session = boto3.Session(region_name=REGION, **keys)
        # botocore's own look at bucket names would keep some wrong ones from being sent.
        session.events.unregister("before-parameter-build.s3", validate_bucket_name)
        return SimpleNamespace(**{each.replace("-", "_"): session.client(each) for each in services})


@pytest.fixture
def aws(clients, unmended, monkeypatch):
    """moto's account, with the rules in force."""
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
    monkeypatch.setattr(settling, "SECONDS", 0)
    with mock_aws():
        rules.install()
        rules.install()
        elb.install()
        elbv2_api.install()
        elbv2_api.install()
        acm.install()
        yield clients

"""What moto makes of a bucket policy, before and after it is mended."""

import json

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3.models import FakeBucket

from runbook.local.inside import s3

pytestmark = pytest.mark.moto

DENY = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:*", "Resource": ["arn:aws:s3:::images/*"]}
TLS_ONLY = DENY | {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}


@pytest.fixture
def put(monkeypatch):
    """`put(policy statement, mended)`: put an object into a bucket that has that policy."""
    monkeypatch.setattr(FakeBucket, "get_permission", FakeBucket.get_permission)  # put back after the test

    def put(statement, mended):
        if mended:
            s3.install()
            s3.install()
        client = boto3.client("s3", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_bucket(Bucket="images")
        client.put_object(Bucket="images", Key="layer", Body=b"x")
        policy = {"Version": "2012-10-17", "Statement": statement}
        client.put_bucket_policy(Bucket="images", Policy=json.dumps(policy))
        client.get_object(Bucket="images", Key="layer")
        client.put_object(Bucket="images", Key="layer", Body=b"y")

    with mock_aws():
        yield put


@pytest.mark.parametrize("statement", [TLS_ONLY, [TLS_ONLY]], ids=["alone", "in a list"])
def test_a_tls_only_policy_forbids_nothing_here(put, statement):
    put(statement, True)


def test_moto_itself_takes_the_condition_for_fulfilled(put):
    with pytest.raises(ClientError, match="Forbidden"):
        put([TLS_ONLY], False)


@pytest.mark.parametrize(
    "condition", [{}, {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}], ids=["none", "over TLS"]
)
def test_every_other_denial_stays(put, condition):
    with pytest.raises(ClientError, match="Forbidden"):
        put([TLS_ONLY, DENY | condition], True)


def test_a_denial_that_names_somebody_concerns_nobody_else(put):
    user = "arn:aws:iam::123456789012:user/registry"
    put([DENY | {"Principal": {"AWS": user}}], True)
    asked = "s3:GetObject", "arn:aws:s3:::images/layer"
    assert s3.denies("images", {user}, *asked)
    assert not s3.denies("images", {f"{user}-2"}, *asked)
    assert not s3.denies("images", {user}, "s3:ListBucket", "arn:aws:s3:::images")
    assert not s3.denies("other", {user}, *asked)

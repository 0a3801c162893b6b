"""What AWS refuses of S3 and Secrets Manager: AWS's error code, and that the right call passes."""

import json

import pytest
from refusals import REGION, refused

from runbook.local.rules import storage

pytestmark = pytest.mark.moto


@pytest.mark.parametrize(
    "name", ["Upper-Case", "a..b", "192.168.1.1", "under_score", "-leading", "xn--bucket", "bucket-s3alias"]
)
def test_a_wrong_bucket_name(aws, name):
    here = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    refused("InvalidBucketName", aws.s3.create_bucket, Bucket=name, **here)
    aws.s3.create_bucket(Bucket="registry-images", **here)


@pytest.fixture
def bucket(aws):
    aws.s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION})
    return "images"


def bucket_policy(**changes):
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::images/*"}
    statement = {k: v for k, v in (deny | changes).items() if v is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize(
    "policy",
    [
        "{not json",
        "{}",
        bucket_policy(Effect="Maybe"),
        bucket_policy(Principal=None),
        bucket_policy(Action=None),
        bucket_policy(Resource="arn:aws:s3:::other/*"),
    ],
)
def test_a_malformed_bucket_policy(aws, bucket, policy):
    refused("MalformedPolicy", aws.s3.put_bucket_policy, Bucket=bucket, Policy=policy)
    aws.s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy())


def test_the_name_of_a_secret_that_waits_for_its_deletion(aws):
    secret = {"Name": "registry/http-secret", "SecretString": "x"}
    aws.secretsmanager.create_secret(**secret)
    aws.secretsmanager.delete_secret(SecretId=secret["Name"], RecoveryWindowInDays=7)
    refused("InvalidRequestException", aws.secretsmanager.create_secret, **secret)
    aws.secretsmanager.delete_secret(SecretId=secret["Name"], ForceDeleteWithoutRecovery=True)
    aws.secretsmanager.create_secret(**secret)
    refused("ResourceExistsException", aws.secretsmanager.create_secret, **secret)


def test_a_bucket_policy_names_who_exists(aws):
    aws.s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION})
    for principal in ("arn:aws:iam::123456789012:role/absent", "arn:aws:iam::123456789012:user/absent"):
        statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "s3:GetObject"}
        statement["Resource"] = "arn:aws:s3:::images/*"
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        refused("MalformedPolicy", aws.s3.put_bucket_policy, Bucket="images", Policy=policy)
        everybody = policy.replace(principal, "arn:aws:iam::123456789012:root")
        aws.s3.put_bucket_policy(Bucket="images", Policy=everybody)


def test_a_thousand_objects_are_deleted_at_once(aws):
    aws.s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION})
    objects = [{"Key": str(number)} for number in range(1001)]
    refused("MalformedXML", aws.s3.delete_objects, Bucket="images", Delete={"Objects": objects})
    aws.s3.delete_objects(Bucket="images", Delete={"Objects": objects[1:]})


def test_logs_go_to_a_bucket_that_exists(aws):
    aws.s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION})
    to = {"LoggingEnabled": {"TargetBucket": "absent", "TargetPrefix": ""}}
    refused("InvalidTargetBucketForLogging", aws.s3.put_bucket_logging, Bucket="images", BucketLoggingStatus=to)


def test_a_secret_is_rotated_by_a_function(aws):
    aws.secretsmanager.create_secret(Name="s", SecretString="x")
    refused("InvalidRequestException", aws.secretsmanager.rotate_secret, SecretId="s")


def test_a_standard_parameter_has_4_kb(aws):
    parameter = {"Name": "/p", "Type": "String"}
    refused("ValidationException", aws.ssm.put_parameter, **parameter, Value="x" * 4097)
    aws.ssm.put_parameter(**parameter, Value="x" * 4096)
    aws.ssm.put_parameter(**parameter, Value="x" * 4097, Tier="Advanced", Overwrite=True)


@pytest.mark.parametrize("deleted", [("delete_parameter", {"Name": "/p"}), ("delete_parameters", {"Names": ["/p"]})])
def test_a_parameter_is_not_made_again_within_30_s_of_its_deletion(aws, monkeypatch, deleted):
    parameter = {"Name": "/p", "Type": "String", "Value": "x"}
    aws.ssm.put_parameter(**parameter)
    operation, params = deleted
    getattr(aws.ssm, operation)(**params)
    refused("TooManyUpdates", aws.ssm.put_parameter, **parameter)
    refused("TooManyUpdates", aws.ssm.put_parameter, **parameter, Overwrite=True)
    aws.ssm.put_parameter(**parameter | {"Name": "/q"})
    monkeypatch.setattr(storage, "REST_SECONDS", 0)
    aws.ssm.put_parameter(**parameter)

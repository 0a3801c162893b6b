"""A real registry whose only credentials are a role's: it stores in S3, and asks anew when they have ended."""

import datetime
import hashlib
import json
import socket
import subprocess
import urllib.error
import urllib.request
import uuid
from contextlib import contextmanager
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from runbook.local import images
from runbook.local.metadata import Metadata
from runbook.local.nodes import Node
from runbook.local.state import Place

from .test_metadata import CREDENTIALS, DIRECT, Imds, allow, put_policy

pytestmark = pytest.mark.embedded

SECONDS = 3
BUCKET = "b-registry"
# https://distribution.github.io/distribution/storage-drivers/s3/ ("S3 permission scopes")
BUCKET_ACTIONS = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
OBJECT_ACTIONS = [
    *("s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"),
]


@pytest.fixture
def quick(own_cloud, monkeypatch):
    """A cloud whose credentials end after SECONDS."""
    monkeypatch.setenv("RUNBOOK_CREDENTIAL_SECONDS", str(SECONDS))
    own_cloud.up()
    make_bucket(own_cloud)
    return own_cloud


def make_bucket(cloud):
    where = {"LocationConstraint": "eu-central-1"}
    cloud.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)


@contextmanager
def registry(cloud, folder, **env):
    """The URL of a registry that stores in BUCKET and has these variables, and no other credentials."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "config.yml"
    config.write_text("version: 0.1\n")
    env |= {
        "HOME": str(folder),
        "REGISTRY_HTTP_ADDR": f"127.0.0.1:{port}",
        "REGISTRY_STORAGE": "s3",
        "REGISTRY_STORAGE_S3_REGION": "eu-central-1",
        "REGISTRY_STORAGE_S3_BUCKET": BUCKET,
        "REGISTRY_STORAGE_S3_REGIONENDPOINT": cloud.running.endpoint,
        "REGISTRY_STORAGE_S3_SECURE": "false",
    }
    process = subprocess.Popen(
        [images.PROGRAM, "serve", str(config)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        cloud.until(lambda: listens(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status(url, method, body=b""):
    """(status, Location) of a request."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/octet-stream"}, method=method)
    try:
        with DIRECT.open(request, timeout=60) as answer:
            return answer.status, answer.headers.get("Location")
    except urllib.error.HTTPError as error:
        return error.code, None


def push(url, content):
    """The status with which pushing a blob ends."""
    begun, location = status(f"{url}/v2/a/blobs/uploads/", "POST")
    if begun != 202:
        return begun
    digest = hashlib.sha256(content).hexdigest()
    return status(f"{location}&digest=sha256:{digest}", "PUT", content)[0]


def test_a_registry_pushes_with_the_role_of_its_node_and_asks_for_new_keys(quick, tmp_path):
    role, arn = quick.profile(), f"arn:aws:s3:::{BUCKET}"
    put_policy(quick, role, allow(BUCKET_ACTIONS, arn), allow(OBJECT_ACTIONS, f"{arn}/*"))
    instance_id = quick.instance(profile=role)
    inside = Imds(quick, instance_id, 1339)
    quick.client("ec2").modify_instance_metadata_options(
        InstanceId=instance_id, HttpTokens="required", HttpPutResponseHopLimit=2
    )
    with registry(quick, tmp_path, AWS_EC2_METADATA_SERVICE_ENDPOINT=f"{inside.url}/") as url:
        assert push(url, b"one") == 201
        first = json.loads(inside.get(CREDENTIALS + role)[1])
        quick.until(lambda: code(quick, first) == "ExpiredToken", SECONDS + 10)
        assert push(url, b"two") == 201
        second = json.loads(inside.get(CREDENTIALS + role)[1])
        assert second["AccessKeyId"] != first["AccessKeyId"]
        quick.client("iam").delete_role_policy(RoleName=role, PolicyName="own")
        assert push(url, b"three") >= 400
    found = quick.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="docker/registry/v2/blobs/")["Contents"]
    wanted = {hashlib.sha256(each).hexdigest() for each in (b"one", b"two")}
    assert {each["Key"].split("/")[-2] for each in found} == wanted


def code(cloud, keys):
    """How S3 refuses these credentials; None when it does not."""
    client = boto3.client(
        "s3", "eu-central-1", endpoint_url=cloud.running.endpoint,
        config=Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
    )  # fmt: skip
    try:
        client.list_objects_v2(Bucket=BUCKET)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def test_a_registry_without_any_credentials_stores_nothing(cloud, tmp_path):
    make_bucket(cloud)
    with registry(cloud, tmp_path, AWS_EC2_METADATA_DISABLED="true") as url:
        assert push(url, b"one") >= 400
    assert "Contents" not in cloud.client("s3").list_objects_v2(Bucket=BUCKET)


TRUST = {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
FROM_HERE = {
    "StringEquals": {"aws:SourceAccount": "123456789012"},
    "ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-central-1:123456789012:*"},
}
FROM_ELSEWHERE = {"StringEquals": {"aws:SourceAccount": "210987654321"}}


@pytest.fixture
def tasks(block, tmp_path):
    """`tasks(trust)`: the metadata part, a node, and a task definition whose role has this trust."""
    with mock_aws():
        place = Place(tmp_path, block)
        node = Node("i-1", "eu-central-1", 1, place.node_address(1), tmp_path, running=True)
        metadata = Metadata(place, SimpleNamespace(all=lambda: [node]))

        def tasks(trust):
            document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            iam = boto3.client("iam", aws_access_key_id="x", aws_secret_access_key="x")
            role = iam.create_role(RoleName=uuid.uuid4().hex, AssumeRolePolicyDocument=document)["Role"]
            return metadata, node, SimpleNamespace(task_role_arn=role["Arn"])

        yield tasks
        metadata.close()


def get(url):
    try:
        with DIRECT.open(url, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize("trust", [TRUST, TRUST | {"Condition": FROM_HERE}], ids=["plain", "with its source"])
def test_a_task_gets_the_keys_of_its_role_while_it_lives(tasks, trust):
    metadata, node, definition = tasks(trust)
    env = metadata.environment(node, definition, "task-1")
    assert env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == f"http://{node.address}:1339/"
    url = env["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    assert metadata.environment(node, definition, "task-1") == env
    assert metadata.environment(node, definition, "task-2") != env
    status, keys = get(url)
    assert (status, keys["RoleArn"], keys.keys()) == (
        200,
        definition.task_role_arn,
        {"RoleArn", "AccessKeyId", "SecretAccessKey", "Token", "Expiration"},
    )
    assert keys["AccessKeyId"].startswith("ASIA")
    left = datetime.datetime.fromisoformat(keys["Expiration"]) - datetime.datetime.now(datetime.UTC)
    assert 0 < left.total_seconds() <= 900
    assert get(url)[1]["AccessKeyId"] == keys["AccessKeyId"]
    metadata.forget("task-1")
    assert get(url)[1]["code"] == "InvalidIdInRequest"


@pytest.mark.parametrize(
    "trust",
    [
        TRUST | {"Principal": {"Service": "ec2.amazonaws.com"}},
        TRUST | {"Condition": FROM_ELSEWHERE},
        TRUST | {"Condition": {"StringEquals": {"aws:PrincipalTag/a": "b"}}},
        TRUST | {"Effect": "Deny"},
    ],
    ids=["another service", "another account", "a condition of another kind", "denied"],
)
def test_a_role_that_does_not_trust_tasks_gives_none(tasks, trust):
    metadata, node, definition = tasks(trust)
    status, said = get(metadata.environment(node, definition, "task-1")["AWS_CONTAINER_CREDENTIALS_FULL_URI"])
    assert (status, "ECS was unable to assume the role" in said["message"]) == (500, True)


def test_a_task_without_a_role_has_no_such_address(tasks):
    metadata, node, _ = tasks(TRUST)
    env = metadata.environment(node, SimpleNamespace(task_role_arn=None), "task-1")
    assert env.keys() == {"AWS_EC2_METADATA_SERVICE_ENDPOINT"}
    assert metadata.node_environment(node) == {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{node.address}:1338/"}

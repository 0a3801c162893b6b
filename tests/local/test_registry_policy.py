"""The real registry program with the policy that we write for it, and nothing else: all of it is needed, and enough."""

import hashlib
import itertools
import json
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.config import Config
from refusals import refused

from runbook import load, s3_policy
from runbook.roles import policy

from .test_metadata import DIRECT
from .test_role_credentials import registry

pytestmark = pytest.mark.embedded

PART = 6 * 1024 * 1024  # S3 takes parts of 5 MiB and more
ACTIONS = s3_policy.BUCKET_ACTIONS + s3_policy.OBJECT_ACTIONS
USER = "only-our-policy"
_numbers = itertools.count(1)


def ours(without=None):
    """The policy as the steps write it, for this test's bucket; `without` an action."""
    p = load("blog").model_copy(update={"bucket": "b-registry"})
    statements = s3_policy.statements(p)
    for each in statements:
        each["Action"] = [action for action in each["Action"] if action != without]
    return policy(*statements)


class Working:
    """One registry, whose only credentials are the user's key; `put` says what the user may do."""

    def __init__(self, cloud, url, key):
        self.iam, self.url, self._endpoint = cloud.client("iam"), url, cloud.running.endpoint
        self._keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        self.s3 = self.other("s3")

    def other(self, service):
        """A client with the registry's own key."""
        config = Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        return boto3.client(service, "eu-central-1", endpoint_url=self._endpoint, config=config, **self._keys)

    def put(self, document):
        self.iam.put_user_policy(UserName=USER, PolicyName="runbook", PolicyDocument=json.dumps(document))

    def ask(self, method, path, body=None, **headers):
        """(status, headers, body); redirects of GET are followed."""
        sent = {"Content-Type": "application/octet-stream"} | {k.replace("_", "-"): v for k, v in headers.items()}
        where = path if path.startswith("http") else self.url + path
        request = urllib.request.Request(where, body, sent, method=method)
        try:
            with DIRECT.open(request, timeout=60) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, b""
        except OSError:  # it answered before it had read the whole body, and closed the connection
            return 0, {}, b""

    def begin(self):
        status, headers, _ = self.ask("POST", "/v2/a/blobs/uploads/")
        assert status == 202
        return headers["Location"]

    def end(self, location, content, last=b""):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return self.ask("PUT", f"{location}&digest={digest}", last)[0], digest

    def pushed(self, content):
        status, digest = self.end(self.begin(), content, content)
        assert status == 201
        return digest

    # what clients do

    def push(self):
        self.pushed(content())

    def chunked_push(self):
        parts = [content(PART), content(PART), content()]
        location = self.begin()
        for part in parts:
            status, headers, _ = self.ask("PATCH", location, part)
            assert status == 202
            location = headers["Location"]
        whole = b"".join(parts)
        status, digest = self.end(location, whole)
        assert status == 201
        assert self.ask("GET", f"/v2/a/blobs/{digest}")[2] == whole

    def pull(self):
        sent = content()
        digest = self.pushed(sent)
        assert self.ask("HEAD", f"/v2/a/blobs/{digest}")[0] == 200
        assert self.ask("GET", f"/v2/a/blobs/{digest}")[2] == sent

    def mount(self):
        digest = self.pushed(content())
        assert self.ask("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a")[0] == 201

    def delete(self):
        sent = content()
        config = {"mediaType": "application/vnd.oci.image.config.v1+json", "size": len(sent)}
        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config | {"digest": self.pushed(sent)},
            "layers": [],
        }).encode()  # fmt: skip
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        path, kind = f"/v2/a/manifests/{digest}", "application/vnd.oci.image.manifest.v1+json"
        assert self.ask("PUT", path, manifest, Content_Type=kind)[0] == 201
        assert self.ask("GET", path, Accept=kind)[2] == manifest
        assert self.ask("DELETE", path)[0] == 202
        assert self.ask("GET", path, Accept=kind)[0] == 404

    def abort(self):
        status, headers, _ = self.ask("PATCH", self.begin(), content(PART))
        assert status == 202
        assert self.ask("DELETE", headers["Location"])[0] == 204
        assert self.ask("GET", headers["Location"])[0] == 404

    def list(self):
        assert self.ask("GET", "/v2/_catalog")[0] == 200

    def fails(self):
        """Which of these do not work."""
        wrong = set()
        for name in ("push", "chunked_push", "pull", "mount", "delete", "abort", "list"):
            try:
                getattr(self, name)()
            except AssertionError:
                wrong.add(name)
        return wrong


def content(size=1024):
    """Never the same bytes again: a registry that knows a blob does not store it."""
    return f"{next(_numbers)} ".encode().ljust(size, b"x")


@pytest.fixture(scope="module")
def working(cloud, tmp_path_factory):
    s3, iam = cloud.client("s3"), cloud.client("iam")
    for name in ("b-registry", "another"):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    s3.put_object(Bucket="another", Key="k", Body=b"")
    iam.create_user(UserName=USER)
    key = iam.create_access_key(UserName=USER)["AccessKey"]
    keys = {
        "REGISTRY_STORAGE_S3_ACCESSKEY": key["AccessKeyId"],
        "REGISTRY_STORAGE_S3_SECRETKEY": key["SecretAccessKey"],
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
        "REGISTRY_LOG_LEVEL": "error",
    }
    with registry(cloud, tmp_path_factory.mktemp("registry"), **keys) as url:
        yield Working(cloud, url, key)


def test_it_is_enough(working):
    working.put(ours())
    assert working.fails() == set()


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_of_it_is_superfluous(working, action):
    working.put(ours(without=action))
    assert working.fails()


@pytest.mark.parametrize(
    ("call", "params"),
    [
        ("list_buckets", {}),
        ("get_bucket_location", {"Bucket": "b-registry"}),
        ("get_bucket_policy", {"Bucket": "b-registry"}),
        ("put_bucket_policy", {"Bucket": "b-registry", "Policy": "{}"}),
        ("put_bucket_acl", {"Bucket": "b-registry", "ACL": "public-read"}),
        ("delete_bucket", {"Bucket": "b-registry"}),
        ("list_objects_v2", {"Bucket": "another"}),
        ("put_object", {"Bucket": "another", "Key": "k", "Body": b""}),
        ("copy_object", {"Bucket": "b-registry", "Key": "k", "CopySource": "another/k"}),
        ("create_bucket", {"Bucket": "third"}),
    ],
)
def test_what_is_outside_is_refused(working, call, params):
    working.put(ours())
    refused("AccessDenied", getattr(working.s3, call), **params)


def test_nothing_but_s3_is_open_to_it(working):
    working.put(ours())
    refused("AccessDenied", working.other("iam").list_users)
    refused("UnauthorizedOperation", working.other("ec2").describe_instances)
    refused("AccessDeniedException", working.other("secretsmanager").list_secrets)

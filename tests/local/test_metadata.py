"""Where roles become keys: the metadata service of a node, the tasks' credentials, and what S3 makes of such keys."""

import json
import urllib.error
import urllib.request
import uuid

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

pytestmark = pytest.mark.embedded

TOKEN = "X-aws-ec2-metadata-token"
TTL = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
CREDENTIALS = "/latest/meta-data/iam/security-credentials/"
NODE, CONTAINER = 1338, 1339
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http(url, method="GET", **headers):
    """(status, text) of one request."""
    request = urllib.request.Request(url, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    try:
        with DIRECT.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Imds:
    """What a program that asks the metadata service of an instance sees."""

    def __init__(self, cloud, instance_id, port=NODE):
        cloud.until(lambda: self._listens(cloud, instance_id, port))

    def _listens(self, cloud, instance_id, port):
        self.url = f"http://{cloud.node(instance_id)['address']}:{port}"
        try:
            http(f"{self.url}/")
        except urllib.error.URLError:
            return False
        return True

    def token(self, **headers):
        return http(f"{self.url}/latest/api/token", "PUT", **(TTL | headers))

    def get(self, path, token=None):
        return http(self.url + path, **({TOKEN: token or self.token()[1]}))


def put_policy(cloud, role, *statements):
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    cloud.client("iam").put_role_policy(RoleName=role, PolicyName="own", PolicyDocument=json.dumps(document))


def allow(action, resource):
    return {"Effect": "Allow", "Action": action, "Resource": resource}


@pytest.fixture(scope="module")
def bucket(cloud):
    name = f"b-{uuid.uuid4().hex[:12]}"
    where = {"LocationConstraint": "eu-central-1"}
    cloud.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name


@pytest.fixture(scope="module")
def instance(cloud, bucket):
    """(id, role) of an instance that asks for tokens; its role may read and list one bucket, and write below in/."""
    role = cloud.profile()
    arn = f"arn:aws:s3:::{bucket}"
    put_policy(
        cloud,
        role,
        allow("s3:ListBucket", arn),
        allow("s3:GetObject", f"{arn}/*"),
        allow("s3:PutObject", f"{arn}/in/*"),
    )
    instance_id = cloud.instance(profile=role)
    cloud.client("ec2").modify_instance_metadata_options(InstanceId=instance_id, HttpTokens="required")
    yield instance_id, role
    cloud.terminate(instance_id)


def test_it_tells_what_the_instance_is(cloud, instance):
    imds, instance_id = Imds(cloud, instance[0]), instance[0]
    (described,) = cloud.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"]
    shown = {
        "instance-id": instance_id,
        "instance-type": "t3.small",
        "ami-id": described["ImageId"],
        "local-ipv4": described["PrivateIpAddress"],
        "placement/region": "eu-central-1",
        "placement/availability-zone": described["Placement"]["AvailabilityZone"],
    }
    assert {name: imds.get(f"/latest/meta-data/{name}")[1] for name in shown} == shown
    document = json.loads(imds.get("/latest/dynamic/instance-identity/document")[1])
    assert (document["instanceId"], document["region"]) == (instance_id, "eu-central-1")
    info = json.loads(imds.get("/latest/meta-data/iam/info")[1])
    assert info["InstanceProfileArn"] == described["IamInstanceProfile"]["Arn"]
    assert imds.get("/latest/meta-data/no-such-thing")[0] == 404


def test_a_token_is_needed_good_for_this_node_and_ends(cloud, instance):
    imds = Imds(cloud, instance[0])
    assert http(f"{imds.url}/latest/meta-data/instance-id")[0] == 401
    assert imds.get("/latest/meta-data/instance-id", "made-up")[0] == 401
    assert imds.token(**{"X-Forwarded-For": "10.0.0.1"})[0] == 403
    assert http(f"{imds.url}/latest/api/token", "PUT")[0] == 400
    assert http(f"{imds.url}/latest/api/token", "PUT", **{next(iter(TTL)): "21601"})[0] == 400
    short = imds.token(**{next(iter(TTL)): "1"})[1]
    assert imds.get("/latest/meta-data/instance-id", short)[0] == 200
    cloud.until(lambda: imds.get("/latest/meta-data/instance-id", short)[0] == 401)
    other = cloud.instance()
    try:
        assert Imds(cloud, other).get("/latest/meta-data/instance-id", imds.token()[1])[0] == 401
    finally:
        cloud.terminate(other)


def test_a_container_gets_a_token_only_with_two_hops_and_nobody_anything_when_it_is_disabled(cloud):
    instance_id, ec2 = cloud.instance(), cloud.client("ec2")
    try:
        inside, node = Imds(cloud, instance_id, CONTAINER), Imds(cloud, instance_id)
        ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpTokens="optional", HttpPutResponseHopLimit=1)
        assert http(f"{inside.url}/latest/meta-data/instance-id") == (200, instance_id)
        with pytest.raises((urllib.error.URLError, ConnectionError)):
            inside.token()
        assert inside.get("/latest/meta-data/instance-id", node.token()[1])[0] == 200
        ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpPutResponseHopLimit=2)
        assert inside.token()[0] == 200
        assert inside.get(CREDENTIALS)[0] == 404  # it has no profile
        ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpEndpoint="disabled")
        assert (node.token()[0], http(f"{node.url}/latest/meta-data/instance-id")[0]) == (403, 403)
    finally:
        cloud.terminate(instance_id)
    cloud.until(lambda: is_closed(node.url))


def is_closed(url):
    try:
        http(url)
    except urllib.error.URLError:
        return True
    return False


def lent(cloud, instance):
    imds = Imds(cloud, instance[0])
    assert imds.get(CREDENTIALS) == (200, instance[1])
    return json.loads(imds.get(CREDENTIALS + instance[1])[1])


def s3(cloud, key_id, secret, token=None):
    config = Config(proxies={}, s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client(
        "s3", "eu-central-1", endpoint_url=cloud.running.endpoint, config=config,
        aws_access_key_id=key_id, aws_secret_access_key=secret, aws_session_token=token,
    )  # fmt: skip


def refused(call, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]


def test_the_roles_keys_may_do_what_its_policies_allow(cloud, instance, bucket):
    keys = lent(cloud, instance)
    assert (keys["Code"], keys["Type"]) == ("Success", "AWS-HMAC")
    client = s3(cloud, keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])
    before = cloud.status()["s3_requests"]
    client.put_object(Bucket=bucket, Key="in/layer", Body=b"x")
    assert client.get_object(Bucket=bucket, Key="in/layer")["Body"].read() == b"x"
    assert client.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    upload = client.create_multipart_upload(Bucket=bucket, Key="in/big")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="in/big", UploadId=upload, PartNumber=1, Body=b"y")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": part}]}
    client.complete_multipart_upload(Bucket=bucket, Key="in/big", UploadId=upload, MultipartUpload=parts)
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "in/big"})
    assert http(url) == (200, "y")
    for call, more in (
        (client.put_object, {"Key": "out/layer", "Body": b"x"}),
        (client.delete_object, {"Key": "in/layer"}),
        (client.delete_objects, {"Delete": {"Objects": [{"Key": "in/layer"}]}}),
        (client.copy_object, {"Key": "out/copy", "CopySource": f"{bucket}/in/layer"}),
        (client.get_bucket_policy, {}),
    ):
        assert refused(call, Bucket=bucket, **more) == ("AccessDenied", 403), call
    assert refused(client.list_buckets) == ("AccessDenied", 403)
    after = cloud.status()["s3_requests"]
    assert {each: after[each] - before.get(each, 0) for each in ("PutObject", "GetObject", "UploadPart")} == {
        "PutObject": 2,
        "GetObject": 2,
        "UploadPart": 1,
    }
    cloud.client("s3").get_object(Bucket=bucket, Key="in/layer")
    assert cloud.status()["s3_requests"]["GetObject"] == after["GetObject"]  # the operator's are not counted


def test_keys_that_are_nobodys_are_refused(cloud, instance, bucket):
    keys = lent(cloud, instance)
    get = {"Bucket": bucket, "Key": "x"}
    unknown = s3(cloud, "AKIAQQQQQQQQQQQQQQQQ", "x")
    assert refused(unknown.get_object, **get) == ("InvalidAccessKeyId", 403)
    url = unknown.generate_presigned_url("get_object", get)
    assert http(url)[0] == 403 and "InvalidAccessKeyId" in http(url)[1]
    half = s3(cloud, keys["AccessKeyId"], keys["SecretAccessKey"])
    assert refused(half.get_object, **get) == ("InvalidAccessKeyId", 403)
    wrong = s3(cloud, keys["AccessKeyId"], keys["SecretAccessKey"], "x")
    assert refused(wrong.get_object, **get) == ("InvalidToken", 400)
    assert http(f"{cloud.running.endpoint}/{bucket}/x")[0] == 403
    for service, operation, code in (
        ("ecs", "list_clusters", "UnrecognizedClientException"),
        ("iam", "list_users", "InvalidClientTokenId"),
        ("ec2", "describe_vpcs", "AuthFailure"),
    ):
        client = boto3.client(
            service, "eu-central-1", endpoint_url=cloud.running.endpoint, config=Config(proxies={}),
            aws_access_key_id="AKIAQQQQQQQQQQQQQQQQ", aws_secret_access_key="x",
        )  # fmt: skip
        assert refused(getattr(client, operation))[0] == code


def test_a_users_key_works_while_it_is_active(cloud, bucket):
    iam, name = cloud.client("iam"), f"u-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    client = s3(cloud, key["AccessKeyId"], key["SecretAccessKey"])
    assert refused(client.list_objects_v2, Bucket=bucket) == ("AccessDenied", 403)
    document = {"Version": "2012-10-17", "Statement": [allow("s3:ListBucket", f"arn:aws:s3:::{bucket}")]}
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(document))
    client.list_objects_v2(Bucket=bucket)
    iam.update_access_key(UserName=name, AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert refused(client.list_objects_v2, Bucket=bucket) == ("InvalidAccessKeyId", 403)

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

import runbook
from runbook import errors, local
from runbook.errors import AwsError, CloudError, Denied, Expired, ReadOnly, translate
from runbook.secret import Secret

pytestmark = pytest.mark.moto


def client_error(code):
    return ClientError({"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "GetX")


def test_an_error_of_aws_keeps_its_code(aws):
    with pytest.raises(AwsError, match="s3 HeadBucket: 404") as error:
        aws.s3.head_bucket(Bucket="nothing-here")
    assert error.value.code == "404"


def test_absent_is_none_and_denied_is_not(aws, monkeypatch):
    assert aws.s3.find("head_bucket", {"404"}, Bucket="nothing-here") is None
    with pytest.raises(AwsError):
        aws.s3.find("head_bucket", {"NoSuchKey"}, Bucket="nothing-here")


@pytest.mark.parametrize(
    ("code", "kind"),
    [("AccessDenied", Denied), ("UnauthorizedOperation", Denied), ("403", Denied), ("ExpiredToken", Expired),
     ("ExpiredTokenException", Expired), ("RequestExpired", Expired), ("NoSuchBucket", AwsError)],
)  # fmt: skip
def test_codes_become_the_right_kind(code, kind):
    assert type(translate(client_error(code), "s3", "GetX", "AWS")) is kind


def test_no_login_and_no_answer_are_sentences():
    assert "log in" in str(translate(NoCredentialsError(), "s3", "GetX", "AWS"))
    error = translate(
        EndpointConnectionError(endpoint_url="http://x"), "s3", "GetX", "the embedded cloud at x; start it"
    )
    assert isinstance(error, CloudError)
    assert "no answer from the embedded cloud at x; start it" in str(error)


def test_a_read_only_session_refuses_every_write_before_it_leaves(aws, p):
    reader = aws.read_only()
    for write in (
        lambda: reader.s3.create_bucket(Bucket="x"),
        lambda: reader.ec2.run_instances(MinCount=1, MaxCount=1),
        lambda: reader.ssm.send_command(DocumentName="AWS-RunShellScript"),
        lambda: reader.secretsmanager.put_secret_value(SecretId="x", SecretString="y"),
        lambda: reader.ecs.update_service(service="x"),
    ):
        with pytest.raises(ReadOnly):
            write()
    assert reader.s3.list_buckets()["Buckets"] == []
    assert reader.read_only() is reader


def test_all_reads_every_page(aws):
    for number in range(3):
        aws.logs.create_log_group(logGroupName=f"/x/{number}")
    names = [g["logGroupName"] for g in aws.logs.all("describe_log_groups", "logGroups", limit=1)]
    assert names == ["/x/0", "/x/1", "/x/2"]


def test_one_client_a_service(aws):
    assert aws.s3 is aws.s3
    assert aws.region == "eu-central-1"
    assert aws.account == "123456789012"


def test_no_default_session_is_made(aws):
    aws.s3.list_buckets()
    assert boto3.DEFAULT_SESSION is None


def test_a_stopped_embedded_cloud_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNBOOK_HOME", str(tmp_path))
    with pytest.raises(CloudError, match="python -m runbook cloud up"):
        runbook.connect(runbook.load("blog"))


def test_the_embedded_cloud_sees_no_aws_setting_of_the_caller(monkeypatch, tmp_path):
    """The account, the regions and the CA bundle of a profile are for AWS; here the endpoint is all that counts."""
    (tmp_path / "config").write_text("[default\nthis is no config file\n")
    for name, value in {
        "AWS_PROFILE": "nonsense",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_CA_BUNDLE": "/nonsense",
        "AWS_ENDPOINT_URL": "nonsense",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_MAX_ATTEMPTS": "nonsense",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    cloud = local.Running("http://127.0.0.1:9", "/nowhere/ca.pem", 0)
    monkeypatch.setattr(local, "running", lambda: cloud)
    aws = runbook.connect(runbook.load("blog"))
    assert aws.s3.meta.endpoint_url == aws.sts.meta.endpoint_url == cloud.endpoint
    assert aws.sts.meta.config.retries["total_max_attempts"] == 5
    assert aws.region == "eu-central-1"


def test_an_error_in_a_notebook_is_its_sentence():
    assert errors.StepFailed("do this")._render_traceback_() == ["StepFailed: do this"]


def test_a_profile_that_is_not_there_is_one_sentence(p, account, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CloudError, match="nobody.*AWS_PROFILE"):
        runbook.connect(runbook.load(p.model_dump() | {"cloud": "aws"}))


def test_a_permission_has_the_name_that_a_policy_has(aws, monkeypatch):
    monkeypatch.setattr(
        aws.elb._client, "describe_load_balancers", lambda **_: (_ for _ in ()).throw(client_error("AccessDenied"))
    )
    with pytest.raises(Denied, match="needs the permission elasticloadbalancing:DescribeLoadBalancers"):
        aws.elb.describe_load_balancers()


def test_s3_tells_a_dead_login_by_a_bare_400():
    bare = ClientError({"Error": {"Code": "400", "Message": "Bad Request"}}, "HeadBucket")
    assert isinstance(translate(bare, "s3", "HeadBucket", "AWS"), Expired)


def test_as_the_owner_of_a_key_it_only_reads(aws):
    owner = aws.as_key("AKIAIOSFODNN7EXAMPLE", Secret("example"))
    assert owner.s3.list_buckets()["Buckets"] == []
    with pytest.raises(ReadOnly):
        owner.s3.create_bucket(Bucket="another")

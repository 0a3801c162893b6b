import contextlib
import http.server
import logging
import socket
import threading
import time

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from moto import mock_aws

import runbook
from runbook import errors, local, session
from runbook.errors import AwsError, CloudError, Denied, Expired, ReadOnly, SecretError, translate
from runbook.secret import Secret
from runbook.session import _was_done

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


PASSWORD = "correct horse battery"


def answer(aws, error):
    """From here on AWS answers each call with this error; gives the requests that were sent."""
    aws.begin()
    sent = []

    def send(request, **_):
        sent.append(request.body)
        raise error

    aws._session.events.register_first("before-send", send)
    return sent


def test_a_secret_is_revealed_in_the_request_alone(aws):
    sent = answer(aws, KeyError("a bug"))
    with pytest.raises(KeyError) as raised:
        aws.secretsmanager.create_secret(Name="x", SecretString=Secret(PASSWORD))
    assert PASSWORD in sent[0].decode()
    names = {name for entry in raised.traceback[1:] for name in entry.frame.f_locals}
    assert not names
    assert "test_session.py" in raised.value.__notes__[0]
    assert PASSWORD not in raised.value.__notes__[0]


def test_an_answer_that_quotes_a_secret_is_told_without_it(aws):
    told = {"Code": "ValidationException", "Message": f"Value '{PASSWORD}' at 'secretString' failed"}
    answer(aws, ClientError({"Error": told}, "CreateSecret"))
    with pytest.raises(AwsError) as raised:
        aws.secretsmanager.create_secret(Name="x", SecretString=Secret(PASSWORD))
    assert "Value '(secret)' at 'secretString' failed" in str(raised.value)
    assert "(secret)" in raised.value.message
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_a_wrong_parameter_beside_a_secret_is_told_without_it(aws):
    with pytest.raises(errors.StepFailed) as raised:
        aws.acm.import_certificate(Certificate=b"x", PrivateKey=Secret(PASSWORD), Tags=Secret(PASSWORD))
    assert "Tags" in str(raised.value)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("name", ["botocore", "botocore.endpoint", "urllib3.connectionpool"])
def test_no_call_is_made_while_requests_are_logged_whole(aws, name):
    sent = answer(aws, KeyError("sent"))
    level = logging.getLogger(name).level
    logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        for call in (lambda: aws.s3.list_buckets(), lambda: aws.iam.all("list_users", "Users")):
            with pytest.raises(SecretError, match="is set to DEBUG"):
                call()
    finally:
        logging.getLogger(name).setLevel(level)
    assert sent == []


def test_a_root_logger_at_debug_is_no_matter(p, account, caplog):
    with caplog.at_level(logging.DEBUG), mock_aws():
        runbook.connect(p).secretsmanager.create_secret(Name="x", SecretString=Secret(PASSWORD))
    assert PASSWORD not in caplog.text


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


def test_a_connection_needs_no_params(account):
    with mock_aws():
        aws = session.connect_to("aws", "eu-west-1", read_only=True)
        assert (aws.region, aws.is_read_only, aws.account) == ("eu-west-1", True, "123456789012")
    with pytest.raises(errors.ParamsError, match="^--region: boto3 .* knows no region eu-west-9; did you mean eu-west"):
        session.connect_to("aws", "eu-west-9", asked="--region")


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
    assert aws.sts.meta.config.retries["total_max_attempts"] == 8
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


@pytest.fixture
def silent():
    """Endpoints by what is wrong with them: nobody listens, nobody answers, nobody takes the connection."""
    with socket.socket() as closed, socket.socket() as mute, socket.socket() as full, contextlib.ExitStack() as fillers:
        for each in (closed, mute, full):
            each.bind(("127.0.0.1", 0))
        mute.listen(20)
        full.listen(0)
        for _ in range(2):  # Linux takes one more than the backlog, and drops what comes then
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield {
            name: f"http://127.0.0.1:{each.getsockname()[1]}"
            for name, each in {"closed": closed, "mute": mute, "full": full}.items()
        }


@pytest.mark.parametrize(
    ("which", "least"), [("closed", 0), ("mute", 5), pytest.param("full", 3, marks=pytest.mark.long)]
)
def test_an_endpoint_that_is_not_there_is_told_within_15_seconds(p, account, monkeypatch, silent, figure, which, least):
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent[which])
    aws, started = runbook.connect(p, read_only=True), time.monotonic()
    with pytest.raises(CloudError, match=f"sts GetCallerIdentity: no answer from {silent[which]}"):
        aws.begin()
    seconds = time.monotonic() - started
    figure(f"seconds until an endpoint is told that is {which}", round(seconds, 1))
    assert least <= seconds < 15  # a slow answer has its time


def test_what_is_not_aws_is_one_sentence(p, account, monkeypatch):
    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(403)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(CloudError, match="is not AWS"):
            runbook.connect(p).begin()
        server.shutdown()


def test_a_connection_begins_once_and_says_whose_login_it_is(p, account):
    with mock_aws():
        aws, calls = runbook.connect(p), []
        aws._session.events.register("before-call", lambda model, **_: calls.append(model.name))
        assert aws.read_only().s3.list_buckets()["Buckets"] == aws.s3.list_buckets()["Buckets"] == []
        assert aws.account == "123456789012"
        assert calls == ["GetCallerIdentity", "ListBuckets"] * 2


@pytest.mark.parametrize(
    ("operation", "code", "message", "done"),
    [
        ("CreateRole", "EntityAlreadyExists", "Role with name x already exists.", True),
        ("CreateSecurityGroup", "InvalidGroup.Duplicate", "m", True),
        ("AddRoleToInstanceProfile", "LimitExceeded", "… InstanceSessionsPerInstanceProfile: 1", True),
        ("CreateAccessKey", "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2", False),
        ("DeleteRole", "NoSuchEntity", "m", True),
        ("DeleteRole", "DeleteConflict", "m", False),
        ("PutRolePolicy", "NoSuchEntity", "m", False),
        ("CreateService", "ClusterNotFoundException", "m", False),
        ("DeleteRole", "AccessDenied", "m", False),
    ],
)  # fmt: skip
def test_only_a_second_attempt_meets_its_own_work(operation, code, message, done):
    for attempts in (0, 1):
        answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"RetryAttempts": attempts}}
        error = ClientError(answer, operation)
        assert _was_done(error, translate(error, "iam", operation, "AWS")) == (done and attempts == 1)


def test_as_the_owner_of_a_key_it_only_reads(aws):
    owner = aws.as_key("AKIAIOSFODNN7EXAMPLE", Secret("example"))
    assert owner.s3.list_buckets()["Buckets"] == []
    with pytest.raises(ReadOnly):
        owner.s3.create_bucket(Bucket="another")

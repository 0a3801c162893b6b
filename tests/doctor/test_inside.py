"""What the inner stations make of a log line, a task definition and a policy; nothing runs here."""

import datetime
from types import SimpleNamespace

import pytest

from runbook import load
from runbook.doctor import inside, policy, signs
from runbook.doctor.chart import Line

pytestmark = pytest.mark.pure

# As Distribution 2.8.3, 3.0 and 3.1 and the SDK print them.
LINES = {
    1: 'time="2026-01-01T00:00:00Z" level=warning msg="No HTTP secret provided - generated random secret. This may '
    'cause problems with uploads if multiple registries are behind a load-balancer." version=2.8.3',
    11: "panic: invalid region provided: eu-central-9",
    13: "configuration error: error parsing /etc/docker/registry/config.yml: must provide exactly one storage type. "
    "Provided: [filesystem s3]",
    14: 'time="2026-01-01T00:00:00Z" level=warning msg="Ignoring unrecognized environment variable REGISTRY_LOG_LEVL"',
    15: "configuration error: open /etc/docker/registry/config.yml: no such file or directory",
    17: 'time="2026-01-01T00:00:00Z" level=fatal msg="failed to open htpasswd path /auth/htpasswd: permission denied"',
    18: 'OCI runtime create failed: exec: "htpasswd": executable file not found in $PATH: unknown',
    26: "panic: redis configuration required to use for layerinfo cache",
    30: 'level=error msg="response completed with error" err.detail="s3aws: SlowDown: Please reduce your rate."',
    31: '2026/01/01 00:00:00 traces export: Post "https://localhost:4318/v1/traces": dial tcp [::1]:4318: connect: '
    "connection refused",
}
HARMLESS = (
    'time="2026-01-01T00:00:00Z" level=info msg="redis not configured" version=2.8.3',
    'time="2026-01-01T00:00:00Z" level=info msg="using redis blob descriptor cache"',
    'time="2026-01-01T00:00:00Z" level=info msg="listening on [::]:5000"',
    '10.0.0.1 - - [01/Jan/2026:00:00:00 +0000] "GET /v2/htpasswd/tags/list HTTP/1.1" 404 157 "" "docker/27"',
    'level=error msg="error authenticating user \\"x\\": authentication failure"',
    'level=error msg="response completed with error" err.code="blob unknown" err.message="blob unknown to registry"',
)


def patient(*texts, running=True, replicas=2, ago=datetime.timedelta(), **more):
    lines = [Line("registry", text, datetime.datetime.now(datetime.UTC) - ago) for text in texts]
    said = {"failed_lines": [] if running else lines, "running_lines": lines if running else []}
    known = {"failed": [], "is_open": True, "registry": {"name": "registry"}, "suspect": {}}
    return SimpleNamespace(**known | said | more, replicas=replicas, p=load("blog"))


@pytest.mark.parametrize("running", (True, False))
@pytest.mark.parametrize("row", sorted(LINES.keys() - {1}))
def test_a_line_is_the_sign_of_one_row(row, running):
    """Of a registry that serves all the same only when nothing else is found."""
    ill = patient(*HARMLESS, LINES[row], running=running)
    if running and row in (14, 31):
        assert inside.log(ill) is None
        found = inside.unnoticed(ill)
    else:
        found = inside.log(ill)
    assert found.row == row
    assert found.evidence[0].startswith("log of registry: ")
    assert [sign.row for sign in signs.SIGNS if sign.words.search(LINES[row])] == [row]


def test_a_healthy_log_is_the_sign_of_nothing():
    assert inside.log(patient(*HARMLESS)) is None


def test_a_secret_of_ones_own_matters_to_several_registries_alone():
    assert inside.log(patient(LINES[1], replicas=1)) is None
    assert inside.log(patient(LINES[1], LINES[1])).row == 1


def test_what_s3_said_long_ago_is_no_news():
    ago = datetime.timedelta(hours=1)
    assert inside.log(patient(LINES[30], ago=ago)) is None
    assert inside.log(patient(LINES[17], ago=ago)).row == 17


def test_the_password_that_a_registry_makes_up_is_not_shown():
    made = 'level=warning msg="htpasswd is missing, provisioning with default user" password=s3cr3t-w0rd user=docker'
    found = inside.log(patient(made, made.replace('msg="htpasswd', "msg=htpasswd").replace('user" ', "user ")))
    assert found.row == 17
    assert "s3cr3t" not in repr(found)
    assert "s3cr3t" not in signs.quote(made.replace('"', ""), signs.ANY)


REGISTRY_3 = {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_REGION": "eu-central-1", "REGISTRY_STORAGE_S3_BUCKET": "b"}
REDIS_TLS = '{"addr": "c.cache.amazonaws.com:6379", "tls": {"enabled": true}}'
# Rows that no running system here shows: (image, variables over REGISTRY_3, what else the container says).
LINTED = {
    12: ("registry:3.1.1", {"REGISTRY_STORAGE_S3_REGIONENDPOINT": "https://minio.example"}, {}),
    15: ("registry:3.1.1", {}, {"command": ["/etc/docker/registry/config.yml"]}),
    27: ("registry:2.8.3", {"REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis", "REGISTRY_REDIS": REDIS_TLS}, {}),
    31: ("registry:3.0.0", {"OTEL_TRACES_EXPORTER": ""}, {}),
    33: ("registry:3.1.0", {}, {}),
}


@pytest.mark.parametrize("row", sorted(LINTED))
def test_the_configuration_of_a_version_that_does_not_run_here(row, monkeypatch):
    monkeypatch.setattr(inside, "users", lambda _: None)
    image, variables, more = LINTED[row]
    environment = [{"name": name, "value": value} for name, value in {**REGISTRY_3, **variables}.items()]
    secrets = [{"name": "REGISTRY_HTTP_SECRET", "valueFrom": "arn:aws:secretsmanager:eu-central-1:1:secret:x"}]
    container = {"name": "registry", "image": image, "environment": environment, "secrets": secrets, **more}
    task = {"containerDefinitions": [container]}
    ill = patient(registry=container, suspect=task, replicas=1)
    found = inside.configuration(ill)
    assert (found is None) == (row in (31, 33))
    found = found or inside.unnoticed(ill)
    assert found and found.row == row, found


def test_a_registry_that_does_not_answer_has_worse_than_known_holes():
    container = {"name": "registry", "image": "registry:3.1.0", "environment": [], "secrets": []}
    ill = patient(registry=container, suspect={"containerDefinitions": [container]}, replicas=1, is_open=False)
    assert inside.unnoticed(ill) is None


def test_policies_with_wildcards_and_denials():
    def statement(effect, action, resource="*", **more):
        return {"Effect": effect, "Action": action, "Resource": resource, **more}

    def document(*statements):
        return {"Version": "2012-10-17", "Statement": list(statements)}

    arn, get = "arn:aws:s3:::b/docker/x", "s3:GetObject"
    assert policy.allowed([document(statement("Allow", "s3:Get*", "arn:aws:s3:::b/*"))], get, arn)
    assert not policy.allowed([document(statement("Allow", "s3:Put*"))], get, arn)
    assert not policy.allowed([document(statement("Allow", "*"), statement("Deny", ["S3:getobject"]))], get, arn)
    assert policy.allowed([document(statement("Allow", "*"), statement("Deny", "*", Condition={"Bool": {}}))], get, arn)
    everybody = document(statement("Deny", "s3:*", Principal="*"))
    somebody = document(statement("Deny", "s3:*", Principal={"AWS": ["arn:aws:iam::1:user/u"]}))
    assert policy.denies(everybody, {"x"}, get, arn)
    assert policy.denies(somebody, {"arn:aws:iam::1:user/u"}, get, arn)
    assert not policy.denies(somebody, {"arn:aws:iam::1:user/v"}, get, arn)
    plain_http = statement("Deny", "s3:*", Principal="*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    assert not policy.denies(document(plain_http), {"x"}, get, arn)

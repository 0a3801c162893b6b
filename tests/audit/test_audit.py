"""What the audit looks at, how it is asked, and what it does where it may not read."""

import re
from types import SimpleNamespace

import pytest
import stranger
import world
from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.session import Session
from moto import mock_aws

import runbook
from runbook import paths
from runbook.__main__ import main
from runbook.audit import audit, cache, classic, named, policies, rules
from runbook.audit.deployment import Deployment, redis
from runbook.audit.secrets import Place, _place
from runbook.errors import Expired, ParamsError
from runbook.finding import SEVERITIES
from runbook.local.inside import authorization
from runbook.session import _READS

ARN = "arn:aws:ecs:eu-central-1:123456789012:service/default/docker"


@pytest.mark.pure
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((ARN, None, None), ("docker", "default", "eu-central-1")),
        ((ARN, "default", "eu-central-1"), ("docker", "default", "eu-central-1")),
        (("arn:aws-cn:ecs:cn-north-1:1:service/docker", "c", None), ("docker", "c", "cn-north-1")),
        (("docker", "default", "eu-west-1"), ("docker", "default", "eu-west-1")),
    ],
)
def test_a_service_is_named_by_its_arn_or_by_names(given, expected):
    assert named(*given) == expected


@pytest.mark.pure
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("docker", None, None), "needs --cluster and --region"),
        (("docker", "default", None), "needs --region"),
        ((ARN, "other", None), "--cluster other: the ARN names the cluster default"),
        ((ARN, None, "eu-west-1"), "--region eu-west-1: the ARN names the region eu-central-1"),
        (("arn:aws:ecs:eu-central-1:1:service/docker", None, None), "give --cluster"),
        (("arn:aws:ecs:eu-central-1:1:cluster/default", None, None), "not the ARN of an ECS service"),
        (("arn:aws:s3:::bucket", None, None), "not the ARN of an ECS service"),
        (("arn:aws:ecs", None, None), "not the ARN of an ECS service"),
    ],
)
def test_what_names_no_service_is_told(given, said):
    with pytest.raises(ParamsError, match=re.escape(said)):
        named(*given)


@pytest.mark.pure
def test_rules_are_in_the_documents_words():
    """The table of docs/audit.md is that of the rules."""
    rows = [
        f"| {rule.severity} | {rule.what.replace('|', '/')} | {rule.remedy} | {rule.notebook or ''} | "
        f"{rule.row or ''} | {rule.control} |"
        for severity in reversed(SEVERITIES)
        for rule in rules.RULES.values()
        if rule.severity == severity
    ]
    shown = (paths.PROJECT / "docs" / "audit.md").read_text().splitlines()
    assert [line for line in shown if re.match(r"\| (error|warning|note) ", line)] == rows


@pytest.mark.pure
def test_rules_name_notebooks_that_are_there():
    for rule in rules.RULES.values():
        assert rule.severity in SEVERITIES
        assert rule.notebook is None or (paths.NOTEBOOKS / f"{rule.notebook}.ipynb").exists(), rule.name
        assert rule.row is None or rule.row in runbook.failures.FAILURES


def called():
    """The actions behind every call in the audit's code, as it is written there."""
    folder, session = paths.PROJECT / "runbook" / "audit", Session()
    text = "".join(file.read_text() for file in folder.glob("*.py"))
    text = text.replace("iam.all", "aws.iam.all").replace("d.aws.aws.", "d.aws.")
    kinds = ("role", "user", "group")
    composed = {f"iam:{name.format(kind=kind)}" for kind in kinds for name in
                ("list_{kind}_policies", "get_{kind}_policy", "list_attached_{kind}_policies")}  # fmt: skip
    said = r"aws\.(\w+)\.(?:(?:find|all)\(\s*f?\"(\w+)\"|(?!find|all)(\w+)\()"
    plain = {f"{service}:{one or other}" for service, one, other in re.findall(said, text) if one or other}
    named_apart = {f"s3:{name}" for name in re.findall(r'"(get_(?:public_access|bucket)_\w+)"', text)}
    named_apart |= {f"s3:get_bucket_{name}" for name in re.findall(r'_setting\(d, name, "(\w+)"', text)}
    named_apart |= {f"elasticache:{name}" for name in re.findall(r'operation, shown = "(\w+)"', text)}
    for each in sorted(plain | named_apart | composed):
        service, name = each.split(":")
        names = {xform_name(known): known for known in session.get_service_model(service).operation_names}
        operation = names[name]
        action = authorization.S3_ACTIONS.get(operation, operation) if service == "s3" else operation
        yield operation, f"{authorization.PREFIXES.get(service, service)}:{action}"


@pytest.mark.pure
def test_the_document_has_the_permissions_that_the_calls_need():
    calls = dict(called())
    assert len(calls) > 45
    assert all(name.startswith(_READS) for name in calls)
    text = (paths.PROJECT / "docs" / "audit.md").read_text()
    listed = set(re.findall(r"^- `([\w-]+:\w+)`$", text, re.MULTILINE))
    assert listed == set(calls.values()) - {"sts:GetCallerIdentity"}


@pytest.mark.pure
@pytest.mark.parametrize(
    ("statement", "action", "resource", "expected"),
    [
        ({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({"Effect": "Allow", "Action": "S3:getobject", "Resource": "*"}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::b"}, "s3:GetObject", "arn:aws:s3:::b/k",
         False),
        ({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, "s3:GetObject", "arn:aws:s3:::b/k", True),
        ({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}, "s3:GetObject", "arn:aws:s3:::b/k", False),
        ({"Effect": "Allow", "Action": "s3:Get?bject", "NotResource": "arn:aws:s3:::c/*"}, "s3:GetObject",
         "arn:aws:s3:::b/k", True),
        ({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}, "s3:GetObject", "arn:aws:s3:::b/k", False),
    ],
)  # fmt: skip
def test_what_a_policy_allows(statement, action, resource, expected):
    assert policies.allowed([{"Statement": statement}], action, resource) == expected


@pytest.mark.pure
def test_a_deny_counts_over_an_allow_unless_it_has_a_condition():
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
    for more, expected in (({}, False), ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, True)):
        documents = [{"Statement": [allow]}, {"Statement": [deny | more]}]
        assert policies.allowed(documents, "s3:PutObject", "arn:aws:s3:::b/k") == expected


@pytest.mark.pure
@pytest.mark.parametrize(
    ("variables", "addresses"),
    [
        ({}, []),
        ({"REGISTRY_REDIS_ADDR": "a:6379"}, ["a:6379"]),
        ({"REGISTRY_REDIS_ADDRS": "[a:6379, b:6379]"}, ["a:6379", "b:6379"]),
        ({"REGISTRY_REDIS": "{addr: 'a:6379'}"}, ["a:6379"]),
        ({"REGISTRY_REDIS": "{addrs: ['a:6379']}"}, ["a:6379"]),
        ({"REGISTRY_REDIS": "{"}, []),
    ],
)
def test_where_the_cache_is(variables, addresses):
    assert redis(variables)["addrs"] == addresses


@pytest.mark.pure
@pytest.mark.parametrize(
    ("image", "tls", "expected"),
    [("registry:2.8.3", True, "error"), ("registry:2.8.3", False, "note"), ("registry:3.1.1", False, "warning"),
     ("registry:3.1.1", True, None)],
)  # fmt: skip
def test_tls_with_the_cache_is_what_the_version_can(image, tls, expected):
    task = {"containerDefinitions": [{"name": "registry", "image": image}]}
    d = Deployment(SimpleNamespace(), {"clusterArn": "x/y"}, None)
    d.task = task
    known = {"AtRestEncryptionEnabled": True, "AuthTokenEnabled": True, "SnapshotRetentionLimit": 1,
             "AutomaticFailover": "enabled", "TransitEncryptionEnabled": tls}  # fmt: skip
    assert [each.severity for each in cache.looked_at(d, "cache", known)] == ([expected] if expected else [])


@pytest.mark.pure
@pytest.mark.parametrize(
    ("name", "modern"),
    [
        ("ELBSecurityPolicy-2016-08", False),
        ("ELBSecurityPolicy-TLS-1-1-2017-01", False),
        ("ELBSecurityPolicy-FS-2018-06", False),
        ("ELBSecurityPolicy-FS-1-1-2019-08", False),
        ("ELBSecurityPolicy-TLS13-1-0-2021-06", False),
        ("ELBSecurityPolicy-TLS-1-2-2017-01", True),
        ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", True),
        ("ELBSecurityPolicy-FS-1-2-Res-2020-10", True),
        ("ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", True),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", True),
    ],
)
def test_which_of_aws_policies_have_old_tls(name, modern):
    assert bool(classic.MODERN.fullmatch(name)) == modern


@pytest.mark.pure
def test_a_secret_is_named_by_the_arn_of_either_service_or_by_a_name():
    d = SimpleNamespace(aws=SimpleNamespace(region="eu-central-1", account="123456789012"))
    secret = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:registry/key-AbCdEf"
    assert _place(d, f"{secret}:accesskey::") == Place("secretsmanager", "registry/key", secret)
    parameter = "arn:aws:ssm:eu-central-1:123456789012:parameter/registry/key"
    assert _place(d, parameter) == Place("ssm", "/registry/key", parameter)
    assert _place(d, "key") == Place("ssm", "key", "arn:aws:ssm:eu-central-1:123456789012:parameter/key")


@pytest.fixture
def made(p, account, monkeypatch, tmp_path):
    world.install(monkeypatch, p.region)
    world.write(tmp_path / "live")
    pem = [(tmp_path / "live" / name).read_bytes() for name in ("cert.pem", "privkey.pem", "chain.pem")]
    with mock_aws():
        aws = runbook.connect(p)
        yield aws, *stranger.make(aws, pem)


def refuse(aws, monkeypatch, operations, code="AccessDenied"):
    """AWS refuses these operations from here on, by name; `*` all but those of the service itself."""
    aws.begin()
    spared = ("GetCallerIdentity", "DescribeServices")

    def send(model, **_):
        if model.name in operations or ("*" in operations and model.name not in spared):
            said = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(said, model.name)

    aws._session.events.register_first("before-call", send)
    aws._reader = None  # the clients it has made already have the events of before


@pytest.mark.moto
def test_what_the_lint_says_too_is_said_once(made):
    aws, *_ = made
    found = audit(aws, stranger.SERVICE, stranger.CLUSTER)
    of_lint = {each.where.partition(", ")[2] for each in found[:] if each.where.startswith("container registry of ")}
    said_by_the_audit = {
        "REGISTRY_STORAGE_S3_ACCESSKEY",
        "REGISTRY_STORAGE_S3_SECRETKEY",
        "logConfiguration",
        "privileged",
    }
    assert not of_lint & said_by_the_audit
    assert "version" in of_lint
    [image] = [each for each in found[:] if ", image " in each.where]
    assert (image.severity, "config.yml" in image.what) == ("note", True)


@pytest.mark.moto
def test_what_may_not_be_read_is_a_note_and_the_rest_is_looked_at(made, monkeypatch):
    aws, *_ = made
    whole = audit(aws, stranger.SERVICE, stranger.CLUSTER)
    refuse(aws, monkeypatch, {"GetBucketPolicy"})
    found = audit(aws, stranger.SERVICE, stranger.CLUSTER)
    gone = {(each.where, each.what) for each in whole} - {(each.where, each.what) for each in found}
    assert gone == {(f"bucket {stranger.BUCKET}", "it answers requests without TLS")}
    [note] = [each for each in found if each not in whole]
    assert (note.severity, note.where) == ("note", f"bucket {stranger.BUCKET}")
    assert "the caller needs the permission s3:GetBucketPolicy" in note.what


@pytest.mark.moto
def test_a_bucket_that_may_not_be_listed_is_looked_at(made, monkeypatch):
    aws, *_ = made
    whole = audit(aws, stranger.SERVICE, stranger.CLUSTER)
    refuse(aws, monkeypatch, {"HeadBucket"})
    assert audit(aws, stranger.SERVICE, stranger.CLUSTER) == whole


@pytest.mark.moto
def test_where_nothing_may_be_read_there_are_notes(made, monkeypatch):
    aws, *_ = made
    refuse(aws, monkeypatch, {"*"})
    found = audit(aws, stranger.SERVICE, stranger.CLUSTER)
    assert {each.severity for each in found[:]} == {"note"}
    assert "ecs:DescribeTaskDefinition" in repr(found)


@pytest.mark.moto
def test_a_login_that_ends_is_no_note(made, monkeypatch):
    aws, *_ = made
    refuse(aws, monkeypatch, {"GetBucketPolicy"}, code="ExpiredToken")
    with pytest.raises(Expired):
        audit(aws, stranger.SERVICE, stranger.CLUSTER)


@pytest.mark.moto
def test_nothing_is_changed(made, monkeypatch):
    aws, *_ = made
    names = []
    aws.begin()
    aws._session.events.register_first("before-call", lambda model, **_: names.append(model.name))
    audit(aws, stranger.SERVICE, stranger.CLUSTER)
    assert len(set(names)) > 25
    assert set(names) <= {name for name, _ in called()} | {"GetCallerIdentity"}


@pytest.mark.moto
@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--service", ARN], 1),
        (["--service", "docker", "--cluster", "default", "--region", "eu-central-1"], 1),
        (["--service", "docker"], 2),
        (["--service", ARN.replace("docker", "other")], 2),
        (["--service", ARN.replace("default", "other")], 2),
        (["--service", ARN.replace("eu-central-1", "eu-center-1")], 2),
    ],
)
def test_the_command(made, capsys, arguments, status):
    _, *secrets = made
    assert main(["audit", *arguments]) == status
    out, err = capsys.readouterr()
    assert bool(out) == (status == 1)
    assert bool(err) == (status == 2)
    assert not [each for each in secrets if each in out + err]


@pytest.mark.moto
def test_a_key_that_aws_quotes_is_not_told(made, monkeypatch):
    aws, key_id, _ = made
    aws.begin()

    def send(model, **_):
        if model.name == "GetAccessKeyLastUsed":
            said = f"not authorized to perform: iam:GetAccessKeyLastUsed on resource: access key {key_id}"
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": said}}, model.name)

    aws._session.events.register_first("before-call", send)
    aws._reader = None  # the clients it has made already have the events of before
    found = repr(audit(aws, stranger.SERVICE, stranger.CLUSTER))
    assert "iam:GetAccessKeyLastUsed" in found
    assert key_id not in found

"""The task definition: the blog's JSON field by field, its parts, its revisions."""

import copy

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ecs.models import ecs_backends

import runbook
from runbook import revisions, roles, secretsmanager, task
from runbook.errors import AwsError, Denied, NotOurs, StepFailed
from runbook.secret import Secret, generate

BLOG = {
    "containerDefinitions": [
        {
            "volumesFrom": [],
            "portMappings": [{"hostPort": 5000, "containerPort": 5000, "protocol": "tcp"}],
            "command": ["/etc/docker/registry/config.yml"],
            "environment": [
                {"name": "REGISTRY_AUTH_HTPASSWD_REALM", "value": "elastic.io private registry"},
                {"name": "REGISTRY_STORAGE_S3_REGION", "value": "eu-central-1"},
                {"name": "REGISTRY_STORAGE_S3_BUCKET", "value": "elastic-io-registry"},
                {"name": "REGISTRY_AUTH_HTPASSWD_PATH", "value": "/auth/htpasswd"},
            ],
            "essential": True,
            "entryPoint": [],
            "links": [],
            "mountPoints": [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": True}],
            "memory": 1000,
            "name": "registry",
            "cpu": 1024,
            "image": "elasticio/docker-registry-ecs:latest",
        }
    ],
    "volumes": [{"host": {"sourcePath": "/home/ec2-user/auth"}, "name": "auth"}],
    "family": "registry",
}
SECRETS = ["REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY", "REGISTRY_HTTP_SECRET"]


def add_key(aws, p):
    """What notebook 01 leaves behind."""
    key = Secret('{"accesskey": "AKIAEXAMPLE", "secretkey": "example"}')
    secretsmanager.write_secret(aws, p, p.key_secret, key, "key")


def newest(aws, p):
    return revisions.find_active(aws, p)[0]


def register(aws, p, definition, **changes):
    """Another revision, made behind our back from the answer that describes one."""
    keys = task.want_task(p).keys()
    tags = [{"key": k, "value": v} for k, v in p.tags.items()]
    aws.ecs.register_task_definition(**{k: definition[k] for k in keys} | {"tags": tags} | changes)


def inside(definition):
    return definition["containerDefinitions"][0]


def wrong(report):
    return [check.name for check in report.checks if not check.ok]


@pytest.mark.pure
@pytest.mark.parametrize("configured_by", ["environment", "image"])
def test_every_field_of_the_blog_is_there(p, configured_by):
    p = runbook.load(p.model_dump() | {"configured_by": configured_by, "image": "registry:2.8.3"})
    wanted = task.want_task(p)
    blog = copy.deepcopy(BLOG)
    blog_environment = {(pair["name"], pair["value"]) for pair in inside(blog).pop("environment")}
    found = {(pair["name"], pair["value"].strip('"')) for pair in inside(wanted)["environment"]}
    assert blog_environment <= found
    assert inside(blog).pop("image") != inside(wanted)["image"] == "registry:2.8.3"
    assert inside(blog).items() <= inside(wanted).items()
    assert wanted["volumes"] == blog["volumes"] and wanted["family"] == blog["family"]


@pytest.mark.pure
def test_secrets_are_references_and_none_is_in_the_environment(p):
    container = inside(task.want_task(p))
    assert [secret["name"] for secret in container["secrets"]] == SECRETS
    assert [secret["valueFrom"] for secret in container["secrets"]] == [
        "secretsmanager:registry/s3-key:accesskey",
        "secretsmanager:registry/s3-key:secretkey",
        "secretsmanager:registry/http-secret",
    ]
    assert not {pair["name"] for pair in container["environment"]} & set(SECRETS)


@pytest.mark.pure
def test_the_log_goes_to_the_group_without_blocking_the_registry(p):
    configuration = inside(task.want_task(p))["logConfiguration"]
    assert configuration["logDriver"] == "awslogs"
    assert configuration["options"]["awslogs-group"] == "/ecs/registry"
    assert configuration["options"]["awslogs-region"] == "eu-central-1"
    assert configuration["options"]["mode"] == "non-blocking"


@pytest.mark.pure
def test_the_execution_role_may_read_two_secrets_and_write_one_log_for_this_account_only(p):
    wanted = task.want_execution_role(p, "111122223333")
    statement = wanted["Trust"]["Statement"][0]
    assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "111122223333"}
    here = "eu-central-1:111122223333"
    assert [(s["Action"], s["Resource"]) for s in wanted["InlinePolicy"]["Statement"]] == [
        (
            ["secretsmanager:GetSecretValue"],
            [
                f"arn:aws:secretsmanager:{here}:secret:registry/s3-key-*",
                f"arn:aws:secretsmanager:{here}:secret:registry/http-secret-*",
            ],
        ),
        (["logs:CreateLogStream", "logs:PutLogEvents"], [f"arn:aws:logs:{here}:log-group:/ecs/registry:*"]),
    ]


@pytest.mark.moto
def test_from_nothing_to_one_revision_and_then_nothing_to_change(aws, p):
    add_key(aws, p)
    assert task.verify_task(aws.read_only(), p).absent
    changes = task.ensure_task(aws, p)
    assert repr(changes).splitlines() == [
        "+ secret registry/http-secret: created",
        "+ IAM role registry-execution: created",
        "+ log group /ecs/registry: created",
        "+ task definition registry: created",
    ]
    assert not task.ensure_task(aws.read_only(), p)
    task.verify_task(aws.read_only(), p).require()
    found = task.find_task(aws, p)
    assert found == task.want_task(p)
    assert newest(aws, p)["revision"] == 1


@pytest.mark.moto
def test_ecs_is_given_full_arns(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    definition = newest(aws, p)
    assert definition["executionRoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/registry-execution"
    key, http = (secretsmanager.find_secret(aws, p, name) for name in (p.key_secret, p.http_secret))
    assert [secret["valueFrom"] for secret in inside(definition)["secrets"]] == [
        f"{key['ARN']}:accesskey::{key['VersionId']}",
        f"{key['ARN']}:secretkey::{key['VersionId']}",
        f"{http['ARN']}:::{http['VersionId']}",
    ]


@pytest.mark.moto
def test_a_new_version_of_the_key_is_a_new_revision(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    add_key(aws, p)
    assert "secretsmanager:registry/s3-key:secretkey (an older version)" in task.verify_task(aws, p).failures()
    assert task.ensure_task(aws, p)
    assert newest(aws, p)["revision"] == 2
    assert not task.ensure_task(aws.read_only(), p)


@pytest.mark.moto
def test_the_http_secret_is_made_once_and_never_shown(aws, p):
    add_key(aws, p)
    shown = [repr(task.ensure_task(aws, p))]
    value = secretsmanager.read_secret(aws, p, p.http_secret)
    shown += [repr(task.ensure_task(aws, p)), repr(task.verify_task(aws, p)), repr(task.find_task(aws, p))]
    assert secretsmanager.read_secret(aws, p, p.http_secret) == value
    assert len(value.reveal()) >= 32
    assert not any(value.reveal() in text for text in shown)


@pytest.mark.moto
def test_without_the_key_of_notebook_01_nothing_is_written(aws, p):
    with pytest.raises(StepFailed, match="registry/s3-key.*01_enable_s3_and_authentication"):
        task.ensure_task(aws.read_only(), p)


def in_container(**changes):
    return lambda definition: inside(definition).update(changes)


def variable(name, value):
    def change(definition):
        pairs = [pair for pair in inside(definition)["environment"] if pair["name"] != name]
        inside(definition)["environment"] = pairs + ([{"name": name, "value": value}] if value else [])

    return change


def add_container(definition):
    definition["containerDefinitions"].append({"name": "other", "image": "busybox:1", "memory": 10, "cpu": 10})


DRIFTS = {
    "registry.image": in_container(image="registry:2.7.1"),
    "registry.cpu": in_container(cpu=512),
    "registry.memory": in_container(memory=500),
    "registry.command": in_container(command=["/other.yml"]),
    "registry.entryPoint": in_container(entryPoint=["/bin/sh"]),
    "registry.links": in_container(links=["other"]),
    "registry.volumesFrom": in_container(volumesFrom=[{"sourceContainer": "other"}]),
    "registry.essential": in_container(essential=False),
    "registry.mountPoints": in_container(mountPoints=[]),
    "registry.portMappings": in_container(portMappings=[{"hostPort": 5001, "containerPort": 5000, "protocol": "tcp"}]),
    "registry.environment.REGISTRY_STORAGE_S3_BUCKET": variable("REGISTRY_STORAGE_S3_BUCKET", "other"),
    "registry.environment.REGISTRY_AUTH_HTPASSWD_PATH": variable("REGISTRY_AUTH_HTPASSWD_PATH", None),
    "registry.environment.REGISTRY_LOG_LEVEL": variable("REGISTRY_LOG_LEVEL", "debug"),
    "registry.secrets.REGISTRY_HTTP_SECRET": lambda d: inside(d)["secrets"].pop(),
    "registry.logConfiguration.options.mode": lambda d: inside(d)["logConfiguration"]["options"].pop("mode"),
    "other": add_container,
    "volume.auth.sourcePath": lambda d: d["volumes"][0]["host"].update(sourcePath="/elsewhere"),
    "volume.more": lambda d: d["volumes"].append({"name": "more", "host": {"sourcePath": "/more"}}),
    "networkMode": lambda d: d.update(networkMode="host"),
    "executionRoleArn": lambda d: d.update(executionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/other"),
}


@pytest.mark.moto
def test_drift_in_any_field_is_named_and_mended_by_one_new_revision(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    for name, drift in DRIFTS.items():
        changed = copy.deepcopy(newest(aws, p))
        drift(changed)
        register(aws, p, changed)
        full = name if name.startswith(("volume", "networkMode", "executionRole")) else f"container.{name}"
        assert [n for n in wrong(task.verify_task(aws, p)) if n != "surplus ACTIVE revisions"] == [full]
        changes = repr(task.ensure_task(aws, p))
        assert "~ task definition registry: changed" in changes and full in changes
        assert [r["revision"] for r in revisions.find_active(aws, p)] == [changed["revision"] + 2]
        task.verify_task(aws, p).require()
    assert not task.ensure_task(aws.read_only(), p)


@pytest.mark.moto
def test_a_plain_secret_in_the_environment_is_named(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    changed = copy.deepcopy(newest(aws, p))
    variable("REGISTRY_STORAGE_S3_SECRETKEY", "placed here")(changed)
    register(aws, p, changed)
    report = task.verify_task(aws, p)
    (check,) = [check for check in report.checks if check.name == "secrets in plain environment"]
    assert (check.ok, check.found) == (False, "REGISTRY_STORAGE_S3_SECRETKEY")


@pytest.mark.moto
def test_drift_in_the_parts_is_named_and_mended(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    aws.logs.put_retention_policy(logGroupName=p.log_group, retentionInDays=1)
    aws.iam.delete_role_policy(RoleName=p.execution_role, PolicyName=roles.INLINE)
    names = wrong(task.verify_task(aws, p))
    assert "log group.retentionInDays" in names
    assert {name for name in names if name.startswith("execution role.InlinePolicy")}
    assert "+ task" not in repr(task.ensure_task(aws, p))
    task.verify_task(aws, p).require()


@pytest.mark.moto
def test_what_ecs_fills_in_or_leaves_out_is_no_difference(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    (definition,) = ecs_backends[ACCOUNT][p.region].task_definitions[p.family].values()
    container = definition.container_definitions[0]
    for key in ("links", "entryPoint", "volumesFrom"):
        del container[key]
    container |= {"systemControls": [], "privileged": False}
    container["logConfiguration"] |= {"secretOptions": []}
    container["environment"].reverse()
    task.verify_task(aws, p).require()
    assert not task.ensure_task(aws.read_only(), p)


@pytest.mark.moto
def test_a_key_secret_made_anew_needs_a_new_revision(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    secretsmanager.destroy_secret(aws, p, p.key_secret)
    report = task.verify_task(aws, p)
    assert "a former secret of that name" in report.failures()
    assert not any(check.found.startswith("arn:") for check in report.checks)
    add_key(aws, p)
    assert "container.registry.secrets.REGISTRY_STORAGE_S3_ACCESSKEY" in wrong(task.verify_task(aws, p))
    task.ensure_task(aws, p)
    task.verify_task(aws, p).require()


@pytest.mark.moto
def test_a_second_revision_of_a_lost_reply_is_deregistered_and_the_newest_kept(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    register(aws, p, newest(aws, p))
    assert wrong(task.verify_task(aws, p)) == ["surplus ACTIVE revisions"]
    assert "surplus ACTIVE revisions: 1 → 0" in repr(task.ensure_task(aws, p))
    assert [r["revision"] for r in revisions.find_active(aws, p)] == [2]
    task.verify_task(aws, p).require()


@pytest.mark.moto
def test_a_revision_that_the_service_runs_stays(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    aws.ecs.create_cluster(clusterName=p.cluster_name)
    tags = [{"key": k, "value": v} for k, v in p.tags.items()]
    options = {"taskDefinition": newest(aws, p)["taskDefinitionArn"], "desiredCount": 1, "tags": tags}
    aws.ecs.create_service(cluster=p.cluster_name, serviceName=p.service_name, **options)
    changed = runbook.load(p.model_dump() | {"realm": "another realm"})
    task.ensure_task(aws, changed)
    task.verify_task(aws, changed).require()
    assert [r["revision"] for r in revisions.find_active(aws, p)] == [2, 1]
    assert not task.ensure_task(aws.read_only(), changed)
    aws.ecs.delete_service(cluster=p.cluster_name, service=p.service_name, force=True)
    task.ensure_task(aws, changed)
    assert [r["revision"] for r in revisions.find_active(aws, p)] == [2]


@pytest.mark.moto
def test_a_foreign_family_is_left_alone(aws, p):
    add_key(aws, p)
    container = {"name": "theirs", "image": "theirs:1", "memory": 10}
    aws.ecs.register_task_definition(family=p.family, containerDefinitions=[container])
    for verb in (task.find_task, task.ensure_task, task.verify_task, task.destroy_task):
        with pytest.raises(NotOurs, match="task definition registry"):
            verb(aws, p)
    assert len(aws.ecs.all("list_task_definitions", "taskDefinitionArns", familyPrefix=p.family)) == 1


@pytest.mark.moto
def test_a_family_whose_name_begins_alike_is_not_ours_to_see(aws, p):
    add_key(aws, p)
    container = {"name": "theirs", "image": "theirs:1", "memory": 10}
    aws.ecs.register_task_definition(family=p.family + "-mirror", containerDefinitions=[container])
    assert task.find_task(aws, p) is None


@pytest.mark.moto
def test_a_foreign_log_group_is_left_alone(aws, p):
    add_key(aws, p)
    aws.logs.create_log_group(logGroupName=p.log_group)
    for verb in (task.ensure_task, task.verify_task, task.destroy_task):
        with pytest.raises(NotOurs, match="log group /ecs/registry"):
            verb(aws, p)


def nothing_left(aws, p):
    for status in ("ACTIVE", "INACTIVE"):
        assert aws.ecs.all("list_task_definitions", "taskDefinitionArns", familyPrefix=p.family, status=status) == []
    assert roles.find_role(aws, p, p.execution_role) is None
    assert task.find_log_group(aws, p) is None
    assert secretsmanager.find_secret(aws, p, p.http_secret) is None
    assert secretsmanager.find_secret(aws, p, p.key_secret)


@pytest.mark.moto
def test_destroy_leaves_nothing_however_many_revisions_there_were(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    for number in range(11):
        task.ensure_task(aws, runbook.load(p.model_dump() | {"realm": f"realm {number}"}))
    assert repr(task.destroy_task(aws, p)).splitlines() == [
        "- task definition registry: destroyed",
        "- IAM role registry-execution: destroyed",
        "- log group /ecs/registry: destroyed",
        "- secret registry/http-secret: destroyed",
    ]
    nothing_left(aws, p)
    assert not task.destroy_task(aws.read_only(), p)


@pytest.mark.moto
def test_a_killed_ensure_is_completed(crash_everywhere, p):
    def check(aws, p):
        task.verify_task(aws, p).require()
        assert len(revisions.find_active(aws, p)) == 1

    assert len(crash_everywhere(task.ensure_task, check, prepare=add_key)) == 6


@pytest.mark.moto
def test_a_killed_destroy_is_completed(crash_everywhere, p):
    def prepare(aws, p):
        add_key(aws, p)
        task.ensure_task(aws, p)
        secretsmanager.write_secret(aws, p, p.http_secret, generate(), "http")

    assert len(crash_everywhere(task.destroy_task, nothing_left, prepare=prepare)) == 6


@pytest.mark.moto
@pytest.mark.parametrize(
    ("code", "message"),
    [("ClientException", "Role is not valid"), ("AccessDeniedException", "not authorized to perform: iam:PassRole on")],
)
def test_ecs_may_not_know_the_new_role_at_once(aws, p, monkeypatch, code, message):
    add_key(aws, p)
    kind = Denied if code.startswith("AccessDenied") else AwsError
    real, answers = aws.ecs.register_task_definition, [kind("ecs", "RegisterTaskDefinition", code, message)] * 2

    def register(**request):
        if answers:
            raise answers.pop()
        return real(**request)

    monkeypatch.setattr(aws.ecs, "register_task_definition", register, raising=False)
    monkeypatch.setattr("runbook.wait.time.sleep", lambda _: None)
    task.ensure_task(aws, p)
    assert not answers and task.verify_task(aws, p).require()


@pytest.mark.moto
def test_a_task_definition_that_ecs_refuses_is_not_waited_for(aws, p, monkeypatch):
    add_key(aws, p)

    def register(**_):
        raise AwsError("ecs", "RegisterTaskDefinition", "ClientException", "Invalid setting for container")

    monkeypatch.setattr(aws.ecs, "register_task_definition", register, raising=False)
    with pytest.raises(AwsError, match="Invalid setting"):
        task.ensure_task(aws, p)


@pytest.mark.moto
def test_a_revision_that_is_listed_late_as_inactive_is_deleted_too(aws, p, monkeypatch):
    add_key(aws, p)
    task.ensure_task(aws, p)
    real = aws.ecs.all

    def late(operation, key, **asked):
        return [] if asked.get("status") == "INACTIVE" else real(operation, key, **asked)

    monkeypatch.setattr(aws.ecs, "all", late, raising=False)
    task.destroy_task(aws, p)
    assert real("list_task_definitions", "taskDefinitionArns", status="INACTIVE") == []

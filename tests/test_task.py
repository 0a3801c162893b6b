"""The task definition's parts, its revisions, and the words that stand for ARNs and addresses."""

import copy

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ecs.models import ecs_backends
from moto.elasticache.models import elasticache_backends

import runbook
from runbook import elasticache, htpasswd, identity, revisions, roles, secretsmanager, task
from runbook.errors import AwsError, Denied, NotOurs, StepFailed
from runbook.log_group import find_log_group
from runbook.secret import Secret, generate


def production(**changes):
    """A careful team's params, for AWS with registry 3."""
    own = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **changes}
    return runbook.load({**runbook.load("production").model_dump(), **own})


PRODUCTION = pytest.mark.parametrize(
    "p",
    [production(), production(image="registry-ecs:1", configured_by="image", credentials="instance-role")],
    ids=["task-role", "instance-role"],
)


def add_key(aws, p):
    """What notebook 01 leaves behind."""
    key = Secret('{"accesskey": "AKIAEXAMPLE", "secretkey": "example"}')
    secretsmanager.write_secret(aws, p, p.key_secret, key, "key")


def add_earlier(aws, p):
    """What notebook 01 and the earlier steps of 02 leave behind for production."""
    identity.ensure_identity(aws, p)
    add_cache(aws, p)


def add_cache(aws, p):
    tags = [{"Key": k, "Value": v} for k, v in p.tags.items()]
    asked = {"ReplicationGroupDescription": "test", "CacheNodeType": p.cache_node_type, "Engine": "redis"}
    aws.elasticache.create_replication_group(ReplicationGroupId=p.cache_name, Tags=tags, **asked)


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
    assert [str(row) for row in changes.rows] == [
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
@PRODUCTION
def test_what_ecs_fills_in_or_leaves_out_of_production_is_no_difference(aws, p):
    add_earlier(aws, p)
    task.ensure_task(aws, p)
    (definition,) = ecs_backends[ACCOUNT][p.region].task_definitions[p.family].values()
    for container in definition.container_definitions:
        del container["privileged"]
        container["linuxParameters"]["capabilities"]["add"] = []
        container |= {"systemControls": [], "dnsServers": []}
    definition.volumes[0]["host"] = {}
    task.verify_task(aws, p).require()
    assert not task.ensure_task(aws.read_only(), p)


@pytest.mark.moto
def test_a_secret_that_the_task_needs_no_longer_is_told_by_its_name(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    report = task.verify_task(aws, p.model_copy(update={"credentials": "instance-role"}))
    assert "REGISTRY_STORAGE_S3_ACCESSKEY: wanted absent, found secretsmanager:registry/s3-key:accesskey" in str(
        [str(check) for check in report.checks]
    )
    assert "former" not in report.failures()


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
    assert find_log_group(aws, p) is None
    assert secretsmanager.find_secret(aws, p, p.http_secret) is None
    assert secretsmanager.find_secret(aws, p, p.key_secret)


@pytest.mark.moto
def test_destroy_leaves_nothing_however_many_revisions_there_were(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    for number in range(11):
        task.ensure_task(aws, runbook.load(p.model_dump() | {"realm": f"realm {number}"}))
    assert [str(row) for row in task.destroy_task(aws, p).rows] == [
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


@pytest.mark.pure
@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["http-secret", "htpasswd"]),
        ({"credentials": "access-key"}, ["s3-key", "http-secret", "htpasswd"]),
    ],
)
def test_the_execution_role_may_read_what_its_containers_need(changes, names):
    read, _ = task.want_execution_role(production(**changes), ACCOUNT)["InlinePolicy"]["Statement"]
    here = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:registry"
    assert read["Resource"] == [f"{here}/{name}-*" for name in names]


@pytest.mark.moto
@PRODUCTION
def test_production_from_nothing_and_then_nothing_to_change(aws, p):
    add_earlier(aws, p)
    assert [str(row) for row in task.ensure_task(aws, p).rows] == [
        "+ secret registry/http-secret: created",
        "+ secret registry/htpasswd: created",
        "+ IAM role registry-scaled-execution: created",
        "+ log group /ecs/registry: created",
        "+ task definition registry: created",
    ]
    assert not task.ensure_task(aws.read_only(), p)
    report = task.verify_task(aws.read_only(), p).require()
    assert ("static keys", "none") in [(check.name, check.found) for check in report.checks]
    assert secretsmanager.find_secret(aws, p, p.htpasswd_secret)["VersionId"] is None
    assert secretsmanager.find_secret(aws, p, p.key_secret) is None


@pytest.mark.moto
@PRODUCTION
def test_ecs_is_given_the_cache_and_the_roles_of_production(aws, p):
    add_earlier(aws, p)
    task.ensure_task(aws, p)
    registry, init = newest(aws, p)["containerDefinitions"]
    environment = {pair["name"]: pair["value"] for pair in registry["environment"]}
    assert f'"{elasticache.endpoint(elasticache.describe(aws, p))}"' in environment["REGISTRY_REDIS"]
    assert "elasticache:" not in str(registry)
    htpasswd_arn = secretsmanager.find_secret(aws, p, p.htpasswd_secret)["ARN"]
    assert init["secrets"] == [{"name": "HTPASSWD", "valueFrom": htpasswd_arn}]
    assert [secret["name"] for secret in registry["secrets"]] == ["REGISTRY_HTTP_SECRET"]
    has = f"arn:aws:iam::{ACCOUNT}:role/registry-task" if p.credentials == "task-role" else None
    assert newest(aws, p).get("taskRoleArn") == has


@pytest.mark.moto
@pytest.mark.parametrize("p", [production()], ids=["production"])
def test_a_killed_ensure_of_production_is_completed(crash_everywhere, p):
    def check(aws, p):
        task.verify_task(aws, p).require()
        assert len(revisions.find_active(aws, p)) == 1

    assert crash_everywhere(task.ensure_task, check, prepare=add_earlier) == [
        "secretsmanager CreateSecret",
        "secretsmanager CreateSecret",
        "iam CreateRole",
        "iam PutRolePolicy",
        "logs CreateLogGroup",
        "logs PutRetentionPolicy",
        "ecs RegisterTaskDefinition",
    ]


@pytest.mark.moto
@pytest.mark.parametrize("p", [production()], ids=["production"])
def test_without_the_role_of_notebook_01_or_the_cache_nothing_is_written(aws, p):
    with pytest.raises(StepFailed, match="IAM role registry-task.*01_enable_s3_and_authentication"):
        task.ensure_task(aws.read_only(), p)
    identity.ensure_identity(aws, p)
    with pytest.raises(StepFailed, match="cache registry-cache.*02_create_a_task_definition from its start"):
        task.ensure_task(aws.read_only(), p)


PRODUCTION_DRIFTS = {
    "container.registry.user": in_container(user="root"),
    "container.registry.readonlyRootFilesystem": in_container(readonlyRootFilesystem=False),
    "container.registry.privileged": in_container(privileged=True),
    "container.registry.linuxParameters.capabilities.drop": in_container(linuxParameters={}),
    "container.registry.dependsOn": in_container(dependsOn=[]),
    "container.registry.stopTimeout": in_container(stopTimeout=30),
    "container.registry.memoryReservation": in_container(memoryReservation=100),
    "container.registry.portMappings": in_container(portMappings=[{"hostPort": 5000, "containerPort": 5000}]),
    "container.registry.environment.REGISTRY_REDIS": variable("REGISTRY_REDIS", "{addrs: [elsewhere:6379]}"),
    "container.registry.secrets.HTPASSWD": lambda d: inside(d)["secrets"].extend(
        d["containerDefinitions"][1]["secrets"]
    ),
    "container.htpasswd.command": lambda d: d["containerDefinitions"][1].update(command=["true"]),
    "container.htpasswd.secrets.REGISTRY_HTTP_SECRET": lambda d: d["containerDefinitions"][1]["secrets"].extend(
        inside(d)["secrets"]
    ),
    "volume.auth.scope": lambda d: d["volumes"][0]["dockerVolumeConfiguration"].update(scope="shared"),
    "taskRoleArn": lambda d: d.update(taskRoleArn=f"arn:aws:iam::{ACCOUNT}:role/other"),
}


@pytest.mark.moto
@PRODUCTION
def test_drift_in_any_field_of_production_is_named_and_mended(aws, p):
    add_earlier(aws, p)
    task.ensure_task(aws, p)
    for name, drift in PRODUCTION_DRIFTS.items():
        changed = copy.deepcopy(newest(aws, p))
        drift(changed)
        register(aws, p, changed, **{k: changed[k] for k in ("taskRoleArn",) if k in changed})
        assert [n for n in wrong(task.verify_task(aws, p)) if n != "surplus ACTIVE revisions"] == [name]
        assert name in repr(task.ensure_task(aws, p))
        task.verify_task(aws, p).require()
    assert not task.ensure_task(aws.read_only(), p)


@pytest.mark.moto
@pytest.mark.parametrize("p", [production()], ids=["production"])
def test_a_static_key_beside_a_role_is_named(aws, p):
    add_earlier(aws, p)
    task.ensure_task(aws, p)
    changed = copy.deepcopy(newest(aws, p))
    arn = inside(changed)["secrets"][0]["valueFrom"]
    inside(changed)["secrets"].append({"name": "REGISTRY_STORAGE_S3_ACCESSKEY", "valueFrom": arn})
    register(aws, p, changed)
    assert "static keys: wanted none, found REGISTRY_STORAGE_S3_ACCESSKEY" in task.verify_task(aws, p).failures()


@pytest.mark.moto
@pytest.mark.parametrize("p", [production()], ids=["production"])
def test_a_cache_made_anew_needs_a_new_revision(aws, p):
    add_earlier(aws, p)
    task.ensure_task(aws, p)
    former = elasticache.endpoint(elasticache.describe(aws, p))
    aws.elasticache.delete_replication_group(ReplicationGroupId=p.cache_name)
    del elasticache_backends[ACCOUNT][p.region].replication_groups[p.cache_name]  # moto leaves it "deleting"
    shown = task.verify_task(aws, p).failures()
    assert "elasticache:registry-cache (a former cache of that name)" in shown and former not in shown
    add_cache(aws, p)
    assert wrong(task.verify_task(aws, p)) == ["container.registry.environment.REGISTRY_REDIS"]
    assert task.ensure_task(aws, p)
    task.verify_task(aws, p).require()


@pytest.mark.moto
@pytest.mark.parametrize("p", [production(bcrypt_cost=5)], ids=["production"])
def test_new_users_are_no_new_revision(aws, p):
    add_earlier(aws, p)
    task.ensure_task(aws, p)
    htpasswd.ensure_users(aws, p)
    assert not task.ensure_task(aws.read_only(), p)
    task.verify_task(aws, p).require()


@pytest.mark.moto
def test_the_blogs_deployment_becomes_productions_by_one_new_revision(aws, p):
    add_key(aws, p)
    task.ensure_task(aws, p)
    http = secretsmanager.read_secret(aws, p, p.http_secret)
    upgraded = production()
    add_earlier(aws, upgraded)
    assert "~ task definition registry: changed" in repr(task.ensure_task(aws, upgraded))
    task.verify_task(aws, upgraded).require()
    assert secretsmanager.read_secret(aws, p, p.http_secret) == http
    assert task.ensure_task(aws, p)
    task.verify_task(aws, p).require()

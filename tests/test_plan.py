"""All the steps together, on the embedded cloud with the real registry program behind a real HAProxy."""

import json
import os
import signal

import pytest
from account import dump
from programs import registries

from runbook import clients, htpasswd, identity, load, paths, plan, registry, service, storage, wait
from runbook.errors import NotOurs, ParamsError
from runbook.local.furnish import furnish
from runbook.secretsmanager import read_secret

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def p(home):
    return load("blog")


@pytest.fixture(scope="module")
def empty(p):
    """A connection to the account as a person finds it: a zone, a certificate in a folder, nothing of ours."""
    aws = plan.start(p)
    return aws, dump(aws)


@pytest.fixture
def aws(empty, p):
    """The blog's deployment, complete; what a test changed is mended here for the next one."""
    connection, _ = empty
    for step in plan.STEPS:
        step.ensure(connection, p)
    return connection


def with_users(p, **users):
    return load({**p.model_dump(), "users": users})


def status(aws, p, user, password):
    return aws.http().get(f"{p.url}/v2/", auth=(user, password)).status_code


def test_a_deployed_plan_has_nothing_to_change_and_writes_nothing(aws, p):
    assert not plan.changes(aws, p)
    assert plan.verify(aws, p).require()
    reader = aws.read_only()
    for step in plan.STEPS:
        assert not step.ensure(reader, p), step.thing


def test_the_registry_as_its_clients_see_it(aws, p):
    logins = htpasswd.logins(aws, p)
    assert {login.user for login in logins} == set(p.users)
    assert registry.verify_registry(aws, p, logins=logins).require()


def test_the_real_clients_log_in_push_and_pull(aws, p):
    login = htpasswd.logins(aws, p)[0]
    assert clients.docker_login(aws, p, login).require()
    assert clients.skopeo_round_trip(aws, p, login).require()
    assert any("blobs" in key["Key"] for key in aws.s3.all("list_objects_v2", "Contents", Bucket=p.bucket))


def test_users_come_change_and_go_without_a_restart(aws, p, monkeypatch):
    started = running_tasks(aws, p)
    monkeypatch.setenv("NEW_PASSWORD", "first-password")
    more = with_users(p, **p.users, newcomer="env:NEW_PASSWORD")
    assert status(aws, p, "newcomer", "first-password") == 401
    htpasswd.ensure_users(aws, more)
    assert status(aws, p, "newcomer", "first-password") == 200
    monkeypatch.setenv("NEW_PASSWORD", "second-password")
    htpasswd.ensure_users(aws, more)
    assert status(aws, p, "newcomer", "first-password") == 401
    assert status(aws, p, "newcomer", "second-password") == 200
    htpasswd.ensure_users(aws, p)
    assert status(aws, p, "newcomer", "second-password") == 401
    user = next(iter(p.users))
    assert status(aws, p, user, htpasswd.password(aws, p, user).reveal()) == 200
    assert running_tasks(aws, p) == started


def running_tasks(aws, p):
    return aws.ecs.all("list_tasks", "taskArns", cluster=p.cluster_name, serviceName=p.service_name)


def test_a_killed_registry_is_replaced_and_the_events_say_so(aws, p):
    before = running_tasks(aws, p)
    (pid,) = registries()
    os.kill(pid, signal.SIGKILL)

    def look():
        fresh = running_tasks(aws, p) != before and service.verify_service(aws, p)
        answers = aws.http().get(f"{p.url}/v2/").status_code
        return (fresh and answers == 401) or None, f"GET /v2/ answers {answers}"

    wait.wait("a new task", look, timeout=60, every=0.2)
    found = aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"][0]
    events = " ".join(event["message"] for event in found["events"][:6])
    assert "has started 1 tasks" in events
    stopped = aws.ecs.all("list_tasks", "taskArns", cluster=p.cluster_name, desiredStatus="STOPPED")
    assert set(before) <= set(stopped)


def test_the_blogs_dockerfile_configures_the_registry_as_well(aws, p):
    own = load({**p.model_dump(), "image": "registry-ecs:1", "configured_by": "image"})
    furnish(own)
    assert plan.changes(aws, own)
    for step in plan.STEPS:
        step.ensure(aws, own)
    assert not plan.changes(aws, own)
    assert registry.verify_registry(aws, own, logins=htpasswd.logins(aws, own)).require()


def test_a_change_behind_its_back_is_named_and_mended_alone(aws, p):
    aws.s3.delete_public_access_block(Bucket=p.bucket)
    changed = [row.title for row in plan.changes(aws, p).rows if row]
    assert changed == [storage.verify_bucket(aws, p).title]
    assert storage.ensure_bucket(aws, p)
    assert not plan.changes(aws, p)


def test_a_lost_key_is_made_anew_and_reaches_the_registry(aws, p):
    for key in aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name):
        aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=key["AccessKeyId"])
    assert identity.verify_identity(aws, p).changes
    assert identity.ensure_identity(aws, p)
    assert {row.title for row in plan.changes(aws, p).rows if row} == {"task definition registry"}
    for step in plan.STEPS:
        step.ensure(aws, p)
    assert not plan.changes(aws, p)
    stored = json.loads(read_secret(aws, p, p.key_secret).reveal())
    (pid,) = registries()
    with open(f"/proc/{pid}/environ") as environment:
        assert f"REGISTRY_STORAGE_S3_ACCESSKEY={stored['accesskey']}" in environment.read().split("\0")


def test_the_destruction_of_another_deployment_touches_nothing(aws, p):
    other = load({**p.model_dump(), "name": "other"})
    before = dump(aws)
    with pytest.raises(NotOurs, match="does not belong to deployment other"):
        plan.destroy(aws, other)
    assert dump(aws) == before


def test_destruction_leaves_the_account_as_it_was_found(aws, p, empty):
    _, before = empty
    assert dump(aws) != before
    aws.s3.put_object(Bucket=p.bucket, Key="docker/registry/v2/one", Body=b"x")
    left = plan.verify_destroyed(aws, p).failures()
    assert "service: wanted absent, found still there" in left and "lease: wanted absent, found of " in left
    assert "kept" in repr(plan.destroy(aws, p))
    assert "kept" in repr(plan.verify_destroyed(aws, p).require())
    assert dump(aws) == {**before, "buckets": [p.bucket]}
    assert "destroyed" in repr(plan.destroy(aws, p, images=True))
    assert dump(aws) == before
    assert plan.destroy(aws, p, images=True).rows
    assert dump(aws) == before


def test_outside_the_embedded_cloud_destruction_wants_the_name(empty, p):
    connection, _ = empty
    abroad = load({**p.model_dump(), "cloud": "aws"})
    for confirm in (None, "", "yes", "other"):
        with pytest.raises(ParamsError, match="confirm"):
            plan.destroy(connection.read_only(), abroad, confirm=confirm)


def test_no_secret_shows_in_the_process_list(aws, p):
    known = [htpasswd.password(aws, p, user).reveal() for user in p.users]
    held = [
        aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"] for name in (p.http_secret, p.key_secret)
    ]
    lines = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/cmdline", "rb") as file:
                    lines.append(file.read().decode(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue
    shown = "\n".join(lines)
    assert "registry" in shown
    for secret in [*known, *held]:
        assert secret not in shown


def test_the_project_is_found_from_any_folder(tmp_path, monkeypatch, p):
    monkeypatch.chdir(tmp_path)
    assert load("blog").model_dump() == p.model_dump()
    assert paths.PARAMS.is_dir()

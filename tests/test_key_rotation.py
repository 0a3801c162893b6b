"""The dance of two keys: which works when, what stops it, and that a kill at any write leaves one in the end."""

import datetime
import json

import pytest
import rotated
from services import production

from runbook import access_key, due, key_rotation, rollout, secretsmanager
from runbook.errors import StepFailed

pytestmark = pytest.mark.moto


@pytest.fixture(autouse=True)
def scheduler(p, monkeypatch):
    return rotated.install(monkeypatch, p)


def key_ids(aws, p):
    return [key["AccessKeyId"] for key in aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name)]


def stored(aws, p):
    return json.loads(secretsmanager.read_secret(aws, p, p.key_secret).reveal())["accesskey"]


def running(scheduler):
    """The keys that running tasks have."""
    found = [task for tasks in scheduler.backend.tasks.values() for task in tasks.values()]
    return {
        rotated._key_of(scheduler.backend.describe_task_definition(task.task_definition_arn))
        for task in found
        if task.last_status == "RUNNING"
    }


def test_an_old_key_is_replaced_and_a_young_one_stays(aws, p, scheduler):
    rotated.prepare(aws, p)
    before = stored(aws, p)
    report = key_rotation.verify_key(aws.read_only(), p)
    assert report.failures().startswith("key of the IAM user registry-s3: Made: wanted within 90 days, found before, ")
    assert key_rotation.ensure_key(aws, p)
    assert key_ids(aws, p) == [stored(aws, p)] != [before]
    assert running(scheduler) == {stored(aws, p)}
    key_rotation.verify_key(aws.read_only(), p).require()
    access_key.verify_user(aws.read_only(), p).require()
    assert not key_rotation.ensure_key(aws.read_only(), p)


def test_one_since_is_one_rotation(aws, p):
    rotated.prepare(aws, p)
    since = due.now(aws) - datetime.timedelta(days=1)
    key_rotation.ensure_key(aws, p, since=since)
    made = stored(aws, p)
    assert not key_rotation.ensure_key(aws.read_only(), p, since=since)
    rotated.age(p)
    assert key_rotation.ensure_key(aws, p, since=since)
    assert stored(aws, p) != made


def test_a_kill_at_any_write_is_completed_as_the_same_rotation(crash_everywhere, p, scheduler, figure):
    made = []

    def check(aws, p):
        assert key_ids(aws, p) == [stored(aws, p)] and running(scheduler) == {stored(aws, p)}
        assert aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name)[0]["Status"] == "Active"
        key_rotation.verify_key(aws, p).require()
        made.append(None)

    writes = crash_everywhere(key_rotation.ensure_key, check, prepare=rotated.prepare)
    assert writes == [
        "iam CreateAccessKey",
        "secretsmanager PutSecretValue",
        "ecs RegisterTaskDefinition",
        "ecs UpdateService",
        "ecs DeregisterTaskDefinition",
        "iam UpdateAccessKey",
        "iam DeleteAccessKey",
    ]
    figure("rotation of the key: points killed, all converged", len(made))


def test_the_identity_step_leaves_a_rotation_that_is_under_way(aws, p):
    """Run in between, it must not take away the key that the tasks still have."""
    rotated.prepare(aws, p)
    before = stored(aws, p)
    access_key.make_key(aws, p)
    access_key.verify_user(aws, p).require()
    access_key.ensure_user(aws.read_only(), p)
    assert sorted(key_ids(aws, p)) == sorted([before, stored(aws, p)])
    found = {check.name: check.found for check in key_rotation.verify_key(aws, p).checks}
    assert found == {"Made": "within 90 days", "Former": "active", "Tasks": "with older secrets"}
    key_rotation.ensure_key(aws, p)
    assert key_ids(aws, p) == [stored(aws, p)]


def test_an_earlier_rotation_is_completed_before_the_next_begins(aws, p, scheduler):
    rotated.prepare(aws, p)
    access_key.make_key(aws, p)
    rotated.age(p)
    unfinished = stored(aws, p)
    key_rotation.ensure_key(aws, p)
    assert key_ids(aws, p) == [stored(aws, p)] != [unfinished]
    assert running(scheduler) == {stored(aws, p)}


def test_a_key_of_a_lost_reply_does_not_stay(aws, p):
    """botocore asks again, and a user with two keys gets no third."""
    rotated.prepare(aws, p)
    lost = []

    def ask_twice(**_):
        if not lost:
            lost.append(None)
            lost[0] = aws.iam.create_access_key(UserName=p.user_name)["AccessKey"]["AccessKeyId"]

    aws.iam._client.meta.events.register("before-call.iam.CreateAccessKey", ask_twice)
    key_rotation.ensure_key(aws, p)
    assert lost[0] not in key_ids(aws, p)
    key_rotation.verify_key(aws, p).require()


def test_a_key_that_s3_does_not_take_yet_is_waited_for(aws, p, monkeypatch, capsys):
    rotated.prepare(aws, p)
    late = ["InvalidAccessKeyId", "AccessDenied"]

    def refuse(http_response, parsed, **_):
        if late:
            parsed["Error"] = {"Code": late.pop(), "Message": "not yet"}
            http_response.status_code = 403

    plain = type(aws).as_key

    def as_key(self, *both):
        owner = plain(self, *both)
        owner.s3._client.meta.events.register("after-call.s3.ListObjectsV2", refuse)
        return owner

    monkeypatch.setattr(type(aws), "as_key", as_key)
    key_rotation.ensure_key(aws, p)
    assert not late and "S3 does not take the new key yet" in capsys.readouterr().err


def test_an_old_key_that_somebody_else_uses_stays(aws, p, monkeypatch):
    rotated.prepare(aws, p)
    before, ended = stored(aws, p), datetime.datetime.now(datetime.UTC)
    plain = rollout.tasks
    last_one = {"taskArn": "last", "lastStatus": "STOPPED", "stoppedAt": ended}
    monkeypatch.setattr(rollout, "tasks", lambda *args: plain(*args) + [last_one] * (args[-1] == "STOPPED"))
    last = [ended + datetime.timedelta(seconds=60)]

    def used(parsed, **_):
        parsed["AccessKeyLastUsed"]["LastUsedDate"] = last[0]

    aws.iam._client.meta.events.register("after-call.iam.GetAccessKeyLastUsed", used)
    for _ in range(2):
        with pytest.raises(StepFailed, match="somebody else has it. It still works"):
            key_rotation.ensure_key(aws, p)
    keys = aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name)
    assert {(key["AccessKeyId"], key["Status"]) for key in keys} == {(before, "Active"), (stored(aws, p), "Active")}
    last[0] = ended - datetime.timedelta(seconds=60)
    key_rotation.ensure_key(aws, p)
    assert key_ids(aws, p) == [stored(aws, p)] != [before]


def test_where_the_registry_fails_without_the_old_key_that_is_active_again(aws, p, monkeypatch):
    rotated.prepare(aws, p)
    before = stored(aws, p)

    def fail(aws, p):
        raise StepFailed("push 403 DENIED")

    with monkeypatch.context() as patch:
        patch.setattr(key_rotation, "prove", fail)
        with pytest.raises(StepFailed, match="so the old key is active again: push 403 DENIED"):
            key_rotation.ensure_key(aws, p)
    keys = aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name)
    assert [key["Status"] for key in keys] == ["Active", "Active"] and before in key_ids(aws, p)
    key_rotation.ensure_key(aws, p)
    assert key_ids(aws, p) == [stored(aws, p)]


def test_nothing_is_written_where_there_is_nothing_to_rotate(aws, p):
    with pytest.raises(StepFailed, match="run notebook 01_enable_s3_and_authentication first"):
        key_rotation.ensure_key(aws.read_only(), p)
    access_key.ensure_user(aws, p)
    rotated.age(p)
    with pytest.raises(StepFailed, match="run notebook 04_launch_your_service first"):
        key_rotation.ensure_key(aws.read_only(), p)


def test_a_role_has_no_key(aws):
    assert not key_rotation.ensure_key(aws.read_only(), production())
    assert "AWS itself renews" in repr(key_rotation.verify_key(aws, production()).require())


def test_no_half_of_a_key_is_shown(aws, p, capsys):
    rotated.prepare(aws, p)
    shown = [key_rotation.ensure_key(aws, p), key_rotation.verify_key(aws, p)]
    said = repr(shown) + "".join(each._repr_html_() for each in shown) + "".join(capsys.readouterr())
    for half in json.loads(secretsmanager.read_secret(aws, p, p.key_secret).reveal()).values():
        assert half not in said

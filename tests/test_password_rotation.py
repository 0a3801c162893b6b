"""Generated passwords: the next one waits until the registry takes it, and a kill at any write is completed."""

import pytest
import rotated
from services import production

from runbook import due, htpasswd, password_rotation, secretsmanager
from runbook.errors import StepFailed, TimedOut
from runbook.secret import Login
from runbook.secretsmanager import NEXT, PREVIOUS

pytestmark = pytest.mark.moto


@pytest.fixture
def p():
    return production(bcrypt_cost=5, cache="memory")


@pytest.fixture(autouse=True)
def scheduler(p, monkeypatch):
    return rotated.install(monkeypatch, p)


def current(aws, p):
    return {user: htpasswd.password(aws, p, user) for user in p.users}


def test_old_ones_are_replaced_and_young_ones_stay(aws, p):
    rotated.prepare(aws, p)
    before = current(aws, p)
    assert "builder: wanted within 90 days" in password_rotation.verify_passwords(aws.read_only(), p).failures()
    assert password_rotation.ensure_passwords(aws, p)
    after = current(aws, p)
    assert all(after[user] != before[user] for user in p.users)
    for user in p.users:
        assert rotated.answer(aws, p, Login(user, after[user])) == "200 {}"
    assert rotated.answer(aws, p, Login("testuser", before["testuser"])) == "401 UNAUTHORIZED"
    report = password_rotation.verify_passwords(aws.read_only(), p).require()
    assert "testuser, former password" in [check.name for check in report.checks]
    assert not password_rotation.ensure_passwords(aws.read_only(), p)
    htpasswd.verify_users(aws.read_only(), p).require()
    assert not htpasswd.ensure_users(aws.read_only(), p)


def test_a_kill_at_any_write_is_completed_as_the_same_rotation(crash_everywhere, p, figure):
    made = []

    def check(aws, p):
        for user, password in current(aws, p).items():
            assert rotated.answer(aws, p, Login(user, password)) == "200 {}"
        for user in ("testuser", "builder"):
            former = secretsmanager.read_secret(aws, p, p.password_secret(user), stage=PREVIOUS)
            assert rotated.answer(aws, p, Login(user, former)) == "401 UNAUTHORIZED"
            # the one before, the one that waited, and the same as the current one
            assert len(aws.secretsmanager.describe_secret(SecretId=p.password_secret(user))["VersionIdsToStages"]) == 3
        password_rotation.verify_passwords(aws, p).require()
        htpasswd.verify_users(aws, p).require()
        made.append(None)

    assert crash_everywhere(password_rotation.ensure_passwords, check, prepare=rotated.prepare) == [
        "secretsmanager PutSecretValue",
        "secretsmanager PutSecretValue",
        "secretsmanager PutSecretValue",
        "ecs UpdateService",
        "ecs TagResource",
        "secretsmanager PutSecretValue",
        "secretsmanager PutSecretValue",
    ]
    figure("rotation of passwords: points killed, all converged", len(made))


def test_whoever_reads_the_current_one_has_one_that_works_until_the_new_one_does(aws, p, scheduler):
    """Up to the moment in which the service has the new users."""
    rotated.prepare(aws, p)
    before = current(aws, p)

    def fail(**_):
        raise KeyboardInterrupt

    aws.ecs._client.meta.events.register("before-call.ecs.UpdateService", fail)
    since = due.now(aws)
    with pytest.raises(KeyboardInterrupt):
        password_rotation.ensure_passwords(aws, p)
    aws.ecs._client.meta.events.unregister("before-call.ecs.UpdateService", fail)
    assert current(aws, p) == before
    assert rotated.answer(aws, p, Login("testuser", before["testuser"])) == "200 {}"
    waits = secretsmanager.read_secret(aws, p, p.password_secret("testuser"), stage=NEXT)
    password_rotation.ensure_passwords(aws, p, since=since)
    assert current(aws, p)["testuser"] == waits


def test_a_rotation_that_was_cut_short_can_be_given_up(aws, p):
    """The users' step goes by the current passwords, and puts their lines back."""
    rotated.prepare(aws, p)
    before = current(aws, p)
    next_one = password_rotation._next(aws, p, "testuser", due.since(aws, p))
    htpasswd.ensure_users(aws, p, passwords={"testuser": next_one})
    assert "testuser.Password: wanted generate, found another password" in htpasswd.verify_users(aws, p).failures()
    htpasswd.ensure_users(aws, p)
    htpasswd.verify_users(aws, p).require()
    assert current(aws, p) == before


def test_one_that_the_registry_does_not_take_does_not_become_the_current_one(aws, p, monkeypatch):
    rotated.prepare(aws, p)
    before = current(aws, p)
    monkeypatch.setattr(password_rotation, "_TAKEN_WITHIN", 0)
    with monkeypatch.context() as patch:
        patch.setattr(password_rotation, "_answer", lambda *_: "503 UNAVAILABLE")
        with pytest.raises(TimedOut, match="the new password: 503 UNAVAILABLE; the old one: 503 UNAVAILABLE"):
            password_rotation.ensure_passwords(aws, p)
    assert current(aws, p) == before
    password_rotation.ensure_passwords(aws, p)
    password_rotation.verify_passwords(aws, p).require()


def test_a_former_password_that_still_works_is_named(aws, p, monkeypatch):
    rotated.prepare(aws, p)
    password_rotation.ensure_passwords(aws, p)
    monkeypatch.setattr(password_rotation, "_answer", lambda *_: "200 {}")
    failures = password_rotation.verify_passwords(aws, p).failures()
    assert "testuser, former password: wanted 401 UNAUTHORIZED, found 200 {}" in failures


def test_no_password_is_shown(aws, p, capsys):
    rotated.prepare(aws, p)
    before = current(aws, p)
    shown = [password_rotation.ensure_passwords(aws, p), password_rotation.verify_passwords(aws, p)]
    said = repr(shown) + "".join(each._repr_html_() for each in shown) + "".join(capsys.readouterr())
    for password in (*before.values(), *current(aws, p).values()):
        assert password.reveal() not in said


def test_without_a_service_or_a_password_nothing_is_written(aws, p, monkeypatch):
    with pytest.raises(StepFailed, match="run notebook 04_launch_your_service first"):
        password_rotation.ensure_passwords(aws.read_only(), p)
    rotated.prepare(aws, p)
    secretsmanager.destroy_secret(aws, p, p.password_secret("testuser"))
    secretsmanager.destroy_secret(aws, p, p.password_secret("builder"))
    with pytest.raises(StepFailed, match="run notebook 03_create_an_htpasswd_file first"):
        password_rotation.ensure_passwords(aws.read_only(), p)

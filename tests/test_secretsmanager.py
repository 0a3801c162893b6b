import pytest

from runbook import secretsmanager as vault
from runbook.errors import AwsError, NotOurs
from runbook.secret import Secret, generate

pytestmark = pytest.mark.moto


def test_written_read_and_found_without_its_value(aws, p):
    value = generate()
    version = vault.write_secret(aws, p, "registry/x", value, "a test")
    assert vault.read_secret(aws, p, "registry/x") == value
    found = vault.find_secret(aws, p, "registry/x")
    assert found["VersionId"] == version
    assert value.reveal() not in repr(found)


def test_written_again_is_a_new_version(aws, p):
    first = vault.write_secret(aws, p, "registry/x", Secret("one"), "a test")
    second = vault.write_secret(aws, p, "registry/x", Secret("two"), "a test")
    assert first != second
    assert vault.read_secret(aws, p, "registry/x").reveal() == "two"


def test_absent(aws, p):
    assert vault.find_secret(aws, p, "registry/x") is None
    assert vault.read_secret(aws, p, "registry/x") is None
    assert "absent" in repr(vault.destroy_secret(aws, p, "registry/x"))


def test_a_secret_scheduled_for_deletion_is_absent_and_comes_back(aws, p):
    vault.write_secret(aws, p, "registry/x", Secret("one"), "a test")
    aws.secretsmanager.delete_secret(SecretId="registry/x", RecoveryWindowInDays=7)
    assert vault.find_secret(aws, p, "registry/x") is None
    vault.write_secret(aws, p, "registry/x", Secret("two"), "a test")
    assert vault.read_secret(aws, p, "registry/x").reveal() == "two"


def test_a_foreign_secret_is_left_alone(aws, p):
    aws.secretsmanager.create_secret(Name="registry/x", SecretString="theirs")
    for call in (
        lambda: vault.read_secret(aws, p, "registry/x"),
        lambda: vault.write_secret(aws, p, "registry/x", Secret("ours"), "a test"),
        lambda: vault.destroy_secret(aws, p, "registry/x"),
    ):
        with pytest.raises(NotOurs):
            call()
    assert aws.secretsmanager.get_secret_value(SecretId="registry/x")["SecretString"] == "theirs"


def test_destroyed_frees_the_name(aws, p):
    vault.write_secret(aws, p, "registry/x", Secret("one"), "a test")
    assert "destroyed" in repr(vault.destroy_secret(aws, p, "registry/x"))
    vault.write_secret(aws, p, "registry/x", Secret("two"), "a test")


def test_a_foreign_secret_that_is_being_deleted_is_not_brought_back(aws, p):
    aws.secretsmanager.create_secret(Name="registry/x", SecretString="theirs")
    aws.secretsmanager.delete_secret(SecretId="registry/x", RecoveryWindowInDays=7)
    with pytest.raises(NotOurs):
        vault.write_secret(aws, p, "registry/x", Secret("ours"), "a test")
    assert aws.secretsmanager.describe_secret(SecretId="registry/x")["DeletedDate"]


def test_an_empty_secret_is_there_and_has_no_value_until_one_is_written(aws, p):
    vault.ensure_empty(aws, p, "registry/x", "a test")
    vault.ensure_empty(aws.read_only(), p, "registry/x", "a test")
    found = vault.find_secret(aws, p, "registry/x")
    assert found["ARN"].startswith("arn:aws:secretsmanager:") and found["VersionId"] is None
    assert vault.read_secret(aws, p, "registry/x") is None
    version = vault.write_secret(aws, p, "registry/x", Secret("one"), "a test")
    assert vault.find_secret(aws, p, "registry/x") == {**found, "VersionId": version}
    vault.ensure_empty(aws.read_only(), p, "registry/x", "a test")
    assert vault.read_secret(aws, p, "registry/x") == Secret("one")


def test_a_foreign_secret_is_not_taken_for_an_empty_one(aws, p):
    aws.secretsmanager.create_secret(Name="registry/x")
    with pytest.raises(NotOurs):
        vault.ensure_empty(aws, p, "registry/x", "a test")


def test_a_name_that_is_still_being_deleted_is_waited_for(aws, p, monkeypatch):
    real, left = aws.secretsmanager.create_secret, [None] * 2

    def create(**asked):
        if left and left.pop() is None:
            words = "You can't create this secret because a secret with this name is already scheduled for deletion."
            raise AwsError("secretsmanager", "CreateSecret", "InvalidRequestException", words)
        return real(**asked)

    monkeypatch.setattr(aws.secretsmanager, "create_secret", create, raising=False)
    monkeypatch.setattr("runbook.wait.time.sleep", lambda _: None)
    vault.ensure_empty(aws, p, "registry/x", "a test")
    assert not left and vault.find_secret(aws, p, "registry/x")

import json
import logging

import pytest

from runbook import access_key, secretsmanager
from runbook.errors import NotOurs, StepFailed
from runbook.secret import Secret

pytestmark = pytest.mark.moto

STORED = "stored in secretsmanager:registry/s3-key"


def key_ids(aws, p):
    return [key["AccessKeyId"] for key in aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name)]


def stored(aws, p):
    return json.loads(secretsmanager.read_secret(aws, p, p.key_secret).reveal())


def key_in_use(aws, p):
    """The one key, whose both halves are stored."""
    both = stored(aws, p)
    assert list(both) == ["accesskey", "secretkey"] and both["secretkey"]
    assert key_ids(aws, p) == [both["accesskey"]]
    return both


@pytest.mark.pure
def test_the_policy_is_distributions_list_on_this_bucket_alone(p):
    on_bucket, on_objects = access_key.want_user(p)["Policy"]["Statement"]
    assert on_bucket == {
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"],
        "Resource": ["arn:aws:s3:::elastic-io-registry"],
    }
    assert on_objects == {
        "Effect": "Allow",
        "Action": [
            "s3:PutObject",
            "s3:GetObject",
            "s3:DeleteObject",
            "s3:ListMultipartUploadParts",
            "s3:AbortMultipartUpload",
        ],
        "Resource": ["arn:aws:s3:::elastic-io-registry/*"],
    }


def test_made_from_nothing_and_left_alone_afterwards(aws, p):
    assert access_key.find_user(aws, p) is None
    assert repr(access_key.verify_user(aws, p).changes) == "+ IAM user registry-s3: create"
    assert repr(access_key.ensure_user(aws, p)) == "+ IAM user registry-s3: created"
    assert access_key.verify_user(aws, p).require()
    assert repr(access_key.ensure_user(aws.read_only(), p)) == "= IAM user registry-s3: unchanged"
    assert access_key.find_user(aws, p) == access_key.want_user(p)
    key_in_use(aws, p)


def test_the_key_is_shown_nowhere(aws, p, caplog, capsys):
    with caplog.at_level(logging.INFO):
        shown = [access_key.ensure_user(aws, p), access_key.find_user(aws, p), access_key.verify_user(aws, p)]
    shown += [value._repr_html_() for value in shown]
    said = repr(shown) + caplog.text + "".join(capsys.readouterr())
    for half in key_in_use(aws, p).values():
        assert half not in said


def test_a_kill_at_any_write_leaves_one_key_with_both_halves(crash_everywhere):
    def check(aws, p):
        access_key.verify_user(aws, p).require()
        key_in_use(aws, p)

    assert crash_everywhere(access_key.ensure_user, check) == [
        "iam CreateUser",
        "iam PutUserPolicy",
        "iam CreateAccessKey",
        "secretsmanager CreateSecret",
    ]


def test_a_kill_at_any_write_of_a_renewal_leaves_one_key_too(crash_everywhere):
    def prepare(aws, p):
        access_key.ensure_user(aws, p)
        aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=stored(aws, p)["accesskey"])
        aws.iam.create_access_key(UserName=p.user_name)
        aws.iam.create_access_key(UserName=p.user_name)

    writes = crash_everywhere(access_key.ensure_user, key_in_use, prepare)
    assert writes == [
        "iam DeleteAccessKey",
        "iam DeleteAccessKey",
        "iam CreateAccessKey",
        "secretsmanager PutSecretValue",
    ]


def lose_the_secret(aws, p):
    secretsmanager.destroy_secret(aws, p, p.key_secret)


def delete_the_key(aws, p):
    aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=stored(aws, p)["accesskey"])


def store(text):
    def change(aws, p):
        secretsmanager.write_secret(aws, p, p.key_secret, Secret(text), "changed by hand")

    return change


@pytest.mark.parametrize(
    "change",
    [
        lose_the_secret,
        delete_the_key,
        store("not JSON"),
        store("[]"),
        store('{"accesskey": "AKIAIOSFODNN7EXAMPLE"}'),
        store('{"accesskey": "AKIAIOSFODNN7EXAMPLE", "secretkey": "x"}'),
        store('{"accesskey": ["x"], "secretkey": "x"}'),
    ],
    ids=["secret gone", "key gone", "not JSON", "a list", "half", "another's", "nested"],
)
def test_a_key_that_is_not_stored_is_replaced(aws, p, change):
    access_key.ensure_user(aws, p)
    change(aws, p)
    assert (
        access_key.verify_user(aws, p).failures()
        == f"IAM user registry-s3: AccessKey: wanted {STORED}, found not stored"
    )
    assert access_key.ensure_user(aws, p)
    assert access_key.verify_user(aws, p).require()
    key_in_use(aws, p)


def test_a_second_key_is_named_and_deleted_and_the_stored_one_stays(aws, p):
    access_key.ensure_user(aws, p)
    before = stored(aws, p)
    aws.iam.create_access_key(UserName=p.user_name)
    assert f"found {STORED}, and another key beside it" in access_key.verify_user(aws, p).failures()
    access_key.ensure_user(aws, p)
    assert key_in_use(aws, p) == before


def test_an_inactive_key_is_reported_and_not_touched(aws, p):
    access_key.ensure_user(aws, p)
    before = stored(aws, p)
    aws.iam.update_access_key(UserName=p.user_name, AccessKeyId=before["accesskey"], Status="Inactive")
    assert f"found {STORED}, inactive" in access_key.verify_user(aws, p).failures()
    with pytest.raises(
        StepFailed, match="IAM user registry-s3: its access key was made inactive; make it active again"
    ):
        access_key.ensure_user(aws, p)
    assert stored(aws, p) == before and key_ids(aws, p) == [before["accesskey"]]


def test_an_unknown_inactive_key_is_a_lost_one(aws, p):
    access_key.ensure_user(aws, p)
    lose_the_secret(aws, p)
    [lost] = key_ids(aws, p)
    aws.iam.update_access_key(UserName=p.user_name, AccessKeyId=lost, Status="Inactive")
    access_key.ensure_user(aws, p)
    assert key_in_use(aws, p)["accesskey"] != lost


def test_a_key_that_iam_lists_late_is_waited_for(aws, p, capsys):
    late = [{"AccessKeyMetadata": []}] * 3  # one look before it is made, two while waiting

    def answer(parsed, **_):
        if late:
            parsed.update(late.pop())

    aws.iam._client.meta.events.register("after-call.iam.ListAccessKeys", answer)
    access_key.ensure_user(aws, p)
    assert not late and key_in_use(aws, p)
    assert access_key.ensure_user(aws.read_only(), p).rows[0].mark == "="
    assert "IAM user registry-s3: its key is stored and not listed yet" in capsys.readouterr().err


@pytest.mark.parametrize("gone", [True, False])
def test_a_changed_policy_is_named_and_mended_and_the_key_stays(aws, p, gone):
    access_key.ensure_user(aws, p)
    before = stored(aws, p)
    if gone:
        aws.iam.delete_user_policy(UserName=p.user_name, PolicyName="runbook")
    else:
        wide = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        aws.iam.put_user_policy(UserName=p.user_name, PolicyName="runbook", PolicyDocument=json.dumps(wide))
    report = access_key.verify_user(aws, p)
    assert "Policy.Statement" in [check.name for check in report.checks if not check.ok]
    access_key.ensure_user(aws, p)
    assert access_key.verify_user(aws, p) and key_in_use(aws, p) == before


@pytest.mark.parametrize("verb", [access_key.ensure_user, access_key.destroy_user, access_key.verify_user])
def test_a_user_that_is_not_ours_is_left_alone(aws, p, verb):
    aws.iam.create_user(UserName=p.user_name)
    with pytest.raises(NotOurs, match="IAM user registry-s3 exists and does not belong to deployment registry"):
        verb(aws, p)
    assert key_ids(aws, p) == []


@pytest.mark.parametrize("verb", [access_key.ensure_user, access_key.destroy_user])
def test_a_secret_that_is_not_ours_is_left_alone(aws, p, verb):
    aws.secretsmanager.create_secret(Name=p.key_secret, SecretString="another's")
    with pytest.raises(NotOurs, match="secret registry/s3-key"):
        verb(aws, p)
    assert aws.secretsmanager.get_secret_value(SecretId=p.key_secret)["SecretString"] == "another's"


def test_destroyed_and_destroyed_again(aws, p):
    access_key.ensure_user(aws, p)
    aws.iam.create_access_key(UserName=p.user_name)
    aws.iam.put_user_policy(
        UserName=p.user_name, PolicyName="by-hand", PolicyDocument=json.dumps(access_key.want_user(p)["Policy"])
    )
    managed = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    aws.iam.attach_user_policy(UserName=p.user_name, PolicyArn=managed)
    assert repr(access_key.destroy_user(aws, p)) == "- IAM user registry-s3: destroyed"
    assert aws.iam.all("list_users", "Users") == []
    assert aws.secretsmanager.all("list_secrets", "SecretList") == []
    assert repr(access_key.destroy_user(aws.read_only(), p)) == "= IAM user registry-s3: absent"


def test_a_secret_without_its_user_is_destroyed(aws, p):
    access_key.ensure_user(aws, p)
    secretsmanager.write_secret(aws, p, p.key_secret, Secret("{}"), "left behind")
    aws.iam.delete_user_policy(UserName=p.user_name, PolicyName="runbook")
    for key in key_ids(aws, p):
        aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=key)
    aws.iam.delete_user(UserName=p.user_name)
    assert access_key.destroy_user(aws, p)
    assert aws.secretsmanager.all("list_secrets", "SecretList") == []


def test_a_kill_at_any_write_of_the_destruction_is_completed_by_the_next(crash_everywhere):
    def check(aws, p):
        assert access_key.find_user(aws, p) is None
        assert secretsmanager.find_secret(aws, p, p.key_secret) is None

    writes = crash_everywhere(access_key.destroy_user, check, access_key.ensure_user)
    assert writes == [
        "iam DeleteAccessKey",
        "iam DeleteUserPolicy",
        "iam DeleteUser",
        "secretsmanager DeleteSecret",
    ]


def test_a_key_of_a_lost_reply_does_not_stay(aws, p):
    """botocore asks again when an answer is lost, and CreateAccessKey then makes a second key."""
    lost = []

    def ask_twice(params, **_):
        if not lost:
            lost.append(None)
            lost[0] = aws.iam.create_access_key(UserName=p.user_name)["AccessKey"]["AccessKeyId"]

    aws.iam._client.meta.events.register("before-call.iam.CreateAccessKey", ask_twice)
    access_key.ensure_user(aws, p)
    assert lost[0] not in key_ids(aws, p)
    assert access_key.verify_user(aws, p).require() and key_in_use(aws, p)

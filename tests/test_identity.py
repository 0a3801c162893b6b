"""Who may write to the bucket, for each kind of credentials; the user has tests of its own."""

import pytest

import runbook
from runbook import identity, roles
from runbook.errors import NotOurs
from runbook.node_role import want_node_role

pytestmark = pytest.mark.moto

ACCOUNT = "123456789012"
POLICY = roles.policy(
    roles.allow(["s3:ListBucket", "s3:ListBucketMultipartUploads"], "arn:aws:s3:::elastic-io-registry"),
    roles.allow(
        ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
        "arn:aws:s3:::elastic-io-registry/*",
    ),
)


def params(deployment, **changes):
    return runbook.load({**runbook.load(deployment).model_dump(), "cloud": "aws", **changes})


def key():
    return params("blog")


def task_role():
    return params("production", image="registry:3.1.1", credentials="task-role")


def instance_role():
    return params("production", image="registry-ecs:1", configured_by="image", credentials="instance-role")


ALL = pytest.mark.parametrize("p", [key(), task_role(), instance_role()], ids=["key", "task-role", "instance-role"])
ROLES = pytest.mark.parametrize("p", [task_role(), instance_role()], ids=["task-role", "instance-role"])


@pytest.mark.pure
def test_the_policy_is_the_same_whoever_has_it():
    for p, policy in ((key(), "Policy"), (task_role(), "InlinePolicy"), (instance_role(), "InlinePolicy")):
        assert identity.want_identity(p, account=ACCOUNT)[policy] == POLICY


@pytest.mark.pure
def test_only_tasks_of_this_account_have_the_tasks_role():
    wanted = identity.want_identity(task_role(), account="111122223333")
    assert (wanted["RoleName"], wanted["ManagedPolicies"]) == ("registry-task", [])
    (statement,) = wanted["Trust"]["Statement"]
    assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "111122223333"},
        "ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-central-1:111122223333:*"},
    }


@pytest.mark.pure
def test_the_nodes_role_is_the_one_that_the_nodes_want():
    assert identity.want_identity(instance_role(), account=ACCOUNT) == want_node_role(instance_role(), account=ACCOUNT)


@ALL
def test_made_from_nothing_and_left_alone_afterwards(aws, p):
    assert identity.find_identity(aws, p) is None
    assert identity.verify_identity(aws, p).absent
    assert repr(identity.ensure_identity(aws, p)).endswith(": created")
    identity.verify_identity(aws.read_only(), p).require()
    assert not identity.ensure_identity(aws.read_only(), p)
    wanted = identity.want_identity(p, account=ACCOUNT)
    assert wanted.items() <= identity.find_identity(aws, p).items()


@ROLES
def test_a_role_has_no_key(aws, p):
    identity.ensure_identity(aws, p)
    assert aws.iam.all("list_users", "Users") == []
    assert aws.secretsmanager.all("list_secrets", "SecretList") == []


@ROLES
def test_a_kill_at_any_write_is_completed(crash_everywhere, p):
    def check(aws, p):
        identity.verify_identity(aws, p).require()

    writes = crash_everywhere(identity.ensure_identity, check)
    assert writes[0] == "iam CreateRole" and "iam PutRolePolicy" in writes


@ROLES
def test_a_wider_policy_is_named_and_mended(aws, p):
    identity.ensure_identity(aws, p)
    wide = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    role = identity.find_identity(aws, p)["RoleName"]
    aws.iam.put_role_policy(RoleName=role, PolicyName=roles.INLINE, PolicyDocument=wide)
    aws.iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2FullAccess")
    wrong = [check.name for check in identity.verify_identity(aws, p).checks if not check.ok]
    assert wrong == ["ManagedPolicies", "InlinePolicy.Statement"]
    identity.ensure_identity(aws, p)
    identity.verify_identity(aws, p).require()


@ROLES
def test_a_role_that_is_not_ours_is_left_alone(aws, p):
    role = identity.want_identity(p, account=ACCOUNT)["RoleName"]
    aws.iam.create_role(RoleName=role, AssumeRolePolicyDocument="{}")
    for verb in (identity.ensure_identity, identity.verify_identity, identity.destroy_identity):
        with pytest.raises(NotOurs, match=f"IAM role {role}"):
            verb(aws, p)


@pytest.mark.parametrize("p", [key(), task_role()], ids=["key", "task-role"])
def test_destroyed_and_destroyed_again(aws, p):
    identity.ensure_identity(aws, p)
    assert repr(identity.destroy_identity(aws, p)).endswith(": destroyed")
    assert identity.find_identity(aws, p) is None
    assert repr(identity.destroy_identity(aws.read_only(), p)).endswith(": absent")


@pytest.mark.parametrize("p", [task_role()], ids=["task-role"])
def test_a_killed_destruction_is_completed(crash_everywhere, p):
    def check(aws, p):
        assert identity.find_identity(aws, p) is None

    writes = crash_everywhere(identity.destroy_identity, check, identity.ensure_identity)
    assert writes == ["iam DeleteRolePolicy", "iam DeleteRole"]


@pytest.mark.parametrize("p", [instance_role()], ids=["instance-role"])
def test_the_nodes_role_goes_with_the_nodes(aws, p):
    assert repr(identity.destroy_identity(aws.read_only(), p)) == "= IAM role registry-asg: absent"
    identity.ensure_identity(aws, p)
    assert "! IAM role registry-asg: kept" in repr(identity.destroy_identity(aws.read_only(), p))
    assert identity.verify_identity(aws, p)


@pytest.mark.parametrize("p", [instance_role()], ids=["instance-role"])
def test_without_need_of_them_the_nodes_lose_the_buckets_statements(aws, p):
    identity.ensure_identity(aws, p)
    without = want_node_role(task_role(), account=ACCOUNT)
    assert roles.ensure_role(aws, p, without)
    assert roles.find_role(aws, p, p.node_role)["InlinePolicy"] is None
    assert not roles.ensure_role(aws.read_only(), p, without)

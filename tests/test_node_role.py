"""The nodes' role: what each choice of the params lets them do."""

import pytest

import runbook
from runbook import node_role

pytestmark = pytest.mark.pure

ACCOUNT = "111122223333"
AGENTS = ["AmazonSSMManagedInstanceCore", "AmazonEC2ContainerServiceforEC2Role"]
WATCHED = ["AmazonSSMManagedInstanceCore", "CloudWatchAgentServerPolicy", "AmazonEC2ContainerServiceforEC2Role"]
HTPASSWD = ["secretsmanager:GetSecretValue"]
BUCKET = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
OBJECTS = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"]


@pytest.mark.parametrize(
    ("deployment", "changes", "role", "managed", "actions"),
    [
        ("blog", {}, "registry-node", AGENTS, [HTPASSWD]),
        ("blog", {"credentials": "instance-role"}, "registry-node", AGENTS, [HTPASSWD, BUCKET, OBJECTS]),
        ("blog", {"htpasswd": "init-container"}, "registry-node", AGENTS, []),
        ("production", {}, "registry-asg", WATCHED, [BUCKET, OBJECTS]),
        ("production", {"alarms": False}, "registry-asg", AGENTS, [BUCKET, OBJECTS]),
        ("production", {"image": "registry:3.1.1", "credentials": "task-role"}, "registry-asg", WATCHED, []),
    ],
)
def test_the_policies_follow_the_params(deployment, changes, role, managed, actions):
    p = runbook.load({**runbook.load(deployment).model_dump(), **changes})
    wanted = node_role.want_node_role(p, account=ACCOUNT)
    assert wanted["RoleName"] == role
    assert wanted["Trust"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert [arn.rsplit("/", 1)[1] for arn in wanted["ManagedPolicies"]] == managed
    assert wanted["ManagedPolicies"] == sorted(wanted["ManagedPolicies"])
    inline = wanted["InlinePolicy"] and [statement["Action"] for statement in wanted["InlinePolicy"]["Statement"]]
    assert inline == (actions or None)


def test_only_this_secret_and_this_bucket(p):
    p = runbook.load(p.model_dump() | {"cloud": "embedded", "credentials": "instance-role"})
    statements = node_role.want_node_role(p, account=ACCOUNT)["InlinePolicy"]["Statement"]
    assert [statement["Resource"] for statement in statements] == [
        [f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:registry/htpasswd-*"],
        ["arn:aws:s3:::elastic-io-registry"],
        ["arn:aws:s3:::elastic-io-registry/*"],
    ]

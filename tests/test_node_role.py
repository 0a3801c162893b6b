"""What the nodes may do."""

import pytest

from runbook.node_role import want_node_role


@pytest.mark.pure
def test_the_role_reads_one_secret_only(p):
    wanted = want_node_role(p, account="123456789012")
    assert wanted["Trust"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert wanted["InlinePolicy"]["Statement"] == [
        {
            "Effect": "Allow",
            "Action": ["secretsmanager:GetSecretValue"],
            "Resource": ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:registry/htpasswd-*"],
        }
    ]
    assert [arn.rsplit("/", 1)[1] for arn in wanted["ManagedPolicies"]] == [
        "AmazonSSMManagedInstanceCore",
        "AmazonEC2ContainerServiceforEC2Role",
    ]

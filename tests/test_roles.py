import pytest

from runbook import roles
from runbook.errors import NotOurs

pytestmark = pytest.mark.moto

SSM = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
ECS = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"


def wanted(p, **changed):
    return {
        "RoleName": p.node_role,
        "Trust": roles.trust("ec2.amazonaws.com"),
        "ManagedPolicies": [SSM],
        "InlinePolicy": roles.policy(roles.allow(["s3:ListBucket"], "arn:aws:s3:::x")),
        **changed,
    }


def test_made_once_and_then_only_read(aws, p):
    assert roles.ensure_role(aws, p, wanted(p))
    assert not roles.ensure_role(aws.read_only(), p, wanted(p))


@pytest.mark.parametrize(
    "changed",
    [{"ManagedPolicies": [ECS]}, {"ManagedPolicies": []}, {"Trust": roles.trust("ecs-tasks.amazonaws.com")},
     {"InlinePolicy": roles.policy(roles.allow(["s3:GetObject"], "*"))}, {"InlinePolicy": None}],
)  # fmt: skip
def test_each_part_is_mended_alone(aws, p, changed):
    roles.ensure_role(aws, p, wanted(p))
    assert roles.ensure_role(aws, p, wanted(p, **changed))
    found = roles.find_role(aws, p, p.node_role)
    for key, value in wanted(p, **changed).items():
        assert found[key] == value


def test_a_foreign_role_is_left_alone(aws, p):
    aws.iam.create_role(RoleName=p.node_role, AssumeRolePolicyDocument="{}")
    for call in (lambda: roles.ensure_role(aws, p, wanted(p)), lambda: roles.destroy_role(aws, p, p.node_role)):
        with pytest.raises(NotOurs, match="exists and does not belong"):
            call()
    assert aws.iam.get_role(RoleName=p.node_role)


def test_destroyed_and_again(aws, p):
    roles.ensure_role(aws, p, wanted(p))
    assert "destroyed" in repr(roles.destroy_role(aws, p, p.node_role))
    assert "absent" in repr(roles.destroy_role(aws, p, p.node_role))


def test_a_role_without_an_inline_policy_has_none(aws, p):
    assert roles.ensure_role(aws, p, wanted(p, InlinePolicy=None))
    assert aws.iam.all("list_role_policies", "PolicyNames", RoleName=p.node_role) == []
    assert not roles.ensure_role(aws.read_only(), p, wanted(p, InlinePolicy=None))
    assert roles.verify_role(aws, p, wanted(p, InlinePolicy=None))
    assert not roles.verify_role(aws, p, wanted(p))
    assert "destroyed" in repr(roles.destroy_role(aws, p, p.node_role))

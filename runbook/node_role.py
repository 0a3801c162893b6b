"""The role of the nodes, and the instance profile that hands it to them: what the agents and the choices need."""

from . import roles, s3_policy
from .errors import NotOurs
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS

SSM = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
CLOUDWATCH_AGENT = "arn:aws:iam::aws:policy/CloudWatchAgentServerPolicy"
ECS = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"


def want_node_role(p: Params, *, account: str) -> Document:
    """Join the cluster and answer Systems Manager; with alarms, tell CloudWatch how full the disks are.

    The htpasswd secret may be read only where a node's own script fetches it; the bucket may be used only where the
    registry has no credentials of its own. A secret's ARN ends in a hyphen and six characters of AWS's choice.
    """
    statements = []
    if p.htpasswd == "node-folder":
        secret = f"arn:aws:secretsmanager:{p.region}:{account}:secret:{p.htpasswd_secret}-*"
        statements.append(roles.allow(["secretsmanager:GetSecretValue"], secret))
    if p.credentials == "instance-role":
        statements += s3_policy.statements(p)
    return Document(
        RoleName=p.node_role,
        Trust=roles.trust("ec2.amazonaws.com"),
        ManagedPolicies=[SSM, *([CLOUDWATCH_AGENT] if p.alarms else []), ECS],
        InlinePolicy=roles.policy(*statements) if statements else None,
    )


def ensure(aws: AWS, p: Params) -> None:
    """The role, then the profile with it and no other."""
    roles.ensure_role(aws, p, want_node_role(p, account=aws.account))
    found = _profile(aws, p)
    if found is None:
        tags = [{"Key": k, "Value": v} for k, v in p.tags.items()]
        aws.iam.create_instance_profile(InstanceProfileName=p.node_role, Tags=tags)
    for role in set(found or []) - {p.node_role}:
        aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=role)
    if p.node_role not in (found or []):
        aws.iam.add_role_to_instance_profile(InstanceProfileName=p.node_role, RoleName=p.node_role)


def verify(aws: AWS, p: Params) -> Report:
    """One check for the role, one for the profile."""
    role = compare("role", want_node_role(p, account=aws.account), roles.find_role(aws, p, p.node_role))
    differs = "; ".join(check.name for check in role.checks if not check.ok)
    seen = f"differs in {differs}" if differs else "as wanted"
    report = Report("instance profile").check(f"IAM role {p.node_role}", role, "as wanted", seen)
    profile = _profile(aws, p)
    return report.check(f"instance profile {p.node_role}", profile == [p.node_role], [p.node_role], profile)


def destroy(aws: AWS, p: Params) -> Changes:
    """The profile, then the role."""
    profile = _profile(aws, p)
    if profile is not None:
        for role in profile:
            aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=role)
        aws.iam.delete_instance_profile(InstanceProfileName=p.node_role)
    done = destroyed(f"instance profile {p.node_role}", profile is not None)
    return done + roles.destroy_role(aws, p, p.node_role)


def _profile(aws: AWS, p: Params) -> list[str] | None:
    """The roles in the instance profile (at most one); None when there is no such profile."""
    found = aws.iam.find("get_instance_profile", {"NoSuchEntity"}, InstanceProfileName=p.node_role)
    if found is None:
        return None
    if {"Key": "runbook:deployment", "Value": p.name} not in found["InstanceProfile"].get("Tags", []):
        raise NotOurs(f"instance profile {p.node_role}", p)
    return [role["RoleName"] for role in found["InstanceProfile"]["Roles"]]

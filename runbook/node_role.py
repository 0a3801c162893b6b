"""The role of the nodes, and the instance profile that hands it to them: what the agents and the choices need."""

from . import roles, s3_policy, tags
from .errors import NotOurs
from .params import Params
from .report import Changes, Document, Report, destroyed
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
        aws.iam.create_instance_profile(InstanceProfileName=p.node_role, Tags=tags.pairs(p.tags))
        found = {"Roles": [], **tags.want(p)}
    if tags.differ(p, found):
        aws.iam.tag_instance_profile(InstanceProfileName=p.node_role, Tags=tags.pairs(p.extra_tags))
    for role in set(found["Roles"]) - {p.node_role}:
        aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=role)
    if p.node_role not in found["Roles"]:
        aws.iam.add_role_to_instance_profile(InstanceProfileName=p.node_role, RoleName=p.node_role)


def verify(aws: AWS, p: Params) -> Report:
    """One check for the role, or one for each part of it that differs; one for the profile, one for its tags."""
    role = roles.verify_role(aws, p, want_node_role(p, account=aws.account))
    report, name = Report("instance profile"), f"IAM role {p.node_role}"
    if role:
        report = report.check(name, True, "as wanted", "as wanted")
    for part in role.checks:
        if not part.ok:
            report = report.check(f"{name} {part.name}", False, part.wanted, part.found)
    found, name = _profile(aws, p), f"instance profile {p.node_role}"
    seen = found["Roles"] if found else None
    report = report.check(name, seen == [p.node_role], [p.node_role], seen)
    if found:
        for key, value in p.extra_tags.items():
            there = found["Tags"][key]
            report = report.check(f"{name} Tags.{key}", there == value, value, there)
    return report


def destroy(aws: AWS, p: Params) -> Changes:
    """The profile, then the role."""
    profile = _profile(aws, p)
    if profile is not None:
        for role in profile["Roles"]:
            aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=role)
        aws.iam.delete_instance_profile(InstanceProfileName=p.node_role)
    done = destroyed(f"instance profile {p.node_role}", profile is not None)
    return done + roles.destroy_role(aws, p, p.node_role)


def _profile(aws: AWS, p: Params) -> dict | None:
    """The roles in the instance profile (at most one), and its extra tags; None when there is no such profile."""
    found = aws.iam.find("get_instance_profile", {"NoSuchEntity"}, InstanceProfileName=p.node_role)
    if found is None:
        return None
    if {"Key": "runbook:deployment", "Value": p.name} not in found["InstanceProfile"].get("Tags", []):
        raise NotOurs(f"instance profile {p.node_role}", p)
    profile = found["InstanceProfile"]
    return {"Roles": [role["RoleName"] for role in profile["Roles"]], **tags.found(p, profile.get("Tags"))}

"""The instance profile of the nodes, with the one role in it: made, compared and taken away for both kinds of nodes."""

from . import roles
from .errors import NotOurs
from .node_role import want_node_role
from .params import Params
from .report import Changes, Report, compare, destroyed
from .session import AWS


def find(aws: AWS, p: Params) -> list[str] | None:
    """The roles in the instance profile (at most one); None when there is no such profile."""
    found = aws.iam.find("get_instance_profile", {"NoSuchEntity"}, InstanceProfileName=p.node_role)
    if found is None:
        return None
    if {"Key": "runbook:deployment", "Value": p.name} not in found["InstanceProfile"].get("Tags", []):
        raise NotOurs(f"instance profile {p.node_role}", p)
    return [role["RoleName"] for role in found["InstanceProfile"]["Roles"]]


def ensure(aws: AWS, p: Params) -> None:
    """The role, then the profile with it and no other."""
    roles.ensure_role(aws, p, want_node_role(p, account=aws.account))
    found = find(aws, p)
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
    profile = find(aws, p)
    return report.check(f"instance profile {p.node_role}", profile == [p.node_role], [p.node_role], profile)


def destroy(aws: AWS, p: Params) -> Changes:
    """The profile, then the role."""
    profile = find(aws, p)
    if profile is not None:
        for role in profile:
            aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=role)
        aws.iam.delete_instance_profile(InstanceProfileName=p.node_role)
    done = destroyed(f"instance profile {p.node_role}", profile is not None)
    return done + roles.destroy_role(aws, p, p.node_role)

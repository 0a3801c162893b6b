"""Who may write to the bucket: an IAM user with a key, as in the blog, the nodes' role, or the task's own role."""

from . import access_key, lease, roles, s3_policy
from .node_role import want_node_role
from .params import Params
from .report import Changes, Document, Report, destroyed, kept
from .session import AWS


def want_identity(p: Params, *, account: str) -> Document:
    """The user and where its key is, or the role; the role has no key: AWS hands out credentials that expire."""
    if p.credentials == "access-key":
        return access_key.want_user(p)
    if p.credentials == "instance-role":
        return want_node_role(p, account=account)
    return Document(
        RoleName=p.task_role,
        Trust=roles.ecs_tasks_trust(p, account),
        ManagedPolicies=[],
        InlinePolicy=roles.policy(*s3_policy.statements(p)),
    )


def find_identity(aws: AWS, p: Params) -> Document | None:
    """The same of what is. NotOurs without our tag."""
    if p.credentials == "access-key":
        return access_key.find_user(aws, p)
    return roles.find_role(aws, p, _role(p))


@lease.exclusive
def ensure_identity(aws: AWS, p: Params) -> Changes:
    """Make it, with this bucket alone in its policy."""
    if p.credentials == "access-key":
        return access_key.ensure_user(aws, p)
    return roles.ensure_role(aws, p, want_identity(p, account=aws.account))


def verify_identity(aws: AWS, p: Params) -> Report:
    if p.credentials == "access-key":
        return access_key.verify_user(aws, p)
    return roles.verify_role(aws, p, want_identity(p, account=aws.account))


@lease.exclusive
def destroy_identity(aws: AWS, p: Params) -> Changes:
    """The user and its key, or the task's role. The nodes' role goes with the nodes: they cannot be without it."""
    if p.credentials == "access-key":
        return access_key.destroy_user(aws, p)
    if p.credentials == "task-role":
        return roles.destroy_role(aws, p, p.task_role)
    title = f"IAM role {p.node_role}"
    if roles.find_role(aws, p, p.node_role) is None:
        return destroyed(title, False)
    return kept(title, "it goes with the nodes, which have it")


def _role(p: Params) -> str:
    return p.node_role if p.credentials == "instance-role" else p.task_role

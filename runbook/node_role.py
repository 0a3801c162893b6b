"""The role of the nodes: what the agents on them need, and what the deployment's choices add."""

from . import roles, s3_policy
from .params import Params
from .report import Document

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

"""What the nodes may do: the role that their instance profile carries."""

from . import roles
from .params import Params
from .report import Document

MANAGED_POLICIES = [
    "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
    "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role",
]


def want_node_role(p: Params, *, account: str) -> Document:
    """The nodes' role: join the cluster, answer Systems Manager, read the htpasswd secret and nothing else.

    A secret's ARN ends in a hyphen and six characters of AWS's choice.
    """
    secret = f"arn:aws:secretsmanager:{p.region}:{account}:secret:{p.htpasswd_secret}-*"
    return Document(
        RoleName=p.node_role,
        Trust=roles.trust("ec2.amazonaws.com"),
        ManagedPolicies=MANAGED_POLICIES,
        InlinePolicy=roles.policy(roles.allow(["secretsmanager:GetSecretValue"], secret)),
    )

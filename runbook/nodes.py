"""The nodes: a fixed number of EC2 instances, or an Auto Scaling group, as the params say."""

from . import fixed_nodes, lease, scaling_nodes
from .node_role import want_node_role
from .params import Params
from .report import Changes, Document, Report
from .session import AWS
from .user_data import user_data


def want_nodes(p: Params) -> Document:
    """What the nodes shall be: each one by name, or the template, the group and the capacity provider."""
    return scaling_nodes.want_nodes(p) if p.scales else fixed_nodes.want_nodes(p)


def find_nodes(aws: AWS, p: Params) -> Document | None:
    """What they are, in the same words, and each node by name. None when nothing of them is there."""
    return scaling_nodes.find_nodes(aws, p) if p.scales else fixed_nodes.find_nodes(aws, p)


@lease.exclusive
def ensure_nodes(aws: AWS, p: Params) -> Changes:
    """Returns when the nodes are in the cluster; what differs on a node is brought to one after the other."""
    return scaling_nodes.ensure_nodes(aws, p) if p.scales else fixed_nodes.ensure_nodes(aws, p)


def verify_nodes(aws: AWS, p: Params) -> Report:
    """Wanted against found, their role, and that port 22 is closed to the world."""
    return scaling_nodes.verify_nodes(aws, p) if p.scales else fixed_nodes.verify_nodes(aws, p)


@lease.exclusive
def destroy_nodes(aws: AWS, p: Params) -> Changes:
    """Take away the nodes of this kind and what belongs to them; those of the other kind stay."""
    return scaling_nodes.destroy_nodes(aws, p) if p.scales else fixed_nodes.destroy_nodes(aws, p)


__all__ = ["destroy_nodes", "ensure_nodes", "find_nodes", "user_data", "verify_nodes", "want_node_role", "want_nodes"]

"""The load balancer: the blog's classic one before fixed ports, an application one where capacity scales."""

from types import ModuleType

from . import application_balancer, classic_balancer, lease
from .params import Params
from .report import Changes, Document, Report
from .session import AWS


def want_balancer(p: Params, *, nodes: tuple[str, ...] = ()) -> Document:
    """The balancer in AWS's own words, ids replaced by names. Behind a classic one stand `nodes`; an application one
    has a target group, in which ECS itself registers each registry with its port."""
    return application_balancer.want_balancer(p) if p.scales else classic_balancer.want_balancer(p, nodes=nodes)


def find_balancer(aws: AWS, p: Params) -> Document | None:
    """The same of what is."""
    return _kind(p).find_balancer(aws, p)


@lease.exclusive
def ensure_balancer(aws: AWS, p: Params) -> Changes:
    """Create the balancer, or change what differs; then wait until it can be used."""
    return _kind(p).ensure_balancer(aws, p)


def verify_balancer(aws: AWS, p: Params) -> Report:
    """Wanted against found."""
    return _kind(p).verify_balancer(aws, p)


@lease.exclusive
def destroy_balancer(aws: AWS, p: Params) -> Changes:
    """Delete it and wait until it is gone, as its certificate and security group are in use until then."""
    return _kind(p).destroy_balancer(aws, p)


def _kind(p: Params) -> ModuleType:
    return application_balancer if p.scales else classic_balancer

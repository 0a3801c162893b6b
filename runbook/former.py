"""What a former choice of the params has left: the pieces that an upgrade replaced, taken away once the new ones work.

Every choice (key or role, instances or an Auto Scaling group, …) has pieces of its own, under names of their own where
both must work side by side. Those of the choices that the params do not make are former pieces. Each is destroyed by
its own step, told with a copy of the params that makes the other choice.
"""

import time
from collections.abc import Callable, Iterator

from . import (
    access_key,
    alarms,
    balancer,
    cache,
    certificate,
    dns,
    lease,
    network,
    nodes,
    revisions,
    roles,
    scaling,
    service,
    targets,
    wait,
)
from .errors import ReadOnly
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS

Destroy = Callable[[AWS], Changes]
TITLE = "former pieces"


def want_former(p: Params) -> Document:
    """None of them."""
    return Document(dict.fromkeys((what for what, _ in _former(p)), "absent"))


def find_former(aws: AWS, p: Params) -> Document:
    """Each former piece: absent, or still there. Nothing is written."""
    reader = aws.read_only()
    return Document({what: "still there" if _is_there(reader, destroy) else "absent" for what, destroy in _former(p)})


@lease.exclusive
def ensure_former(aws: AWS, p: Params) -> Changes:
    """Take the former pieces away. Call it once the registry works without them.

    Resolvers may lead clients to the former balancer until the record that they know has expired, so while there is
    one, it is waited for as long.
    """
    report = verify_former(aws, p)
    if not report:
        if not _is_absent(report, _balancer(_other(p))):
            ends = time.monotonic() + dns.TTL
            wait.wait(TITLE, lambda: (time.monotonic() >= ends or None, "resolvers forget them"), timeout=2 * dns.TTL)
        destroy_former(aws, p)
    return report.changes.done


def verify_former(aws: AWS, p: Params) -> Report:
    return compare(TITLE, want_former(p), find_former(aws, p))


@lease.exclusive
def destroy_former(aws: AWS, p: Params) -> Changes:
    """One row for each piece that was there; each goes before what it stands on."""
    done = sum((destroy(aws) for _, destroy in _former(p)), Changes())
    return Changes(tuple(row for row in done.rows if row))


def _is_absent(report: Report, what: str) -> bool:
    return all(check.ok for check in report.checks if check.name == what)


def _is_there(reader: AWS, destroy: Destroy) -> bool:
    try:
        destroy(reader)
    except ReadOnly:
        return True
    return False


def _retired(aws: AWS, p: Params) -> Changes:
    """Those that the former service ran: nothing uses them any more."""
    surplus = revisions.surplus(aws, p)
    revisions.retire(aws, p)
    return destroyed("older revisions of the task definition", bool(surplus))


def _other(p: Params) -> Params:
    """The same deployment by the other choice of capacity and cache."""
    return p.model_copy(
        update={
            "capacity": "instances" if p.scales else "auto-scaling-group",
            "cache": "elasticache" if p.cache == "memory" else "memory",
        }
    )


def _balancer(other: Params) -> str:
    return f"load balancer {other.balancer_name}"


def _former(p: Params) -> Iterator[tuple[str, Destroy]]:
    """The pieces of the choices that are not made, in the order in which they can go."""
    other = _other(p)
    if not p.scales:
        alarmed = other.model_copy(update={"alarms": True})
        yield "alarms", lambda aws: alarms.destroy_alarms(aws, alarmed)
        yield "scaling of the service", lambda aws: scaling.destroy_scaling(aws, other)
        yield "targets", lambda aws: targets.destroy_targets(aws, other)
    elif not p.alarms:
        alarmed = p.model_copy(update={"alarms": True})
        yield "alarms", lambda aws: alarms.destroy_alarms(aws, alarmed)
    yield f"service {other.service_name}", lambda aws: service.destroy_service(aws, other)
    yield _balancer(other), lambda aws: balancer.destroy_balancer(aws, other)
    yield f"nodes of {other.node_role}", lambda aws: nodes.destroy_nodes(aws, other)
    if p.cache == "memory":
        yield f"cache {p.cache_name}", lambda aws: cache.destroy_cache(aws, other)
    yield f"IAM role {other.execution_role}", lambda aws: roles.destroy_role(aws, p, other.execution_role)
    yield f"security groups of {other.node_group}", lambda aws: network.destroy_groups(aws, other)
    requested = p.certificate == "request"
    issued = p.model_copy(update={"certificate": "former" if requested else "request"})
    kind = "imported" if requested else "requested"
    yield f"{kind} certificate", lambda aws: certificate.destroy_certificate(aws, issued)
    yield "older revisions of the task definition", lambda aws: _retired(aws, p)
    if p.credentials != "access-key":
        yield f"IAM user {p.user_name}", lambda aws: access_key.destroy_user(aws, p)
    if p.credentials != "task-role":
        yield f"IAM role {p.task_role}", lambda aws: roles.destroy_role(aws, p, p.task_role)

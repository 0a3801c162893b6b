"""Findings on a deployment that this runbook did not make: its service, through to balancer, bucket and roles.

Reads only. What the caller may not read is a note, and the rest is looked at.
"""

import datetime
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .. import due
from ..errors import AwsError, Expired, ParamsError
from ..finding import Finding, Findings
from ..session import AWS
from . import (
    application,
    bucket,
    cache,
    certificate,
    classic,
    container,
    groups,
    identity,
    log,
    nodes,
    secrets,
    service,
)
from .deployment import Deployment
from .rules import found

__all__ = ["audit", "named"]

# Of each kind of thing: those that are there, by the words for each, and the questions to ask of each.
_KINDS: tuple[tuple[str, Callable, tuple[Callable, ...]], ...] = (
    ("service", service.services, service.CHECKS),
    ("cluster", service.clusters, service.OF_CLUSTER),
    ("task definition", service.tasks, service.OF_TASK),
    ("containers", container.containers, container.CHECKS),
    ("secrets", secrets.secrets, secrets.CHECKS),
    ("log groups", log.groups, log.CHECKS),
    ("nodes", nodes.nodes, nodes.CHECKS),
    ("nodes", nodes.fleets, nodes.OF_FLEET),
    ("security groups", groups.of_registries, groups.OF_REGISTRIES),
    ("security groups", groups.of_balancers, groups.OF_BALANCERS),
    ("load balancers", service.services, (service.balanced,)),
    ("load balancers", classic.balancers, classic.CHECKS),
    ("load balancers", application.balancers, application.CHECKS),
    ("target groups", application.target_groups, application.OF_GROUP),
    ("certificates", certificate.certificates, certificate.CHECKS),
    ("bucket", service.services, (bucket.known,)),
    ("bucket", bucket.buckets, bucket.CHECKS),
    ("users", identity.users, identity.OF_USER),
    ("roles", identity.roles, identity.OF_ROLE),
    ("users' policies", identity.owners, identity.OF_WHO),
    ("roles' policies", identity.of_tasks, identity.OF_WHO),
    ("nodes' policies", identity.of_nodes, identity.OF_WHO),
    ("cache", cache.caches, cache.CHECKS),
)
_MOST_NAMES = 3


def audit(aws: AWS, service: str, cluster: str, *, now: datetime.datetime | None = None) -> Findings:
    """What there is to say of the ECS service of that name in that cluster. `now`: AWS's time, unless given.

    ParamsError if there is none of that name.
    """
    aws = aws.read_only()
    described = aws.ecs.find("describe_services", {"ClusterNotFoundException"}, cluster=cluster, services=[service])
    active = [each for each in (described or {"services": []})["services"] if each["status"] != "INACTIVE"]
    if not active:
        raise ParamsError(
            f"{aws.region}: there is no service {service} in a cluster {cluster} of account {aws.account}"
        )
    return _Audit(Deployment(aws, active[0], now or due.now(aws))).findings()


def named(service: str, cluster: str | None, region: str | None) -> tuple[str, str, str]:
    """Service, cluster and region as an ARN names them, or as they are given. ParamsError where one is missing."""
    if not service.startswith("arn:"):
        missing = [option for option, value in (("--cluster", cluster), ("--region", region)) if not value]
        if missing:
            raise ParamsError(f"--service {service}: a name needs {' and '.join(missing)}, too; or give the ARN")
        return service, cluster, region
    # With the new format of 2018, or without the cluster:
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
    parts = service.split(":", 5)
    path = parts[-1].split("/")
    if len(parts) != 6 or parts[2] != "ecs" or not parts[3] or path[0] != "service" or len(path) not in (2, 3):
        raise ParamsError(f"--service {service}: not the ARN of an ECS service (arn:aws:ecs:…:service/CLUSTER/NAME)")
    if len(path) == 3 and cluster not in (None, path[1]):
        raise ParamsError(f"--cluster {cluster}: the ARN names the cluster {path[1]}")
    if region not in (None, parts[3]):
        raise ParamsError(f"--region {region}: the ARN names the region {parts[3]}")
    if len(path) == 2 and not cluster:
        raise ParamsError(f"--service {service}: an ARN of before 2018 does not name the cluster; give --cluster, too")
    return path[-1], path[1] if len(path) == 3 else cluster, parts[3]


class _Audit:
    """One walk over all kinds of things, which goes on where something may not be read."""

    def __init__(self, deployment: Deployment):
        self.deployment, self.seen, self.unread = deployment, [], {}

    def findings(self) -> Findings:
        for kind, things, checks in _KINDS:
            for where, thing in dict(self._attempt(kind, lambda at=things: at(self.deployment).items())).items():
                for check in checks:
                    look = self._attempt(where, lambda ask=check, at=where, of=thing: ask(self.deployment, at, of))
                    self.seen.extend(look)
        return Findings(_merged([*self.seen, *self.unread.values()]))

    def _attempt(self, where: str, look: Callable[[], Iterable[Any]]) -> Iterator[Any]:
        try:
            yield from look()
        except Expired:
            raise
        except AwsError as error:
            self.unread.setdefault(str(error), found("not-read", where, why=error))


def _merged(findings: Iterable[Finding]) -> Iterator[Finding]:
    """What is found at several places in the same words is one finding."""
    places: dict[Finding, list[str]] = {}
    for each in findings:
        at = places.setdefault(each._replace(where=""), [])
        if each.where not in at:
            at.append(each.where)
    for each, at in places.items():
        more = f" and {len(at) - _MOST_NAMES} more" if len(at) > _MOST_NAMES else ""
        yield each._replace(where="; ".join(at[:_MOST_NAMES]) + more)

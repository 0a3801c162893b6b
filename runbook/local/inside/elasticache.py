"""ElastiCache inside moto: the replication groups, what shall run for them, and whether it does."""

import uuid
from dataclasses import dataclass, field

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.utils import utcnow
from moto.elasticache.models import ElastiCacheBackend as Backend
from moto.elasticache.models import elasticache_backends

from .cache_parameters import DEFAULT_GROUPS, DEFAULTS, ParameterGroup

PORT = 6379


@dataclass
class Group:
    """A replication group of one node. `status` is creating, available, modifying or deleting."""

    region: str
    name: str
    description: str
    engine: str
    version: str
    node_type: str
    parameter_group: str
    subnet_group: str
    security_groups: list[str]
    tls: bool
    at_rest: bool
    auto_minor_version_upgrade: bool
    snapshot_retention: int
    port: int = PORT
    kms_key: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    status: str = "creating"
    created: object = field(default_factory=utcnow)
    mark: str = field(default_factory=lambda: uuid.uuid4().hex[:6])
    pending: dict[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        return f"arn:aws:elasticache:{self.region}:{ACCOUNT}:replicationgroup:{self.name}"

    @property
    def member(self) -> str:
        return f"{self.name}-001"

    def endpoint(self, what: str) -> str:
        """The name of the primary, the reader or the node endpoint ("Finding connection endpoints")."""
        domain = f"{short(self.region)}.cache.amazonaws.com"
        if self.tls:
            first = {"primary": "master", "reader": "replica", "node": self.member}[what]
            return f"{first}.{self.name}.{self.mark}.{domain}"
        if what == "node":
            return f"{self.member}.{self.mark}.0001.{domain}"
        return f"{self.name}{'-ro' if what == 'reader' else ''}.{self.mark}.ng.0001.{domain}"

    def endpoints(self) -> list[str]:
        return [self.endpoint(what) for what in ("primary", "reader", "node")]


@dataclass(frozen=True)
class Wanted:
    """What shall run for a replication group."""

    region: str
    name: str
    names: tuple[str, ...]
    port: int
    node_type: str
    tls: bool
    deleting: bool
    parameters: tuple[tuple[str, str], ...]
    auth_token: str | None = field(default=None, repr=False)


def short(region: str) -> str:
    """eu-central-1 is euc1 in an endpoint's name."""
    area, direction, number = region.split("-")
    letters = {"northeast": "ne", "northwest": "nw", "southeast": "se", "southwest": "sw"}
    return f"{area}{letters.get(direction, direction[0])}{number}"


def wanted() -> list[Wanted]:
    """Every replication group of every region that holds something."""
    backends = list(elasticache_backends[ACCOUNT].values())
    return [_wanted(each, group) for each in backends for group in list(each.replication_groups.values())]


def _wanted(backend: Backend, group: Group) -> Wanted:
    return Wanted(
        group.region,
        group.name,
        tuple(group.endpoints()),
        group.port,
        group.node_type,
        group.tls,
        group.status == "deleting",
        tuple(sorted(parameters(backend, group.parameter_group).items())),
        group.auth_token,
    )


def set_running(wanted: Wanted, running: bool) -> None:
    """Say whether a server that is as `wanted` says answers: the group is available then, else being worked on."""
    backend = elasticache_backends[ACCOUNT][wanted.region]
    group = backend.replication_groups.get(wanted.name)
    if group is None or _wanted(backend, group) != wanted:
        return
    group.status = "available" if running else "creating" if group.status == "creating" else "modifying"


def gone(region: str, name: str) -> None:
    """The deleted group's server has ended: nothing of it is left."""
    backend = elasticache_backends[ACCOUNT][region]
    group = backend.replication_groups.pop(name, None)
    if group:
        backend.tagging_service.delete_all_tags_for_resource(group.arn)


def groups(region: str) -> list[Group]:
    return list(elasticache_backends[ACCOUNT][region].replication_groups.values())


def subnet_group_exists(region: str, name: str) -> bool:
    return name in elasticache_backends[ACCOUNT][region].cache_subnet_groups


def family(region: str, parameter_group: str) -> str | None:
    """The family of a parameter group; None if there is none."""
    found = parameter_groups(elasticache_backends[ACCOUNT][region]).get(parameter_group)
    return found.family if found else None


def parameter_groups(backend: Backend) -> dict[str, ParameterGroup]:
    """The account's own, and AWS's default ones."""
    if not hasattr(backend, "parameter_groups"):
        backend.parameter_groups = {name: ParameterGroup(backend.region_name, name, f) for name, f in DEFAULT_GROUPS}
    return backend.parameter_groups


def parameters(backend: Backend, name: str) -> dict[str, str]:
    return DEFAULTS | parameter_groups(backend)[name].changed

"""Application load balancers inside moto: what they shall be, their targets, and the health that is seen of those."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from moto.elbv2.models import FakeListener, FakeLoadBalancer, FakeTargetGroup, elbv2_backends

Target = tuple[str, int]
"""An instance's id and the port on it."""


@dataclass(frozen=True)
class Health:
    """What DescribeTargetHealth says of one target, in its words."""

    state: str
    reason: str | None = None
    description: str | None = None


# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
HEALTHY = Health("healthy")
REGISTERING = Health("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING = Health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
TIMEOUT = Health("unhealthy", "Target.Timeout", "Request timed out")
FAILED = Health("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
DRAINING = Health("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
NOT_REGISTERED = Health("unused", "Target.NotRegistered", "Target is not registered to the target group")
NOT_IN_USE = Health(
    "unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer"
)
OTHER_ZONE = Health(
    "unused",
    "Target.NotInUse",
    "Target is in an Availability Zone that is not enabled for the load balancer",
)
INTERNAL = "Health checks failed due to an internal error"
STOPPED = Health("unused", "Target.InvalidState", "Target is in the stopped state")


@dataclass
class Member:
    """One registered target; times are of the monotonic clock, `draining` since when it is being deregistered."""

    registered: float = field(default_factory=time.monotonic)
    draining: float | None = None
    health: Health = REGISTERING


@dataclass(frozen=True)
class Rule:
    """One rule of a listener: `conditions` are (field, values), `action` the API's own words, `group` of forward."""

    priority: str
    conditions: tuple[tuple[str, tuple[str, ...]], ...]
    action: Mapping
    group: str | None


@dataclass(frozen=True)
class WantedListener:
    """`rules` in the order in which they are tried, the default one last."""

    port: int
    protocol: str
    certificates: tuple[str, ...]
    tls_policy: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class WantedGroup:
    """A target group that a listener forwards to; times in seconds, `members` in order of registration."""

    arn: str
    protocol: str
    check_protocol: str
    check_port: int | None
    path: str
    codes: str
    interval: int
    timeout: int
    healthy: int
    unhealthy: int
    algorithm: str
    slow_start: int
    delay: int
    members: Mapping[Target, Member]


@dataclass(frozen=True)
class Wanted:
    """An application balancer as the API was told to make it; `attributes` as DescribeLoadBalancerAttributes."""

    region: str
    arn: str
    name: str
    dns_name: str
    zones: frozenset[str]
    listeners: tuple[WantedListener, ...]
    groups: tuple[WantedGroup, ...]
    attributes: Mapping[str, str]


def wanted() -> list[Wanted]:
    """Every application balancer of every region."""
    return [
        _wanted(region, balancer)
        for region, backend in list(elbv2_backends[ACCOUNT].items())
        for balancer in list(backend.load_balancers.values())
    ]


def _wanted(region: str, balancer: FakeLoadBalancer) -> Wanted:
    listeners = tuple(_listener(each) for each in sorted(list(balancer.listeners.values()), key=lambda e: int(e.port)))
    arns = dict.fromkeys(rule.group for listener in listeners for rule in listener.rules if rule.group)
    groups = elbv2_backends[ACCOUNT][region].target_groups
    return Wanted(
        region=region,
        arn=balancer.arn,
        name=balancer.name,
        dns_name=balancer.dns_name,
        zones=frozenset(subnet.availability_zone for subnet in balancer.subnets),
        listeners=listeners,
        groups=tuple(_group(groups[arn]) for arn in arns if arn in groups),
        attributes=dict(balancer.attrs),
    )


def _listener(listener: FakeListener) -> WantedListener:
    others = sorted(list(listener._non_default_rules.values()), key=lambda rule: int(rule.priority))
    return WantedListener(
        port=int(listener.port),
        protocol=listener.protocol,
        certificates=tuple(dict.fromkeys(listener.certificates)),
        tls_policy=listener.ssl_policy,
        rules=tuple(_rule(rule) for rule in [*others, listener._default_rule[0]]),
    )


def _rule(rule) -> Rule:
    action = min(rule.actions, key=lambda each: int(each.data.get("Order", 1))).data
    return Rule(
        priority=str(rule.priority),
        conditions=tuple((each["Field"], values(each)) for each in rule.conditions),
        action=action,
        group=forwards_to(action),
    )


def values(condition: Mapping) -> tuple[str, ...]:
    """The values of a rule's condition, in whichever of the API's two places they are."""
    configuration = next((each for name, each in condition.items() if name.endswith("Config")), condition)
    return tuple(configuration.get("Values", ()))


def forwards_to(action: Mapping) -> str | None:
    """The ARN of the target group of a forward action; None of any other action."""
    if action.get("Type") != "forward":
        return None
    groups = action.get("ForwardConfig", {}).get("TargetGroups", [])
    return action.get("TargetGroupArn") or groups[0]["TargetGroupArn"]


def _group(group: FakeTargetGroup) -> WantedGroup:
    port, attributes = group.health_check_port, group.attributes
    return WantedGroup(
        arn=group.arn,
        protocol=group.protocol,
        check_protocol=group.health_check_protocol,
        check_port=None if port == "traffic-port" else int(port),
        path=group.health_check_path or "/",
        codes=group.matcher["HttpCode"],
        interval=int(group.health_check_interval_seconds),
        timeout=int(group.health_check_timeout_seconds),
        healthy=int(group.healthy_threshold_count),
        unhealthy=int(group.unhealthy_threshold_count),
        algorithm=attributes["load_balancing.algorithm.type"],
        slow_start=int(attributes["slow_start.duration_seconds"]),
        delay=int(attributes["deregistration_delay.timeout_seconds"]),
        members=dict(members(group)),
    )


def members(group: FakeTargetGroup) -> dict[Target, Member]:
    """The targets of a group. moto keeps one port an instance; a dynamic port makes several of them one target each."""
    return group.__dict__.setdefault("seen_members", {})


def group(region: str, arn: str) -> FakeTargetGroup | None:
    return elbv2_backends[ACCOUNT][region].target_groups.get(arn)


def register_target(region: str, arn: str, instance_id: str, port: int) -> None:
    """Add a target; one that is registered stays as it is, one that was draining serves again.

    LookupError when there is no such target group.
    """
    if (found := group(region, arn)) is None:
        raise LookupError(f"no target group {arn} in {region}")
    member = members(found).setdefault((instance_id, port), Member())
    if member.draining is not None:
        member.registered, member.draining, member.health = time.monotonic(), None, REGISTERING


def deregister_target(region: str, arn: str, instance_id: str, port: int) -> None:
    """Take a target out: it drains first if its group is attached; one that is not there is no error."""
    found = group(region, arn)
    kept = members(found) if found else {}
    member = kept.get((instance_id, port))
    if member is None or member.draining is not None:
        return
    if attached(region, arn):
        member.draining = time.monotonic()
    else:
        del kept[instance_id, port]


def drained(region: str, arn: str, target: Target) -> None:
    """Forget a target that has drained, unless it was registered again meanwhile."""
    if (found := group(region, arn)) is not None:
        kept = members(found)
        if target in kept and kept[target].draining is not None:
            del kept[target]


def target_health(region: str, arn: str) -> dict[Target, str]:
    """initial, healthy, unhealthy, draining or unused of each target; one that has drained is not in it."""
    return {target: health.state for target, health in healths(region, arn).items()}


def healths(region: str, arn: str) -> dict[Target, Health]:
    """What DescribeTargetHealth says of each target; a group that is gone has none."""
    found, used = group(region, arn), attached(region, arn)
    shown = {}
    for target, member in list(members(found).items()) if found else ():
        if member.draining is not None:
            if used:
                shown[target] = DRAINING
            else:
                drained(region, arn, target)
        elif instance_state(region, target[0]).startswith("stop"):
            shown[target] = STOPPED
        else:
            shown[target] = member.health if used else NOT_IN_USE
    return shown


def write_health(region: str, arn: str, seen: Mapping[Target, Health]) -> None:
    """Make DescribeTargetHealth say this of the targets that are not being deregistered."""
    found = group(region, arn)
    for target, member in list(members(found).items()) if found else ():
        if member.draining is None and target in seen:
            member.health = seen[target]


def attached(region: str, arn: str) -> bool:
    """Whether a rule of a listener forwards to the target group."""
    return next(attachments(region, arn), None) is not None


def attachments(region: str, arn: str) -> Iterator[str]:
    """The ARNs of the load balancers that forward to the target group."""
    for balancer in list(elbv2_backends[ACCOUNT][region].load_balancers.values()):
        for listener in list(balancer.listeners.values()):
            actions = [action.data for rule in list(listener.rules.values()) for action in rule.actions]
            if any(forwards_to(action) == arn for action in actions):
                yield balancer.arn
                break


def instance(region: str, instance_id: str):
    """EC2's instance; None if there is none."""
    for reservation in list(ec2_backends[ACCOUNT][region].reservations.values()):
        for each in list(reservation.instances):
            if each.id == instance_id:
                return each
    return None


def instance_state(region: str, instance_id: str) -> str:
    """An instance's state name ("running", "stopped" ...), "terminated" for one that EC2 does not know."""
    found = instance(region, instance_id)
    return found._state.name if found else "terminated"


def zone(region: str, instance_id: str) -> str | None:
    """The Availability Zone of an instance; None if there is none."""
    found = instance(region, instance_id)
    return found._placement.zone if found else None

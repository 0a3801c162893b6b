"""The classic load balancer before the service: listeners, health check, attributes, instances in service."""

import re
from collections.abc import Iterator

from ..finding import Finding
from .deployment import Deployment
from .rules import found

# AWS's predefined policies without TLS 1.0 and 1.1:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
MODERN = re.compile(r"ELBSecurityPolicy-(TLS|TLS13|FS)-1-[23]\b.*")
LONG_ENOUGH = 300  # seconds
_ABSENT = {"LoadBalancerNotFound", "AccessPointNotFound"}
_OLD = ("Protocol-SSLv3", "Protocol-TLSv1", "Protocol-TLSv1.1")


def balancers(d: Deployment) -> dict[str, dict]:
    """The service's own; where it has none at all, those that send to the nodes' port."""
    return d.once(("classic",), lambda: {f"load balancer {each['LoadBalancerName']}": each for each in _balancers(d)})


def ports(d: Deployment) -> set[int]:
    return {each["LoadBalancerPort"] for balancer in balancers(d).values() for each in listeners(balancer)}


def listeners(balancer: dict) -> list[dict]:
    return [each["Listener"] for each in balancer["ListenerDescriptions"]]


def protocols(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    for each in listeners(balancer):
        port, protocol = each["LoadBalancerPort"], each["Protocol"].upper()
        if protocol == "HTTP" or (protocol == "TCP" and not d.ends_tls):
            yield found("clear-text", where, port=port, protocol=protocol)
        elif protocol in ("TCP", "SSL"):
            yield found("bytes-not-http", where, port=port, protocol=protocol)


def tls(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    told = d.aws.elb.describe_load_balancer_policies(LoadBalancerName=balancer["LoadBalancerName"])
    policies = {each["PolicyName"]: each for each in told["PolicyDescriptions"]}
    for described in balancer["ListenerDescriptions"]:
        listener = described["Listener"]
        if listener["Protocol"].upper() not in ("HTTPS", "SSL"):
            continue
        mine = [policies[name] for name in described.get("PolicyNames", []) if name in policies]
        negotiating = [each for each in mine if each["PolicyTypeName"] == "SSLNegotiationPolicyType"]
        old = [_name(each) for each in negotiating if not _is_modern(each)]
        if old or not negotiating:
            policy = old[0] if old else "the balancer's default"
            yield found("tls-old", where, port=listener["LoadBalancerPort"], policy=policy)


def health(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    """A classic balancer takes 200 alone for healthy."""
    target = balancer["HealthCheck"]["Target"] if balancer.get("HealthCheck") else "TCP"
    protocol, _, rest = target.partition(":")
    if protocol.upper() in ("TCP", "SSL"):
        yield found("check-tcp", where, check=target)
    elif rest.partition("/")[2].rstrip("/") == "v2":
        yield found("check-401", where, matcher="200")


def states(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    told = d.aws.elb.describe_instance_health(LoadBalancerName=balancer["LoadBalancerName"])["InstanceStates"]
    yield from counted(where, len(told), sum(each["State"] == "InService" for each in told))


def counted(where: str, count: int, healthy: int) -> Iterator[Finding]:
    if not healthy:
        yield found("targets-out", where, count=count)
    elif healthy < count:
        yield found("targets-some-out", where, out=count - healthy, count=count)


def attributes(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    name = balancer["LoadBalancerName"]
    told = d.aws.elb.describe_load_balancer_attributes(LoadBalancerName=name)["LoadBalancerAttributes"]
    if (idle := told["ConnectionSettings"]["IdleTimeout"]) < LONG_ENOUGH:
        yield found("idle-timeout", where, seconds=idle)
    if not told["ConnectionDraining"]["Enabled"]:
        yield found("no-draining", where)
    if not told["CrossZoneLoadBalancing"]["Enabled"] and len(_zones(balancer)) > 1:
        yield found("no-cross-zone", where)
    if not told["AccessLog"]["Enabled"]:
        yield found("no-access-logs", where)
    more = {each["Key"]: each["Value"] for each in told.get("AdditionalAttributes", [])}
    if more.get("elb.http.desyncmitigationmode") == "monitor":
        yield found("desync", where, mode="monitor")


def zones(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    if len(_zones(balancer)) == 1:
        yield found("one-zone-balancer", where)


def _balancers(d: Deployment) -> list[dict]:
    attached = d.service.get("loadBalancers", [])
    if names := [each["loadBalancerName"] for each in attached if each.get("loadBalancerName")]:
        told = d.aws.elb.find("describe_load_balancers", _ABSENT, LoadBalancerNames=names)
        return told["LoadBalancerDescriptions"] if told else []
    if attached or not d.fixed_port:
        return []
    nodes = {each["InstanceId"] for each in d.nodes}
    return [
        each
        for each in d.aws.elb.all("describe_load_balancers", "LoadBalancerDescriptions")
        if nodes & {instance["InstanceId"] for instance in each["Instances"]}
        and d.fixed_port in {listener["InstancePort"] for listener in listeners(each)}
    ]


def _zones(balancer: dict) -> set[str]:
    """A subnet is in one zone, and a balancer has one subnet a zone."""
    return set(balancer.get("Subnets") or balancer.get("AvailabilityZones") or [])


def _name(policy: dict) -> str:
    told = _attributes(policy)
    return told.get("Reference-Security-Policy") or policy["PolicyName"]


def _is_modern(policy: dict) -> bool:
    """By the protocols that it has; where none is told, by AWS's predefined policy."""
    told = _attributes(policy)
    if any(name.startswith("Protocol-") for name in told):
        return not any(told.get(name) == "true" for name in _OLD)
    return bool(MODERN.fullmatch(_name(policy)))


def _attributes(policy: dict) -> dict[str, str]:
    return {each["AttributeName"]: each["AttributeValue"] for each in policy.get("PolicyAttributeDescriptions") or []}


CHECKS = (protocols, tls, health, states, attributes, zones)

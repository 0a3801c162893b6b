"""Classic load balancers inside moto: what they shall be, their health, and moto's answers put right."""

import functools
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.elb.exceptions import LoadBalancerNotFoundError
from moto.elb.models import ELBBackend, FakeHealthCheck, FakeListener, LoadBalancer, elb_backends
from moto.elb.responses import ELBResponse

# "Elastic Load Balancing endpoints and quotas": the hosted zone that an alias record to a balancer names.
HOSTED_ZONES = {
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-west-1": "Z32O12XQLNTSW2",
}
DEFAULT_CHECK = {"timeout": 5, "healthy_threshold": 10, "unhealthy_threshold": 2, "interval": 30}


@dataclass(frozen=True)
class Health:
    """What DescribeInstanceHealth says of one instance, in its words."""

    state: str
    reason: str
    description: str


IN_SERVICE = Health("InService", "N/A", "N/A")
REGISTERING = Health("OutOfService", "ELB", "Instance registration is still in progress.")
FAILED = Health(
    "OutOfService",
    "Instance",
    "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
)
STOPPED = Health("OutOfService", "Instance", "Instance is in stopped state.")


@dataclass(frozen=True)
class WantedListener:
    port: int
    protocol: str
    instance_port: int
    instance_protocol: str
    certificate: str | None
    tls_policy: str | None


@dataclass(frozen=True)
class Wanted:
    """A balancer as the API was told to make it; times in seconds."""

    region: str
    name: str
    dns_name: str
    listeners: tuple[WantedListener, ...]
    target: str
    interval: int
    timeout: int
    healthy: int
    unhealthy: int
    idle_timeout: int
    draining: bool
    instances: tuple[str, ...]


def wanted() -> list[Wanted]:
    """Every classic balancer of every region; one that moto is still making has no health check yet."""
    return [
        _wanted(region, balancer)
        for region, backend in list(elb_backends[DEFAULT_ACCOUNT_ID].items())
        for balancer in list(backend.load_balancers.values())
        if balancer.health_check
    ]


def _wanted(region: str, balancer: LoadBalancer) -> Wanted:
    check, attributes = balancer.health_check, balancer.attributes
    listeners = [
        WantedListener(
            port=int(listener.load_balancer_port),
            protocol=listener.protocol,
            instance_port=int(listener.instance_port),
            instance_protocol=listener.instance_protocol,
            certificate=listener.ssl_certificate_id,
            tls_policy=_tls_policy(balancer, listener),
        )
        for listener in list(balancer.listeners)
    ]
    return Wanted(
        region=region,
        name=balancer.name,
        dns_name=balancer.dns_name,
        listeners=tuple(sorted(listeners, key=lambda listener: listener.port)),
        target=check.target,
        interval=int(check.interval),
        timeout=int(check.timeout),
        healthy=int(check.healthy_threshold),
        unhealthy=int(check.unhealthy_threshold),
        idle_timeout=int(_in(attributes["connection_settings"], "idle_timeout", "IdleTimeout") or 60),
        draining=bool(_in(attributes["connection_draining"], "enabled", "Enabled")),
        instances=tuple(sorted(set(balancer.instance_ids))),
    )


def _in(attribute: Mapping, *spellings: str):
    """A value of an attribute: moto keeps its defaults in snake case and what it was sent as it was sent."""
    return next((attribute[name] for name in spellings if name in attribute), None)


def _tls_policy(balancer: LoadBalancer, listener: FakeListener) -> str | None:
    """The name of AWS's predefined policy that a listener's SSL negotiation policy refers to."""
    for policy in list(balancer.policies):
        if policy.policy_name in listener.policy_names and policy.policy_type_name == "SSLNegotiationPolicyType":
            for attribute in policy.policy_attribute_descriptions:
                if attribute.get("AttributeName") == "Reference-Security-Policy":
                    return attribute.get("AttributeValue")
    return None


def write_health(region: str, name: str, health: Mapping[str, Health]) -> None:
    """Make DescribeInstanceHealth say this; a balancer that is gone is passed over."""
    balancer = elb_backends[DEFAULT_ACCOUNT_ID][region].load_balancers.get(name)
    if balancer is not None:
        balancer.seen_health = dict(health)


def deregister(region: str, name: str, instances: Iterable[str]) -> None:
    """Take terminated instances out of a balancer, as AWS does by itself."""
    elb_backends[DEFAULT_ACCOUNT_ID][region].deregister_instances(name, list(instances))


def instance_state(region: str, instance_id: str) -> str:
    """An instance's state name ("running", "stopped" ...), "terminated" for one that EC2 does not know."""
    for reservation in list(ec2_backends[DEFAULT_ACCOUNT_ID][region].reservations.values()):
        for instance in list(reservation.instances):
            if instance.id == instance_id:
                return instance._state.name
    return "terminated"


def install() -> None:
    """Mend moto's classic balancers; a second call changes nothing."""
    if hasattr(ELBBackend.create_load_balancer, "__wrapped__"):
        return
    ELBBackend.create_load_balancer = _complete(ELBBackend.create_load_balancer)
    ELBBackend.create_load_balancer_listeners = _keep_instance_protocol(ELBBackend.create_load_balancer_listeners)
    ELBBackend.delete_load_balancer_listeners = _delete_listeners
    ELBBackend.register_instances = _register_once(ELBBackend.register_instances)
    FakeListener.instance_protocol = property(_instance_protocol)
    LoadBalancer.source_security_group = property(_source_security_group)
    LoadBalancer.canonical_hosted_zone_name_id = property(lambda self: HOSTED_ZONES.get(self.region_name))
    ELBResponse.describe_instance_health = _describe_instance_health
    ELBResponse.describe_load_balancer_attributes = _describe_attributes
    ELBResponse.register_instances_with_load_balancer = _registered(ELBResponse.register_instances_with_load_balancer)
    ELBResponse.deregister_instances_from_load_balancer = _registered(
        ELBResponse.deregister_instances_from_load_balancer
    )


def _complete(plain):
    """A new balancer as DescribeLoadBalancers shows it: DNS name, zones, default health check."""

    @functools.wraps(plain)
    def create_load_balancer(self, *args, **kwargs):
        balancer = plain(self, *args, **kwargs)
        number = zlib.crc32(f"{self.region_name}/{balancer.name}".encode())
        balancer.region_name = self.region_name
        balancer.seen_health = {}
        balancer.dns_name = f"{balancer.name}-{number}.{self.region_name}.elb.amazonaws.com"
        _note_protocols(balancer, kwargs.get("ports") or args[2])
        first = balancer.listeners[0].instance_port
        balancer.health_check = FakeHealthCheck(target=f"TCP:{first}", **DEFAULT_CHECK)
        if balancer.subnets and not balancer.availability_zones:
            ec2 = ec2_backends[self.account_id][self.region_name]
            balancer.availability_zones = [ec2.get_subnet(s).availability_zone for s in balancer.subnets]
        return balancer

    return create_load_balancer


def _keep_instance_protocol(plain):
    @functools.wraps(plain)
    def create_load_balancer_listeners(self, name, ports):
        balancer = plain(self, name, ports)
        _note_protocols(balancer, ports)
        return balancer

    return create_load_balancer_listeners


def _note_protocols(balancer: LoadBalancer, ports: list[dict]) -> None:
    for port in ports:
        for listener in balancer.listeners:
            if int(listener.load_balancer_port) == int(port["LoadBalancerPort"]) and port.get("InstanceProtocol"):
                listener.seen_instance_protocol = port["InstanceProtocol"].upper()


def _instance_protocol(listener: FakeListener) -> str:
    """What was sent; without it, the same layer in the clear."""
    plain = "HTTP" if listener.protocol in ("HTTP", "HTTPS") else "TCP"
    return getattr(listener, "seen_instance_protocol", plain)


def _delete_listeners(self, name: str, ports: list[str]) -> LoadBalancer:
    """DeleteLoadBalancerListeners of several ports: moto's own keeps them all."""
    balancer = self.get_load_balancer(name)
    gone = {int(port) for port in ports}
    balancer.listeners = [each for each in balancer.listeners if int(each.load_balancer_port) not in gone]
    return balancer


def _register_once(plain):
    """RegisterInstancesWithLoadBalancer: an instance that is registered already is not registered twice."""

    @functools.wraps(plain)
    def register_instances(self, load_balancer_name, instance_ids, from_autoscaling=False):
        known = self.get_load_balancer(load_balancer_name).instance_ids
        new = [each for each in dict.fromkeys(instance_ids) if each not in known]
        return plain(self, load_balancer_name, new, from_autoscaling)

    return register_instances


def _registered(plain):
    """The answer of (de)registering: moto puts all the ids into the place of one instance."""

    @functools.wraps(plain)
    def answer(self):
        plain(self)
        balancer = self.elb_backend.get_load_balancer(self._get_param("LoadBalancerName"))
        return ActionResult({"Instances": [{"InstanceId": each} for each in balancer.instance_ids]})

    return answer


def _source_security_group(balancer: LoadBalancer) -> dict[str, str]:
    """The first of its security groups, by name."""
    ec2 = ec2_backends[balancer.account_id][balancer.region_name]
    groups = [ec2.get_security_group_from_id(each) for each in balancer.security_groups]
    return {
        "OwnerAlias": balancer.account_id,
        "GroupName": next((group.name for group in groups if group), "default"),
    }


def _describe_instance_health(self) -> ActionResult:
    balancer = self.elb_backend.get_load_balancer(self._get_param("LoadBalancerName"))
    if balancer is None:
        raise LoadBalancerNotFoundError(self._get_param("LoadBalancerName"))
    asked = [each["InstanceId"] for each in self._get_param("Instances", [])] or balancer.instance_ids
    states = {each: balancer.seen_health.get(each, REGISTERING) for each in asked}
    return ActionResult(
        {
            "InstanceStates": [
                {"InstanceId": each, "State": h.state, "ReasonCode": h.reason, "Description": h.description}
                for each, h in states.items()
            ]
        }
    )


def _describe_attributes(self) -> ActionResult:
    name = self._get_param("LoadBalancerName")
    balancer = self.elb_backend.get_load_balancer(name)
    if balancer is None:
        raise LoadBalancerNotFoundError(name)
    return ActionResult({"LoadBalancerAttributes": balancer.attributes})

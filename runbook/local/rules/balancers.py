"""What Elastic Load Balancing (classic) and Certificate Manager refuse."""

import re

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ..inside import access_logs, account, acm, settling
from ..inside.dispatch import Refused

NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,32}(?<!-)")
TARGET = re.compile(r"(?:(?:TCP|SSL):(\d+)|HTTPS?:(\d+)/\S{0,1023})")
SAME_LAYER = {"HTTP": "HTTP", "HTTPS": "HTTP", "TCP": "TCP", "SSL": "TCP"}
REFERENCE_POLICIES = (
    "ELBSecurityPolicy-2016-08",
    "ELBSecurityPolicy-TLS-1-2-2017-01",
    "ELBSecurityPolicy-TLS-1-1-2017-01",
    "ELBSecurityPolicy-2015-05",
    "ELBSecurityPolicy-2015-03",
    "ELBSecurityPolicy-2015-02",
)
# ConfigureHealthCheck: seconds and counts.
LIMITS = {
    "Interval": (5, 300),
    "Timeout": (2, 60),
    "UnhealthyThreshold": (2, 10),
    "HealthyThreshold": (2, 10),
}
IDLE_TIMEOUT = (1, 4000)


def create_load_balancer(params: dict, region: str) -> dict | None:
    """CreateLoadBalancer (2012-06-01): its name, where it stands, and its listeners."""
    name = params.get("LoadBalancerName", "")
    if not NAME.fullmatch(name):
        raise _wrong(
            "LoadBalancer name must be at most 32 letters, digits and hyphens, not a hyphen at either end: " + name
        )
    if bool(params.get("Subnets")) == bool(params.get("AvailabilityZones")):
        raise _wrong("Either AvailabilityZones or SubnetIds must be specified")
    for listener in params.get("Listeners", []):
        _listener(listener)
    found = account.classic_balancer(region, name)
    if found is None:
        return None
    if _is_same(found, params):
        return {"DNSName": found.dns_name}
    raise Refused(
        "DuplicateLoadBalancerName",
        f"There is already a load balancer with the name {name} and other settings.",
    )


def _is_same(found, params: dict) -> bool:
    sent = params["Listeners"]
    listeners = {(int(e["LoadBalancerPort"]), int(e["InstancePort"]), e["Protocol"].upper()) for e in sent}
    return (
        listeners == {(int(e.load_balancer_port), int(e.instance_port), e.protocol.upper()) for e in found.listeners}
        and (params.get("Scheme") or "internet-facing") == found.scheme
        and set(params.get("Subnets") or found.subnets) == set(found.subnets)
        and set(params.get("AvailabilityZones") or found.availability_zones) == set(found.availability_zones)
        and set(params.get("SecurityGroups") or found.security_groups) == set(found.security_groups)
    )


def delete_load_balancer(params: dict, region: str) -> None:
    """DeleteLoadBalancer: its network interfaces linger (terraform-provider-aws, issue 1671)."""
    if found := account.classic_balancer(region, params["LoadBalancerName"]):
        settling.keep_groups(region, found.security_groups or [])


def create_listeners(params: dict, region: str) -> None:
    """CreateLoadBalancerListeners: as the listeners of CreateLoadBalancer."""
    _balancer(params, region)
    for listener in params.get("Listeners", []):
        _listener(listener)


def _listener(listener: dict) -> None:
    """Listener: protocols of one layer, ports 1 to 65535, a certificate where the front is encrypted."""
    front = str(listener.get("Protocol", "")).upper()
    back = str(listener.get("InstanceProtocol") or SAME_LAYER.get(front, "")).upper()
    if front not in SAME_LAYER or back not in SAME_LAYER:
        raise _wrong("Protocol must be one of HTTP, HTTPS, TCP, SSL")
    if SAME_LAYER[front] != SAME_LAYER[back]:
        raise _wrong(f"Listener protocol {front} and instance protocol {back} are not of the same layer")
    for port in (listener.get("LoadBalancerPort"), listener.get("InstancePort")):
        if port is None or not 1 <= int(port) <= 65535:
            raise _wrong(f"Port {port} is not within 1 and 65535")
    certificate = listener.get("SSLCertificateId")
    if front in ("HTTPS", "SSL"):
        if not certificate:
            raise _wrong("Secure Listeners need to specify a SSLCertificateId")
        _certificate(certificate)


def _certificate(arn: str) -> None:
    """ "SSL/TLS certificates for Classic Load Balancers": issued, and with an RSA key."""
    found = acm.parts(arn)
    if found is None or acm.status(arn) not in (None, "ISSUED"):
        raise Refused("CertificateNotFound", f"Server Certificate not found for the key: {arn}")
    if not isinstance(x509.load_pem_x509_certificate(found[0]).public_key(), rsa.RSAPublicKey):
        raise Refused(
            "InvalidConfigurationRequest",
            f"Server Certificate {arn} has a key that is not RSA, which is not supported",
        )


def set_listener_certificate(params: dict, region: str) -> None:
    """SetLoadBalancerListenerSSLCertificate: ListenerNotFound, CertificateNotFound."""
    _known_listener(params, region)
    _certificate(params["SSLCertificateId"])


def set_listener_policies(params: dict, region: str) -> None:
    """SetLoadBalancerPoliciesOfListener: ListenerNotFound, PolicyNotFound."""
    balancer = _known_listener(params, region)
    known = {policy.policy_name for policy in balancer.policies}
    for name in params.get("PolicyNames", []):
        if name not in known:
            raise Refused("PolicyNotFound", f"There is no policy with name {name} for load balancer {balancer.name}")


def create_policy(params: dict, region: str) -> None:
    """CreateLoadBalancerPolicy: DuplicatePolicyName, PolicyTypeNotFound of a reference that AWS has not."""
    balancer, name = _balancer(params, region), params["PolicyName"]
    if name in {policy.policy_name for policy in balancer.policies}:
        raise Refused(
            "DuplicatePolicyName", f"Policy with name {name} already exists for load balancer {balancer.name}"
        )
    for attribute in params.get("PolicyAttributes", []):
        value = attribute.get("AttributeValue")
        if attribute.get("AttributeName") == "Reference-Security-Policy" and value not in REFERENCE_POLICIES:
            raise Refused("PolicyNotFound", f"There is no predefined policy with name {value}")


def configure_health_check(params: dict, region: str) -> None:
    """ConfigureHealthCheck, HealthCheck: the forms of a target, the limits of seconds and counts."""
    _balancer(params, region)
    check = params["HealthCheck"]
    found = TARGET.fullmatch(check.get("Target", ""))
    if not found:
        raise _wrong("HealthCheck Target must be TCP:port, SSL:port, HTTP:port/path or HTTPS:port/path")
    if not 1 <= int(found[1] or found[2]) <= 65535:
        raise _wrong("HealthCheck Target must specify a port within 1 and 65535")
    for name, (lowest, highest) in LIMITS.items():
        if not lowest <= int(check.get(name, 0)) <= highest:
            raise _wrong(f"HealthCheck {name} must be within {lowest} and {highest}")
    if int(check["Timeout"]) >= int(check["Interval"]):
        raise _wrong("HealthCheck timeout must be less than interval")


def modify_attributes(params: dict, region: str) -> None:
    """ModifyLoadBalancerAttributes, ConnectionSettings: an idle timeout of 1 to 4000 seconds."""
    _balancer(params, region)
    settings = params.get("LoadBalancerAttributes", {}).get("ConnectionSettings")
    if settings and not IDLE_TIMEOUT[0] <= int(settings["IdleTimeout"]) <= IDLE_TIMEOUT[1]:
        raise Refused("InvalidConfigurationRequest", "ConnectionSettings.IdleTimeout must be within 1 and 4000 seconds")
    logs = params.get("LoadBalancerAttributes", {}).get("AccessLog")
    if logs and logs.get("Enabled"):
        problem = access_logs.problem(logs.get("S3BucketName", ""), logs.get("S3BucketPrefix") or "", region)
        if problem:
            raise Refused("InvalidConfigurationRequest", problem)


def register_instances(params: dict, region: str) -> None:
    """RegisterInstancesWithLoadBalancer: InvalidInstance for an instance that EC2 does not have."""
    _balancer(params, region)
    for each in params.get("Instances", []):
        if not account.instance_exists(region, each["InstanceId"]):
            raise Refused("InvalidInstance", f"Could not find EC2 instance {each['InstanceId']}.")


def instance_health(params: dict, region: str) -> None:
    """DescribeInstanceHealth: InvalidInstance for one that is not registered."""
    balancer = _balancer(params, region)
    for each in params.get("Instances", []):
        if each["InstanceId"] not in balancer.instance_ids:
            raise Refused("InvalidInstance", f"Could not find EC2 instance {each['InstanceId']}.")


def _balancer(params: dict, region: str):
    """LoadBalancerNotFound: what moto answers with 500 in many operations."""
    name = params.get("LoadBalancerName", "")
    if (found := account.classic_balancer(region, name)) is None:
        raise Refused("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")
    return found


def _known_listener(params: dict, region: str):
    balancer, port = _balancer(params, region), int(params["LoadBalancerPort"])
    if port not in [int(listener.load_balancer_port) for listener in balancer.listeners]:
        raise Refused("ListenerNotFound", f"There is no listener on port {port} of load balancer {balancer.name}")
    return balancer


def known_balancer(params: dict, region: str) -> None:
    """LoadBalancerNotFound of every operation on one load balancer, but for deleting it."""
    _balancer(params, region)


def import_certificate(params: dict, region: str) -> None:
    """ImportCertificate (ACM), "Prerequisites": the private key is that of the certificate."""
    try:
        certificate = x509.load_pem_x509_certificate(params["Certificate"])
        key = serialization.load_pem_private_key(params["PrivateKey"], password=None)
    except (ValueError, TypeError):
        raise Refused("ValidationException", "The certificate or the private key is not PEM-encoded.") from None
    if certificate.public_key() != key.public_key():
        raise Refused("ValidationException", "The private key does not match the certificate.")


def delete_certificate(params: dict, region: str) -> None:
    """DeleteCertificate (ACM): "Certificates in use by an AWS service cannot be deleted"."""
    arn = params.get("CertificateArn", "")
    if users := acm.users(arn):
        raise Refused("ResourceInUseException", f"Certificate {arn} is in use by load balancer {', '.join(users)}.")


def _wrong(message: str) -> Refused:
    return Refused("ValidationError", message)


RULES = {
    ("acm", "DeleteCertificate"): delete_certificate,
    ("acm", "ImportCertificate"): import_certificate,
    ("elb", "ApplySecurityGroupsToLoadBalancer"): known_balancer,
    ("elb", "ConfigureHealthCheck"): configure_health_check,
    ("elb", "CreateLoadBalancer"): create_load_balancer,
    ("elb", "CreateLoadBalancerListeners"): create_listeners,
    ("elb", "CreateLoadBalancerPolicy"): create_policy,
    ("elb", "DeleteLoadBalancer"): delete_load_balancer,
    ("elb", "DeleteLoadBalancerListeners"): known_balancer,
    ("elb", "DeleteLoadBalancerPolicy"): known_balancer,
    ("elb", "DeregisterInstancesFromLoadBalancer"): known_balancer,
    ("elb", "DescribeInstanceHealth"): instance_health,
    ("elb", "DescribeLoadBalancerAttributes"): known_balancer,
    ("elb", "ModifyLoadBalancerAttributes"): modify_attributes,
    ("elb", "RegisterInstancesWithLoadBalancer"): register_instances,
    ("elb", "SetLoadBalancerListenerSSLCertificate"): set_listener_certificate,
    ("elb", "SetLoadBalancerPoliciesForBackendServer"): known_balancer,
    ("elb", "SetLoadBalancerPoliciesOfListener"): set_listener_policies,
}

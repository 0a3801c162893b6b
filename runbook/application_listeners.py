"""The two listeners of the application balancer: HTTPS to the registries, and HTTP that says where HTTPS is."""

from . import acm, target_group
from .errors import AwsError
from .params import Params
from .report import compare
from .session import AWS
from .wait import wait

# Recommended by AWS: TLS 1.3 and 1.2, forward secrecy, and post-quantum key exchange with clients that have it.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
TLS_POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
_REDIRECT = {
    "Type": "redirect",
    "RedirectConfig": {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    },
}


def want(p: Params) -> dict[str, dict]:
    """Each port's protocol, certificate, TLS policy and what becomes of a request."""
    return {
        "443": {
            "Protocol": "HTTPS",
            "Certificate": f"certificate of {p.domain}",
            "TlsPolicy": TLS_POLICY,
            "DefaultActions": [{"Type": "forward", "TargetGroup": p.target_group_name}],
        },
        "80": {"Protocol": "HTTP", "DefaultActions": [_REDIRECT]},
    }


def find(aws: AWS, p: Params, *, balancer: str) -> dict[str, dict]:
    """The same of the listeners that the balancer of that ARN has."""
    certificate, group = acm.certificate_arn(aws, p), target_group.describe(aws, p)
    return {str(each["Port"]): _listener(p, each, certificate, group) for each in _listeners(aws, balancer)}


def ensure(aws: AWS, p: Params, *, balancer: str) -> None:
    """Delete the listeners that nobody wanted, create the missing ones, change each that differs."""
    wanted, found = want(p), find(aws, p, balancer=balancer)
    listeners = {str(each["Port"]): each["ListenerArn"] for each in _listeners(aws, balancer)}
    for port in sorted(listeners.keys() - wanted.keys()):
        aws.elbv2.delete_listener(ListenerArn=listeners[port])
    for port, listener in wanted.items():
        payload = _payload(aws, p, int(port), listener)
        if port not in listeners:
            _create(aws, p, balancer, payload)
        elif not compare("", listener, found[port]):
            aws.elbv2.modify_listener(ListenerArn=listeners[port], **payload)


def _payload(aws: AWS, p: Params, port: int, listener: dict) -> dict:
    payload = {"Port": port, "Protocol": listener["Protocol"], "DefaultActions": listener["DefaultActions"]}
    if listener["Protocol"] == "HTTP":
        return payload
    group = target_group.describe(aws, p)
    return payload | {
        "SslPolicy": TLS_POLICY,
        "Certificates": [{"CertificateArn": acm.certificate_arn(aws, p)}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    }


def _create(aws: AWS, p: Params, arn: str, payload: dict) -> None:
    def create():
        try:
            aws.elbv2.create_listener(LoadBalancerArn=arn, Tags=_tags(p), **payload)
        except AwsError as error:
            if error.code == "CertificateNotFound":  # a new certificate reaches Elastic Load Balancing after a while
                return None, "the certificate is not known there yet"
            raise
        return True, f"listener on port {payload['Port']} created"

    wait(f"load balancer {p.balancer_name}", create, timeout=120, every=3)


def destroy(aws: AWS, *, balancer: str) -> None:
    for listener in _listeners(aws, balancer):
        aws.elbv2.delete_listener(ListenerArn=listener["ListenerArn"])


def _listeners(aws: AWS, arn: str) -> list[dict]:
    return aws.elbv2.all("describe_listeners", "Listeners", LoadBalancerArn=arn)


def _listener(p: Params, described: dict, certificate: str | None, group: dict | None) -> dict:
    presented = next((each["CertificateArn"] for each in described.get("Certificates") or []), None)
    ours = presented is not None and presented == certificate
    return {
        "Protocol": described["Protocol"],
        "Certificate": f"certificate of {p.domain}" if ours else "another certificate" if presented else None,
        "TlsPolicy": described.get("SslPolicy"),
        "DefaultActions": [_action(p, each, group) for each in described["DefaultActions"]],
    }


def _action(p: Params, described: dict, group: dict | None) -> dict:
    action = {"Type": described["Type"]}
    if described["Type"] == "redirect":
        return action | {"RedirectConfig": described["RedirectConfig"]}
    if described["Type"] == "forward":
        targets = [each["TargetGroupArn"] for each in described.get("ForwardConfig", {}).get("TargetGroups", [])]
        ours = group is not None and (targets or [described.get("TargetGroupArn")]) == [group["TargetGroupArn"]]
        return action | {"TargetGroup": p.target_group_name if ours else "another target group"}
    return action


def _tags(p: Params) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in p.tags.items()]

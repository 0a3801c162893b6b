"""The two listeners of the application balancer: HTTPS to the registries, and HTTP that says where HTTPS is."""

from . import acm, tags, target_group
from .errors import AwsError
from .params import Params
from .report import added
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
            **tags.want(p),
        },
        "80": {"Protocol": "HTTP", "DefaultActions": [_REDIRECT], **tags.want(p)},
    }


def find(aws: AWS, p: Params, *, balancer: str) -> dict[str, dict]:
    """The same of the listeners that the balancer of that ARN has; more rules and certificates are told as added."""
    certificate, group, listeners = (
        acm.certificate_arn(aws, p),
        target_group.describe(aws, p),
        _listeners(aws, balancer),
    )
    return {
        str(each["Port"]): _listener(p, each, certificate, group)
        | tags.found(p, _tags(aws, p, each["ListenerArn"]))
        | added(
            {f"rule of priority {rule['Priority']}": "there" for rule in _rules(aws, each)}
            | {f"certificate of {_domain(aws, arn)}": "there" for arn in _more_certificates(aws, each)}
        )
        for each in listeners
    }


def ensure(aws: AWS, p: Params, *, balancer: str) -> None:
    """Delete the listeners that nobody wanted, create the missing ones, change each that differs."""
    wanted, found = want(p), find(aws, p, balancer=balancer)
    listeners = {str(each["Port"]): each for each in _listeners(aws, balancer)}
    for port in sorted(listeners.keys() - wanted.keys()):
        aws.elbv2.delete_listener(ListenerArn=listeners[port]["ListenerArn"])
    for port, listener in wanted.items():
        payload = _payload(aws, p, int(port), listener)
        if port not in listeners:
            _create(aws, p, balancer, payload)
            continue
        here = {"ListenerArn": listeners[port]["ListenerArn"]}
        for rule in _rules(aws, listeners[port]):
            aws.elbv2.delete_rule(RuleArn=rule["RuleArn"])
        if surplus := _more_certificates(aws, listeners[port]):
            more = [{"CertificateArn": arn} for arn in surplus]
            aws.elbv2.remove_listener_certificates(**here, Certificates=more)
        if tags.differ(p, found[port]):
            aws.elbv2.add_tags(ResourceArns=[here["ListenerArn"]], Tags=tags.pairs(p.extra_tags))
        if any(found[port][key] != value for key, value in listener.items() if key != "Tags"):
            aws.elbv2.modify_listener(**here, **payload)


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
            aws.elbv2.create_listener(LoadBalancerArn=arn, Tags=tags.pairs(p.tags), **payload)
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


def _tags(aws: AWS, p: Params, arn: str) -> list[dict[str, str]]:
    """Asked for only where the params have extra ones: a listener is its balancer's, whose tag says whose it is."""
    return aws.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] if p.extra_tags else []


def _rules(aws: AWS, listener: dict) -> list[dict]:
    """Those beside the default one, which the listener itself tells."""
    rules = aws.elbv2.all("describe_rules", "Rules", ListenerArn=listener["ListenerArn"])
    return [rule for rule in rules if not rule["IsDefault"]]


def _more_certificates(aws: AWS, listener: dict) -> list[str]:
    """Those beside the default one, which clients get that ask for another name."""
    if listener["Protocol"] != "HTTPS":
        return []
    arn = {"ListenerArn": listener["ListenerArn"]}
    found = aws.elbv2.all("describe_listener_certificates", "Certificates", **arn)
    first = {each["CertificateArn"] for each in (listener.get("Certificates") or [])[:1]}
    return sorted({each["CertificateArn"] for each in found} - first)


def _domain(aws: AWS, arn: str) -> str:
    return (acm.described(aws, arn) or {}).get("DomainName", "another name")

"""What Elastic Load Balancing v2 refuses of listeners and their rules, and what this cloud does not play."""

import ipaddress

from ..inside import acm, elbv2, elbv2_kept
from ..inside.dispatch import Refused

PLAYED_CONDITIONS = ("host-header", "http-request-method", "path-pattern", "source-ip")
PLAYED_ACTIONS = ("fixed-response", "forward", "redirect")
PRIORITIES = range(1, 50_001)


def wrong(message: str) -> Refused:
    return Refused("ValidationError", message)


def not_played(what: str) -> Refused:
    return Refused("InvalidConfigurationRequest", f"The embedded cloud does not play {what}.")


def create_listener(params: dict, region: str) -> None:
    """CreateListener: one a port; a certificate and a known policy where it is encrypted; what it does."""
    balancer = elbv2_kept.balancer(region, params["LoadBalancerArn"])
    if balancer is None:
        raise Refused("LoadBalancerNotFound", f"Load balancer '{params['LoadBalancerArn']}' not found")
    _port(params.get("Port"), balancer, None)
    if params.get("Protocol") == "HTTPS":
        _encrypted(params, region)
    _actions(params.get("DefaultActions", []), params["LoadBalancerArn"], region)


def modify_listener(params: dict, region: str) -> None:
    """ModifyListener: as CreateListener, of what is sent."""
    found = _listener(params, region)
    balancer = elbv2_kept.balancer(region, found.load_balancer_arn)
    if "Port" in params:
        _port(params["Port"], balancer, found)
    becomes = params.get("Protocol", found.protocol)
    if becomes == "HTTPS" and (found.protocol != "HTTPS" or "Certificates" in params or "SslPolicy" in params):
        kept = {"Certificates": [{"CertificateArn": arn} for arn in found.certificates], "SslPolicy": found.ssl_policy}
        _encrypted(kept | params, region)
    if "DefaultActions" in params:
        _actions(params["DefaultActions"], found.load_balancer_arn, region)


def _listener(params: dict, region: str):
    arn = params.get("ListenerArn") or params["RuleArn"]
    if (found := elbv2_kept.listener(region, arn)) is None:
        raise Refused("ListenerNotFound", f"One or more listeners not found: '{arn}'")
    return found


def _port(port: int | None, balancer, own) -> None:
    if port is None or not 1 <= int(port) <= 65535:
        raise wrong(f"Port '{port}' must be between 1 and 65535")
    others = [each for each in list(balancer.listeners.values()) if each is not own]
    if int(port) in [int(each.port) for each in others]:
        raise Refused("DuplicateListener", f"A listener already exists on this port for this load balancer: {port}")


def _encrypted(params: dict, region: str) -> None:
    """ "SSL certificates for your Application Load Balancer": issued, in the same region; a known policy."""
    certificates = params.get("Certificates") or []
    if len(certificates) != 1:
        raise wrong("A certificate must be specified for HTTPS listeners, and one only")
    _certificate(certificates[0]["CertificateArn"], region)
    policy = params.get("SslPolicy")
    if policy and not elbv2_kept.policy_exists(policy):
        raise Refused("SSLPolicyNotFound", f"SSL policy '{policy}' not found")


def _certificate(arn: str, region: str) -> None:
    status = acm.status(arn)
    elsewhere = ":acm:" in arn and f":acm:{region}:" not in arn
    if elsewhere or (status is None and acm.parts(arn) is None):
        raise Refused("CertificateNotFound", f"Certificate '{arn}' not found")
    if status not in (None, "ISSUED"):
        raise Refused(
            "UnsupportedCertificate",
            f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
            "and a supported key size.",
        )


def add_certificates(params: dict, region: str) -> None:
    """AddListenerCertificates: as the certificate of CreateListener."""
    _listener(params, region)
    for each in params["Certificates"]:
        _certificate(each["CertificateArn"], region)


def create_rule(params: dict, region: str) -> None:
    """CreateRule: priorities from 1 to 50,000, conditions, what it does."""
    found = _listener(params, region)
    if int(params["Priority"]) not in PRIORITIES:
        raise wrong(f"Rule priority '{params['Priority']}' must be between 1 and 50000")
    _conditions(params["Conditions"])
    _actions(params["Actions"], found.load_balancer_arn, region)


def modify_rule(params: dict, region: str) -> None:
    """ModifyRule: as CreateRule, of what is sent."""
    found = _listener(params, region)
    if params["RuleArn"] == found._default_rule[0].arn:
        raise Refused("OperationNotPermitted", f"Default rule '{params['RuleArn']}' cannot be modified")
    _conditions(params.get("Conditions", []))
    if "Actions" in params:
        _actions(params["Actions"], found.load_balancer_arn, region)


def delete_rule(params: dict, region: str) -> None:
    """DeleteRule: "You can't delete the default rule"."""
    if not elbv2_kept.rule_exists(region, params["RuleArn"]):
        raise Refused("RuleNotFound", f"One or more rules not found: '{params['RuleArn']}'")
    if params["RuleArn"] == _listener(params, region)._default_rule[0].arn:
        raise Refused("OperationNotPermitted", f"Default rule '{params['RuleArn']}' cannot be deleted")


def _conditions(conditions: list[dict]) -> None:
    for condition in conditions:
        kind = condition.get("Field")
        if kind not in PLAYED_CONDITIONS:
            raise not_played(f"the condition {kind}")
        if condition.get("RegexValues") or any("RegexValues" in each for each in condition.values()):
            raise not_played("regular expressions in a condition")
        found = elbv2.values(condition)
        if not found:
            raise wrong("A condition value must be specified")
        for value in found if kind == "source-ip" else ():
            try:
                ipaddress.ip_network(value)
            except ValueError:
                raise wrong(f"The value '{value}' of 'source-ip' is not a network in CIDR form") from None


def _actions(actions: list[dict], balancer_arn: str, region: str) -> None:
    if len(actions) != 1:
        raise wrong("Exactly one action is needed: forward, redirect or fixed-response")
    action = actions[0]
    if action["Type"] not in PLAYED_ACTIONS:
        raise not_played(f"the action {action['Type']}")
    if action["Type"] == "forward":
        _forward(action, balancer_arn, region)
    if action["Type"] == "redirect":
        _redirect(action.get("RedirectConfig", {}))
    if action["Type"] == "fixed-response" and "FixedResponseConfig" not in action:
        raise Refused("InvalidLoadBalancerAction", "A fixed-response action needs a FixedResponseConfig")


def _forward(action: dict, balancer_arn: str, region: str) -> None:
    """ "Listener rules": a target group serves one load balancer, in the same VPC."""
    several = action.get("ForwardConfig", {}).get("TargetGroups", [])
    if len(several) > 1:
        raise not_played("weighted target groups")
    if action.get("ForwardConfig", {}).get("TargetGroupStickinessConfig", {}).get("Enabled"):
        raise not_played("stickiness")
    if not several and "TargetGroupArn" not in action:
        raise wrong("A forward action needs a target group")
    arn = elbv2.forwards_to(action)
    if (group := elbv2_kept.group(region, arn)) is None:
        raise Refused("TargetGroupNotFound", f"Target groups '{arn}' not found")
    if any(each != balancer_arn for each in elbv2.attachments(region, arn)):
        raise Refused(
            "TargetGroupAssociationLimit",
            f"The following target groups cannot be associated with more than one load balancer: {arn}",
        )
    if group.vpc_id != elbv2_kept.balancer(region, balancer_arn).vpc_id:
        raise Refused("InvalidConfigurationRequest", f"The target group {arn} is not in the VPC of the load balancer")


def _redirect(wanted: dict) -> None:
    """ "Redirect actions": one of protocol, host, port and path must change, or it would lead to itself."""
    unchanged = {"Protocol": "#{protocol}", "Host": "#{host}", "Port": "#{port}", "Path": "/#{path}"}
    if all(wanted.get(name, same) == same for name, same in unchanged.items()):
        raise Refused(
            "InvalidLoadBalancerAction",
            "The redirect configuration is not valid because it creates a loop.",
        )
    if wanted.get("StatusCode") not in ("HTTP_301", "HTTP_302"):
        raise wrong("The status code of a redirect must be HTTP_301 or HTTP_302")


RULES = {
    ("elbv2", "AddListenerCertificates"): add_certificates,
    ("elbv2", "CreateListener"): create_listener,
    ("elbv2", "CreateRule"): create_rule,
    ("elbv2", "DeleteRule"): delete_rule,
    ("elbv2", "ModifyListener"): modify_listener,
    ("elbv2", "ModifyRule"): modify_rule,
}

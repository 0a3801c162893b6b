"""The application load balancer before the service: listeners, attributes, and the target groups behind it."""

from collections.abc import Iterator

from ..finding import Finding
from .classic import LONG_ENOUGH, MODERN, counted
from .deployment import Deployment
from .rules import found

_ABSENT = {"TargetGroupNotFound", "LoadBalancerNotFound"}


def target_groups(d: Deployment) -> dict[str, dict]:
    arns = [each["targetGroupArn"] for each in d.service.get("loadBalancers", []) if each.get("targetGroupArn")]
    if not arns:
        return {}
    key = ("target groups",)
    told = d.once(key, lambda: d.aws.elbv2.find("describe_target_groups", _ABSENT, TargetGroupArns=arns))
    return {f"target group {each['TargetGroupName']}": each for each in (told or {}).get("TargetGroups", [])}


def balancers(d: Deployment) -> dict[str, dict]:
    arns = sorted({arn for group in target_groups(d).values() for arn in group["LoadBalancerArns"]})
    if not arns:
        return {}
    key = ("application",)
    told = d.once(key, lambda: d.aws.elbv2.all("describe_load_balancers", "LoadBalancers", LoadBalancerArns=arns))
    return {f"load balancer {each['LoadBalancerName']}": each for each in told}


def listeners(d: Deployment, balancer: dict) -> list[dict]:
    """Those that lead to the service, by a rule or by default."""
    return d.once(("listeners", balancer["LoadBalancerArn"]), lambda: list(_listeners(d, balancer)))


def ports(d: Deployment) -> set[int]:
    return {each["Port"] for balancer in balancers(d).values() for each in listeners(d, balancer)}


def protocols(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    if balancer["Type"] != "application":
        yield found("network-balancer", where, kind=balancer["Type"])
    for each in listeners(d, balancer):
        port, protocol = each["Port"], each["Protocol"]
        if protocol == "HTTP" or (protocol in ("TCP", "TCP_UDP") and not d.ends_tls):
            yield found("clear-text", where, port=port, protocol=protocol)
        elif protocol != "HTTPS":
            yield found("bytes-not-http", where, port=port, protocol=protocol)
        if protocol in ("HTTPS", "TLS") and not MODERN.fullmatch(each.get("SslPolicy", "")):
            yield found("tls-old", where, port=port, policy=each.get("SslPolicy", "the balancer's default"))


def attributes(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    """What a kind of balancer does not have is not told of it."""
    arn = balancer["LoadBalancerArn"]
    told = _pairs(d.aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=arn))
    if (idle := int(told.get("idle_timeout.timeout_seconds", LONG_ENOUGH))) < LONG_ENOUGH:
        yield found("idle-timeout", where, seconds=idle)
    if told.get("routing.http.drop_invalid_header_fields.enabled") == "false":
        yield found("invalid-headers", where)
    if told.get("routing.http.desync_mitigation_mode") == "monitor":
        yield found("desync", where, mode="monitor")
    if told.get("access_logs.s3.enabled") == "false":
        yield found("no-access-logs", where)
    if told.get("deletion_protection.enabled") == "false":
        yield found("no-deletion-protection", where)


def zones(d: Deployment, where: str, balancer: dict) -> Iterator[Finding]:
    if len(balancer.get("AvailabilityZones", [])) == 1:
        yield found("one-zone-balancer", where)


def health(d: Deployment, where: str, group: dict) -> Iterator[Finding]:
    matcher = group.get("Matcher", {}).get("HttpCode", "200")
    if group["HealthCheckProtocol"] in ("TCP", "TLS"):
        yield found("check-tcp", where, check=group["HealthCheckProtocol"])
    elif group.get("HealthCheckPath", "/").rstrip("/") == "/v2" and not _takes_401(matcher):
        yield found("check-401", where, matcher=matcher)


def states(d: Deployment, where: str, group: dict) -> Iterator[Finding]:
    told = d.aws.elbv2.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    states = [each["TargetHealth"]["State"] for each in told]
    staying = [each for each in states if each != "draining"]
    yield from counted(where, len(staying), staying.count("healthy"))


def draining(d: Deployment, where: str, group: dict) -> Iterator[Finding]:
    told = _pairs(d.aws.elbv2.describe_target_group_attributes(TargetGroupArn=group["TargetGroupArn"]))
    if told.get("deregistration_delay.timeout_seconds") == "0":
        yield found("no-draining", where)


def _listeners(d: Deployment, balancer: dict) -> Iterator[dict]:
    mine = {each["TargetGroupArn"] for each in target_groups(d).values()}
    for each in d.aws.elbv2.all("describe_listeners", "Listeners", LoadBalancerArn=balancer["LoadBalancerArn"]):
        actions = list(each.get("DefaultActions", []))
        if balancer["Type"] == "application":  # others have no rules
            rules = d.aws.elbv2.all("describe_rules", "Rules", ListenerArn=each["ListenerArn"])
            actions += [action for rule in rules for action in rule["Actions"]]
        if mine & {arn for action in actions for arn in _leads_to(action)}:
            yield each


def _leads_to(action: dict) -> Iterator[str | None]:
    yield action.get("TargetGroupArn")
    for each in action.get("ForwardConfig", {}).get("TargetGroups", []):
        yield each["TargetGroupArn"]


def _takes_401(matcher: str) -> bool:
    for part in matcher.split(","):
        first, _, last = part.partition("-")
        if int(first) <= 401 <= int(last or first):
            return True
    return False


def _pairs(answer: dict) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in answer["Attributes"]}


CHECKS = (protocols, attributes, zones)
OF_GROUP = (health, states, draining)

"""What Elastic Load Balancing v2 refuses of application load balancers, and what this cloud does not play."""

import re

from ..inside import access_logs, account, elbv2_api, elbv2_kept, settling
from ..inside.dispatch import Refused
from .listeners import RULES as OF_LISTENERS
from .listeners import not_played, wrong

NAME = re.compile(r"(?!-)(?!internal-)[A-Za-z0-9-]{1,32}(?<!-)")
# API_LoadBalancerAttribute: what must have its default here.
UNPLAYED_ATTRIBUTES = (
    "client_keep_alive.seconds",
    "connection_logs.s3.enabled",
    "health_check_logs.s3.enabled",
    "routing.http.preserve_host_header.enabled",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
    "routing.http.xff_client_port.enabled",
    "routing.http.xff_header_processing.mode",
)
UNPLAYED_GROUP_ATTRIBUTES = (
    "load_balancing.algorithm.anomaly_mitigation",
    "stickiness.enabled",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
)
ALGORITHMS = ("round_robin", "least_outstanding_requests")
# CreateTargetGroup, of HTTP and HTTPS: seconds and counts.
LIMITS = {
    "HealthCheckIntervalSeconds": (5, 300),
    "HealthCheckTimeoutSeconds": (2, 120),
    "HealthyThresholdCount": (2, 10),
    "UnhealthyThresholdCount": (2, 10),
}
# CreateTargetGroup's parameters, and where moto keeps them.
KEPT = {
    "Protocol": "protocol",
    "Port": "port",
    "VpcId": "vpc_id",
    "TargetType": "target_type",
    "HealthCheckProtocol": "health_check_protocol",
    "HealthCheckPort": "health_check_port",
    "HealthCheckPath": "health_check_path",
    "HealthCheckIntervalSeconds": "health_check_interval_seconds",
    "HealthCheckTimeoutSeconds": "health_check_timeout_seconds",
    "HealthyThresholdCount": "healthy_threshold_count",
    "UnhealthyThresholdCount": "unhealthy_threshold_count",
    "Matcher": "matcher",
}
DEFAULT_CHECK = {
    "HealthCheckPath": "/",
    "HealthCheckPort": "traffic-port",
    "HealthCheckIntervalSeconds": 30,
    "HealthCheckTimeoutSeconds": 5,
    "HealthyThresholdCount": 5,
    "UnhealthyThresholdCount": 2,
    "Matcher": {"HttpCode": "200"},
}
TAGS_AT_ONCE = 20


def create_load_balancer(params: dict, region: str) -> dict | None:
    """CreateLoadBalancer: its name and its subnets; again with the same settings it answers with what is there."""
    name = params.get("Name", "")
    if params.get("Type", "application") != "application":
        raise not_played(f"a load balancer of type {params['Type']}")
    if not NAME.fullmatch(name):
        raise wrong(
            "The load balancer name must have 1 to 32 letters, digits and hyphens, not begin or end with a hyphen, "
            f"and not begin with 'internal-': {name}"
        )
    subnets = _subnets(params, region)
    for group in params.get("SecurityGroups", []):
        if account.group(region, group) is None:
            raise Refused("InvalidSecurityGroup", f"Security group {group} does not exist")
    found = elbv2_kept.balancer_named(region, name)
    if found is None:
        return None
    same = (
        {subnet.id for subnet in found.subnets} == set(subnets)
        and found.scheme == params.get("Scheme", "internet-facing")
        and found.ip_address_type == params.get("IpAddressType", "ipv4")
        and set(params.get("SecurityGroups") or found.security_groups) == set(found.security_groups)
    )
    if same:
        return {"LoadBalancers": [found]}
    raise Refused(
        "DuplicateLoadBalancerName",
        f"A load balancer with the same name '{name}' exists, but with different settings",
    )


def _subnets(params: dict, region: str) -> list[str]:
    """ "Subnets for your load balancer": of two Availability Zones at least, one of each."""
    subnets = params.get("Subnets") or [each["SubnetId"] for each in params.get("SubnetMappings", [])]
    zones = [elbv2_kept.zone_of_subnet(region, each) for each in subnets]
    if None in zones:
        raise Refused("SubnetNotFound", f"The subnet ID '{subnets[zones.index(None)]}' does not exist")
    if len(set(zones)) < len(zones):
        raise Refused(
            "InvalidConfigurationRequest",
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        )
    if len(zones) < 2:
        raise wrong("At least two subnets in two different Availability Zones must be specified")
    return subnets


def set_subnets(params: dict, region: str) -> None:
    _known(params, region)
    _subnets(params, region)


def delete_load_balancer(params: dict, region: str) -> dict | None:
    """DeleteLoadBalancer, OperationNotPermitted: deletion protection. One that is not there: "the call succeeds"."""
    arn = params["LoadBalancerArn"]
    found = elbv2_kept.balancer(region, arn)
    if found is None:
        return {}
    if found.attrs["deletion_protection.enabled"] == "true":
        raise Refused(
            "OperationNotPermitted",
            f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
        )
    settling.keep_groups(region, found.security_groups)
    return None


def _known(params: dict, region: str):
    found = elbv2_kept.balancer(region, params["LoadBalancerArn"])
    if found is None:
        raise Refused("LoadBalancerNotFound", f"Load balancer '{params['LoadBalancerArn']}' not found")
    return found


def modify_load_balancer_attributes(params: dict, region: str) -> None:
    """ModifyLoadBalancerAttributes: known keys, an idle timeout of 1 to 4000 s, a bucket that takes the logs."""
    found = _known(params, region)
    sent = _attributes(params, elbv2_api.ATTRIBUTES, UNPLAYED_ATTRIBUTES, "Load balancer")
    _within(sent, "idle_timeout.timeout_seconds", 1, 4000)
    attributes = found.attrs | sent
    if attributes["access_logs.s3.enabled"] == "true":
        bucket, prefix = attributes["access_logs.s3.bucket"], attributes["access_logs.s3.prefix"]
        if problem := access_logs.problem(bucket, prefix, region):
            raise Refused("InvalidConfigurationRequest", problem)


def modify_target_group_attributes(params: dict, region: str) -> None:
    """ModifyTargetGroupAttributes: known keys and AWS's limits."""
    found = _known_group(params, region)
    sent = _attributes(params, elbv2_api.GROUP_ATTRIBUTES, UNPLAYED_GROUP_ATTRIBUTES, "Target group")
    _within(sent, "deregistration_delay.timeout_seconds", 0, 3600)
    attributes = found.attributes | sent
    algorithm, slow = attributes["load_balancing.algorithm.type"], attributes["slow_start.duration_seconds"]
    if algorithm not in ALGORITHMS:
        raise not_played(f"the algorithm {algorithm}")
    if slow != "0":
        _within(sent, "slow_start.duration_seconds", 30, 900)
        if algorithm != "round_robin":
            raise Refused("InvalidConfigurationRequest", f"Slow start cannot be used with the algorithm {algorithm}")


def _attributes(params: dict, known: dict[str, str], unplayed: tuple[str, ...], whose: str) -> dict[str, str]:
    sent = {each["Key"]: each["Value"] for each in params["Attributes"]}
    for key, value in sent.items():
        if key not in known:
            raise wrong(f"{whose} attribute key '{key}' is not recognized")
        if key in unplayed and value != known[key]:
            raise not_played(f"{key} = {value}")
    return sent


def _within(sent: dict[str, str], key: str, lowest: int, highest: int) -> None:
    value = sent.get(key)
    if value is not None and not (value.isdecimal() and lowest <= int(value) <= highest):
        raise wrong(f"'{key}' value '{value}' must be between '{lowest}-{highest}' inclusive")


def create_target_group(params: dict, region: str) -> dict | None:
    """CreateTargetGroup: again with the same settings it answers with what is there."""
    kind, protocol = params.get("TargetType", "instance"), params.get("Protocol")
    if kind != "instance" or protocol not in (None, "HTTP", "HTTPS"):
        raise not_played(f"a target group of type {kind} and protocol {protocol}")
    if params.get("ProtocolVersion", "HTTP1") != "HTTP1":
        raise not_played(f"protocol version {params['ProtocolVersion']}")
    if params.get("Port") is not None and not 1 <= int(params["Port"]) <= 65535:
        raise wrong(f"Port '{params['Port']}' must be between 1 and 65535")
    _check(params)
    found = elbv2_kept.group_named(region, params.get("Name", ""))
    if found is None:
        return None
    asked = {"TargetType": "instance", "HealthCheckProtocol": protocol} | DEFAULT_CHECK | params
    if all(str(getattr(found, attribute)) == str(asked.get(name)) for name, attribute in KEPT.items()):
        return {"TargetGroups": [found]}
    raise Refused(
        "DuplicateTargetGroupName",
        f"A target group with the same name '{params['Name']}' exists, but with different settings",
    )


def modify_target_group(params: dict, region: str) -> None:
    """ModifyTargetGroup: as the health check of CreateTargetGroup."""
    found = _known_group(params, region)
    kept = {name: getattr(found, attribute) for name, attribute in KEPT.items() if name.startswith("HealthCheck")}
    _check(kept | params)


def _check(params: dict) -> None:
    """CreateTargetGroup, HealthCheck…: limits, codes from 200 to 499, a path."""
    if not params.get("HealthCheckEnabled", True):
        raise wrong("Health check enabled must be true for target groups with target type 'instance'")
    if params.get("HealthCheckProtocol", "HTTP") not in ("HTTP", "HTTPS"):
        raise wrong(f"Health check protocol '{params['HealthCheckProtocol']}' must be HTTP or HTTPS")
    for name, (lowest, highest) in LIMITS.items():
        if params.get(name) is not None and not lowest <= int(params[name]) <= highest:
            raise wrong(f"{name} '{params[name]}' must be between {lowest} and {highest}")
    if int(params.get("HealthCheckTimeoutSeconds") or 5) >= int(params.get("HealthCheckIntervalSeconds") or 30):
        raise wrong("Health check timeout must be smaller than the interval")
    path, port = params.get("HealthCheckPath", "/"), str(params.get("HealthCheckPort", "traffic-port"))
    if not re.fullmatch(r"/\S{0,1023}", path):
        raise wrong(f"Health check path '{path}' must begin with '/'")
    if port != "traffic-port" and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise wrong(f"Health check port '{port}' must be 'traffic-port' or a number between 1 and 65535")
    codes = params.get("Matcher", {}).get("HttpCode", "200")
    whole = re.fullmatch(r"\d{3}(-\d{3})?(,\d{3}(-\d{3})?)*", codes)
    if not whole or not all(200 <= int(code) <= 499 for code in re.findall(r"\d{3}", codes)):
        raise wrong(f"Health check matcher HTTP code '{codes}' must be within '200-499'")


def _known_group(params: dict, region: str):
    found = elbv2_kept.group(region, params["TargetGroupArn"])
    if found is None:
        raise Refused("TargetGroupNotFound", f"Target groups '{params['TargetGroupArn']}' not found")
    return found


def describe_tags(params: dict, region: str) -> None:
    """DescribeTags: at most 20 resources, all of which exist."""
    arns = params["ResourceArns"]
    if len(arns) > TAGS_AT_ONCE:
        raise wrong(f"Up to {TAGS_AT_ONCE} resource ARNs can be specified")
    for arn in arns:
        for kind, code, exists in (
            (":loadbalancer/", "LoadBalancerNotFound", elbv2_kept.balancer),
            (":targetgroup/", "TargetGroupNotFound", elbv2_kept.group),
            (":listener/", "ListenerNotFound", elbv2_kept.listener),
            (":listener-rule/", "RuleNotFound", elbv2_kept.rule_exists),
        ):
            if kind in arn and not exists(region, arn):
                raise Refused(code, f"One or more of the resources do not exist: {arn}")


RULES = {
    **OF_LISTENERS,
    ("elbv2", "CreateLoadBalancer"): create_load_balancer,
    ("elbv2", "CreateTargetGroup"): create_target_group,
    ("elbv2", "DeleteLoadBalancer"): delete_load_balancer,
    ("elbv2", "DescribeTags"): describe_tags,
    ("elbv2", "ModifyLoadBalancerAttributes"): modify_load_balancer_attributes,
    ("elbv2", "ModifyTargetGroup"): modify_target_group,
    ("elbv2", "ModifyTargetGroupAttributes"): modify_target_group_attributes,
    ("elbv2", "SetSubnets"): set_subnets,
}

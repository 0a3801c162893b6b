"""Elastic Load Balancing v2 inside moto: its answers about application load balancers put right."""

import functools
import time
import zlib

from moto.core.responses import ActionResult
from moto.elbv2.exceptions import ELBClientError, TooManyTagsError
from moto.elbv2.models import (
    ELBv2Backend,
    FakeHealthStatus,
    FakeListener,
    FakeLoadBalancer,
    FakeRule,
    FakeTargetGroup,
)
from moto.elbv2.responses import ELBV2Response

from . import elbv2

# AWS takes minutes.
PROVISIONING_SECONDS = 1.0
MOST_TAGS = 50
DEFAULT_TLS_POLICY = "ELBSecurityPolicy-2016-08"

# "Elastic Load Balancing endpoints and quotas": the hosted zone that an alias record to a balancer names.
HOSTED_ZONES = {
    "us-east-1": "Z35SXDOTRQ7X7K",
    "us-east-2": "Z3AADJGX6KTTL2",
    "us-west-1": "Z368ELLRRE2KJ0",
    "us-west-2": "Z1H1FL5HABSF5",
    "ca-central-1": "ZQSVJUPU6J1EY",
    "ap-south-1": "ZP97RAFLXTNZK",
    "ap-northeast-1": "Z14GRHDCWA56QT",
    "ap-northeast-2": "ZWKZPGTI48KDX",
    "ap-southeast-1": "Z1LMS91P8CMLE5",
    "ap-southeast-2": "Z1GM3OXH4ZPM65",
    "eu-central-1": "Z215JYRZR1TBD5",
    "eu-north-1": "Z23TAZ6LKFMNIO",
    "eu-west-1": "Z32O12XQLNTSW2",
    "eu-west-2": "ZHURV8PSTC4K8",
    "eu-west-3": "Z3Q77PNBQS71R4",
    "sa-east-1": "Z2P70J7HTTTPLU",
}
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html: the defaults.
ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "health_check_logs.s3.enabled": "false",
    "health_check_logs.s3.bucket": "",
    "health_check_logs.s3.prefix": "",
    "idle_timeout.timeout_seconds": "60",
    "ipv6.deny_all_igw_traffic": "false",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}
# API_TargetGroupAttribute: the defaults of an instance target group of HTTP or HTTPS.
GROUP_ATTRIBUTES = {
    "deregistration_delay.timeout_seconds": "300",
    "load_balancing.algorithm.anomaly_mitigation": "off",
    "load_balancing.algorithm.type": "round_robin",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "slow_start.duration_seconds": "0",
    "stickiness.app_cookie.cookie_name": "",
    "stickiness.app_cookie.duration_seconds": "86400",
    "stickiness.enabled": "false",
    "stickiness.lb_cookie.duration_seconds": "86400",
    "stickiness.type": "lb_cookie",
    "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}


def install() -> None:
    """Mend moto's application load balancers; a second call changes nothing."""
    if hasattr(ELBv2Backend.create_load_balancer, "__wrapped__"):
        return
    ELBv2Backend.add_tags = _add_tags
    ELBv2Backend.create_load_balancer = _complete(ELBv2Backend.create_load_balancer)
    ELBv2Backend.create_target_group = _with_attributes(ELBv2Backend.create_target_group)
    ELBv2Backend.delete_load_balancer = _with_tags(ELBv2Backend.delete_load_balancer)
    ELBv2Backend.delete_target_group = _with_tags(ELBv2Backend.delete_target_group)
    ELBv2Backend.describe_target_health = _describe_target_health
    ELBv2Backend.modify_target_group_attributes = _modify_attributes
    ELBv2Backend.modify_listener = _switched(ELBv2Backend.modify_listener)
    FakeListener.__init__ = _without_policy(FakeListener.__init__)
    FakeLoadBalancer.activate = _activate
    FakeRule.__init__ = _rule_arn(FakeRule.__init__)
    FakeTargetGroup.register, FakeTargetGroup.deregister = _register, _deregister
    FakeTargetGroup.deregister_terminated_instances = _deregister_terminated
    FakeTargetGroup.load_balancer_arns = property(_load_balancer_arns, lambda group, value: None)
    ELBV2Response.modify_target_group_attributes = _all_attributes(ELBV2Response.modify_target_group_attributes)


def _complete(plain):
    """A new balancer as DescribeLoadBalancers shows it: DNS name, hosted zone, security groups, attributes."""

    @functools.wraps(plain)
    def create_load_balancer(self, name, security_groups, *args, **kwargs):
        balancer = plain(self, name, security_groups, *args, **kwargs)
        balancer.seen_made = time.monotonic()
        balancer.scheme = balancer.scheme or "internet-facing"
        inside = "internal-" if balancer.scheme == "internal" else ""
        number = zlib.crc32(balancer.arn.encode())
        balancer.dns_name = f"{inside}{name}-{number}.{self.region_name}.elb.amazonaws.com"
        balancer.canonical_hosted_zone_id = HOSTED_ZONES.get(self.region_name)
        balancer.attrs = dict(ATTRIBUTES)
        if not balancer.security_groups:
            group = self.ec2_backend.get_default_security_group(balancer.vpc_id)
            balancer.security_groups = [group.id] if group else []
        return balancer

    return create_load_balancer


def _activate(balancer: FakeLoadBalancer) -> None:
    """A balancer is provisioned for a moment."""
    if time.monotonic() - balancer.seen_made >= PROVISIONING_SECONDS:
        balancer.state = "active"


def _with_attributes(plain):
    @functools.wraps(plain)
    def create_target_group(self, name, **kwargs):
        group = plain(self, name, **kwargs)
        group.attributes = dict(GROUP_ATTRIBUTES)
        return group

    return create_target_group


def _with_tags(plain):
    """What is deleted takes its tags along, and a balancer those of its listeners and their rules; moto keeps them."""

    @functools.wraps(plain)
    def delete(self, arn):
        answer = plain(self, arn)
        own = arn.rpartition(":")[2].removeprefix("loadbalancer/")
        for kept in list(self.tagging_service.tags):
            if kept == arn or f"/{own}/" in kept:
                self.tagging_service.delete_all_tags_for_resource(kept)
        return answer

    return delete


def _add_tags(self, resource_arns: list[str], tags: list[dict[str, str]]) -> None:
    """AddTags: at most 50 of one resource; moto allows 10."""
    for arn in resource_arns:
        self._get_resource_by_arn(arn)
        kept = self.tagging_service.get_tag_dict_for_resource(arn)
        if len(kept | self.tagging_service.flatten_tag_list(tags)) > MOST_TAGS:
            raise TooManyTagsError()
        self.tagging_service.tag_resource(arn, tags)


def _switched(plain):
    """ModifyListener: a listener that becomes HTTP has no certificate and no policy, one that becomes HTTPS has."""

    @functools.wraps(plain)
    def modify_listener(self, arn, port=None, protocol=None, ssl_policy=None, certificates=None, actions=None):
        listener = plain(self, arn, port, protocol, ssl_policy, certificates or [], actions or [])
        if listener.protocol == "HTTP":
            listener.certificate, listener.certificates, listener.ssl_policy = None, [], None
        elif listener.ssl_policy is None:
            listener.ssl_policy = DEFAULT_TLS_POLICY
        return listener

    return modify_listener


def _without_policy(plain):
    """A listener without TLS has no policy; moto gives it one."""

    @functools.wraps(plain)
    def __init__(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        if self.protocol != "HTTPS":
            self.ssl_policy = None

    return __init__


def _rule_arn(plain):
    """The default rule's ARN ends as the others' do; moto's in an address of Python's memory."""

    @functools.wraps(plain)
    def __init__(self, listener_arn, *args, **kwargs):
        plain(self, listener_arn, *args, **kwargs)
        digest = zlib.crc32(listener_arn.encode())
        self.arn = f"{listener_arn.replace(':listener/', ':listener-rule/')}/{digest:016x}"

    return __init__


def _register(group: FakeTargetGroup, targets: list[dict]) -> None:
    for target in targets:
        state = elbv2.instance_state(group.region_name, target["Id"])
        if state == "terminated":
            raise ELBClientError("InvalidTarget", f"The following targets are not valid instances: '{target['Id']}'")
        if state != "running":
            raise ELBClientError(
                "InvalidTarget",
                "The following targets are not in a running state and cannot be registered: "
                f"'{target['Id']}' is {state}",
            )
    for target in targets:
        elbv2.register_target(group.region_name, group.arn, *_target(group, target))


def _deregister(group: FakeTargetGroup, targets: list[dict]) -> None:
    """DeregisterTargets: "If the specified target does not exist, the action returns successfully"."""
    for target in targets:
        elbv2.deregister_target(group.region_name, group.arn, *_target(group, target))


def _deregister_terminated(group: FakeTargetGroup, instance_ids: list[str]) -> None:
    for instance, port in list(elbv2.members(group)):
        if instance in instance_ids:
            elbv2.deregister_target(group.region_name, group.arn, instance, port)


def _target(group: FakeTargetGroup, target: dict) -> elbv2.Target:
    return target["Id"], int(target.get("Port") or group.port)


def _describe_target_health(self, target_group_arn: str, targets: list[dict]) -> list[FakeHealthStatus]:
    group = self.describe_target_groups(None, [target_group_arn], None)[0]
    known = elbv2.healths(self.region_name, target_group_arn)
    asked = [_target(group, each) for each in targets] or list(known)
    seen = {target: known.get(target, elbv2.NOT_REGISTERED) for target in asked}
    return [
        FakeHealthStatus(
            instance,
            port,
            str(port) if group.health_check_port == "traffic-port" else group.health_check_port,
            health.state,
            health.reason,
            health.description,
        )
        for (instance, port), health in seen.items()
    ]


def _load_balancer_arns(group: FakeTargetGroup) -> list[str]:
    """DescribeTargetGroups: those whose listeners forward to it now."""
    return list(elbv2.attachments(group.region_name, group.arn))


def _modify_attributes(self, target_group_arn: str, attributes: dict[str, str]) -> None:
    """ModifyTargetGroupAttributes: a deregistration delay of 3600 s, too, which moto refuses."""
    self.describe_target_groups(None, [target_group_arn], None)[0].attributes.update(attributes)


def _all_attributes(plain):
    """ModifyTargetGroupAttributes answers with all of them."""

    @functools.wraps(plain)
    def modify_target_group_attributes(self):
        plain(self)
        group = self.elbv2_backend.target_groups[self._get_param("TargetGroupArn")]
        return ActionResult({"Attributes": group.attributes})

    return modify_target_group_attributes

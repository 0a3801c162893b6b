"""Application load balancers and target groups that moto keeps, as the rules look at them."""

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from moto.elbv2.models import FakeListener, FakeLoadBalancer, FakeTargetGroup, elbv2_backends
from moto.elbv2.ssl_policies import SSL_POLICIES


def balancer(region: str, arn: str) -> FakeLoadBalancer | None:
    return elbv2_backends[ACCOUNT][region].load_balancers.get(arn)


def balancer_named(region: str, name: str) -> FakeLoadBalancer | None:
    found = list(elbv2_backends[ACCOUNT][region].load_balancers.values())
    return next((each for each in found if each.name == name), None)


def group_named(region: str, name: str) -> FakeTargetGroup | None:
    found = list(elbv2_backends[ACCOUNT][region].target_groups.values())
    return next((each for each in found if each.name == name), None)


def group(region: str, arn: str) -> FakeTargetGroup | None:
    return elbv2_backends[ACCOUNT][region].target_groups.get(arn)


def listener(region: str, arn: str) -> FakeListener | None:
    """The listener with this ARN, or that of a rule with it."""
    own = "/".join(arn.replace(":listener-rule/", ":listener/").split("/")[:5])
    kept = list(elbv2_backends[ACCOUNT][region].load_balancers.values())
    return next((each.listeners[own] for each in kept if own in each.listeners), None)


def rule_exists(region: str, arn: str) -> bool:
    found = listener(region, arn)
    return found is not None and any(each.arn == arn for each in list(found.rules.values()))


def zone_of_subnet(region: str, subnet_id: str) -> str | None:
    """The Availability Zone of a subnet; None if there is no such subnet."""
    for subnets in list(ec2_backends[ACCOUNT][region].subnets.values()):
        if subnet_id in subnets:
            return subnets[subnet_id].availability_zone
    return None


def policy_exists(name: str) -> bool:
    return name in SSL_POLICIES

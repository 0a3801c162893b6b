"""The former pieces: when they may go. That they go, and which, is the upgrade's own test."""

import types

import pytest

from runbook import dns, former, vpc, wait

pytestmark = pytest.mark.moto


@pytest.fixture
def slept(monkeypatch):
    """What was slept, on a clock of its own."""
    naps = []
    clock = types.SimpleNamespace(monotonic=lambda: sum(naps), sleep=naps.append)
    monkeypatch.setattr(wait, "time", clock)
    monkeypatch.setattr(former, "time", clock)
    return naps


def classic(aws, p):
    tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 5000}
    subnets = list(vpc.balancer_subnets(aws, p).values())
    aws.elb.create_load_balancer(LoadBalancerName=p.name, Listeners=[listener], Subnets=subnets, Tags=tags)


def test_the_former_balancer_goes_when_no_resolver_can_name_it_any_more(aws, scaling, slept):
    classic(aws, scaling)
    assert former.find_former(aws, scaling)["load balancer registry"] == "still there"
    gone_after = []
    aws.elb.meta.events.register("before-call.elb.DeleteLoadBalancer", lambda **_: gone_after.append(sum(slept)))
    assert former.ensure_former(aws, scaling)
    (seconds,) = gone_after
    assert dns.TTL <= seconds < 2 * dns.TTL
    assert former.verify_former(aws, scaling).require()
    assert not former.ensure_former(aws.read_only(), scaling)


def test_without_a_former_balancer_nothing_is_waited_for(aws, scaling, slept):
    aws.iam.create_role(
        RoleName="registry-execution",
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}',
        Tags=[{"Key": key, "Value": value} for key, value in scaling.tags.items()],
    )
    assert former.ensure_former(aws, scaling)
    assert sum(slept) < dns.TTL and former.verify_former(aws, scaling).require()

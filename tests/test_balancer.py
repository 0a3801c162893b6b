"""Which balancer the params want, and that the two stand side by side during an upgrade."""

import pytest

import runbook
from runbook import balancer, classic_balancer, vpc
from runbook.local.inside import elb

pytestmark = pytest.mark.moto


def production():
    given = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role"}
    return runbook.load({**runbook.load("production").model_dump(), **given})


@pytest.mark.pure
def test_want_follows_the_capacity(p):
    classic = balancer.want_balancer(p, nodes=("registry-node-1",))
    assert classic == classic_balancer.want_balancer(p, nodes=("registry-node-1",))
    assert balancer.want_balancer(production())["Type"] == "application"
    assert balancer.want_balancer(production())["LoadBalancerName"] != classic["LoadBalancerName"]


def test_one_kind_does_not_see_or_take_the_other(aws, p):
    elb.install()
    plain = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
    tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
    aws.elb.create_load_balancer(
        LoadBalancerName="registry", Listeners=[plain], Subnets=list(vpc.balancer_subnets(aws, p).values()), Tags=tags
    )
    later = production()
    aws.elbv2.create_load_balancer(
        Name=later.balancer_name,
        Scheme="internet-facing",
        Subnets=list(vpc.balancer_subnets(aws, p).values()),
        Tags=tags,
    )
    assert balancer.find_balancer(aws, p)["LoadBalancerName"] == "registry"
    assert balancer.find_balancer(aws, later)["LoadBalancerName"] == "registry-alb"
    assert not balancer.verify_balancer(aws, later).absent
    assert repr(balancer.destroy_balancer(aws, p)) == "- load balancer registry: destroyed"
    assert balancer.find_balancer(aws, p) is None
    assert balancer.find_balancer(aws, later) is not None
    assert repr(balancer.destroy_balancer(aws, later)) == "- load balancer registry-alb: destroyed"

"""The acceptance suite through the embedded cloud's own balancer, whose idle timeout AWS's API sets."""

import pytest

from runbook import htpasswd, load, plan
from runbook.registry import verify_registry

pytestmark = pytest.mark.embedded

SLOW = "upload that takes 3 s"


def idle(aws, p, seconds):
    settings = {"ConnectionSettings": {"IdleTimeout": seconds}}
    aws.elb.modify_load_balancer_attributes(LoadBalancerName=p.balancer_name, LoadBalancerAttributes=settings)


def test_a_slow_upload_tells_whether_the_balancer_lets_a_connection_idle(home):
    p = load("blog")
    aws = plan.start(p)
    for step in plan.STEPS:
        step.ensure(aws, p)
    logins = htpasswd.logins(aws, p)

    def look():
        report = verify_registry(aws.read_only(), p, logins=logins, slow=3.0)
        return report, {check.name.partition(" (")[0]: check for check in report.checks if not check.ok}

    idle(aws, p, 2)  # seconds; each of the two pauses is shorter, the upload longer
    assert look()[0].require()
    idle(aws, p, 1)
    wrong = look()[1]
    assert wrong.keys() == {SLOW} and wrong[SLOW].row == 4

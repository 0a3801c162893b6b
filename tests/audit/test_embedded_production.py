"""Production as it runs on the embedded cloud, with registry 2 and the nodes' role: nothing above a note."""

import pytest

from runbook import load, plan
from runbook.audit import audit

pytestmark = pytest.mark.embedded


def test_a_healthy_deployment_gets_notes_alone(home):
    p = load({**load("production").model_dump(), "bcrypt_cost": 5})
    aws = plan.start(p)
    for step in plan.STEPS:
        step.ensure(aws, p)
    found = audit(aws, p.service_name, p.cluster_name)
    assert not found, found
    assert {each.severity for each in found[:]} == {"note"}
    assert "could not be looked at" not in repr(found)

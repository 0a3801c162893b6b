"""What the audit says of the runbook's own deployments: nothing of weight of production."""

import pytest
import world

from runbook.audit import audit

pytestmark = pytest.mark.moto


@pytest.fixture(params=["production", "blog"])
def deployed(request, account, monkeypatch, tmp_path):
    p = world.production() if request.param == "production" else world.blog(tmp_path)
    with world.account(p, monkeypatch, tmp_path / "node") as aws:
        world.deploy(aws, p)
        yield aws, p


def test_production(deployed):
    aws, p = deployed
    print(audit(aws, p.service_name, p.cluster_name))
    assert 0

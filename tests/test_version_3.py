"""Production with registry 3 and the task's own role, where a registry program of version 3 is at hand."""

import pytest
from account import dump

from runbook import clients, htpasswd, load, local, plan, registry
from runbook.local import images

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.skipif(
        images.version_3() is None,
        reason="no registry program of version 3 is on PATH or named by RUNBOOK_REGISTRY",
    ),
]


def test_production_on_version_3_with_a_task_role(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNBOOK_HOME", str(tmp_path))
    p = load({**load("production").model_dump(), "image": "registry:3.1.1", "credentials": "task-role"})
    try:
        aws = plan.start(p)
        empty = dump(aws)
        for step in plan.STEPS:
            step.ensure(aws, p)
        assert not plan.changes(aws, p)
        logins = htpasswd.logins(aws, p)
        assert registry.verify_registry(aws, p, logins=logins).require()
        assert clients.skopeo_round_trip(aws, p, logins[0]).require()
        plan.destroy(aws, p, images=True)
        assert dump(aws) == empty
    finally:
        local.down()

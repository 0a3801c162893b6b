"""Sixteen clients push and pull for two minutes while registries are killed: on the embedded cloud, by both params."""

import pytest
from programs import listeners, members
from storm import CLIENTS, Storm

from runbook import htpasswd, load, local, plan, service, wait

pytestmark = [pytest.mark.embedded, pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    ("name", "seconds", "kills", "alive"), [("production", 120, 12, 2), ("blog", 40, 4, 1)], ids=["production", "blog"]
)
def test_what_is_acknowledged_is_neither_lost_nor_corrupt(home, figure, name, seconds, kills, alive):
    p = load({**load(name).model_dump(), "bcrypt_cost": 8})  # the cheapest: every request pays it
    aws = plan.start(p)
    for step in plan.STEPS:
        step.ensure(aws, p)
    assert [each for each in listeners(members(local.running().pid)) if not each.is_private] == []
    storm = Storm(aws, p, htpasswd.logins(aws, p)[0], largest=8 * 1024 * 1024, every=4, alive=alive)
    storm.run(seconds, kills=kills, pushes=4 * CLIENTS)
    wait.wait("the service", lambda: (service.verify_service(aws, p) or None, "not yet"), timeout=300, every=0.5)
    gave_up = len(storm.gave_up)
    storm.judge()
    storm.tell(figure, name)
    assert storm.gave_up[gave_up:] == storm.lost == storm.corrupt == []
    plan.destroy(aws, p, images=True)

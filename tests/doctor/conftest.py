"""Deployments on the embedded cloud for the doctor's drills, and how one is broken and mended."""

import pytest

from runbook import doctor, load, plan


@pytest.fixture(scope="module")
def deployed(home):
    """`deployed("blog")`: the deployment of these params, complete; one a module."""
    made = {}

    def deploy(name):
        if name not in made:
            p = load(name)
            aws = plan.start(p)
            for step in plan.STEPS:
                step.ensure(aws, p)
            made[name] = aws, p
        return made[name]

    return deploy


@pytest.fixture
def outer_stations_alone(monkeypatch):
    """Until the stations behind the balancer are there."""
    stations = [(name, look if look.__module__.endswith("outside") else _nothing) for name, look in doctor.STATIONS]
    monkeypatch.setattr(doctor, "STATIONS", tuple(stations))


def _nothing(patient):
    return None

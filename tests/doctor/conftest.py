"""What the drills on either side have in common."""

import pytest

from runbook import doctor


@pytest.fixture
def outer_stations_alone(monkeypatch):
    """Until the stations behind the balancer are there."""
    stations = [(name, look if look.__module__.endswith("outside") else _nothing) for name, look in doctor.STATIONS]
    monkeypatch.setattr(doctor, "STATIONS", tuple(stations))


def _nothing(patient):
    return None

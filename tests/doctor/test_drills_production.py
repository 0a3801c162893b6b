"""The same drills where an application balancer leads to several registries."""

import pytest
from drills import accepted, deploy, mend, well

from runbook import doctor
from runbook.local.breaking import outside

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def deployed(home):
    return deploy("production")


def test_nothing_is_wrong_with_a_healthy_deployment(deployed):
    accepted(*deployed).require()
    assert well(*deployed)


@pytest.mark.parametrize("row", [6, *(pytest.param(row, marks=pytest.mark.long) for row in (3, 4, 19, 24))])
def test_the_doctor_names_the_row(row, deployed):
    aws, p = deployed
    each = outside.BREAKS[row]
    each.does(aws, p)
    found = doctor.diagnose(aws, p)
    assert found.row == row, found
    if each.mend:
        each.mend(aws, p)
    mend(aws, p, found.cause.notebook)
    assert well(aws, p)

"""The drills of production: what several registries, an application balancer and a shared cache bring with them."""

import pytest
from drilling import accepted, deploy, drill, mend, rows, well

from runbook import doctor
from runbook.local.breaking import outside

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def deployed(home):
    return deploy("production")


@pytest.fixture
def production(deployed):
    aws, p = deployed
    yield aws, p
    mend(aws, p, "05_configure_https_on_the_load_balancer")


def test_a_healthy_deployment_has_notes_alone(production):
    well(*production)


@pytest.mark.parametrize("row", rows("production"))
def test_the_doctor_names_the_row(row, production, figure):
    drill(row, *production)
    figure("failures drilled and named right", row)


@pytest.mark.long
@pytest.mark.parametrize("row", [3, 4, 6, 19, 24])
def test_it_does_behind_an_application_balancer_too(row, production):
    aws, p = production
    each = outside.BREAKS[row]
    each.does(aws, p)
    found = doctor.diagnose(aws, p)
    assert found.row == row, found
    # With no healthy target at all an application balancer sends to every one (6):
    # https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health.html
    assert row in (4, 6) or not accepted(aws, p)
    if each.mend:
        each.mend(aws, p)
    mend(aws, p, found.cause.notebook)
    well(aws, p)


@pytest.mark.long
def test_a_cache_that_evicts_nothing_of_the_registrys(production):
    aws, p = production
    changed = {"ParameterName": "maxmemory-policy", "ParameterValue": "volatile-lru"}
    aws.elasticache.modify_cache_parameter_group(CacheParameterGroupName=p.cache_name, ParameterNameValues=[changed])
    found = doctor.diagnose(aws, p)
    assert found.row == 26 and found.cause.evidence == ("cache registry-cache: maxmemory-policy is volatile-lru",)
    mend(aws, p)
    well(aws, p)

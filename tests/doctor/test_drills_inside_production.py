"""Drills behind the balancer, in production: what several registries, a role and a shared cache bring with them."""

import pytest
from drilling import drill, mend, well

from runbook import doctor
from runbook.local.breaking import inside

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def production(deployed):
    return deployed("production")


def test_nothing_is_wrong_with_a_healthy_deployment(production):
    well(*production)


@pytest.mark.parametrize("row", sorted(row for row, each in inside.BREAKS.items() if each.params == "production"))
def test_the_doctor_names_the_row(row, production):
    drill(row, *production)


def test_a_cache_that_evicts_nothing_of_the_registrys(production):
    aws, p = production
    changed = {"ParameterName": "maxmemory-policy", "ParameterValue": "volatile-lru"}
    aws.elasticache.modify_cache_parameter_group(CacheParameterGroupName=p.cache_name, ParameterNameValues=[changed])
    found = doctor.diagnose(aws, p)
    assert found.row == 26 and found.cause.evidence == ("cache registry-cache: maxmemory-policy is volatile-lru",)
    mend(aws, p)
    well(aws, p)

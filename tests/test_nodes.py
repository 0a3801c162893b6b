"""Both kinds of nodes in one cluster, as an upgrade has them: each is seen, and taken away, alone."""

import pytest
from agents import install

from runbook import cluster, instances, network, nodes, roles
from runbook.running import running_nodes

pytestmark = pytest.mark.moto


@pytest.fixture
def both(aws, p, scaling, monkeypatch):
    agents = install(monkeypatch)
    for each in (p, scaling):
        network.ensure_groups(aws, each)
        cluster.ensure_cluster(aws, each)
        nodes.ensure_nodes(aws, each)
    agents()
    return aws


def test_neither_kind_takes_the_other_for_its_own(both, p, scaling):
    for each in (p, scaling):
        assert nodes.verify_nodes(both, each).require()
        assert not nodes.ensure_nodes(both.read_only(), each)
    assert [node.name for node in running_nodes(both, p)] == ["registry-node-1"]
    assert len(running_nodes(both, scaling)) == 2
    assert len(instances.registrations(both, p)) == 3


@pytest.mark.parametrize("former", ["p", "scaling"])
def test_one_kind_goes_and_the_other_stays(both, p, scaling, former):
    former, other = (p, scaling) if former == "p" else (scaling, p)
    assert nodes.destroy_nodes(both, former)
    assert nodes.find_nodes(both, former) is None
    assert roles.find_role(both, former, former.node_role) is None
    assert nodes.verify_nodes(both, other).require()
    assert not nodes.destroy_nodes(both.read_only(), former)
    assert set(instances.registrations(both, p)) == {node.id for node in running_nodes(both, other)}


def test_the_other_choice_of_the_same_params(both, p, scaling):
    """What removes the former kind after an upgrade: a copy of the params with the other capacity."""
    former = scaling.model_copy(update={"capacity": "instances"})
    assert nodes.destroy_nodes(both, former)
    assert nodes.find_nodes(both, p) is None
    assert nodes.verify_nodes(both, scaling).require()

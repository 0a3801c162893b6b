"""What is not ours stays: each thing without our tag, or with another's, is named, refused and left alone."""

import itertools
import random
import re

import ours
import pytest
import world
from forked import forked
from inventory import difference, inventory
from test_fuzzed_params import LIMITS, NOT_NAMES

from runbook import capacity_provider, load, plan, preflight
from runbook.errors import NotOurs, StepFailed
from runbook.names import Names

pytestmark = pytest.mark.moto

_COUNTED = re.compile("running_tasks_count|instances_count")  # of a cluster: what is ours in it comes and goes
STEPS = {step.thing: step for step in plan.STEPS}
TABLES = {"blog": ours.BLOG, "production": ours.PRODUCTION}
OWNERS = {"nobody's": None, "another deployment's": "registry2"}


@pytest.fixture(params=TABLES)
def deployed(request, account, monkeypatch, tmp_path):
    """(params, connection, reader, the things) of a complete deployment; tests change copies of its account."""
    which = request.param
    p = world.blog(tmp_path) if which == "blog" else world.production()
    with world.account(p, monkeypatch, tmp_path / "node") as aws:
        for step in plan.STEPS:
            step.ensure(aws, p)
        reader = aws.read_only()
        assert preflight.preflight(reader, p).require()
        yield p, aws, reader, TABLES[which]


def refused(verb, aws, p, called):
    """Why it is not: the verb must raise NotOurs that says so."""
    try:
        verb(aws, p)
    except NotOurs as error:
        return None if f"{called} exists and does not belong" in str(error) else f"it said: {error}"
    return "it was not refused"


def of_its_step(p, aws, reader, thing, owner):
    """What goes wrong when its own step meets the thing."""
    name = getattr(p, thing.name)
    called, step = thing.called.format(name), STEPS[thing.step]
    thing.tagged(aws, p, name, owner)
    before = inventory()
    verbs = {"verify": step.verify, "ensure": step.ensure, "destroy": step.destroy}
    wrong = [f"{what}: {why}" for what, verb in verbs.items() if (why := refused(verb, aws, p, called))]
    return wrong + changed(thing, name, before)


def changed(thing, name, before):
    where = re.compile(thing.at.format(re.escape(name)))
    found = difference(before, inventory())
    return [line for line in found if where.search(line.partition(": ")[0]) and not _COUNTED.search(line)]


def of_all_steps(p, aws, reader, thing, owner):
    """What goes wrong when all steps run over the thing, each as far as it comes, and then take away what is ours."""
    name = getattr(p, thing.name)
    thing.tagged(aws, p, name, owner)
    before = inventory()
    other = load({**p.model_dump(), "idle_timeout": 400, "log_retention": 7, "extra_tags": {"more": "tags"}})
    for step in plan.STEPS:
        attempt(step.ensure, aws, other)
    for step in reversed(plan.STEPS):
        attempt(step.destroy, aws, other)
    named = [check.found for check in preflight.preflight(reader, p).checks if not check.ok]
    called = f"{thing.called.format(name)} exists and does not belong"
    wrong = [] if any(called in found for found in named) else [f"preflight: {named}"]
    return wrong + changed(thing, name, before)


def attempt(verb, aws, p):
    """A step that cannot be done after another one was refused is not what this is about."""
    try:
        verb(aws, p)
    except (NotOurs, StepFailed):
        return


def tried(deployed, cases, look, figure):
    p, aws, reader, _ = deployed
    wrong = {}
    for thing, (words, owner) in cases:
        found = forked(lambda thing=thing, owner=owner: look(p, aws, reader, thing, owner))
        if found:
            wrong[f"{words} {thing.called.format(getattr(p, thing.name))}"] = found
    assert not wrong, "\n".join(f"{thing}: {found}" for thing, found in wrong.items())
    figure("things of others left alone", len(cases))


def cases(things):
    return list(itertools.product(things, OWNERS.items()))


def test_its_step_refuses_some_thing_of_others_and_leaves_it_as_it_is(deployed, figure):
    tried(deployed, random.sample(cases(deployed[3]), 4), of_its_step, figure)


def test_no_step_changes_some_thing_of_others(deployed, figure):
    tried(deployed, random.sample(cases(deployed[3]), 2), of_all_steps, figure)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("look", [of_its_step, of_all_steps])
def test_everything_of_others_is_left_alone(deployed, look, figure):
    tried(deployed, cases(deployed[3]), look, figure)


def test_every_name_of_a_deployment_is_in_the_tables():
    """A thing that is made under a new name has a row, or is told here."""
    names = {name for name, value in vars(Names).items() if isinstance(value, property)}
    rows = {thing.name for thing in (*ours.BLOG, *ours.PRODUCTION)}
    assert {name for name in names if name.endswith(("_name", "_group", "_role", "_secret"))} | {"family"} == {
        *(rows - {"bucket", "domain", "name"}),
        "container_name",  # is no thing by itself
    }
    assert set(NOT_NAMES) == {name for name in vars(Names) if not name.startswith("_")} - set(LIMITS)


def test_a_parameter_in_the_place_of_a_lease_is_left_alone(aws, p):
    given = {"Name": f"/runbook/{p.name}/lease/theirs", "Value": "theirs", "Type": "String"}
    aws.ssm.put_parameter(**given)
    before = inventory()
    for step in plan.STEPS:
        for verb in (step.ensure, step.destroy):
            with pytest.raises(NotOurs, match=f"parameter {given['Name']} exists"):
                verb(aws, p)
    with pytest.raises(NotOurs, match="parameter"):
        plan.destroy(aws, p, confirm=p.name, images=True)
    assert difference(before, inventory()) == []


def test_a_cluster_of_others_keeps_its_capacity_providers_and_its_nodes(aws, scaling):
    aws.ecs.create_cluster(clusterName=scaling.cluster_name)
    aws.ecs.put_cluster_capacity_providers(
        cluster=scaling.cluster_name, capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=[]
    )
    before = inventory()
    for verb in (capacity_provider.destroy, lambda aws, p: capacity_provider.ensure(aws, p, group_arn="arn:x")):
        with pytest.raises(NotOurs, match="ECS cluster registry"):
            verb(aws, scaling)
    assert not [line for line in difference(before, inventory()) if "/ clusters /" in line]

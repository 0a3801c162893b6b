"""Runs on one deployment at the same time leave one of everything: on the embedded cloud."""

import interleaving
import pytest
from account import dump

from runbook import load, plan

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def p(home):
    return load({**load("blog").model_dump(), "bcrypt_cost": 8})


@pytest.fixture(scope="module")
def aws(p):
    return plan.start(p)


def numbered(account):
    """The account with how many instances and volumes it has: their ids are others each time."""
    some = {kind: len(account[kind]) for kind in ("instances", "volumes")}
    return {kind: sorted(each) if isinstance(each, list) else each for kind, each in account.items()} | some


def leave_one_of_everything(aws, p, number, at_once, figure):
    empty = dump(aws)
    variants = [p, *(p.model_copy(update={"idle_timeout": seconds}) for seconds in (200, 400))]
    killed, errors = interleaving.interleaved(variants, number, at_once)
    assert not errors
    for step in plan.STEPS:
        step.ensure(aws, p)
    after_many = dump(aws)
    plan.destroy(aws, p, images=True)
    assert dump(aws) == empty
    for step in plan.STEPS:
        step.ensure(aws, p)
    after_one = dump(aws)
    plan.destroy(aws, p, images=True)
    for kind in (
        "task definitions",
        "inactive task definitions",
        "parameters",
    ):  # numbers go on; inactive ones stay
        after_many[kind], after_one[kind] = len(after_many[kind]), len(after_one[kind])
    assert numbered(after_many) == numbered(after_one)
    figure("runs at once, interleaved", f"{number}, {at_once} at a time, {killed} of them killed")


def test_a_few_runs_in_random_interleavings(aws, p, figure):
    leave_one_of_everything(aws, p, 6, 3, figure)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_two_hundred_runs_in_random_interleavings(aws, p, figure):
    leave_one_of_everything(aws, p, 200, 4, figure)

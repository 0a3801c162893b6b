"""Each managed setting changed by hand: the plan names it, the next run mends it and writes nothing else."""

import contextlib
import functools
import os
import pickle
import random
import traceback
from collections import Counter

import drift
import pytest
import world

import runbook
from runbook import (
    alarms,
    balancer,
    cache,
    certificate,
    cluster,
    dns,
    htpasswd,
    network,
    nodes,
    plan,
    scaling,
    service,
    storage,
    targets,
    wait,
)
from runbook.errors import StepFailed
from runbook.report import _leaves
from runbook.session import _READS, AWS

TAGGED = {"extra_tags": {"team": "platform"}}
# One run at a time holds a parameter of Systems Manager; that is no change of the deployment.
LEASE = {"ssm PutParameter", "ssm DeleteParameter", "ssm AddTagsToResource"}


@pytest.fixture(params=["blog", "production"])
def deployed(request, account, monkeypatch, tmp_path):
    """A whole deployment on moto, as its last run left it."""
    p = world.blog(tmp_path, **TAGGED) if request.param == "blog" else world.production(**TAGGED)
    readers = {}
    read_only = AWS.read_only  # one reader for all, whose clients take long to make
    monkeypatch.setattr(AWS, "read_only", lambda aws: readers.setdefault(id(aws), read_only(aws)))
    with world.account(p, monkeypatch, tmp_path / "node") as aws:
        world.deploy(aws, p)
        assert all(step.verify(aws.read_only(), p) for step in plan.STEPS)  # without a thread, as forks follow
        yield request.param, aws, p


@contextlib.contextmanager
def writes_of(aws):
    """The names of the operations that write, in the order in which they were called."""
    made = []

    def note(model, **_):
        operation = f"{model.service_model.service_name} {model.name}"
        if not model.name.startswith(_READS) and operation not in LEASE:
            made.append(operation)

    aws._session.events.register_first("before-call", note)
    # the clients that are there have taken over the session's hooks when they were made
    for client in aws._clients.values():
        client.meta.events.register_first("before-call", note)
    yield made


def details(changes):
    return [(row.title, detail) for row in changes.rows if row for detail in row.details or (row.word,)]


def in_a_fork(look):
    """What `look()` gives in a process that has all of this one, and after which this one is as it was."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            result = look()
        except BaseException:
            result = [traceback.format_exc()]
        with os.fdopen(write, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(answer) if answer else ["the process ended without an answer"]


def tried(aws, p, row):
    """What is wrong with the row; nothing is well."""
    row.change(aws, p)
    for _ in range(2):
        wait.time.sleep(0)  # AWS acts on it
    wrong, wanted = [], [drift.filled(each, p) for each in row.named]
    planned = details(plan.changes(aws, p))
    missing = [each for each in wanted if not any(drift.is_named(each, seen) for seen in planned)]
    more = [seen for seen in planned if not any(drift.is_named(each, seen) for each in wanted)]
    wrong += [f"the plan does not say: {each}" for each in missing] + [f"the plan says, too: {each}" for each in more]
    with writes_of(aws) as made:
        if row.refused:
            try:
                world.deploy(aws, p)
            except StepFailed as error:
                return wrong + ([] if row.refused in str(error) else [f"refused otherwise: {error}"])
            return [*wrong, "it is not refused"]
        world.deploy(aws, p)
        if Counter(made) != Counter(row.writes):
            wrong.append(f"written: {made}")
    wrong += [f"not mended: {each}" for each in details(plan.changes(aws, p))]
    return wrong + ([f"not kept: {row.name}"] if row.kept and not row.kept(aws, p) else [])


def try_all(aws, p, rows):
    return {row.name: wrong for row in rows if (wrong := in_a_fork(functools.partial(tried, aws, p, row)))}


WANTED = {
    "bucket": storage.want_bucket,
    "groups": network.want_groups,
    "cluster": cluster.want_cluster,
    "nodes": nodes.want_nodes,
    "cache": cache.want_cache,
    "users": lambda p: htpasswd.want_users(p, nodes=(f"{p.name}-node-1",)),
    "service": service.want_service,
    "certificate": certificate.want_certificate,
    "balancer": balancer.want_balancer,
    "targets": targets.want_targets,
    "scaling": scaling.want_scaling,
    "record": dns.want_record,
    "alarms": alarms.want_alarms,
}


def not_in_the_table(aws, p, rows):
    """What a step wants and does not compare; what it compares, no row changes, and no exception names."""
    reports = {step.thing: step.verify(aws.read_only(), p) for step in plan.STEPS}
    compared = {thing: {check.name for check in report.checks} for thing, report in reports.items()}
    for thing, want in WANTED.items():
        yield from ((thing, name) for name, *_ in _leaves(want(p)) if name not in compared[thing])
    named = {drift.field(drift.filled(each, p)) for row in rows for each in row.named}
    excepted = {(title.format(p=p), field.format(p=p)) for title, field in drift.UNCHANGEABLE}
    for report in reports.values():
        for check in report.checks:
            each = (report.title, check.name)
            if each not in named and not drift.is_excepted(each, excepted):
                yield each


@pytest.mark.moto
def test_every_setting_is_in_the_table_and_some_are_changed_named_and_mended_alone(deployed, figure):
    which, aws, p = deployed
    rows = drift.rows(which, p)
    assert list(not_in_the_table(aws, p, rows)) == []
    some = random.sample(rows, 8)
    assert try_all(aws, p, some) == {}
    figure(f"settings changed by hand and mended ({which}), a sample", len(some))


@pytest.mark.moto
@pytest.mark.long
def test_whatever_a_person_changes_is_named_and_mended_alone(deployed, figure):
    """`DRIFT=a,b` tries the rows alone that have one of these in their names."""
    which, aws, p = deployed
    words = os.environ.get("DRIFT", "").split(",")
    rows = [row for row in drift.rows(which, p) if any(word in row.name for word in words)]
    assert try_all(aws, p, rows) == {}
    figure(f"settings changed by hand ({which})", len(rows))
    figure(f"mended, with nothing else written ({which})", sum(not row.refused for row in rows))


@pytest.mark.pure
def test_each_exception_has_its_reason_and_each_row_a_name_of_its_own():
    assert all(len(reason.split()) > 3 for reason in drift.UNCHANGEABLE.values())
    for which, p in (("blog", runbook.load("blog")), ("production", world.production(**TAGGED))):
        names = [row.name for row in drift.rows(which, p)]
        assert len(set(names)) == len(names) > 100

"""The lease: one run at a time on a deployment, wherever it runs."""

import json
import os
import subprocess
import sys

import pytest

import runbook
from runbook import lease, plan
from runbook.errors import NotOurs, StepFailed, TimedOut

pytestmark = pytest.mark.moto


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(lease, "_PATIENCE_SECONDS", 0)


def put(aws, p, number, **changes):
    value = {"id": "theirs", "holder": "ann on a laptop, process 7 of noon", "process": ""} | changes
    aws.ssm.put_parameter(Name=f"/runbook/{p.name}/lease/{number}", Value=json.dumps(value), Type="String")


def names(aws):
    return [each["Name"] for each in aws.ssm.all("describe_parameters", "Parameters")]


def test_it_stands_in_aws_with_our_tag_and_is_free_afterwards(aws, p):
    with lease.hold(aws, p):
        assert len(names(aws)) == 1
        tags = aws.ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId=names(aws)[0])["TagList"]
        assert {each["Key"]: each["Value"] for each in tags} == p.tags
        (found,) = lease.find_leases(aws, p)
        assert str(os.getpid()) in found.holder and not found.free
    assert lease.find_leases(aws, p)[0].free


def test_no_number_is_made_twice(aws, p):
    """The embedded cloud refuses a name that was deleted within 30 s, as AWS asks for."""
    numbers = []
    for _ in range(3):
        with lease.hold(aws, p, last=len(numbers) == 1):
            numbers += [each.number for each in lease.find_leases(aws, p)]
    assert numbers == sorted(set(numbers)) and len(numbers) == 3


def test_after_the_last_one_nothing_stands_in_aws(aws, p):
    with lease.hold(aws, p), lease.hold(aws, p, last=True):
        assert len(names(aws)) == 1
    assert names(aws) == []


def test_a_second_run_waits_and_then_stops_with_the_holders_name(aws, p, impatient):
    put(aws, p, 1)
    with pytest.raises(TimedOut, match="lease on deployment registry .*held by ann on a laptop, process 7"):
        plan.destroy(aws, p, confirm=p.name)
    assert names(aws) == [f"/runbook/{p.name}/lease/1"]


def test_a_second_run_goes_on_when_the_first_has_ended(aws, p, monkeypatch):
    put(aws, p, 1)
    monkeypatch.setattr(lease.time, "sleep", lambda _: aws.ssm.delete_parameter(Name=names(aws)[0]), raising=False)
    with lease.hold(aws, p):
        assert len(names(aws)) == 1


def test_another_deployment_is_not_kept_waiting(aws, p, impatient):
    other = p.model_copy(update={"name": "registry2"})
    put(aws, other, 1)
    with lease.hold(aws, p):
        assert len(names(aws)) == 2


def test_a_silent_one_is_free_by_awss_clock(aws, p, impatient, monkeypatch):
    put(aws, p, 4)
    monkeypatch.setattr(lease, "SECONDS", -1)
    with lease.hold(aws, p):
        monkeypatch.undo()
        assert names(aws) == [f"/runbook/{p.name}/lease/5"]


def test_one_of_a_process_of_this_computer_that_has_ended_is_free_at_once(aws, p, impatient):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    put(aws, p, 1, process=lease._process(process.pid))
    assert not lease.find_leases(aws, p)[0].free
    process.communicate(b"\n")
    with lease.hold(aws, p):
        assert names(aws) == [f"/runbook/{p.name}/lease/2"]


def test_of_two_that_begin_at_once_one_gives_way(aws, p, impatient, monkeypatch):
    """The other run saw a lease of number 1 that this one did not, and so makes number 2."""
    plain, seen = lease.find_leases, []

    def find_leases(aws, p):
        seen.append(plain(aws, p))
        if len(seen) == 1:
            put(aws, p, 2)
        return seen[-1]

    put(aws, p, 1, id="")

    monkeypatch.setattr(lease, "find_leases", find_leases)
    with pytest.raises(TimedOut, match="ann on a laptop"), lease.hold(aws, p):
        pass
    assert [each.number for each in plain(aws, p) if not each.free] == [2]


def test_the_answer_to_its_making_may_be_lost(aws, p, impatient):
    """botocore then asks again by itself, and is told that it is there."""
    plain = aws.ssm._client.put_parameter

    def twice(**parameters):
        plain(**parameters)
        return plain(**parameters)

    aws.ssm._client.put_parameter = twice
    with lease.hold(aws, p):
        assert len(names(aws)) == 1


@pytest.mark.parametrize("mine", ["mine", "7", '["mine"]', '{"id": "x", "holder": "x"}'])
def test_what_is_no_lease_in_its_place_is_left_alone(aws, p, mine):
    aws.ssm.put_parameter(Name=f"/runbook/{p.name}/lease/1", Value=mine, Type="String")
    with pytest.raises(NotOurs, match="parameter /runbook/registry/lease/1"), lease.hold(aws, p):
        pass
    assert aws.ssm.get_parameter(Name=f"/runbook/{p.name}/lease/1")["Parameter"]["Value"] == mine


def test_a_holder_that_was_silent_for_too_long_writes_no_more(aws, p):
    with lease.hold(aws, p) as held:
        aws.logs.create_log_group(logGroupName="before")
        held._renewed -= lease.SECONDS
        with pytest.raises(StepFailed, match="lost, another run may have begun"):
            aws.logs.create_log_group(logGroupName="after")
        assert [each["logGroupName"] for each in aws.logs.describe_log_groups()["logGroups"]] == ["before"]


def test_it_is_renewed_while_it_is_held(aws, p, monkeypatch):
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 0.05)
    with lease.hold(aws, p) as held:
        (before,) = aws.ssm.describe_parameters()["Parameters"]
        while aws.ssm.describe_parameters()["Parameters"][0]["Version"] == before["Version"]:
            pass
        assert held._renewed <= lease.time.time()


def test_the_notebooks_of_a_run_work_under_its_lease(aws, p, monkeypatch):
    with lease.hold(aws, p) as held:
        monkeypatch.setenv(lease.INHERITED, held.id)
        kernel = runbook.connect(p)
        with lease.hold(kernel, p) as inherited:
            assert inherited.id == held.id
            kernel.logs.create_log_group(logGroupName="notebook")
            assert len(names(aws)) == 1
        monkeypatch.setattr(os, "getppid", lambda: 1)  # the run is killed, its kernel lives for a moment
        with pytest.raises(StepFailed, match="lost"):
            kernel.logs.create_log_group(logGroupName="orphan")
        orphan = runbook.connect(p)
    with pytest.raises(StepFailed, match="has lost its lease"), lease.hold(orphan, p):
        pass


def test_a_notebook_that_slept_looks_whether_its_run_still_has_the_lease(aws, p, monkeypatch):
    with lease.hold(aws, p) as held:
        monkeypatch.setenv(lease.INHERITED, held.id)
        kernel = runbook.connect(p)
        with lease.hold(kernel, p) as inherited:
            inherited._renewed -= lease.SECONDS
            kernel.logs.create_log_group(logGroupName="its run has renewed it")
            inherited._renewed -= lease.SECONDS
            aws.ssm.delete_parameter(Name=names(aws)[0])
            put(aws, p, 2)
            with pytest.raises(StepFailed, match="lost"):
                kernel.logs.create_log_group(logGroupName="another run has begun")


def test_every_step_takes_it():
    for step in plan.STEPS:
        for verb in (step.ensure, step.destroy):
            assert getattr(verb, "__wrapped__", None), f"{verb.__module__}.{verb.__name__} is not exclusive"

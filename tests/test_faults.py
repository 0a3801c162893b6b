"""A fault at every call of every step: each converges, or stops with one sentence and then converges; nothing is made
twice. Each is tried in a copy of the process, so the account in which the next one is tried is as it was."""

import itertools
import random
import re
from collections import Counter
from typing import NamedTuple

import faults
import pytest
import world
from inventory import difference, inventory

from runbook import plan, wait
from runbook.errors import Denied, Expired, RunbookError
from runbook.session import _READS

pytestmark = pytest.mark.moto

ONCE = {
    "throttled": faults.throttled,
    "500": faults.status(500),
    "503": faults.status(503),
    "connect timeout": faults.connect_timeout,
    "read timeout": faults.read_timeout,
    "reset": faults.reset,
}
PROFILE = "Value (registry) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name"
LINKED = "Unable to assume the service linked role. Please verify that the ECS service linked role exists."
NOT_YET = {  # of a role that was just made, by the call that takes it
    "ec2 RunInstances": ("InvalidParameterValue", PROFILE),
    "auto-scaling CreateAutoScalingGroup": ("ValidationError", PROFILE),
    "ecs RegisterTaskDefinition": ("ClientException", "Role is not valid"),
    "ecs CreateCluster": ("InvalidParameterException", LINKED),
    "ecs CreateService": ("InvalidParameterException", LINKED),
    "application-auto-scaling RegisterScalableTarget": ("FailedResourceAccessException", LINKED),
    "application-auto-scaling PutScalingPolicy": ("FailedResourceAccessException", LINKED),
}
RELEASE = "ssm PutParameter"  # the last call of a step gives its lease back
# A task definition that was registered twice and deregistered once: AWS keeps its number. Two counters of moto's.
EXPECTED = re.compile(r"task_definition|running_tasks_count|attachment_count")


class Trial(NamedTuple):
    """One fault, at one call of one step."""

    kind: str
    number: int
    call: str
    make: object
    releases: bool = False

    @property
    def must_stop(self):
        lasting = self.kind in ("denied", "expired", "throttled for good", "no answer any more", "lost for good")
        return lasting and not self.releases  # a lease that cannot be released expires

    @property
    def may_stop(self):
        return self.must_stop or self.releases or self.kind.startswith("seen late")


def trials(calls):
    """Every fault for every call that it can meet."""
    assert calls[-1] == RELEASE
    for trial in _trials(calls):
        yield trial._replace(releases=trial.number == len(calls))


def _trials(calls):
    for number, call in enumerate(calls, 1):
        for kind, fault in ONCE.items():
            yield Trial(kind, number, call, lambda n=number, f=fault: faults.once(f, n))
        yield Trial("throttled for good", number, call, lambda n=number: faults.each_time(faults.throttled, n))
        yield Trial("no answer any more", number, call, lambda n=number: faults.from_then_on(faults.read_timeout, n))
        yield Trial("denied", number, call, lambda n=number: faults.each_time(faults.denied, n))
        yield Trial("expired", number, call, lambda n=number: faults.from_then_on(faults.expired, n))
        if call.split()[1].startswith(_READS):
            continue
        yield Trial("lost", number, call, lambda n=number: faults.once(faults.lost, n))
        yield Trial("lost for good", number, call, lambda n=number: faults.each_time(faults.lost, n))
        for times in (1, 3):
            yield Trial(f"seen late ({times})", number, call, lambda n=number, k=times: faults.stale(n, k))
        if call in NOT_YET:
            code, message = NOT_YET[call]
            yield Trial(
                "role not usable yet", number, call, lambda n=number, c=code, m=message: faults.refused(n, c, m)
            )


class Deployment:
    """The steps of one deployment one after the other, each tried with faults before it is done."""

    def __init__(self, aws, p, wire):
        self.aws, self.p, self.wire, self.reader = aws, p, wire, aws.read_only()
        self.counts, self.failures = Counter(), []

    def verbs(self):
        for step in plan.STEPS:
            yield f"ensure {step.thing}", step.ensure
        for step in reversed(plan.STEPS):
            yield f"destroy {step.thing}", step.destroy

    def walk(self, choose):
        for title, verb in self.verbs():
            calls, wanted = faults.apart(lambda v=verb: self._undisturbed(v))
            for trial in choose(list(trials(calls))):
                outcome = faults.apart(lambda v=verb, t=trial, w=wanted: self._try(v, t, w))
                self.counts[outcome] += 1
                if outcome not in ("converged", "stopped with a sentence, then converged"):
                    self.failures.append(f"{title}, {trial.kind} at {trial.number} {trial.call}: {outcome}")
            verb(self.aws, self.p)

    def _undisturbed(self, verb):
        with self.wire.broken_by(faults.none):
            verb(self.aws, self.p)
        return self.wire.calls, inventory()

    def _try(self, verb, trial, wanted):
        fault, stopped = trial.make(), None
        try:
            with self.wire.broken_by(fault):
                verb(self.aws, self.p)
        except RunbookError as error:
            stopped = error
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            if hasattr(fault, "close"):
                fault.close()
        if wrong := self._wrong(trial, stopped):
            return wrong
        try:
            if stopped or trial.releases:
                faults.successor()
                verb(self.aws, self.p)
            if verb(self.reader, self.p):
                return f"was not all done (first: {stopped})"
        except Exception as error:
            return f"afterwards {type(error).__name__}: {error} (first: {stopped})"
        if left := [line for line in difference(wanted, inventory()) if not EXPECTED.search(line)]:
            return f"left {left[:5]} (first: {stopped})"
        return "stopped with a sentence, then converged" if stopped else "converged"

    def _wrong(self, trial, stopped):
        """What of the first run is not as it shall be; None when all is."""
        if stopped is None:
            return "did not stop" if trial.must_stop else None
        if not trial.may_stop:
            return f"stopped: {stopped}"
        if "\n" in str(stopped) or len(str(stopped)) < 20:
            return f"no sentence: {stopped}"
        if trial.kind in ("denied", "expired"):
            cause, kind = stopped.__cause__, {"denied": Denied, "expired": Expired}[trial.kind]
            if not isinstance(stopped, kind) and not isinstance(cause, kind):
                return f"{type(stopped).__name__}: {stopped}"
            permission = "s3:ListBucket" if trial.call == "s3 HeadBucket" else f":{trial.call.split()[1]}"
            if trial.kind == "denied" and permission not in str(stopped):
                return f"does not name the permission: {stopped}"
            if any(attempt.attempt > 1 for attempt in self.wire.attempts):
                return "tried again"
            after = [call for call in self.wire.calls[trial.number :] if call != RELEASE]
            if after := [call for call in after if not call.split()[1].startswith(_READS)]:
                return f"went on to {after}"
        return None


@pytest.fixture(params=["blog", "production"])
def deployment(request, account, monkeypatch, tmp_path):
    p = world.blog(tmp_path) if request.param == "blog" else world.production()
    with world.account(p, monkeypatch, tmp_path / "node") as aws:
        wait.time.sleep(0)  # what AWS does by itself begins with the account, not at the first wait
        yield Deployment(aws, p, faults.Wire(monkeypatch))


def report(deployment, figure):
    figure("faults injected", sum(deployment.counts.values()))
    for outcome in ("converged", "stopped with a sentence, then converged"):
        figure(outcome, deployment.counts[outcome])
    assert not deployment.failures, "\n".join(deployment.failures)


FOUND = {  # what had been wrong, tried always
    ("lost", "acm ImportCertificate"),
    ("lost", "cloudwatch-logs CreateLogGroup"),
    ("lost", "ec2 CreateSecurityGroup"),
    ("lost", "ecs DeleteTaskDefinitions"),
    ("lost", "elasticache DeleteReplicationGroup"),
    ("lost", "elastic-load-balancing-v2 CreateListener"),
    ("lost", "iam AddRoleToInstanceProfile"),
    ("lost", "iam DeleteUser"),
    ("lost", "route-53 ChangeResourceRecordSets"),
    ("lost for good", "acm ImportCertificate"),
    ("seen late (1)", "elastic-load-balancing CreateLoadBalancer"),
    ("seen late (1)", "secrets-manager CreateSecret"),
    ("seen late (1)", "elastic-load-balancing-v2 CreateLoadBalancer"),
    ("seen late (1)", "elastic-load-balancing-v2 CreateTargetGroup"),
    ("seen late (1)", "iam CreateRole"),
    ("seen late (1)", "secrets-manager CreateSecret"),
}


EVERY = 1000  # of the faults, one is in the sample; which one is left to chance


@pytest.mark.long
def test_every_fault_at_every_call(deployment, figure):
    deployment.walk(lambda all_: all_)
    report(deployment, figure)


def test_a_sample_of_the_faults(deployment, figure):
    each, found = itertools.count(random.randrange(EVERY)), set()

    def chosen(trial):
        known = (trial.kind, trial.call)
        first = known in FOUND - found
        found.update({known} & FOUND)
        return first or next(each) % EVERY == 0

    deployment.walk(lambda all_: [trial for trial in all_ if chosen(trial)])
    report(deployment, figure)


WHOLE = ("ListObjectVersions",)  # whose first page is asked for again until it is empty


@pytest.mark.parametrize("deployment", ["production", pytest.param("blog", marks=pytest.mark.long)], indirect=True)
def test_pages_of_one_item_are_all_read(deployment, tmp_path, figure):
    aws, p = deployment.aws, deployment.p
    paged = world.connect(p, tmp_path / "paged").aws
    pages = faults.Pages(paged)
    for ways in ([step.ensure for step in plan.STEPS], [step.destroy for step in reversed(plan.STEPS)]):
        wanted = faults.apart(lambda ways=ways: [[way(aws, p) for way in ways], inventory()][1])
        for way in ways:
            way(paged, p)
        left = [line for line in difference(wanted, inventory()) if not EXPECTED.search(line)]
        assert not left, left
        assert not any(way(paged.read_only(), p) for way in ways)
    assert not [asked for asked in pages.left if not asked.startswith(WHOLE)]
    assert pages.count
    figure("further pages of one item", pages.count)

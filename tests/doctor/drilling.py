"""One drill: break, let the doctor name it, mend, and see that nothing is left."""

import pytest

from runbook import doctor, htpasswd, load, plan, registry, wait
from runbook.__main__ import main
from runbook.local.breaking import BREAKS

SAMPLE = {1, 5, 6, 14, 23, 25}  # which `make test` drills; `make reliability` drills all

# A client sees nothing of these: a deployment was rolled back (11, 13, 15, 18, 22, 26) or waits (20), the pushes of the
# acceptance are small and quick (4), its repository is its own (28), the registry does without its cache (27), or it
# costs money (29) or a setting (14) alone.
SERVES = {4, 11, 13, 14, 15, 18, 20, 22, 26, 27, 28, 29}
# Nor does the plan, which reads no blob.
HIDDEN = {28}


def rows(params):
    """Those that are brought about in a deployment of these params."""
    here = sorted(row for row, each in BREAKS.items() if each.params == params)
    return [row if row in SAMPLE else pytest.param(row, marks=pytest.mark.long) for row in here]


def deploy(name):
    """The deployment of these params, complete; the module has a home of its own."""
    p = load(name)
    aws = plan.start(p)
    mend(aws, p)
    return aws, p


def drill(row, aws, p):
    """The doctor names this row and no other; the acceptance finds it where a client can."""
    assert main(["cloud", "break", p.source, str(row)]) == 0
    found = doctor.diagnose(aws, p)
    assert found.row == row, found
    assert found.cause.evidence
    for secret in secrets(aws, p):
        assert secret not in repr(found)
    seen = accepted(aws, p)
    assert bool(seen) == (row in SERVES), seen
    assert row not in SERVES - HIDDEN or not plan.verify(aws, p)
    if BREAKS[row].mend:
        assert main(["cloud", "mend", p.source, str(row)]) == 0
    mend(aws, p, found.cause.notebook)
    well(aws, p)
    return found


def mend(aws, p, first=None):
    """All steps again; those of the notebook that the doctor named come first."""
    for step in sorted(plan.STEPS, key=lambda step: step.notebook != first):
        step.ensure(aws, p)


def well(aws, p):
    """Nothing is found, and all is as wanted; but an alarm that a break has raised takes a while to end."""

    def look():
        found, reports = doctor.diagnose(aws, p), plan.verify(aws, p)
        assert not [report for report in reports if not report and report.title != "alarms"], reports
        assert found or found.cause.cause.startswith("alarms "), found
        return (found if found and reports else None), "an alarm is raised"

    found = wait.wait("the alarms", look, timeout=300)
    assert found.walked == tuple(name for name, _ in doctor.STATIONS)
    assert accepted(aws, p).require()


def accepted(aws, p):
    return registry.verify_registry(aws, p, logins=htpasswd.logins(aws, p))


def secrets(aws, p):
    names = [each["Name"] for each in aws.secretsmanager.all("list_secrets", "SecretList")]
    return [aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"] for name in names]

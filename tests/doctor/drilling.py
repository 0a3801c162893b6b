"""One drill: break, let the doctor name it, mend, and see that nothing is left."""

from runbook import doctor, htpasswd, plan, registry, wait
from runbook.local.breaking import BREAKS


def drill(row, aws, p):
    """The doctor names this row and no other; what the plan or the acceptance can see of it they do not call ok."""
    found = broken(row, aws, p)
    assert found.row == row, found
    assert found.cause.evidence
    mended(row, aws, p)
    return found


def broken(row, aws, p):
    BREAKS[row].does(aws, p)
    found = doctor.diagnose(aws, p)
    assert row in UNSEEN or not plan.verify(aws, p) or not accepted(aws, p)
    for secret in secrets(aws, p):
        assert secret not in repr(found)
    return found


def mended(row, aws, p):
    if BREAKS[row].mend:
        BREAKS[row].mend(aws, p)
    mend(aws, p)
    well(aws, p)


# A blob of another repository than the acceptance's own.
UNSEEN = {28}


def mend(aws, p):
    for step in plan.STEPS:
        step.ensure(aws, p)


def well(aws, p):
    """Nothing is found, and all is as wanted; but an alarm that a break has raised takes a while to end."""

    def look():
        found, reports = doctor.diagnose(aws, p), plan.verify(aws, p)
        assert not [report for report in reports if not report and report.title != "alarms"], reports
        assert found or found.cause.cause.startswith("alarms "), found
        return (bool(found and reports) or None), "an alarm is raised"

    wait.wait("the alarms", look, timeout=300)
    assert accepted(aws, p).require()


def accepted(aws, p):
    return registry.verify_registry(aws, p, logins=htpasswd.logins(aws, p))


def secrets(aws, p):
    names = [each["Name"] for each in aws.secretsmanager.all("list_secrets", "SecretList")]
    return [aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"] for name in names]

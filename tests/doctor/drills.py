"""What the drills share: a deployment, how it is mended, and how one sees that it is well."""

from runbook import alarms, doctor, htpasswd, load, plan, registry, wait

STATIONS = tuple(name for name, _ in doctor.STATIONS)


def deploy(name):
    """The deployment of these params, complete; the module has a home of its own."""
    p = load(name)
    aws = plan.start(p)
    mend(aws, p)
    return aws, p


def mend(aws, p, first=None):
    """All steps again; those of the notebook that the doctor named come first."""
    for step in sorted(plan.STEPS, key=lambda step: step.notebook != first):
        step.ensure(aws, p)


def accepted(aws, p):
    return registry.verify_registry(aws, p, logins=htpasswd.logins(aws, p))


def well(aws, p):
    """An alarm that a break has raised takes a while to end."""
    wait.wait("the alarms", lambda: (bool(alarms.verify_alarms(aws, p)) or None, "raised"), timeout=300)
    found = doctor.diagnose(aws, p)
    assert found and found.cause is None, found
    assert found.walked == STATIONS
    return plan.verify(aws, p).require()

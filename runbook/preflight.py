"""What a run stands on and does not make: told from reads alone, before the first write.

A step finds the same when its turn comes; by then the steps before it have built, and what they built costs money.
"""

from collections.abc import Callable

from . import (
    alarms,
    application_balancer,
    certificate,
    hosted_zone,
    htpasswd,
    launching,
    plan,
    secretsmanager,
    storage,
    vpc,
)
from .errors import NotOurs, SecretError, StepFailed
from .params import Params
from .report import Report
from .session import AWS

TITLE = "before the first change"


def preflight(aws: AWS, p: Params, *, headless: bool = False) -> Report:
    """What a person brings, and that every name is free or ours. With `headless` nobody can be asked for a password."""
    reader = aws.read_only()
    return brought(reader, p, headless=headless) + names(plan.verify(reader, p, show=True))


def brought(aws: AWS, p: Params, *, headless: bool = False) -> Report:
    """One check for each thing that the params name and a person brings.

    Whether the nodes can pull the image, AWS cannot tell.
    """
    reader, where = aws.read_only(), f"{p.cloud}, account {aws.account}, {aws.region}"
    report = Report(TITLE).check("cloud", True, where, where)
    for name, look in _BROUGHT:
        report = _look(report, name, lambda look=look: look(reader, p))
    return _look(report, "passwords", lambda: _passwords(reader, p, headless))


def names(verified: plan.Reports) -> Report:
    """One check for each thing that could not even be looked at, as by its name there is one of somebody else's."""
    report, said = Report(TITLE), set()
    for found in verified:
        for check in found.checks:
            if check.name == plan.UNTOLD and check.found not in said:
                said.add(check.found)
                report = report.check(found.title, False, check.wanted, check.found)
    return report if said else report.check("names", True, "free, or ours", "free, or ours")


def _look(report: Report, name: str, look: Callable[[], str | None]) -> Report:
    """One more check, unless there is nothing to look at."""
    try:
        seen = look()
    except (StepFailed, SecretError, NotOurs) as error:
        return report.check(name, False, "usable", str(error))
    return report if seen is None else report.check(name, True, seen, seen)


def _image(_: AWS, p: Params) -> str | None:
    return p.image if plan.emulated(p) else None


def _bucket(aws: AWS, p: Params) -> str:
    found = storage.find_bucket(aws, p)
    storage.require_region(p, found)
    return f"{p.bucket}, {'ours' if found else 'free, as far as can be told'}"


def _subnets(aws: AWS, p: Params) -> str:
    nodes, balancer = vpc.node_subnets(aws, p), vpc.balancer_subnets(aws, p)
    return f"{len(nodes)} for the nodes, {len(balancer)} for the balancer"


def _type(aws: AWS, p: Params) -> str:
    launching.require_type(aws, p)
    return f"{p.instance_type}, in {len(launching.subnets(aws, p))} zones"


def _zone(aws: AWS, p: Params) -> str:
    hosted_zone.needed(aws, p)
    return p.zone


def _certificate(aws: AWS, p: Params) -> str:
    certificate.require_brought(aws, p)
    return "to be requested" if p.certificate == "request" else f"for {p.domain}"


def _access_logs(aws: AWS, p: Params) -> str | None:
    application_balancer.require_log_bucket(aws, p)
    return p.access_logs


def _topic(aws: AWS, p: Params) -> str | None:
    alarms.require_topic(aws, p)
    return p.alarms_to


def _passwords(aws: AWS, p: Params, headless: bool) -> str:
    typed = {user for user, source in p.users.items() if source == "prompt"}
    for user in p.users.keys() - typed:
        if p.users[user] == "generate":
            secretsmanager.find_secret(aws, p, p.password_secret(user))  # NotOurs, if it is another's
        else:
            htpasswd.password(aws, p, user)
    known = htpasswd.find_users(aws, p) if headless and typed else None
    if headless and (missing := sorted(typed - set(known["UserNames"] if known else []))):
        raise SecretError(
            f"users: {', '.join(missing)} would have to type a password (prompt), and nobody can be asked in this run; "
            "run notebook 03_create_an_htpasswd_file by hand, or use env:NAME, secretsmanager:NAME or generate"
        )
    return "each where its reference says, or free to be generated"


_BROUGHT = (
    ("image", _image),
    ("bucket", _bucket),
    ("subnets", _subnets),
    ("instance type", _type),
    ("zone", _zone),
    ("certificate", _certificate),
    ("access logs", _access_logs),
    ("alarms_to", _topic),
)

"""Everything of a deployment that grows old: how old it is, what is due, and the step that renews it."""

from collections.abc import Callable

from . import certificate_renewal, due, http_secret_rotation, key_rotation, password_rotation
from .params import Params
from .report import Changes, Document, Report
from .session import AWS

# By the names that the command line has for them; each takes `since`, but for the certificate.
STEPS: dict[str, Callable[..., Changes]] = {
    "key": key_rotation.ensure_key,
    "http-secret": http_secret_rotation.ensure_http_secret,
    "passwords": password_rotation.ensure_passwords,
    "certificate": certificate_renewal.ensure_renewal,
}


def want_ages(p: Params) -> Document:
    """How old each may become, in days; of a certificate, how long it must be valid yet."""
    age, passwords = f"at most {p.rotate_after} days old", {}
    for user, source in sorted(p.users.items()):
        passwords[f"password of {user}"] = age if source == "generate" else f"from {source}: its age is not known here"
    return Document(
        {"S3 key": age if p.credentials == "access-key" else "none: a role"}
        | {"http secret": age}
        | passwords
        | {"certificate": f"more than {certificate_renewal.DAYS_BEFORE} days left"}
    )


def find_ages(aws: AWS, p: Params) -> Document:
    """The same of what is, in days."""
    found, present = want_ages(p), due.now(aws)
    made = {"http secret": http_secret_rotation.made(aws, p)}
    if p.credentials == "access-key":
        made["S3 key"] = key_rotation.made(aws, p)
    for user, source in p.users.items():
        if source == "generate":
            made[f"password of {user}"] = password_rotation.made(aws, p, user)
    for name, when in made.items():
        found[name] = "absent" if when is None else f"{due.days(when, present)} days old"
    left = certificate_renewal.days_left(aws, p)
    found["certificate"] = "absent" if left is None else f"{left} days left"
    return found


def verify_ages(aws: AWS, p: Params) -> Report:
    """One check each: what is due is not ok. The registry works with it all the same."""
    wanted, found, report = want_ages(p), find_ages(aws, p), Report(f"ages in {p.title}")
    for name, limit in wanted.items():
        seen, days = found[name], found[name].partition(" ")[0]
        if name == "certificate":
            ok = days.lstrip("-").isdigit() and int(days) > certificate_renewal.DAYS_BEFORE
        else:
            ok = seen == limit or days.isdigit() and int(days) <= p.rotate_after
        report = report.check(name, ok, limit, seen)
    return report

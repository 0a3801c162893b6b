"""New passwords for the users who have generated ones.

An htpasswd file has one line a user, so there is one moment at which the old password ends and the new one begins: the
change of the file on a node, or the time in which new tasks take over from old ones. Until the registries take it,
the new password waits in Secrets Manager beside the old one; whoever reads the current one there gets one that works.
To be without that moment, add a second user in notebook 10, move the clients to it, and remove the first.
"""

import datetime

from . import due, htpasswd, lease, secretsmanager, service, turnover
from .errors import StepFailed
from .params import Params
from .registry_api import Anew, Client, NoAnswer, said
from .report import Changes, Document, Report, compare
from .secret import Login, Secret, generate
from .secretsmanager import NEXT, PREVIOUS, find_version, read_secret, write_next, write_secret
from .session import AWS
from .wait import wait

_TITLE = "generated passwords"
_TAKEN_WITHIN = 60  # seconds; on a node it is the next request


def want_passwords(p: Params, since: due.Since) -> Document:
    """Each generated password made since then; where every other one comes from: whoever keeps it there renews it."""
    return Document({user: since.words if source == "generate" else source for user, source in sorted(p.users.items())})


def find_passwords(aws: AWS, p: Params, since: due.Since) -> Document:
    """The same of what is."""
    return Document(
        {
            user: due.told(made(aws, p, user), since) if source == "generate" else source
            for user, source in sorted(p.users.items())
        }
    )


@lease.exclusive
def ensure_passwords(aws: AWS, p: Params, *, since: due.Given = None) -> Changes:
    """Rotate the generated passwords that were made before `since`.

    The new ones are brought to the registries and tried there: the new one must be let in and the old one refused
    before the new one becomes the current one. StepFailed otherwise; notebook 10 then puts the old ones back.
    """
    since = due.since(aws, p, since)
    found = find_passwords(aws, p, since)
    report = compare(_TITLE, want_passwords(p, since), found)
    if report:
        return report.changes.done
    turnover.require_service(aws, p)
    anew = {
        user: _next(aws, p, user, since) for user, words in found.items() if words != want_passwords(p, since)[user]
    }
    htpasswd.ensure_users(aws, p, passwords=anew)
    service.ensure_service(aws, p)
    for user, text in anew.items():
        _prove(aws, p, Login(user, text), before=read_secret(aws, p, p.password_secret(user)))
    for user, text in anew.items():
        write_secret(aws, p, p.password_secret(user), text, f"password of registry user {user}")
    return report.changes.done


def verify_passwords(aws: AWS, p: Params, *, since: due.Given = None) -> Report:
    """The comparison, and that no registry lets in the password before the present one."""
    since = due.since(aws, p, since)
    found = find_passwords(aws, p, since)
    report = compare(_TITLE, want_passwords(p, since), found)
    for user in (user for user, source in p.users.items() if source == "generate"):
        former = read_secret(aws, p, p.password_secret(user), stage=PREVIOUS)
        if former is not None:
            seen = _answer(aws, p, Login(user, former))
            report = report.check(f"{user}, former password", seen == _REFUSED, _REFUSED, seen)
    return report


def made(aws: AWS, p: Params, user: str) -> datetime.datetime | None:
    """When the user's generated password was made; None where there is none."""
    version = find_version(aws, p, p.password_secret(user))
    return version.made if version else None


_ACCEPTED, _REFUSED = "200 {}", "401 UNAUTHORIZED"


def _next(aws: AWS, p: Params, user: str, since: due.Since) -> Secret:
    """The password that waits to become the current one: of a run that was cut short, or a new one."""
    name = p.password_secret(user)
    waiting = find_version(aws, p, name, stage=NEXT)
    if waiting and waiting.made >= since.moment:
        return waiting.text
    if secretsmanager.find_secret(aws, p, name) is None:
        raise StepFailed(f"user {user}: no password is generated yet; run notebook 03_create_an_htpasswd_file first")
    text = generate()
    write_next(aws, name, text)
    return text


def _prove(aws: AWS, p: Params, login: Login, *, before: Secret | None) -> None:
    def look():
        new = _answer(aws, p, login)
        old = _REFUSED if before is None else _answer(aws, p, Login(login.user, before))
        return ((new, old) == (_ACCEPTED, _REFUSED) or None), f"the new password: {new}; the old one: {old}"

    for _ in range(2 * p.replicas if p.replicas > 1 else 1):
        wait(f"login of {login.user}", look, timeout=_TAKEN_WITHIN)


def _answer(aws: AWS, p: Params, login: Login) -> str:
    try:
        return said(Client(Anew(aws), p, login).call("GET", "/v2/"))
    except NoAnswer as error:
        return str(error)

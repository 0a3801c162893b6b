"""Users whom the registry does not know, though their password is right."""

import re

from passlib.hash import bcrypt

from .. import tags
from ..secret import Login, sealed
from ..secretsmanager import find_secret, read_secret
from .diagnosis import Cause
from .patient import Patient

_BCRYPT = re.compile(r"\$2[aby]?\$\d\d\$[./A-Za-z0-9]{53}")
_KIND = re.compile(r"\$\w+\$|\{\w+\}")
_TRIED = 3  # each costs the registry a bcrypt


def users(patient: Patient) -> Cause | None:
    """Lines that are not bcrypt in the secret that the file is made of; then logins that fit their line and get 401."""
    aws, p = patient.aws, patient.p
    content = read_secret(aws, p, p.htpasswd_secret)
    if content is None:
        return None
    pairs = [line.partition(":")[::2] for line in content.reveal().splitlines() if line.strip()]
    if wrong := [f"secret {p.htpasswd_secret}: {_why(user, line)}" for user, line in pairs if not _is_bcrypt(line)]:
        return Cause.of(16, *wrong)
    if not _is_delivered(patient):
        return None
    lines = dict(pairs)
    known = [login for login in patient.logins if login.user in lines and _fits(login, lines[login.user])]
    said = {login.user: patient.told("/v2/", login) for login in known[:_TRIED]}
    if refused := [user for user, answer in said.items() if answer.startswith("401")]:
        return Cause.of(
            16,
            f"user {', '.join(refused)}: the password fits the line in secret {p.htpasswd_secret}, and the registry "
            "answers 401: the file that it reads is another one",
        )
    return None


def _is_bcrypt(line: str) -> bool:
    return _BCRYPT.fullmatch(line) is not None


def _why(user: str, line: str) -> str:
    """What kind of line it is, never the line."""
    if not line:
        return "a line without a colon, or without a hash"
    kind = _KIND.match(line)
    return f"the line of user {user} is no bcrypt line" + (f" (it begins with {kind[0]})" if kind else "")


def _fits(login: Login, line: str) -> bool:
    with sealed():
        return bcrypt.verify(login.password.reveal(), line)


def _is_delivered(patient: Patient) -> bool:
    """Whether the nodes, or the tasks, have been given the secret's present version: else a step says what lacks."""
    p, secret = patient.p, find_secret(patient.aws, patient.p, patient.p.htpasswd_secret)
    if p.htpasswd == "init-container":
        carriers = [tags.read((patient.service or {}).get("tags"))]
    else:
        carriers = [{each["Key"]: each["Value"] for each in node.get("Tags", [])} for node in patient.nodes]
    return bool(carriers) and all(each.get(p.htpasswd_tag) == secret["VersionId"] for each in carriers)

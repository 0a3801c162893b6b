"""The acceptance suite, who is let in: nobody without a login, each user with the right password and no other."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import requests

from .acceptance_checks import Checks
from .address import Address
from .registry_api import Client, NoAnswer, said
from .secret import Login, Secret, generate

_UNKNOWN = "user-that-nobody-has"
_SLOWER = 0.02  # seconds: the registry's own bcrypt cost of 10 takes about 60 ms, an unknown user 1 ms
_REFUSED = "401 UNAUTHORIZED"
_AT_ONCE = 4


def knock(checks: Checks, a: Address, http: requests.Session, *, logins: Sequence[Login]) -> bool:
    """Without a login. Whether the rest can be asked; of any registry without authentication, it can."""
    headers: dict[str, str] = {}

    def look() -> str:
        answer = Client(http, a).call("GET", "/v2/")
        headers.update({name.lower(): value for name, value in answer.headers.items()})
        return said(answer)

    open_to_all = a.realm is None and not logins
    let_in = _accepted(a) if open_to_all else ()
    checks.look("GET /v2/ without a login", look, *let_in, _REFUSED, needed=True)
    realm = headers.get("www-authenticate", "absent")
    if a.realm is not None:
        checks.look("Www-Authenticate", lambda: realm, f'Basic realm="{a.realm}"')
    elif realm.lower().startswith("bearer "):
        checks.look("Www-Authenticate", lambda: "Bearer, which this suite does not speak", "Basic")
    elif realm != "absent" or logins:
        checks.look("Www-Authenticate", lambda: realm.partition(" ")[0], "Basic")
    version = partial(headers.get, "docker-distribution-api-version", "absent")
    checks.look("Docker-Distribution-Api-Version", version, "registry/2.0")
    if a.nosniff:
        checks.look("X-Content-Type-Options", partial(headers.get, "x-content-type-options", "absent"), "nosniff")
    if realm.lower().startswith("bearer "):
        checks.leave_out("users, push and pull", "tokens (Bearer) are not supported; what is above holds")
    elif realm != "absent" and not logins:
        checks.leave_out("users, push and pull", "no login was given (--user)")
    elif open_to_all:
        checks.tell("users", "none: the registry asks for no login")
    return not checks.ended


def users(checks: Checks, a: Address, http: requests.Session, logins: Sequence[Login]) -> bool:
    """Whether each login is accepted. Wrong passwords are tried of the first."""
    user = logins[0].user
    wrong = {
        f"{user}, wrong password": Login(user, generate()),
        f"{user}, empty password": Login(user, Secret("")),
        "an unknown user": Login(_UNKNOWN, generate()),
    }
    made_up = "docker" not in a.users and all(login.user != "docker" for login in logins)
    if made_up:
        wrong["docker, password docker"] = Login("docker", Secret("docker"))
    asked = [*logins, *wrong.values()]
    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, len(asked))) as pool:
        told = dict(zip(map(id, asked), pool.map(partial(_told, a), asked), strict=True))
    accepted = [
        checks.look(f"GET /v2/ as {login.user}", partial(_given, told[id(login)]), *_accepted(a), row=16, needed=True)
        for login in logins
    ]
    for who, login in wrong.items():
        row = 17 if login.user == "docker" else None
        checks.look(f"GET /v2/ as {who}", partial(_given, told[id(login)]), _REFUSED, row=row, needed=True)
    if not all(accepted) and made_up:
        checks.look("user docker", partial(_invented, a, http), "unknown to the registry", row=17)
    return all(accepted) and not checks.ended


def _accepted(a: Address) -> tuple[str, ...]:
    """Distribution answers an empty JSON object, others nothing."""
    return ("200 {}",) if a.realm is not None else ("200 {}", "200 OK")


def _told(a: Address, login: Login) -> str | NoAnswer:
    try:
        with a.reach.http() as http:
            return said(Client(http, a, login).call("GET", "/v2/"))
    except NoAnswer as error:
        return error


def _given(told: str | NoAnswer) -> str:
    if isinstance(told, NoAnswer):
        raise told
    return told


def _invented(a: Address, http: requests.Session) -> str:
    """Whether the registry found no htpasswd file, and so made one with a user `docker` and a random password.

    Told by time: a hash is computed for a user that there is, none for another (Distribution, htpasswd.go).
    """

    def quickest(user: str) -> float:
        seconds = []
        for _ in range(5):
            started = time.monotonic()
            Client(http, a, Login(user, generate())).call("GET", "/v2/")
            seconds.append(time.monotonic() - started)
        return min(seconds)

    if quickest("docker") > quickest(_UNKNOWN) + _SLOWER:
        return "known: the registry found no htpasswd file and made its own; run notebook 03_create_an_htpasswd_file"
    return "unknown to the registry"

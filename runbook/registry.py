"""The blog's "Test your setup": what the registry answers over `/v2/`, asked from outside through the balancer."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import requests

from . import acceptance_images as images
from . import acceptance_logins, acceptance_tls, address
from . import acceptance_uploads as uploads
from .acceptance_checks import Checks
from .address import Address
from .errors import StepFailed
from .params import Params
from .registry_api import Client, NoAnswer, said
from .report import Report, Text
from .secret import Login
from .session import AWS
from .wait import Live

_TOGETHER = 4  # threads

_SHOWN = (
    "Content-Type",
    "Docker-Distribution-Api-Version",
    "Www-Authenticate",
    "X-Content-Type-Options",
    "Content-Length",
)


def ask(aws: AWS, p: Params, *, login: Login | None = None) -> Text:
    """GET /v2/ as `curl -i` shows it, without the headers that differ from one run to the next.

    Any answer is shown, also a 503; StepFailed when there is none.
    """
    with aws.http() as http:
        try:
            answer = Client(http, p, login).send("GET", "/v2/")
        except NoAnswer as error:
            notebook = "05_configure_https_on_the_load_balancer"
            raise StepFailed(f"{p.url}/v2/: {error}; the check of notebook {notebook} tells more") from None
    who = f"-u {login.user} " if login else ""
    left_out = sorted({name.title() for name in answer.headers} - set(_SHOWN))
    lines = [
        f"$ curl -i {who}{p.url}/v2/",
        f"HTTP/{answer.raw.version / 10:.1f} {answer.status_code} {answer.reason}",
        *(f"{name}: {answer.headers[name]}" for name in _SHOWN if name in answer.headers),
        "",
        answer.text[:2000].strip(),
        f"(headers not shown: {', '.join(left_out) or 'none'})",
    ]
    return Text("\n".join(lines))


def verify_registry(aws: AWS, p: Params, *, logins: Sequence[Login], slow: float | None = None) -> Report:
    """The acceptance suite over the deployment's registry, as its clients see it; what is pushed, by the first login.

    What is pushed stays in the repository `runbook/test`, the same bytes each time, unless the registry's delete API
    is on. What all the rest needs ends the report where it is missing, which says so. `slow` is in seconds.
    """
    if not logins:
        raise StepFailed(f"{p.url} is verified as its users, and no login was given; pass one for each user")
    return accept(address.of(aws, p), logins=logins, slow=slow)


def accept(a: Address, *, logins: Sequence[Login], slow: float | None = None) -> Report:
    """The same over any registry. Without a login only what a stranger sees, or all of one that asks for none.

    `slow`: seconds that one upload takes, to try a balancer's idle timeout; else it takes about two.
    """
    with Live(passing=True) as live:
        return _accept(a, logins, slow, live.show)


def _accept(a: Address, logins: Sequence[Login], slow: float | None, told: Callable[[str], object]) -> Report:
    checks = Checks(f"registry {a.url}", told)
    acceptance_tls.look(checks, a)
    if checks.ended:
        return checks.report
    with a.reach.http() as http:
        if not acceptance_logins.knock(checks, a, http, logins=logins):
            return checks.report
        if logins and not acceptance_logins.users(checks, a, http, logins):
            checks.leave_out("push and pull", "no login is accepted" if len(logins) == 1 else "a login is refused")
            return checks.report
        login = logins[0] if logins else None
        if a.scales:
            _check_inside(checks, Client(http, a, login))
        begun: list[requests.Response] = []
        origin = partial(uploads.origin, a, Client(http, a, login), begun)
        checks.look("Location of a new upload", origin, a.url, row=3, needed=True)
        if checks.ended:
            return checks.report
    return checks.report + _images(a, login, begun, slow, told)


def _check_inside(checks: Checks, client: Client) -> None:
    """What the registry shows on its debug port is for nobody outside."""
    for path in ("/metrics", "/debug/health"):
        checks.look(f"GET {path}", lambda path=path: said(client.call("GET", path)), "404 Not Found")


def _images(
    a: Address,
    login: Login | None,
    begun: list[requests.Response],
    slow: float | None,
    told: Callable[[str], object],
) -> Report:
    """What does not depend on each other runs together; the order of the report is always the same."""
    over, seconds = threading.Event(), uploads.slow_seconds(a, slow)

    def group(look: Callable[[Checks, Client], None]) -> Report:
        checks = Checks(told=told)
        with a.reach.http() as http:
            look(checks, Client(http, a, login))
        return checks.report

    def pushed(checks: Checks, client: Client) -> None:
        uploads.pushed(checks, a, login, client, begun)
        if checks.report:
            uploads.mounted(checks, client)

    with ThreadPoolExecutor(max_workers=_TOGETHER) as pool:
        try:
            aside = [
                pool.submit(group, look)
                for look in (
                    lambda checks, client: uploads.moved(checks, a, login, client),
                    lambda checks, client: uploads.large(checks, a, login, client),
                    lambda checks, client: uploads.slowly(checks, a, login, client, seconds=seconds, over=over),
                )
            ]
            report = group(pushed)
            rest = _stored(pool, group, a, login) if report else _not_stored()
            for future in aside:
                report += future.result()
        finally:
            over.set()
    return report + rest


def _stored(pool: ThreadPoolExecutor, group: Callable, a: Address, login: Login | None) -> Report:
    pulled = pool.submit(group, images.pulls)
    report = group(images.manifests)
    report += pulled.result() + group(lambda checks, client: images.lists(checks, a, login, client))
    return report + group(lambda checks, client: images.end(checks, a, client))


def _not_stored() -> Report:
    checks = Checks()
    checks.leave_out("manifests, tags and pulls", "a layer or the config is not stored")
    return checks.report

"""The blog's "Test your setup": what the registry answers over `/v2/`, asked from outside through the balancer."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import urlsplit

import requests

from . import image
from .errors import StepFailed
from .params import Params
from .registry_api import (
    Anew,
    Client,
    NoAnswer,
    begin,
    certificate,
    from_plain_http,
    pull,
    push,
    said,
    short,
    stored,
    tls_version,
)
from .report import Report, Text
from .secret import Login, Secret, generate
from .session import AWS

TAG = "verify"
CHUNK_KIB = 100  # one piece of the layer that is pushed in pieces

_SHOWN = (
    "Content-Type",
    "Docker-Distribution-Api-Version",
    "Www-Authenticate",
    "X-Content-Type-Options",
    "Content-Length",
)
_UNKNOWN = "user-that-nobody-has"
_SLOWER = 0.02  # seconds: the registry's own bcrypt cost of 10 takes about 60 ms, an unknown user 1 ms


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


def verify_registry(aws: AWS, p: Params, *, logins: Sequence[Login]) -> Report:
    """TLS, who is let in and who is not, the Location of an upload, then a push and a pull by the first login.

    What is pushed stays in the repository `runbook/test` unless the registry's delete API is on. A check that
    gets no answer, or one of 5xx, ends the report, which says so.
    """
    if not logins:
        raise StepFailed(f"{p.url} is verified as its users, and no login was given; pass one for each user")
    checks = _Checks(f"registry {p.url}")
    with aws.http() as http:
        _check_door(checks, aws, p, http)
        if _check_users(checks, p, http, logins):
            if p.scales:
                _check_inside(checks, Client(http, p, logins[0]))
            _check_images(checks, p, Client(http, p, logins[0]), Client(Anew(aws), p, logins[0]))
        else:
            checks.leave_out("push and pull", "no login is accepted" if len(logins) == 1 else "a login is refused")
    return checks.report


class _Checks:
    """A report that grows check by check until the registry gives no answer."""

    def __init__(self, title: str):
        self.report = Report(title)
        self._ended = False

    def look(self, name: str, look: Callable[[], str], *wanted: str) -> bool:
        """Add a check that is ok when what `look` finds is one of `wanted`."""
        if self._ended:
            return False
        try:
            found, failed = look(), False
        except NoAnswer as error:
            found, failed = str(error), True
        ok = found in wanted and not failed
        self.report = self.report.check(name, ok, " or ".join(wanted), found)
        if failed:
            self.leave_out("the checks after it", "the one above must be mended first")
        return ok

    def leave_out(self, name: str, why: str) -> None:
        if not self._ended:
            self.report = self.report.check(name, False, "run", f"not run: {why}")
        self._ended = True


def _check_door(checks: _Checks, aws: AWS, p: Params, http: requests.Session) -> None:
    checks.look("TLS certificate", lambda: certificate(aws, p), f"trusted, for {p.domain}")
    if p.scales:
        checks.look("TLS version", lambda: tls_version(aws, p), "TLSv1.3", "TLSv1.2")
        checks.look("GET http://, without TLS", lambda: from_plain_http(aws, p, "/v2/"), f"301 to {p.url}/v2/")
    headers: dict[str, str] = {}

    def knock() -> str:
        answer = Client(http, p).call("GET", "/v2/")
        headers.update({name.lower(): value for name, value in answer.headers.items()})
        return said(answer)

    checks.look("GET /v2/ without a login", knock, "401 UNAUTHORIZED")
    for name, wanted in (
        ("Www-Authenticate", f'Basic realm="{p.realm}"'),
        ("Docker-Distribution-Api-Version", "registry/2.0"),
        ("X-Content-Type-Options", "nosniff"),
    ):
        checks.look(name, partial(headers.get, name.lower(), "absent"), wanted)


def _check_users(checks: _Checks, p: Params, http: requests.Session, logins: Sequence[Login]) -> bool:
    """Whether each login is accepted."""

    def told(login: Login) -> str:
        return said(Client(http, p, login).call("GET", "/v2/"))

    user = logins[0].user
    accepted = [checks.look(f"GET /v2/ as {login.user}", partial(told, login), "200 {}") for login in logins]
    wrong = {f"{user}, wrong password": Login(user, generate()), "an unknown user": Login(_UNKNOWN, generate())}
    if "docker" not in p.users:
        wrong["docker, password docker"] = Login("docker", Secret("docker"))
    for who, login in wrong.items():
        checks.look(f"GET /v2/ as {who}", partial(told, login), "401 UNAUTHORIZED")
    if not all(accepted) and "docker" not in p.users:
        checks.look("user docker", partial(_invented, p, http), "unknown to the registry")
    return all(accepted)


def _check_inside(checks: _Checks, client: Client) -> None:
    """What the registry shows on its debug port is for nobody outside."""
    for path in ("/metrics", "/debug/health"):
        checks.look(f"GET {path}", lambda path=path: said(client.call("GET", path)), "404 Not Found")


def _invented(p: Params, http: requests.Session) -> str:
    """Whether the registry found no htpasswd file, and so made one with a user `docker` and a random password.

    Told by time: a hash is computed for a user that there is, none for another (Distribution, htpasswd.go).
    """

    def quickest(user: str) -> float:
        seconds = []
        for _ in range(5):
            started = time.monotonic()
            Client(http, p, Login(user, generate())).call("GET", "/v2/")
            seconds.append(time.monotonic() - started)
        return min(seconds)

    if quickest("docker") > quickest(_UNKNOWN) + _SLOWER:
        return "known: the registry found no htpasswd file and made its own; run notebook 03_create_an_htpasswd_file"
    return "unknown to the registry"


def _check_images(checks: _Checks, p: Params, client: Client, anew: Client) -> None:
    made, begun = image.make(), []
    spread = partial(_push_spread, anew, p)

    def location() -> str:
        begun.append(begin(client))
        return _origin(p, begun[0])

    # It goes on as the push of layer 1: an upload that is cancelled leaves a file behind (2.8.2, `hashstates`).
    checks.look("Location of a new upload", location, p.url)
    for name, blob in made.blobs.items():
        wanted = f"201 {short(image.digest(blob))}"
        if name == "layer 3" and p.replicas > 1:
            checks.look(f"push {name}, begun on one registry, finished on another", partial(spread, blob), wanted)
            continue
        pieces = name == "layer 2"
        words = f"push {name}" + (f" in pieces of {CHUNK_KIB} KiB" if pieces else "")
        size = CHUNK_KIB * 1024 if pieces else len(blob)
        checks.look(words, partial(push, client, blob, size, begun), wanted)
    manifests = f"/v2/{image.REPOSITORY}/manifests"
    put = {"data": made.manifest, "headers": {"Content-Type": image.MANIFEST_TYPE}}
    wanted = short(made.digest)
    checks.look("push manifest", lambda: stored(client.call("PUT", f"{manifests}/{TAG}", **put)), f"201 {wanted}")
    checks.look("pull manifest by tag", partial(pull, client, f"{manifests}/{TAG}"), f"200 {wanted}")
    checks.look("pull manifest by digest", partial(pull, client, f"{manifests}/{made.digest}"), f"200 {wanted}")
    for name, blob in made.blobs.items():
        path = f"/v2/{image.REPOSITORY}/blobs/{image.digest(blob)}"
        checks.look(f"pull {name}", partial(pull, client, path), f"200 {short(image.digest(blob))}")
    checks.look(
        f"{image.REPOSITORY} afterwards",
        lambda: _deleted(client.call("DELETE", f"{manifests}/{made.digest}")),
        "kept (the delete API is off)",
        "deleted",
    )


def _push_spread(anew: Client, p: Params, blob: bytes) -> str:
    """In so many pieces, each on a connection of its own, that the balancer leads them to several registries.

    A registry signs an upload's state with its http.secret, and refuses what another secret has signed:
    https://github.com/distribution/distribution/issues/1402
    """
    found = push(anew, blob, -(-len(blob) // (2 * p.replicas + 2)), [])
    if found.startswith("404 BLOB_UPLOAD_"):
        found += ": the registries have different http secrets, or no storage in common; run notebook "
        found += "02_create_a_task_definition"
    return found


def _origin(p: Params, answer: requests.Response) -> str:
    if answer.status_code != 202:
        return said(answer)
    location = urlsplit(answer.headers.get("Location", ""))
    return f"{location.scheme}://{location.netloc}" if location.netloc else p.url  # `http.relativeurls: true`


def _deleted(answer: requests.Response) -> str:
    return {202: "deleted", 405: "kept (the delete API is off)"}.get(answer.status_code, said(answer))

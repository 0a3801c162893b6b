"""A stream of real requests to the registry while something changes, and how many of them failed."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

import requests

from . import image
from .errors import StepFailed
from .params import Params
from .registry_api import Anew, Client, NoAnswer, push, said, short
from .report import Report
from .secret import Login
from .session import AWS

EVERY = 0.1  # seconds between two rounds of three requests
_SHOWN = 3  # failures in words
# A server may close a connection that is idle at the moment of a request, so every client asks once more:
# https://www.rfc-editor.org/rfc/rfc9110#section-9.2.2
_CUT = "the connection was cut"


class watch:  # noqa: N801 (used as `with traffic.watch(…) as seen:`)
    """Within the block a user asks the registry several times a second; then `seen.report` tells how that went.

    GET /v2/ on a new connection, the same on one that is kept open, and the pull of a small layer. Anything but 200
    is a failure. StepFailed when the registry does not work before the block begins.
    """

    def __init__(self, aws: AWS, p: Params, login: Login):
        self._aws, self._p, self._login = aws, p, login
        self.made, self.failed = 0, []
        self._over = threading.Event()
        self._pool, self._stream = ThreadPoolExecutor(max_workers=1), Future()

    def __enter__(self) -> "watch":
        blob = image.make(layers=1, size=1024, seed="traffic").layers[0]
        self._path = f"/v2/{image.REPOSITORY}/blobs/{image.digest(blob)}"
        try:
            found = push(Client(Anew(self._aws), self._p, self._login), blob, len(blob), [])
        except NoAnswer as error:
            found = str(error)
        if found != f"201 {short(image.digest(blob))}":
            raise StepFailed(f"{self._p.url} does not work before anything is changed: {found}")
        self._stream = self._pool.submit(self._run)
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        if kind is None:
            self._stream.result()

    @property
    def counts(self) -> tuple[int, int]:
        """How many requests were made, and how many of them failed."""
        return self.made, len(self.failed)

    @property
    def report(self) -> Report:
        """Requests made and failed; how many were made is no figure of the registry's."""
        some = "some" if self.made else "none"
        first = "; ".join(self.failed[:_SHOWN]) + ("; …" if len(self.failed) > _SHOWN else "")
        found = f"{len(self.failed)} of {self.made}: {first}" if self.failed else "0"
        report = Report(f"requests to {self._p.url} as {self._login.user} meanwhile")
        return report.check("made", self.made > 0, "some", some).check("failed", not self.failed, "0", found)

    def _run(self) -> None:
        """At least one round; the last one begins before the end of the block."""
        new = Client(Anew(self._aws), self._p, self._login)
        with self._aws.http() as session:
            kept = Client(session, self._p, self._login)
            while True:
                self._ask("GET /v2/ on a new connection", new, "/v2/")
                self._ask("GET /v2/ on an open connection", kept, "/v2/", reopen=True)
                self._ask("pull of a layer", new, self._path)
                if self._over.wait(EVERY):
                    return

    def _ask(self, what: str, client: Client, path: str, *, reopen: bool = False) -> None:
        self.made += 1
        found = _asked(client, path)
        if reopen and found == _CUT:
            found = _asked(client, path)
        if found != "200":
            self.failed.append(f"{what}: {found}")


def _asked(client: Client, path: str) -> str:
    try:
        answer: requests.Response = client.send("GET", path, redirects=True)
    except NoAnswer as error:
        return str(error)
    return "200" if answer.status_code == 200 else said(answer)

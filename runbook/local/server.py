"""The cloud's one process: moto's server, and the loop that makes what its API says really so."""

import contextlib
import errno
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import parse_qsl

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from . import haproxy, rules, sandbox, state
from .authority import Authority
from .balancer import Balancers
from .caches import Caches
from .groups import Groups
from .inside import acm_requests, credentials, ecs, pages, route53, s3, throttling
from .metadata import PORTS, Metadata
from .metrics import Metrics
from .nodes import Nodes
from .scaling import Scaling
from .scheduler import Scheduler
from .ssm import Commands
from .state import BALANCERS, CloudError, Place

log = logging.getLogger(__name__)

ROUND_SECONDS = 0.1
SERVICES = (
    *("ec2", "iam", "ecs", "elasticloadbalancing", "ssm", "secretsmanager", "s3", "acm", "route53", "sts", "logs"),
    *("autoscaling", "application-autoscaling", "monitoring", "sns", "elasticache"),
)

Route = Callable[[dict[str, str]], tuple[int, Any]]
"""Answers a GET below /_runbook/ from its query: an HTTP status, and what the body says as JSON."""


class Part(Protocol):
    """A piece of the data plane. `step` and `close` are called by one thread, the only one that starts programs."""

    def step(self) -> None:
        """One round: read what the API says shall be, make it so, write back what is really so."""

    def close(self) -> None:
        """End every program of this part."""


def main(port: int, lock: int) -> int:
    """Serve until SIGTERM. The first line on standard output is "ready", or why the cloud cannot start.

    `lock` is an open file that is closed when the cloud is ready.
    """
    home = state.home()
    sandbox.end_together()
    try:
        place, listening, _claim = listen(home, port)
        try_sandbox()
    except CloudError as error:
        print(error, flush=True)
        return 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())

    rules.install()
    s3.install()
    route53.install()
    pages.install()
    credentials.install()
    throttling.install(state.throttled(home))
    authority = Authority(home)
    addresses = [place.balancer_address(k) for k in range(1, BALANCERS + 1)]
    acm_requests.install(lambda names, days: authority.sign(names, addresses, days))
    nodes = Nodes(place)
    metadata = Metadata(place, nodes)
    nodes.metadata = metadata.node_environment
    caches = Caches(place)
    around = SimpleNamespace(environment=metadata.environment, forget=metadata.forget, hosts=caches.hosts)
    scheduler = Scheduler(place, nodes, around)
    balancers = Balancers(place, nodes)
    metrics = Metrics(nodes, scheduler.usage, balancers.counters)
    scaling = Scaling(metrics, ecs.provisioning)
    parts: list[Part] = [
        Groups(),
        nodes,
        metadata,
        Commands(place, nodes),
        scheduler,
        balancers,
        caches,
        metrics,
        scaling,
    ]

    moto = DomainDispatcherApplication(create_backend_app)
    routes: dict[str, Route] = {
        "/_runbook/status": lambda _: (200, whole(place, nodes, scheduler, balancers, caches)),
        "/_runbook/resolve": balancers.resolve,
    }
    gate = Gate(moto, f"{place.address}:{port}", routes)
    server = make_server(
        place.address, port, gate, threaded=True, request_handler=MotoRequestHandler, fd=listening.fileno()
    )
    fields = {"endpoint": place.endpoint, "ca": str(authority.path), "block": place.block}
    state.write(home, fields)  # before the loop, with which a process that fails would not end
    loop = threading.Thread(target=run, args=(parts, stopping), name="loop")
    loop.start()
    threading.Thread(target=server.serve_forever, name="serve", daemon=True).start()
    os.close(lock)  # cloud.json is there: the next `up` finds this cloud
    with contextlib.suppress(BrokenPipeError):  # the caller was interrupted
        print("ready", flush=True)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=warm, args=(moto,), name="warm", daemon=True).start()
    stopping.wait()
    loop.join()
    os._exit(0)  # moto's objects take Python most of a second to free, for nothing


def listen(home: Path, port: int) -> tuple[Place, socket.socket, socket.socket]:
    """The first free block, a listening socket in it, and the lock on it; CloudError if a port is taken everywhere.

    Free is a block whose first balancer could have its HTTPS port, and whose first node its metadata service's, too:
    one that could not would never be in service.

    The lock is an abstract Unix socket (unix(7)): it lives in the network namespace, as the loopback addresses do,
    and the kernel takes it back whatever way this process ends.
    """
    wanted = port
    for block in state.BLOCKS:
        place = Place(home, block, port)
        claim, listening = socket.socket(socket.AF_UNIX), socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            claim.bind(f"\0runbook-cloud-{block}")
            wanted = port
            listening.bind((place.address, wanted))
            node = [(place.node_address(1), each) for each in PORTS]
            for address, wanted in [(place.balancer_address(1), haproxy.bound_port(443)), *node]:
                with socket.socket() as tried:
                    tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tried.bind((address, wanted))
        except PermissionError as error:
            raise CloudError(f"port {port} may not be used by this user; name one above 1023") from error
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            claim.close()
            listening.close()
            continue
        listening.listen(128)
        return place, listening, claim
    raise CloudError(f"port {wanted} is in use on every loopback address: stop what listens there, then again")


def try_sandbox() -> None:
    """CloudError when bubblewrap cannot make a sandbox here, with its own words."""
    tried = sandbox.spawn([*sandbox.argv(), "/bin/true"], {"PATH": os.environ["PATH"]}, subprocess.PIPE)
    said = tried.communicate()[0].decode().strip()
    if tried.returncode:
        raise CloudError(f"no sandbox can be made here ({said}); unprivileged user namespaces must be allowed")


def run(parts: list[Part], stopping: threading.Event) -> None:
    """The loop thread: a part that fails is logged (once for each new failure) and the others go on."""
    failures: dict[Part, str] = {}
    while not stopping.wait(ROUND_SECONDS):
        for part in parts:
            try:
                part.step()
                failures.pop(part, None)
            except Exception:
                text = traceback.format_exc()
                if failures.get(part) != text:
                    log.error("%s failed\n%s", type(part).__name__, text)
                failures[part] = text
    for part in reversed(parts):
        try:
            part.close()
        except Exception:
            log.exception("%s did not close", type(part).__name__)


def whole(place: Place, nodes: Nodes, scheduler: Scheduler, balancers: Balancers, caches: Caches) -> dict[str, Any]:
    """What `cloud status` shows."""
    return {
        "endpoint": place.endpoint,
        "pid": os.getpid(),
        "nodes": nodes.status(),
        "tasks": scheduler.status(),
        **balancers.status(),
        "caches": caches.status(),
        "s3_requests": credentials.requests(),
    }


class Gate:
    """Stands before moto: answers our own paths, and refuses what a web page may have made a browser send.

    A browser that a rebound DNS name leads here sends that name as Host; one that a page makes post here sends
    Origin (https://fetch.spec.whatwg.org/#origin-header). AWS's clients send the endpoint's address and no Origin.
    """

    def __init__(self, moto: Callable, host: str, routes: dict[str, Route]):
        self.moto, self.host, self.routes = moto, host, routes

    def __call__(self, environ: dict[str, Any], start_response: Callable):
        if environ.get("HTTP_HOST") != self.host or "HTTP_ORIGIN" in environ:
            return answer(start_response, 403, {"error": f"only for clients that address {self.host} itself"})
        path = environ.get("PATH_INFO", "")
        if path in self.routes:
            query = dict(parse_qsl(environ.get("QUERY_STRING", "")))
            return answer(start_response, *self.routes[path](query))
        return self.moto(environ, start_response)


def answer(start_response: Callable, status: int, body: Any) -> list[bytes]:
    text = json.dumps(body).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(text)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    return [text]


def warm(moto: DomainDispatcherApplication) -> None:
    """Make moto import its services now: each takes up to a second at its first call otherwise."""
    for service in SERVICES:
        scope = f"AWS4-HMAC-SHA256 Credential=none/20200101/us-east-1/{service}/aws4_request"
        moto.get_application({"PATH_INFO": "/", "HTTP_HOST": "", "HTTP_AUTHORIZATION": scope})

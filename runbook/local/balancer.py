"""The embedded cloud's balancers: a real HAProxy for every classic load balancer that the API was told to make."""

import csv
import hashlib
import itertools
import logging
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from . import haproxy, names, sandbox
from .inside import acm, elb

log = logging.getLogger(__name__)

LOOK_EVERY = 0.3
TRY_AGAIN_AFTER = 2.0
CONFIGURATION = "haproxy.cfg"
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Balancers:
    """The part that keeps one HAProxy per balancer, and DescribeInstanceHealth true."""

    def __init__(self, place, nodes):
        self._place = place
        self._nodes = nodes
        self._proxies: dict[tuple[str, str], Proxy] = {}
        shutil.rmtree(place.folder("balancers"), ignore_errors=True)
        elb.install()
        acm.install()

    def step(self) -> None:
        """One round over all balancers; one that cannot be served says why in `status`."""
        wanted = {(each.region, each.name): each for each in elb.wanted()}
        for key in self._proxies.keys() - wanted.keys():
            self._proxies.pop(key).close()
        for key, balancer in wanted.items():
            if key not in self._proxies:
                self._proxies[key] = self._new(balancer)
            self._serve(self._proxies[key], balancer)

    def close(self) -> None:
        while self._proxies:
            self._proxies.popitem()[1].close()

    def address(self, dns_name: str) -> str | None:
        """Where the balancer with this DNS name listens; None if there is none."""
        return next((p.address for p in list(self._proxies.values()) if p.dns_name == dns_name), None)

    def status(self) -> dict[str, list[dict]]:
        """For each balancer: its names, address, ports as the API has them, and what is wrong or None."""
        return {"balancers": [proxy.status() for proxy in list(self._proxies.values())]}

    def resolve(self, query: dict[str, str]) -> tuple[int, dict]:
        """The endpoint's /_runbook/resolve: where a name in Route 53 leads to."""
        return names.answer(query, self.address)

    def _new(self, balancer: elb.Wanted) -> "Proxy":
        taken = {proxy.number for proxy in self._proxies.values()}
        number = next(k for k in itertools.count(1) if k not in taken)
        folder = Path(self._place.folder(f"balancers/{number}"))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Proxy(number, self._place.balancer_address(number), balancer, folder)

    def _serve(self, proxy: "Proxy", balancer: elb.Wanted) -> None:
        servers, other, gone = [], {}, []
        for instance in balancer.instances:
            node = self._nodes.get(instance)
            if node is not None:
                servers.append((instance, node.address))
                continue
            state = elb.instance_state(balancer.region, instance)
            if state == "terminated":
                gone.append(instance)
            else:
                other[instance] = elb.STOPPED if state.startswith("stop") else elb.REGISTERING
        if gone:
            elb.deregister(balancer.region, balancer.name, gone)
        proxy.converge(balancer, tuple(servers))
        if (health := proxy.health()) is not None:
            elb.write_health(balancer.region, balancer.name, health | other)


class Proxy:
    """One balancer's HAProxy: a process, and those of its predecessors that still finish their connections.

    No master process: each is a child of the loop thread, so that none outlives the cloud. A successor takes
    the listening sockets over (-x) before the predecessor is told to finish (-sf): no connection is refused.
    """

    def __init__(self, number: int, address: str, balancer: elb.Wanted, folder: Path):
        self.number = number
        self.address = address
        self.dns_name = balancer.dns_name
        self._region, self._name = balancer.region, balancer.name
        self._folder = folder
        self._process: subprocess.Popen | None = None
        self._finishing: list[subprocess.Popen] = []
        self._running: tuple[str, tuple] | None = None
        self._model: haproxy.Balancer | None = None
        self._refused: str | None = None
        self._error: str | None = None
        self._log_begins = 0
        self._not_before = 0.0
        self._next_look = 0.0
        self._registered: dict[str, float] = {}
        self._was_up: set[str] = set()
        (folder / haproxy.NO_INSTANCE).write_text(haproxy.NO_INSTANCE_ANSWER, newline="")

    def status(self) -> dict:
        listeners = self._model.listeners if self._model else ()
        return {
            "name": self._name,
            "region": self._region,
            "dns_name": self.dns_name,
            "address": self.address,
            "ports": [listener.port for listener in listeners],
            "error": self._error,
        }

    def converge(self, balancer: elb.Wanted, servers: tuple[tuple[str, str], ...]) -> None:
        """Have a process run with this configuration; a wrong one is logged once, the old one goes on."""
        self._finishing = [each for each in self._finishing if each.poll() is None]
        self._note_registrations(servers)
        if self._process is not None and self._process.poll() is not None:
            self._error = f"HAProxy ended with status {self._process.returncode}, {self._last_words()}"
            log.error("balancer %s: %s; starting it again", self._name, self._error)
            self._process, self._running = None, None
            self._not_before = time.monotonic() + TRY_AGAIN_AFTER
        model = self._translate(balancer, servers)
        text = haproxy.configuration(model)
        if (self._process and self._running == text) or text == self._refused:
            return
        if time.monotonic() >= self._not_before:
            self._start(model, text, keep_sessions=balancer.draining)

    def _note_registrations(self, servers: tuple[tuple[str, str], ...]) -> None:
        names = {instance for instance, _ in servers}
        self._registered = {i: self._registered.get(i, time.monotonic()) for i in names}
        self._was_up &= names

    def _translate(self, balancer: elb.Wanted, servers: tuple[tuple[str, str], ...]) -> haproxy.Balancer:
        listeners = []
        for each in balancer.listeners:
            pem = None
            if each.protocol in ("HTTPS", "SSL"):
                pem = self._pem(each.certificate)
                if pem is None:
                    self._error = f"the certificate of listener {each.port} is gone: {each.certificate}"
                    continue
            listeners.append(
                haproxy.Listener(
                    port=each.port,
                    protocol=each.protocol,
                    instance_port=each.instance_port,
                    instance_protocol=each.instance_protocol,
                    pem=pem,
                    tls_policy=each.tls_policy or haproxy.DEFAULT_TLS_POLICY,
                )
            )
        return haproxy.Balancer(
            address=self.address,
            listeners=tuple(listeners),
            check=_check(balancer),
            idle_timeout=balancer.idle_timeout,
            servers=servers,
        )

    def _pem(self, arn: str | None) -> str | None:
        """The file with a listener's certificate, chain and key; its name says what is in it."""
        found = acm.parts(arn) if arn else None
        if found is None:
            return None
        certificate, key, chain = found
        content = b"\n".join((certificate, chain, key))
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.pem"
        if not (self._folder / name).exists():
            file = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(file, "wb") as out:
                out.write(content)
        return name

    def _start(self, model: haproxy.Balancer, text: str, *, keep_sessions: bool) -> None:
        running = self._ask("show servers state")
        (self._folder / haproxy.STATE).write_text(haproxy.state(model, running))
        (self._folder / "next.cfg").write_text(text)
        if problem := self._invalid("next.cfg"):
            self._refused = text
            self._error = f"HAProxy refuses the configuration: {problem}"
            log.error("balancer %s: %s", self._name, self._error)
            return
        (self._folder / "next.cfg").replace(self._folder / CONFIGURATION)
        command = ["haproxy", "-C", str(self._folder), "-f", CONFIGURATION, "-db"]
        if self._process:
            if not keep_sessions:
                self._cut_sessions(model)
            self._finishing.append(self._process)
        if running:
            # One that was told to finish goes on listening when its successor cannot start; after the end of one
            # that could, nobody is left at the socket, and HAProxy would not start without an answer.
            command += ["-x", haproxy.STATS]
        if self._finishing:
            command += ["-sf", *(str(each.pid) for each in self._finishing)]
        with open(self._folder / "haproxy.log", "ab") as out:
            self._log_begins = out.tell()
            self._process = sandbox.spawn(command, ENVIRONMENT, out)
        self._model, self._running, self._refused, self._error = model, text, None, None
        for old in self._folder.glob("*.pem"):
            if old.name not in text:
                old.unlink()

    def _cut_sessions(self, model: haproxy.Balancer) -> None:
        """Without connection draining, the connections to a deregistered instance end at once."""
        stays = {instance for instance, _ in model.servers}
        for instance, _ in self._model.servers:
            if instance not in stays:
                for back in {listener.back for listener in self._model.listeners}:
                    self._ask(f"shutdown sessions server {back}/{instance}")

    def _invalid(self, name: str) -> str | None:
        command = ["haproxy", "-C", str(self._folder), "-f", name, "-c"]
        seen = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        alerts = [line for line in seen.stderr.splitlines() if "ALERT" in line]
        return "; ".join(alerts) or f"status {seen.returncode}" if seen.returncode else None

    def _last_words(self) -> str:
        with open(self._folder / "haproxy.log", errors="replace") as file:
            file.seek(self._log_begins)
            return "; ".join(line.strip() for line in file if "ALERT" in line) or "with nothing in its log"

    def health(self) -> dict[str, elb.Health] | None:
        """What each registered instance's health is now; None between two looks."""
        if self._error and (self._process is None or self._process.poll() is not None):
            words = f"The load balancer itself does not run: {self._error}"
            return dict.fromkeys(self._registered, elb.Health("OutOfService", "ELB", words))
        if self._model is None or time.monotonic() < self._next_look:
            return None
        self._next_look = time.monotonic() + LOOK_EVERY
        if not self._model.servers:
            return {}
        rows = csv.DictReader(self._ask("show stat -1 4 -1").removeprefix("# ").splitlines())
        return {row["svname"]: self._judge(row) for row in rows if row["pxname"] == "health"}

    def _judge(self, row: dict[str, str]) -> elb.Health:
        instance = row["svname"]
        if row["status"].startswith("UP"):
            self._was_up.add(instance)
            return elb.IN_SERVICE
        passing = row["check_status"] in ("", "INI", "L4OK", "L6OK", "L7OK")
        if instance in self._was_up:
            return elb.FAILED
        one = haproxy.EAGER_SECONDS + int(row["check_duration"] or 0) / 1000
        age = time.monotonic() - self._registered.get(instance, time.monotonic())
        return elb.REGISTERING if passing or age < self._model.check.unhealthy * one else elb.FAILED

    def _ask(self, command: str) -> str:
        """HAProxy's answer on its stats socket; "" while it does not answer."""
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(2)
                # A socket's path has at most 108 bytes; the home folder's may be longer.
                channel.connect(f"/proc/self/fd/{folder}/{haproxy.STATS}")
                channel.sendall(command.encode() + b"\n")
                return b"".join(iter(lambda: channel.recv(65536), b"")).decode()
        except (FileNotFoundError, ConnectionError, TimeoutError):
            return ""
        finally:
            os.close(folder)

    def close(self) -> None:
        processes = [each for each in (self._process, *self._finishing) if each is not None]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


def _check(balancer: elb.Wanted) -> haproxy.Check:
    found = re.fullmatch(r"(TCP|SSL|HTTPS?):(\d+)(/.*)?", balancer.target)
    if found is None:
        raise ValueError(f"balancer {balancer.name}: health check target {balancer.target!r} is none of AWS's forms")
    return haproxy.Check(
        protocol=found[1],
        port=int(found[2]),
        path=found[3] or "/",
        interval=balancer.interval,
        timeout=balancer.timeout,
        healthy=balancer.healthy,
        unhealthy=balancer.unhealthy,
    )

"""One load balancer's HAProxy: its process, its certificates, and the words of its stats socket."""

import hashlib
import logging
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from . import haproxy, sandbox
from .inside import acm

log = logging.getLogger(__name__)

LOOK_EVERY = 0.3
TRY_AGAIN_AFTER = 2.0
CONFIGURATION = "haproxy.cfg"
ALERTS = "haproxy.log"
LARGEST_REQUEST = "largest-request"  # in the folder of the cloud's data
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


class Proxy:
    """One balancer's HAProxy: a process, and those of its predecessors that still finish their connections.

    No master process: each is a child of the loop thread, so that none outlives the cloud. A successor takes
    the listening sockets over (-x) before the predecessor is told to finish (-sf): no connection is refused.
    `answers` are the files that it answers from by itself; `output` is the file that its access log goes to.
    """

    def __init__(self, number: int, address: str, balancer, folder: Path, answers: dict[str, str], output: str):
        self.number = number
        self.address = address
        self.dns_name = balancer.dns_name
        self._region, self._name = balancer.region, balancer.name
        self._folder = folder
        # Opened once: HAProxy sets O_NONBLOCK on it with an fcntl that takes O_APPEND away, and a successor with an
        # offset of its own would write over its predecessor's last lines (fd_set_nonblock in haproxy/fd.h).
        self._output = open(folder / output, "ab")  # noqa: SIM115 (closed in close)
        self._process: subprocess.Popen | None = None
        self._answering: subprocess.Popen | None = None
        self._finishing: list[subprocess.Popen] = []
        self._running: str | None = None
        self._refused: str | None = None
        self._error: str | None = None
        self._ports: tuple[int, ...] = ()
        self._log_begins = 0
        self._not_before = 0.0
        self._next_look = 0.0
        for name, text in answers.items():
            (folder / name).write_text(text, newline="")

    def status(self) -> dict:
        return {
            "name": self._name,
            "region": self._region,
            "dns_name": self.dns_name,
            "address": self.address,
            "ports": list(self._ports),
            "error": self._error,
        }

    def _tend(self) -> None:
        """Forget those that have finished; say why the present one ended, if it did."""
        self._finishing = [each for each in self._finishing if each.poll() is None]
        if self._process is not None and self._process.poll() is not None:
            self._error = f"HAProxy ended with status {self._process.returncode}, {self._last_words()}"
            log.error("balancer %s: %s; starting it again", self._name, self._error)
            self._process, self._running = None, None
            self._not_before = time.monotonic() + TRY_AGAIN_AFTER

    def _due(self, text: str) -> bool:
        """Whether a process is to be started because none runs with what `text` says."""
        if (self._process and self._running == text) or text == self._refused:
            return False
        return time.monotonic() >= self._not_before

    def _start(self, text: str, state: str, *, known_as: str, running: str) -> bool:
        """Start HAProxy with this configuration and servers' state; a wrong one is logged once, the old goes on.

        `known_as` is what `_due` compares with; `running` the present process's "show servers state".
        """
        (self._folder / haproxy.STATE).write_text(state)
        (self._folder / "next.cfg").write_text(text)
        if problem := self._invalid("next.cfg"):
            self._refused = known_as
            self._error = f"HAProxy refuses the configuration: {problem}"
            log.error("balancer %s: %s", self._name, self._error)
            return False
        (self._folder / "next.cfg").replace(self._folder / CONFIGURATION)
        command = ["haproxy", "-C", str(self._folder), "-f", CONFIGURATION, "-db"]
        if self._process:
            self._before_successor()
            self._finishing.append(self._process)
        if running:
            # One that was told to finish goes on listening when its successor cannot start; after the end of one
            # that could, nobody is left at the socket, and HAProxy would not start without an answer.
            command += ["-x", haproxy.STATS]
        if self._finishing:
            command += ["-sf", *(str(each.pid) for each in self._finishing)]
        with open(self._folder / ALERTS, "ab") as alerts:
            self._log_begins = alerts.tell()
            self._process = sandbox.spawn(command, ENVIRONMENT, self._output, alerts)
        self._running, self._refused, self._error = known_as, None, None
        for old in self._folder.glob("*.pem"):
            if old.name not in text:
                old.unlink()
        return True

    def _before_successor(self) -> None:
        """What the present process is told before the next one takes over."""

    def _largest_request(self) -> int | None:
        """Of a proxy that somebody put in the way: bytes, from a file that a break has written."""
        file = self._folder.parents[1] / LARGEST_REQUEST
        return int(file.read_text()) if file.exists() else None

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

    def _invalid(self, name: str) -> str | None:
        command = ["haproxy", "-C", str(self._folder), "-f", name, "-c"]
        seen = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        alerts = [line for line in seen.stderr.splitlines() if "ALERT" in line]
        return "; ".join(alerts) or f"status {seen.returncode}" if seen.returncode else None

    def _last_words(self) -> str:
        with open(self._folder / ALERTS, errors="replace") as file:
            file.seek(self._log_begins)
            return "; ".join(line.strip() for line in file if "ALERT" in line) or "with nothing in its log"

    def _dead(self) -> str | None:
        """Why no process serves; None when one does, or none was started yet."""
        return self._error if self._process is None or self._process.poll() is not None else None

    def _look_now(self) -> bool:
        if self._process is None or time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + LOOK_EVERY
        return True

    def _answers(self) -> bool:
        """Whether it is the present process that answers on the stats socket, no longer its predecessor."""
        process = self._process
        if process is None:
            return False
        if self._answering is not process and f"Pid: {process.pid}" in self._ask("show info").splitlines():
            self._answering = process
        return self._answering is process

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
        self._output.close()
        shutil.rmtree(self._folder, ignore_errors=True)

"""The caches: for each ElastiCache replication group a real redis-server on a loopback address of its own.

It keeps nothing on disk, takes no more memory than its node type lets it, and does with a full memory what the
parameter group says. Clients find it by the names of its endpoints, which containers have in their /etc/hosts.
"""

import errno
import logging
import shutil
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import sandbox
from .authority import Authority, write_secret
from .inside import elasticache, elasticache_api
from .inside.cache_parameters import NODE_TYPES
from .inside.elasticache import Wanted
from .state import CloudError, Place

log = logging.getLogger(__name__)

MOST = 254
CLOSE_SECONDS = 2
PING_SECONDS = 0.3
AGAIN_SECONDS = 1.0  # between two starts of a server that ends by itself
# "Restricted commands": an ElastiCache node has no such commands.
RESTRICTED = (
    "BGREWRITEAOF",
    "BGSAVE",
    "CONFIG",
    "DEBUG",
    "MIGRATE",
    "REPLICAOF",
    "SAVE",
    "SHUTDOWN",
    "SLAVEOF",
    "SYNC",
)


@dataclass
class Server:
    """The redis-server of one replication group."""

    wanted: Wanted
    k: int
    address: str
    folder: Path
    process: subprocess.Popen | None = None
    answers: bool = False
    started: float = -AGAIN_SECONDS
    error: str | None = None


class Caches:
    """The part that keeps a server for each replication group."""

    def __init__(self, place: Place):
        self._place = place
        self._servers: dict[tuple[str, str], Server] = {}
        elasticache_api.install()

    def step(self) -> None:
        groups = {(group.region, group.name): group for group in elasticache.wanted()}
        for key in self._servers.keys() - groups.keys():
            self._remove(key)
        for key, wanted in groups.items():
            if wanted.deleting:
                self._remove(key)
                elasticache.gone(*key)
            else:
                self._keep(key, wanted)

    def close(self) -> None:
        for key in list(self._servers):
            self._remove(key)

    def hosts(self) -> str:
        """/etc/hosts of a container: localhost, and where the caches' endpoints are."""
        lines = ["127.0.0.1 localhost\n"]
        for server in list(self._servers.values()):
            lines.append(f"{server.address} {' '.join(server.wanted.names)}\n")
        return "".join(lines)

    def status(self) -> list[dict[str, str | bool | None]]:
        """For `cloud status`; `error` is why there is no server, or None."""
        return [
            {
                "group": server.wanted.name,
                "region": server.wanted.region,
                "address": f"{server.address}:{server.wanted.port}",
                "answers": server.answers,
                "error": server.error,
            }
            for server in list(self._servers.values())
        ]

    def _keep(self, key: tuple[str, str], wanted: Wanted) -> None:
        server = self._servers.get(key) or self._make(key, wanted)
        if server.wanted != wanted:
            self._end(server)
            server.wanted = wanted
        if server.process is None or server.process.poll() is not None:
            server.answers = False
            if time.monotonic() - server.started >= AGAIN_SECONDS:
                self._start(server)
        elif not server.answers:
            server.answers = self._ping(server)
        elasticache.set_running(wanted, server.answers)

    def _make(self, key: tuple[str, str], wanted: Wanted) -> Server:
        taken = {server.k for server in self._servers.values()}
        k = next((k for k in range(1, MOST + 1) if k not in taken), None)
        if k is None:
            raise CloudError(f"cache {wanted.name} gets no server: {MOST} is the most that this cloud can hold")
        folder = self._place.folder("caches", *key)
        server = self._servers[key] = Server(wanted, k, self._place.cache_address(k), folder)
        return server

    def _start(self, server: Server) -> None:
        if server.process is not None:
            log.warning("redis-server of %s ended with %s", server.wanted.name, server.process.returncode)
        server.started = time.monotonic()
        if _taken(server.address, server.wanted.port):
            where = f"port {server.wanted.port} of {server.address} is in use"
            if server.error is None:
                log.error("cache %s: %s", server.wanted.name, where)
            server.process, server.error = None, f"{where}: stop what listens there"
            return
        server.error = None
        if server.wanted.tls:
            leaf = Authority(self._place.home).sign(server.wanted.names, [server.address])
            write_secret(server.folder / "key.pem", leaf.key)
            write_secret(server.folder / "cert.pem", leaf.certificate + leaf.chain)
        path = server.folder / "redis.conf"
        write_secret(path, configuration(server.wanted, server.address, server.folder).encode())
        with open(server.folder / "log", "ab") as output:
            server.process = sandbox.spawn(["redis-server", str(path)], {"LANG": "C.UTF-8"}, output)

    def _ping(self, server: Server) -> bool:
        wanted = server.wanted
        try:
            with socket.create_connection((server.address, wanted.port), PING_SECONDS) as plain:
                return _pong(self._secured(plain, wanted) if wanted.tls else plain, wanted.auth_token)
        except OSError:
            return False

    def _secured(self, plain: socket.socket, wanted: Wanted) -> ssl.SSLSocket:
        trust = ssl.create_default_context(cafile=str(Authority(self._place.home).path))
        return trust.wrap_socket(plain, server_hostname=wanted.names[0])

    def _end(self, server: Server) -> None:
        process, server.process, server.answers = server.process, None, False
        server.started = -AGAIN_SECONDS
        if process is None:
            return
        process.terminate()
        try:
            process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _remove(self, key: tuple[str, str]) -> None:
        server = self._servers.pop(key, None)
        if server:
            self._end(server)
            shutil.rmtree(server.folder, ignore_errors=True)


def configuration(wanted: Wanted, address: str, folder: Path) -> str:
    """redis.conf; it holds the AUTH token."""
    parameters = dict(wanted.parameters)
    reserved = int(parameters.pop("reserved-memory-percent"))
    lines = [
        f"bind {address}",
        "protected-mode yes",
        "daemonize no",
        f"dir {_quoted(str(folder))}",
        'save ""',
        "appendonly no",
        f"maxmemory {NODE_TYPES[wanted.node_type] * (100 - reserved) // 100}",
        *(f"{name} {value}" for name, value in parameters.items()),
        *(f'rename-command {command} ""' for command in RESTRICTED),
    ]
    if wanted.tls:
        lines += [
            "port 0",
            f"tls-port {wanted.port}",
            f"tls-cert-file {_quoted(str(folder / 'cert.pem'))}",
            f"tls-key-file {_quoted(str(folder / 'key.pem'))}",
            f"tls-ca-cert-file {_quoted(str(folder / 'cert.pem'))}",
            "tls-auth-clients no",
        ]
    else:
        lines.append(f"port {wanted.port}")
    if wanted.auth_token:
        lines.append(f"requirepass {_quoted(wanted.auth_token)}")
    return "\n".join(lines) + "\n"


def _taken(address: str, port: int) -> bool:
    """Whether another program listens there: it would answer in the place of ours."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _pong(channel: socket.socket, auth_token: str | None) -> bool:
    """Whether it answers PING (https://redis.io/docs/latest/develop/reference/protocol-spec/)."""
    with channel:
        words = [["AUTH", auth_token]] if auth_token else []
        for command in [*words, ["PING"]]:
            parts = "".join(f"${len(word)}\r\n{word}\r\n" for word in command)
            channel.sendall(f"*{len(command)}\r\n{parts}".encode())
            answer = channel.recv(100)
        return answer.startswith(b"+PONG")

"""What the tests of the registry's outside share: the real registry program behind TLS, and a way to reach it."""

import contextlib
import datetime
import http.server
import ipaddress
import itertools
import math
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import bcrypt
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from runbook import web
from runbook.secret import Login, Secret

LOGIN = Login("testuser", Secret("correct-horse-battery"))
SECOND = Login("builder", Secret("staple-correct-horse"))


class Route(web.Embedded):
    """The route of the embedded cloud, with one fixed answer instead of the cloud's."""

    def __init__(self, ca: Path, port: int, plain: int | None = None):
        self.ca, self._ports = str(ca), {443: port} | ({80: plain} if plain else {})

    def locate(self, domain, port):
        return "127.0.0.1", self._ports.get(port, self._ports[443])


class Here:
    """As much of `AWS` as the registry is asked through."""

    def __init__(self, ca: Path, port: int, plain: int | None = None):
        self._route = Route(ca, port, plain)
        self.ca, self.http, self.locate = self._route.ca, self._route.session, self._route.locate


class Authority:
    """A throw-away CA in `folder`."""

    def __init__(self, folder: Path):
        folder.mkdir(exist_ok=True)
        self._folder, self._key = folder, ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "throw-away")])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        made = self._builder(self._name, self._key).add_extension(constraints, critical=True)
        self.path = folder / "ca.pem"
        self.path.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, days: int = 30) -> tuple[Path, Path]:
        """Certificate and key for a domain (and 127.0.0.1, as the embedded cloud's own has its addresses)."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        made = self._builder(x509.Name([]), key, days).add_extension(x509.SubjectAlternativeName(names), critical=True)
        certificate, private = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        private.write_bytes(key.private_bytes(*encoding))
        return certificate, private

    def _builder(self, subject, key, days=30):
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        return builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=days)
        )


def htpasswd(*logins: Login) -> str:
    return "".join(
        f"{one.user}:{bcrypt.hashpw(one.password.reveal().encode(), bcrypt.gensalt(5)).decode()}\n" for one in logins
    )


def configuration(p, folder: Path, certificate: tuple[Path, Path], port: int) -> dict:
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "auth": {"htpasswd": {"realm": p.realm, "path": str(folder / "htpasswd")}},
        "http": {
            "addr": f"127.0.0.1:{port}",
            "secret": "of these tests",
            "headers": {"X-Content-Type-Options": ["nosniff"]},
            "tls": {"certificate": str(certificate[0]), "key": str(certificate[1])},
        },
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "cache": {"blobdescriptor": "inmemory"}},
    }


@contextlib.contextmanager
def registry(folder: Path, content: dict, users: str | None):
    """The real program with this configuration and htpasswd file (None: no file); ready when it listens."""
    if users is not None:
        (folder / "htpasswd").write_text(users)
    (folder / "config.yml").write_text(yaml.safe_dump(content))
    port = int(content["http"]["addr"].partition(":")[2])
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], env={}, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 30
        while not listens(port):
            assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.02)
        yield folder
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def server(answer, certificate: tuple[Path, Path] | None = None):
    """A small HTTP(S) server on 127.0.0.1; `answer(request)` writes each answer. Yields its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            """The standard one writes to stderr."""

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = lambda self: answer(self)

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        listening.socket = context.wrap_socket(listening.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield listening.server_address[1]
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


def tell(request, status: int, body: bytes = b"", **headers: str) -> None:
    """One answer of `server`; header names with _ for -."""
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@contextlib.contextmanager
def proxy(folder: Path, certificate: tuple[Path, Path], behind: int, *lines: str, bind="", idle=60, tls=""):
    """A real HAProxy with TLS in front of a plain registry; `lines` stand in its front end. Yields its port."""
    folder.mkdir()
    port, pem = free_port(), folder / "both.pem"
    pem.write_bytes(b"".join(file.read_bytes() for file in certificate))
    text = [
        "global",
        f"    {tls}",
        "defaults",
        "    mode http",
        "    timeout connect 5s",
        *(f"    timeout {side} {idle}s" for side in ("client", "server", "http-keep-alive")),
        "frontend front",
        f"    bind 127.0.0.1:{port} ssl crt {pem} {bind}",
        *(f"    {line}" for line in lines),
        "    default_backend back",
        "backend back",
        f"    server registry 127.0.0.1:{behind}",
    ]
    (folder / "haproxy.cfg").write_text("\n".join([*text, ""]))
    with (folder / "log").open("wb") as log:
        command = [shutil.which("haproxy"), "-db", "-f", folder / "haproxy.cfg"]
        process = subprocess.Popen(command, env={}, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 30
        while not listens(port):
            assert process.poll() is None and time.monotonic() < until, (folder / "log").read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def balancer(ports: list[int], certificate: tuple[Path, Path], most: float = math.inf):
    """TLS in front of plain registries, each new connection to the next of them. Yields its port.

    A client that sends more than `most` bytes on one connection is cut off.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    behind, open_ones = itertools.cycle(ports), []

    def serve(accepted: socket.socket):
        with (
            contextlib.suppress(OSError),
            accepted,
            context.wrap_socket(accepted, server_side=True) as client,
            socket.create_connection(("127.0.0.1", next(behind))) as server,
        ):
            open_ones.extend((client, server))
            back = threading.Thread(target=copy, args=(server, client))
            back.start()
            copy(client, server, most)
            back.join()

    def copy(source, target, most=math.inf):
        passed = 0
        with contextlib.suppress(OSError):
            while (some := source.recv(65536)) and passed < most:
                target.sendall(some)
                passed += len(some)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    threads = []

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listening.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        acceptor.join()
        for one in open_ones:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def replicas(p, folder: Path, authority: Authority, secrets: list[str], change=lambda content: None):
    """Real registries with one storage and these http secrets behind one balancer, and a redirect on another port."""
    with contextlib.ExitStack() as stack:
        ports = []
        for number, secret in enumerate(secrets):
            own = folder / f"registry-{number}"
            own.mkdir(parents=True)
            ports.append(free_port())
            content = configuration(p, own, ("", ""), ports[-1])
            del content["http"]["tls"]
            content["http"] |= {"secret": secret, "relativeurls": True}
            content["storage"]["filesystem"]["rootdirectory"] = str(folder / "data")
            change(content)
            stack.enter_context(registry(own, content, htpasswd(LOGIN, SECOND)))
        port = stack.enter_context(balancer(ports, authority.issue(p.domain)))

        def redirect(request):
            tell(request, 301, Location=f"https://{request.headers['Host']}:443{request.path}")

        yield Here(authority.path, port, stack.enter_context(server(redirect)))

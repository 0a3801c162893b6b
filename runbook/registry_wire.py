"""One upload request on a connection of its own, byte by byte: its body may be slow, large, or cut in the middle."""

import base64
import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import requests

from .address import Address
from .errors import CloudError
from .registry_api import NoAnswer, cause, connected, trusting
from .secret import Login, sealed

_ANSWER_WITHIN = 60  # seconds
_GO_WITHIN = 1  # seconds to wait for "100 Continue", as curl does: not every server says it
_MOST = 64 * 1024  # bytes of an answer


def patch(
    address: Address, login: Login | None, path: str, pieces: Iterable[bytes], *, size: int, start: int = 0
) -> requests.Response:
    """PATCH `size` bytes. An answer that comes before all is sent (a proxy's 413 or 408) ends the sending."""
    with _told(), _open(address) as wire:
        _begin(wire, address, login, path, size, start)
        answered = _heard(wire, _GO_WITHIN)
        while answered.startswith(b"HTTP/1.1 100"):
            answered = answered.partition(b"\r\n\r\n")[2]
        try:
            for piece in () if answered else pieces:
                wire.sendall(piece)
                if answered := _heard(wire, 0):
                    break
        except OSError:  # closed by the other side, which may have said why
            answered = _heard(wire, _GO_WITHIN)
            if not answered:
                raise
        return _answer(wire, answered)


def cut(address: Address, login: Login | None, path: str, piece: bytes, *, size: int, start: int = 0) -> None:
    """PATCH that promises `size` bytes, sends only `piece` and closes the connection; back when the other side has."""
    with _told(), _open(address) as wire:
        _begin(wire, address, login, path, size, start)
        _heard(wire, _GO_WITHIN)
        with contextlib.suppress(OSError):
            wire.sendall(piece)
            wire.shutdown(socket.SHUT_WR)
            while wire.recv(_MOST):
                pass


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoAnswer(cause(error)) from None
    except CloudError as error:
        raise NoAnswer(str(error)) from None


@contextlib.contextmanager
def _open(address: Address) -> Iterator[socket.socket]:
    with connected(address.reach, address) as plain:
        if not address.is_tls:
            plain.settimeout(_ANSWER_WITHIN)
            yield plain
            return
        with trusting(address.reach).wrap_socket(plain, server_hostname=address.domain) as tls:
            tls.settimeout(_ANSWER_WITHIN)
            yield tls


def _begin(wire: socket.socket, address: Address, login: Login | None, path: str, size: int, start: int) -> None:
    lines = [
        f"PATCH {path} HTTP/1.1",
        f"Host: {urlsplit(address.url).netloc}",
        "Connection: close",
        "Expect: 100-continue",
        "Content-Type: application/octet-stream",
        f"Content-Length: {size}",
        f"Content-Range: {start}-{start + size - 1}",
    ]
    with sealed():
        if login:
            pair = f"{login.user}:{login.password.reveal()}".encode()
            lines.append(f"Authorization: Basic {base64.b64encode(pair).decode()}")
        wire.sendall("\r\n".join([*lines, "", ""]).encode())


def _heard(wire: socket.socket, within: float) -> bytes:
    """What has come by then; nothing where nothing has. A session ticket of TLS makes a socket readable, too."""
    wire.settimeout(within)
    try:
        return wire.recv(_MOST)
    except (TimeoutError, BlockingIOError, ssl.SSLWantReadError):
        return b""
    finally:
        wire.settimeout(_ANSWER_WITHIN)


def _answer(wire: socket.socket, heard: bytes) -> requests.Response:
    """The final answer, of which `heard` has come already."""
    while True:
        while b"\r\n\r\n" not in heard:
            heard += _more(wire, heard)
        head, _, heard = heard.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 100"):
            break
    status, _, rest = head.partition(b"\r\n")
    answer = requests.Response()
    _, code, answer.reason = (status.decode("latin-1") + "  ").split(" ", 2)
    if not code.isdigit():
        raise ConnectionResetError
    answer.reason, answer.status_code = answer.reason.strip(), int(code)
    answer.headers.update(http.client.parse_headers(io.BytesIO(rest + b"\r\n\r\n")))
    told = answer.headers.get("Content-Length", "")
    length = min(int(told), _MOST) if told.isdigit() else _MOST
    with contextlib.suppress(OSError):
        while len(heard) < length and (some := wire.recv(_MOST)):
            heard += some
    answer.raw = io.BytesIO(heard[:length])
    return answer


def _more(wire: socket.socket, heard: bytes) -> bytes:
    some = wire.recv(_MOST)
    if not some or len(heard) > _MOST:
        raise ConnectionResetError
    return some

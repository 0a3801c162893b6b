"""The acceptance suite, TLS: the certificate, its days, the versions of the protocol, and port 80."""

import datetime
import os
import struct

from .acceptance_checks import Checks
from .address import Address, is_address
from .errors import CloudError
from .registry_api import NoAnswer, cause, certificate, connected, from_plain_http, served, tls_version

LEAST_DAYS = 14  # what is left of 90 days when every renewal of the last two weeks has failed

_NAMES = {0x0300: "SSLv3", 0x0301: "TLSv1.0", 0x0302: "TLSv1.1", 0x0303: "TLSv1.2"}
# Suites that servers of those days agree on: ECDHE and RSA with AES-CBC, and 3DES.
_SUITES = (0xC00A, 0xC014, 0xC009, 0xC013, 0x0035, 0x002F, 0x000A)
_GROUPS = (0x001D, 0x0017, 0x0018, 0x0019)


def look(checks: Checks, a: Address) -> None:
    """Without a trusted certificate nothing else is asked."""
    if not a.is_tls:
        checks.tell("TLS", "none: plain HTTP, on this computer")
        return
    checks.look("TLS certificate", lambda: certificate(a.reach, a), f"trusted, for {a.domain}", needed=True)
    checks.look("TLS certificate, days left", lambda: _days_left(a), f"at least {LEAST_DAYS}", row=23)
    checks.look("TLS version", lambda: tls_version(a.reach, a), "TLSv1.3", "TLSv1.2")
    checks.look("TLS 1.1 and older", lambda: _old_tls(a), "refused")
    if a.scales:
        checks.look("GET http://, without TLS", lambda: from_plain_http(a.reach, a, "/v2/"), f"301 to {a.url}/v2/")


def _days_left(a: Address) -> str:
    left = served(a.reach, a).not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return f"at least {LEAST_DAYS}" if left.days >= LEAST_DAYS else str(left.days)


def _old_tls(a: Address) -> str:
    """What a server answers to a ClientHello of TLS 1.1 at most, which OpenSSL itself no longer sends.

    https://www.rfc-editor.org/rfc/rfc4346#section-7.4.1
    """
    try:
        with connected(a.reach, a) as wire:
            wire.sendall(_client_hello(a.domain))
            answer = b""
            while len(answer) < 11 and (some := wire.recv(4096)):
                answer += some
                if answer[:1] == b"\x15":  # an alert
                    return "refused"
    except ConnectionError:
        return "refused"
    except OSError as error:
        raise NoAnswer(cause(error)) from None
    except CloudError as error:
        raise NoAnswer(str(error)) from None
    if len(answer) < 11 or answer[0] != 0x16:
        return "refused"
    chosen = int.from_bytes(answer[9:11], "big")
    return f"{_NAMES.get(chosen, hex(chosen))} is spoken"


def _client_hello(domain: str) -> bytes:
    extensions = b"" if is_address(domain) else _extension(0, _counted(b"\x00" + _counted(domain.encode("idna"))))
    extensions += _extension(10, _counted(b"".join(struct.pack(">H", group) for group in _GROUPS)))
    extensions += _extension(11, b"\x01\x00")  # uncompressed points
    suites = b"".join(struct.pack(">H", suite) for suite in _SUITES)
    body = b"\x03\x02" + os.urandom(32) + b"\x00" + _counted(suites) + b"\x01\x00" + _counted(extensions)
    handshake = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + _counted(handshake)


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">H", number) + _counted(content)


def _counted(content: bytes) -> bytes:
    return struct.pack(">H", len(content)) + content

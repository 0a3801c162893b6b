"""Where a registry is, how it is reached, and what is expected of it: all that the acceptance suite goes by."""

import ipaddress
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import web
from .errors import ParamsError
from .params import Params
from .session import AWS

_SHAPE = "--url: https://HOST or https://HOST:PORT, and nothing else in it (a user is given by --user)"


@dataclass(frozen=True)
class Address:
    """One registry. `reach` has `ca`, `http()` and `locate(domain, port)`. None: whatever the registry does is right.

    `replicas` is how many registries answer, `idle_timeout` seconds, `users` who else than the logins may get in.
    """

    url: str
    domain: str
    reach: Any
    realm: str | None = None
    deletes: bool | None = None
    replicas: int | None = None
    idle_timeout: int | None = None
    users: tuple[str, ...] = ()
    nosniff: bool = False
    scales: bool = False

    @property
    def is_tls(self) -> bool:
        return self.url.startswith("https:")


def of(aws: AWS, p: Params) -> Address:
    """The registry of a deployment. An image of one's own may have deletes on."""
    return Address(
        url=p.url,
        domain=p.domain,
        reach=aws,
        realm=p.realm,
        deletes=False if p.configured_by == "environment" else None,
        replicas=p.replicas,
        idle_timeout=p.idle_timeout,
        users=tuple(p.users),
        nosniff=True,
        scales=p.scales,
    )


def of_url(url: str, *, ca: str | None = None) -> Address:
    """Any registry. `ca` is a PEM file of one more authority. Without TLS only one on this computer: ParamsError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError:
        raise ParamsError(_SHAPE) from None
    beside = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("https", "http") or not host or beside:
        raise ParamsError(_SHAPE)
    if parts.scheme == "http" and not _is_here(host):
        raise ParamsError(f"--url: http://{host}: a password would go in clear; https alone, except on this computer")
    if ca is not None:
        _require_pem(ca)
    shown = f"[{host}]" if ":" in host else host
    named = f":{port}" if port is not None and port != default_port(parts.scheme) else ""
    return Address(url=f"{parts.scheme}://{shown}{named}", domain=host, reach=web.Public(ca))


def default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def is_address(host: str) -> bool:
    """Whether a host is given as an IP address."""
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _is_here(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if is_address(host) else host == "localhost"


def _require_pem(ca: str) -> None:
    try:
        ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        why = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise ParamsError(f"--ca {ca}: {why}") from None

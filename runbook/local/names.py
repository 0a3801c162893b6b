"""Names in the embedded cloud: what a client on the Internet would find, from the records in Route 53."""

from collections.abc import Callable

from . import haproxy
from .inside import route53

LONGEST_CHAIN = 8


class NameNotFound(LookupError):
    """A name leads nowhere; the message says which link of its chain is missing."""


def resolve(name: str, port: int, balancer_at: Callable[[str], str | None]) -> tuple[str, int]:
    """(address, port) to connect to for this name and port, over the account's public hosted zones.

    `balancer_at` gives the address of the balancer with a DNS name, or None. NameNotFound says what is missing.
    """
    zones = route53.zones()
    chain = [route53.plain(name)]
    while len(chain) <= LONGEST_CHAIN:
        name = chain[-1].removeprefix("dualstack.")
        if address := balancer_at(name):
            return address, haproxy.bound_port(port)
        following = _follow(zones, name, chain)
        if following.replace(".", "").isdecimal():
            if not following.startswith("127."):
                raise NameNotFound(f"{_arrows([*chain, following])}: not an address of this computer")
            return following, port
        chain.append(route53.plain(following))
    raise NameNotFound(f"{_arrows(chain)}: more than {LONGEST_CHAIN} links")


def _follow(zones: dict[str, list[route53.Record]], name: str, chain: list[str]) -> str:
    """What the record of a name points to: another name, or an IPv4 address."""
    if name.endswith(".elb.amazonaws.com"):
        raise NameNotFound(f"{_arrows(chain)}: no load balancer has this DNS name")
    zone = max((z for z in zones if name == z or name.endswith(f".{z}")), key=len, default=None)
    if zone is None:
        raise NameNotFound(f"{_arrows(chain)}: no public hosted zone in Route 53 holds this name")
    for record in zones[zone]:
        if record.name == name and record.kind in ("A", "CNAME"):
            return record.alias or record.values[0]
    raise NameNotFound(f"{_arrows(chain)}: the hosted zone {zone} has no A or CNAME record for this name")


def _arrows(chain: list[str]) -> str:
    return " -> ".join(chain)


def answer(query: dict[str, str], balancer_at: Callable[[str], str | None]) -> tuple[int, dict]:
    """The endpoint's answer to /_runbook/resolve?name=…&port=…: (HTTP status, JSON); 443 without a port."""
    name, port = query.get("name"), query.get("port", "443")
    if not name or not port.isdecimal():
        return 400, {"error": "a name and a port are needed, as in ?name=registry.example.com&port=443"}
    try:
        address, there = resolve(name, int(port), balancer_at)
    except NameNotFound as missing:
        return 404, {"error": str(missing)}
    return 200, {"address": address, "port": there}

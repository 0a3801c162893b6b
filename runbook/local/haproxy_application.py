"""HAProxy's own words for an application load balancer: listeners with rules, and target groups with their checks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from .haproxy import EAGER_SECONDS, bound_port, common, forwarded, limited, state_of, word
from .inside.elbv2 import Rule, Wanted, WantedGroup, WantedListener

SERVER = "awselb/2.0"
# What stands for an answer of HAProxy's own: 503 is one to which a target was chosen that took no connection.
ANSWERED = {400: 400, 408: 408, 502: 502, 503: 502, 504: 504}

# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html
TLS_VERSIONS = {
    "ELBSecurityPolicy-TLS13-1-3": ("TLSv1.3", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-2": ("TLSv1.2", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-1": ("TLSv1.1", "TLSv1.3"),
    "ELBSecurityPolicy-TLS13-1-0": ("TLSv1.0", "TLSv1.3"),
    "ELBSecurityPolicy-TLS-1-2": ("TLSv1.2", "TLSv1.2"),
    "ELBSecurityPolicy-TLS-1-1": ("TLSv1.1", "TLSv1.2"),
    "ELBSecurityPolicy-FS-1-2": ("TLSv1.2", "TLSv1.2"),
    "ELBSecurityPolicy-FS-1-1": ("TLSv1.1", "TLSv1.2"),
    "ELBSecurityPolicy-FS-2018": ("TLSv1.0", "TLSv1.2"),
    "ELBSecurityPolicy-2016-08": ("TLSv1.0", "TLSv1.2"),
}
ALGORITHMS = {"round_robin": "roundrobin", "least_outstanding_requests": "leastconn"}
CONDITIONS = {
    "path-pattern": "path -m reg",
    "host-header": "req.hdr(host),field(1,:) -i -m reg",
    "http-request-method": "method",
    "source-ip": "src",
}
# "Redirect actions": what each of these words in a part of the address stands for.
PLACEHOLDERS = {
    "#{host}": "%[req.hdr(host),field(1,:)]",
    "#{path}": "%[path,regsub(^/,)]",
    "#{query}": "%[query]",
}
ACCESS = "access"
LOGGED = {
    "seconds": "%Ts",
    "milliseconds": "%ms",
    "frontend": "%f",
    "client": "%ci:%cp",
    "target": "%si:%sp",
    "backend": "%b",
    "server": "%s",
    "status": "%ST",
    "ended": "%ts",
    "request_time": "%TR",
    "queue_time": "%Tw",
    "connect_time": "%Tc",
    "target_time": "%Tr",
    "whole_time": "%Ta",
    "received": "%U",
    "sent": "%B",
    "method": "%HM",
    "uri": "%HU",
    "version": "%HV",
    "cipher": "%sslc",
    "tls": "%sslv",
    "agent": "%[var(txn.agent)]",
    "host": "%[var(txn.host)]",
    "trace": "%[var(txn.trace)]",
    "rule": "%[var(txn.rule)]",
    "location": "%[var(txn.location)]",
}


@dataclass(frozen=True)
class Server:
    """A target that HAProxy knows; it gets no new request while it is draining."""

    name: str
    address: str
    port: int
    draining: bool = False


Servers = Mapping[str, tuple[Server, ...]]
"""The servers of each target group, by its ARN."""


def tls_versions(policy: str) -> tuple[str, str]:
    """The oldest and the newest protocol of a security policy; KeyError for one that AWS has not."""
    return next(versions for name, versions in TLS_VERSIONS.items() if f"{policy}-".startswith(f"{name}-"))


def answers() -> dict[str, str]:
    """The files that HAProxy answers from by itself."""
    return {f"{status}.http": _whole_answer(status) for status in sorted(set(ANSWERED.values()))}


def _whole_answer(status: int) -> str:
    body = page(status)
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: {SERVER}\r\nContent-Type: text/html\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


def page(status: int) -> str:
    """The page that the balancer itself answers with."""
    title = f"{status} {HTTPStatus(status).phrase}"
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "</body>\r\n</html>\r\n"
    )


def back(arn: str) -> str:
    """The back end of a target group, which checks its targets."""
    return f"tg-{arn.rpartition('/')[2]}"


def open_back(arn: str) -> str:
    """The back end that takes over when no target is healthy, and sends to all of them."""
    return f"open-{arn.rpartition('/')[2]}"


def configuration(
    address: str,
    wanted: Wanted,
    pems: Mapping[int, tuple[str, ...]],
    servers: Servers,
    largest_request: int | None = None,
) -> str:
    """The configuration; `pems` are the certificates' files of each HTTPS port: without any it is not served.
    `largest_request` is that of a proxy which somebody put before the registry, in bytes."""
    listeners = [each for each in wanted.listeners if each.protocol == "HTTP" or pems.get(each.port)]
    parts = [common(), _defaults(wanted)]
    limit = limited(largest_request)
    parts += [_front(address, wanted, each, pems.get(each.port, ()), limit) for each in listeners]
    for group in wanted.groups:
        parts += [_checked(address, group, servers.get(group.arn, ())), _open(group, servers.get(group.arn, ()))]
    return "\n".join(parts)


def state(wanted: Wanted, servers: Servers, running: str) -> str:
    """The state file; a target that `running` (a "show servers state") does not name starts as DOWN."""
    return state_of(
        [
            (back(group.arn), server.name, server.address, server.port)
            for group in wanted.groups
            for server in servers.get(group.arn, ())
        ],
        running,
    )


def _defaults(wanted: Wanted) -> str:
    idle = wanted.attributes["idle_timeout.timeout_seconds"]
    fields = "\\t".join(LOGGED.values())
    files = "\n".join(f"    errorfile {status} {shown}.http" for status, shown in ANSWERED.items())
    # AWS keeps a client's HTTP/1.1 connection. HAProxy closes a kept one, without an answer or a line in the log, when
    # the target fails, where AWS answers 502: here each answer ends its connection (HTTP/2 is not concerned).
    return f"""defaults
    mode http
    log stdout len 8192 format raw local0 info
    log-format "{ACCESS}\\t{fields}"
    option dontlognull
    option httpclose
    timeout connect 5s
    timeout client {idle}s
    timeout server {idle}s
    timeout tunnel {idle}s
    timeout http-keep-alive {idle}s
    retries 2
    option redispatch
{files}
"""


def _front(address: str, wanted: Wanted, listener: WantedListener, pems: tuple[str, ...], limit: list[str]) -> str:
    bind = f"    bind {address}:{bound_port(listener.port)}"
    if listener.protocol == "HTTPS":
        oldest, newest = tls_versions(listener.tls_policy)
        protocols = "h2,http/1.1" if wanted.attributes["routing.http2.enabled"] == "true" else "http/1.1"
        bind += f" ssl {' '.join(f'crt {pem}' for pem in pems)} alpn {protocols}"
        bind += f" ssl-min-ver {oldest} ssl-max-ver {newest}"
    lines = [
        f"frontend port-{listener.port}",
        bind,
        "    http-request set-var(txn.agent) req.hdr(user-agent)",
        "    http-request set-var(txn.host) req.hdr(host),field(1,:)",
    ]
    if wanted.attributes["routing.http.drop_invalid_header_fields.enabled"] == "true":
        lines.append("    http-request del-header [^-a-zA-Z0-9] -m reg")
    # "Request tracing for your Application Load Balancer": Root is the time, and 96 bits of chance.
    chance = "%[uuid(),regsub(-,,g),bytes(0,24)]"
    lines += [
        f"    http-request set-header X-Amzn-Trace-Id Root=1-%[date,hex,bytes(8,8),lower]-{chance}"
        " unless { req.hdr(X-Amzn-Trace-Id) -m found }",
        "    http-request set-var(txn.trace) req.hdr(X-Amzn-Trace-Id)",
        *forwarded(listener.protocol, listener.port),
        *limit,
    ]
    for rule in listener.rules:
        lines += _choice(rule)
    for rule in listener.rules:
        lines += _action(rule, listener)
    return "\n".join([*lines, ""])


def _choice(rule: Rule) -> list[str]:
    """The rule is the request's, unless one before it was."""
    lines, names = [], []
    for number, (kind, patterns) in enumerate(rule.conditions):
        names.append(f"rule-{rule.priority}-{number}")
        wanted = " ".join(word(pattern(each) if "reg" in CONDITIONS[kind] else each) for each in patterns)
        lines.append(f"    acl {names[-1]} {CONDITIONS[kind]} {wanted}")
    condition = " ".join(["!{ var(txn.rule) -m found }", *names])
    return [*lines, f"    http-request set-var(txn.rule) str({rule.priority}) if {condition}"]


def pattern(text: str) -> str:
    """The regular expression of a pattern in which * is any characters and ? is one."""
    return "^" + "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in text) + "$"


def _action(rule: Rule, listener: WantedListener) -> list[str]:
    mine = f"{{ var(txn.rule) -m str {rule.priority} }}"
    if rule.action["Type"] == "redirect":
        return _redirect(rule.action["RedirectConfig"], listener, mine)
    if rule.action["Type"] == "fixed-response":
        fixed = rule.action["FixedResponseConfig"]
        body = word(fixed["MessageBody"]) if fixed.get("MessageBody") else None
        shown = f" content-type {fixed.get('ContentType', 'text/plain')} string {body}" if body else ""
        return [f"    http-request return status {fixed['StatusCode']}{shown} hdr Server {SERVER} if {mine}"]
    # A process that is told to finish counts no server of its back ends as usable, but uses them.
    # "Routing": when no target of the group is healthy, requests go to all of them.
    return [
        f"    use_backend {open_back(rule.group)} if {mine} {{ nbsrv({back(rule.group)}) eq 0 }} !{{ stopping }}",
        f"    use_backend {back(rule.group)} if {mine}",
    ]


def _redirect(wanted: Mapping, listener: WantedListener, mine: str) -> list[str]:
    """The address says AWS's port, 443: a client here finds it by /_runbook/resolve, as it found this one."""
    own = {"#{protocol}": listener.protocol.lower(), "#{port}": str(listener.port)}
    parts = {
        "Protocol": "#{protocol}",
        "Host": "#{host}",
        "Port": "#{port}",
        "Path": "/#{path}",
        "Query": "#{query}",
    } | dict(wanted)
    address = "{Protocol}://{Host}:{Port}{Path}".format(**parts | {"Protocol": parts["Protocol"].lower()})
    lines = [f"    http-request set-var-fmt(txn.location) {word(_filled(address, own))} if {mine}"]
    if parts["Query"]:
        more = word("%[var(txn.location)]?" + _filled(parts["Query"], own))
        there = " { query -m len gt 0 }" if parts["Query"] == "#{query}" else ""
        lines.append(f"    http-request set-var-fmt(txn.location) {more} if {mine}{there}")
    status = int(wanted["StatusCode"].removeprefix("HTTP_"))
    answer = f"status {status} content-type text/html string {word(page(status))}"
    return [
        *lines,
        f"    http-request return {answer} hdr Server {SERVER} hdr Location %[var(txn.location)] if {mine}",
    ]


def _filled(text: str, own: Mapping[str, str]) -> str:
    """A part of an address as HAProxy's log format: its own signs doubled, the placeholders looked up."""
    known = PLACEHOLDERS | own
    pieces = re.split(r"(#\{\w+\})", text)
    return "".join(known.get(each) or each.replace("%", "%%") for each in pieces)


def _checked(address: str, group: WantedGroup, servers: tuple[Server, ...]) -> str:
    lines = [
        f"backend {back(group.arn)}",
        f"    balance {ALGORITHMS[group.algorithm]}",
        "    load-server-state-from-file global",
        f"    timeout check {group.timeout}s",
        "    option httpchk",
        f"    http-check send meth GET uri {word(group.path)} ver HTTP/1.1 hdr Host {address}"
        " hdr User-Agent ELB-HealthChecker/2.0",
        f"    http-check expect status {group.codes}",
    ]
    lines += [f"    server {_where(each)} {options(group)}{_weight(each)}" for each in servers]
    return "\n".join([*lines, ""])


def _open(group: WantedGroup, servers: tuple[Server, ...]) -> str:
    name = open_back(group.arn)
    # "HTTP 503": the target group has no registered targets, or none that is in use.
    lines = [
        f"backend {name}",
        f"    balance {ALGORITHMS[group.algorithm]}",
        f"    http-request return status 503 content-type text/html string {word(page(503))} hdr Server {SERVER}"
        f" if {{ nbsrv({name}) eq 0 }} !{{ stopping }}",
    ]
    lines += [f"    server {_where(each)}{open_options(group)}{_weight(each)}" for each in servers]
    return "\n".join([*lines, ""])


def _where(server: Server) -> str:
    return f"{server.name} {server.address}:{server.port}"


def _weight(server: Server) -> str:
    return " weight 0" if server.draining else ""


def options(group: WantedGroup) -> str:
    """The words of a checked server after its address: AWS's interval while nothing changes, eager otherwise."""
    eager = f"{int(EAGER_SECONDS * 1000)}ms"
    words = f"check inter {group.interval}s fastinter {eager} downinter {eager}"
    words += f" rise {group.healthy} fall {group.unhealthy}"
    words += f" port {group.check_port}" if group.check_port else ""
    words += " check-ssl" if group.check_protocol == "HTTPS" else ""
    words += f" slowstart {group.slow_start}s" if group.slow_start else ""
    words += open_options(group)
    return words + (" verify none" if group.check_protocol == "HTTPS" and group.protocol == "HTTP" else "")


def open_options(group: WantedGroup) -> str:
    return " ssl verify none" if group.protocol == "HTTPS" else ""

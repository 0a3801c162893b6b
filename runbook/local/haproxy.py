"""HAProxy's own words for a classic load balancer: the text of its configuration, and of its state file."""

from collections.abc import Iterable
from dataclasses import dataclass

STATS = "stats.sock"
STATE = "servers.state"
NO_INSTANCE = "503.http"
ROUTED = "routed"  # begins the line that is logged of each request, or connection where a listener speaks TCP

# "Troubleshoot a Classic Load Balancer: HTTP errors": what it says when no instance is in service.
NO_INSTANCE_ANSWER = (
    "HTTP/1.1 503 Service Unavailable: Back-end server is at capacity\r\n"
    "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n"
)

# DescribeLoadBalancerPolicies: the newest protocol that a classic balancer speaks is TLS 1.2.
NEWEST_TLS = "TLSv1.2"
OLDEST_TLS = {
    "ELBSecurityPolicy-2016-08": "TLSv1.0",
    "ELBSecurityPolicy-2015-05": "TLSv1.0",
    "ELBSecurityPolicy-TLS-1-1-2017-01": "TLSv1.1",
    "ELBSecurityPolicy-TLS-1-2-2017-01": "TLSv1.2",
}
DEFAULT_TLS_POLICY = "ELBSecurityPolicy-2016-08"

# A target that is on its way up or down is asked again after this time: AWS's interval, 5 to 300 s, is kept
# for one whose state does not change.
EAGER_SECONDS = 0.3

# ConnectionDraining: no more than an hour.
LONGEST_DRAINING = 3600


@dataclass(frozen=True)
class Listener:
    """One listener; a protocol is HTTP, HTTPS, TCP or SSL, `pem` the file of its certificate and key."""

    port: int
    protocol: str
    instance_port: int
    instance_protocol: str
    pem: str | None = None
    tls_policy: str = DEFAULT_TLS_POLICY

    @property
    def bound_port(self) -> int:
        """The port that is bound here: one below 1024 takes rights that a plain user has not."""
        return bound_port(self.port)

    @property
    def back(self) -> str:
        return f"{self.instance_protocol.lower()}-{self.instance_port}"

    @property
    def is_http(self) -> bool:
        return self.protocol in ("HTTP", "HTTPS")


@dataclass(frozen=True)
class Check:
    """A health check: seconds and counts as in ConfigureHealthCheck; `path` for HTTP and HTTPS."""

    protocol: str
    port: int
    path: str
    interval: int
    timeout: int
    healthy: int
    unhealthy: int


@dataclass(frozen=True)
class Balancer:
    """All that the configuration is made of; `servers` are (instance id, address), sorted; `largest_request` is that
    of a proxy which somebody put before the registry, in bytes."""

    address: str
    listeners: tuple[Listener, ...]
    check: Check
    idle_timeout: int
    servers: tuple[tuple[str, str], ...]
    largest_request: int | None = None


def bound_port(port: int) -> int:
    """Where a listener's port is found on the balancer's loopback address."""
    return port + 8000 if port < 1024 else port


def configuration(balancer: Balancer) -> str:
    """The configuration; the file names in it are relative to the folder that HAProxy is started in."""
    fronts = sorted(balancer.listeners, key=lambda listener: listener.port)
    backs = {listener.back: listener for listener in fronts}
    parts = [common(), _defaults(balancer)]
    parts += [_front(balancer, listener) for listener in fronts]
    parts += [_back(balancer, name, listener) for name, listener in sorted(backs.items())]
    parts.append(_health(balancer))
    return "\n".join(parts)


def common() -> str:
    """The section of the process itself; of two threads that log at the same time one loses its line."""
    return f"""global
    nbthread 1
    stats socket unix@{STATS} mode 600 level admin expose-fd listeners
    stats timeout 5s
    server-state-file {STATE}
    hard-stop-after {LONGEST_DRAINING}s
    ssl-server-verify none
"""


def _defaults(balancer: Balancer) -> str:
    # "The load balancer closes a connection on which no data moved for the idle timeout": on both sides.
    return f"""defaults
    mode http
    log stdout format raw local0 info
    log-format "{ROUTED}\\t%s"
    timeout connect 5s
    timeout client {balancer.idle_timeout}s
    timeout server {balancer.idle_timeout}s
    timeout tunnel {balancer.idle_timeout}s
    timeout http-keep-alive {balancer.idle_timeout}s
    balance leastconn
    retries 2
    option redispatch
    errorfile 503 {NO_INSTANCE}
"""


def _front(balancer: Balancer, listener: Listener) -> str:
    bind = f"    bind {balancer.address}:{listener.bound_port}"
    if listener.pem:
        oldest = OLDEST_TLS.get(listener.tls_policy, OLDEST_TLS[DEFAULT_TLS_POLICY])
        bind += f" ssl crt {listener.pem} ssl-min-ver {oldest} ssl-max-ver {NEWEST_TLS}"
    lines = [f"frontend port-{listener.port}", bind, f"    mode {'http' if listener.is_http else 'tcp'}"]
    if listener.is_http:
        lines += [*forwarded(listener.protocol, listener.port), *limited(balancer.largest_request)]
    lines.append(f"    default_backend {listener.back}\n")
    return "\n".join(lines)


def forwarded(protocol: str, port: int) -> list[str]:
    """The lines that set X-Forwarded-*: "HTTP headers and Classic Load Balancers", and so for application ones.

    For is appended to; Proto and Port are set anew.
    """
    given = "{ req.fhdr(X-Forwarded-For) -m found }"
    return [
        f'    http-request set-header X-Forwarded-For "%[req.fhdr(X-Forwarded-For)], %[src]" if {given}',
        f"    http-request set-header X-Forwarded-For %[src] unless {given}",
        f"    http-request set-header X-Forwarded-Proto {protocol.lower()}",
        f"    http-request set-header X-Forwarded-Port {port}",
    ]


def limited(largest_request: int | None) -> list[str]:
    """The line that refuses larger requests, as nginx's client_max_body_size does; none without a limit."""
    if largest_request is None:
        return []
    return [f"    http-request deny deny_status 413 if {{ req.hdr_val(content-length) gt {largest_request} }}"]


def _back(balancer: Balancer, name: str, listener: Listener) -> str:
    lines = [f"backend {name}", f"    mode {'http' if listener.is_http else 'tcp'}"]
    tls = " ssl verify none" if listener.instance_protocol in ("HTTPS", "SSL") else ""
    lines += [
        f"    server {instance} {address}:{listener.instance_port} track health/{instance}{tls}"
        for instance, address in balancer.servers
    ]
    return "\n".join([*lines, ""])


def _health(balancer: Balancer) -> str:
    check = balancer.check
    eager = f"{int(EAGER_SECONDS * 1000)}ms"
    lines = [
        "backend health",
        f"    mode {'http' if check.protocol in ('HTTP', 'HTTPS') else 'tcp'}",
        "    load-server-state-from-file global",
        f"    timeout check {check.timeout}s",
        f"    default-server check inter {check.interval}s fastinter {eager} downinter {eager}"
        f" rise {check.healthy} fall {check.unhealthy}"
        + (" check-ssl verify none" if check.protocol in ("HTTPS", "SSL") else ""),
    ]
    if check.protocol in ("HTTP", "HTTPS"):
        # ConfigureHealthCheck: any answer other than 200 within the timeout is unhealthy.
        lines += [
            "    option httpchk",
            f"    http-check send meth GET uri {word(check.path)} ver HTTP/1.1 hdr Host {balancer.address}"
            " hdr User-Agent ELB-HealthChecker/1.0",
            "    http-check expect status 200",
        ]
    lines += [f"    server {instance} {address}:{check.port}" for instance, address in balancer.servers]
    return "\n".join([*lines, ""])


def word(text: str) -> str:
    """A word of the configuration, quoted: what a space, a quote, a hash or a line's end would end otherwise."""
    return "'" + text.replace("'", "'\\''").replace("\r", "'\\r'").replace("\n", "'\\n'") + "'"


def state(balancer: Balancer, running: str = "") -> str:
    """The state file of a classic balancer's health checks."""
    port = balancer.check.port
    return state_of([("health", instance, address, port) for instance, address in balancer.servers], running)


def state_of(servers: Iterable[tuple[str, str, str, int]], running: str = "") -> str:
    """A state file in which a server that `running` (a "show servers state") does not name starts as DOWN.

    HAProxy starts a server as UP; on AWS a new target is not in service until it has passed its checks.
    `servers` are (back end, name, address, port).
    """
    header = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight"
    header += " srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state"
    header += " srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl"
    header += " srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
    words = [line.split() for line in running.splitlines() if not line.startswith("#")]
    known = {(each[1], each[3]): each for each in words if len(each) > 5}
    rows = []
    for number, (back, name, address, port) in enumerate(servers, start=1):
        down = f"9 {back} {number} {name} {address} 0 0 1 1 0 1 0 0 6 0 0 0 - {port} - 0 0 - - 0"
        row = known.get((back, name))
        rows.append(" ".join(row) if row and row[4] == address else down)
    return header + "".join(row + "\n" for row in rows)

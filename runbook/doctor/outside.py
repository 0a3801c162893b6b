"""The client's side: the name, the certificate, the balancer, its targets; and what else the plan says.

A station names only what it can prove to explain something. What concerns pushes or pulls alone (an idle timeout, a
wrong address) is looked at where the registry answers at all; targets that are unhealthy because their registry
answers 503 are left to the stations behind.
"""

import re
import socket

from .. import dns, plan, registry_api, rollout
from ..errors import CloudError, NotOurs, StepFailed
from ..report import Report, words
from .diagnosis import Cause
from .patient import Patient

_05 = "05_configure_https_on_the_load_balancer"
_06 = "06_test_your_setup"
_PORT_IN_USE = "already using a port required by your task"
_MOST = 6  # lines of a report that is shown as evidence


def name(patient: Patient) -> Cause | None:
    """The record leads to the balancer, and the name resolves."""
    if patient.balancer is None:
        return None
    p = patient.p
    try:
        report = dns.verify_record(patient.aws, p)
    except (NotOurs, StepFailed):
        return None  # the rest of the plan tells it
    there = {check.name: check.found for check in report.checks}
    if report.absent or there["Type"] == words(None):
        return _run(f"{p.domain} has no record in Route 53", (f"zone {p.zone}: no record {p.domain}",), _05)
    wrong = [check for check in report.checks if not check.ok and check.name in ("Type", "Target")]
    if wrong:
        return _run(f"the record of {p.domain} does not lead to the load balancer", tuple(map(str, wrong)), _05)
    try:
        socket.getaddrinfo(*patient.aws.locate(p.domain))
    except (CloudError, socket.gaierror) as error:
        seen = (f"Route 53 has the record {p.domain}", f"{p.domain} is not found from here: {error}")
        remedy = f"let the parent domain delegate {p.zone} to the name servers of this zone"
        return Cause(f"the name {p.domain} is not found", seen, remedy, _05)
    return None


def certificate(patient: Patient) -> Cause | None:
    """It is trusted, and for the domain (23)."""
    aws, p = patient.aws, patient.p
    try:
        registry_api.certificate(aws, p)
    except registry_api.NoAnswer as error:
        if not str(error).startswith(("certificate not accepted", "trusted, but for")):
            return None
        seen = registry_api.served(aws, p)
        issuer = seen.issuer.rfc4514_string() or "nobody"
        line = f"shown: a certificate issued by {issuer}, until {seen.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        return Cause.of(23, f"handshake with {p.domain}: {error}", line)
    return None


def balancer(patient: Patient) -> Cause | None:
    """There is one that listens for HTTPS (25), takes large requests (24) and slow ones (4); clients are told the
    right address (3), and a browser's preflight is answered where one is to be (32)."""
    found, p = patient.balancer, patient.p
    if found is None:
        return _absent(patient)
    listener = found["Listeners"].get("443")
    if listener is None:
        ports = ", ".join(map(str, found["ListenerPorts"])) or "none"
        return _run(f"load balancer {p.balancer_name} has no listener on port 443", (f"its listeners: {ports}",), _05)
    if listener["Protocol"] in ("SSL", "TCP"):
        return Cause.of(25, f"listener 443: {listener['Protocol']} to {listener['InstanceProtocol']}")
    if not patient.is_open:
        return None
    if patient.announce_a_layer() == 413:
        return Cause.of(
            24, "a request that says it has 1 GiB to come: 413", f"one without a body: {patient.door.words}"
        )
    idle = _idle_timeout(found)
    if idle < p.idle_timeout:
        return Cause.of(4, f"idle timeout of load balancer {p.balancer_name}: {idle} s; the params: {p.idle_timeout} s")
    return _told(patient) or _preflight(patient)


def targets(patient: Patient) -> Cause | None:
    """The health check asks for what a registry answers (6), a deployment finds a free port (20), and the address that
    a pull is sent to is reached (19)."""
    return (_check(patient) if patient.balancer else None) or _port(patient) or _pull(patient)


def rest(patient: Patient) -> Cause | None:
    """A broken registry that the balancer calls healthy (7), where nothing before said why; else the first thing of
    the plan that is not as wanted; else what the registry answers."""
    reports = plan.verify(patient.aws, patient.p)
    first = next(((step, report) for step, report in zip(plan.STEPS, reports, strict=True) if not report), None)
    if patient.balancer and (seen := _unseen(patient)):
        return Cause.of(7, *seen, *(_evidence(first[1]) if first else ()))
    if first:
        step, report = first
        state = "is not there" if report.absent else "is not as wanted"
        return _run(f"{report.title} {state}", _evidence(report), step.notebook)
    if not patient.is_open:
        seen = f"GET /v2/ without a login: {patient.door.words}"
        remedy = f"read the log group {patient.p.log_group}, then ask again: the answer may have been one of a moment"
        return Cause("all that the plan knows is as wanted, and the registry does not answer", (seen,), remedy, _06)
    return None


def _absent(patient: Patient) -> Cause | None:
    """Where there is no service either, nothing was set up yet, and the plan's first notebook comes first."""
    if patient.service is None:
        return None
    p = patient.p
    seen = f"service {p.service_name} is there, load balancer {p.balancer_name} is not (or is not ours)"
    return _run(f"there is no load balancer {p.balancer_name}", (seen,), _05)


def _idle_timeout(found: dict) -> int:
    attributes = found["Attributes"]
    if "ConnectionSettings" in attributes:
        return int(attributes["ConnectionSettings"]["IdleTimeout"])
    return int(attributes["idle_timeout.timeout_seconds"])


def _told(patient: Patient) -> Cause | None:
    """`http.host`, which a registry puts before the path of every Location, whatever the balancer says."""
    host, p = patient.environment.get("REGISTRY_HTTP_HOST", "").strip(), patient.p
    relative = patient.environment.get("REGISTRY_HTTP_RELATIVEURLS", "").strip().lower() == "true"
    if not host or relative or host.rstrip("/") in (p.url, f"{p.url}:443"):
        return None
    return Cause.of(3, f"REGISTRY_HTTP_HOST is {host}; clients come to {p.url}")


def _preflight(patient: Patient) -> Cause | None:
    """Only of a registry that names origins of browsers is a preflight expected: every registry answers it with 401."""
    asked = {"Origin": "https://example.com", "Access-Control-Request-Method": "GET"}
    allowed = patient.headers("GET", "/v2/").get("access-control-allow-origin")
    if not allowed:
        return None
    answer = patient.ask("OPTIONS", "/v2/", headers=asked | ({} if allowed == "*" else {"Origin": allowed}))
    if answer.status != 401:
        return None
    return Cause.of(32, f"Access-Control-Allow-Origin: {allowed}", f"OPTIONS /v2/ without a login: {answer.words}")


def _check(patient: Patient) -> Cause | None:
    """A check of /v2/ that takes 200 alone fails for every registry that asks for a login."""
    asked, codes = _health_check(patient.balancer)
    path = asked.partition("/")[2]
    if not re.match(r"v2(/|$)", path) or _takes(codes, 401):
        return None
    answers = {code for well, each in patient.targets if not well for code in re.findall(r"\[(\d+)\]", each)}
    if "401" not in answers and (answers or patient.healthy):
        return None  # a classic balancer does not tell what was answered
    return Cause.of(6, f"health check: {asked}, healthy with {codes}", *_fare(patient))


def _health_check(found: dict) -> tuple[str, str]:
    """What is asked (`HTTP:5000/`), and the codes that are taken for healthy."""
    if "TargetGroup" not in found:
        return found["HealthCheck"]["Target"], "200"
    check = (found["TargetGroup"] or {}).get("HealthCheck", {})
    asked = f"{check.get('HealthCheckProtocol')}:{check.get('HealthCheckPort')}{check.get('HealthCheckPath') or ''}"
    return asked, (check.get("Matcher") or {}).get("HttpCode", "200")


def _takes(codes: str, status: int) -> bool:
    ranges = [part.partition("-") for part in codes.split(",")]
    return any(int(least) <= status <= int(most or least) for least, _, most in ranges)


def _fare(patient: Patient) -> tuple[str, ...]:
    said = sorted({each for well, each in patient.targets if not well})
    return (f"{patient.healthy} of {len(patient.targets)} targets healthy", *said, f"GET /v2/: {patient.door.words}")


def _port(patient: Patient) -> Cause | None:
    """What ECS says of the deployment under way."""
    service = patient.service
    primary = next((each for each in rollout.deployments(service) if each["status"] == "PRIMARY"), None)
    if primary is None or primary.get("rolloutState") == "COMPLETED":
        return None
    ports = [each.get("hostPort") for each in (patient.container or {}).get("portMappings", [])]
    configuration = service.get("deploymentConfiguration", {})
    least, most = (configuration.get(f"{each}Percent") for each in ("minimumHealthy", "maximum"))
    events = [each for each in service.get("events", []) if each["createdAt"] >= primary["createdAt"]]
    refused = [each["message"] for each in events if _PORT_IN_USE in each["message"]]
    if not refused or not any(ports) or least == 0:
        return None
    settings = f"host port {next(filter(None, ports))}; a deployment keeps {least} to {most} percent of the tasks"
    return Cause.of(20, f"service event: {refused[0]}", settings)


def _pull(patient: Patient) -> Cause | None:
    """An answer of 403, or none, at the address to which the registry sends its clients for a blob."""
    if not patient.is_open or patient.redirect is None:
        return None
    there, answer = patient.redirect
    if answer.status not in (None, 403):
        return None
    return Cause.of(19, f"GET of a blob is redirected to {there}", f"there: {answer.words}")


def _unseen(patient: Patient) -> tuple[str, ...]:
    """What shows that the balancer calls a registry healthy which is not; nothing where it does not."""
    asked, _ = _health_check(patient.balancer)
    runs = (patient.service or {}).get("runningCount", 0)  # a check sees the end of a task some seconds later
    if not asked.startswith(("TCP:", "SSL:")) or not runs or not patient.healthy or patient.door.status in (None, 401):
        return ()
    fares = f"{patient.healthy} of {len(patient.targets)} targets healthy"
    return f"health check: {asked}; {fares}", f"GET /v2/ without a login: {patient.door.words}"


def _run(cause: str, seen: tuple[str, ...], notebook: str) -> Cause:
    return Cause(cause, seen, f"run notebook {notebook} again", notebook)


def _evidence(report: Report) -> tuple[str, ...]:
    wrong = [f"{report.title}: {check}" for check in report.checks if not check.ok]
    return (*wrong[:_MOST], *((f"and {len(wrong) - _MOST} more",) if len(wrong) > _MOST else ()))

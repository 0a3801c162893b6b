"""What the outer stations conclude from what they see: a patient made of settings alone."""

import datetime
from types import SimpleNamespace

import pytest

from runbook import load
from runbook.doctor import outside
from runbook.doctor.edge import Answer
from runbook.local import haproxy

pytestmark = pytest.mark.pure

ASKS = Answer(401, "401 UNAUTHORIZED")
FAILED = Answer(503, "503 Service Unavailable")
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
IN_USE = "was unable to place a task … is already using a port required by your task."


def classic(protocol="HTTPS", idle=300, check="TCP:5000"):
    listener = {"Protocol": protocol, "InstanceProtocol": "HTTP" if protocol == "HTTPS" else "TCP"}
    attributes = {"ConnectionSettings": {"IdleTimeout": idle}}
    listeners = {"443": listener} if protocol else {}
    return {
        "Listeners": listeners,
        "ListenerPorts": [int(port) for port in listeners],
        "Attributes": attributes,
        "HealthCheck": {"Target": check},
    }


def application(path="/", codes="200", idle="300"):
    check = {"HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckPath": path}
    return {
        "Listeners": {"443": {"Protocol": "HTTPS"}},
        "ListenerPorts": [80, 443],
        "Attributes": {"idle_timeout.timeout_seconds": idle},
        "TargetGroup": {"HealthCheck": check | {"Matcher": {"HttpCode": codes}}},
    }


def patient(balancer=None, *, door=ASKS, targets=((True, "N/A"),), **more):
    seen = {
        "p": load("blog"),
        "balancer": balancer,
        "service": {"status": "ACTIVE", "runningCount": 1, "deployments": []},
        "container": {"portMappings": [{"hostPort": 5000}]},
        "environment": {},
        "door": door,
        "is_open": door.status == 401,
        "targets": list(targets),
        "healthy": sum(well for well, _ in targets),
        "redirect": None,
        "announce_a_layer": lambda: 401,
        "headers": lambda *_, **__: {},
        "ask": lambda *_, **__: ASKS,
    }
    return SimpleNamespace(**(seen | more))


def row(station, *arguments, **more):
    found = station(patient(*arguments, **more))
    return found.row if found else None


@pytest.mark.parametrize("found", [classic(), application(), application(codes="200,401", path="/v2/")])
def test_a_healthy_one_is_left_alone(found):
    assert outside.balancer(patient(found)) is None
    assert outside.targets(patient(found)) is None


@pytest.mark.parametrize("protocol", ["SSL", "TCP"])
def test_a_listener_that_passes_bytes_is_named_whether_the_registry_answers_or_not(protocol):
    assert row(outside.balancer, classic(protocol)) == row(outside.balancer, classic(protocol), door=FAILED) == 25


def test_without_a_balancer_or_its_listener():
    assert "no listener on port 443" in outside.balancer(patient(classic(protocol=""))).cause
    assert "there is no load balancer" in outside.balancer(patient(None)).cause
    assert outside.balancer(patient(None, service=None)) is None
    assert outside.name(patient(None)) is None


@pytest.mark.parametrize("found", [classic(idle=60), application(idle="60"), classic(idle=299)])
def test_an_idle_timeout_explains_nothing_while_the_registry_does_not_answer(found):
    assert row(outside.balancer, found) == 4
    assert row(outside.balancer, found, door=FAILED) is None


def test_a_limit_of_requests():
    assert row(outside.balancer, classic(), announce_a_layer=lambda: 413) == 24
    assert row(outside.balancer, classic(), announce_a_layer=lambda: None) is None


@pytest.mark.parametrize(
    "variables, wanted",
    [
        ({"REGISTRY_HTTP_HOST": "http://registry.elastic.io"}, 3),
        ({"REGISTRY_HTTP_HOST": "https://registry.elastic.io:5000"}, 3),
        ({"REGISTRY_HTTP_HOST": "https://other.example"}, 3),
        ({"REGISTRY_HTTP_HOST": "http://registry.elastic.io", "REGISTRY_HTTP_RELATIVEURLS": "true"}, None),
        ({"REGISTRY_HTTP_HOST": "https://registry.elastic.io/"}, None),
        ({"REGISTRY_HTTP_HOST": "https://registry.elastic.io:443"}, None),
    ],
)
def test_the_address_that_clients_are_told(variables, wanted):
    assert row(outside.balancer, classic(), environment=variables) == wanted


def test_a_preflight_is_looked_at_only_where_a_browser_is_expected():
    allowed = {"headers": lambda *_, **__: {"access-control-allow-origin": "https://ui.example"}}
    assert row(outside.balancer, classic(), **allowed) == 32
    assert row(outside.balancer, classic(), **allowed, ask=lambda *_, **__: Answer(204, "204")) is None
    assert row(outside.balancer, classic()) is None


@pytest.mark.parametrize(
    "found, said, wanted",
    [
        (application("/v2/"), "Health checks failed with these codes: [401]", 6),
        (application("/v2/"), "Health checks failed with these codes: [503]", None),
        (application("/v2/"), "initial", 6),
        (application("/v2/", "200-401"), "initial", None),
        (application("/v2/", "200,401"), "Health checks failed with these codes: [503]", None),
        (application("/"), "Health checks failed with these codes: [503]", None),
        (application("/v2x"), "initial", None),
        (classic(check="HTTP:5000/v2/"), "Instance has failed", 6),
        (classic(check="HTTP:5000/"), "Instance has failed", None),
        (classic(check="TCP:5000"), "Instance has failed", None),
    ],
)
def test_a_health_check_that_asks_for_a_login(found, said, wanted):
    assert row(outside.targets, found, targets=((False, said),), door=FAILED) == wanted


def test_of_two_targets_one_that_answers_401_is_enough_and_one_that_is_new_is_not():
    check = application("/v2/")
    assert row(outside.targets, check, targets=((True, "healthy"), (False, "these codes: [401]"))) == 6
    assert row(outside.targets, check, targets=((True, "healthy"), (False, "initial"))) is None


def rolling(*, state="IN_PROGRESS", least=100, ago=0, message=IN_USE):
    return {
        "status": "ACTIVE",
        "deployments": [{"status": "PRIMARY", "rolloutState": state, "createdAt": NOW}],
        "deploymentConfiguration": {"minimumHealthyPercent": least, "maximumPercent": 200},
        "events": [{"message": message, "createdAt": NOW - datetime.timedelta(minutes=ago)}],
    }


@pytest.mark.parametrize(
    "service, wanted",
    [
        (rolling(), 20),
        (rolling(state="COMPLETED"), None),
        (rolling(least=0), None),
        (rolling(ago=5), None),
        (rolling(message="has reached a steady state."), None),
    ],
)
def test_a_port_in_use_is_told_by_the_deployment_under_way(service, wanted):
    assert row(outside.targets, classic(), service=service) == wanted
    dynamic = {"portMappings": [{"hostPort": 0}]}
    assert row(outside.targets, classic(), service=service, container=dynamic) is None


@pytest.mark.parametrize(
    "answer, wanted",
    [
        (Answer(None, "no answer in time"), 19),
        (Answer(403, "403 Forbidden"), 19),
        (Answer(200, "200 OK"), None),
        (Answer(404, "404 Not Found"), None),
        (Answer(503, "503 Slow Down"), None),
    ],
)
def test_where_a_pull_is_sent(answer, wanted):
    there = ("https://bucket.s3.eu-central-1.amazonaws.com", answer)
    assert row(outside.targets, classic(), redirect=there) == wanted
    assert row(outside.targets, classic(), redirect=there, door=FAILED) is None


def test_a_broken_registry_that_a_tcp_check_does_not_see(monkeypatch):
    monkeypatch.setattr(outside.plan, "verify", lambda *_: [True] * len(outside.plan.STEPS))
    assert row(outside.rest, classic(), door=Answer(404, "404 Not Found"), aws=None) == 7
    told = outside.rest(patient(classic(check="HTTP:5000/"), door=FAILED, aws=None))
    assert told.row is None and "does not answer" in told.cause
    ended = {"status": "ACTIVE", "runningCount": 0, "deployments": []}
    assert row(outside.rest, classic(), door=FAILED, aws=None, service=ended) is None
    assert outside.rest(patient(classic(), aws=None)) is None


def test_the_embedded_balancers_refuse_by_length_only_when_told_to():
    assert haproxy.limited(None) == []
    (line,) = haproxy.limited(65536)
    assert "deny_status 413" in line and "gt 65536" in line

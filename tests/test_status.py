"""What a status says, in every form, from parts as they are read; and how it is shown again and again."""

import io
import json
from datetime import UTC, datetime

import pytest
from test_wait import Terminal

from runbook import status
from runbook.errors import CloudError, VerificationFailed
from runbook.status import Screen, Status, Untold

pytestmark = pytest.mark.pure

NOW = datetime(2026, 11, 24, 3, 12, 24, tzinfo=UTC)
NODE = {
    "name": "registry-node-1",
    "id": "i-00000000000000001",
    "arn": "arn:aws:ecs:eu-central-1:123456789012:container-instance/registry/1",
    "zone": "eu-central-1a",
    "type": "t3.small",
    "state": "running",
    "agent": "in the cluster",
    "free_cpu": 1024,
    "free_memory": 912,
}
PARTS = {
    "name": {"domain": "registry.elastic.io", "leads_to": "registry-1.elb.amazonaws.com", "address": "127.0.0.9:443"},
    "tls": {"days_left": 89, "why": None},
    "balancer": {
        "name": "registry",
        "kind": "classic",
        "state": "active",
        "dns_name": "registry-1.elb.amazonaws.com",
        "requests": {"per_second": 2.6333, "minute": NOW},
    },
    "targets": [{"node": NODE["id"], "port": 5000, "state": "healthy", "why": None}],
    "nodes": [NODE],
    "service": {
        "name": "registry",
        "status": "ACTIVE",
        "desired": 1,
        "running": 1,
        "pending": 0,
        "rollout": "COMPLETED",
        "events": [{"at": NOW, "message": "(service registry) has reached a steady state."}],
    },
    "tasks": [{"revision": "registry:1", "state": "RUNNING", "since": NOW, "node": NODE["arn"]}],
    "users": ["builder", "testuser"],
}
PLAIN = """\
deployment registry: serving
  name      registry.elastic.io → load balancer registry (127.0.0.9:443)
  TLS       89 days left
  balancer  registry, classic, active
  requests  2.6 a second
  targets   1 of 1 healthy
  nodes     registry-node-1 eu-central-1a t3.small running, in the cluster, room for 1024 CPU units, 912 MiB
  tasks     1 of 1 running
            registry:1 RUNNING on registry-node-1
  events    (service registry) has reached a steady state.
  users     builder, testuser"""


def seen(**parts):
    return Status("deployment registry", {**PARTS, **parts})


def test_the_text_form_has_no_time_and_no_id():
    assert repr(seen()) == PLAIN


def test_a_terminal_is_told_the_times():
    text = seen().text()
    assert "2.6 a second, in the minute from 03:12:24 UTC" in text
    assert "registry:1 RUNNING since 2026-11-24 03:12:24 UTC on registry-node-1" in text
    assert "03:12:24 UTC (service registry) has reached a steady state." in text


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"name": {**PARTS["name"], "leads_to": None}}, "name      registry.elastic.io has no record"),
        ({"name": {**PARTS["name"], "leads_to": "other.org"}}, "name      registry.elastic.io → another host"),
        (
            {"name": {**PARTS["name"], "address": None}},
            "name      registry.elastic.io → load balancer registry, not found from here",
        ),
        ({"balancer": None}, "balancer  absent"),
        ({"tls": {"days_left": -1, "why": None}}, "TLS       the certificate has ended"),
        ({"tls": {"days_left": None, "why": "connection refused"}}, "TLS       no handshake: connection refused"),
        ({"targets": []}, "targets   0 of 0 healthy"),
        (
            {"targets": [{**PARTS["targets"][0], "state": "unhealthy", "why": "it failed"}]},
            "targets   0 of 1 healthy; registry-node-1: unhealthy (it failed)",
        ),
        ({"targets": Untold("elb DescribeInstanceHealth: denied")}, "targets   cannot be told: elb Describe"),
    ],
)
def test_what_does_not_serve_says_why(parts, said):
    found = seen(**parts)
    assert not found
    assert said in repr(found)
    assert repr(found).startswith("deployment registry: NOT SERVING\n")
    assert not found.json()["serving"]
    assert "not serving" in found._repr_html_()
    with pytest.raises(VerificationFailed):
        found.require()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"users": Untold("secretsmanager GetSecretValue: denied")}, "users     cannot be told: secretsmanager"),
        ({"balancer": Untold("denied")}, "balancer  cannot be told: denied"),
        ({"service": None}, "tasks     no service"),
        ({"service": {**PARTS["service"], "running": 0, "pending": 1}}, "tasks     0 of 1 running, 1 pending"),
        (
            {"service": {**PARTS["service"], "rollout": "IN_PROGRESS"}},
            "tasks     1 of 1 running; deployment in progress",
        ),
        ({"tasks": []}, "            none"),
        ({"nodes": [{**NODE, "free_cpu": None, "agent": "not registered"}]}, "t3.small running, not registered\n"),
        ({"nodes": []}, "nodes     none"),
    ],
)
def test_the_rest_is_told_and_serving_does_not_hang_on_it(parts, said):
    found = seen(**parts)
    assert found.require() is found
    assert said in repr(found)


def test_the_report_of_two_looks_is_the_same():
    other = seen(balancer={**PARTS["balancer"], "requests": {"per_second": 0.0, "minute": None}}, tasks=[], users=[])
    assert repr(other.report) == repr(seen().report)
    assert repr(seen().report).startswith("deployment registry, now: ok\n")


def test_json_is_json_and_names_what_is_untold():
    found = json.loads(repr(seen(users=Untold("denied")).json()))
    assert found["serving"] is True
    assert found["users"] == {"untold": "denied"}
    assert found["tasks"][0]["since"] == "2026-11-24T03:12:24+00:00"
    assert found["balancer"]["requests"]["per_second"] == pytest.approx(2.6333)


def test_html_escapes_and_has_headers_and_words():
    html = seen(users=["<b>"])._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert html.count('scope="col"') == 2
    assert html.count('scope="row"') == 9
    assert "✔ serving" in html


def test_a_stream_gets_a_block_for_each_change():
    stream = io.StringIO()
    screen = Screen(stream)
    for found in (seen(), seen(), seen(targets=[])):
        screen.show(found)
    assert stream.getvalue() == f"{seen().text()}\n\n{seen(targets=[]).text()}\n\n"


def test_a_terminal_is_drawn_anew_in_its_place():
    stream = Terminal()
    screen = Screen(stream)
    screen.show(Untold("one"))
    screen.show(Untold("two"))
    assert stream.getvalue() == (
        "\x1b[2J\x1b[Hcannot be told: one\x1b[K\n\x1b[J\x1b[Hcannot be told: two\x1b[K\n\x1b[J"
    )


def looking(monkeypatch, *answers):
    """`status` gives these one after the other, and raises those that are exceptions."""
    coming = iter(answers)

    def look(aws, p):
        found = next(coming)
        if isinstance(found, BaseException):
            raise found
        return found

    monkeypatch.setattr(status, "status", look)


def test_an_interruption_ends_it_quietly(monkeypatch, p):
    looking(monkeypatch, seen(), seen(targets=[]), KeyboardInterrupt())
    shown = []
    assert status.watched(None, p, every=0.001, show=shown.append) is False
    assert shown == [seen(), seen(targets=[])]
    looking(monkeypatch, seen(), KeyboardInterrupt())
    assert status.watched(None, p, every=0.001, show=shown.append) is True
    looking(monkeypatch, KeyboardInterrupt())
    assert status.watched(None, p, every=0.001, show=shown.append) is False


def test_what_cannot_be_read_later_is_shown_and_looked_at_again(monkeypatch, p):
    looking(monkeypatch, seen(), CloudError("no answer"), seen(), KeyboardInterrupt())
    shown = []
    assert status.watched(None, p, every=0.001, show=shown.append)
    assert shown == [seen(), Untold("no answer"), seen()]


def test_what_cannot_be_read_at_first_is_an_error(monkeypatch, p):
    looking(monkeypatch, CloudError("no answer"))
    with pytest.raises(CloudError):
        status.watched(None, p, show=print)


def test_it_ends_after_its_seconds(monkeypatch, p, capsys):
    monkeypatch.setattr(status, "status", lambda aws, p: seen())
    assert status.watch(None, p, 0.02, every=0.001) is None
    assert capsys.readouterr().out == f"{seen().text()}\n\n"

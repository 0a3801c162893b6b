"""The status of a real deployment on the embedded cloud: what it says is what the processes do."""

import json
import os
import signal
import subprocess
import sys

import pytest
from programs import registries

from runbook import __main__, clients, htpasswd, load, plan, status, wait

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def p(home):
    return load("blog")


@pytest.fixture(scope="module")
def aws(p):
    """The blog's deployment, complete."""
    connection = plan.start(p)
    for step in plan.STEPS:
        step.ensure(connection, p)
    return connection


def until(aws, p, condition, what):
    """The first status of which `condition` holds."""

    def look():
        found = status.status(aws, p)
        return (found if condition(found) else None), repr(found)

    return wait.wait(what, look, timeout=60, every=0.2)


def test_all_that_was_deployed_is_told(aws, p):
    found = status.status(aws.read_only(), p).require()
    host, port = aws.locate(p.domain)
    assert found.parts["name"]["address"] == f"{host}:{port}"
    assert found.parts["tls"]["days_left"] > 80
    (node,) = found.parts["nodes"]
    assert (node["name"], node["agent"], node["state"]) == ("registry-node-1", "in the cluster", "running")
    assert 0 < node["free_cpu"] < 2048
    assert 0 < node["free_memory"] < 2048
    (task,) = found.parts["tasks"]
    assert task["state"] == "RUNNING"
    assert task["revision"].startswith("registry:")
    assert task["node"] == node["arn"]
    assert found.parts["users"] == sorted(p.users)
    messages = [each["message"] for each in found.parts["service"]["events"]]
    assert "(service registry) has started 1 tasks: (task)." in messages
    assert len(messages) <= 5
    shown = repr(found)
    assert node["id"] not in shown
    assert "registry.elastic.io → load balancer registry" in shown


def test_what_passes_through_the_balancer_is_told_as_requests(aws, p):
    before = status.status(aws, p).parts["balancer"]["requests"]["per_second"]
    assert clients.skopeo_round_trip(aws, p, htpasswd.logins(aws, p)[0]).require()
    found = until(
        aws, p, lambda found: found.parts["balancer"]["requests"]["per_second"] > before, "requests are measured"
    )
    assert found.parts["balancer"]["requests"]["minute"] is not None
    assert "requests  0.0 a second" not in repr(found)


def test_looking_is_no_request(aws, p):
    """A live view that counted itself would show a registry that is never idle."""
    rates = []

    def is_idle(found):
        rates.append(found.parts["balancer"]["requests"]["per_second"])
        return len(rates) > 20 and max(rates[-20:]) <= rates[-21]

    until(aws, p, is_idle, "no request more in twenty looks")


def test_the_successor_of_a_killed_registry_is_told(aws, p):
    (former,) = status.status(aws, p).parts["tasks"]
    (pid,) = registries()
    os.kill(pid, signal.SIGKILL)

    def is_replaced(found):
        since = [each["since"] for each in found.parts["tasks"] if each["state"] == "RUNNING"]
        return found and len(since) == found.parts["service"]["running"] == 1 and since[0] > former["since"]

    found = until(aws, p, is_replaced, "another registry serves")
    assert "has started 1 tasks" in repr(found)


def test_a_stopped_service_does_not_serve(aws, p, capsys):
    desired = {"cluster": p.cluster_name, "service": p.service_name}
    aws.ecs.update_service(**desired, desiredCount=0)
    try:
        found = until(aws, p, lambda found: not found, "nothing serves")
        assert "registry-node-1: unhealthy" in repr(found)
        assert "registries: wanted at least one healthy" in found.report.failures()
        assert __main__.main(["status", "blog"]) == 1
        assert "NOT SERVING" in capsys.readouterr().out
    finally:
        aws.ecs.update_service(**desired, desiredCount=1)
    until(aws, p, lambda found: found and found.parts["service"]["running"] == 1, "it serves again")


def test_the_command_tells_the_same(aws, p, capsys):
    assert __main__.main(["status", "blog"]) == 0
    assert f"{p.title}: serving" in capsys.readouterr().out
    assert __main__.main(["status", "blog", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["serving"] is True
    assert told["tasks"][0]["state"] == "RUNNING"


def test_the_command_watches_until_it_is_interrupted(aws, p):
    command = [sys.executable, "-m", "runbook", "status", "blog", "--watch", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        looks = [json.loads(watching.stdout.readline()) for _ in range(2)]
        watching.send_signal(signal.SIGINT)
        _, complaint = watching.communicate(timeout=60)
    assert all(each["serving"] for each in looks)
    assert (watching.returncode, complaint) == (0, "")


def test_what_is_not_ours_is_said_in_its_place(aws, p):
    described = aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"][0]
    tag, arn = "runbook:deployment", described["serviceArn"]
    aws.ecs.untag_resource(resourceArn=arn, tagKeys=[tag])
    try:
        found = status.status(aws, p)
        assert "tasks     cannot be told: service registry exists and does not belong" in repr(found)
        assert found
    finally:
        aws.ecs.tag_resource(resourceArn=arn, tags=[{"key": tag, "value": p.name}])

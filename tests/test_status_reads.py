"""What is read for a status, on moto: each thing while it is absent, and a whole deployment of each kind."""

from datetime import UTC, datetime, timedelta

import pytest
import world

from runbook import status, status_reads, web
from runbook.errors import Denied, Expired
from runbook.session import AWS
from runbook.status import Untold

pytestmark = pytest.mark.moto


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch):
    """The registry's name leads to a port of this computer on which nobody listens."""
    monkeypatch.setattr(web.Public, "locate", lambda self, domain, port: ("127.0.0.1", 9))


@pytest.fixture(params=["blog", "production"])
def deployed(request, account, monkeypatch, tmp_path):
    p = world.blog(tmp_path) if request.param == "blog" else world.production()
    with world.account(p, monkeypatch, tmp_path / "node") as aws:
        world.deploy(aws, p)
        yield aws, p


def put(aws, p, count, age):
    """A minute's count as Elastic Load Balancing measures it, `age` seconds ago."""
    if p.scales:
        found = aws.elbv2.describe_load_balancers(Names=[p.balancer_name])["LoadBalancers"][0]
        namespace, named = "AWS/ApplicationELB", {"LoadBalancer": found["LoadBalancerArn"].split(":loadbalancer/")[1]}
    else:
        namespace, named = "AWS/ELB", {"LoadBalancerName": p.balancer_name}
    datum = {
        "MetricName": "RequestCount",
        "Dimensions": [{"Name": name, "Value": value} for name, value in named.items()],
        "Timestamp": datetime.now(UTC) - timedelta(seconds=age),
        "Value": count,
        "Unit": "Count",
    }
    aws.cloudwatch.put_metric_data(Namespace=namespace, MetricData=[datum])


def test_nothing_is_there(aws, p):
    found = status.status(aws, p)
    assert not found
    shown = repr(found)
    for line in (
        "name      registry.elastic.io has no record",
        "balancer  absent",
        "requests  none: there is no balancer",
        "targets   0 of 0 healthy",
        "nodes     none",
        "tasks     no service",
        "events    none",
        "users     none",
    ):
        assert line in shown
    assert found.json()["balancer"] is None


def test_a_whole_deployment(deployed):
    aws, p = deployed
    parts = status.status(aws, p).parts
    assert not [part for part in parts.values() if isinstance(part, Untold)]
    assert parts["name"]["leads_to"] == parts["balancer"]["dns_name"]
    assert parts["balancer"]["kind"] == ("application" if p.scales else "classic")
    assert parts["balancer"]["state"] == "active"
    assert {each["state"] for each in parts["targets"]} == {"healthy"}
    assert {each["node"] for each in parts["targets"]} <= {node["id"] for node in parts["nodes"]}
    assert len(parts["nodes"]) == p.nodes
    assert {node["agent"] for node in parts["nodes"]} == {"in the cluster"}
    assert parts["service"]["desired"] == len(parts["tasks"]) == p.replicas
    assert {task["node"] for task in parts["tasks"]} <= {node["arn"] for node in parts["nodes"]}
    assert parts["name"]["address"] == "127.0.0.1:9"
    assert parts["tls"]["days_left"] is None
    assert parts["users"] == sorted(p.users)
    assert parts["balancer"]["requests"] == {"per_second": 0.0, "minute": None}


def test_requests_are_those_of_the_newest_whole_minute(deployed):
    aws, p = deployed
    put(aws, p, 6000, 150)
    put(aws, p, 120, 30)
    found = status_reads.balancer(aws, p)["requests"]
    assert found["per_second"] == 2.0
    now = datetime.now(UTC)
    assert now - timedelta(seconds=65) <= found["minute"] <= now - timedelta(seconds=60)


def test_without_a_newer_datum_it_is_the_last_one_of_five_minutes(aws, p):
    metric = {"LoadBalancerName": "registry"}
    assert status_reads._requests(aws, "AWS/ELB", metric) == {"per_second": 0.0, "minute": None}
    dimensions = [{"Name": "LoadBalancerName", "Value": "registry"}]
    for age, count in ((150, 60), (400, 6000)):
        moment = datetime.now(UTC) - timedelta(seconds=age)
        datum = {"MetricName": "RequestCount", "Dimensions": dimensions, "Timestamp": moment, "Value": count}
        aws.cloudwatch.put_metric_data(Namespace="AWS/ELB", MetricData=[datum])
    assert status_reads._requests(aws, "AWS/ELB", metric)["per_second"] == 1.0


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "(service x) has started 2 tasks: (task 4f3a-1) (task 4f3a-2).",
            "(service x) has started 2 tasks: (task) (task).",
        ),
        (
            "(service x) registered 1 targets in (target-group arn:aws:elasticloadbalancing:eu-central-1:123456789012:"
            "targetgroup/x-targets/0123456789abcdef)",
            "(service x) registered 1 targets in (target-group x-targets)",
        ),
        (
            "(service x) (deployment ecs-svc/0123) deployment completed.",
            "(service x) (deployment) deployment completed.",
        ),
        (
            "(service x) (instance i-0123456789) (port 5000) is unhealthy",
            "(service x) (instance) (port 5000) is unhealthy",
        ),
    ],
)
def test_an_event_is_told_without_ids(message, told):
    assert status_reads._without_ids(message) == told


def test_what_may_not_be_read_is_said_and_an_expired_login_is_an_error(aws, p, monkeypatch):
    def refuse(error):
        def read(*_):
            raise error

        return read

    denied = Denied("cloudwatch", "GetMetricData", "AccessDenied", "not authorized")
    monkeypatch.setitem(status._PARTS, "users", refuse(denied))
    assert status.status(aws, p).parts["users"] == Untold(str(denied))
    monkeypatch.setitem(status._PARTS, "users", refuse(Expired("sts", "X", "ExpiredToken", "expired")))
    with pytest.raises(Expired):
        status.status(aws, p)


def test_it_reads_alone(aws, p, monkeypatch):
    asked = []
    monkeypatch.setitem(status._PARTS, "users", lambda reader, _: asked.append(reader.is_read_only))
    status.status(aws, p)
    assert asked == [True]
    assert isinstance(aws, AWS) and not aws.is_read_only

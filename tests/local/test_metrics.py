"""CloudWatch of the embedded cloud: what is measured, in AWS's units, and how alarms are judged by it."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import pytest
from moto import mock_aws

from runbook.local import metrics, node_agent
from runbook.local.inside import autoscaling, cloudwatch, ec2
from runbook.local.metrics import Metrics

pytestmark = pytest.mark.moto

REGION = "eu-central-1"
BALANCER, GROUP = "app/registry/1f", "targetgroup/registry/2f"
ALARM = {
    "AlarmName": "unhealthy",
    "Namespace": "AWS/ApplicationELB",
    "MetricName": "UnHealthyHostCount",
    "Dimensions": [{"Name": "LoadBalancer", "Value": BALANCER}, {"Name": "TargetGroup", "Value": GROUP}],
    "Statistic": "Maximum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}


class World:
    """What is measured, as the test says it, and what CloudWatch makes of it."""

    def __init__(self, clients):
        self.services, self.groups, self.nodes = [], [], []
        self.cloudwatch, self.ec2, self.sns, self.sqs = clients
        machines = SimpleNamespace(all=lambda: self.nodes)
        self.metrics = Metrics(machines, lambda: self.services, lambda: self.groups)

    def group(self, **changes):
        plain = {"requests": 0, "target_5xx": 0, "elb_5xx": 0, "healthy": 2, "unhealthy": 0}
        row = {"region": REGION, "load_balancer": BALANCER, "target_group": GROUP, **plain, **changes}
        self.groups = [row]
        return row

    def minute(self, count=1):
        for _ in range(count):
            self.metrics.measure(2.0)

    def latest(self, namespace, name, **dimensions):
        return self.metrics.latest(cloudwatch.metric(REGION, namespace, name, **dimensions))

    def alarm(self):
        return self.cloudwatch.describe_alarms()["MetricAlarms"][0]


@pytest.fixture(scope="module")
def clients():
    """They are made once, while moto listens: making them takes longer than a test."""
    with mock_aws():
        return [boto3.client(each, region_name=REGION) for each in ("cloudwatch", "ec2", "sns", "sqs")]


@pytest.fixture
def world(clients, unmended):
    with mock_aws():
        yield World(clients)


def test_cpu_is_a_share_of_what_is_reserved(world):
    row = {"region": REGION, "cluster": "registry", "service": "registry", "cpu_seconds": 10.0, "reserved_cpu": 512}
    world.services = [row]
    world.minute()
    row["cpu_seconds"] += 0.5  # a quarter of a CPU for 2 s, of half a CPU that is reserved
    world.minute()
    assert world.latest("AWS/ECS", "CPUUtilization", ClusterName="registry", ServiceName="registry") == 50
    row["cpu_seconds"] = 0.0  # its tasks are new ones
    world.minute()
    assert world.latest("AWS/ECS", "CPUUtilization", ClusterName="registry", ServiceName="registry") == 0


def test_requests_are_counted_a_minute_and_per_target(world):
    row = world.group(requests=1000)
    world.minute()
    row["requests"], row["target_5xx"], row["elb_5xx"] = 1040, 2, 1
    world.minute()
    both = {"LoadBalancer": BALANCER, "TargetGroup": GROUP}
    namespace = "AWS/ApplicationELB"
    assert world.latest(namespace, "RequestCount", LoadBalancer=BALANCER) == 1200
    assert world.latest(namespace, "RequestCountPerTarget", TargetGroup=GROUP) == 600
    assert world.latest(namespace, "HTTPCode_Target_5XX_Count", **both) == 2
    assert world.latest(namespace, "HTTPCode_Target_5XX_Count", LoadBalancer=BALANCER) == 2
    assert world.latest(namespace, "HTTPCode_ELB_5XX_Count", LoadBalancer=BALANCER) == 1
    assert world.latest(namespace, "HealthyHostCount", **both) == 2
    world.minute()
    assert world.latest(namespace, "RequestCount", LoadBalancer=BALANCER) == 0
    assert world.latest(namespace, "HTTPCode_ELB_5XX_Count", LoadBalancer=BALANCER) is None, "reported only above zero"
    listed = world.cloudwatch.list_metrics(Namespace=namespace)["Metrics"]
    assert {"RequestCount", "RequestCountPerTarget", "UnHealthyHostCount"} <= {each["MetricName"] for each in listed}


def by_the_clock(world, namespace, **dimensions):
    """What a reader of CloudWatch is told of the last minutes of a clock."""
    named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": "RequestCount", "Dimensions": named}
    query = {"Id": "requests", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    now = datetime.now(UTC)
    answer = world.cloudwatch.get_metric_data(
        StartTime=now - timedelta(minutes=2), EndTime=now + timedelta(minutes=1), MetricDataQueries=[query]
    )
    return sum(answer["MetricDataResults"][0]["Values"])


def test_by_the_clock_there_are_as_many_requests_as_there_were(world):
    row = world.group(requests=1000)
    world.minute()
    row["requests"] = 1040
    world.minute(2)
    row["requests"] = 1050
    world.minute()
    assert by_the_clock(world, "AWS/ApplicationELB", LoadBalancer=BALANCER) == 50
    assert world.latest("AWS/ApplicationELB", "RequestCount", LoadBalancer=BALANCER) == 300


def test_a_classic_balancer_tells_of_requests_when_there_are_some(world):
    row = {"region": REGION, "load_balancer": "registry", "target_group": None, "requests": 7}
    world.groups = [row]
    world.minute()
    assert world.latest("AWS/ELB", "RequestCount", LoadBalancerName="registry") is None
    row["requests"] = 27
    world.minute()
    assert world.latest("AWS/ELB", "RequestCount", LoadBalancerName="registry") == 600
    world.minute()
    assert world.latest("AWS/ELB", "RequestCount", LoadBalancerName="registry") is None
    assert by_the_clock(world, "AWS/ELB", LoadBalancerName="registry") == 20


def test_an_alarm_goes_and_comes_back_and_tells_its_topics(world):
    sns, sqs = world.sns, world.sqs
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    queue = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:123456789012:alarms")
    world.cloudwatch.put_metric_alarm(**ALARM, AlarmActions=[topic], OKActions=[topic])
    assert world.alarm()["StateValue"] == "INSUFFICIENT_DATA"
    row = world.group()
    world.minute(3)
    assert world.alarm()["StateValue"] == "OK"
    row["unhealthy"] = 1
    world.minute(2)
    assert world.alarm()["StateValue"] == "OK"
    world.minute()
    assert world.alarm()["StateValue"] == "ALARM"
    assert world.alarm()["StateReason"].startswith("Threshold Crossed: 3 out of the last 3 datapoints [1.0, 1.0, 1.0]")
    world.cloudwatch.put_metric_alarm(**ALARM, AlarmActions=[topic], OKActions=[topic], AlarmDescription="changed")
    assert world.alarm()["StateValue"] == "ALARM", "a changed alarm keeps its state"
    row["unhealthy"] = 0
    world.minute()
    assert world.alarm()["StateValue"] == "OK"
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    told = [json.loads(json.loads(each["Body"])["Message"]) for each in received]
    assert [each["NewStateValue"] for each in told] == ["OK", "ALARM", "OK"]
    assert told[1]["AlarmName"] == "unhealthy" and told[1]["Trigger"]["Threshold"] == 1.0


def test_what_others_put_counts_as_well(world):
    datum = {"MetricName": "UnHealthyHostCount", "Dimensions": ALARM["Dimensions"], "Value": 3}
    world.cloudwatch.put_metric_alarm(**ALARM | {"EvaluationPeriods": 1})
    world.cloudwatch.put_metric_data(Namespace="AWS/ApplicationELB", MetricData=[datum])
    world.minute()
    assert world.alarm()["StateValue"] == "ALARM"


N = None


@pytest.mark.parametrize(
    ("treat", "points", "state"),
    [
        ("missing", [1, 1, 1, N, N], "ALARM"),
        ("missing", [1, 1, 0, 1, 1], "OK"),
        ("missing", [N, 1, 1, 1, N], "ALARM"),
        ("missing", [N, N, N, N, N], "INSUFFICIENT_DATA"),
        ("missing", [N, N, 1, N, N], None),
        ("missing", [N, N, 0, N, N], "OK"),
        ("notBreaching", [N, N, N, N, N], "OK"),
        ("notBreaching", [1, N, 1, N, N], "OK"),
        ("breaching", [N, N, N, N, N], "ALARM"),
        ("breaching", [1, N, N, N, N], "ALARM"),
        ("breaching", [0, N, N, N, N], "OK"),
        ("ignore", [N, N, N, N, N], None),
    ],
)
def test_missing_data(treat, points, state):
    alarm = SimpleNamespace(
        evaluation_periods=3,
        datapoints_to_alarm=None,
        threshold=1.0,
        comparison_operator="GreaterThanOrEqualToThreshold",
        treat_missing_data=treat,
    )
    assert metrics.judge(alarm, points)[0] == state


def test_two_of_three_datapoints():
    alarm = SimpleNamespace(
        evaluation_periods=3,
        datapoints_to_alarm=2,
        threshold=5.0,
        comparison_operator="LessThanThreshold",
        treat_missing_data=None,
    )
    assert metrics.judge(alarm, [4, 6, 4, 6, 6])[0] == "ALARM"
    assert metrics.judge(alarm, [4, 6, 6, 4, 4])[0] == "OK"


def test_a_longer_period_takes_the_minutes_together(world):
    row = world.group()
    world.cloudwatch.put_metric_alarm(
        **ALARM
        | {
            "MetricName": "HTTPCode_ELB_5XX_Count",
            "Dimensions": [{"Name": "LoadBalancer", "Value": BALANCER}],
            "Statistic": "Sum",
            "Period": 300,
            "EvaluationPeriods": 1,
            "Threshold": 2,
            "TreatMissingData": "notBreaching",
        }
    )
    world.minute()
    row["elb_5xx"] = 1
    world.minute()
    assert world.alarm()["StateValue"] == "OK"
    row["elb_5xx"] = 2
    world.minute()
    assert world.alarm()["StateValue"] == "ALARM", "two within five minutes"
    world.minute(4)
    assert world.alarm()["StateValue"] == "OK"


AGENT = {
    "metrics": {
        "append_dimensions": {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"},
        "aggregation_dimensions": [["AutoScalingGroupName"]],
        "metrics_collected": {"disk": {"measurement": ["used_percent"], "resources": ["/"]}},
    }
}


@pytest.mark.parametrize("group", ["registry", None])
def test_the_disk_of_a_node_with_an_agent(world, tmp_path, monkeypatch, group):
    file = tmp_path / node_agent.CONFIGURATION
    file.parent.mkdir(parents=True)
    made = world.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)
    instance = made["Instances"][0]["InstanceId"]
    world.nodes = [SimpleNamespace(root=tmp_path, region=REGION, instance_id=instance)]
    monkeypatch.setattr(autoscaling, "group_of", lambda region, instance_id: group)
    allowed = []
    monkeypatch.setattr(ec2, "role", lambda region, instance_id: "a role")
    monkeypatch.setattr(ec2, "allows", lambda role, action: action in allowed)
    world.minute()
    file.write_text(json.dumps(AGENT))
    world.minute()
    assert world.cloudwatch.list_metrics(Namespace="CWAgent")["Metrics"] == []
    allowed.append("cloudwatch:PutMetricData")
    world.minute()
    listed = world.cloudwatch.list_metrics(Namespace="CWAgent")["Metrics"]
    dimensions = [{each["Name"]: each["Value"] for each in metric["Dimensions"]} for metric in listed]
    if group:
        assert {"AutoScalingGroupName": "registry"} in dimensions
        assert 0 < world.latest("CWAgent", "disk_used_percent", AutoScalingGroupName="registry") < 100
    else:
        assert dimensions == [{"path": "/", "device": "root", "fstype": "bind", "host": instance}]

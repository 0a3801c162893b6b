"""The alarms: what they look at, whom they tell, and that one that fires is a finding."""

import pytest

import runbook
from runbook import alarms, vpc
from runbook.errors import NotOurs, StepFailed

pytestmark = pytest.mark.moto

TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call"
NAMES = ["registry-5xx-balancer", "registry-5xx-targets", "registry-disk", "registry-unhealthy-targets"]


def params(**changes):
    given = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **changes}
    return runbook.load({**runbook.load("production").model_dump(), **given})


@pytest.fixture
def p():
    return params()


def tags(p):
    return [{"Key": key, "Value": value} for key, value in p.tags.items()]


def earlier(aws, p):
    """A balancer that sends to our target group."""
    made = aws.elbv2.create_load_balancer(
        Name=p.balancer_name, Subnets=list(vpc.balancer_subnets(aws, p).values()), Tags=tags(p)
    )
    given = {"Protocol": "HTTP", "Port": 5000, "VpcId": vpc.vpc_id(aws, p), "Tags": tags(p)}
    group = aws.elbv2.create_target_group(Name=p.target_group_name, **given)["TargetGroups"][0]["TargetGroupArn"]
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    action = {"Type": "forward", "TargetGroupArn": group}
    aws.elbv2.create_listener(LoadBalancerArn=arn, Port=80, Protocol="HTTP", DefaultActions=[action])
    return arn, group


@pytest.fixture
def ready(aws, p):
    earlier(aws, p)
    return aws


def described(aws):
    return {each["AlarmName"]: each for each in aws.cloudwatch.all("describe_alarms", "MetricAlarms")}


def written(aws):
    """The alarms written from here on."""
    names = []

    def note(params, **_):
        names.append(params)

    aws.cloudwatch._client.meta.events.register("before-call.cloudwatch.PutMetricAlarm", note)
    return names


@pytest.mark.pure
def test_want():
    wanted = alarms.want_alarms(params(alarms_to=TOPIC, extra_tags={}))
    assert sorted(wanted) == NAMES
    assert wanted["registry-unhealthy-targets"] == {
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "UnHealthyHostCount",
        "Dimensions": {"LoadBalancer": "load balancer registry-alb", "TargetGroup": "target group registry-targets"},
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 3,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1.0,
        "TreatMissingData": "notBreaching",
        "ActionsEnabled": True,
        "AlarmActions": [TOPIC],
        "OKActions": [TOPIC],
        "AlarmDescription": "a registry has failed its health check for three minutes",
    }
    disk = wanted["registry-disk"]
    assert (disk["Namespace"], disk["MetricName"], disk["Threshold"]) == ("CWAgent", "disk_used_percent", 85.0)
    assert disk["Dimensions"] == {"AutoScalingGroupName": "registry-asg"} and disk["TreatMissingData"] == "missing"
    sums = {name: wanted[name]["Dimensions"].keys() for name in wanted if wanted[name]["Statistic"] == "Sum"}
    assert sums == {
        "registry-5xx-targets": {"LoadBalancer", "TargetGroup"},
        "registry-5xx-balancer": {"LoadBalancer"},
    }


def test_switched_off_there_is_nothing_to_do(aws):
    p, reader = params(alarms=False), aws.read_only()
    assert alarms.want_alarms(p) == {"Alarms": "off: nobody is told when something fails"}
    assert alarms.verify_alarms(reader, p).require()
    assert repr(alarms.ensure_alarms(reader, p)) == "= alarms: unchanged"
    assert repr(alarms.destroy_alarms(reader, p)) == "= alarms: absent"


def test_from_nothing_then_nothing_to_write(aws, p):
    balancer, group = earlier(aws, p)
    assert repr(alarms.ensure_alarms(aws, p)) == "+ alarms: created"
    assert not alarms.ensure_alarms(aws.read_only(), p)
    report = alarms.verify_alarms(aws.read_only(), p).require()
    assert "ok      registry-disk now" in repr(report)
    found = described(aws)
    assert sorted(found) == NAMES
    dimensions = {each["Name"]: each["Value"] for each in found["registry-5xx-targets"]["Dimensions"]}
    assert dimensions == {
        "LoadBalancer": balancer.partition(":loadbalancer/")[2],
        "TargetGroup": group.rpartition(":")[2],
    }
    assert dimensions["LoadBalancer"].startswith("app/registry-alb/")
    for value in dimensions.values():
        assert value not in repr(report)
    for alarm in found.values():
        assert aws.cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"] == tags(p)


def test_a_kill_anywhere_is_completed(crash_everywhere):
    def check(aws, p):
        assert alarms.verify_alarms(aws, p).require()
        assert sorted(described(aws)) == NAMES

    writes = crash_everywhere(alarms.ensure_alarms, check, prepare=earlier)
    assert writes == ["cloudwatch PutMetricAlarm"] * 4


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Threshold": 99.0}, "Threshold: wanted 1.0, found 99.0"),
        ({"EvaluationPeriods": 5, "DatapointsToAlarm": 5}, "EvaluationPeriods: wanted 3, found 5"),
        ({"Statistic": "Average"}, "Statistic: wanted Maximum, found Average"),
        ({"Period": 300}, "Period: wanted 60, found 300"),
        ({"TreatMissingData": "ignore"}, "TreatMissingData: wanted notBreaching, found ignore"),
        ({"ActionsEnabled": False}, "ActionsEnabled: wanted true, found false"),
        ({"AlarmActions": [TOPIC]}, "AlarmActions: wanted []"),
        ({"Dimensions": [{"Name": "LoadBalancer", "Value": "app/gone/1"}]}, "Dimensions.LoadBalancer: wanted load bal"),
    ],
)
def test_drift_is_named_and_mended_alone(ready, p, change, says):
    alarms.ensure_alarms(ready, p)
    alarm = described(ready)["registry-unhealthy-targets"]
    keys = ("AlarmName", "Dimensions", "AlarmDescription", "OKActions", "AlarmActions", *alarms._KEYS)
    ready.cloudwatch.put_metric_alarm(**{key: alarm[key] for key in keys if key in alarm} | change)
    assert f"registry-unhealthy-targets.{says}" in alarms.verify_alarms(ready, p).failures()
    names = written(ready)
    assert repr(alarms.ensure_alarms(ready, p)).startswith("~ alarms: changed")
    assert len(names) == 1
    assert alarms.verify_alarms(ready, p).require()


def test_a_new_balancer_of_the_same_name_is_followed(aws, p):
    balancer, group = earlier(aws, p)
    alarms.ensure_alarms(aws, p)
    for listener in aws.elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"]:
        aws.elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    aws.elbv2.delete_load_balancer(LoadBalancerArn=balancer)
    aws.elbv2.delete_target_group(TargetGroupArn=group)
    assert "wanted load balancer registry-alb, found another" in alarms.verify_alarms(aws, p).failures()
    earlier(aws, p)
    alarms.ensure_alarms(aws, p)
    assert alarms.verify_alarms(aws, p).require()


def test_one_that_fires_is_a_finding_and_no_reason_to_write(ready, p):
    alarms.ensure_alarms(ready, p)
    ready.cloudwatch.set_alarm_state(
        AlarmName="registry-disk", StateValue="ALARM", StateReason="full", StateReasonData="{}"
    )
    assert alarms.verify_alarms(ready, p).failures() == (
        "alarms: registry-disk now: wanted not in ALARM, found in ALARM"
    )
    assert not alarms.ensure_alarms(ready.read_only(), p)


def test_the_topic_must_be_there(ready):
    p = params(alarms_to=TOPIC)
    with pytest.raises(StepFailed, match=r"\(alarms_to\) is not there: create it"):
        alarms.ensure_alarms(ready, p)
    elsewhere = params(alarms_to=TOPIC.replace("eu-central-1", "us-east-1"))
    with pytest.raises(StepFailed, match="is in region us-east-1, the alarms in eu-central-1"):
        alarms.ensure_alarms(ready, elsewhere)
    assert described(ready) == {}
    ready.sns.create_topic(Name="on-call")
    alarms.ensure_alarms(ready, p)
    assert alarms.verify_alarms(ready, p).require()
    assert described(ready)["registry-disk"]["AlarmActions"] == [TOPIC]


def test_without_the_balancer_the_notebook_is_named(aws, p):
    with pytest.raises(StepFailed, match="need load balancer registry-alb .* run notebook 05_configure_https"):
        alarms.ensure_alarms(aws, p)
    assert described(aws) == {}


def test_an_alarm_of_that_name_without_our_tag_is_left_alone(ready, p):
    given = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", "Namespace": "X", "MetricName": "y"}
    ready.cloudwatch.put_metric_alarm(AlarmName="registry-disk", Period=60, Statistic="Sum", Threshold=1, **given)
    for verb in (alarms.find_alarms, alarms.ensure_alarms, alarms.verify_alarms, alarms.destroy_alarms):
        with pytest.raises(NotOurs, match="alarm registry-disk"):
            verb(ready, p)
    assert sorted(described(ready)) == ["registry-disk"]


def test_destroy_leaves_nothing_and_can_be_repeated(ready, p):
    alarms.ensure_alarms(ready, p)
    assert repr(alarms.destroy_alarms(ready, p)) == "- alarms: destroyed"
    assert described(ready) == {}
    assert repr(alarms.destroy_alarms(ready.read_only(), p)) == "= alarms: absent"
    assert alarms.verify_alarms(ready, p).absent

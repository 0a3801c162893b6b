"""The application balancer: what is created, what is changed, what is waited for, and what AWS refuses."""

from types import SimpleNamespace

import pytest
from test_classic_balancer import bring_certificate, pair  # noqa: F401 (pair is a fixture)

import runbook
from runbook import application_balancer as balancer
from runbook import target_group, target_health, vpc
from runbook.errors import AwsError, NotOurs, StepFailed

pytestmark = pytest.mark.moto


def params(**changes):
    given = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", "certificate": "imported"}
    return runbook.load({**runbook.load("production").model_dump(), **given, **changes})


@pytest.fixture
def p():
    return params()


def tags(p):
    return [{"Key": key, "Value": value} for key, value in p.tags.items()]


def make_group(aws, p, name, tags):
    specification = {"ResourceType": "security-group", "Tags": tags}
    given = {"GroupName": name, "Description": "balancer", "VpcId": vpc.vpc_id(aws, p)}
    return aws.ec2.create_security_group(**given, TagSpecifications=[specification])["GroupId"]


@pytest.fixture
def earlier(pair):  # noqa: F811
    """What the steps before this one make."""

    def make(aws, p):
        make_group(aws, p, p.balancer_group, tags(p))
        bring_certificate(aws, p, pair)

    return make


@pytest.fixture
def ready(aws, p, earlier):
    earlier(aws, p)
    return aws


def described(aws, p):
    return aws.elbv2.describe_load_balancers(Names=[p.balancer_name])["LoadBalancers"][0]


def listener(aws, p, port):
    found = aws.elbv2.describe_listeners(LoadBalancerArn=described(aws, p)["LoadBalancerArn"])["Listeners"]
    return next(each for each in found if each["Port"] == port)


def changed(aws):
    """The writes from here on."""
    writes = []

    def note(model, **_):
        if not model.name.startswith(("Describe", "List", "Get")):
            writes.append(model.name)

    aws.elbv2._client.meta.events.register("before-call", note)
    return writes


@pytest.mark.pure
def test_want():
    wanted = balancer.want_balancer(
        params(idle_timeout=900, deletion_protection=True, deregistration_delay=60, extra_tags={})
    )
    assert wanted == {
        "LoadBalancerName": "registry-alb",
        "Type": "application",
        "Scheme": "internet-facing",
        "Subnets": "one public subnet of each availability zone",
        "SecurityGroups": ["registry-alb"],
        "Attributes": {
            "idle_timeout.timeout_seconds": "900",
            "deletion_protection.enabled": "true",
            "routing.http.drop_invalid_header_fields.enabled": "true",
            "routing.http.desync_mitigation_mode": "defensive",
            "access_logs.s3.enabled": "false",
        },
        "Listeners": {
            "443": {
                "Protocol": "HTTPS",
                "Certificate": "certificate of registry.elastic.io",
                "TlsPolicy": "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09",
                "DefaultActions": [{"Type": "forward", "TargetGroup": "registry-targets"}],
            },
            "80": {
                "Protocol": "HTTP",
                "DefaultActions": [
                    {
                        "Type": "redirect",
                        "RedirectConfig": {
                            "Protocol": "HTTPS",
                            "Port": "443",
                            "Host": "#{host}",
                            "Path": "/#{path}",
                            "Query": "#{query}",
                            "StatusCode": "HTTP_301",
                        },
                    }
                ],
            },
        },
        "ListenerPorts": [80, 443],
        "TargetGroup": {
            "TargetGroupName": "registry-targets",
            "TargetType": "instance",
            "Protocol": "HTTP",
            "Port": 5000,
            "Vpc": "that of the nodes",
            "HealthCheck": {
                "HealthCheckProtocol": "HTTP",
                "HealthCheckPort": "traffic-port",
                "HealthCheckPath": "/",
                "HealthCheckIntervalSeconds": 10,
                "HealthCheckTimeoutSeconds": 5,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "Matcher": {"HttpCode": "200"},
            },
            "Attributes": {
                "deregistration_delay.timeout_seconds": "60",
                "slow_start.duration_seconds": "0",
                "load_balancing.algorithm.type": "round_robin",
            },
        },
        "State": "active",
    }


@pytest.mark.pure
def test_access_logs_go_to_the_named_bucket():
    wanted = balancer.want_balancer(params(access_logs="our-logs"))["Attributes"]
    assert {key: value for key, value in wanted.items() if key.startswith("access_logs")} == {
        "access_logs.s3.enabled": "true",
        "access_logs.s3.bucket": "our-logs",
        "access_logs.s3.prefix": "registry",
    }


def test_from_nothing_then_nothing_to_write(ready, p):
    assert repr(balancer.ensure_balancer(ready, p)) == "+ load balancer registry-alb: created"
    assert not balancer.ensure_balancer(ready.read_only(), p)
    report = balancer.verify_balancer(ready.read_only(), p).require()
    found, group = described(ready, p), target_group.describe(ready, p)
    assert {zone["SubnetId"] for zone in found["AvailabilityZones"]} == set(vpc.balancer_subnets(ready, p).values())
    arns = [found["LoadBalancerArn"], group["TargetGroupArn"]]
    arns += [listener(ready, p, port)["ListenerArn"] for port in (80, 443)]
    for arn in arns:
        assert arn not in repr(report)
        assert ready.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == tags(p)
    assert found["DNSName"] not in repr(report)
    assert listener(ready, p, 443)["DefaultActions"][0]["TargetGroupArn"] == group["TargetGroupArn"]
    assert target_health.health(ready, p) == []


def test_a_kill_anywhere_is_completed(crash_everywhere, earlier):
    def check(aws, p):
        assert balancer.verify_balancer(aws, p).require()
        assert len(aws.elbv2.all("describe_load_balancers", "LoadBalancers")) == 1
        assert len(aws.elbv2.all("describe_target_groups", "TargetGroups")) == 1

    writes = crash_everywhere(balancer.ensure_balancer, check, prepare=earlier)
    assert [write.rpartition(" ")[2] for write in writes] == [
        "CreateTargetGroup",
        "CreateLoadBalancer",
        "ModifyLoadBalancerAttributes",
        "CreateListener",
        "CreateListener",
    ]


def _attribute(key, value):
    def drift(aws, p, pair):  # noqa: F811
        arn = described(aws, p)["LoadBalancerArn"]
        aws.elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}])

    return drift


def _group_attribute(key, value):
    def drift(aws, p, pair):  # noqa: F811
        arn = target_group.describe(aws, p)["TargetGroupArn"]
        aws.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[{"Key": key, "Value": value}])

    return drift


def _health_check(**changes):
    def drift(aws, p, pair):  # noqa: F811
        aws.elbv2.modify_target_group(TargetGroupArn=target_group.describe(aws, p)["TargetGroupArn"], **changes)

    return drift


def _certificate(aws, p, pair):  # noqa: F811
    other = bring_certificate(aws, p, pair, Tags=[{"Key": "another", "Value": "one"}])
    arn = listener(aws, p, 443)["ListenerArn"]
    aws.elbv2.modify_listener(ListenerArn=arn, Certificates=[{"CertificateArn": other}], DefaultActions=[])


def _policy(aws, p, pair):  # noqa: F811
    arn = listener(aws, p, 443)["ListenerArn"]
    aws.elbv2.modify_listener(ListenerArn=arn, SslPolicy="ELBSecurityPolicy-2016-08", DefaultActions=[])


def _other_target_group(aws, p, pair):  # noqa: F811
    other = aws.elbv2.create_target_group(Name="other", Protocol="HTTP", Port=80, VpcId=vpc.vpc_id(aws, p))
    action = {"Type": "forward", "TargetGroupArn": other["TargetGroups"][0]["TargetGroupArn"]}
    aws.elbv2.modify_listener(ListenerArn=listener(aws, p, 443)["ListenerArn"], DefaultActions=[action])


def _plain_port_80(aws, p, pair):  # noqa: F811
    action = {"Type": "forward", "TargetGroupArn": target_group.describe(aws, p)["TargetGroupArn"]}
    aws.elbv2.modify_listener(ListenerArn=listener(aws, p, 80)["ListenerArn"], DefaultActions=[action])


def _third_listener(aws, p, pair):  # noqa: F811
    action = {"Type": "forward", "TargetGroupArn": target_group.describe(aws, p)["TargetGroupArn"]}
    arn = described(aws, p)["LoadBalancerArn"]
    aws.elbv2.create_listener(LoadBalancerArn=arn, Port=8080, Protocol="HTTP", DefaultActions=[action])


def _no_listener(aws, p, pair):  # noqa: F811
    aws.elbv2.delete_listener(ListenerArn=listener(aws, p, 443)["ListenerArn"])


def _security_group(aws, p, pair):  # noqa: F811
    other = make_group(aws, p, "another", [{"Key": "another", "Value": "one"}])
    aws.elbv2.set_security_groups(LoadBalancerArn=described(aws, p)["LoadBalancerArn"], SecurityGroups=[other])


def _subnets(aws, p, pair):  # noqa: F811
    arn = described(aws, p)["LoadBalancerArn"]
    aws.elbv2.set_subnets(LoadBalancerArn=arn, Subnets=list(vpc.balancer_subnets(aws, p).values())[:2])


@pytest.mark.parametrize(
    ("drift", "says", "mended_by"),
    [
        (_attribute("idle_timeout.timeout_seconds", "60"), "wanted 300, found 60", "ModifyLoadBalancerAttributes"),
        (_attribute("deletion_protection.enabled", "true"), "found true", "ModifyLoadBalancerAttributes"),
        (_attribute("routing.http.drop_invalid_header_fields.enabled", "false"), "drop_invalid_header_fields.enabled: "
         "wanted true, found false", "ModifyLoadBalancerAttributes"),
        (_attribute("routing.http.desync_mitigation_mode", "monitor"), "found monitor", "ModifyLoadBalancerAttributes"),
        (_attribute("access_logs.s3.enabled", "true"), "access_logs.s3.enabled", "ModifyLoadBalancerAttributes"),
        (_group_attribute("deregistration_delay.timeout_seconds", "5"), "wanted 300, found 5",
         "ModifyTargetGroupAttributes"),
        (_group_attribute("load_balancing.algorithm.type", "least_outstanding_requests"), "wanted round_robin",
         "ModifyTargetGroupAttributes"),
        (_health_check(HealthCheckPath="/v2/"), "HealthCheckPath: wanted /, found /v2/", "ModifyTargetGroup"),
        (_health_check(Matcher={"HttpCode": "200-499"}), "HttpCode: wanted 200, found 200-499", "ModifyTargetGroup"),
        (_health_check(UnhealthyThresholdCount=10), "UnhealthyThresholdCount: wanted 3, found 10", "ModifyTargetGroup"),
        (_certificate, "found another certificate", "ModifyListener"),
        (_policy, "found ELBSecurityPolicy-2016-08", "ModifyListener"),
        (_other_target_group, "another target group", "ModifyListener"),
        (_plain_port_80, "Listeners.80.DefaultActions", "ModifyListener"),
        (_third_listener, "ListenerPorts: wanted [80, 443], found [80, 443, 8080]", "DeleteListener"),
        (_no_listener, "ListenerPorts: wanted [80, 443], found [80]", "CreateListener"),
        (_security_group, 'SecurityGroups: wanted ["registry-alb"], found ["another"]', "SetSecurityGroups"),
        (_subnets, "Subnets: wanted one public subnet of each availability zone, found other subnets", "SetSubnets"),
    ],
)  # fmt: skip
def test_drift_is_named_and_mended_alone(ready, p, pair, drift, says, mended_by):  # noqa: F811
    balancer.ensure_balancer(ready, p)
    drift(ready, p, pair)
    assert says in balancer.verify_balancer(ready, p).failures()
    writes = changed(ready)
    assert repr(balancer.ensure_balancer(ready, p)).startswith("~ load balancer registry-alb: changed")
    assert writes == [mended_by]
    assert balancer.verify_balancer(ready, p).require()
    assert not balancer.ensure_balancer(ready.read_only(), p)


def test_what_is_missing_is_named_with_its_notebook(aws, p, pair):  # noqa: F811
    with pytest.raises(StepFailed, match="the security group registry-alb, .* run notebook 02_create_a_task"):
        balancer.ensure_balancer(aws, p)
    make_group(aws, p, p.balancer_group, tags(p))
    with pytest.raises(StepFailed, match="certificate of registry.elastic.io, issued, .* notebook 05_configure"):
        balancer.ensure_balancer(aws, p)
    requested = params(certificate="request")
    aws.acm.request_certificate(DomainName=p.domain, ValidationMethod="DNS", Tags=tags(p))
    with pytest.raises(StepFailed, match="certificate of registry.elastic.io, issued, .* notebook 05_configure"):
        balancer.ensure_balancer(aws, requested)
    assert aws.elbv2.all("describe_target_groups", "TargetGroups") == []


def test_it_waits_until_active_and_says_why_one_failed(ready, p, monkeypatch):
    naps, states = [], ["active", "provisioning", "provisioning"]
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: len(naps), sleep=naps.append))
    balancer.ensure_balancer(ready, p)

    def provision(parsed, **_):
        for each in parsed["LoadBalancers"]:
            each["State"] = {"Code": states[0] if len(states) == 1 else states.pop(), "Reason": "no address is free"}

    ready.elbv2._client.meta.events.register("after-call.elastic-load-balancing-v2.DescribeLoadBalancers", provision)
    states[:] = ["active", *["provisioning"] * 6]
    balancer.ensure_balancer(ready, p)
    assert naps
    states[:] = ["failed"]
    assert "State: wanted active, found failed" in balancer.verify_balancer(ready, p).failures()
    with pytest.raises(StepFailed, match="no address is free; destroy it and run this again"):
        balancer.ensure_balancer(ready, p)


def test_a_bucket_that_takes_no_logs_is_told_with_the_statement_that_it_needs(ready):
    p = params(access_logs="our-logs")

    def refuse(params, **_):
        if "access_logs" in str(params["body"]):
            raise AwsError("elasticloadbalancing", "ModifyLoadBalancerAttributes", "InvalidConfigurationRequest",
                           "Access Denied for bucket: our-logs")  # fmt: skip

    event = "before-call.elastic-load-balancing-v2.ModifyLoadBalancerAttributes"
    ready.elbv2._client.meta.events.register(event, refuse)
    with pytest.raises(StepFailed) as caught:
        balancer.ensure_balancer(ready, p)
    assert "Access Denied for bucket: our-logs. Bucket our-logs must be in eu-central-1" in str(caught.value)
    assert '"Service": "logdelivery.elasticloadbalancing.amazonaws.com"' in str(caught.value)
    assert '"Resource": "arn:aws:s3:::our-logs/registry/AWSLogs/123456789012/*"' in str(caught.value)
    ready.elbv2._client.meta.events.unregister(event, refuse)
    balancer.ensure_balancer(ready, p)
    assert balancer.verify_balancer(ready, p).require()


def test_a_new_certificate_may_take_a_while(ready, p, monkeypatch):
    naps, answers = [], iter(["CertificateNotFound", "CertificateNotFound"])
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: len(naps), sleep=naps.append))

    def refuse(**_):
        if code := next(answers, None):
            raise AwsError("elasticloadbalancing", "CreateListener", code, "not found")

    ready.elbv2._client.meta.events.register("before-call.elastic-load-balancing-v2.CreateListener", refuse)
    balancer.ensure_balancer(ready, p)
    assert len(naps) == 2 and balancer.verify_balancer(ready, p)


def test_what_carries_the_names_without_our_tag_is_left_alone(ready, p):
    group = {"Protocol": "HTTP", "Port": 80, "VpcId": vpc.vpc_id(ready, p)}
    theirs = ready.elbv2.create_target_group(Name=p.target_group_name, **group)["TargetGroups"][0]["TargetGroupArn"]
    verbs = (balancer.find_balancer, balancer.ensure_balancer, balancer.verify_balancer, balancer.destroy_balancer)
    for verb in verbs:
        with pytest.raises(NotOurs, match="target group registry-targets"):
            verb(ready, p)
    assert ready.elbv2.all("describe_load_balancers", "LoadBalancers") == []
    ready.elbv2.delete_target_group(TargetGroupArn=theirs)
    ready.elbv2.create_load_balancer(Name=p.balancer_name, Subnets=list(vpc.balancer_subnets(ready, p).values()))
    for verb in verbs:
        with pytest.raises(NotOurs, match="load balancer registry-alb"):
            verb(ready, p)
    assert len(ready.elbv2.all("describe_load_balancers", "LoadBalancers")) == 1
    assert ready.elbv2.all("describe_target_groups", "TargetGroups") == []


def test_what_cannot_be_changed_is_said(ready, p):
    group = {"Protocol": "HTTP", "Port": 81, "VpcId": vpc.vpc_id(ready, p), "Tags": tags(p)}
    ready.elbv2.create_target_group(Name=p.target_group_name, **group)
    with pytest.raises(StepFailed, match="target group registry-targets: Port is 81 instead of 5000"):
        balancer.ensure_balancer(ready, p)
    balancer.destroy_balancer(ready, p)
    ready.elbv2.create_load_balancer(
        Name=p.balancer_name, Scheme="internal", Subnets=list(vpc.balancer_subnets(ready, p).values()), Tags=tags(p)
    )
    with pytest.raises(StepFailed, match="is internal, which cannot be changed"):
        balancer.ensure_balancer(ready, p)


def test_destroy_lifts_the_protection_leaves_nothing_and_can_be_repeated(ready):
    p = params(deletion_protection=True)
    balancer.ensure_balancer(ready, p)
    writes = changed(ready)
    assert repr(balancer.destroy_balancer(ready, p)) == "- load balancer registry-alb: destroyed"
    assert writes == [
        "ModifyLoadBalancerAttributes",
        "DeleteListener",
        "DeleteListener",
        "DeleteLoadBalancer",
        "DeleteTargetGroup",
    ]
    assert ready.elbv2.all("describe_load_balancers", "LoadBalancers") == []
    assert ready.elbv2.all("describe_target_groups", "TargetGroups") == []
    assert repr(balancer.destroy_balancer(ready.read_only(), p)) == "= load balancer registry-alb: absent"
    assert balancer.verify_balancer(ready, p).absent


def test_a_target_group_alone_is_taken_away_too(ready, p):
    target_group.ensure(ready, p)
    assert balancer.verify_balancer(ready, p).absent
    assert repr(balancer.destroy_balancer(ready, p)) == "- load balancer registry-alb: destroyed"
    assert ready.elbv2.all("describe_target_groups", "TargetGroups") == []

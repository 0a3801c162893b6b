"""The classic balancer: what is created, what is changed, and how long it is waited for."""

from types import SimpleNamespace

import pytest

import runbook
from runbook import acm, vpc
from runbook import classic_balancer as balancer
from runbook.errors import AwsError, NotOurs, StepFailed, TimedOut
from runbook.instances import node_name
from runbook.local.inside import acm as inside_acm
from runbook.local.inside import elb as inside

pytestmark = pytest.mark.moto


def params(**changes):
    return runbook.load({**runbook.load("blog").model_dump(), "cloud": "aws", **changes})


@pytest.fixture(autouse=True)
def mended(monkeypatch, p, unmended):
    """moto with the embedded cloud's mending, and every registered instance healthy from the start."""
    inside.install()
    inside_acm.install()
    monkeypatch.setattr(inside, "REGISTERING", inside.IN_SERVICE)


@pytest.fixture(scope="module")
def pair():
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry.elastic.io")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=90))
        .sign(key, hashes.SHA256())
    )
    pem, clear = serialization.Encoding.PEM, serialization.NoEncryption()
    return certificate.public_bytes(pem), key.private_bytes(pem, serialization.PrivateFormat.PKCS8, clear)


def tags(p, **more):
    return [{"Key": key, "Value": value} for key, value in {**p.tags, **more}.items()]


def bring_certificate(aws, p, pair, **how):
    given = {"Certificate": pair[0], "PrivateKey": pair[1]}
    return aws.acm.import_certificate(**given, **(how or {"Tags": tags(p)}))["CertificateArn"]


def start_node(aws, p, index=1):
    specification = {"ResourceType": "instance", "Tags": tags(p, Name=node_name(p, index))}
    started = aws.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=[specification])
    return started["Instances"][0]["InstanceId"]


def make_group(aws, p):
    specification = {"ResourceType": "security-group", "Tags": tags(p)}
    name = {"GroupName": p.balancer_group, "Description": "balancer", "VpcId": vpc.vpc_id(aws, p)}
    return aws.ec2.create_security_group(**name, TagSpecifications=[specification])["GroupId"]


@pytest.fixture
def earlier(pair):
    """What the notebooks before this step make."""

    def make(aws, p):
        make_group(aws, p)
        start_node(aws, p)
        bring_certificate(aws, p, pair)

    return make


@pytest.fixture
def ready(aws, p, earlier):
    earlier(aws, p)
    return aws


@pytest.mark.pure
def test_want(p):
    assert balancer.want_balancer(params(idle_timeout=900), nodes=("registry-node-1",)) == {
        "LoadBalancerName": "registry",
        "Scheme": "internet-facing",
        "Subnets": "the default subnet of each availability zone",
        "SecurityGroups": ["registry-balancer"],
        "Listeners": {
            "443": {
                "Protocol": "HTTPS",
                "InstanceProtocol": "HTTP",
                "InstancePort": 5000,
                "Certificate": "certificate of registry.elastic.io",
                "TlsPolicy": "ELBSecurityPolicy-TLS-1-2-2017-01",
            }
        },
        "ListenerPorts": [443],
        "HealthCheck": {
            "Target": "TCP:5000",
            "Interval": 10,
            "Timeout": 5,
            "HealthyThreshold": 2,
            "UnhealthyThreshold": 2,
        },
        "Attributes": {
            "CrossZoneLoadBalancing": {"Enabled": True},
            "ConnectionDraining": {"Enabled": True, "Timeout": 300},
            "ConnectionSettings": {"IdleTimeout": 900},
        },
        "Instances": ["registry-node-1"],
    }


def test_from_nothing_then_nothing_to_write(ready, p):
    assert repr(balancer.ensure_balancer(ready, p)) == "+ load balancer registry: created"
    assert not balancer.ensure_balancer(ready.read_only(), p)
    report = balancer.verify_balancer(ready.read_only(), p).require()
    assert "ok      nodes in service" in repr(report)
    found = ready.elb.describe_load_balancers(LoadBalancerNames=["registry"])["LoadBalancerDescriptions"][0]
    assert (
        sorted(found["Subnets"]) == sorted(list(vpc.balancer_subnets(ready, p).values())) and len(found["Subnets"]) > 1
    )
    listener = found["ListenerDescriptions"][0]["Listener"]
    assert listener["SSLCertificateId"] == acm.certificate_arn(ready, p)
    for hidden in (found["DNSName"], listener["SSLCertificateId"], *found["Subnets"], *found["SecurityGroups"]):
        assert hidden not in repr(report)


def test_a_kill_anywhere_is_completed(crash_everywhere, p, earlier):
    def check(aws, p):
        assert balancer.verify_balancer(aws, p).require()
        assert len(aws.elb.all("describe_load_balancers", "LoadBalancerDescriptions")) == 1

    writes = crash_everywhere(balancer.ensure_balancer, check, prepare=earlier)
    assert [write.partition(" ")[2] for write in writes] == [
        "CreateLoadBalancer",
        "CreateLoadBalancerPolicy",
        "SetLoadBalancerPoliciesOfListener",
        "ConfigureHealthCheck",
        "ModifyLoadBalancerAttributes",
        "RegisterInstancesWithLoadBalancer",
    ]


NAME = {"LoadBalancerName": "registry"}


def _listener(aws, p, pair):
    aws.elb.delete_load_balancer_listeners(**NAME, LoadBalancerPorts=[443])
    plain = {"Protocol": "HTTP", "LoadBalancerPort": 443, "InstanceProtocol": "HTTP", "InstancePort": 5000}
    aws.elb.create_load_balancer_listeners(**NAME, Listeners=[plain])


def _second_listener(aws, p, pair):
    plain = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 5000}
    aws.elb.create_load_balancer_listeners(**NAME, Listeners=[plain])


def _no_listener(aws, p, pair):
    aws.elb.delete_load_balancer_listeners(**NAME, LoadBalancerPorts=[443])


def _instance_protocol(aws, p, pair):
    aws.elb.delete_load_balancer_listeners(**NAME, LoadBalancerPorts=[443])
    other = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstanceProtocol": "HTTPS", "InstancePort": 5000}
    certificate = {"SSLCertificateId": acm.certificate_arn(aws, p)}
    aws.elb.create_load_balancer_listeners(**NAME, Listeners=[{**other, **certificate}])


def _certificate(aws, p, pair):
    other = bring_certificate(aws, p, pair, Tags=[{"Key": "another", "Value": "one"}])
    aws.elb.set_load_balancer_listener_ssl_certificate(**NAME, LoadBalancerPort=443, SSLCertificateId=other)


def _policy(aws, p, pair):
    aws.elb.set_load_balancer_policies_of_listener(**NAME, LoadBalancerPort=443, PolicyNames=[])


def _health(aws, p, pair):
    check = {"Interval": 30, "Timeout": 5, "HealthyThreshold": 10, "UnhealthyThreshold": 2}
    aws.elb.configure_health_check(**NAME, HealthCheck={"Target": "HTTP:5000/", **check})


def _attributes(**attributes):
    def drift(aws, p, pair):
        aws.elb.modify_load_balancer_attributes(**NAME, LoadBalancerAttributes=attributes)

    return drift


def _group(aws, p, pair):
    group = {"GroupName": "another", "Description": "x", "VpcId": vpc.vpc_id(aws, p)}
    made = aws.ec2.create_security_group(**group)["GroupId"]
    aws.elb.apply_security_groups_to_load_balancer(**NAME, SecurityGroups=[made])


def _subnet(aws, p, pair):
    aws.elb.detach_load_balancer_from_subnets(**NAME, Subnets=list(vpc.balancer_subnets(aws, p).values())[:1])


def _new_node(aws, p, pair):
    start_node(aws, params(nodes=2), 2)


def _old_instance(aws, p, pair):
    other = aws.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    aws.elb.register_instances_with_load_balancer(**NAME, Instances=[{"InstanceId": other}])


@pytest.mark.parametrize(
    ("drift", "says", "nodes"),
    [
        (_listener, "Listeners.443.Protocol: wanted HTTPS, found HTTP", 1),
        (_second_listener, "ListenerPorts: wanted [443], found [80, 443]", 1),
        (_no_listener, "ListenerPorts: wanted [443], found []", 1),
        (_instance_protocol, "Listeners.443.InstanceProtocol: wanted HTTP, found HTTPS", 1),
        (_certificate, "found another certificate", 1),
        (_policy, "TlsPolicy: wanted ELBSecurityPolicy-TLS-1-2-2017-01, found absent", 1),
        (_health, "HealthCheck.Target: wanted TCP:5000, found HTTP:5000/", 1),
        (_attributes(ConnectionSettings={"IdleTimeout": 60}), "IdleTimeout: wanted 300, found 60", 1),
        (_attributes(ConnectionDraining={"Enabled": True, "Timeout": 9}), "Draining.Timeout: wanted 300, found 9", 1),
        (_attributes(CrossZoneLoadBalancing={"Enabled": False}), "CrossZoneLoadBalancing.Enabled: wanted true", 1),
        (_group, 'SecurityGroups: wanted ["registry-balancer"], found ["another"]', 1),
        (_subnet, "Subnets: wanted the default subnet of each availability zone, found other subnets", 1),
        (_new_node, 'found ["registry-node-1"]', 2),
        (_old_instance, 'found ["an instance that is no node", "registry-node-1"]', 1),
    ],
)
def test_drift_is_named_and_mended(ready, p, pair, drift, says, nodes):
    balancer.ensure_balancer(ready, p)
    drift(ready, p, pair)
    p = params(nodes=nodes)
    assert says in balancer.verify_balancer(ready, p).failures()
    assert repr(balancer.ensure_balancer(ready, p)).startswith("~ load balancer registry: changed")
    assert balancer.verify_balancer(ready, p).require()
    assert not balancer.ensure_balancer(ready.read_only(), p)


def test_a_certificate_under_a_new_arn_is_put_into_the_listener(ready, p, pair):
    balancer.ensure_balancer(ready, p)
    ready.acm.delete_certificate(CertificateArn=acm.certificate_arn(ready, p))
    assert "found another certificate" in balancer.verify_balancer(ready, p).failures()
    new = bring_certificate(ready, p, pair)
    balancer.ensure_balancer(ready, p)
    found = ready.elb.describe_load_balancers(LoadBalancerNames=["registry"])["LoadBalancerDescriptions"][0]
    assert found["ListenerDescriptions"][0]["Listener"]["SSLCertificateId"] == new


def test_none_in_service_ends_in_what_the_balancer_says(ready, p, monkeypatch):
    monkeypatch.setattr(inside, "REGISTERING", inside.FAILED)
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr("runbook.wait.time", clock)
    with pytest.raises(
        TimedOut, match=r"0 of 1 nodes in service, 1 needed; registry-node-1 is OutOfService \(Inst.*\)"
    ):
        balancer.ensure_balancer(ready, p)
    assert balancer.verify_balancer(ready, p).failures() == (
        "load balancer registry: nodes in service: wanted at least 1, found 0"
    )
    health = {running.id: inside.IN_SERVICE for running in balancer.running_nodes(ready, p)}
    inside.write_health("eu-central-1", "registry", health)
    assert not balancer.ensure_balancer(ready.read_only(), p)


def test_a_new_certificate_may_take_a_while(ready, p, monkeypatch):
    naps, answers = [], iter(["CertificateNotFound", "CertificateNotFound"])
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: len(naps), sleep=naps.append))

    def refuse(**_):
        if code := next(answers, None):
            raise AwsError("elasticloadbalancing", "CreateLoadBalancer", code, "Server Certificate not found")

    ready.elb._client.meta.events.register("before-call.elastic-load-balancing.CreateLoadBalancer", refuse)
    balancer.ensure_balancer(ready, p)
    assert len(naps) == 2 and balancer.verify_balancer(ready, p)


def test_what_is_missing_is_named_with_its_notebook(aws, p, pair):
    with pytest.raises(StepFailed, match="the security group registry-balancer, .* run notebook 02_create_a_task"):
        balancer.ensure_balancer(aws, p)
    make_group(aws, p)
    with pytest.raises(StepFailed, match="a running node, .* run notebook 02_create_a_task_definition"):
        balancer.ensure_balancer(aws, p)
    node = start_node(aws, p)
    with pytest.raises(StepFailed, match="certificate of registry.elastic.io in ACM, .* run notebook 05_configure"):
        balancer.ensure_balancer(aws, p)
    bring_certificate(aws, p, pair)
    aws.ec2.stop_instances(InstanceIds=[node])
    with pytest.raises(StepFailed, match="a running node"):
        balancer.ensure_balancer(aws, p)
    assert balancer.find_balancer(aws, p) is None


def test_a_balancer_of_that_name_without_our_tag_is_left_alone(ready, p):
    plain = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
    ready.elb.create_load_balancer(**NAME, Listeners=[plain], Subnets=list(vpc.balancer_subnets(ready, p).values())[:1])
    for verb in (balancer.find_balancer, balancer.ensure_balancer, balancer.verify_balancer, balancer.destroy_balancer):
        with pytest.raises(NotOurs, match="load balancer registry"):
            verb(ready, p)
    assert len(ready.elb.all("describe_load_balancers", "LoadBalancerDescriptions")) == 1


def test_an_internal_one_cannot_be_changed(ready, p):
    plain = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
    how = {"Scheme": "internal", "Tags": tags(p), "Subnets": list(vpc.balancer_subnets(ready, p).values())[:1]}
    ready.elb.create_load_balancer(**NAME, Listeners=[plain], **how)
    with pytest.raises(StepFailed, match="is internal, which cannot be changed"):
        balancer.ensure_balancer(ready, p)


def test_destroy_leaves_nothing_and_can_be_repeated(ready, p):
    balancer.ensure_balancer(ready, p)
    assert repr(balancer.destroy_balancer(ready, p)) == "- load balancer registry: destroyed"
    assert ready.elb.all("describe_load_balancers", "LoadBalancerDescriptions") == []
    assert repr(balancer.destroy_balancer(ready.read_only(), p)) == "= load balancer registry: absent"
    assert balancer.verify_balancer(ready, p).absent

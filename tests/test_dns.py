"""The registry's record in Route 53, and the mark beside it that says whose it is."""

from types import SimpleNamespace

import pytest

import runbook
from runbook import dns, vpc
from runbook.errors import NotOurs, StepFailed

pytestmark = pytest.mark.moto


def make_zone(aws, p, **options):
    return aws.route53.create_hosted_zone(Name=p.zone, CallerReference=str(options), **options)["HostedZone"]["Id"]


def make_balancer(aws, p):
    plain = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
    how = {
        "LoadBalancerName": p.balancer_name,
        "Listeners": [plain],
        "Subnets": list(vpc.balancer_subnets(aws, p).values())[:1],
    }
    return aws.elb.create_load_balancer(**how)["DNSName"]


def prepare(aws, p):
    make_zone(aws, p)
    make_balancer(aws, p)


@pytest.fixture
def zone(aws, p):
    return make_zone(aws, p)


@pytest.fixture
def host(aws, p):
    return make_balancer(aws, p)


def production(**changes):
    given = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **changes}
    return runbook.load({**runbook.load("production").model_dump(), **given})


def make_application_balancer(aws, p):
    made = aws.elbv2.create_load_balancer(Name=p.balancer_name, Subnets=list(vpc.balancer_subnets(aws, p).values()))[
        "LoadBalancers"
    ][0]
    return made["DNSName"], made["CanonicalHostedZoneId"]


def records(aws, zone):
    found = aws.route53.all("list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone)
    return {(r["Name"], r["Type"]): r for r in found if r["Type"] not in ("NS", "SOA")}


def put(aws, zone, name, kind, value, action="UPSERT", ttl=60):
    record = {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value}]}
    change = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)


@pytest.mark.pure
def test_want(p):
    assert dns.want_record(p) == {
        "Name": "registry.elastic.io",
        "Type": "CNAME",
        "TTL": 60,
        "Target": "load balancer registry",
        "Mark": "runbook:deployment=registry",
    }


def test_from_nothing_then_nothing_to_write(aws, p, zone, host):
    assert repr(dns.ensure_record(aws, p)) == "+ DNS record registry.elastic.io: created"
    assert not dns.ensure_record(aws.read_only(), p)
    report = dns.verify_record(aws.read_only(), p).require()
    assert host not in repr(report)
    written = records(aws, zone)
    assert written["registry.elastic.io.", "CNAME"]["ResourceRecords"] == [{"Value": host}]
    mark = {"Value": '"runbook:deployment=registry"'}
    assert written["_runbook.registry.elastic.io.", "TXT"]["ResourceRecords"] == [mark]
    assert len(written) == 2


def test_a_kill_anywhere_is_completed(crash_everywhere):
    def check(aws, p):
        assert dns.verify_record(aws, p).require()

    assert crash_everywhere(dns.ensure_record, check, prepare) == ["route53 ChangeResourceRecordSets"]


def test_it_waits_until_in_sync(aws, p, zone, host, monkeypatch):
    naps, states, asked = [], iter(["PENDING", "PENDING", "INSYNC"]), []
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: len(naps), sleep=naps.append))

    def answer(params, **_):
        asked.append(params["url_path"])
        return SimpleNamespace(status_code=200), {"ChangeInfo": {"Status": next(states)}}

    aws.route53._client.meta.events.register("before-call.route-53.GetChange", answer)
    dns.ensure_record(aws, p)
    assert len(naps) == 2
    assert all(path.startswith("/2013-04-01/change/C") for path in asked)


@pytest.mark.parametrize(
    ("name", "kind", "value", "ttl", "says"),
    [
        ("registry.elastic.io", "CNAME", "elsewhere.example.com", 60, "Target: wanted load balancer registry, found a"),
        ("registry.elastic.io", "CNAME", None, 300, "TTL: wanted 60, found 300"),
    ],
)
def test_drift_is_named_and_mended(aws, p, zone, host, name, kind, value, ttl, says):
    dns.ensure_record(aws, p)
    put(aws, zone, name, kind, value or host, ttl=ttl)
    assert says in dns.verify_record(aws, p).failures()
    assert repr(dns.ensure_record(aws, p)).startswith("~ DNS record registry.elastic.io: changed")
    assert dns.verify_record(aws, p).require()
    dns.destroy_record(aws, p)
    assert records(aws, zone) == {}


def test_a_new_balancer_of_the_same_name_is_followed(aws, p, zone, host):
    put(aws, zone, "_runbook.registry.elastic.io", "TXT", '"runbook:deployment=registry"')
    put(aws, zone, "registry.elastic.io", "CNAME", "registry-1.eu-central-1.elb.amazonaws.com")
    dns.ensure_record(aws, p)
    assert records(aws, zone)["registry.elastic.io.", "CNAME"]["ResourceRecords"] == [{"Value": host}]


def test_a_target_is_the_same_in_any_spelling(aws, p, zone, host):
    dns.ensure_record(aws, p)
    put(aws, zone, "registry.elastic.io", "CNAME", f"{host.upper()}.")
    assert dns.verify_record(aws, p).require()


def test_the_mark_alone_is_completed_or_taken_away(aws, p, zone, host):
    put(aws, zone, "_runbook.registry.elastic.io", "TXT", '"runbook:deployment=registry"')
    assert "Type: wanted CNAME, found absent" in dns.verify_record(aws, p).failures()
    dns.ensure_record(aws, p)
    put(aws, zone, "registry.elastic.io", "CNAME", host, action="DELETE")
    assert repr(dns.destroy_record(aws, p)) == "- DNS record registry.elastic.io: destroyed"
    assert records(aws, zone) == {}


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("registry.elastic.io", "CNAME", "theirs.example.com"),
        ("registry.elastic.io", "A", "192.0.2.1"),
        ("_runbook.registry.elastic.io", "TXT", '"runbook:deployment=another"'),
    ],
)
def test_a_record_without_our_mark_is_left_alone(aws, p, zone, host, name, kind, value):
    put(aws, zone, name, kind, value)
    before = records(aws, zone)
    for verb in (dns.find_record, dns.ensure_record, dns.verify_record, dns.destroy_record):
        with pytest.raises(NotOurs, match="DNS record registry.elastic.io"):
            verb(aws, p)
    assert records(aws, zone) == before


def test_a_record_in_the_way_is_named_and_stays(aws, p, zone, host):
    put(aws, zone, "_runbook.registry.elastic.io", "TXT", '"runbook:deployment=registry"')
    put(aws, zone, "registry.elastic.io", "A", "192.0.2.1")
    assert "Type: wanted CNAME, found A" in dns.verify_record(aws, p).failures()
    with pytest.raises(StepFailed, match="has a record of type A, beside which no CNAME can stand"):
        dns.ensure_record(aws, p)
    dns.destroy_record(aws, p)
    assert list(records(aws, zone)) == [("registry.elastic.io.", "A")]


def test_neighbours_are_not_touched(aws, p, zone, host):
    for name in ("a.elastic.io", "registry2.elastic.io", "x.registry.elastic.io", "zz.elastic.io"):
        put(aws, zone, name, "A", "192.0.2.1")
    before = records(aws, zone)
    dns.ensure_record(aws, p)
    dns.destroy_record(aws, p)
    assert records(aws, zone) == before


def test_a_zone_is_never_made(aws, p, host):
    assert dns.verify_record(aws, p).absent
    with pytest.raises(StepFailed, match="no public hosted zone elastic.io, and none is made here"):
        dns.ensure_record(aws, p)
    assert repr(dns.destroy_record(aws, p)) == "= DNS record registry.elastic.io: absent"
    assert aws.route53.all("list_hosted_zones", "HostedZones") == []


def test_private_zones_and_longer_names_are_not_meant(aws, p, zone, host):
    private = {"HostedZoneConfig": {"PrivateZone": True, "Comment": ""}}
    make_zone(aws, p, **private, VPC={"VPCRegion": p.region, "VPCId": vpc.vpc_id(aws, p)})
    aws.route53.create_hosted_zone(Name="elastic.io.example.com", CallerReference="x")
    dns.ensure_record(aws, p)
    assert len(records(aws, zone)) == 2


def test_two_public_zones_of_the_name_are_refused(aws, p, zone, host):
    make_zone(aws, p, HostedZoneConfig={"Comment": "second", "PrivateZone": False})
    for verb in (dns.ensure_record, dns.verify_record, dns.destroy_record):
        with pytest.raises(StepFailed, match="2 public hosted zones elastic.io"):
            verb(aws, p)


def test_without_the_balancer_the_notebook_is_named(aws, p, zone):
    with pytest.raises(StepFailed, match="needs load balancer registry, .* run notebook 05_configure_https"):
        dns.ensure_record(aws, p)
    assert records(aws, zone) == {}


def test_the_record_of_a_balancer_that_is_gone_is_drift_and_can_go(aws, p, zone, host):
    dns.ensure_record(aws, p)
    aws.elb.delete_load_balancer(LoadBalancerName=p.balancer_name)
    assert "found another host" in dns.verify_record(aws, p).failures()
    assert repr(dns.destroy_record(aws, p)) == "- DNS record registry.elastic.io: destroyed"
    assert repr(dns.destroy_record(aws.read_only(), p)) == "= DNS record registry.elastic.io: absent"
    assert records(aws, zone) == {}


def test_deployments_side_by_side_in_one_zone(aws, p, zone, host):
    dns.ensure_record(aws, p)
    other = runbook.load({**p.model_dump(), "name": "second", "domain": "second.elastic.io"})
    make_balancer(aws, other)
    dns.ensure_record(aws, other)
    assert dns.verify_record(aws, p).require() and dns.verify_record(aws, other).require()
    dns.destroy_record(aws, other)
    assert dns.verify_record(aws, p).require()


@pytest.mark.pure
def test_want_an_alias_of_an_application_balancer():
    assert dns.want_record(production()) == {
        "Name": "registry.elastic.io",
        "Type": "A",
        "EvaluateTargetHealth": False,
        "Target": "load balancer registry-alb",
        "Mark": "runbook:deployment=registry",
    }


def test_an_alias_from_nothing_then_nothing_to_write(aws, zone):
    p = production()
    host, hosted_zone = make_application_balancer(aws, p)
    assert repr(dns.ensure_record(aws, p)) == "+ DNS record registry.elastic.io: created"
    assert not dns.ensure_record(aws.read_only(), p)
    report = dns.verify_record(aws.read_only(), p).require()
    assert host not in repr(report) and hosted_zone not in repr(report)
    alias = records(aws, zone)["registry.elastic.io.", "A"]["AliasTarget"]
    assert alias["DNSName"].rstrip(".") == host.lower() and alias["HostedZoneId"] == hosted_zone
    assert len(records(aws, zone)) == 2
    assert repr(dns.destroy_record(aws, p)) == "- DNS record registry.elastic.io: destroyed"
    assert records(aws, zone) == {}


def test_a_kill_anywhere_leaves_an_alias_that_is_completed(crash_everywhere):
    def prepare(aws, _):
        make_zone(aws, production())
        make_application_balancer(aws, production())

    def check(aws, _):
        assert dns.verify_record(aws, production()).require()

    writes = crash_everywhere(lambda aws, _: dns.ensure_record(aws, production()), check, prepare)
    assert writes == ["route53 ChangeResourceRecordSets"]


def batches(aws):
    seen = []
    event = "before-call.route-53.ChangeResourceRecordSets"
    aws.route53._client.meta.events.register(event, lambda params, **_: seen.append(params["body"].decode()))
    return seen


def test_one_kind_becomes_the_other_in_one_batch(aws, p, zone, host):
    later = production()
    dns.ensure_record(aws, p)
    make_application_balancer(aws, later)
    failed = dns.verify_record(aws, later).failures()
    assert "Type: wanted A, found CNAME" in failed and "found another host" in failed
    seen = batches(aws)
    assert repr(dns.ensure_record(aws, later)).startswith("~ DNS record registry.elastic.io: changed")
    assert len(seen) == 1 and seen[0].index("DELETE") < seen[0].index("UPSERT")
    assert set(records(aws, zone)) == {("registry.elastic.io.", "A"), ("_runbook.registry.elastic.io.", "TXT")}
    assert dns.verify_record(aws, later).require()
    dns.ensure_record(aws, p)
    assert len(seen) == 2 and dns.verify_record(aws, p).require()
    assert set(records(aws, zone)) == {("registry.elastic.io.", "CNAME"), ("_runbook.registry.elastic.io.", "TXT")}


def test_each_kind_is_taken_away_whatever_the_params_want_now(aws, p, zone, host):
    dns.ensure_record(aws, p)
    dns.destroy_record(aws, production())
    assert records(aws, zone) == {}
    make_application_balancer(aws, production())
    dns.ensure_record(aws, production())
    dns.destroy_record(aws, p)
    assert records(aws, zone) == {}


def alias(aws, zone, target, health=False):
    given = {"HostedZoneId": "Z2P70J7EXAMPLE", "DNSName": target, "EvaluateTargetHealth": health}
    record = {"Name": "registry.elastic.io", "Type": "A", "AliasTarget": given}
    change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)


def test_drift_of_an_alias_is_named_and_mended(aws, zone):
    p = production()
    host, _ = make_application_balancer(aws, p)
    dns.ensure_record(aws, p)
    for target, health, says in (
        ("gone.eu-central-1.elb.amazonaws.com", False, "Target: wanted load balancer registry-alb, found another host"),
        (host, True, "EvaluateTargetHealth: wanted false, found true"),
    ):
        alias(aws, zone, target, health)
        assert says in dns.verify_record(aws, p).failures()
        dns.ensure_record(aws, p)
        assert dns.verify_record(aws, p).require()
    alias(aws, zone, f"dualstack.{host.upper()}.")
    assert dns.verify_record(aws, p).require()


@pytest.mark.parametrize(("kind", "value"), [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")])
def test_an_address_without_our_mark_is_left_alone_by_an_alias_too(aws, zone, kind, value):
    p = production()
    make_application_balancer(aws, p)
    put(aws, zone, "registry.elastic.io", kind, value)
    for verb in (dns.find_record, dns.ensure_record, dns.verify_record, dns.destroy_record):
        with pytest.raises(NotOurs, match="DNS record registry.elastic.io"):
            verb(aws, p)
    assert list(records(aws, zone)) == [("registry.elastic.io.", kind)]


def test_an_address_in_the_way_of_an_alias_is_named_and_stays(aws, zone):
    p = production()
    make_application_balancer(aws, p)
    put(aws, zone, "_runbook.registry.elastic.io", "TXT", '"runbook:deployment=registry"')
    put(aws, zone, "registry.elastic.io", "A", "192.0.2.1")
    with pytest.raises(StepFailed, match="has a record of type A, beside which no alias can stand"):
        dns.ensure_record(aws, p)
    dns.destroy_record(aws, p)
    assert list(records(aws, zone)) == [("registry.elastic.io.", "A")]


def test_at_the_apex_of_the_zone_the_other_records_stay(aws, zone):
    p = production(domain="elastic.io")
    make_application_balancer(aws, p)
    put(aws, zone, "elastic.io", "MX", "10 mail.elastic.io")
    assert dns.verify_record(aws, p).absent
    dns.ensure_record(aws, p)
    assert dns.verify_record(aws, p).require()
    dns.destroy_record(aws, p)
    assert list(records(aws, zone)) == [("elastic.io.", "MX")]


def test_without_the_application_balancer_the_notebook_is_named(aws, zone):
    with pytest.raises(StepFailed, match="needs load balancer registry-alb, .* run notebook 05_configure_https"):
        dns.ensure_record(aws, production())
    assert records(aws, zone) == {}

"""Names: a chain of records followed to a balancer, and the missing link named."""

import boto3
import pytest
from moto import mock_aws

from runbook.local import names

pytestmark = pytest.mark.moto

BALANCER = "registry-1.eu-central-1.elb.amazonaws.com"
CREDENTIALS = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-central-1"}


def balancer_at(name):
    return {BALANCER: "127.20.2.1"}.get(name)


@pytest.fixture
def zone():
    with mock_aws():
        route53 = boto3.Session(**CREDENTIALS).client("route53")
        zone_id = route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]

        def add(name, kind, value):
            record = {"Name": name, "Type": kind, "TTL": 60, "ResourceRecords": [{"Value": value}]}
            if kind == "alias":
                target = {"HostedZoneId": "Z1", "DNSName": value, "EvaluateTargetHealth": False}
                record = {"Name": name, "Type": "A", "AliasTarget": target}
            route53.change_resource_record_sets(
                HostedZoneId=zone_id,
                ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]},
            )

        yield add


def test_a_cname_leads_to_the_balancer_and_a_privileged_port_moves(zone):
    zone("registry.example.com", "CNAME", BALANCER)
    assert names.resolve("Registry.Example.com.", 443, balancer_at) == ("127.20.2.1", 8443)
    assert names.resolve("registry.example.com", 5000, balancer_at) == ("127.20.2.1", 5000)


def test_several_links_and_an_alias(zone):
    zone("a.example.com", "CNAME", "b.example.com.")
    zone("b.example.com", "alias", f"dualstack.{BALANCER}.")
    assert names.resolve("a.example.com", 443, balancer_at) == ("127.20.2.1", 8443)


def test_an_address_is_an_answer(zone):
    zone("host.example.com", "A", "127.20.1.7")
    assert names.resolve("host.example.com", 80, balancer_at) == ("127.20.1.7", 80)


def test_an_address_outside_of_this_computer_is_none(zone):
    zone("host.example.com", "A", "192.0.2.7")
    with pytest.raises(names.NameNotFound, match=r"192\.0\.2\.7: not an address of this computer"):
        names.resolve("host.example.com", 443, balancer_at)


def test_no_zone(zone):
    with pytest.raises(names.NameNotFound, match=r"x\.example\.org: no public hosted zone"):
        names.resolve("x.example.org", 443, balancer_at)


def test_no_record_says_the_zone(zone):
    with pytest.raises(names.NameNotFound, match=r"the hosted zone example\.com has no A or CNAME record"):
        names.resolve("registry.example.com", 443, balancer_at)


def test_no_balancer_says_the_whole_chain(zone):
    gone = "gone-2.eu-central-1.elb.amazonaws.com"
    zone("registry.example.com", "CNAME", gone)
    with pytest.raises(names.NameNotFound, match=rf"registry\.example\.com -> {gone}: no load balancer"):
        names.resolve("registry.example.com", 443, balancer_at)


def test_a_circle_ends(zone):
    zone("a.example.com", "CNAME", "b.example.com")
    zone("b.example.com", "CNAME", "a.example.com")
    with pytest.raises(names.NameNotFound, match="more than 8 links"):
        names.resolve("a.example.com", 443, balancer_at)


def test_the_endpoints_answers(zone):
    zone("registry.example.com", "CNAME", BALANCER)
    asked = {"name": "registry.example.com", "port": "443"}
    assert names.answer(asked, balancer_at) == (200, {"address": "127.20.2.1", "port": 8443})
    assert names.answer({"name": "x.example.com"}, balancer_at)[0] == 404
    assert names.answer({"name": "x", "port": "https"}, balancer_at)[0] == 400

"""What is brought to the embedded cloud from outside, and a client that finds and trusts a balancer by it."""

import json
import socket
import ssl
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

import runbook
from runbook.local import images
from runbook.local.furnish import furnish

pytestmark = pytest.mark.embedded

IMAGE = {"configured_by": "image", "image": "example/registry:1.0"}


def params(zone, **more):
    domain = f"registry.{zone}"
    own = {"zone": zone, "domain": domain, "certificate": f"live/{domain}"}
    return runbook.load(runbook.load("blog").model_dump() | own | more)


P = params("example.com")


def resolve(cloud, name):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{cloud.running.endpoint}/_runbook/resolve?name={name}&port=443") as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def zones(cloud):
    """The ids of the account's zones of this name; other tests of the cloud may have brought others."""
    found = cloud.client("route53").list_hosted_zones_by_name(DNSName=P.zone)["HostedZones"]
    return [zone["Id"] for zone in found]


@pytest.fixture
def furnished(cloud):
    with cloud.chosen():
        furnish(P)
        yield cloud
    route53 = cloud.client("route53")
    for zone in zones(cloud):
        records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        changes = [{"Action": "DELETE", "ResourceRecordSet": r} for r in records if r["Type"] not in ("NS", "SOA")]
        if changes:
            route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
        route53.delete_hosted_zone(Id=zone)


def test_again_it_brings_nothing_new(furnished):
    folder = furnished.home / "live" / P.domain
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    furnish(P)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert len(zones(furnished)) == 1


def test_an_image_of_ones_own_is_built(furnished):
    furnish(params("example.com", **IMAGE))
    assert images.find(furnished.home, "example/registry:1.0")


def test_a_client_finds_and_trusts_the_balancer(furnished):
    assert "no A or CNAME record" in resolve(furnished, P.domain)["error"]
    folder, elb, route53 = furnished.home / "live" / P.domain, furnished.client("elb"), furnished.client("route53")
    acm = furnished.client("acm")
    arn = acm.import_certificate(
        Certificate=(folder / "cert.pem").read_bytes(),
        PrivateKey=(folder / "privkey.pem").read_bytes(),
        CertificateChain=(folder / "chain.pem").read_bytes(),
    )["CertificateArn"]
    listener = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstanceProtocol": "HTTP", "InstancePort": 5000}
    name = elb.create_load_balancer(
        LoadBalancerName="furnished",
        Listeners=[listener | {"SSLCertificateId": arn}],
        AvailabilityZones=["eu-central-1a"],
    )["DNSName"]
    record = {"Name": P.domain, "Type": "CNAME", "TTL": 300, "ResourceRecords": [{"Value": name}]}
    change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    route53.change_resource_record_sets(HostedZoneId=zones(furnished)[0], ChangeBatch=change)
    furnished.until(lambda: "address" in resolve(furnished, P.domain))
    found = resolve(furnished, P.domain)
    assert found["port"] == 8443
    trust = ssl.create_default_context(cafile=furnished.running.ca)
    furnished.until(lambda: answers(found), 10)
    for host in (P.domain, found["address"]):
        with (
            socket.create_connection((found["address"], found["port"])) as plain,
            trust.wrap_socket(plain, server_hostname=host) as channel,
        ):
            channel.sendall(b"GET /v2/ HTTP/1.1\r\nHost: registry.example.com\r\n\r\n")
            assert channel.recv(100).startswith(b"HTTP/1.1 503 ")
    elb.delete_load_balancer(LoadBalancerName="furnished")
    acm.delete_certificate(CertificateArn=arn)
    furnished.until(lambda: f"{P.domain} -> {name}: no load balancer" in resolve(furnished, P.domain).get("error", ""))


def answers(found):
    try:
        socket.create_connection((found["address"], found["port"])).close()
    except ConnectionRefusedError:
        return False
    return True


def test_the_rules_are_in_force_at_the_endpoint(cloud):
    elb, s3, ecs = cloud.client("elb"), cloud.client("s3"), cloud.client("ecs")
    with pytest.raises(ClientError, match="LoadBalancerNotFound"):
        elb.describe_load_balancer_attributes(LoadBalancerName="absent")
    with pytest.raises(ClientError, match="InvalidBucketName"):
        s3.create_bucket(Bucket="a..b", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    with pytest.raises(ClientError, match="ClientException"):
        ecs.register_task_definition(family="a b", containerDefinitions=[{"name": "a", "image": "a", "memory": 4}])

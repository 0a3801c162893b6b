"""A certificate that is requested from ACM: validated by its record in Route 53, then trusted by who trusts the CA."""

import datetime
import socket
import ssl
import uuid

import pytest
from botocore.exceptions import ClientError
from cryptography import x509

from runbook.local.furnish import furnish

from .refusals import refused
from .test_furnish import answers, params, resolve

pytestmark = pytest.mark.embedded


@pytest.fixture
def zone(cloud):
    """(id, name) of a public hosted zone of its own."""
    name, route53 = f"z{uuid.uuid4().hex[:8]}.example", cloud.client("route53")
    made = route53.create_hosted_zone(Name=name, CallerReference=name)["HostedZone"]
    yield made["Id"], name
    records = route53.list_resource_record_sets(HostedZoneId=made["Id"])["ResourceRecordSets"]
    changes = [{"Action": "DELETE", "ResourceRecordSet": r} for r in records if r["Type"] not in ("NS", "SOA")]
    if changes:
        route53.change_resource_record_sets(HostedZoneId=made["Id"], ChangeBatch={"Changes": changes})
    route53.delete_hosted_zone(Id=made["Id"])


def request(cloud, domain, **more):
    sent = {"DomainName": domain, "ValidationMethod": "DNS", "IdempotencyToken": "a"} | more
    return cloud.client("acm").request_certificate(**sent)["CertificateArn"]


def described(cloud, arn):
    return cloud.client("acm").describe_certificate(CertificateArn=arn)["Certificate"]


def records(cloud, arn):
    """The validation records, as soon as all are shown."""

    def shown():
        found = [each.get("ResourceRecord") for each in described(cloud, arn)["DomainValidationOptions"]]
        return all(found) and found

    return cloud.until(shown)


def write(cloud, zone_id, record, action="UPSERT", **changes):
    sent = {"Name": record["Name"], "Type": record["Type"], "TTL": 300}
    change = {"Action": action, "ResourceRecordSet": sent | {"ResourceRecords": [{"Value": record["Value"]}]} | changes}
    cloud.client("route53").change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": [change]})


def test_it_is_issued_when_the_record_is_there(cloud, zone):
    acm, domain = cloud.client("acm"), f"registry.{zone[1]}"
    tags = [{"Key": "runbook:deployment", "Value": "x"}]
    arn = request(cloud, domain, Tags=tags)
    found = described(cloud, arn)
    assert (found["Status"], found["Type"], found["KeyAlgorithm"]) == (
        "PENDING_VALIDATION",
        "AMAZON_ISSUED",
        "RSA-2048",
    )
    assert (found["DomainName"], found["SubjectAlternativeNames"]) == (domain, [domain])
    assert "ResourceRecord" not in found["DomainValidationOptions"][0] and "NotAfter" not in found
    assert request(cloud, domain, Tags=tags) == arn
    refused("RequestInProgressException", acm.get_certificate, CertificateArn=arn)

    (record,) = records(cloud, arn)
    assert record["Name"].endswith(f".{domain}.") and record["Value"].endswith(".acm-validations.aws.")
    write(cloud, zone[0], record, ResourceRecords=[{"Value": "_other.acm-validations.aws."}])
    assert described(cloud, arn)["Status"] == "PENDING_VALIDATION"
    write(cloud, zone[0], record)
    found = described(cloud, arn)
    assert (found["Status"], found["DomainValidationOptions"][0]["ValidationStatus"]) == ("ISSUED", "SUCCESS")
    left = found["NotAfter"] - datetime.datetime.now(datetime.UTC)
    assert datetime.timedelta(days=394) < left <= datetime.timedelta(days=395)
    assert (found["RenewalEligibility"], found["InUseBy"]) == ("INELIGIBLE", [])
    content = acm.get_certificate(CertificateArn=arn)
    leaf = x509.load_pem_x509_certificate(content["Certificate"].encode())
    (issuer,) = x509.load_pem_x509_certificates(content["CertificateChain"].encode())
    leaf.verify_directly_issued_by(issuer)
    assert acm.list_tags_for_certificate(CertificateArn=arn)["Tags"] == tags
    summary = acm.list_certificates(CertificateStatuses=["ISSUED"])["CertificateSummaryList"]
    assert domain in [each["DomainName"] for each in summary]
    refused("ValidationException", acm.export_certificate, CertificateArn=arn, Passphrase=b"abcd")
    write(cloud, zone[0], record, "DELETE")
    assert described(cloud, arn)["Status"] == "ISSUED"
    acm.delete_certificate(CertificateArn=arn)
    assert request(cloud, domain) != arn
    for each in acm.list_certificates()["CertificateSummaryList"]:
        if each["DomainName"] == domain:
            acm.delete_certificate(CertificateArn=each["CertificateArn"])


def test_every_name_has_to_be_proven(cloud, zone):
    names = [f"*.{zone[1]}", f"a.{zone[1]}"]
    arn = request(cloud, zone[1], SubjectAlternativeNames=names)
    apex, wildcard, other = records(cloud, arn)
    assert apex == wildcard
    write(cloud, zone[0], apex)
    assert described(cloud, arn)["Status"] == "PENDING_VALIDATION"
    write(cloud, zone[0], other)
    assert described(cloud, arn)["Status"] == "ISSUED"
    cloud.client("acm").delete_certificate(CertificateArn=arn)


def test_a_balancer_presents_it(cloud, zone):
    domain, elb = f"registry.{zone[1]}", cloud.client("elb")
    arn = request(cloud, domain)
    listener = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstanceProtocol": "HTTP", "InstancePort": 5000}
    wanted = {
        "LoadBalancerName": f"b{uuid.uuid4().hex[:8]}",
        "Listeners": [listener | {"SSLCertificateId": arn}],
        "AvailabilityZones": ["eu-central-1a"],
    }
    with pytest.raises(ClientError):
        elb.create_load_balancer(**wanted)
    write(cloud, zone[0], records(cloud, arn)[0])
    assert described(cloud, arn)["Status"] == "ISSUED"
    name = elb.create_load_balancer(**wanted)["DNSName"]
    try:
        found = described(cloud, arn)
        assert (found["RenewalEligibility"], len(found["InUseBy"])) == ("ELIGIBLE", 1)
        assert found["InUseBy"][0].endswith(f":loadbalancer/{wanted['LoadBalancerName']}")
        cname = {"Name": domain, "Type": "CNAME", "Value": name}
        write(cloud, zone[0], cname)
        cloud.until(lambda: "address" in resolve(cloud, domain) and answers(resolve(cloud, domain)))
        for name in (domain, resolve(cloud, domain)["address"]):
            assert presented(cloud, domain, name) == domain
    finally:
        elb.delete_load_balancer(LoadBalancerName=wanted["LoadBalancerName"])
    cloud.until(lambda: described(cloud, arn)["InUseBy"] == [])
    cloud.client("acm").delete_certificate(CertificateArn=arn)


def presented(cloud, domain, name):
    """The first name of the certificate that a client which trusts the CA gets, and verifies for this name."""
    found, trust = resolve(cloud, domain), ssl.create_default_context(cafile=cloud.running.ca)
    with (
        socket.create_connection((found["address"], found["port"]), 5) as plain,
        trust.wrap_socket(plain, server_hostname=name) as channel,
    ):
        return channel.getpeercert()["subjectAltName"][0][1]


def test_what_acm_refuses_and_what_is_not_done_here(cloud):
    acm, right = cloud.client("acm"), {"DomainName": "registry.example.org", "ValidationMethod": "DNS"}
    for code, wrong in (
        ("ValidationException", {"DomainName": "no_domain"}),
        ("ValidationException", {"DomainName": "a.*.example.org"}),
        ("ValidationException", {"ValidationMethod": "EMAIL"}),
        ("ValidationException", {"KeyAlgorithm": "EC_prime256v1"}),
        ("ValidationException", {"Options": {"Export": "ENABLED"}}),
        ("InvalidDomainValidationOptionsException", {"DomainName": f"{'a' * 60}.example.org"}),
        ("LimitExceededException", {"SubjectAlternativeNames": [f"{k}.example.org" for k in range(10)]}),
    ):
        refused(code, acm.request_certificate, **right | wrong)


def test_for_a_requested_certificate_nothing_is_brought_but_the_zone(cloud):
    p = params("requested.example", certificate="request")
    with cloud.chosen():
        furnish(p)
    found = cloud.client("route53").list_hosted_zones_by_name(DNSName=p.zone)["HostedZones"][0]
    assert found["Name"] == f"{p.zone}."
    assert not (cloud.home / "live" / p.domain).exists()
    cloud.client("route53").delete_hosted_zone(Id=found["Id"])

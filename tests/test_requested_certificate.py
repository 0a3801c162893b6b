"""A certificate from ACM: requested once, proven by a record in the zone, waited for, taken away with its record."""

import datetime
from types import SimpleNamespace

import pytest

import runbook
from runbook import acm, certificate, hosted_zone, requested_certificate
from runbook.errors import AwsError, NotOurs, StepFailed

pytestmark = pytest.mark.moto

DOMAIN = "registry.elastic.io"
NAME = f"_d930b28be6c5927595552b219965053e.{DOMAIN}."


def params(**changes):
    production = runbook.load("production").model_dump()
    given = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **changes}
    return runbook.load({**production, **given})


@pytest.fixture
def p():
    return params()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """moto issues a certificate this many seconds after its request."""
    monkeypatch.setattr("moto.settings.ACM_VALIDATION_WAIT", -1)


@pytest.fixture
def slow(monkeypatch):
    """A clock of the test's own; gives the list of naps."""
    naps = []
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: sum(naps), sleep=naps.append))
    return naps


def make_zone(aws, p):
    aws.route53.create_hosted_zone(Name=p.zone, CallerReference="x")


@pytest.fixture
def zone(aws, p):
    make_zone(aws, p)
    return hosted_zone.find(aws, p)


def records(aws, zone):
    found = aws.route53.all("list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone)
    return {r["Name"]: r for r in found if r["Type"] not in ("NS", "SOA")}


def listed(aws):
    return aws.acm.all("list_certificates", "CertificateSummaryList")


@pytest.mark.pure
def test_want(p):
    assert certificate.want_certificate(p) == {
        "Domain": DOMAIN,
        "Key": "RSA, 2048 bits or more",
        "Status": "ISSUED",
        "Content": "requested from ACM",
        "Validation": "by a record in zone elastic.io",
        "Tags": {"team": "platform"},
    }


def test_from_nothing_then_nothing_to_write(aws, p, zone):
    assert repr(certificate.ensure_certificate(aws, p)) == f"+ certificate of {DOMAIN}: created"
    assert not certificate.ensure_certificate(aws.read_only(), p)
    report = certificate.verify_certificate(aws.read_only(), p).require()
    found = acm.find(aws, p)
    assert found["Type"] == "AMAZON_ISSUED" and acm.certificate_arn(aws, p) == found["CertificateArn"]
    for hidden in (found["CertificateArn"], NAME):
        assert hidden not in repr(report)
    assert records(aws, zone)[NAME]["Type"] == "CNAME"
    tags = aws.acm.list_tags_for_certificate(CertificateArn=found["CertificateArn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == p.tags


def test_a_kill_anywhere_is_completed(crash_everywhere):
    def check(aws, p):
        assert certificate.verify_certificate(aws, p).require()
        assert len(listed(aws)) == 1

    writes = crash_everywhere(certificate.ensure_certificate, check, prepare=make_zone)
    assert writes == ["acm RequestCertificate", "route53 ChangeResourceRecordSets"]


def test_the_record_may_come_late_and_the_validation_later(aws, p, zone, slow, monkeypatch):
    monkeypatch.setattr("moto.settings.ACM_VALIDATION_WAIT", 3600)
    answers = iter([None, None, "PENDING_VALIDATION", "PENDING_VALIDATION", "PENDING_VALIDATION"])

    def describe(parsed, **_):
        status = next(answers, "ISSUED")
        if status is None:
            parsed["Certificate"].pop("DomainValidationOptions")
        parsed["Certificate"]["Status"] = status or "PENDING_VALIDATION"

    aws.acm._client.meta.events.register("after-call.acm.DescribeCertificate", describe)
    certificate.ensure_certificate(aws, p)
    assert slow == [0.25, 0.25, 0.5] and NAME in records(aws, zone)


def test_one_that_is_pending_is_waited_for_and_not_requested_again(aws, p, zone, slow, monkeypatch):
    monkeypatch.setattr("moto.settings.ACM_VALIDATION_WAIT", 3600)
    with pytest.raises(runbook.errors.TimedOut, match="PENDING_VALIDATION, validation PENDING_VALIDATION"):
        certificate.ensure_certificate(aws, p)
    assert sum(slow) > 1800
    failed = certificate.verify_certificate(aws, p).failures()
    assert "Status: wanted ISSUED, found PENDING_VALIDATION" in failed
    monkeypatch.setattr("moto.settings.ACM_VALIDATION_WAIT", -1)
    certificate.ensure_certificate(aws, p)
    assert len(listed(aws)) == 1


@pytest.mark.parametrize(
    ("status", "reason", "says"),
    [
        ("FAILED", "CAA_ERROR", r"FAILED \(CAA_ERROR\); a CAA record .* must allow amazon.com"),
        ("VALIDATION_TIMED_OUT", None, r"VALIDATION_TIMED_OUT \(no reason is given\); see that the zone"),
    ],
)
def test_a_request_that_fails_is_told_and_made_anew_by_the_next_run(aws, p, zone, status, reason, says):
    first, pending = [], iter(["PENDING_VALIDATION"] * 3)

    def describe(parsed, **_):
        found = parsed["Certificate"]
        first.append(found["CertificateArn"])
        if found["CertificateArn"] == first[0]:
            found["Status"] = next(pending, status)
            found |= {"FailureReason": reason} if reason else {}

    aws.acm._client.meta.events.register("after-call.acm.DescribeCertificate", describe)
    with pytest.raises(StepFailed, match=says):
        certificate.ensure_certificate(aws, p)
    assert [each["CertificateArn"] for each in listed(aws)] == first[:1]
    certificate.ensure_certificate(aws, p)
    assert len(listed(aws)) == 1 and listed(aws)[0]["CertificateArn"] != first[0]
    assert certificate.verify_certificate(aws, p).require()


def test_drift_of_the_record_is_mended(aws, p, zone):
    certificate.ensure_certificate(aws, p)
    there = records(aws, zone)[NAME]
    hosted_zone.submit(aws, zone, changes=[("DELETE", there)])
    failed = certificate.verify_certificate(aws, p).failures()
    assert "Validation: wanted by a record in zone elastic.io, found no record for it in the zone" in failed
    assert repr(certificate.ensure_certificate(aws, p)).startswith(f"~ certificate of {DOMAIN}: changed")
    assert records(aws, zone)[NAME] == there and len(listed(aws)) == 1


def test_one_that_ends_soon_is_told(aws, p, zone):
    certificate.ensure_certificate(aws, p)
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=13)

    def describe(parsed, **_):
        parsed["Certificate"]["NotAfter"] = soon

    aws.acm._client.meta.events.register("after-call.acm.DescribeCertificate", describe)
    assert certificate.verify_certificate(aws, p).failures().endswith("found less than 14 days")
    assert not certificate.ensure_certificate(aws.read_only(), p)


def test_without_the_zone_nothing_is_requested(aws, p):
    with pytest.raises(StepFailed, match="no public hosted zone elastic.io"):
        certificate.ensure_certificate(aws, p)
    assert listed(aws) == [] and certificate.verify_certificate(aws, p).absent


def test_anothers_request_is_neither_used_nor_deleted(aws, p, zone):
    for tags in ([], [{"Key": "runbook:deployment", "Value": "another"}]):
        aws.acm.request_certificate(DomainName=DOMAIN, ValidationMethod="DNS", **({"Tags": tags} if tags else {}))
    assert certificate.find_certificate(aws, p) is None
    certificate.ensure_certificate(aws, p)
    assert len(listed(aws)) == 3
    certificate.destroy_certificate(aws, p)
    assert len(listed(aws)) == 2
    assert set(records(aws, zone)) == {NAME}, "the others are renewed by the same record, which is theirs now"
    certificate.ensure_certificate(aws, p)
    certificate.destroy_certificate(aws, p)
    assert set(records(aws, zone)) == {NAME}


def test_the_record_of_a_certificate_in_another_region_stays(aws, p, zone):
    """CloudFront takes its certificates from us-east-1 alone; ACM proves them by the same record."""
    value = {"Value": "_c9edd76ee4a0e2a74388032f3861cc50.ykybfrwcxw.acm-validations.aws."}
    theirs = {"Name": NAME, "Type": "CNAME", "TTL": 60, "ResourceRecords": [value]}
    hosted_zone.submit(aws, zone, changes=[("CREATE", theirs)])
    certificate.ensure_certificate(aws, p)
    assert records(aws, zone) == {NAME: theirs}
    certificate.destroy_certificate(aws, p)
    assert records(aws, zone) == {NAME: theirs} and listed(aws) == []


def test_a_record_of_the_name_that_says_something_else_is_refused(aws, p, zone):
    theirs = {"Name": NAME, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "elsewhere.example.com."}]}
    hosted_zone.submit(aws, zone, changes=[("CREATE", theirs)])
    with pytest.raises(NotOurs, match="DNS record _d930b28be6c5927595552b219965053e.registry.elastic.io exists"):
        certificate.ensure_certificate(aws, p)
    assert records(aws, zone) == {NAME: theirs}


def test_a_mark_without_its_record_goes_too_and_so_do_two_requests_of_ours(aws, p, zone):
    certificate.ensure_certificate(aws, p)
    hosted_zone.submit(aws, zone, changes=[("DELETE", records(aws, zone)[NAME])])
    certificate.destroy_certificate(aws, p)
    assert records(aws, zone) == {}
    certificate.ensure_certificate(aws, p)
    tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
    aws.acm.request_certificate(DomainName=DOMAIN, ValidationMethod="DNS", Tags=tags)
    certificate.destroy_certificate(aws, p)
    assert records(aws, zone) == {} and listed(aws) == []


def test_destroy_leaves_nothing_and_can_be_repeated(aws, p, zone, slow):
    certificate.ensure_certificate(aws, p)
    refusals = iter(["ResourceInUseException"] * 2)

    def refuse(**_):
        if code := next(refusals, None):
            raise AwsError("acm", "DeleteCertificate", code, "in use")

    aws.acm._client.meta.events.register("before-call.acm.DeleteCertificate", refuse)
    assert repr(certificate.destroy_certificate(aws, p)) == f"- certificate of {DOMAIN}: destroyed"
    assert len(slow) == 2 and records(aws, zone) == {} and listed(aws) == []
    assert repr(certificate.destroy_certificate(aws.read_only(), p)) == f"= certificate of {DOMAIN}: absent"


def test_each_kind_leaves_the_other_alone(aws, p, zone, tmp_path):
    from test_imported_certificate import write

    write(tmp_path / "live")
    imported = params(certificate=str(tmp_path / "live"))
    certificate.ensure_certificate(aws, imported)
    certificate.ensure_certificate(aws, p)
    assert acm.certificate_arn(aws, p) != acm.certificate_arn(aws, imported)
    for file in (tmp_path / "live").iterdir():
        file.unlink()
    certificate.destroy_certificate(aws, imported)
    assert certificate.verify_certificate(aws, p).require() and len(listed(aws)) == 1
    write(tmp_path / "live")
    certificate.ensure_certificate(aws, imported)
    certificate.destroy_certificate(aws, p)
    assert certificate.verify_certificate(aws, imported).require() and len(listed(aws)) == 1


def test_one_for_an_earlier_domain_is_not_used_and_goes_with_the_rest(aws, p, zone):
    certificate.ensure_certificate(aws, p)
    later = params(domain="images.elastic.io")
    assert certificate.verify_certificate(aws, later).absent
    certificate.ensure_certificate(aws, later)
    assert len(listed(aws)) == 2
    certificate.destroy_certificate(aws, later)
    assert listed(aws) == [] and records(aws, zone) == {}
    assert requested_certificate.find_certificate(aws, p) is None

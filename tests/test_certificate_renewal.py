"""Renewal of the certificate: files that were renewed, files that were not, a key of another size."""

import datetime
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from moto.acm.models import acm_backends
from moto.core import DEFAULT_ACCOUNT_ID
from test_classic_balancer import make_group, start_node

import runbook
from runbook import acm, certificate, certificate_renewal, classic_balancer
from runbook.errors import StepFailed, TimedOut
from runbook.local import authority
from runbook.local.inside import acm as inside_acm
from runbook.local.inside import elb as inside
from runbook.registry_api import NoAnswer

pytestmark = pytest.mark.moto

SIZES = (2048, 3072)
KEYS = {size: rsa.generate_private_key(public_exponent=65537, key_size=size) for size in SIZES}


class Certbot:
    """Its folder, in which each `renew` puts new files."""

    def __init__(self, folder, domain, monkeypatch):
        self._authority, self._domain, self._patch = authority.Authority(folder), domain, monkeypatch
        self.folder = folder / "live" / domain

    def renew(self, days=90, size=2048):
        chosen = SimpleNamespace(generate_private_key=lambda **_: KEYS[size])
        self._patch.setattr(authority, "rsa", chosen)
        self._authority.issue([self._domain], days=days, anew=True)


@pytest.fixture
def certbot(tmp_path, monkeypatch):
    made = Certbot(tmp_path, "registry.elastic.io", monkeypatch)
    made.renew()
    return made


@pytest.fixture
def p(certbot):
    return runbook.load({**runbook.load("blog").model_dump(), "cloud": "aws", "certificate": str(certbot.folder)})


@pytest.fixture(autouse=True)
def shown(p, monkeypatch, unmended):
    """moto with the embedded cloud's mending; what the balancer shows is what ACM has, once `late` is used up."""
    inside.install()
    inside_acm.install()
    monkeypatch.setattr(inside, "REGISTERING", inside.IN_SERVICE)
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: 0, sleep=lambda _: None))
    late = []

    def served(aws, p):
        if late:
            raise late.pop()
        [found] = aws.elb.describe_load_balancers(LoadBalancerNames=[p.balancer_name])["LoadBalancerDescriptions"]
        arns = [each["Listener"].get("SSLCertificateId") for each in found["ListenerDescriptions"]]
        return acm.leaf(aws, next(arn for arn in arns if arn))

    monkeypatch.setattr(certificate_renewal, "served", served)
    return late


def prepare(aws, p):
    make_group(aws, p)
    start_node(aws, p)
    certificate.ensure_certificate(aws, p)
    classic_balancer.ensure_balancer(aws, p)
    for each in acm_backends[DEFAULT_ACCOUNT_ID][p.region]._certificates.values():
        each.created_at -= datetime.timedelta(days=60)  # of two certificates the later one counts


def test_renewed_files_take_the_place_of_the_old_ones(aws, p, certbot):
    prepare(aws, p)
    arn = acm.certificate_arn(aws, p)
    assert not certificate_renewal.ensure_renewal(aws.read_only(), p)
    certificate_renewal.verify_renewal(aws.read_only(), p).require()
    certbot.renew()
    assert "another certificate → " in repr(certificate_renewal.ensure_renewal(aws, p))
    assert acm.certificate_arn(aws, p) == arn and len(acm.imported(aws, p)) == 1
    assert not certificate_renewal.ensure_renewal(aws.read_only(), p)


def test_the_balancer_is_waited_for(aws, p, certbot, shown, capsys):
    prepare(aws, p)
    certbot.renew()
    shown += [NoAnswer("no TLS handshake: closed")] * 3
    certificate_renewal.ensure_renewal(aws, p)
    assert not shown and "clients are shown no TLS handshake: closed" in capsys.readouterr().err


def test_a_balancer_that_goes_on_with_the_old_one_is_told(aws, p, certbot, monkeypatch):
    prepare(aws, p)
    old = acm.leaf(aws, acm.certificate_arn(aws, p))
    monkeypatch.setattr(certificate_renewal, "served", lambda aws, p: old)
    monkeypatch.setattr(certificate_renewal, "_SERVED_WITHIN", -1)
    certbot.renew()
    with pytest.raises(TimedOut, match="last seen: clients are shown another one"):
        certificate_renewal.ensure_renewal(aws, p)
    assert "Served: wanted the one in ACM, found another one" in certificate_renewal.verify_renewal(aws, p).failures()


def test_files_that_nobody_renewed_are_told_in_time(aws, p, certbot):
    certbot.renew(days=20)
    prepare(aws, p)
    assert "Left: wanted more than 30 days, found 19 days" in certificate_renewal.verify_renewal(aws, p).failures()
    with pytest.raises(StepFailed, match=r"ends in 19 days; renew it there \(certbot renew\), then run this again"):
        certificate_renewal.ensure_renewal(aws.read_only(), p)
    certbot.renew()
    certificate_renewal.ensure_renewal(aws, p)
    certificate_renewal.verify_renewal(aws, p).require()


def test_a_key_of_another_size_is_another_certificate_and_the_old_one_goes(aws, p, certbot):
    prepare(aws, p)
    arn = acm.certificate_arn(aws, p)
    certbot.renew(size=3072)
    certificate_renewal.ensure_renewal(aws, p)
    [found] = acm.imported(aws, p)
    assert found["CertificateArn"] != arn and found["KeyAlgorithm"] == "RSA_3072"
    certificate_renewal.verify_renewal(aws, p).require()


@pytest.mark.parametrize("size", [2048, pytest.param(3072, marks=pytest.mark.long)])
def test_a_kill_at_any_write_is_completed(crash_everywhere, certbot, size):
    def before(aws, p):
        certbot.renew()
        prepare(aws, p)
        certbot.renew(size=size)

    def check(aws, p):
        certificate_renewal.verify_renewal(aws, p).require()
        assert len(acm.imported(aws, p)) == 1

    writes = crash_everywhere(certificate_renewal.ensure_renewal, check, prepare=before)
    listener = ["elb SetLoadBalancerListenerSSLCertificate", "acm DeleteCertificate"]
    assert writes == ["acm ImportCertificate", *(listener if size == 3072 else [])]


def test_one_that_acm_was_given_by_somebody_else_is_looked_at_only(aws, p):
    prepare(aws, p)
    named = runbook.load({**p.model_dump(), "certificate": acm.certificate_arn(aws, p)})
    report = certificate_renewal.verify_renewal(aws.read_only(), named).require()
    assert "by whoever put it into ACM" in repr(report)
    assert not certificate_renewal.ensure_renewal(aws.read_only(), named)


def described(**changes):
    return {
        "CertificateArn": "arn",
        "DomainName": "registry.elastic.io",
        "NotAfter": datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=40),
        "RenewalEligibility": "ELIGIBLE",
        **changes,
    }


@pytest.mark.parametrize(
    "changes, seen",
    [
        ({}, "by ACM itself"),
        ({"RenewalSummary": {"RenewalStatus": "PENDING_AUTO_RENEWAL"}}, "by ACM itself"),
        ({"RenewalEligibility": "INELIGIBLE"}, "no balancer uses it, and ACM renews what is in use alone"),
        (
            {"RenewalSummary": {"RenewalStatus": "FAILED", "RenewalStatusReason": "CAA_ERROR"}},
            "FAILED CAA_ERROR",
        ),
        ({"RenewalSummary": {"RenewalStatus": "PENDING_VALIDATION"}}, "PENDING_VALIDATION"),
    ],
    ids=["eligible", "on its way", "unused", "failed", "pending"],
)
def test_what_acm_says_of_its_own_renewal(aws, p, monkeypatch, changes, seen):
    requested = runbook.load({**p.model_dump(), "certificate": "request"})
    monkeypatch.setattr(acm, "find", lambda *_: described(**changes))
    monkeypatch.setattr(certificate_renewal, "_seen", lambda *_: "the one in ACM")
    monkeypatch.setattr(certificate, "find_certificate", lambda *_: certificate.want_certificate(requested))
    found = certificate_renewal.find_renewal(aws, requested)
    assert (found["Renewal"], found["Left"]) == (seen, "more than 30 days")

"""The certificate: what is checked before any call, and what is imported, renewed and deleted."""

import datetime
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

import runbook
from runbook import acm
from runbook import imported_certificate as certificate
from runbook.errors import AwsError, StepFailed
from runbook.local.inside import acm as inside

pytestmark = pytest.mark.moto

NOW = datetime.datetime.now(datetime.UTC)
RSA = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(3)]
ROOT_KEY, MIDDLE_KEY, KEY = RSA


def made(subject, issuer, public, signer, *, names=(), days=90, begins=NOW - datetime.timedelta(days=60), ca=False):
    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(NOW + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
    return builder.sign(signer, hashes.SHA256())


ROOT = made("root", "root", ROOT_KEY.public_key(), ROOT_KEY, ca=True, days=900)
MIDDLE = made("middle", "root", MIDDLE_KEY.public_key(), ROOT_KEY, ca=True, days=900)


def leaf(key=KEY, names=("registry.elastic.io",), **options):
    return made("registry.elastic.io", "middle", key.public_key(), MIDDLE_KEY, names=names, **options)


def pem(*certificates):
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def private(key, passphrase=None):
    how = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


def params(folder, **changes):
    blog = runbook.load("blog").model_dump()
    return runbook.load({**blog, "cloud": "aws", "certificate": str(folder), **changes})


CHAIN = pem(MIDDLE, ROOT)


def write(folder, cert=None, chain=CHAIN, key=None):
    folder.mkdir(exist_ok=True)
    for name, content in (
        ("cert.pem", pem(leaf()) if cert is None else cert),
        ("chain.pem", chain),
        ("privkey.pem", private(KEY) if key is None else key),
    ):
        (folder / name).write_bytes(content)


@pytest.fixture(autouse=True)
def mended(unmended):
    """AWS keeps a certificate's tags when it is imported again; moto does so with the embedded cloud's mending."""
    inside.install()


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "live")
    return tmp_path / "live"


@pytest.fixture
def p(folder):
    return params(folder)


@pytest.mark.pure
def test_want(p, folder):
    assert certificate.want_certificate(p) == {
        "Domain": "registry.elastic.io",
        "Key": "RSA, 2048 bits or more",
        "Status": "ISSUED",
        "Content": str(folder),
    }


@pytest.mark.pure
@pytest.mark.parametrize(
    ("names", "fits"),
    [
        (["registry.elastic.io"], True),
        (["other.elastic.io", "Registry.Elastic.io"], True),
        (["*.elastic.io"], True),
        (["*.registry.elastic.io"], False),
        (["*.io"], False),
        (["elastic.io"], False),
        ([], False),
    ],
)
def test_names_that_cover(names, fits):
    assert acm.covers(names, "registry.elastic.io") is fits


P256 = ec.generate_private_key(ec.SECP256R1())
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)


@pytest.mark.pure
@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"cert": pem(leaf(names=["other.elastic.io"]))}, "is for other.elastic.io, not for registry.elastic.io"),
        ({"cert": pem(leaf(names=()))}, "is for no name, not for"),
        ({"cert": pem(leaf(days=-1))}, r"ended on \d{4}-\d\d-\d\d; renew it"),
        ({"cert": pem(leaf(begins=NOW + datetime.timedelta(days=1)))}, "is not valid before"),
        ({"cert": pem(leaf(P256)), "key": private(P256)}, "needs an RSA key of 2048 bits or more"),
        ({"cert": pem(leaf(SMALL)), "key": private(SMALL)}, "needs an RSA key of 2048 bits or more"),
        ({"cert": pem(leaf(), MIDDLE)}, "cert.pem: holds 2 certificates"),
        ({"cert": b"nonsense"}, "cert.pem: is not a certificate in PEM form"),
        ({"chain": b"nonsense"}, "chain.pem: is not a certificate in PEM form"),
        ({"chain": pem(ROOT, MIDDLE)}, "chain.pem: CN=root did not issue CN=registry.elastic.io"),
        ({"chain": pem(ROOT)}, "chain.pem: CN=root did not issue"),
        ({"chain": pem(MIDDLE, MIDDLE)}, "chain.pem: CN=middle did not issue CN=middle"),
        ({"chain": b""}, "chain.pem: is empty"),
        ({"key": private(ROOT_KEY)}, "privkey.pem: does not belong to cert.pem"),
        ({"key": private(KEY, b"passphrase")}, "privkey.pem: is encrypted"),
        ({"key": b"nonsense"}, "privkey.pem: is not a private key"),
        ({"key": private(KEY)[:300]}, "privkey.pem: is not a private key"),
    ],
)
def test_files_that_cannot_serve(folder, p, files, says):
    write(folder, **files)
    with pytest.raises(StepFailed, match=says) as caught:
        certificate.check_files(p)
    line = private(KEY).decode().splitlines()[1]
    assert line not in str(caught.value) and line not in repr(caught.value.__context__)


@pytest.mark.pure
@pytest.mark.parametrize("name", ["cert.pem", "chain.pem", "privkey.pem"])
def test_a_file_that_is_not_there(folder, p, name):
    (folder / name).unlink()
    with pytest.raises(StepFailed, match=f"{name}: is not there; `certificate` in the params names a folder"):
        certificate.check_files(p)


@pytest.mark.pure
def test_a_certificate_that_is_its_own_issuer_needs_no_chain(folder, p):
    own = made("own", "own", KEY.public_key(), KEY, names=["*.elastic.io"])
    write(folder, cert=pem(own), chain=b"\n")
    assert certificate.check_files(p) == (folder, own, [])


def test_from_nothing_then_nothing_to_write(aws, p, folder, caplog):
    assert repr(certificate.ensure_certificate(aws, p)) == "+ certificate of registry.elastic.io: created"
    assert not certificate.ensure_certificate(aws.read_only(), p)
    report = certificate.verify_certificate(aws.read_only(), p).require()
    assert "ok      Valid    at least 14 days" in repr(report)
    arn = acm.certificate_arn(aws, p)
    answer = aws.acm.get_certificate(CertificateArn=arn)
    assert answer["CertificateChain"].startswith(CHAIN.decode())
    line = private(KEY).decode().splitlines()[1]
    assert line not in caplog.text + repr(report) + repr(certificate.find_certificate(aws, p))


def test_a_kill_anywhere_is_completed(crash_everywhere, p):
    def check(aws, p):
        assert certificate.verify_certificate(aws, p).require()
        assert len(acm.imported(aws, p)) == 1

    writes = crash_everywhere(certificate.ensure_certificate, check)
    assert writes == ["acm ImportCertificate"]


def test_a_renewed_file_takes_the_same_arn(aws, p, folder):
    certificate.ensure_certificate(aws, p)
    before = acm.certificate_arn(aws, p)
    renewed = leaf()
    (folder / "cert.pem").write_bytes(pem(renewed))
    failed = certificate.verify_certificate(aws, p).failures()
    assert failed == f"certificate of registry.elastic.io: Content: wanted {folder}, found another certificate"
    assert "~ certificate of registry.elastic.io: changed" in repr(certificate.ensure_certificate(aws, p))
    assert acm.certificate_arn(aws, p) == before
    assert acm.leaf(aws, before) == renewed
    assert len(aws.acm.all("list_certificates", "CertificateSummaryList")) == 1
    assert certificate.verify_certificate(aws, p).require()


def test_a_key_of_another_size_needs_a_new_arn(aws, p, folder, monkeypatch):
    certificate.ensure_certificate(aws, p)
    before = acm.imported(aws, p)[0]
    import moto.acm.models as models

    bundle = models.acm_backends["123456789012"]["eu-central-1"]._certificates[before["CertificateArn"]]
    bundle.created_at -= datetime.timedelta(days=60)
    key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    write(folder, cert=pem(leaf(key)), key=private(key))
    certificate.ensure_certificate(aws, p)
    assert acm.certificate_arn(aws, p) != before["CertificateArn"]
    assert certificate.verify_certificate(aws, p).require()
    assert repr(certificate.destroy_certificate(aws, p)) == "- certificate of registry.elastic.io: destroyed"
    assert acm.imported(aws, p) == []


def test_one_that_ends_soon_is_told_and_not_imported_again(aws, p, folder):
    write(folder, cert=pem(leaf(days=13)))
    certificate.ensure_certificate(aws, p)
    assert not certificate.ensure_certificate(aws.read_only(), p)
    assert certificate.verify_certificate(aws, p).failures() == (
        "certificate of registry.elastic.io: Valid: wanted at least 14 days, found less than 14 days"
    )


def test_bad_files_make_no_call(p, folder):
    (folder / "privkey.pem").write_bytes(private(ROOT_KEY))
    with pytest.raises(StepFailed):
        certificate.ensure_certificate(None, p)


def test_without_the_files_a_reader_says_so(aws, p, folder):
    certificate.ensure_certificate(aws, p)
    for name in ("cert.pem", "chain.pem", "privkey.pem"):
        (folder / name).unlink()
    assert "cert.pem is not here to compare with" in certificate.verify_certificate(aws, p).failures()


def test_anothers_certificate_is_neither_used_nor_deleted(aws, p):
    theirs = {"Certificate": pem(leaf()), "PrivateKey": private(KEY), "CertificateChain": CHAIN}
    aws.acm.import_certificate(**theirs)
    aws.acm.import_certificate(**theirs, Tags=[{"Key": "runbook:deployment", "Value": "another"}])
    assert certificate.find_certificate(aws, p) is None
    certificate.ensure_certificate(aws, p)
    assert len(aws.acm.all("list_certificates", "CertificateSummaryList")) == 3
    certificate.destroy_certificate(aws, p)
    assert len(aws.acm.all("list_certificates", "CertificateSummaryList")) == 2


def test_destroy_takes_that_of_an_earlier_domain_too(aws, p, folder):
    certificate.ensure_certificate(aws, p)
    write(folder, cert=pem(leaf(names=["images.elastic.io"])))
    later = params(folder, domain="images.elastic.io")
    assert certificate.verify_certificate(aws, later).absent
    certificate.ensure_certificate(aws, later)
    assert len(acm.imported(aws, p)) == 2
    certificate.destroy_certificate(aws, later)
    assert acm.imported(aws, p) == []
    assert repr(certificate.destroy_certificate(aws, later)) == "= certificate of images.elastic.io: absent"


def test_destroy_waits_for_the_balancer_to_let_go(aws, p, monkeypatch):
    certificate.ensure_certificate(aws, p)
    naps, refusals = [], iter(["ResourceInUseException", "ResourceInUseException"])
    monkeypatch.setattr("runbook.wait.time", SimpleNamespace(monotonic=lambda: len(naps), sleep=naps.append))

    def refuse(params, **_):
        if code := next(refusals, None):
            raise AwsError("acm", "DeleteCertificate", code, "in use")

    aws.acm._client.meta.events.register("before-call.acm.DeleteCertificate", refuse)
    certificate.destroy_certificate(aws, p)
    assert len(naps) == 2 and acm.imported(aws, p) == []


def named(aws, key=KEY, names=("registry.elastic.io",)):
    given = pem(leaf(key, names)), private(key), CHAIN
    return aws.acm.import_certificate(
        **dict(zip(("Certificate", "PrivateKey", "CertificateChain"), given, strict=True))
    )["CertificateArn"]


def test_a_certificate_named_by_its_arn_is_checked_and_kept(aws):
    p = params(named(aws))
    assert not certificate.ensure_certificate(aws.read_only(), p)
    assert certificate.verify_certificate(aws, p).require()
    assert acm.certificate_arn(aws, p) == p.certificate
    assert repr(certificate.destroy_certificate(aws, p)) == (
        "! certificate of registry.elastic.io: kept\n    it was in ACM before this deployment"
    )
    assert certificate.verify_certificate(aws, p)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"names": ("other.elastic.io",)}, "Domain: wanted registry.elastic.io, found other.elastic.io"),
        ({"key": P256}, "Key: wanted RSA, 2048 bits or more, found EC_prime256v1"),
        ({"key": SMALL}, "Key: wanted RSA, 2048 bits or more, found RSA_1024"),
    ],
)
def test_a_named_certificate_that_cannot_serve(aws, options, says):
    with pytest.raises(StepFailed, match=says):
        certificate.ensure_certificate(aws, params(named(aws, **options)))


def test_a_named_certificate_that_is_not_issued_yet(aws):
    asked = aws.acm.request_certificate(DomainName="registry.elastic.io", ValidationMethod="DNS")
    with pytest.raises(StepFailed, match="Status: wanted ISSUED, found PENDING_VALIDATION"):
        certificate.ensure_certificate(aws, params(asked["CertificateArn"]))


def test_a_named_certificate_that_is_not_there_or_elsewhere(aws):
    arn = named(aws)
    with pytest.raises(StepFailed, match="exists: wanted present, found absent"):
        certificate.ensure_certificate(aws, params(arn[:-1] + ("0" if arn[-1] != "0" else "1")))
    elsewhere = params(arn.replace("eu-central-1", "us-east-1"))
    with pytest.raises(StepFailed, match="in region us-east-1, the balancer in eu-central-1"):
        certificate.ensure_certificate(aws, elsewhere)
    assert certificate.verify_certificate(aws, elsewhere).absent


def test_acm_writes_the_kind_of_key_with_a_hyphen(aws, p, folder):
    """DescribeCertificate of AWS says RSA-2048 where its model, and moto, say RSA_2048."""
    asked = []

    def as_aws_does(parsed, **_):
        found = parsed["Certificate"]
        asked.append(found["KeyAlgorithm"])
        found["KeyAlgorithm"] = found["KeyAlgorithm"].replace("_", "-")

    aws.acm._client.meta.events.register("after-call.acm.DescribeCertificate", as_aws_does)
    certificate.ensure_certificate(aws, p)
    assert asked and certificate.verify_certificate(aws, p).require()
    before = acm.certificate_arn(aws, p)
    (folder / "cert.pem").write_bytes(pem(leaf()))
    certificate.ensure_certificate(aws, p)
    assert acm.certificate_arn(aws, p) == before
    assert certificate.verify_certificate(aws, params(before)).require()

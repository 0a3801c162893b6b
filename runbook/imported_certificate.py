"""A certificate that ACM did not issue here: imported from certbot's files, or one that is in ACM already.

An imported certificate is not renewed by ACM: after certbot has renewed the files, run the step again, and the new
certificate takes the place of the old one under the same ARN, without a change at the balancer.
"""

import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from . import acm, tags
from .errors import StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed, kept
from .secret import Secret
from .session import AWS
from .wait import wait

_TITLE = "certificate of {}"
_COPIES = "unused copies"


class Files(NamedTuple):
    """certbot's cert.pem and chain.pem; the key is read at its place of use."""

    folder: Path
    leaf: x509.Certificate
    chain: list[x509.Certificate]


def want_certificate(p: Params) -> Document:
    """What it is for, its key, its state in ACM, and where its content comes from."""
    content = "the ACM certificate that the params name" if p.certificate_folder is None else p.certificate
    return Document(Domain=p.domain, Key=acm.RSA, Status="ISSUED", Content=content, **acm.want_tags(p))


def find_certificate(aws: AWS, p: Params) -> Document | None:
    """The same of what ACM has, and how long it is valid. An imported one is found by our tag and the domain."""
    found = acm.find(aws, p)
    if found is None:
        return None
    names = acm.names(found)
    return Document(
        Domain=p.domain if acm.covers(names, p.domain) else ", ".join(names),
        Key=acm.key(found),
        Status=found["Status"],
        Content=_content(aws, p, found),
        Valid=acm.valid(found.get("NotAfter")),
        **acm.find_tags(aws, p, found["CertificateArn"]),
    )


def ensure_certificate(aws: AWS, p: Params) -> Changes:
    """Import the files of the folder if ACM does not have this very certificate yet.

    StepFailed when the files cannot serve the domain, told before any call; and when the certificate that the params
    name by its ARN cannot: that one is never changed.
    """
    title, wanted = _TITLE.format(p.domain), want_certificate(p)
    if p.certificate_folder is None:
        return require_brought(aws, p).changes.done
    files = check_files(p)
    report = _check_copies(aws, p, compare(title, wanted, find_certificate(aws, p)))
    if report:
        return report.changes.done
    if all(check.ok for check in report.checks if check.name != _COPIES):
        _delete_copies(aws, p)
        return report.changes.done
    found = acm.find(aws, p)
    if all(check.ok for check in report.checks if not check.name.startswith("Tags.")):
        acm.mend_tags(aws, p, found["CertificateArn"])
        return report.changes.done
    # A certificate with another kind of key cannot take the place of the old one:
    # https://docs.aws.amazon.com/acm/latest/userguide/import-reimport.html
    replaced = found and found["KeyAlgorithm"] == f"RSA_{files.leaf.public_key().key_size}"
    target = {"CertificateArn": found["CertificateArn"]} if replaced else {"Tags": tags.pairs(p.tags)}
    chain = {"CertificateChain": b"".join(map(_pem, files.chain))} if files.chain else {}
    aws.acm.import_certificate(Certificate=_pem(files.leaf), PrivateKey=_read_key(files.folder), **chain, **target)
    if replaced:
        acm.mend_tags(aws, p, found["CertificateArn"])
    wait(title, lambda: _is_in_acm(aws, p), timeout=120, every=1)
    _delete_copies(aws, p)
    return report.changes.done


def verify_certificate(aws: AWS, p: Params) -> Report:
    """Wanted against found, and that it does not end soon."""
    found = find_certificate(aws, p)
    report = _check_copies(aws, p, compare(_TITLE.format(p.domain), want_certificate(p), found))
    return report.check("Valid", found["Valid"] == acm.VALID, acm.VALID, found["Valid"]) if found else report


def destroy_certificate(aws: AWS, p: Params) -> Changes:
    """Delete what was imported for this deployment; a certificate that the params name by its ARN is kept."""
    title, found = _TITLE.format(p.domain), acm.imported(aws, p)
    for certificate in found:
        acm.delete(aws, certificate["CertificateArn"], title=title)
    if not found and p.certificate_folder is None and acm.find(aws, p):
        return kept(title, "it was in ACM before this deployment")
    return destroyed(title, bool(found))


def _copies(aws: AWS, p: Params) -> list[str]:
    """ARNs of further certificates of the name that no balancer uses. ImportCertificate has no idempotency token: a
    retry after a lost answer makes a second one."""
    if p.certificate_folder is None:
        return []
    found = acm.imported(aws, p)
    kept = acm.newest(found, p)
    same = [each for each in found if acm.covers(acm.names(each), p.domain) and not each.get("InUseBy")]
    return [each["CertificateArn"] for each in same if each != kept]


def _check_copies(aws: AWS, p: Params, report: Report) -> Report:
    count = len(_copies(aws, p))
    return report.check(_COPIES, False, "none", str(count)) if count else report


def _delete_copies(aws: AWS, p: Params) -> None:
    for arn in _copies(aws, p):
        acm.delete(aws, arn, title=_TITLE.format(p.domain))


def check_files(p: Params) -> Files:
    """The folder's files, checked as far as that can be done here: names, dates, key, chain. StepFailed says what is
    wrong and never shows a key.

    Sources: https://docs.aws.amazon.com/acm/latest/userguide/import-certificate-prerequisites.html; a classic balancer
    takes RSA only: https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/ssl-server-cert.html
    """
    folder = p.certificate_folder
    leaf, *more = _certificates(folder / "cert.pem")
    chain = _certificates(folder / "chain.pem", may_be_empty=True)
    public, now = leaf.public_key(), datetime.datetime.now(datetime.UTC)
    if more:
        raise _wrong(folder / "cert.pem", f"holds {len(more) + 1} certificates; the leaf alone belongs there")
    if not isinstance(public, rsa.RSAPublicKey) or public.key_size < 2048:
        raise _wrong(folder / "cert.pem", f"a classic balancer needs an RSA key of 2048 bits or more, {_RENEW_RSA}")
    if not acm.covers(_names(leaf), p.domain):
        raise _wrong(folder / "cert.pem", f"is for {', '.join(_names(leaf)) or 'no name'}, not for {p.domain}")
    if now > leaf.not_valid_after_utc:
        raise _wrong(folder / "cert.pem", f"ended on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it (certbot renew)")
    if now < leaf.not_valid_before_utc:
        raise _wrong(folder / "cert.pem", f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    for issued, issuer in zip([leaf, *chain], chain, strict=False):
        if not _issued_by(issued, issuer):
            raise _wrong(
                folder / "chain.pem",
                f"{_subject(issuer)} did not issue {_subject(issued)}; the issuer of cert.pem comes first, each next "
                "one issued the one before it",
            )
    if not chain and not _issued_by(leaf, leaf):
        raise _wrong(folder / "chain.pem", "is empty, and the certificate is not its own issuer")
    _check_key(folder, public)
    return Files(folder, leaf, chain)


_RENEW_RSA = "for example: certbot certonly --key-type rsa --rsa-key-size 2048"


def _check_key(folder: Path, public: rsa.RSAPublicKey) -> None:
    path = folder / "privkey.pem"
    try:
        key = serialization.load_pem_private_key(_read_key(folder).reveal().encode(), password=None)
    except TypeError:
        raise _wrong(path, "is encrypted with a passphrase; ACM takes the key in the clear only") from None
    except ValueError:
        raise _wrong(path, "is not a private key in PEM form") from None
    if key.public_key() != public:
        raise _wrong(path, "does not belong to cert.pem; take both files of one certificate")


def _read_key(folder: Path) -> Secret:
    return Secret(_read(folder / "privkey.pem").decode("ascii", "replace"))


def _certificates(path: Path, *, may_be_empty: bool = False) -> list[x509.Certificate]:
    content = _read(path)
    if may_be_empty and not content.strip():
        return []
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise _wrong(path, "is not a certificate in PEM form") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _wrong(
            path,
            "is not there; `certificate` in the params names a folder in certbot's layout "
            "(on the embedded cloud notebook 00_start_here makes it)",
        ) from None
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None


def _wrong(path: Path, what: str) -> StepFailed:
    return StepFailed(f"{path}: {what}")


def _issued_by(issued: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a subject"


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return found.get_values_for_type(x509.DNSName)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _content(aws: AWS, p: Params, found: dict) -> str:
    """Where the content comes from: the leaf is compared as a whole, as ACM writes serial numbers in its own way."""
    if p.certificate_folder is None:
        return want_certificate(p)["Content"]
    path = p.certificate_folder / "cert.pem"
    if not path.exists():
        return f"{p.certificate}/cert.pem is not here to compare with"
    same = acm.leaf(aws, found["CertificateArn"]) == _certificates(path)[0]
    return p.certificate if same else "another certificate"


def require_brought(aws: AWS, p: Params) -> Report:
    """The files of the folder, or the certificate that the params name by its ARN. StepFailed when the balancer cannot
    use them."""
    if p.certificate_folder is not None:
        check_files(p)
        return Report(_TITLE.format(p.domain))
    region = p.certificate.split(":")[3]
    if region != p.region:
        raise StepFailed(
            f"the certificate in {p.source} is in region {region}, the balancer in {p.region}; "
            "a balancer takes certificates of its own region only: request or import one there"
        )
    found = find_certificate(aws, p)
    report = compare(_TITLE.format(p.domain), want_certificate(p), found)
    if found and found["Valid"] == acm.ENDED:
        report = report.check("Valid", False, acm.VALID, acm.ENDED)
    if not report:
        raise StepFailed(
            f"{report.failures()}; `certificate` in {p.source} must name one in ACM that is issued for the domain, "
            "with an RSA key"
        )
    return report


def _is_in_acm(aws: AWS, p: Params) -> tuple[bool | None, str]:
    report = compare("", want_certificate(p), find_certificate(aws, p))
    return (True, "in ACM") if report else (None, "; ".join(str(check) for check in report.checks if not check.ok))

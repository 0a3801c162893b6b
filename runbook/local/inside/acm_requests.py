"""Certificates that ACM issues, inside moto: validated by a record in a public zone, signed by the cloud's CA."""

import datetime
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterable

from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.acm.responses import AWSCertificateManagerResponse as Response
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.responses import ActionResult
from moto.core.utils import utcnow

from ..authority import Leaf
from . import acm, route53
from .dispatch import Refused

DAYS = 395  # "Certificate characteristics": 13 months
RECORD_SECONDS = 1.0  # DescribeCertificate shows the record a little after the request
TOKEN_TIME = datetime.timedelta(hours=1)
MOST_NAMES, LONGEST_FIRST = 10, 64
DOMAIN = re.compile(r"(\*\.)?((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9]\.)+(?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9]")
KNOWN = {
    *("DomainName", "ValidationMethod", "SubjectAlternativeNames", "IdempotencyToken", "Tags", "KeyAlgorithm"),
    "Options",
}
_original = {}


class Issued(CertBundle):
    """A requested certificate; its content exists from the start, and is shown when the names are validated."""

    def __init__(self, leaf: Leaf, names: list[str], region: str):
        super().__init__(
            ACCOUNT, leaf.certificate, leaf.key, None, region, cert_type="AMAZON_ISSUED",
            cert_status="PENDING_VALIDATION",
        )  # fmt: skip
        self.chain, self.names = leaf.chain, names
        self.issued_at: datetime.datetime | None = None

    def check(self) -> None:
        """Issued as soon as every name's record is there; expired as time goes."""
        if self._not_valid_after(self._cert) <= utcnow():
            self.status = "EXPIRED"
        elif self.status == "PENDING_VALIDATION" and self._has_record() and all(map(is_validated, self.names)):
            self.status, self.issued_at = "ISSUED", utcnow()

    def _has_record(self) -> bool:
        return (utcnow() - self.created_at).total_seconds() >= RECORD_SECONDS

    def describe(self) -> dict:
        self.check()
        shown = {
            "CertificateArn": self.arn,
            "DomainName": self.names[0],
            "SubjectAlternativeNames": self.names,
            "DomainValidationOptions": [self._option(name) for name in self.names],
            "Subject": f"CN={self.names[0]}",
            "Issuer": "Amazon",
            "CreatedAt": self.created_at,
            "Status": self.status,
            # What the API's model calls RSA_2048 it writes so in its answers.
            "KeyAlgorithm": "RSA-2048",
            "SignatureAlgorithm": "SHA256WITHRSA",
            "InUseBy": acm.users(self.arn),
            "Type": "AMAZON_ISSUED",
            "KeyUsages": [],
            "ExtendedKeyUsages": [],
            # "Managed certificate renewal": one that a service of AWS uses is eligible.
            "RenewalEligibility": "ELIGIBLE" if self.issued_at and acm.users(self.arn) else "INELIGIBLE",
            "Options": self.cert_options,
        }
        if self.issued_at:
            serial = f"{self._cert.serial_number:040x}"
            shown |= {
                "IssuedAt": self.issued_at,
                "NotBefore": self._not_valid_before(self._cert),
                "NotAfter": self._not_valid_after(self._cert),
                "Serial": ":".join(serial[k : k + 2] for k in range(0, len(serial), 2)),
            }
        return {"Certificate": shown}

    def _option(self, name: str) -> dict:
        option = {
            "DomainName": name,
            "ValidationDomain": name,
            "ValidationStatus": "SUCCESS" if self.issued_at else "PENDING_VALIDATION",
            "ValidationMethod": "DNS",
        }
        if self._has_record():
            record, value = validation(name)
            option["ResourceRecord"] = {"Name": f"{record}.", "Type": "CNAME", "Value": f"{value}."}
        return option


def install(sign: Callable[[list[str], int], Leaf]) -> None:
    """Let `sign(names, days)` issue what is requested from now on; a second call changes who signs."""
    first, _original["sign"] = not _original, sign
    if first:
        Response.request_certificate = _request_certificate
        Response.get_certificate = _issued_only(Response.get_certificate)
        Response.describe_certificate = _with_users(Response.describe_certificate)
        AWSCertificateManagerBackend.list_certificates = _in_both_spellings(
            AWSCertificateManagerBackend.list_certificates
        )


def _in_both_spellings(plain):
    """ListCertificates filters by RSA_2048, as its model spells it, what it describes as RSA-2048."""

    @functools.wraps(plain)
    def list_certificates(self, statuses: list[str], includes: dict) -> Iterable:
        kinds = includes.get("keyTypes") if includes else None
        if kinds:
            includes = includes | {"keyTypes": [*kinds, *(kind.replace("_", "-") for kind in kinds)]}
        return plain(self, statuses, includes)

    return list_certificates


def validation(name: str) -> tuple[str, str]:
    """(name, value) of the CNAME that proves a domain, the same for all requests of an account; no last dots."""
    domain = route53.plain(name.removeprefix("*."))
    marks = [hashlib.sha256(f"{what} {ACCOUNT} {domain}".encode()).hexdigest()[:32] for what in ("name", "value")]
    letters = "".join(chr(ord("a") + int(digit, 16)) for digit in marks[1][:10])
    return f"_{marks[0]}.{domain}", f"_{marks[1]}.{letters}.acm-validations.aws"


def is_validated(name: str) -> bool:
    """Whether a public hosted zone of the account has the record."""
    record, value = validation(name)
    return any(
        (each.name, each.kind) == (record, "CNAME") and value in map(route53.plain, each.values)
        for zone, records in route53.zones().items()
        if record.endswith(f".{zone}")
        for each in records
    )


def _request_certificate(self: Response) -> ActionResult:
    """RequestCertificate; what would make another kind of certificate is refused."""
    sent = {name: value for name, value in json.loads(self.body).items() if value not in (None, [], {})}
    names = list(dict.fromkeys(each.lower() for each in [sent["DomainName"], *sent.get("SubjectAlternativeNames", [])]))
    _possible(sent, names)
    backend: AWSCertificateManagerBackend = self.acm_backend
    asked = (sent.get("IdempotencyToken"), tuple(names))
    for certificate in list(backend._certificates.values()):
        fresh = utcnow() - certificate.created_at < TOKEN_TIME
        if asked[0] and fresh and getattr(certificate, "asked", None) == asked:
            return ActionResult({"CertificateArn": certificate.arn})
    certificate = Issued(_original["sign"](names, DAYS), names, self.region)
    certificate.asked = asked
    certificate.cert_options |= sent.get("Options", {})
    certificate.tags.add(sent.get("Tags", []))
    backend._certificates[certificate.arn] = certificate
    return ActionResult({"CertificateArn": certificate.arn})


def _possible(sent: dict, names: list[str]) -> None:
    unknown = sorted(sent.keys() - KNOWN)
    if unknown or sent.get("Options", {}).get("Export") == "ENABLED":
        raise Refused("ValidationException", f"The embedded cloud does not do {', '.join(unknown) or 'Export'}.")
    if sent.get("ValidationMethod") != "DNS":
        raise Refused("ValidationException", "The embedded cloud validates by DNS only: ValidationMethod DNS.")
    if sent.get("KeyAlgorithm", "RSA_2048") != "RSA_2048":
        raise Refused("ValidationException", "The embedded cloud issues keys of RSA_2048 only.")
    for name in names:
        if not DOMAIN.fullmatch(name):
            raise Refused(
                "ValidationException",
                f"1 validation error detected: Value '{name}' at 'domainName' failed to satisfy constraint: Member "
                f"must satisfy regular expression pattern: {DOMAIN.pattern}",
            )
    if len(names[0]) > LONGEST_FIRST:
        raise Refused(
            "InvalidDomainValidationOptionsException", "The first domain name can be no longer than 64 bytes."
        )
    if len(names) > MOST_NAMES:
        raise Refused("LimitExceededException", f"Each certificate can have at most {MOST_NAMES} domain names.")


def _issued_only(plain):
    """GetCertificate: one that is not issued yet has no content."""

    @functools.wraps(plain)
    def get_certificate(self):
        arn = self._get_param("CertificateArn")
        if arn and self.acm_backend.get_certificate(arn).status == "PENDING_VALIDATION":
            raise Refused("RequestInProgressException", f"The certificate request for {arn} is in progress.")
        return plain(self)

    return get_certificate


def _with_users(plain):
    """DescribeCertificate: InUseBy holds ARNs, of what uses it now; moto collects names."""

    @functools.wraps(plain)
    def describe_certificate(self):
        result = plain(self)
        result._result["Certificate"]["InUseBy"] = acm.users(result._result["Certificate"]["CertificateArn"])
        return result

    return describe_certificate

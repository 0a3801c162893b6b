"""The deployment's certificate in AWS Certificate Manager: requested, imported, or one that the params name."""

import datetime

from cryptography import x509

from . import tags
from .errors import AwsError
from .params import Params
from .session import AWS
from .wait import wait

RSA = "RSA, 2048 bits or more"
DAYS_LEFT = 14  # certbot renews 30 days before the end, ACM earlier; less means that the renewal does not work
ENDED = "ended"
VALID = f"at least {DAYS_LEFT} days"
# Beyond these states there is no way back: https://docs.aws.amazon.com/acm/latest/userguide/troubleshooting.html
DEAD = ("FAILED", "VALIDATION_TIMED_OUT", "EXPIRED", "REVOKED", "INACTIVE")
_RELEASE_SECONDS = 1200
_ABSENT = {"ResourceNotFoundException"}
# Without this filter ListCertificates shows no other keys than RSA_1024 and RSA_2048:
# https://docs.aws.amazon.com/acm/latest/APIReference/API_Filters.html
_ALL_KEYS = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]


def certificate_arn(aws: AWS, p: Params) -> str | None:
    """ARN of the certificate that the balancer presents; None when it is not in ACM."""
    found = find(aws, p)
    return found["CertificateArn"] if found else None


def find(aws: AWS, p: Params) -> dict | None:
    """The certificate as ACM describes it; of several imported ones for the domain, the newest; of several requested
    ones, the newest of those that are issued, else of those that may be.

    One that the params name is None when it is in another region, where no balancer of ours can use it.
    """
    if p.certificate == "request":
        fitting = [each for each in requested(aws, p) if covers(names(each), p.domain)]
        return max(fitting, key=_best, default=None)
    if p.certificate_folder is None:
        if p.certificate.split(":")[3] != p.region:
            return None
        return described(aws, p.certificate)
    return newest(imported(aws, p), p)


def newest(found: list[dict], p: Params) -> dict | None:
    """Of imported certificates the one that was imported last for the domain."""
    fitting = [each for each in found if covers(names(each), p.domain)]
    return max(fitting, key=lambda each: (str(each["ImportedAt"]), each["CertificateArn"]), default=None)


def imported(aws: AWS, p: Params) -> list[dict]:
    """Every certificate that was imported for this deployment, also for an earlier domain."""
    return _ours(aws, p, "IMPORTED")


def requested(aws: AWS, p: Params) -> list[dict]:
    """Every certificate that was requested for this deployment, also for an earlier domain, also one that failed."""
    return _ours(aws, p, "AMAZON_ISSUED")


def want_tags(p: Params) -> dict[str, dict]:
    """The part of a `want_certificate` that says the extra tags; a certificate that the params name has its own."""
    return {} if p.certificate.startswith("arn:") else tags.want(p)


def find_tags(aws: AWS, p: Params, arn: str) -> dict[str, dict]:
    """The same part of what is."""
    if not want_tags(p):
        return {}
    return tags.found(p, aws.acm.list_tags_for_certificate(CertificateArn=arn)["Tags"])


def mend_tags(aws: AWS, p: Params, arn: str) -> None:
    """Tag it where an extra tag is missing or has another value."""
    if find_tags(aws, p, arn) != want_tags(p):
        aws.acm.add_tags_to_certificate(CertificateArn=arn, Tags=tags.pairs(p.tags))


def delete(aws: AWS, arn: str, *, title: str) -> None:
    """Delete it. A balancer that is gone keeps its certificate in use for a while, rarely for more than some
    minutes."""

    def look():
        try:
            aws.acm.find("delete_certificate", _ABSENT, CertificateArn=arn)
        except AwsError as error:
            if error.code == "ResourceInUseException":
                return None, "still in use by a balancer"
            raise
        return True, "deleted"

    wait(title, look, timeout=_RELEASE_SECONDS, every=3)


def everything(aws: AWS) -> list[dict]:
    """Every certificate of the account in this region, as ListCertificates tells it."""
    return aws.acm.all("list_certificates", "CertificateSummaryList", Includes={"keyTypes": _ALL_KEYS})


def _ours(aws: AWS, p: Params, kind: str) -> list[dict]:
    found = []
    for summary in everything(aws):
        arn = summary["CertificateArn"]
        told = aws.acm.find("list_tags_for_certificate", _ABSENT, CertificateArn=arn)
        if told and {"Key": "runbook:deployment", "Value": p.name} in told["Tags"]:
            found_one = described(aws, arn)
            if found_one and found_one["Type"] == kind:
                found.append(found_one)
    return found


def _best(found: dict) -> tuple:
    state = 2 if found["Status"] == "ISSUED" else 0 if found["Status"] in DEAD else 1
    return state, str(found["CreatedAt"]), found["CertificateArn"]


def described(aws: AWS, arn: str) -> dict | None:
    """As ACM describes it. What its model calls RSA_2048 it writes as RSA-2048 in answers:
    https://docs.aws.amazon.com/cli/latest/reference/acm/describe-certificate.html#examples
    """
    found = aws.acm.find("describe_certificate", _ABSENT, CertificateArn=arn)
    if found is None:
        return None
    return found["Certificate"] | {"KeyAlgorithm": found["Certificate"]["KeyAlgorithm"].replace("-", "_")}


def leaf(aws: AWS, arn: str) -> x509.Certificate | None:
    """The certificate itself, without its chain; None while ACM has not issued it."""
    found = aws.acm.find("get_certificate", _ABSENT | {"RequestInProgressException"}, CertificateArn=arn)
    return x509.load_pem_x509_certificate(found["Certificate"].encode()) if found else None


def names(described: dict) -> list[str]:
    """The names that clients look at: the alternative ones, and the common one only where there are none."""
    return sorted(described.get("SubjectAlternativeNames") or [described["DomainName"]])


def covers(certificate_names: list[str], domain: str) -> bool:
    """Whether one of the names is the domain, or a wildcard for its first label (RFC 6125, section 6.4.3)."""
    wanted = domain.lower()
    return any(name.lower() in (wanted, f"*.{wanted.partition('.')[2]}") for name in certificate_names)


def key(found: dict) -> str:
    """The kind of its key in words: a classic balancer takes RSA only."""
    return RSA if found["KeyAlgorithm"] in ("RSA_2048", "RSA_3072", "RSA_4096") else found["KeyAlgorithm"]


def valid(until: datetime.datetime | None) -> str:
    """How long it is valid, in words."""
    if until is None:
        return "not issued"
    left = until - datetime.datetime.now(datetime.UTC)
    if left < datetime.timedelta(0):
        return ENDED
    return VALID if left >= datetime.timedelta(days=DAYS_LEFT) else f"less than {DAYS_LEFT} days"

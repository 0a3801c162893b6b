"""The deployment's certificate in AWS Certificate Manager: one that we imported, or one that the params name."""

from cryptography import x509

from .params import Params
from .session import AWS

_ABSENT = {"ResourceNotFoundException"}
# Without this filter ListCertificates shows no other keys than RSA_1024 and RSA_2048:
# https://docs.aws.amazon.com/acm/latest/APIReference/API_Filters.html
_ALL_KEYS = ["RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096", "EC_prime256v1", "EC_secp384r1", "EC_secp521r1"]


def certificate_arn(aws: AWS, p: Params) -> str | None:
    """ARN of the certificate that the balancer presents; None when it is not in ACM."""
    found = find(aws, p)
    return found["CertificateArn"] if found else None


def find(aws: AWS, p: Params) -> dict | None:
    """The certificate as ACM describes it; of several imported ones for the domain, the newest.

    One that the params name is None when it is in another region, where no balancer of ours can use it.
    """
    if p.certificate_folder is None:
        if p.certificate.split(":")[3] != p.region:
            return None
        return _described(aws, p.certificate)
    fitting = [each for each in imported(aws, p) if covers(names(each), p.domain)]
    return max(fitting, key=lambda each: (str(each["ImportedAt"]), each["CertificateArn"]), default=None)


def imported(aws: AWS, p: Params) -> list[dict]:
    """Every certificate that was imported for this deployment, also for an earlier domain."""
    listed = aws.acm.all("list_certificates", "CertificateSummaryList", Includes={"keyTypes": _ALL_KEYS})
    found = []
    for summary in listed:
        arn = summary["CertificateArn"]
        tags = aws.acm.find("list_tags_for_certificate", _ABSENT, CertificateArn=arn)
        if tags and {"Key": "runbook:deployment", "Value": p.name} in tags["Tags"]:
            described = _described(aws, arn)
            if described and described["Type"] == "IMPORTED":
                found.append(described)
    return found


def _described(aws: AWS, arn: str) -> dict | None:
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

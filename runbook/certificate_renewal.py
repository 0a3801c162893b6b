"""The certificate in time: certbot's renewed files into ACM, or what ACM needs to renew by itself.

ACM gives an imported certificate a new content under its old ARN, so nothing changes at the balancer:
https://docs.aws.amazon.com/acm/latest/userguide/import-reimport.html
"""

import datetime

from cryptography import x509

from . import acm, balancer, certificate, lease
from .errors import StepFailed
from .params import Params
from .registry_api import NoAnswer, served
from .report import Changes, Document, Report, compare
from .session import AWS
from .wait import wait

DAYS_BEFORE = 30  # certbot renews then; ACM begins 60 days before the end
_LEFT = f"more than {DAYS_BEFORE} days"
_SERVED = "the one in ACM"
# Elastic Load Balancing brings a certificate that ACM has anew to its nodes within some minutes, not at once.
_SERVED_WITHIN = 900  # seconds
# https://docs.aws.amazon.com/acm/latest/userguide/managed-renewal.html
_BY_ACM = "by ACM itself"


def want_renewal(p: Params) -> Document:
    """How long it shall be valid, that clients are shown what ACM has, and who renews it."""
    return Document(Domain=p.domain, Left=_LEFT, Served=_SERVED, Renewal=_renewer(p))


def find_renewal(aws: AWS, p: Params) -> Document | None:
    """The same of what is; None where ACM has no certificate."""
    found = acm.find(aws, p)
    if found is None:
        return None
    left = days_left(aws, p)
    words = _LEFT if left is not None and left > DAYS_BEFORE else "not issued" if left is None else f"{left} days"
    return Document(Domain=p.domain, Left=words, Served=_seen(aws, p), Renewal=_state(aws, p, found))


@lease.exclusive
def ensure_renewal(aws: AWS, p: Params) -> Changes:
    """Import the folder's files if ACM has others, and wait until clients are shown them; for one that was requested,
    put back the record that ACM renews it by.

    StepFailed when the files themselves end too soon: renewing them is certbot's work.
    """
    done = certificate.ensure_certificate(aws, p)
    done += balancer.ensure_balancer(aws, p)  # a key of another size is another certificate
    wait(_title(p), lambda: _is_served(aws, p), timeout=_SERVED_WITHIN)
    if p.certificate_folder is not None:
        for former in acm.imported(aws, p):
            if former["CertificateArn"] != acm.certificate_arn(aws, p):
                acm.delete(aws, former["CertificateArn"], title=_title(p))
    left = days_left(aws, p)
    if left is not None and left <= DAYS_BEFORE and p.certificate_folder is not None:
        raise StepFailed(
            f"{_title(p)}: what lies in {p.certificate_folder} ends in {left} days; renew it there (certbot renew), "
            "then run this again"
        )
    return done


def verify_renewal(aws: AWS, p: Params) -> Report:
    """Wanted against found; what clients are shown is read from a handshake."""
    return compare(_title(p), want_renewal(p), find_renewal(aws, p))


def days_left(aws: AWS, p: Params) -> int | None:
    """Whole days until ACM's certificate ends; None while it is not issued."""
    found = acm.find(aws, p)
    if found is None or "NotAfter" not in found:
        return None
    return (found["NotAfter"] - datetime.datetime.now(datetime.UTC)).days


def _title(p: Params) -> str:
    return f"certificate of {p.domain}"


def _renewer(p: Params) -> str:
    if p.certificate == "request":
        return _BY_ACM
    return "by whoever put it into ACM" if p.certificate_folder is None else f"by certbot, in {p.certificate}"


def _state(aws: AWS, p: Params, found: dict) -> str:
    """Whether ACM can renew what it has issued: it must be in use, and its record still in the zone."""
    if p.certificate != "request":
        return _renewer(p)
    state = certificate.find_certificate(aws, p)["Validation"]
    if state != certificate.want_certificate(p)["Validation"]:
        return state
    if found.get("RenewalEligibility") != "ELIGIBLE":
        return "no balancer uses it, and ACM renews what is in use alone"
    summary = found.get("RenewalSummary", {})
    if summary.get("RenewalStatus") in ("FAILED", "PENDING_VALIDATION"):
        return f"{summary['RenewalStatus']} {summary.get('RenewalStatusReason', '')}".strip()
    return _BY_ACM


def _in_acm(aws: AWS, p: Params) -> x509.Certificate | None:
    arn = acm.certificate_arn(aws, p)
    return acm.leaf(aws, arn) if arn else None


def _seen(aws: AWS, p: Params) -> str:
    try:
        return _SERVED if served(aws, p) == _in_acm(aws, p) else "another one"
    except NoAnswer as error:
        return str(error)


def _is_served(aws: AWS, p: Params) -> tuple[bool | None, str]:
    seen = _seen(aws, p)
    return (seen == _SERVED or None), f"clients are shown {seen}"

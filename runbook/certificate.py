"""The certificate of the registry's name: requested from ACM, or imported from files, or one that ACM has already."""

from types import ModuleType

from . import imported_certificate, lease, requested_certificate
from .params import Params
from .report import Changes, Document, Report
from .session import AWS


def want_certificate(p: Params) -> Document:
    """What it is for, its key, its state in ACM, and where its content comes from."""
    return _kind(p).want_certificate(p)


def find_certificate(aws: AWS, p: Params) -> Document | None:
    """The same of what ACM has, and how long it is valid."""
    return _kind(p).find_certificate(aws, p)


@lease.exclusive
def ensure_certificate(aws: AWS, p: Params) -> Changes:
    """Request or import it if ACM does not have it yet. One that the params name by its ARN is only looked at."""
    return _kind(p).ensure_certificate(aws, p)


def require_brought(aws: AWS, p: Params) -> None:
    """StepFailed when the files, or the certificate that the params name, cannot serve the domain."""
    if p.certificate != "request":
        imported_certificate.require_brought(aws, p)


def verify_certificate(aws: AWS, p: Params) -> Report:
    """Wanted against found, and that it does not end soon."""
    return _kind(p).verify_certificate(aws, p)


@lease.exclusive
def destroy_certificate(aws: AWS, p: Params) -> Changes:
    """Delete what was requested, or imported, for this deployment: the kind that the params name, not the other."""
    return _kind(p).destroy_certificate(aws, p)


def _kind(p: Params) -> ModuleType:
    return requested_certificate if p.certificate == "request" else imported_certificate

"""Certificates inside moto: what a balancer's listener presents, and moto's answers about them put right."""

import functools
import re

from moto.acm.models import AWSCertificateManagerBackend, CertBundle, acm_backends
from moto.core import DEFAULT_ACCOUNT_ID
from moto.elb.models import elb_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends


def install() -> None:
    """Mend moto's Certificate Manager; a second call changes nothing."""
    if hasattr(CertBundle.__init__, "__wrapped__"):
        return
    CertBundle.__init__ = _chain_as_imported(CertBundle.__init__)
    backend = AWSCertificateManagerBackend
    backend.import_certificate = _kept_when_imported_again(backend.import_certificate)


def _chain_as_imported(plain):
    """GetCertificate: the chain of an imported certificate is the imported one; moto adds a root to it."""

    @functools.wraps(plain)
    def __init__(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        if self.type == "IMPORTED":
            chain = kwargs["chain"] if "chain" in kwargs else (args[3] if len(args) > 3 else None)
            self.chain = chain or b""

    return __init__


def _kept_when_imported_again(plain):
    """ImportCertificate with an ARN: tags and uses stay with the ARN; moto forgets them."""

    @functools.wraps(plain)
    def import_certificate(self, certificate, private_key, chain, arn, tags):
        before = self._certificates.get(arn)
        arn = plain(self, certificate, private_key, chain, arn, tags)
        if before:
            self._certificates[arn].tags, self._certificates[arn].in_use_by = before.tags, before.in_use_by
        return arn

    return import_certificate


def parts(arn: str) -> tuple[bytes, bytes, bytes] | None:
    """(certificate, private key, chain), PEM, of an ACM or IAM server certificate; None if absent."""
    if found := re.match(r"arn:[^:]+:acm:([^:]+):", arn):
        bundle = acm_backends[DEFAULT_ACCOUNT_ID][found[1]]._certificates.get(arn)
        return (bundle.cert, bundle.key, bundle.chain or b"") if bundle else None
    for certificate in list(iam_backends[DEFAULT_ACCOUNT_ID]["aws"].certificates.values()):
        if certificate.arn == arn:
            texts = (certificate.cert_body, certificate.private_key, certificate.cert_chain or "")
            return tuple(text.encode() for text in texts)
    return None


def status(arn: str) -> str | None:
    """The status of an ACM certificate, as DescribeCertificate says it; None if absent."""
    found = re.match(r"arn:[^:]+:acm:([^:]+):", arn)
    bundle = found and acm_backends[DEFAULT_ACCOUNT_ID][found[1]]._certificates.get(arn)
    if not bundle:
        return None
    bundle.check()
    return bundle.status


def users(arn: str) -> list[str]:
    """The ARNs of the balancers with a listener that presents the certificate."""
    classic = [
        f"arn:aws:elasticloadbalancing:{region}:{DEFAULT_ACCOUNT_ID}:loadbalancer/{balancer.name}"
        for region, backend in list(elb_backends[DEFAULT_ACCOUNT_ID].items())
        for balancer in list(backend.load_balancers.values())
        if any(listener.ssl_certificate_id == arn for listener in balancer.listeners)
    ]
    others = [
        balancer.arn
        for backend in list(elbv2_backends[DEFAULT_ACCOUNT_ID].values())
        for balancer in list(backend.load_balancers.values())
        for listener in list(balancer.listeners.values())
        if arn in listener.certificates
    ]
    return list(dict.fromkeys(classic + others))

"""The certificates that clients are shown: how long they are good for, who renews them, and their keys."""

import re
from collections.abc import Iterator

from ..finding import Finding
from . import application, classic
from .deployment import Deployment
from .rules import found

_SOON = 30  # days
_LONG_ENOUGH = 2048  # bits of an RSA key


def certificates(d: Deployment) -> dict[str, str]:
    """Their ARNs, by the listener that shows each."""
    shown = {}
    for where, balancer in classic.balancers(d).items():
        for each in classic.listeners(balancer):
            if arn := each.get("SSLCertificateId"):
                shown[f"certificate of {where}, port {each['LoadBalancerPort']}"] = arn
    for where, balancer in application.balancers(d).items():
        for each in application.listeners(d, balancer):
            for certificate in each.get("Certificates", []):
                shown[f"certificate of {where}, port {each['Port']}"] = certificate["CertificateArn"]
    return shown


def looked_at(d: Deployment, where: str, arn: str) -> Iterator[Finding]:
    described = _of_iam(d, arn) if ":server-certificate/" in arn else _of_acm(d, arn)
    if described["Status"] not in ("ISSUED", "EXPIRED"):
        yield found("certificate-not-issued", where, status=described["Status"])
    if ends := described.get("NotAfter"):
        left, day = (ends - d.now).days, f"{ends:%Y-%m-%d}"
        if left < 0:
            yield found("certificate-ended", where, day=day)
        elif left < _SOON:
            yield found("certificate-ends", where, day=day)
        if described["Type"] == "IMPORTED" and left >= 0:
            yield found("certificate-by-hand", where, day=day)
    key = re.fullmatch(r"RSA[_-](\d+)", described.get("KeyAlgorithm", ""))
    if key and int(key[1]) < _LONG_ENOUGH:
        yield found("certificate-key", where, key=f"RSA, {key[1]} bits")


def _of_acm(d: Deployment, arn: str) -> dict:
    return d.aws.acm.describe_certificate(CertificateArn=arn)["Certificate"]


def _of_iam(d: Deployment, arn: str) -> dict:
    """The way of before ACM: nobody renews it, either."""
    name = arn.rpartition("/")[2]
    told = d.aws.iam.get_server_certificate(ServerCertificateName=name)["ServerCertificate"]
    metadata = told["ServerCertificateMetadata"]
    return {"Status": "ISSUED", "Type": "IMPORTED", "NotAfter": metadata.get("Expiration")}


CHECKS = (looked_at,)

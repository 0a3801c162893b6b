"""What a person brings to AWS from outside: a domain in Route 53, a certificate for the registry's name, an image."""

from ..config import write_image
from ..params import Params
from ..session import AWS, connect
from . import images, running, state
from .authority import Authority


def furnish(p: Params) -> None:
    """Bring it for these params to the cloud that is up, as far as it is not there already.

    A certificate that the params take from a folder lies in certbot's layout in live/DOMAIN of the cloud's folder. It
    also names the balancers' loopback addresses and localhost, so that a client that cannot resolve the domain can
    still verify it.
    """
    _bring_zone(connect(p), p.zone)
    if p.certificate_folder is not None:
        issue(p)
    if p.configured_by == "image":
        folder = write_image(p, state.home() / "build" / p.name)
        images.build(state.home(), folder, p.image)


def issue(p: Params, *, anew: bool = False) -> None:
    """The files of the certificate, if there are none that fit, or `anew`: what certbot does."""
    block = running().endpoint.split(".")[1]
    addresses = [f"127.{block}.2.{k}" for k in range(1, state.BALANCERS + 1)]
    Authority(state.home()).issue([p.domain, "localhost"], addresses, anew=anew)


def _bring_zone(aws: AWS, zone: str) -> None:
    found = aws.route53.list_hosted_zones_by_name(DNSName=zone)["HostedZones"]
    if not any(each["Name"] == f"{zone}." and not each["Config"]["PrivateZone"] for each in found):
        aws.route53.create_hosted_zone(Name=zone, CallerReference=f"furnish-{zone}")

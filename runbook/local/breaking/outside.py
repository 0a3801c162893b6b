"""Breaks at the client's side: certificate, balancer, targets, and what the registry tells its clients."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509

from ... import acm, htpasswd, image, rollout, target_group, target_health
from ...params import Params
from ...registry_api import Client, served
from ...secret import Secret
from ...session import AWS
from ...wait import wait
from .. import state
from ..authority import Authority, Leaf, write_secret
from ..proxy import LARGEST_REQUEST
from .edits import change, register, roll_out
from .frame import Break

_SECONDS = 300
_LARGEST = 64 * 1024  # bytes
_NOBODY = "s3.private.example"  # a name that no client can resolve (RFC 6761)


def wrong_host(aws: AWS, p: Params) -> None:
    roll_out(aws, p, change(REGISTRY_HTTP_HOST=f"http://{p.domain}"))


def short_idle_timeout(aws: AWS, p: Params) -> None:
    if p.scales:
        short = [{"Key": "idle_timeout.timeout_seconds", "Value": "60"}]
        aws.elbv2.modify_load_balancer_attributes(LoadBalancerArn=_application(aws, p), Attributes=short)
    else:
        short = {"ConnectionSettings": {"IdleTimeout": 60}}
        aws.elb.modify_load_balancer_attributes(LoadBalancerName=p.balancer_name, LoadBalancerAttributes=short)


def check_of_v2(aws: AWS, p: Params) -> None:
    if p.scales:
        arn = target_group.describe(aws, p)["TargetGroupArn"]
        aws.elbv2.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/v2/")
        _until("targets", lambda: "[401]" in target_health.words(p, target_health.health(aws, p)))
        return
    found = _classic(aws, p)["HealthCheck"] | {"Target": f"HTTP:{p.port}/v2/"}
    aws.elb.configure_health_check(LoadBalancerName=p.balancer_name, HealthCheck=found)
    _until("nodes", lambda: _out_of_service(aws, p))


def broken_unseen(aws: AWS, p: Params) -> None:
    """A registry whose addresses all begin with another path: it listens, and answers 404."""
    roll_out(aws, p, change(REGISTRY_HTTP_PREFIX="/registry/"))


def unreachable_redirect(aws: AWS, p: Params) -> None:
    """An image to pull, and registries that send their clients for its blobs to a name which is none of theirs.

    A middleware of the registry's own does so; the S3 endpoint of a VPC, which makes such addresses on AWS, is none of
    the embedded cloud's.
    """
    _push(aws, p)
    away = json.dumps([{"name": "redirect", "options": {"baseurl": f"https://{_NOBODY}/"}}])
    roll_out(aws, p, change(REGISTRY_MIDDLEWARE_STORAGE=away))


def no_free_port(aws: AWS, p: Params) -> None:
    arn = register(aws, p, lambda task, registry: None)
    aws.ecs.update_service(
        cluster=p.cluster_name,
        service=p.service_name,
        taskDefinition=arn,
        deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200},
    )

    def told() -> bool:
        events = rollout.describe(aws, p)["events"]
        return any("already using a port" in event["message"] for event in events)

    _until(f"service {p.service_name}", told)


def unknown_authority(aws: AWS, p: Params) -> None:
    """What a certificate without its chain is to a client: one of an authority that it does not know."""
    with tempfile.TemporaryDirectory() as folder:
        serve(aws, p, Authority(Path(folder), name="An authority that nobody knows").sign([p.domain]))


def serve(aws: AWS, p: Params, leaf: Leaf) -> None:
    """Import it in the place of the deployment's own certificate, without a chain, and wait until clients get it."""
    arn = {"CertificateArn": acm.certificate_arn(aws, p)}
    aws.acm.import_certificate(Certificate=leaf.certificate, PrivateKey=Secret(leaf.key.decode()), **arn)
    _until("handshake", lambda: _is_served(aws, p, leaf))


def limited_requests(aws: AWS, p: Params) -> None:
    write_secret(_limit(), str(_LARGEST).encode())
    _until("a large request", lambda: _refuses(aws, p))


def unlimited_requests(aws: AWS, p: Params) -> None:
    if _limit().exists():
        _limit().unlink()
        _until("a large request", lambda: not _refuses(aws, p))


def bytes_passed_on(aws: AWS, p: Params) -> None:
    """TLS ends at the balancer still, and what is in it goes on as it is, without X-Forwarded-Proto."""
    name, listener = {"LoadBalancerName": p.balancer_name}, _classic(aws, p)["ListenerDescriptions"][0]["Listener"]
    aws.elb.delete_load_balancer_listeners(**name, LoadBalancerPorts=[443])
    passing = listener | {"Protocol": "SSL", "InstanceProtocol": "TCP"}
    aws.elb.create_load_balancer_listeners(**name, Listeners=[passing])


def wanted_by_browsers(aws: AWS, p: Params) -> None:
    headers = json.dumps({"Access-Control-Allow-Origin": ["https://ui.example"]})
    roll_out(aws, p, change(REGISTRY_HTTP_HEADERS=headers))


def _until(what: str, is_there: Callable[[], bool]) -> None:
    wait(what, lambda: (is_there() or None, "the symptom does not show yet"), timeout=_SECONDS)


def _application(aws: AWS, p: Params) -> str:
    return aws.elbv2.describe_load_balancers(Names=[p.balancer_name])["LoadBalancers"][0]["LoadBalancerArn"]


def _classic(aws: AWS, p: Params) -> dict:
    return aws.elb.describe_load_balancers(LoadBalancerNames=[p.balancer_name])["LoadBalancerDescriptions"][0]


def _out_of_service(aws: AWS, p: Params) -> bool:
    states = aws.elb.describe_instance_health(LoadBalancerName=p.balancer_name)["InstanceStates"]
    return all(each["State"] == "OutOfService" for each in states)


def _push(aws: AWS, p: Params) -> None:
    """One small image, as a client does."""
    made = image.make(layers=1, size=1024)
    with aws.http() as http:
        client = Client(http, p, htpasswd.logins(aws, p)[0])
        for blob in made.blobs.values():
            begun = urlsplit(client.call("POST", f"/v2/{image.REPOSITORY}/blobs/uploads/").headers["Location"])
            client.call("PUT", f"{begun.path}?{begun.query}&digest={image.digest(blob)}", data=blob)
        headers = {"Content-Type": image.MANIFEST_TYPE}
        path = f"/v2/{image.REPOSITORY}/manifests/broken"
        client.call("PUT", path, data=made.manifest, headers=headers).raise_for_status()


def _is_served(aws: AWS, p: Params, leaf: Leaf) -> bool:
    return served(aws, p) == x509.load_pem_x509_certificate(leaf.certificate)


def _limit() -> Path:
    return state.data(state.home()) / LARGEST_REQUEST


def _refuses(aws: AWS, p: Params) -> bool:
    with aws.http() as http:  # none of the GiB is sent: who refuses it does not read it
        return http.get(f"{p.url}/v2/", headers={"Content-Length": str(1024**3)}).status_code == 413


BREAKS: dict[int, Break] = {
    3: Break("blog", wrong_host, "the registry has REGISTRY_HTTP_HOST with http:// in it"),
    4: Break("blog", short_idle_timeout, "the balancer's idle timeout is 60 s"),
    6: Break("blog", check_of_v2, "the balancer's health check asks for /v2/"),
    7: Break("blog", broken_unseen, "the registry answers 404 to everything, which a TCP check does not see"),
    19: Break("blog", unreachable_redirect, "a blob's GET is redirected to a name that no client can resolve"),
    20: Break("blog", no_free_port, "a deployment starts its task before the one on the fixed host port ends"),
    23: Break("blog", unknown_authority, "the balancer shows a certificate of an authority that no client knows"),
    24: Break("blog", limited_requests, "a proxy refuses requests larger than 64 KiB", unlimited_requests),
    25: Break("blog", bytes_passed_on, "the balancer's listener is SSL to TCP"),
    32: Break("blog", wanted_by_browsers, "the registry names a browser's origin, and no proxy answers OPTIONS"),
}
NOT_HERE: dict[int, str] = {}

"""The client's side of the registry's HTTP API: one request, and in words what came back or why nothing did."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509

from . import image
from .address import Address, default_port
from .errors import CloudError
from .params import Params
from .secret import Login, sealed
from .session import AWS

_HOSTNAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH of OpenSSL's x509_vfy.h


class Anew:
    """As much of an HTTP session as `Client` needs, with a connection of its own for each request."""

    def __init__(self, aws: AWS | Any):
        self._aws = aws

    def request(self, method: str, url: str, **options) -> requests.Response:
        with self._aws.http() as session:
            return session.request(method, url, **options)


class NoAnswer(Exception):
    """The registry cannot be reached or cannot work; the text says how, in words for a report."""


class Client:
    """The registry as one login speaks to it (https://distribution.github.io/distribution/spec/api/)."""

    def __init__(self, http: requests.Session | Anew, p: Params | Address, login: Login | None = None):
        self._http, self._p, self._login = http, p, login

    def send(self, method: str, path: str, *, redirects: bool = False, **options) -> requests.Response:
        """The answer, whatever it is; NoAnswer when there is none. The login goes to the registry alone."""
        try:
            with sealed():
                auth = self._login and (self._login.user.encode(), self._login.password.reveal().encode())
                return self._http.request(method, self._p.url + path, auth=auth, allow_redirects=redirects, **options)
        except requests.RequestException as error:
            asked = error.request and urlsplit(error.request.url).hostname
            sent_on = f"the registry sends its clients on to {asked}: " if asked not in (None, self._p.domain) else ""
            raise NoAnswer(sent_on + cause(error)) from None
        except CloudError as error:
            raise NoAnswer(str(error)) from None

    def call(self, method: str, path: str, **options) -> requests.Response:
        """The answer; NoAnswer also when it is one of 5xx."""
        answer = self.send(method, path, **options)
        if answer.status_code >= 500:
            raise NoAnswer(said(answer))
        return answer


def said(answer: requests.Response) -> str:
    """Status and error code; without a code the empty JSON object, or HTTP's reason."""
    if answer.text.strip() == "{}":
        return f"{answer.status_code} {{}}"
    try:
        return f"{answer.status_code} {answer.json()['errors'][0]['code']}"
    except (ValueError, LookupError, TypeError):  # not JSON, or not a registry's
        return f"{answer.status_code} {answer.reason}"


def begin(client: Client) -> requests.Response:
    """Begin an upload."""
    return client.call("POST", f"/v2/{image.REPOSITORY}/blobs/uploads/")


def following(answer: requests.Response) -> str:
    """Path and query of the Location: the host that it names is checked, never followed."""
    location = urlsplit(answer.headers.get("Location", ""))
    return f"/{location.path.lstrip('/')}?{location.query}"


def push(client: Client, blob: bytes, size: int, begun: list[requests.Response]) -> str:
    """Upload in pieces of `size` bytes, the last of them with the PUT; goes on with an upload in `begun`."""
    answer, octets = begun.pop() if begun else begin(client), {"Content-Type": "application/octet-stream"}
    last = len(blob) - (len(blob) - 1) % size - 1
    for start in range(0, last, size):
        if answer.status_code != 202:
            return said(answer)
        part = {"Content-Range": f"{start}-{start + size - 1}"}
        answer = client.call("PATCH", following(answer), data=blob[start : start + size], headers=octets | part)
    if answer.status_code != 202:
        return said(answer)
    ending = {"params": {"digest": image.digest(blob)}, "data": blob[last:], "headers": octets}
    return stored(client.call("PUT", following(answer), **ending))


def stored(answer: requests.Response) -> str:
    """201 and the digest that the registry tells of what it stored, or what it said else."""
    if answer.status_code != 201:
        return said(answer)
    return f"201 {short(answer.headers.get('Docker-Content-Digest', 'without a digest'))}"


def pull(client: Client, path: str) -> str:
    """The digest of the bytes that came, from the registry or from the S3 address that it redirects to."""
    answer = client.call("GET", path, redirects=True, headers={"Accept": image.MANIFEST_TYPE})
    if answer.status_code != 200:
        origin = f" from {urlsplit(answer.url).hostname}" if answer.history else ""
        return said(answer) + origin
    return f"200 {short(image.digest(answer.content))}"


def short(digest: str) -> str:
    """A digest as reports show it."""
    return digest[: len("sha256:") + 12]


def certificate(aws: AWS, p: Params | Address) -> str:
    """Handshake as a client of the registry does; the session of `aws.http()` trusts the same CAs."""
    context = trusting(aws)
    try:
        try:
            _names(aws, p, context)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code != _HOSTNAME_MISMATCH:
                raise
            context.check_hostname = False
            raise NoAnswer(f"trusted, but for {', '.join(_names(aws, p, context))}") from None
    except OSError as error:
        raise NoAnswer(cause(error)) from None
    except CloudError as error:
        raise NoAnswer(str(error)) from None
    return f"trusted, for {p.domain}"


def tls_version(aws: AWS, p: Params | Address) -> str:
    """What a client as new as this one agrees on."""
    try:
        with _handshake(aws, p, trusting(aws)) as tls:
            return tls.version()
    except OSError as error:
        raise NoAnswer(cause(error)) from None
    except CloudError as error:
        raise NoAnswer(str(error)) from None


def served(aws: AWS, p: Params | Address) -> x509.Certificate:
    """The certificate that a client is shown, whether it would trust it or not."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with _handshake(aws, p, context) as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
    except OSError as error:
        raise NoAnswer(cause(error)) from None
    except CloudError as error:
        raise NoAnswer(str(error)) from None


def from_plain_http(aws: AWS, p: Params | Address, path: str) -> str:
    """Where a client is sent that asks on port 80, without TLS; it is not followed."""
    try:
        host, port = aws.locate(p.domain, 80)
        connection = http.client.HTTPConnection(host, port, timeout=5)
        try:
            connection.request("GET", path, headers={"Host": p.domain})
            answer = connection.getresponse()
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(cause(error)) from None
    except CloudError as error:
        raise NoAnswer(str(error)) from None
    # An application load balancer names the port, also where it is the scheme's own.
    location = answer.getheader("Location", "nowhere").replace(f"{p.url}:443/", f"{p.url}/")
    return f"{answer.status} to {location}" if answer.status in (301, 302, 307, 308) else f"{answer.status}"


def trusting(aws: AWS) -> ssl.SSLContext:
    """The public CAs, and the one that the connection has beside them."""
    context = ssl.create_default_context(cafile=requests.certs.where())
    if aws.ca:
        context.load_verify_locations(aws.ca)
    return context


def _names(aws: AWS, p: Params | Address, context: ssl.SSLContext) -> list[str]:
    with _handshake(aws, p, context) as tls:
        return sorted(name for kind, name in tls.getpeercert().get("subjectAltName", ()) if kind == "DNS")


def connected(aws: AWS, p: Params | Address) -> socket.socket:
    """A connection to the port that the registry's URL names."""
    parts = urlsplit(p.url)
    port = parts.port or default_port(parts.scheme)
    return socket.create_connection(aws.locate(p.domain, port), timeout=5)


@contextlib.contextmanager
def _handshake(aws: AWS, p: Params | Address, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    with (
        connected(aws, p) as plain,
        context.wrap_socket(plain, server_hostname=p.domain) as tls,
    ):
        yield tls


def cause(error: BaseException) -> str:
    """The one sentence in a chain of requests', urllib3's and ssl's exceptions."""
    for each in _chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {each.verify_message.rstrip('.')}"
        if isinstance(each, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return "the connection was cut"
        if isinstance(each, ssl.SSLError):
            return f"no TLS handshake: {(each.reason or 'closed').replace('_', ' ').lower()}"
        if isinstance(each, ConnectionRefusedError):
            return "connection refused: nothing listens there"
        if isinstance(each, socket.gaierror):
            return "the name does not resolve"
        if isinstance(each, ConnectionError | requests.exceptions.ChunkedEncodingError):
            return "the connection was cut"
        if isinstance(each, TimeoutError | requests.Timeout):
            return "no answer in time"
    return f"no answer ({type(error).__name__})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The innermost exception first."""
    if isinstance(error, BaseException):
        yield from _chain(error.__cause__ or error.__context__ or getattr(error, "reason", None))
        yield error

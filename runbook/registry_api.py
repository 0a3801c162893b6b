"""The client's side of the registry's HTTP API: one request, and in words what came back or why nothing did."""

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests

from .errors import CloudError
from .params import Params
from .secret import Login
from .session import AWS

_HOSTNAME_MISMATCH = 62  # X509_V_ERR_HOSTNAME_MISMATCH of OpenSSL's x509_vfy.h


class NoAnswer(Exception):
    """The registry cannot be reached or cannot work; the text says how, in words for a report."""


class Client:
    """The registry as one login speaks to it (https://distribution.github.io/distribution/spec/api/)."""

    def __init__(self, http: requests.Session, p: Params, login: Login | None = None):
        self._http, self._p, self._login = http, p, login

    def send(self, method: str, path: str, *, redirects: bool = False, **options) -> requests.Response:
        """The answer, whatever it is; NoAnswer when there is none. The login goes to the registry alone."""
        auth = self._login and (self._login.user.encode(), self._login.password.reveal().encode())
        try:
            return self._http.request(method, self._p.url + path, auth=auth, allow_redirects=redirects, **options)
        except requests.RequestException as error:
            asked = error.request and urlsplit(error.request.url).hostname
            sent_on = f"the registry sends its clients on to {asked}: " if asked not in (None, self._p.domain) else ""
            raise NoAnswer(sent_on + _cause(error)) from None
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


def certificate(aws: AWS, p: Params) -> str:
    """Handshake as a client of the registry does; the session of `aws.http()` trusts the same CAs."""
    context = ssl.create_default_context(cafile=aws.ca or requests.certs.where())
    try:
        try:
            _names(aws, p, context)
        except ssl.SSLCertVerificationError as error:
            if error.verify_code != _HOSTNAME_MISMATCH:
                raise
            context.check_hostname = False
            raise NoAnswer(f"trusted, but for {', '.join(_names(aws, p, context))}") from None
    except OSError as error:
        raise NoAnswer(_cause(error)) from None
    except CloudError as error:
        raise NoAnswer(str(error)) from None
    return f"trusted, for {p.domain}"


def _names(aws: AWS, p: Params, context: ssl.SSLContext) -> list[str]:
    with (
        socket.create_connection(aws.locate(p.domain, 443), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=p.domain) as tls,
    ):
        return sorted(name for kind, name in tls.getpeercert().get("subjectAltName", ()) if kind == "DNS")


def _cause(error: BaseException) -> str:
    """The one sentence in a chain of requests', urllib3's and ssl's exceptions."""
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"certificate not accepted: {cause.verify_message.rstrip('.')}"
        if isinstance(cause, ssl.SSLError):
            return f"no TLS handshake: {(cause.reason or 'closed').replace('_', ' ').lower()}"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused: nothing listens there"
        if isinstance(cause, socket.gaierror):
            return "the name does not resolve"
        if isinstance(cause, ConnectionResetError | requests.exceptions.ChunkedEncodingError):
            return "the connection was cut"
        if isinstance(cause, TimeoutError | requests.Timeout):
            return "no answer in time"
    return f"no answer ({type(error).__name__})"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The innermost exception first."""
    if isinstance(error, BaseException):
        yield from _chain(error.__cause__ or error.__context__ or getattr(error, "reason", None))
        yield error

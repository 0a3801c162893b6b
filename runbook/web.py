"""HTTP from this computer to the registry's public name: straight on AWS, routed on the embedded cloud.

On the embedded cloud no resolver knows the registry's name, so the connection goes where the cloud's own Route 53
records and balancers say (as `curl --connect-to` would), while the TLS handshake, the certificate's check and the
Host header keep the true name.
"""

import ssl

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from .errors import CloudError

TIMEOUT = (5, 60)  # seconds to connect, seconds between two bytes


class Public:
    """The Internet: the system's resolver and the public CAs, and one more where `ca` is a PEM file."""

    def __init__(self, ca: str | None = None):
        self.ca = ca

    def session(self) -> requests.Session:
        return _session(_Trusting(self.ca) if self.ca else HTTPAdapter(), True)

    http = session

    def locate(self, domain: str, port: int) -> tuple[str, int]:
        return domain, port


class Embedded:
    """The embedded cloud at `endpoint`, whose CA's certificate is in the file `ca`."""

    def __init__(self, endpoint: str, ca: str):
        self.endpoint, self.ca = endpoint, ca

    def session(self) -> requests.Session:
        return _session(_Routed(self.locate), self.ca)

    def locate(self, domain: str, port: int) -> tuple[str, int]:
        try:
            with _session(HTTPAdapter(), True) as http:
                answer = http.get(f"{self.endpoint}/_runbook/resolve", params={"name": domain, "port": port})
        except requests.RequestException as error:
            raise CloudError(f"no answer from the embedded cloud at {self.endpoint}") from error
        if answer.status_code != 200:
            raise CloudError(answer.json()["error"])
        return answer.json()["address"], answer.json()["port"]


def _session(adapter: HTTPAdapter, verify: str | bool) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = verify
    session.mount("https://", adapter)
    session.request = _with_timeout(session.request)
    return session


def _with_timeout(request):
    def timed(method, url, **options):
        options.setdefault("timeout", TIMEOUT)
        return request(method, url, **options)

    return timed


class _Trusting(HTTPAdapter):
    """Trusts one more CA: what a registry redirects to may have a certificate of a public one."""

    def __init__(self, ca: str):
        self._ca = ca
        super().__init__()

    def init_poolmanager(self, *args, **options):
        context = ssl.create_default_context(cafile=self._ca)
        super().init_poolmanager(*args, ssl_context=context, **options)


class _Routed(HTTPAdapter):
    def __init__(self, locate):
        self._locate = locate
        super().__init__()

    def init_poolmanager(self, *args, **options):
        super().init_poolmanager(*args, **options)
        locate = self._locate

        class Connection(HTTPSConnection):
            def _new_conn(self):
                named, self._dns_host, self.port = (self._dns_host, self.port), *locate(self._dns_host, self.port)
                try:
                    return super()._new_conn()
                finally:
                    self._dns_host, self.port = named

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        self.poolmanager.pool_classes_by_scheme = {**self.poolmanager.pool_classes_by_scheme, "https": Pool}

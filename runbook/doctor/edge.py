"""What the outer stations look at: the balancer, its targets, and what the registry answers to a client."""

import http.client
import json
import ssl
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from .. import balancer, htpasswd, image, registry_api, rollout, target_health
from ..errors import AwsError, CloudError, NotOurs, SecretError
from ..params import Params
from ..secret import Login
from ..session import AWS

_LAYER = 1024**3  # bytes that a request is said to have; none of them is sent
_SECONDS = 10
_MANIFESTS = (image.MANIFEST_TYPE, "application/vnd.docker.distribution.manifest.v2+json")


class Answer(NamedTuple):
    """A status, or None where there is no answer, and either in words."""

    status: int | None
    words: str


class Edge:
    """Cached reads and requests from a client's side; none of them changes anything."""

    aws: AWS
    p: Params

    @cached_property
    def logins(self) -> list[Login]:
        """Those that were given, else those of the params where they can be read."""
        if self._logins is not None:
            return list(self._logins)
        try:
            return htpasswd.logins(self.aws, self.p)
        except (SecretError, AwsError, NotOurs):
            return []

    @cached_property
    def balancer(self) -> dict | None:
        """In the words of `find_balancer`; None where there is none of ours."""
        try:
            return balancer.find_balancer(self.aws, self.p)
        except NotOurs:
            return None

    @cached_property
    def targets(self) -> list[tuple[bool, str]]:
        """For each node or task behind the balancer: whether it is healthy, and what the balancer says of it."""
        if self.p.scales:
            told = [each["TargetHealth"] for each in target_health.health(self.aws, self.p)]
            return [(each["State"] == "healthy", each.get("Description") or each["State"]) for each in told]
        told = self.aws.elb.describe_instance_health(LoadBalancerName=self.p.balancer_name)["InstanceStates"]
        return [(each["State"] == "InService", each["Description"]) for each in told]

    @property
    def healthy(self) -> int:
        return sum(well for well, _ in self.targets)

    @cached_property
    def service(self) -> dict | None:
        """As ECS describes it; None where there is no ACTIVE one of ours."""
        try:
            found = rollout.describe(self.aws, self.p)
        except NotOurs:
            return None
        return found if found and found["status"] == "ACTIVE" else None

    @cached_property
    def container(self) -> dict | None:
        """The registry's container in the task definition that the service has."""
        if not self.service:
            return None
        found = self.aws.ecs.describe_task_definition(taskDefinition=self.service["taskDefinition"])
        containers = found["taskDefinition"]["containerDefinitions"]
        return next((each for each in containers if each["name"] == self.p.container_name), None)

    @cached_property
    def environment(self) -> dict[str, str]:
        return {pair["name"]: pair["value"] for pair in (self.container or {}).get("environment", [])}

    @cached_property
    def door(self) -> Answer:
        """What GET /v2/ says to somebody without a login: 401 where a registry works."""
        return self.ask("GET", "/v2/")

    @property
    def is_open(self) -> bool:
        """Whether the registry is reached and asks who comes: what is wrong then is wrong with a push or a pull."""
        return self.door.status == 401

    def ask(self, method: str, path: str, **options) -> Answer:
        with self.aws.http() as session:
            try:
                answer = registry_api.Client(session, self.p).send(method, path, **options)
            except registry_api.NoAnswer as error:
                return Answer(None, str(error))
            return Answer(answer.status_code, registry_api.said(answer))

    def headers(self, method: str, path: str, **options) -> dict[str, str]:
        """Those of the answer, names in small letters; none where there is no answer."""
        with self.aws.http() as session:
            try:
                answer = registry_api.Client(session, self.p).send(method, path, **options)
            except registry_api.NoAnswer:
                return {}
            return {name.lower(): value for name, value in answer.headers.items()}

    def announce_a_layer(self) -> int | None:
        """The status of a request that says it has 1 GiB to come. A registry asks for a login before it reads any of
        it; a proxy that limits requests refuses this one by its length. None where there is no answer."""
        context = ssl.create_default_context(cafile=self.aws.ca or requests.certs.where())
        try:
            where = self.aws.locate(self.p.domain, 443)
            connection = _Named(*where, timeout=_SECONDS, context=context, name=self.p.domain)
            try:
                connection.putrequest("GET", "/v2/", skip_host=True)
                for name, value in (("Host", self.p.domain), ("Content-Length", str(_LAYER))):
                    connection.putheader(name, value)
                connection.endheaders()
                return connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, CloudError):
            return None

    @cached_property
    def redirect(self) -> tuple[str, Answer] | None:
        """Where a client is sent for a blob (scheme and host), and what it gets there. None where nobody is sent
        anywhere, where there is no image to try it with, and where no login is known."""
        for login in self.logins[:1]:
            with self.aws.http() as session:
                client = registry_api.Client(session, self.p, login)
                try:
                    return _follow(session, client)
                except (registry_api.NoAnswer, ValueError, LookupError, TypeError):
                    return None  # what the registry itself cannot answer is not looked for here
        return None


class _Named(http.client.HTTPSConnection):
    """A connection to one address, with the handshake for another name."""

    def __init__(self, host: str, port: int, *, name: str, context: ssl.SSLContext, timeout: float):
        super().__init__(host, port, timeout=timeout, context=context)
        self._name, self._own = name, context

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._own.wrap_socket(self.sock, server_hostname=self._name)


def _follow(session: requests.Session, client: registry_api.Client) -> tuple[str, Answer] | None:
    path = _some_blob(client)
    answer = client.call("GET", path, stream=True) if path else None
    if answer is None or answer.status_code not in (301, 302, 303, 307, 308):
        return None
    location = urlsplit(answer.headers["Location"])
    if not location.netloc:
        return None
    there = f"{location.scheme}://{location.netloc}"
    try:
        with session.get(answer.headers["Location"], stream=True, allow_redirects=False, timeout=_SECONDS) as found:
            return there, Answer(found.status_code, f"{found.status_code} {found.reason}")
    except (requests.RequestException, CloudError) as error:
        return there, Answer(None, _why(error))


def _some_blob(client: registry_api.Client) -> str | None:
    """Path of the configuration of some image that is in the registry."""
    for name in client.call("GET", "/v2/_catalog?n=10").json()["repositories"] or []:
        for tag in (client.call("GET", f"/v2/{name}/tags/list").json().get("tags") or [])[:1]:
            accepted = {"Accept": ", ".join(_MANIFESTS)}
            found = json.loads(client.call("GET", f"/v2/{name}/manifests/{tag}", headers=accepted).content)
            if "config" in found:
                return f"/v2/{name}/blobs/{found['config']['digest']}"
    return None


def _why(error: Exception) -> str:
    """In words without a signed query."""
    if isinstance(error, CloudError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.SSLError):
        return "no TLS handshake, or a certificate that is not accepted"
    return "nothing is reached there" if isinstance(error, requests.ConnectionError) else type(error).__name__

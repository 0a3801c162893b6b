"""The connection to AWS (or to the embedded cloud): one cached session, its clients, and a read-only twin.

Only this module imports boto3. Retries are botocore's own, configured here and nowhere else.
"""

import difflib
import os
import threading
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import boto3
import botocore.session
import requests
from botocore.config import Config

from . import web
from .errors import BOTOCORE, AwsError, CloudError, ParamsError, ReadOnly, translate
from .params import Params

_CONFIG = {
    "retries": {"mode": "standard", "total_max_attempts": 5},
    "connect_timeout": 3,
    "read_timeout": 60,
    "user_agent_extra": "registry-runbook",
}
# Operations that change nothing, by the first word of AWS's own names.
_READS = ("Get", "List", "Describe", "Head", "BatchGet", "Lookup")


def connect(p: Params, *, read_only: bool = False) -> "AWS":
    """Clients for the deployment's region. With `cloud: embedded` the embedded cloud must be up (CloudError).

    ParamsError for a region that boto3 does not know: its host names would not be found, which says less.
    """
    if p.cloud == "aws":
        try:
            session = boto3.Session(region_name=p.region)
        except BOTOCORE as error:  # AWS_PROFILE, or a config file that cannot be read
            raise translate(error, "sts", "connect", "AWS") from error
        if p.region not in (known := session.get_available_regions("ecs")):
            near = difflib.get_close_matches(p.region, known, n=3)
            raise ParamsError(
                f"{p.source}: `region`: boto3 {boto3.__version__} knows no region {p.region}; did you mean "
                f"{' or '.join(near)}? For a region that is newer: pip install --upgrade boto3"
            )
        return AWS(session, {"config": Config(**_CONFIG)}, "AWS", web.Public(), read_only)
    from .local import running  # the embedded cloud is known here alone, and only by its address

    cloud = running()
    options = {
        "endpoint_url": cloud.endpoint,
        "config": Config(**_CONFIG, s3={"addressing_style": "path"}, ignore_configured_endpoint_urls=True, proxies={}),
        "aws_access_key_id": "embedded",
        "aws_secret_access_key": "embedded",  # noqa: S106 (any credentials are accepted on loopback)
    }
    where = f"the embedded cloud at {cloud.endpoint}; start it with: python -m runbook cloud up PARAMS"
    session = boto3.Session(region_name=p.region, botocore_session=_without_settings())
    return AWS(session, options, where, web.Embedded(cloud.endpoint, cloud.ca), read_only)


def _without_settings() -> botocore.session.Session:
    """A session that reads no AWS_* variable and no file of the caller: a profile or CA bundle there is for AWS."""
    unset = {
        name: (None, None, default, convert)
        for name, (_, _, default, convert) in botocore.session.Session.SESSION_VARIABLES.items()
    }
    nowhere = (None, None, os.devnull, None)
    return botocore.session.Session(unset | {"config_file": nowhere, "credentials_file": nowhere})


class AWS:
    """`aws.s3.head_bucket(…)`: boto3's clients by name (a hyphen is `_`), whose errors are ours. Made by `connect`."""

    def __init__(self, session: boto3.Session, options: dict[str, Any], where: str, route: Any, read_only: bool):
        self._session, self._options, self._where, self._route = session, options, where, route
        self.is_read_only = read_only
        self.leases: dict[str, Any] = {}  # of the deployments that this connection changes now, by name
        self._clients: dict[str, Client] = {}
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> "Client":
        if service.startswith("_"):
            raise AttributeError(service)
        with self._lock:  # creating clients of one session is not thread-safe in boto3
            if service not in self._clients:
                try:
                    client = self._session.client(service.replace("_", "-"), **self._options)
                except BOTOCORE as error:
                    raise translate(error, service, "connect", self._where) from error
                guard = _refuse_writes if self.is_read_only else self._check_leases
                client.meta.events.register_first("before-call", guard)
                self._clients[service] = Client(client, self._where)
            return self._clients[service]

    def _check_leases(self, model: Any, **_: Any) -> None:
        if not model.name.startswith(_READS):
            for lease in list(self.leases.values()):
                lease.check()

    @property
    def region(self) -> str:
        return self._session.region_name

    @cached_property
    def account(self) -> str:
        """The account's 12 digits, as AWS tells them for the credentials in use."""
        return self.sts.get_caller_identity()["Account"]

    def read_only(self) -> "AWS":
        """The same connection, in which every call that is not a read raises ReadOnly."""
        return self if self.is_read_only else AWS(self._session, self._options, self._where, self._route, True)

    def http(self) -> requests.Session:
        """HTTP as a client of the registry speaks it: true names, verified certificates, nothing from the
        environment (no proxy, no .netrc, no CA bundle)."""
        return self._route.session()

    def locate(self, domain: str, port: int = 443) -> tuple[str, int]:
        """Where a client on this computer connects for `domain`: the name itself on AWS."""
        return self._route.locate(domain, port)

    @property
    def ca(self) -> str | None:
        """File of the CA that a client must be told to trust; None when the system's own CAs do."""
        return self._route.ca


class Client:
    """One boto3 client. Every exception that leaves it is one of `errors`."""

    def __init__(self, client: Any, where: str):
        self._client, self._where = client, where

    def __getattr__(self, operation: str):
        method = getattr(self._client, operation)
        if not callable(method):
            return method

        def call(**parameters: Any) -> Any:
            try:
                return method(**parameters)
            except BOTOCORE as error:
                raise self._translated(error, operation) from error

        return call

    def find(self, operation: str, absent: set[str], /, **parameters: Any) -> dict[str, Any] | None:
        """The answer, or None when AWS answers with one of the codes `absent`. Denied is never absent."""
        try:
            return getattr(self, operation)(**parameters)
        except AwsError as error:
            if error.code in absent:
                return None
            raise

    def all(self, operation: str, key: str, /, **parameters: Any) -> list[Any]:
        """All items of all pages under `key` of a paged list operation."""
        return list(self._items(operation, key, parameters))

    def _items(self, operation: str, key: str, parameters: dict[str, Any]) -> Iterator[Any]:
        try:
            if self._client.can_paginate(operation):
                for page in self._client.get_paginator(operation).paginate(**parameters):
                    yield from page.get(key) or []
            else:
                yield from getattr(self._client, operation)(**parameters).get(key) or []
        except BOTOCORE as error:
            raise self._translated(error, operation) from error

    def _translated(self, error: Exception, operation: str) -> Exception:
        name = self._client.meta.method_to_api_mapping.get(operation, operation)
        return translate(error, self._client.meta.service_model.signing_name, name, self._where)


def _refuse_writes(model: Any, **_: Any) -> None:
    if not model.name.startswith(_READS):
        raise ReadOnly(f"{model.service_model.service_name} {model.name}: refused, this session only reads")


__all__ = ["AWS", "Client", "CloudError", "connect"]

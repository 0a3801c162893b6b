"""The connection to AWS (or to the embedded cloud): one cached session, its clients, and a read-only twin.

Only this module imports boto3. Retries are botocore's own, configured here and nowhere else. A parameter of a call may
be a Secret: it is revealed here, below all frames that a traceback could show, and taken out of what AWS answers.
"""

import copy
import difflib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any

import boto3
import botocore.session
import requests
from botocore.config import Config

from . import web
from .errors import BOTOCORE, AwsError, CloudError, ParamsError, ReadOnly, SecretError, translate
from .memory import Memory
from .params import Params
from .secret import Secret, sealed

# The mode that AWS recommends; its waits grow to 20 s, so that eight attempts outlast half a minute of throttling:
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_CONFIG = {
    "retries": {"mode": "standard", "total_max_attempts": 8},
    "connect_timeout": 3,
    "read_timeout": 60,
    "user_agent_extra": "registry-runbook",
}
# Of the one call by which a connection begins: an endpoint that is not there is told within 15 seconds.
_FIRST = {"retries": {"mode": "standard", "total_max_attempts": 2}, "connect_timeout": 3, "read_timeout": 5}
# Operations that change nothing, by the first word of AWS's own names.
_READS = ("Get", "List", "Describe", "Head", "BatchGet", "Lookup")
# Where an answer was lost, botocore makes the call again, and the second one may meet what the first one did: AWS then
# says that the thing is there already, or gone already. By the first word of AWS's names of operations.
_MADE = ("Add", "Attach", "Authorize", "Create")
_GONE = ("Change", "Delete", "Deregister", "Detach", "Remove", "Revoke")
_IS_THERE = re.compile(r"AlreadyExists|Duplicate|LimitExceeded.*InstanceSessionsPerInstanceProfile")
_IS_GONE = re.compile(r"NotFound|NoSuch|not found|does not exist|cannot be found")
# At DEBUG they log each request and answer as a whole, passwords and keys included.
_TALKATIVE = ("boto3", "botocore", "s3transfer", "urllib3")


def connect(p: Params, *, read_only: bool = False) -> "AWS":
    """Clients for the deployment's region. With `cloud: embedded` the embedded cloud must be up (CloudError).

    ParamsError for a region that boto3 does not know: its host names would not be found, which says less.
    """
    return connect_to(p.cloud, p.region, read_only=read_only, asked=f"{p.source}: `region`")


def connect_to(cloud: str, region: str, *, read_only: bool = False, asked: str = "region") -> "AWS":
    """The same without params. `asked` is where the region was given, in words."""
    for name in _TALKATIVE:  # a root logger at DEBUG is somebody's own business
        if logging.getLogger(name).level == logging.NOTSET:
            logging.getLogger(name).setLevel(logging.WARNING)
    if cloud == "aws":
        return _to_aws(region, read_only, asked)
    from .local import running  # the embedded cloud is known here alone, and only by its address

    there = running()
    options = {
        "endpoint_url": there.endpoint,
        "config": Config(**_CONFIG, s3={"addressing_style": "path"}, ignore_configured_endpoint_urls=True, proxies={}),
        "aws_access_key_id": "embedded",
        "aws_secret_access_key": "embedded",  # noqa: S106 (any credentials are accepted on loopback)
    }
    where = f"the embedded cloud at {there.endpoint}; start it with: python -m runbook cloud up PARAMS"
    session = boto3.Session(region_name=region, botocore_session=_without_settings())
    return AWS(session, options, where, web.Embedded(there.endpoint, there.ca), read_only)


def _to_aws(region: str, read_only: bool, asked: str) -> "AWS":
    try:
        session = boto3.Session(region_name=region)
    except BOTOCORE as error:  # AWS_PROFILE, or a config file that cannot be read
        raise translate(error, "sts", "connect", "AWS") from error
    if region not in (known := session.get_available_regions("ecs")):
        near = difflib.get_close_matches(region, known, n=3)
        raise ParamsError(
            f"{asked}: boto3 {boto3.__version__} knows no region {region}; did you mean "
            f"{' or '.join(near)}? For a region that is newer: pip install --upgrade boto3"
        )
    return AWS(session, {"config": Config(**_CONFIG)}, "AWS", web.Public(), read_only, first=Config(**_FIRST))


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

    def __init__(
        self,
        session: boto3.Session,
        options: dict[str, Any],
        where: str,
        route: Any,
        read_only: bool,
        *,
        first: Config | None = None,
    ):
        self._session, self._options, self._where, self._route = session, options, where, route
        self.is_read_only = read_only
        self._first = first  # how the connection begins, until it has
        self.leases: dict[str, Any] = {}  # of the deployments that this connection changes now, by name
        self._made: dict[str, Any] = {}  # boto3's clients
        self._clients: dict[str, Client] = {}
        self._reader: AWS | None = None
        self._memory: Memory | None = None
        self._lock = threading.Lock()

    def __getattr__(self, service: str) -> "Client":
        if service.startswith("_"):
            raise AttributeError(service)
        with self._lock:  # creating clients of one session is not thread-safe in boto3
            self._begin()
            if service not in self._clients:
                if service not in self._made:
                    self._made[service] = self._client(service)
                self._clients[service] = Client(self._made[service], self._where, self._memory)
            return self._clients[service]

    def _client(self, service: str) -> Any:
        try:
            with sealed():
                client = self._session.client(service.replace("_", "-"), **self._options)
        except BOTOCORE as error:
            raise translate(error, service, "connect", self._where) from error
        guard = _refuse_writes if self.is_read_only else self._check_leases
        client.meta.events.register_first("before-call", guard)
        return client

    def begin(self) -> None:
        """See that AWS answers and takes the login, as the first call of all would. Every login may ask who it is."""
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        if self._first is None:
            return
        _refuse_debug()
        try:
            sts = self._session.client("sts", **(self._options | {"config": self._first}))
            self.__dict__["account"] = sts.get_caller_identity()["Account"]
        except BOTOCORE as error:
            where = os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL") or self._where
            raise translate(error, "sts", "GetCallerIdentity", where) from error
        self._first = None

    def _check_leases(self, model: Any, **_: Any) -> None:
        if not model.name.startswith(_READS):
            for lease in list(self.leases.values()):
                lease.check()

    @property
    def region(self) -> str:
        return self._session.region_name

    @property
    def profile(self) -> str:
        """The profile that was named for the credentials; empty for the default one."""
        return "" if self._session.profile_name == "default" else self._session.profile_name

    @cached_property
    def account(self) -> str:
        """The account's 12 digits, as AWS tells them for the credentials in use."""
        return self.sts.get_caller_identity()["Account"]

    def read_only(self) -> "AWS":
        """The same connection, in which every call that is not a read raises ReadOnly."""
        if self.is_read_only:
            return self
        with self._lock:
            if self._reader is None:
                self._reader = AWS(self._session, self._options, self._where, self._route, True, first=self._first)
                if "account" in self.__dict__:
                    self._reader.__dict__["account"] = self.account
            return self._reader

    def once(self) -> "AWS":
        """A read-only connection for one look, within which nothing is read twice."""
        if self._memory is not None:
            return self
        reader = self.read_only()
        reader.begin()
        view = copy.copy(reader)
        view._clients, view._memory = {}, Memory()
        return view

    def as_key(self, key_id: str, key: Secret) -> "AWS":
        """The same connection as the owner of an access key. It only reads."""
        own = {"aws_access_key_id": key_id, "aws_secret_access_key": key.reveal()}
        return AWS(self._session, self._options | own, self._where, self._route, True)

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

    def __init__(self, client: Any, where: str, memory: Memory | None = None):
        self._client, self._where, self._memory = client, where, memory

    def __getattr__(self, operation: str):
        method = getattr(self._client, operation)
        if not callable(method):
            return method

        def call(**parameters: Any) -> Any:
            _refuse_debug()
            secrets = [value for value in parameters.values() if isinstance(value, Secret)]
            try:
                with sealed():
                    return method(**{key: _plain(value) for key, value in parameters.items()})
            except BOTOCORE as error:
                failed = error
            told = self._translated(failed, operation, secrets)
            if _was_done(failed, told):
                return {}
            raise told from (None if secrets else failed)  # it may quote them, too

        if self._memory is None:
            return call
        return lambda **parameters: self._remembered(operation, parameters, lambda: call(**parameters))

    def _remembered(self, operation: str, parameters: dict[str, Any], read: Callable[[], Any]) -> Any:
        if self._memory is None:
            return read()
        return self._memory.recall(self._client.meta.service_model.service_name, operation, parameters, read)

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
        return self._remembered(
            operation, {"all of": key, **parameters}, lambda: [*self._items(operation, key, parameters)]
        )

    def _items(self, operation: str, key: str, parameters: dict[str, Any]) -> Iterator[Any]:
        _refuse_debug()
        try:
            with sealed():
                if self._client.can_paginate(operation):
                    for page in self._client.get_paginator(operation).paginate(**parameters):
                        yield from page.get(key) or []
                else:
                    yield from getattr(self._client, operation)(**parameters).get(key) or []
        except BOTOCORE as error:
            raise self._translated(error, operation) from error

    def _translated(self, error: Exception, operation: str, secrets: Iterable[Secret] = ()) -> Exception:
        name = self._client.meta.method_to_api_mapping.get(operation, operation)
        hidden = [secret.reveal() for secret in secrets]
        return translate(error, self._client.meta.service_model.signing_name, name, self._where, hidden)


def _plain(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def _refuse_debug() -> None:
    for name, logger in list(logging.root.manager.loggerDict.items()):
        talkative = isinstance(logger, logging.Logger) and name.partition(".")[0] in _TALKATIVE
        if talkative and logger.isEnabledFor(logging.DEBUG):
            raise SecretError(
                f"the logger {name} is set to DEBUG, which writes passwords and keys into the log; "
                f'set it higher, for example logging.getLogger("{name}").setLevel("WARNING"), and run again'
            )


def _was_done(error: Exception, translated: Exception) -> bool:
    """Whether the call had already taken effect, and only its answer was lost."""
    if not isinstance(translated, AwsError) or not error.response.get("ResponseMetadata", {}).get("RetryAttempts"):
        return False
    said = f"{translated.code}: {translated.message}"
    made, gone = translated.operation.startswith(_MADE), translated.operation.startswith(_GONE)
    return bool((made and _IS_THERE.search(said)) or (gone and _IS_GONE.search(said)))


def _refuse_writes(model: Any, **_: Any) -> None:
    if not model.name.startswith(_READS):
        raise ReadOnly(f"{model.service_model.service_name} {model.name}: refused, this session only reads")


__all__ = ["AWS", "Client", "CloudError", "connect", "connect_to"]

"""The metadata service of each node, and the ECS agent's credential endpoint of its tasks: where roles become keys.

On AWS they are at 169.254.169.254 and 169.254.170.2. Here each node has them at its own loopback address:

    1338   metadata, for programs on the node itself
    1339   metadata, for containers: one network hop further (HttpPutResponseHopLimit)
    1340   credentials of the tasks' own roles
"""

import datetime
import json
import logging
import os
import secrets
import selectors
import threading
import time
import uuid
from dataclasses import dataclass
from http import HTTPStatus

from .answers import Answer, Handler, NoAnswer, Server, failed, refused
from .inside import credentials, metadata
from .inside.credentials import Lent, NotAssumed
from .nodes import Node, Nodes
from .state import Place

log = logging.getLogger(__name__)

PORTS = NODE_PORT, CONTAINER_PORT, TASK_PORT = 1338, 1339, 1340
# AWS's last about six hours. A shorter life is what makes a program show that it asks anew.
CREDENTIAL_SECONDS = int(os.environ.get("RUNBOOK_CREDENTIAL_SECONDS", "900"))
RENEWED_BEFORE = min(300, CREDENTIAL_SECONDS / 3)
# "Use the Instance Metadata Service", EC2 user guide: a token lives one second to six hours.
LONGEST_TOKEN = 21600
TOKEN, TTL = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"
SELECT_SECONDS = 0.5


@dataclass(frozen=True)
class Task:
    """Whose credentials an id of the credential endpoint stands for."""

    task_id: str
    role_arn: str
    region: str


class Metadata:
    """The part that answers for every node that runs."""

    def __init__(self, place: Place, nodes: Nodes):
        self._place, self._nodes = place, nodes
        self._services: dict[str, Service] = {}
        self._tasks: dict[str, Task] = {}
        self._credentials = Credentials()
        self._selector = selectors.DefaultSelector()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        metadata.install()

    def step(self) -> None:
        running = {node.instance_id: node for node in self._nodes.all()}
        for instance_id in self._services.keys() - running.keys():
            self._services.pop(instance_id).close()
        for node in running.values():
            self._open(node)

    def close(self) -> None:
        self._closing.set()
        for service in self._services.values():
            service.close()
        self._services.clear()

    def node_environment(self, node: Node) -> dict[str, str]:
        """Where a program on the node finds the metadata service."""
        self._open(node)
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{node.address}:{NODE_PORT}/"}

    def environment(self, node: Node, task_definition, task_id: str) -> dict[str, str]:
        """Where a container of a task finds the metadata service, and the credentials of the task's role if it has one.

        ECS says AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, relative to an address that this computer does not have; AWS's
        SDKs take a full one on loopback, too.
        """
        self._open(node)
        found = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{node.address}:{CONTAINER_PORT}/"}
        role = getattr(task_definition, "task_role_arn", None)
        if role:
            task = Task(task_id, role, node.region)
            known = {kept: name for name, kept in self._tasks.items()}
            name = known.get(task) or str(uuid.uuid4())
            self._tasks[name] = task
            found["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://{node.address}:{TASK_PORT}/v2/credentials/{name}"
        return found

    def forget(self, task_id: str) -> None:
        """The task has ended: its credentials can be had no more."""
        for name in [name for name, task in self._tasks.items() if task.task_id == task_id]:
            del self._tasks[name]

    def _open(self, node: Node) -> None:
        if node.instance_id not in self._services:
            for other in [kept for kept, service in self._services.items() if service.address == node.address]:
                self._services.pop(other).close()  # of an instance that has just gone
            self._services[node.instance_id] = Service(node, self._selector, self._credentials, self._tasks)
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="metadata", daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while not self._closing.is_set():
            for key, _ in self._selector.select(SELECT_SECONDS):
                try:
                    key.data.handle_request()
                except (OSError, ValueError):  # its node has gone in this moment
                    log.debug("metadata service of %s is closed", key.data.server_address)


class Credentials:
    """What the roles have lent, renewed before it ends: AWS makes new ones known at least five minutes before."""

    def __init__(self) -> None:
        self._lent: dict[tuple[str, str], Lent] = {}
        self._lock = threading.Lock()

    def of(self, role_arn: str, *, service: str, session: str, region: str) -> Lent:
        """NotAssumed if the role does not trust the service."""
        with self._lock:
            lent = self._lent.get((role_arn, session))
            left = lent.expiration - datetime.datetime.now(datetime.UTC) if lent else datetime.timedelta()
            if left.total_seconds() <= RENEWED_BEFORE:
                lent = credentials.lend(
                    role_arn, service=service, session=session, region=region, seconds=CREDENTIAL_SECONDS
                )
                self._lent[role_arn, session] = lent
            return lent


class Service:
    """The three servers of one node."""

    def __init__(
        self, node: Node, selector: selectors.BaseSelector, lenders: Credentials, tasks: dict[str, Task]
    ) -> None:
        self._node, self._selector, self._credentials, self._tasks = node, selector, lenders, tasks
        self.address = node.address
        self._tokens: dict[str, float] = {}
        self._servers: list[Server] = []
        ports = {
            NODE_PORT: lambda asked: self._metadata(asked, hops=1),
            CONTAINER_PORT: lambda asked: self._metadata(asked, hops=2),
            TASK_PORT: self._task,
        }
        try:
            for port, answer in ports.items():
                server = Server((node.address, port), answer)
                self._servers.append(server)
                selector.register(server, selectors.EVENT_READ, server)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for server in self._servers:
            if server.fileno() in self._selector.get_map():
                self._selector.unregister(server)
            server.server_close()

    def _metadata(self, asked: Handler, hops: int) -> Answer:
        """EC2 user guide, "How Instance Metadata Service Version 2 works"."""
        options = metadata.options(self._node.region, self._node.instance_id)
        if not options.enabled or "X-Forwarded-For" in asked.headers:
            return failed(HTTPStatus.FORBIDDEN)
        if asked.command == "PUT":
            if asked.path != "/latest/api/token":
                return failed(HTTPStatus.METHOD_NOT_ALLOWED)
            if options.hop_limit < hops:
                raise NoAnswer
            return self._token(asked)
        token = asked.headers.get(TOKEN)
        if token is None and options.token_required or token is not None and not self._is_good(token):
            return failed(HTTPStatus.UNAUTHORIZED)
        return self._tell(asked.path)

    def _token(self, asked: Handler) -> Answer:
        seconds = asked.headers.get(TTL, "")
        if not seconds.isdecimal() or not 1 <= int(seconds) <= LONGEST_TOKEN:
            return failed(HTTPStatus.BAD_REQUEST)
        now = time.monotonic()
        for old in [old for old, end in list(self._tokens.items()) if end <= now]:
            self._tokens.pop(old, None)
        token = secrets.token_urlsafe(40)
        self._tokens[token] = now + int(seconds)
        return Answer(token, headers=((TTL, seconds),))

    def _is_good(self, token: str) -> bool:
        return self._tokens.get(token, 0) > time.monotonic()

    def _tell(self, path: str) -> Answer:
        node = self._node
        words = metadata.identity(node.region, node.instance_id, node.address)
        plain = {
            "/latest/meta-data/ami-id": words["imageId"],
            "/latest/meta-data/instance-id": words["instanceId"],
            "/latest/meta-data/instance-type": words["instanceType"],
            "/latest/meta-data/local-ipv4": words["privateIp"],
            "/latest/meta-data/placement/availability-zone": words["availabilityZone"],
            "/latest/meta-data/placement/region": words["region"],
        }
        if path in plain:
            return Answer(plain[path])
        if path.rstrip("/") == "/latest/dynamic/instance-identity/document":
            return Answer(json.dumps(words, indent=2))
        return self._tell_profile(path)

    def _tell_profile(self, path: str) -> Answer:
        folder = "/latest/meta-data/iam/"
        profile = metadata.profile(self._node.region, self._node.instance_id)
        if profile is None or not path.startswith(folder):
            return failed(HTTPStatus.NOT_FOUND)
        what = path.removeprefix(folder)
        if what == "info":
            found = {"Code": "Success", "LastUpdated": now(), "InstanceProfileArn": profile.arn}
            return Answer(json.dumps(found | {"InstanceProfileId": profile.id}, indent=2))
        if profile.role_arn is None:
            return failed(HTTPStatus.NOT_FOUND)
        if what in ("security-credentials", "security-credentials/"):
            return Answer(profile.role_name)
        if what != f"security-credentials/{profile.role_name}":
            return failed(HTTPStatus.NOT_FOUND)
        try:
            lent = self._credentials.of(
                profile.role_arn,
                service="ec2.amazonaws.com",
                session=self._node.instance_id,
                region=self._node.region,
            )
        except NotAssumed:
            # "Troubleshoot IAM and Amazon EC2": EC2 says so here when the trust policy does not let it in.
            message = "EC2 cannot assume the role " + profile.role_name
            return Answer(json.dumps({"Code": "AssumeRoleUnauthorizedAccess", "Message": message}, indent=2))
        found = {"Code": "Success", "LastUpdated": now(), "Type": "AWS-HMAC"}
        return Answer(json.dumps(found | keys(lent), indent=2))

    def _task(self, asked: Handler) -> Answer:
        """ECS developer guide, "Amazon ECS task IAM role"; errors in the words of the ECS agent."""
        task = self._tasks.get(asked.path.removeprefix("/v2/credentials/"))
        if asked.command != "GET":
            return failed(HTTPStatus.METHOD_NOT_ALLOWED)
        if task is None:
            message = "CredentialsV2Request: ID not found"
            return refused("InvalidIdInRequest", message, HTTPStatus.BAD_REQUEST)
        try:
            lent = self._credentials.of(
                task.role_arn, service="ecs-tasks.amazonaws.com", session=task.task_id, region=task.region
            )
        except NotAssumed as error:
            return refused("AccessDeniedException", f"ECS was u{str(error)[1:]}", HTTPStatus.INTERNAL_SERVER_ERROR)
        return Answer(json.dumps({"RoleArn": lent.role_arn} | keys(lent)), kind="application/json")


def keys(lent: Lent) -> dict[str, str]:
    return {
        "AccessKeyId": lent.access_key_id,
        "SecretAccessKey": lent.secret_access_key,
        "Token": lent.token,
        "Expiration": f"{lent.expiration:%Y-%m-%dT%H:%M:%SZ}",
    }


def now() -> str:
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"

"""What the inner stations read: the service, its tasks, what they were started with and what they print."""

import datetime
import re
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from .. import instances, registry_api, revisions, rollout
from ..errors import NotOurs
from ..secret import Login
from .edge import Edge

_AT_ONCE = 60  # of a container's lines, the first and the last so many
_RECENT = datetime.timedelta(minutes=10)  # what a registry said of S3 before is no news
_ABSENT = {"ResourceNotFoundException"}
_FAILED = {"TaskFailedToStart", "EssentialContainerExited"}
_VERSION = re.compile(r"(?:docker\.io/)?(?:library/)?registry:(\d+(?:\.\d+)*)(?:@.*)?")


class Line(NamedTuple):
    """One line of a container's log."""

    container: str
    text: str
    when: datetime.datetime

    @property
    def is_recent(self) -> bool:
        return datetime.datetime.now(datetime.UTC) - self.when < _RECENT


class Chart(Edge):
    """Cached reads of the inner half of a deployment."""

    @cached_property
    def primary(self) -> dict:
        """The deployment that ECS works towards; empty without a service."""
        return next((each for each in rollout.deployments(self.service) if each["status"] == "PRIMARY"), {})

    @cached_property
    def events(self) -> list[str]:
        """The service's, the newest first."""
        events = (self.service or {}).get("events", [])
        return [each["message"] for each in sorted(events, key=lambda event: event["createdAt"], reverse=True)]

    @cached_property
    def running(self) -> list[dict]:
        return [each for each in self._tasks("RUNNING") if each["lastStatus"] == "RUNNING"]

    @cached_property
    def newest(self) -> str | None:
        """The newest revision, whether the service runs it or not."""
        try:
            return revisions.newest(self.aws, self.p)
        except NotOurs:
            return None

    @cached_property
    def failed(self) -> list[dict]:
        """Tasks that ended by themselves and that nothing has mended since, the newest first: of a revision that never
        came to run, or of a deployment that is not complete."""
        return sorted(filter(self._is_open, self._tasks("STOPPED")), key=_ended, reverse=True)

    @cached_property
    def suspect(self) -> dict | None:
        """The task definition that is looked at: the one whose tasks fail, else the one that the service runs."""
        arn = self.failed[0]["taskDefinitionArn"] if self.failed else self.primary.get("taskDefinition")
        return self.aws.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"] if arn else None

    @cached_property
    def registry(self) -> dict | None:
        """The registry's container in the suspect."""
        containers = (self.suspect or {}).get("containerDefinitions", [])
        named = [each for each in containers if each["name"] == self.p.container_name]
        return next(iter([*named, *(each for each in containers if each.get("essential", True))]), None)

    @cached_property
    def variables(self) -> dict[str, str]:
        return {pair["name"]: pair["value"] for pair in (self.registry or {}).get("environment", [])}

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Variable → where ECS takes its value from."""
        return {pair["name"]: pair["valueFrom"] for pair in (self.registry or {}).get("secrets", [])}

    @property
    def version(self) -> tuple[int, ...]:
        """Of the stock image that runs, as far as its tag says; () for an image of one's own."""
        match = _VERSION.fullmatch((self.registry or {}).get("image", ""))
        return tuple(map(int, match[1].split("."))) if match else ()

    @property
    def replicas(self) -> int:
        return (self.service or {}).get("desiredCount", 0)

    @property
    def uses_static_key(self) -> bool:
        names = self.variables.keys() | self.secrets.keys()
        return any(re.search(r"STORAGE_S3_ACCESSKEY$|AWS_ACCESS_KEY(_ID)?$", name) for name in names)

    @cached_property
    def failed_lines(self) -> list[Line]:
        """What the containers of the newest failed task printed."""
        return list(self._lines(self.failed[0])) if self.failed else []

    @cached_property
    def running_lines(self) -> list[Line]:
        """What the running registries print."""
        return [line for task in self.running for line in self._lines(task)]

    @cached_property
    def nodes(self) -> list[dict]:
        """The running instances, as EC2 describes them."""
        found = instances.of_group(self.aws, self.p) if self.p.scales else instances.read(self.aws, self.p).live
        return [each for each in found if instances.state(each) == "running"]

    @cached_property
    def health(self) -> str:
        """What the registry answers on `/`, which needs no login and says 503 when it does not reach its storage."""
        return self.told("/")

    def told(self, path: str, login: Login | None = None, method: str = "GET") -> str:
        """Status and error code of one request that changes nothing, or in words why there is no answer."""
        with self.aws.http() as http:
            try:
                return registry_api.said(registry_api.Client(http, self.p, login).send(method, path))
            except registry_api.NoAnswer as error:
                return str(error)

    def _tasks(self, status: str) -> list[dict]:
        return rollout.tasks(self.aws, self.p, status) if self.service else []

    def _is_open(self, task: dict) -> bool:
        if task.get("stopCode") not in _FAILED:
            return False
        revision, primary = task["taskDefinitionArn"], self.primary
        if revision != primary.get("taskDefinition"):
            return revision == self.newest
        complete = primary.get("rolloutState") == "COMPLETED" and primary["runningCount"] >= primary["desiredCount"]
        return (
            not complete
            and _ended(task) >= primary["createdAt"]
            or any(
                each.get("rolloutState") == "FAILED" and each["taskDefinition"] == revision
                for each in rollout.deployments(self.service)
            )
        )

    def _lines(self, task: dict) -> Iterator[Line]:
        for container in task["containers"]:
            stream = f"{self.p.name}/{container['name']}/{task['taskArn'].rsplit('/')[-1]}"
            asked = {"logGroupName": self.p.log_group, "logStreamName": stream, "limit": _AT_ONCE}
            seen = {}
            for first in (True, False):
                answer = self.aws.logs.find("get_log_events", _ABSENT, **asked, startFromHead=first)
                for event in (answer or {"events": []})["events"]:
                    seen[event["timestamp"], event["message"]] = None
            for stamp, text in seen:
                when = datetime.datetime.fromtimestamp(stamp / 1000, datetime.UTC)
                yield Line(container["name"], text, when)


def _ended(task: dict) -> datetime.datetime:
    return task.get("stoppedAt") or task["createdAt"]

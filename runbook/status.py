"""The status of a deployment at a glance: what serves, on what, and how busy it is; read again and again by `watch`."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from multiprocessing.pool import ThreadPool
from typing import Any

from . import status_reads
from .errors import AwsError, Expired, NotOurs, RunbookError, StepFailed, VerificationFailed
from .params import Params
from .report import Document, Report
from .session import AWS
from .wait import _in_kernel

EVERY = 2.0  # seconds between two looks
_PARTS: dict[str, Callable[[AWS, Params], Any]] = {
    "name": status_reads.name,
    "tls": status_reads.tls,
    "balancer": status_reads.balancer,
    "targets": status_reads.targets,
    "nodes": status_reads.nodes,
    "service": status_reads.service,
    "tasks": status_reads.tasks,
    "users": status_reads.users,
}


@dataclass(frozen=True)
class Untold:
    """A part, or a whole status, that could not be read, and why. It is false, as nothing is known to serve."""

    why: str

    def __bool__(self) -> bool:
        return False

    def json(self) -> Document:
        return Document(untold=self.why)

    def text(self) -> str:
        return f"cannot be told: {self.why}"

    __repr__ = text


@dataclass(frozen=True)
class Status:
    """What was seen at one moment, part by part (those of `status_reads`). True when the registry serves: its name
    leads to the balancer, clients are shown a certificate in time, and a registry is healthy."""

    title: str
    parts: dict[str, Any]

    def __bool__(self) -> bool:
        return bool(self.report)

    def require(self) -> "Status":
        """This status, or VerificationFailed when the registry does not serve."""
        if not self:
            raise VerificationFailed(self.report)
        return self

    @property
    def report(self) -> Report:
        """What serving takes, check by check."""
        name, tls, targets = (self.parts[part] for part in ("name", "tls", "targets"))
        report = Report(f"{self.title}, now")
        leads = not isinstance(name, Untold) and self._leads()
        report = report.check(
            "name", leads, "leads to the balancer", "leads to the balancer" if leads else self._name()
        )
        days = None if isinstance(tls, Untold) else tls["days_left"]
        report = report.check("certificate", days is not None and days >= 0, "in time", self._in_time(days))
        healthy = 0 if isinstance(targets, Untold) else _healthy(targets)
        return report.check("registries", healthy > 0, "at least one healthy", self._some(healthy))

    def _in_time(self, days: int | None) -> str:
        return "in time" if days is not None and days >= 0 else self._tls()

    def _some(self, healthy: int) -> str:
        return "at least one healthy" if healthy else self._targets()

    def json(self) -> Document:
        """All that was read; times in ISO 8601, UTC."""
        told = {key: part.json() if isinstance(part, Untold) else part for key, part in self.parts.items()}
        whole = {"deployment": self.title, "serving": bool(self), **told}
        return Document(json.loads(json.dumps(whole, default=datetime.isoformat)))

    def rows(self, *, times: bool) -> list[tuple[str, list[str]]]:
        """What is shown: each thing's name, and its lines."""
        return [
            ("name", [self._name()]),
            ("TLS", [self._tls()]),
            ("balancer", [self._balancer()]),
            ("requests", [self._requests(times)]),
            ("targets", [self._targets()]),
            ("nodes", self._lines("nodes", _node)),
            ("tasks", [self._service(), *self._lines("tasks", lambda task: self._task(task, times))]),
            ("events", self._events(times)),
            ("users", [self._users()]),
        ]

    def text(self, *, times: bool = True) -> str:
        """For a terminal."""
        lines = [f"{self.title}: {self.word}"]
        for what, said in self.rows(times=times):
            lines += [f"  {what if not n else '':8}  {line}".rstrip() for n, line in enumerate(said)]
        return "\n".join(lines)

    @property
    def word(self) -> str:
        return "serving" if self else "NOT SERVING"

    def __repr__(self) -> str:
        return self.text(times=False)

    def _repr_html_(self) -> str:
        style = "text-align:left;vertical-align:top"
        rows = "".join(
            f'<tr><th scope="row" style="{style}">{what}</th>'
            f'<td style="{style}">{"<br>".join(map(escape, said))}</td></tr>'
            for what, said in self.rows(times=True)
        )
        mark, color = _MARKS[bool(self)]
        caption = f'{escape(self.title)}: <span style="color:{color}">{mark} {self.word.lower()}</span>'
        return (
            f'<table><caption style="text-align:left;font-weight:bold">{caption}</caption><thead><tr>'
            f'<th scope="col" style="text-align:left">what</th><th scope="col" style="text-align:left">now</th></tr>'
            f"</thead><tbody>{rows}</tbody></table>"
        )

    def _told(self, part: str, words: Callable[[Any], str]) -> str:
        found = self.parts[part]
        return found.text() if isinstance(found, Untold) else words(found)

    def _lines(self, part: str, words: Callable[[dict], str]) -> list[str]:
        found = self.parts[part]
        return [found.text()] if isinstance(found, Untold) else [words(each) for each in found] or ["none"]

    def _leads(self) -> bool:
        """Where the balancer cannot be read, an address is enough."""
        name, balancer = self.parts["name"], self.parts["balancer"]
        right = isinstance(balancer, Untold) or (balancer is not None and name["leads_to"] == balancer["dns_name"])
        return right and name["address"] is not None

    def _name(self) -> str:
        def words(name: dict) -> str:
            if name["leads_to"] is None:
                return f"{name['domain']} has no record"
            balancer, target = self.parts["balancer"], "another host"
            if isinstance(balancer, Untold):
                target = name["leads_to"]
            elif balancer and name["leads_to"] == balancer["dns_name"]:
                target = f"load balancer {balancer['name']}"
            address = name["address"]
            return f"{name['domain']} → {target}" + (f" ({address})" if address else ", not found from here")

        return self._told("name", words)

    def _tls(self) -> str:
        def words(tls: dict) -> str:
            if tls["days_left"] is None:
                return f"no handshake: {tls['why']}"
            return f"{tls['days_left']} days left" if tls["days_left"] >= 0 else "the certificate has ended"

        return self._told("tls", words)

    def _balancer(self) -> str:
        return self._told("balancer", lambda one: f"{one['name']}, {one['kind']}, {one['state']}" if one else "absent")

    def _requests(self, times: bool) -> str:
        def words(balancer: dict | None) -> str:
            if balancer is None:
                return "none: there is no balancer"
            seen = balancer["requests"]
            minute = f", in the minute from {_clock(seen['minute'])}" if times and seen["minute"] else ""
            return f"{seen['per_second']:.1f} a second{minute}"

        return self._told("balancer", words)

    def _targets(self) -> str:
        def words(targets: list[dict]) -> str:
            others = sorted(
                f"{self._node_of('id', each['node'])}: {each['state']}" + (f" ({each['why']})" if each["why"] else "")
                for each in targets
                if each["state"] != "healthy"
            )
            return "; ".join([f"{_healthy(targets)} of {len(targets)} healthy", *others])

        return self._told("targets", words)

    def _service(self) -> str:
        def words(service: dict | None) -> str:
            if service is None:
                return "no service"
            pending = f", {service['pending']} pending" if service["pending"] else ""
            said = f"{service['running']} of {service['desired']} running{pending}"
            on_its_way = service["rollout"] not in (None, "COMPLETED")
            return said + (f"; deployment {service['rollout'].replace('_', ' ').lower()}" if on_its_way else "")

        return self._told("service", words)

    def _task(self, task: dict, times: bool) -> str:
        since = f" since {_clock(task['since'], day=True)}" if times else ""
        return f"{task['revision']} {task['state']}{since} on {self._node_of('arn', task['node'])}"

    def _node_of(self, key: str, value: str | None) -> str:
        found = self.parts["nodes"]
        nodes = [] if isinstance(found, Untold) or value is None else found
        return next((node["name"] for node in nodes if node[key] == value), "no node of ours")

    def _events(self, times: bool) -> list[str]:
        service = self.parts["service"]
        if isinstance(service, Untold) or service is None or not service["events"]:
            return ["none"]
        return [f"{_clock(each['at'])} {each['message']}" if times else each["message"] for each in service["events"]]

    def _users(self) -> str:
        return self._told("users", lambda names: ", ".join(names) or "none")


# The theme's colour, and one that stays where JupyterLab takes `var(…)` out: in notebooks that it does not trust.
_MARKS = {
    True: ("✔", "#2e7d32;color:var(--jp-success-color1)"),
    False: ("✘", "#c62828;color:var(--jp-error-color1)"),
}


def status(aws: AWS, p: Params) -> Status:
    """Look once: reads alone, side by side. CloudError, or Expired, when nothing can be read at all."""
    reader = aws.read_only()
    reader.begin()
    with ThreadPool(len(_PARTS)) as pool:  # whose threads nobody waits for after Ctrl-C
        found = pool.map(lambda read: _read(read, reader, p), _PARTS.values(), chunksize=1)
    return Status(p.title, dict(zip(_PARTS, found, strict=True)))


def watch(aws: AWS, p: Params, seconds: float | None = None, *, every: float = EVERY) -> None:
    """Look again and again, shown in the same place, for `seconds` or until interrupted."""
    watched(aws, p, seconds, every=every, show=Screen().show)


def watched(
    aws: AWS, p: Params, seconds: float | None = None, *, every: float = EVERY, show: Callable[[Any], None]
) -> bool:
    """Show one status after the other; whether the last one serves. An interruption ends it as `seconds` do.

    What cannot be read at the first look is an error; later it is shown, as it may be over at the next look.
    """
    ends = None if seconds is None else time.monotonic() + seconds
    found: Status | Untold = Untold("interrupted before the first look was done")
    try:
        found = status(aws, p)
        show(found)
        while (left := every if ends is None else ends - time.monotonic()) > 0:
            time.sleep(min(every, left))
            found = _again(aws, p)
            show(found)
    except KeyboardInterrupt:
        return bool(found)
    return bool(found)


class Screen:
    """Where a status is shown again and again: one display handle in a notebook, a terminal drawn anew, else a block
    for each change."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stdout
        self._handle = None
        self._last = ""

    def show(self, found: Status | Untold) -> None:
        if _in_kernel():
            self._in_notebook(found)
        else:
            text = found.text()
            if self._stream.isatty():
                self._stream.write(_drawn(text, anew=not self._last))
            elif text != self._last:
                self._stream.write(f"{text}\n\n")
            self._stream.flush()
            self._last = text

    def _in_notebook(self, found: Status | Untold) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(found, display_id=True)
        else:
            self._handle.update(found)


def _drawn(text: str, *, anew: bool) -> str:
    """From home, each line cleared to its end and then what is left of an earlier look: without a flicker."""
    lines = "".join(f"{line}\x1b[K\n" for line in text.splitlines())
    return ("\x1b[2J" if anew else "") + f"\x1b[H{lines}\x1b[J"


def _again(aws: AWS, p: Params) -> Status | Untold:
    try:
        return status(aws, p)
    except RunbookError as error:
        return Untold(str(error))


def _read(read: Callable[[AWS, Params], Any], aws: AWS, p: Params) -> Any:
    try:
        return read(aws, p)
    except Expired:
        raise
    except (NotOurs, StepFailed, AwsError) as error:
        return Untold(str(error))


def _healthy(targets: list[dict]) -> int:
    return sum(each["state"] == "healthy" for each in targets)


def _node(node: dict) -> str:
    room = "" if node["free_cpu"] is None else f", room for {node['free_cpu']} CPU units, {node['free_memory']} MiB"
    return f"{node['name']} {node['zone']} {node['type']} {node['state']}, {node['agent']}{room}"


def _clock(moment: datetime, *, day: bool = False) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if day else f"{moment:%H:%M:%S} UTC"

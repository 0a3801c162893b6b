"""One run at a time: a lease on the deployment, kept in AWS's Parameter Store, where runs of all computers meet.

A lease is a parameter /runbook/NAME/lease/NUMBER that only one run can make (PutParameter without Overwrite is
refused when it is there). Its holder renews it and at its end marks it as free; one that was not renewed for SECONDS
is free, by AWS's own clock, and so is that of a process of this computer which has ended. The next run makes the next
number and deletes the others: no name is made twice, which AWS wants 30 s for (DeleteParameter).
"""

import functools
import getpass
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from .errors import AwsError, NotOurs, RunbookError, StepFailed
from .params import Params
from .session import AWS
from .wait import wait

SECONDS = 120
INHERITED = "RUNBOOK_LEASE"
_RENEW_SECONDS = 20
_MARGIN_SECONDS = 20  # the holder stops writing this much before others may think it gone
_PATIENCE_SECONDS = 300
_RELEASE_SECONDS = 3


class Lease(NamedTuple):
    """What stands in AWS. `age` is seconds since its renewal; `holder` is for people, `process` to find it by.
    `id` is empty when it was given back."""

    number: int
    id: str
    holder: str
    process: str
    age: float

    @property
    def free(self) -> bool:
        return not self.id or self.age > SECONDS or _has_ended(self.process)


class Held:
    """A lease in use by this process: `keep` renews its own; `check` comes before each write."""

    def __init__(self, aws: AWS, p: Params, number: int, id: str, parent: int | None):
        self.id, self._aws, self._p, self._number, self._parent = id, aws, p, number, parent
        self._renewed, self._over = time.time(), threading.Event()
        self.last = False  # nothing of the deployment is left to change when it ends
        self._writing = threading.Lock()  # a renewal after the release would make it anew

    def check(self) -> None:
        """StepFailed when another run may have begun: this one was silent for too long, or its parent has ended."""
        if self._parent is not None and time.time() - self._renewed > 2 * _RENEW_SECONDS:
            self._look()
        orphaned = self._parent is not None and os.getppid() != self._parent
        if orphaned or time.time() - self._renewed > SECONDS - _MARGIN_SECONDS:
            raise StepFailed(f"the lease on {self._p.title} is lost, another run may have begun; run this step again")

    def _look(self) -> None:
        """When the owner renewed it. An owner that slept, or cannot reach AWS, lives on without it."""
        for lease in find_leases(self._aws, self._p):
            if lease.id == self.id:
                self._renewed = time.time() - lease.age

    def keep(self) -> None:
        while not self._over.wait(_RENEW_SECONDS):
            now = time.time()
            with suppress(RunbookError), self._writing:  # tried again; when it is too late `check` says so
                if self._over.is_set():
                    return
                self.check()
                self.write(self.id)
                self._renewed = now

    def write(self, id: str) -> None:
        self._aws.ssm.put_parameter(Name=_path(self._p, self._number), Value=_value(id), Type="String", Overwrite=True)

    def release(self) -> None:
        """A silent AWS keeps nobody waiting: what is not released expires."""
        self._over.set()
        releasing = threading.Thread(target=self._give_back, name="lease", daemon=True)
        releasing.start()
        releasing.join(_RELEASE_SECONDS)

    def _give_back(self) -> None:
        with suppress(RunbookError), self._writing:
            self.check()
            if self.last:
                self._aws.ssm.delete_parameter(Name=_path(self._p, self._number))
            else:
                self.write("")


@contextmanager
def hold(aws: AWS, p: Params, *, last: bool = False) -> Iterator[Held | None]:
    """Within the block no other run changes the deployment. Waits for one that does; TimedOut names it. After the
    `last` one, a tear-down, nothing stands in AWS.

    Within another `hold` of this connection, or in a notebook of a run that holds it, nothing is taken. Nor in a
    read-only session, which cannot write.
    """
    if aws.is_read_only:
        yield None
        return
    if p.name in aws.leases:
        aws.leases[p.name].last |= last
        yield aws.leases[p.name]
        return
    inherited = os.environ.get(INHERITED)
    held = _inherit(aws, p, inherited) if inherited else _take(aws, p)
    aws.leases[p.name], held.last = held, last
    if inherited:  # for as long as this connection lives
        yield held
        return
    threading.Thread(target=held.keep, name="lease", daemon=True).start()
    try:
        yield held
    finally:
        del aws.leases[p.name]
        held.release()


def exclusive(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step(aws, p, …)` under the lease."""

    @functools.wraps(step)
    def alone(aws: AWS, p: Params, **options: Any) -> Any:
        with hold(aws, p):
            return step(aws, p, **options)

    return alone


def find_leases(aws: AWS, p: Params) -> list[Lease]:
    """Those of the deployment, free ones too. NotOurs for a parameter in their place that is no lease."""
    found, page = [], {"NextToken": None}
    while "NextToken" in page:
        token = {"NextToken": page["NextToken"]} if page["NextToken"] else {}
        page = aws.ssm.get_parameters_by_path(Path=_path(p), **token)
        found += page["Parameters"]
    now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
    return sorted(_lease(each, now, p) for each in found)


def _lease(parameter: dict[str, Any], now: Any, p: Params) -> Lease:
    try:
        value = json.loads(parameter["Value"])
        number, id, holder, process = int(parameter["Name"].rsplit("/", 1)[1]), *(value[name] for name in _FIELDS)
    except (ValueError, TypeError, KeyError):
        raise NotOurs(f"parameter {parameter['Name']}", p) from None
    return Lease(number, id, holder, process, (now - parameter["LastModifiedDate"]).total_seconds())


def _inherit(aws: AWS, p: Params, id: str) -> Held:
    for lease in find_leases(aws, p):
        if lease.id == id:
            return Held(aws, p, lease.number, id, os.getppid())
    raise StepFailed(f"the run that this notebook belongs to has lost its lease on {p.title}; start it again")


def _take(aws: AWS, p: Params) -> Held:
    def look() -> tuple[Held | None, str]:
        leases = find_leases(aws, p)
        for lease in leases:
            if not lease.free:
                return None, f"held by {lease.holder}, until it ends or is silent for {SECONDS} s"
        mine = uuid.uuid4().hex
        # The first one's is beyond all that were deleted with an earlier deployment of the name.
        number = leases[-1].number + 1 if leases else time.time_ns() // 1_000_000
        held = Held(aws, p, number, mine, None)
        tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
        try:
            aws.ssm.put_parameter(Name=_path(p, number), Value=_value(mine), Type="String", Tags=tags)
        except AwsError as error:
            if error.code != "ParameterAlreadyExists":
                raise
            if all(lease.id != mine for lease in find_leases(aws, p)):  # else the answer to our own first try was lost
                return None, "another run was faster"
        # A run that saw other leases than this one did may have made another number at the same time.
        for lease in find_leases(aws, p):
            if lease.id == mine:
                continue
            if not lease.free:
                held.write("")
                return None, f"held by {lease.holder}"
            aws.ssm.find("delete_parameter", {"ParameterNotFound"}, Name=_path(p, lease.number))
        return held, "taken"

    held, _ = look()
    return held or wait(f"lease on {p.title}", look, timeout=_PATIENCE_SECONDS)


def _path(p: Params, number: int | None = None) -> str:
    return f"/runbook/{p.name}/lease" + (f"/{number}" if number else "")


_FIELDS = ("id", "holder", "process")


def _value(id: str) -> str:
    since = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(_STARTED))
    holder = f"{_user()} on {platform.node()}, process {os.getpid()} of {since}"
    return json.dumps(dict(zip(_FIELDS, (id, holder, _process(os.getpid())), strict=True)))


_STARTED = time.time()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"user {os.getuid()}"


def _process(pid: int) -> str:
    """A process for ever: the computer since its start (its boot id), the PID namespace, the number, when it began
    (field 22 of /proc/PID/stat, proc(5)). Empty where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        began = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
        return f"{boot} {os.readlink('/proc/self/ns/pid')} {pid} {began}"
    except OSError:
        return ""


def _has_ended(process: str) -> bool:
    """True only of a process of this computer and PID namespace."""
    mine, other = _process(os.getpid()).split(), process.split()
    return len(mine) == len(other) == 4 and mine[:2] == other[:2] and _process(int(other[2])) != process

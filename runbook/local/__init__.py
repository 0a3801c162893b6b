"""The embedded cloud: moto as AWS's control plane and a real data plane beside it, in one background process.

It is reached by its endpoint only: no step of the runbook knows that it exists. The pieces:

    server     moto's server, and the loop that calls each part of the data plane about ten times a second
    nodes      EC2 instances: a loopback address, a root folder, user data, the ECS agent's registration
    ssm        Run Command
    scheduler  ECS services and their tasks; containers and images below it
    balancer   classic load balancers, by HAProxy
    caches     ElastiCache replication groups, by redis-server
    metadata   instance metadata and the credentials of roles
    rules      what AWS refuses and moto accepts
    inside     the only modules that touch moto's objects
"""

import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..paths import PROJECT
from . import state
from .state import CloudError

PROGRAMS = {
    "bwrap": "bubblewrap",
    "docker-registry": "docker-registry",
    "haproxy": "haproxy",
    "redis-server": "redis-server",
    "setpriv": "util-linux",
    "setsid": "util-linux",
}
# RUNBOOK_CREDENTIAL_SECONDS: how long a role's credentials last; RUNBOOK_SETTLING_SECONDS: how long what is new stays
# unknown; RUNBOOK_REGISTRY: the program of registry 3.
KEPT = ("HOME", "LANG", "TMPDIR", "RUNBOOK_CREDENTIAL_SECONDS", "RUNBOOK_SETTLING_SECONDS", "RUNBOOK_REGISTRY")
START_SECONDS = 60
STOP_SECONDS = 10
ANSWER_SECONDS = 5
DOWN = "the embedded cloud is not up; start it with notebook 00_start_here, or: python -m runbook cloud up PARAMS"


@dataclass(frozen=True)
class Running:
    """A cloud that is up: its endpoint, the file of its CA's certificate, its process."""

    endpoint: str
    ca: str
    pid: int


def up(port: int | None = None) -> Running:
    """The cloud of this project: the one that runs, or a new one with an empty account. CloudError says why not.

    `port` is that of the endpoint of a new one, 4566 unless given.
    """
    if sys.platform != "linux":
        raise CloudError("the embedded cloud runs on Linux: use the dev container, or a Linux machine")
    home = state.home()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)  # it may have been there
    except OSError as error:
        raise CloudError(
            f"the folder {home} cannot be made ours alone ({error.strerror}); name another in RUNBOOK_HOME"
        ) from error
    with _alone(home) as lock:
        found = _found(home)
        if found and _answers(found.endpoint):
            return found
        for program, package in PROGRAMS.items():
            if not shutil.which(program, path=_path()):
                raise CloudError(f"the program {program} is missing; install it with: apt-get install {package}")
        _end(home)
        _start(home, port or state.PORT, lock)
        return running()


def running() -> Running:
    """The cloud that is up; CloudError when none is."""
    found = _found(state.home())
    if not found:
        raise CloudError(DOWN)
    return found


def down() -> bool:
    """Stop the cloud, and forget all that was in it. False when none was up."""
    home = state.home()
    if not home.is_dir():
        return False
    with _alone(home):
        return _end(home)


def status() -> dict[str, Any]:
    """What runs in the cloud that is up: endpoint, pid, nodes, tasks, balancers; CloudError when none is."""
    cloud = running()
    try:
        return _get(cloud.endpoint)
    except OSError as error:
        raise CloudError(f"no answer from the embedded cloud at {cloud.endpoint}; its log: {_log()}") from error


def _found(home: Path) -> Running | None:
    fields = state.read(home)
    return Running(fields["endpoint"], fields["ca"], fields["pid"]) if fields else None


def _answers(endpoint: str) -> bool:
    try:
        _get(endpoint)
    except OSError:
        return False
    return True


def _get(endpoint: str) -> dict[str, Any]:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"{endpoint}/_runbook/status", timeout=ANSWER_SECONDS) as answer:
        return json.load(answer)


def _start(home: Path, port: int, lock: int) -> None:
    """Start the process in a session of its own; it says on its standard output when it is ready, or why not.

    It shares the lock until then, so that after an interrupted `up` the next one waits for it and finds it.
    """
    log = os.open(home / "cloud.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        # setsid forks and ends at once: the cloud is nobody's child, so that nobody must collect it.
        launcher = subprocess.Popen(
            ["setsid", "--fork", sys.executable, "-m", "runbook.local", str(port), str(lock)],
            env=_environment(home),
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[lock],
        )
    finally:
        os.close(log)
    with launcher:
        said = _first_line(launcher.stdout.fileno())
    if said != "ready":
        raise CloudError(said or f"the embedded cloud ended while it started; its log: {_log()}")


def _first_line(pipe: int) -> str:
    text, deadline = b"", time.monotonic() + START_SECONDS
    while not text.endswith(b"\n"):
        if not select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
            raise CloudError(f"the embedded cloud was not ready after {START_SECONDS} s; its log: {_log()}")
        piece = os.read(pipe, 65536)
        if not piece:
            break
        text += piece
    return text.decode().strip()


def _environment(home: Path) -> dict[str, str]:
    """All that the cloud sees of its caller: no AWS_*, proxy or CA variable, which would reach its programs."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {
        "PATH": _path(),
        "PYTHONPATH": str(PROJECT),
        "RUNBOOK_HOME": str(home),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        "MOTO_ENABLE_AMI_VALIDATION": "true",
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
        "MOTO_ENABLE_KEYPAIR_VALIDATION": "true",
        "MOTO_DISABLE_GLOBAL_CORS": "true",
    }


def _path() -> str:
    """The caller's PATH and where Debian keeps haproxy, which a plain user's PATH leaves out."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def _log() -> Path:
    return state.home() / "cloud.log"


def _end(home: Path) -> bool:
    """Stop the process of cloud.json, all that it started (its process group), and remove what it left."""
    fields = state.read(home)
    if fields:
        _stop(fields["pid"], fields["started"])
    state.clear(home)
    return fields is not None


def _stop(pid: int, began: int) -> None:
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        deadline = time.monotonic() + seconds
        if state.started(pid) == began:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while state.started(pid) == began and time.monotonic() < deadline:
            time.sleep(0.02)
    for member in _group(pid):
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


def _group(leader: int) -> Iterator[int]:
    """The processes whose group `leader` began, itself apart (proc(5), field 5)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != leader:
            try:
                group = int((entry / "stat").read_text().rpartition(")")[2].split()[2])
            except OSError:  # it ended while we looked
                continue
            if group == leader:
                yield int(entry.name)


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """Let only one `up` or `down` of this folder work at a time."""
    try:
        lock = open(home / "cloud.lock", "w")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise CloudError(
            f"no file can be written in {home} ({error.strerror}); name another in RUNBOOK_HOME"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()

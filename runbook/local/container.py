"""A container that was started: what its program does, and how it is asked to end."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from . import logs

STOP_TIMEOUT = 30  # seconds from SIGTERM to SIGKILL, the ECS agent's default
TICKS = os.sysconf("SC_CLK_TCK")


class ContainerError(Exception):
    """A container that cannot be started; the text is the task's stopped reason, in ECS's words where it has some."""


class Container:
    """A container that was started; `exit_code` is None while it runs."""

    def __init__(self, definition: dict, bindings: list[dict], process: subprocess.Popen, log: logs.Log, folder: Path):
        self.name, self.essential = definition["name"], definition.get("essential", True)
        self.stop_timeout = definition.get("stopTimeout") or STOP_TIMEOUT
        self.bindings, self.process, self.log, self.folder = bindings, process, log, folder
        self.started = time.monotonic()
        self.exit_code: int | None = None
        self.kill_at: float | None = None

    def step(self) -> None:
        """See whether it still runs, ship its log, kill it when its time to stop is over."""
        if self.exit_code is not None:
            return
        code = self.process.poll()
        if code is None:
            self.log.step()
            if self.kill_at is not None and time.monotonic() >= self.kill_at:
                self._signal(signal.SIGKILL)
            return
        self.exit_code = code if code >= 0 else 128 - code
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, timeout: float | None = None) -> None:
        """Ask it to end, once; step() kills it after `timeout` seconds (default: the definition's stopTimeout)."""
        if self.exit_code is not None:
            return
        if self.kill_at is None:
            self._signal(signal.SIGTERM)
        limit = time.monotonic() + (self.stop_timeout if timeout is None else timeout)
        self.kill_at = min(limit, self.kill_at or limit)

    def _signal(self, number: int) -> None:
        """To the program itself: bubblewrap, its parent, passes no signal on (and takes it along when it dies)."""
        program = self._program()
        if program is None:
            self._kill_at_start()
            return
        with suppress(ProcessLookupError):  # it ends by itself in this moment
            os.kill(program, number)

    def _kill_at_start(self) -> None:
        """Kill bubblewrap before it has started the program. Its child waits for it then, with no parent-death signal
        yet (bubblewrap 0.8), and would wait for ever: so stop it, that it makes no more children, and kill those first.
        """
        pid = self.process.pid
        self.process.send_signal(signal.SIGSTOP)
        with suppress(FileNotFoundError, ProcessLookupError):
            deadline = time.monotonic() + 1
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX":
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        self.process.kill()

    def _program(self) -> int | None:
        """The process id of the program; None while bubblewrap has not come as far as starting it.

        With an init process of its own (bubblewrap's) the program is that one's child.
        """
        pid = self.process.pid
        try:
            while child := next(iter(_children(pid)), None):
                if Path(f"/proc/{child}/comm").read_text() != "bwrap\n":
                    return child
                pid = child
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None

    def cpu_seconds(self) -> float:
        """What its processes have used so far, those included that have ended and were waited for."""
        if self.exit_code is not None:
            return 0.0
        ticks, found = 0, [self.process.pid]
        while found:
            pid = found.pop()
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                found += _children(pid)
            except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
                continue
            ticks += sum(int(field) for field in fields[11:15])  # proc(5): utime, stime, cutime, cstime
        return ticks / TICKS


def _children(pid: int) -> list[int]:
    """The processes that any thread of a process has started."""
    files = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in files for child in file.read_text().split()]

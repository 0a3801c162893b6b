"""Kills at the writes of a run: at each the world is forked, and what becomes of the dead run's account is seen apart.

The process that runs goes on as if nothing had happened. In its fork it is gone for good: no `except`, no `finally`
and no `with` of the code under test sees its end.
"""

import contextlib
import io
import json
import os
import select
import threading
import traceback
from collections.abc import Callable
from typing import NamedTuple

from runbook.session import _READS

AT_ONCE = 2


class Point(NamedTuple):
    """Where a run was killed, and what became of it: what `told` gave in its fork, or the error that ended it."""

    place: str
    told: object
    error: str | None


class Kills:
    """Forks at the writes of a connection that has no clients yet.

    A write has two points, just before it (it never left) and just after it (it took effect, its answer was lost).
    `chosen(before)` is asked at each whether to fork there; `after()` is called in the fork, and what it gives as JSON
    is in `points`. The writes are in `writes`.
    """

    def __init__(self, aws, chosen: Callable[[bool], bool], after: Callable[[], object]):
        self.chosen, self.after, self.points, self.writes = chosen, after, [], []
        self._living, self._threads = {}, set(threading.enumerate())
        # After the session's own hooks, as a write that they refuse is none; before those that answer for a node.
        aws._session.events.register("before-call", self._at)
        aws._session.events.register_first("after-call", self._at)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reap()

    def reap(self):
        """Wait for every fork."""
        while self._living:
            self._reap()

    def _at(self, event_name, model, **_):
        if model.name.startswith(_READS):
            return
        before = event_name.startswith("before-call")
        if before:
            self.writes.append(f"{model.service_model.service_name} {model.name}")
        if self.chosen(before):
            self._fork(f"{'before' if before else 'after'} write {len(self.writes)}, {self.writes[-1]}")

    def _fork(self, place):
        threads = {thread.name for thread in set(threading.enumerate()) - self._threads}
        assert threads <= {"lease"}, f"{threads} would not live on in the fork"
        while len(self._living) >= AT_ONCE:
            self._reap()
        reading, writing = os.pipe()
        if pid := os.fork():
            os.close(writing)
            self._living[reading] = (pid, place)
            return
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as pipe:
                json.dump(self._told(), pipe)
        finally:
            os._exit(0)

    def _told(self):
        shown = io.StringIO()
        try:
            with contextlib.redirect_stderr(shown), contextlib.redirect_stdout(shown):
                return self.after(), None
        except BaseException:
            return None, traceback.format_exc() + shown.getvalue()[-2000:]

    def _reap(self):
        for reading in select.select(list(self._living), [], [])[0]:
            pid, place = self._living.pop(reading)
            with os.fdopen(reading) as pipe:
                said = pipe.read()
            os.waitpid(pid, 0)
            told, error = json.loads(said) if said else (None, "it ended without a word")
            self.points.append(Point(place, told, error))

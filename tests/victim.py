"""A process that dies in the midst of its work: a connection that is killed at one of its writes."""

from types import SimpleNamespace

import runbook
from runbook import wait
from runbook.session import _READS


class Killed(BaseException):
    """The process is gone: no `except Exception` of the code under test may survive it."""


class Victim:
    """A connection that is killed at its n-th write (1 is the first); `writes` lists those that were begun, `waited`
    has the numbers of those before which something was waited for.

    Those of the lease are not among them: the process that it names here lives on, so nobody could take it over.

    `event` is "before-call" (the write never left) or "after-call" (it took effect, its answer was lost).
    """

    def __init__(self, p):
        self.aws, self.naps = runbook.connect(p), 0
        for event in ("before-call", "after-call"):
            self.aws._session.events.register_first(event, self._at)

    def dies_at(self, event, n):
        self.event, self.n, self.writes, self.waited, self._slept = event, n, [], [], self.naps

    def waits(self, patch):
        """Count the naps of the runbook from here on."""
        plain = wait.time

        def sleep(seconds):
            self.naps += 1
            plain.sleep(seconds)

        patch.setattr(wait, "time", SimpleNamespace(monotonic=plain.monotonic, sleep=sleep))

    def _at(self, event_name, model, **_):
        if model.name.startswith(_READS) or model.name in ("PutParameter", "DeleteParameter"):
            return
        if event_name.startswith("before-call"):
            self.writes.append(f"{model.service_model.service_name} {model.name}")
            if self.naps > self._slept:
                self.waited.append(len(self.writes))
                self._slept = self.naps
        if event_name.startswith(self.event) and len(self.writes) == self.n:
            raise Killed


def is_killed(ensure, aws, p):
    try:
        ensure(aws, p)
    except Killed:
        return True
    return False

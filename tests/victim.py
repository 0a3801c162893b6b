"""A process that dies in the midst of its work: a connection that is killed at one of its writes."""

import runbook
from runbook.session import _READS


class Killed(BaseException):
    """The process is gone: no `except Exception` of the code under test may survive it."""


class Victim:
    """A connection that is killed at its n-th write (1 is the first); `writes` lists those that were begun.

    `event` is "before-call" (the write never left) or "after-call" (it took effect, its answer was lost).
    """

    def __init__(self, p):
        self.aws = runbook.connect(p)
        for event in ("before-call", "after-call"):
            self.aws._session.events.register_first(event, self._at)

    def dies_at(self, event, n):
        self.event, self.n, self.writes = event, n, []

    def _at(self, event_name, model, **_):
        if model.name.startswith(_READS):
            return
        if event_name.startswith("before-call"):
            self.writes.append(f"{model.service_model.service_name} {model.name}")
        if event_name.startswith(self.event) and len(self.writes) == self.n:
            raise Killed


def is_killed(ensure, aws, p):
    try:
        ensure(aws, p)
    except Killed:
        return True
    return False

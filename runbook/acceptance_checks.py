"""The acceptance suite's report: a named check after the other, each with the failure that it points to."""

import re
from collections.abc import Callable

from .registry_api import NoAnswer
from .report import Report

# What was seen, and the failure that it points to wherever it is seen. The registry says INVALID of an upload whose
# state another secret has signed, and UNKNOWN of one that it does not find in its storage (blobupload.go, hmac.go).
_POINTS = (
    (r"413 ", 24),
    (r"404 BLOB_UPLOAD_INVALID", 1),
    (r"404 BLOB_UPLOAD_UNKNOWN", 2),
    (r"503 UNAVAILABLE", 5),
    (r"429 |503 Slow ?Down", 30),
    (r"certificate not accepted|trusted, but for", 23),
    (r"the registry sends its clients on to|\d+ .* from \S+$", 19),
)
MENDED_FIRST = "the one above must be mended first"


class Checks:
    """A report that grows until something that all the rest needs is not there."""

    def __init__(self, title: str = "", told: Callable[[str], object] = lambda name: None):
        """`told` hears the name of each check before it is made."""
        self.report, self.ended, self._told = Report(title), False, told

    def look(
        self, name: str, look: Callable[[], str], *wanted: str, row: int | None = None, needed: bool = False
    ) -> bool:
        """One more check, ok when what `look` finds is one of `wanted`. `row` is the failure that it points to if what
        is found does not tell a better one. Where it is `needed`, no answer ends the report."""
        if self.ended:
            return False
        self._told(name)
        try:
            found, failed = look(), False
        except NoAnswer as error:
            found, failed = str(error), True
        ok = found in wanted and not failed
        self.report = self.report.check(name, ok, " or ".join(wanted), found, row=None if ok else _points(found, row))
        if failed and needed:
            self.leave_out("the checks after it", MENDED_FIRST)
        return ok

    def tell(self, name: str, found: str) -> None:
        """What is told, and right either way."""
        if not self.ended:
            self.report = self.report.check(name, True, found, found)

    def leave_out(self, name: str, why: str) -> None:
        """The rest is not run, and that is not right."""
        if not self.ended:
            self.report = self.report.check(name, False, "run", f"not run: {why}")
        self.ended = True


def _points(found: str, row: int | None) -> int | None:
    return next((to for pattern, to in _POINTS if re.match(pattern, found)), row)

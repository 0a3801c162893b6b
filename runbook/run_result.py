"""What came of a run, and of each of its notebooks."""

from dataclasses import dataclass
from pathlib import Path

from .errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TIMED_OUT

EXIT_STATUS = {"ok": 0, "failed": EXIT_FAILED, "interrupted": EXIT_INTERRUPTED, "timed out": EXIT_TIMED_OUT}


@dataclass(frozen=True)
class Result:
    """Of one notebook. `verdict` is ok, failed, interrupted or timed out; `seconds` is wall time; `why` is empty when
    it is ok, and so is the `diagnosis`."""

    notebook: str
    verdict: str
    seconds: float
    why: str = ""
    diagnosis: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict == "ok"


@dataclass(frozen=True)
class Run:
    """`chosen` are the notebooks that were to be run, `results` those that were; `started` is UTC, in ISO form."""

    folder: Path
    started: str
    chosen: tuple[str, ...]
    results: tuple[Result, ...]
    note: str = ""

    @property
    def verdict(self) -> str:
        return next((result.verdict for result in self.results if not result.ok), "ok")

    @property
    def exit_status(self) -> int:
        return EXIT_STATUS[self.verdict]

    @property
    def seconds(self) -> float:
        return round(sum(result.seconds for result in self.results), 1)

    @property
    def left(self) -> tuple[str, ...]:
        """The notebooks that were not begun."""
        return self.chosen[len(self.results) :]

"""What a run says while it goes on: a line a notebook for people, or an event a line in JSON for programs."""

import json
import time
from datetime import UTC, datetime
from typing import Any, TextIO

from .run_result import Result


def now() -> str:
    """The time, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Lines:
    """One line for a notebook: rewritten in a terminal as the notebook goes on, else written at its end, with its
    time (UTC)."""

    def __init__(self, stream: TextIO):
        self._stream, self._live = stream, stream.isatty()
        self._name, self._started = "", 0.0

    def begin(self, notebook: str) -> None:
        self._name, self._started = notebook, time.monotonic()
        self.show("…")

    def show(self, text: str) -> None:
        """In a terminal the last line of what the notebook shows."""
        if self._live and text.strip():
            passed = time.monotonic() - self._started
            last = text.strip().splitlines()[-1][:100]
            self._stream.write(f"\r\x1b[2K{self._name:42} {passed:6.0f} s  {last}")
            self._stream.flush()

    def end(self, result: Result) -> None:
        start = "\r\x1b[2K" if self._live else f"{now()}  "
        said = result.verdict.upper() if result.verdict == "failed" else result.verdict
        said += f": {result.why}" if result.why else ""
        self._stream.write(f"{start}{result.notebook:42} {result.seconds:6.1f} s  {said}\n")
        self._stream.flush()


class JsonLines:
    """One JSON object a line: a notebook started or ended."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def begin(self, notebook: str) -> None:
        self.event("started", notebook=notebook)

    def show(self, text: str) -> None:
        """Progress is for people."""

    def end(self, result: Result) -> None:
        told = {"result": result.verdict, "seconds": result.seconds, "why": result.why}
        self.event("ended", notebook=result.notebook, **told)

    def event(self, event: str, **more: Any) -> None:
        self._stream.write(json.dumps({"time": now(), "event": event, **more}, ensure_ascii=False) + "\n")
        self._stream.flush()

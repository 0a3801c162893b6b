"""The one way to wait: poll, show what is seen, and say the last thing seen when it does not come."""

import sys
import time
from collections.abc import Callable
from html import escape
from typing import Any

from .errors import TimedOut
from .memory import looking

_FIRST = 0.25


def wait(what: str, look: Callable[[], tuple[Any, str]], *, timeout: float, every: float = 1.0) -> Any:
    """Poll `look` until its first item is not None, and return that.

    `look()` gives (result or None, what is seen in words) and raises when waiting on is hopeless. `timeout` and
    `every` are seconds; the first looks come sooner. The words are shown as live progress in a notebook and in a
    terminal. Raises TimedOut.
    """
    started, pause, elapsed = time.monotonic(), min(every, _FIRST), None
    with Live() as live:
        while True:
            with looking(again=elapsed is not None):
                result, seen = look()
            elapsed = time.monotonic() - started
            live.show(f"{what}: {seen}", elapsed)
            if result is not None:
                return result
            if elapsed > timeout:
                raise TimedOut(f"{what}: not within {timeout:.0f} s; last seen: {seen}")
            time.sleep(pause)
            pause = min(every, 2 * pause)


class Live:
    """One line of progress: a display handle in a notebook, a rewritten line in a terminal, else a line a change."""

    def __init__(self, stream=None):
        self._stream = stream or sys.stderr
        self._handle = None
        self._last = ""

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        if self._last and not _in_kernel() and self._stream.isatty():
            self._stream.write("\n")

    def show(self, text: str, elapsed: float) -> None:
        passed = f" ({elapsed:.0f} s)" if elapsed >= 1 else ""
        if _in_kernel():
            self._in_notebook(text + passed)
        elif self._stream.isatty():
            self._stream.write(f"\r\x1b[2K{text}{passed}")
        elif text != self._last:
            self._stream.write(f"{text}\n")
        self._stream.flush()
        self._last = text

    def _in_notebook(self, text: str) -> None:
        from IPython.display import display

        data = {"text/plain": text, "text/html": f"<div role='status'>{escape(text)}</div>"}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _in_kernel() -> bool:
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")

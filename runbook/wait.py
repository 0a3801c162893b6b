"""The one way to wait: poll, show what is seen, and say the last thing seen when it does not come."""

import sys
import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from .errors import TimedOut
from .memory import looking

_FIRST = 0.25


class Seen(str):
    """What is seen in words, and the newest events, which a notebook shows below the words."""

    events: Sequence[str] = ()

    @classmethod
    def of(cls, words: str, events: Sequence[str]) -> "Seen":
        seen = cls(words)
        seen.events = tuple(events)
        return seen


def wait(what: str, look: Callable[[], tuple[Any, str]], *, timeout: float, every: float = 1.0) -> Any:
    """Poll `look` until its first item is not None, and return that.

    `look()` gives (result or None, what is seen in words) and raises when waiting on is hopeless. `timeout` and
    `every` are seconds; the first looks come sooner. The words are shown as live progress in a notebook and in a
    terminal. Raises TimedOut.
    """
    started, pause, elapsed = time.monotonic(), min(every, _FIRST), None
    with Live(timeout=timeout) as live:
        while True:
            with looking(again=elapsed is not None):
                result, seen = look()
            elapsed = time.monotonic() - started
            live.show(f"{what}: {seen}", elapsed, events=getattr(seen, "events", ()))
            if result is not None:
                return result
            if elapsed > timeout:
                raise TimedOut(f"{what}: not within {timeout:.0f} s; last seen: {seen}")
            time.sleep(pause)
            pause = min(every, 2 * pause)


class Live:
    """One line of progress: a bar with words in a notebook, a rewritten line in a terminal, else a line a change.

    `timeout` is how long it may take, in seconds. What is `passing` leaves nothing behind, and is not told where
    there is neither a notebook nor a terminal; with `shown` false it is not told at all.
    """

    def __init__(self, stream=None, *, timeout: float = 0, passing: bool = False, shown: bool = True):
        self._stream = stream or sys.stderr
        self._timeout, self._passing, self._shown = timeout, passing, shown
        self._handle = None
        self._last: tuple[str, str] = ("", "")

    def __enter__(self) -> "Live":
        if self._passing and self._shown and _in_kernel():
            # Always the same first output, as nbval compares that one and no update.
            self._publish("", "")
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        text, passed = self._last
        if not text or not self._shown:
            return
        if _in_kernel():
            told = "" if self._passing else text + passed
            self._publish(told, f"<small>{_line(told)}</small>" if told else "")
        elif self._stream.isatty():
            self._stream.write("\r\x1b[2K" if self._passing else "\n")
            self._stream.flush()

    def show(self, text: str, elapsed: float = 0, *, share: float | None = None, events: Sequence[str] = ()) -> None:
        """`share` is the part that is done, 0 to 1; where it is not known, the bar shows the time passed."""
        if not self._shown:
            return
        passed = f" ({elapsed:.0f} s)" if elapsed >= 1 else ""
        if _in_kernel():
            self._publish(text + passed, self._bar(elapsed, share) + _line(text + passed, events))
        elif self._stream.isatty():
            self._stream.write(f"\r\x1b[2K{text}{passed}")
        elif text != self._last[0] and not self._passing:
            self._stream.write(f"{text}\n")
        self._stream.flush()
        self._last = (text, passed)

    def _bar(self, elapsed: float, share: float | None) -> str:
        if share is not None:
            return f'<progress max="1" value="{share:.2f}" aria-label="done">{share:.0%}</progress> '
        if not self._timeout:
            return '<progress aria-label="under way"></progress> '
        label = f"time passed, of at most {self._timeout:.0f} s"
        return f'<progress max="{self._timeout:.0f}" value="{elapsed:.0f}" aria-label="{label}"></progress> '

    def _publish(self, text: str, html: str) -> None:
        from IPython.display import display

        data = {"text/plain": text, "text/html": f"<div role='status'>{html}</div>" if html else ""}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


def _line(text: str, events: Sequence[str] = ()) -> str:
    below = "".join(f"<li>{escape(event)}</li>" for event in events)
    return escape(text) + (f"<ul>{below}</ul>" if below else "")


def _in_kernel() -> bool:
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")

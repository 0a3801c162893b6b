"""What a notebook shows of an error: a short box that says what was tried, what was seen and what to do."""

import re
import traceback as stack
from dataclasses import dataclass
from html import escape
from pathlib import PurePath

from . import colors, paths
from .errors import AwsError, ParamsError, RunbookError, TimedOut, VerificationFailed
from .failures import FAILURES

_AGAIN = "mend what was seen, then run this notebook again from the top: what is done already stays as it is"
_TO_DO = {
    ParamsError: "correct the params, then run this notebook again from the top",
    TimedOut: "run the cell again: it goes on where it stopped; the table “If it fails” below has the causes",
    VerificationFailed: "run the notebook again from the top, which mends what differs; then the table “If it fails”",
    RunbookError: _AGAIN,
}
_UNEXPECTED = "nothing that the runbook knows: run the cell again, and if it comes back, report it with the traceback"
_LINES = 5  # of a message that is not the runbook's
_NOTEBOOK = re.compile(r"notebooks? (\d\d)(?!\d)")
_RED, _LINE = "var(--jp-error-color1,#c62828)", "var(--jp-border-color1,#9e9e9e)"


@dataclass(frozen=True)
class Box:
    """An error in words. `notebooks` are those that mend it; `trace` is folded and has the value of no variable."""

    kind: str
    tried: str
    seen: tuple[str, ...]
    to_do: str
    notebooks: tuple[str, ...]
    trace: str

    def __repr__(self) -> str:
        lines = [("tried", self.tried), *(("" if at else "seen", line) for at, line in enumerate(self.seen))]
        lines += [("to do", self.to_do), *(("notebook", name) for name in self.notebooks)]
        return "\n".join(f"{name:9} {line}".rstrip() for name, line in lines)

    def _repr_html_(self) -> str:
        links = ", ".join(f'<a href="{escape(name)}.ipynb">{escape(name)}</a>' for name in self.notebooks)
        rows = [("tried", escape(self.tried)), ("seen", "<br>".join(map(escape, self.seen)))]
        rows += [("to do", escape(self.to_do)), *([("notebook", links)] if links else [])]
        cell = 'style="text-align:left;vertical-align:top"'
        table = "".join(f'<tr><th scope="row" {cell}>{name}</th><td {cell}>{text}</td></tr>' for name, text in rows)
        return (
            f'<div role="alert" style="border:1px solid {_LINE};border-left:4px solid {_RED};padding:4px 12px">'
            f'<p style="margin:4px 0"><b style="color:{colors.RED}">✘ failed</b>: {escape(self.kind)}</p>'
            f'<table style="margin-left:0"><tbody>{table}</tbody></table>'
            f"<details><summary>traceback</summary><pre>{escape(self.trace)}</pre></details></div>"
        )


def box(error: BaseException) -> Box:
    """The box of an error that a cell ended with."""
    text, call = str(error), _call(error)
    what, seen, to_do = _split(error, text)
    tried = f"{what}, by {call}" if what and call else what or call or "this cell"
    names = (file.stem for number in _numbers(error) for file in paths.NOTEBOOKS.glob(f"{number}_*.ipynb"))
    return Box(type(error).__name__, tried, seen, to_do, tuple(names), trace(error))


def _numbers(error: BaseException) -> list[str]:
    """Of the notebooks that the error names, or that mend what a check points to."""
    named = _NOTEBOOK.findall(str(error))
    if isinstance(error, VerificationFailed):
        rows = [check.row for check in error.report.checks if not check.ok and check.row]
        named += [FAILURES[row].notebook[:2] for row in rows]
    return list(dict.fromkeys(named))


def headline(error: BaseException) -> str:
    """The error in one line: below the box, and what papermill prints without one."""
    told = str(error)
    if isinstance(error, VerificationFailed):
        wrong = [str(check) for check in error.report.checks if not check.ok]
        told = f"{error.report.title}: {wrong[0]}" + f" (and {len(wrong) - 1} more)" * (len(wrong) > 1)
    return f"{type(error).__name__}: {told}".splitlines()[0]


def _split(error: BaseException, text: str) -> tuple[str, tuple[str, ...], str]:
    """What was being done, what was seen, what to do: the order of the runbook's sentences."""
    if not isinstance(error, RunbookError):
        return "", tuple(f"{type(error).__name__}: {text}".splitlines()[:_LINES]), _UNEXPECTED
    default = next(to_do for kind, to_do in _TO_DO.items() if isinstance(error, kind))
    if isinstance(error, VerificationFailed):
        wrong = tuple(str(check) for check in error.report.checks if not check.ok)
        first = ", ".join(dict.fromkeys(name[:2] for name in _numbers(error)))
        to_do = f"run notebook {first} first, then this one again from the top" if first else default
        return f"to see that this is as wanted: {error.report.title}", wrong, to_do
    what, colon, rest = text.partition(": ")
    if not colon or "; " in what:
        what, rest = "", text
    seen, semicolon, to_do = rest.rpartition("; ")
    if not semicolon or isinstance(error, TimedOut | ParamsError):
        return what, tuple(rest.splitlines()), default
    return what, tuple(seen.splitlines()), to_do if isinstance(error, AwsError) else f"{to_do}; then run this again"


def _call(error: BaseException) -> str:
    """The line of the cell that the error came through."""
    frames = [frame for frame in stack.extract_tb(error.__traceback__) if _in_cell(frame.filename)]
    return frames[-1].line or "" if frames else ""


def _in_cell(filename: str) -> bool:
    return "ipykernel_" in filename or filename.startswith("<ipython-input")


def trace(error: BaseException) -> str:
    """Where an error came from, and what it came from. What another library says of the latter may quote what was
    sent, so its words are left out."""
    lines: list[str] = []
    each: BaseException | None = error
    while each is not None:
        told = each is error or isinstance(each, RunbookError)
        lines += [f"{'' if each is error else 'from '}{type(each).__name__}{f': {each}' if told else ''}"]
        lines += [f"  {note}" for note in getattr(each, "__notes__", ())]
        frames = [frame for frame in stack.extract_tb(each.__traceback__) if "/IPython/" not in frame.filename]
        lines += [f"  {_where(frame.filename)}:{frame.lineno} {frame.name}\n    {frame.line}" for frame in frames]
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return "\n".join(lines)


def _where(filename: str) -> str:
    return "the cell" if _in_cell(filename) else "/".join(PurePath(filename).parts[-2:])

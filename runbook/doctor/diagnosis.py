"""What the doctor says."""

from html import escape
from typing import Any, NamedTuple

from .. import as_json
from ..failures import FAILURES


class Cause(NamedTuple):
    """What explains the symptom. `evidence` are lines that were seen: an event, a log line, a setting; no secrets.
    `row` is its number in FAILURES; None for what is no row of it, which names its own remedy and notebook."""

    cause: str
    evidence: tuple[str, ...]
    remedy: str
    notebook: str
    row: int | None = None

    @classmethod
    def of(cls, row: int, *evidence: str) -> "Cause":
        """The failure of that row, with what was seen."""
        failure = FAILURES[row]
        return cls(failure.cause, evidence, failure.remedy, failure.notebook, row)


class Diagnosis(NamedTuple):
    """The stations that were walked, and the cause, if one was found. False when there is one."""

    title: str
    walked: tuple[str, ...]
    cause: Cause | None

    def __bool__(self) -> bool:
        return self.cause is None

    @property
    def row(self) -> int | None:
        return self.cause.row if self.cause else None

    def __repr__(self) -> str:
        return "\n".join(f"{name:9} {line}".rstrip() for name, line in self._lines())

    def _repr_html_(self) -> str:
        style = 'style="text-align:left;vertical-align:top"'
        rows = "".join(
            f'<tr><th scope="row" {style}>{name}</th><td {style}>{_linked(name, line)}</td></tr>'
            for name, line in self._lines()
        )
        caption = '<caption style="text-align:left;font-weight:bold">The doctor</caption>'
        return f'<table style="table-layout:auto;margin:8px 0">{caption}<tbody>{rows}</tbody></table>'

    def _lines(self):
        yield "looked at", " · ".join(self.walked)
        if self.cause is None:
            yield "cause", f"nothing is wrong with {self.title} that the doctor knows"
            return
        number = f" (failure {self.cause.row})" if self.cause.row else ""
        yield "cause", f"{self.cause.cause}{number}"
        for at, line in enumerate(self.cause.evidence):
            yield "" if at else "evidence", line
        yield "remedy", self.cause.remedy
        yield "notebook", self.cause.notebook


@as_json.rows.register
def _rows(found: Diagnosis) -> list[dict[str, Any]]:
    if found.cause is None:
        return [as_json.row(found.title, "ok")]
    cause = found.cause
    more = {"found": cause.cause, "details": list(cause.evidence), "remedy": cause.remedy, "notebook": cause.notebook}
    return [as_json.row(found.title, "differs", **more, failure=cause.row)]


def _linked(name: str, line: str) -> str:
    return f'<a href="{escape(line)}.ipynb">{escape(line)}</a>' if name == "notebook" else escape(line)

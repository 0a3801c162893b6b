"""What a reader of a configuration or of a deployment finds: how bad it is, where it stands, what mends it."""

from html import escape
from typing import NamedTuple

from .failures import FAILURES

SEVERITIES = ("note", "warning", "error")


class Finding(NamedTuple):
    """`where` is a file with its key, a variable or an AWS resource; `row` is the failure that it leads to, if one
    of FAILURES; `remedy` is what to do, with the notebook where one does it."""

    severity: str
    where: str
    what: str
    remedy: str
    row: int | None = None

    @property
    def leads_to(self) -> str:
        return f"failure {self.row}: {FAILURES[self.row].symptom}" if self.row else ""

    def __str__(self) -> str:
        lines = [f"{self.severity:7} {self.where}: {self.what}", f"        {self.remedy}"]
        return "\n".join(lines + ([f"        leads to {self.leads_to}"] if self.row else []))


class Findings(tuple):
    """Findings, the worst first. False when there is none above a note."""

    def __new__(cls, findings=()):
        return super().__new__(cls, sorted(findings, key=lambda each: -SEVERITIES.index(each.severity)))

    def __bool__(self) -> bool:
        return any(each.severity != "note" for each in self)

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "nothing found"

    def _repr_html_(self) -> str:
        head = "" if self else "<p><b>nothing found above a note</b></p>"
        columns = ("severity", "where", "what", "remedy", "leads to")
        names = "".join(f'<th scope="col" style="text-align:left">{each}</th>' for each in columns)
        rows = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:left;vertical-align:top">{escape(cell)}</td>'
                for cell in (each.severity, each.where, each.what, each.remedy, each.leads_to)
            )
            + "</tr>"
            for each in self
        )
        return head + (f"<table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>" if self[:] else "")

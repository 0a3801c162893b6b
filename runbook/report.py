"""What a step shows: documents, reports and changes, each with a text form (deterministic) and an HTML form."""

import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from . import colors
from .errors import VerificationFailed
from .failures import FAILURES
from .recorded import Recorded
from .secret import Secret


class Document(dict):
    """A mapping that shows itself as JSON: what shall be, or what is. Equal to any dict with the same content."""

    def __repr__(self) -> str:
        return json.dumps(self, indent=2, ensure_ascii=False, default=repr)

    def _repr_html_(self) -> str:
        return f"{_PRE}{escape(repr(self))}</pre>"


class Text(str):
    """A text (a config.yml, a Dockerfile, a transcript) that shows itself as it is."""

    def __repr__(self) -> str:
        return str(self).rstrip("\n")

    def _repr_html_(self) -> str:
        return f"{_PRE}{escape(repr(self))}</pre>"


class Prose(str):
    """A paragraph or a picture in Markdown, whose words follow the params. A notebook renders it."""

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `wanted` and `found` are short texts without ids or times; `row` is the failure
    (of FAILURES) that it points to when it is not ok."""

    name: str
    ok: bool
    wanted: str
    found: str
    row: int | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" if self.ok else f"{self.name}: wanted {self.wanted}, found {self.seen}"

    @property
    def seen(self) -> str:
        """What was found, with the cause that it points to."""
        return (
            self.found if self.ok or not self.row else f"{self.found} (failure {self.row}: {FAILURES[self.row].cause})"
        )


@dataclass(frozen=True)
class Field:
    """One field of a thing: what it is now, and what it shall be."""

    name: str
    now: str
    wanted: str


@dataclass(frozen=True)
class Report(Recorded):
    """Wanted against found. True when every check is ok; `.require()` returns it or raises VerificationFailed."""

    title: str
    checks: tuple[Check, ...] = ()
    absent: bool = False
    wanted: tuple[Field, ...] = ()  # of a thing that is absent

    def __bool__(self) -> bool:
        return all(check.ok for check in self.checks)

    def __add__(self, other: "Report") -> "Report":
        absent, wanted = self.absent or other.absent, self.wanted + other.wanted
        return replace(self, checks=self.checks + other.checks, absent=absent, wanted=wanted)

    def check(self, name: str, ok: bool, wanted: Any, found: Any, *, row: int | None = None) -> "Report":
        """This report with one more check."""
        return replace(self, checks=(*self.checks, Check(name, bool(ok), words(wanted), words(found), row)))

    def require(self) -> "Report":
        if not self:
            raise VerificationFailed(self)
        return self

    def failures(self) -> str:
        wrong = [str(check) for check in self.checks if not check.ok]
        return f"{self.title}: {wrong[0]}" if len(wrong) == 1 else "\n  ".join((f"{self.title}:", *wrong))

    @property
    def changes(self) -> "Changes":
        """The same comparison as a plan: what `ensure` would create or change."""
        wrong = tuple(check for check in self.checks if not check.ok)
        if self.absent:
            return Changes((Change(self.title, "+", "create", fields=self.wanted),))
        if wrong:
            fields = tuple(Field(check.name, check.found, check.wanted) for check in wrong)
            details = tuple(f"{each.name}: {each.now} → {each.wanted}" for each in fields)
            return Changes((Change(self.title, "~", "change", details, fields),))
        return Changes((Change(self.title, "=", "nothing to change"),))

    def __repr__(self) -> str:
        state = "ok" if self else "NOT OK"
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [f"{self.title}: {state}"]
        for check in self.checks:
            mark, value = (
                ("ok    ", check.found) if check.ok else ("differs", f"wanted {check.wanted}, found {check.seen}")
            )
            lines.append(f"  {mark:7} {check.name:{width}}  {value}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{_mark(*_MARKS[check.ok])}{_cell(check.name, width=14)}"
            + _cell(*((check.found,) if check.ok else (f"wanted: {check.wanted}", f"found: {check.seen}")), width=20)
            + "</tr>"
            for check in self.checks
        )
        if not rows:
            return f"<p><b>{escape(self.title)}: ok</b></p>"
        return _table(f"{self.title}: {'ok' if self else 'not ok'}", ("result", "check", "found"), rows)


@dataclass(frozen=True)
class Change:
    """One thing, and what would become (or became) of it. `mark` is = + ~ - or !, `word` says the same.

    `notebook` is the one that does it, `cost` what the thing costs a month, in words; each may be unknown here.
    """

    title: str
    mark: str
    word: str
    details: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    notebook: str = ""
    cost: str = ""

    def __bool__(self) -> bool:
        return self.mark != "="

    def __str__(self) -> str:
        known = [f"notebook {self.notebook[:2]}"] * bool(self.notebook) + [self.cost] * bool(self.cost)
        aside = f" ({', '.join(known)})" if self and known else ""
        line = f"{self.mark} {self.title}: {self.word}{aside}"
        return "\n    ".join((line, *self.details))


_DONE = {"create": "created", "change": "changed", "destroy": "destroyed", "nothing to change": "unchanged"}


@dataclass(frozen=True)
class Changes(Recorded):
    """What would be done (a plan), or what was done. False when it is nothing. `+` adds two.

    `where` says of which deployment, `cost` what all of it costs a month; each may be left out.
    """

    rows: tuple[Change, ...] = ()
    where: str = ""
    cost: str = ""

    def __bool__(self) -> bool:
        return any(self.rows)

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(self.rows + other.rows, self.where or other.where, self.cost or other.cost)

    @property
    def done(self) -> "Changes":
        """The same rows, told as done."""
        return replace(self, rows=tuple(replace(row, word=_DONE[row.word]) for row in self.rows))

    @property
    def summary(self) -> str:
        """One line: how many would be created, changed and destroyed, or were."""
        number = Counter(row.word for row in self.rows)
        planned = bool(number.keys() & _DONE.keys())
        if not self:
            return "Plan: nothing to change" if planned or not self.rows else "Done: nothing to change"
        kinds = ("create", "change", "destroy")
        counts = [f"{number[kind]} to {kind}" if planned else f"{number[_DONE[kind]]} {_DONE[kind]}" for kind in kinds]
        counts += [f"{number['kept']} kept"] if number["kept"] else []
        return f"{'Plan' if planned else 'Done'}: {', '.join(counts)}"

    def __repr__(self) -> str:
        if not self.rows:
            return "nothing to change"
        ends = (self.summary, f"All of it: {self.cost}" if self.cost else "") if len(self.rows) > 1 else ()
        return "\n".join(line for line in (self.where, *map(str, self.rows), *ends) if line)

    def _repr_html_(self) -> str:
        columns = ["change", "thing"]
        more = [name for name in ("notebook", "cost") if any(getattr(row, name) for row in self.rows)]
        apart = 3 if any(row.mark == "~" and row.fields for row in self.rows) else 1
        apart = apart if any(row.fields for row in self.rows) else 0  # columns for the fields
        columns += {0: [], 1: ["fields"], 3: ["field", "now", "wanted"]}[apart]
        columns += [{"notebook": "notebook", "cost": "a month"}[name] for name in more]
        body = "".join(_change(row, more, apart) for row in self.rows)
        ends = [f"<b>{escape(self.summary)}</b>", *([f"All of it: {escape(self.cost)}"] if self.cost else [])]
        return f"{_table(self.where, tuple(columns), body)}<p>{'<br>'.join(ends)}</p>"


def _change(row: Change, more: list[str], apart: int) -> str:
    """A row for each field that changes; what would be made has its fields folded."""
    fields = row.fields if row.mark == "~" else ()
    span = max(1, len(fields))
    lines = (row.title,) if row.fields else (row.title, *row.details)
    cells = _mark(f"{row.mark} {row.word}", _COLORS.get(row.mark, "inherit"), span) + _cell(*lines, span=span)
    cost = row.cost.removesuffix(" a month")
    known = {"notebook": _notebook(row.notebook, span), "cost": _cell(cost, span=span)}
    aside = "".join(known[name] for name in more)
    if not apart:
        return f"<tr>{cells}{aside}</tr>"
    if not fields:
        return f"<tr>{cells}{_folded(row, apart)}{aside}</tr>"
    first, *rest = ("".join(_cell(text) for text in (f.name, f.now, f.wanted)) for f in fields)
    return f"<tr>{cells}{first}{aside}</tr>" + "".join(f"<tr>{each}</tr>" for each in rest)


def _folded(row: Change, columns: int) -> str:
    if not row.fields:
        return _cell("", columns=columns)
    named = "".join(f"<tr>{_cell(f.name)}{_cell(f.now)}{_cell(f.wanted)}</tr>" for f in row.fields)
    number = f"{len(row.fields)} field{'s' * (len(row.fields) > 1)}"
    table = _table("", ("field", "now", "wanted"), named)
    return f'<td colspan="{columns}" style="{_LEFT}"><details><summary>{number}</summary>{table}</details></td>'


def _notebook(name: str, span: int) -> str:
    link = f'<a href="{escape(name)}.ipynb">{escape(name[:2])}</a>' if name else ""
    return f'<td{_span(span)} style="{_LEFT}">{link}</td>'


def destroyed(title: str, existed: bool) -> Changes:
    """What a `destroy_x` did: the thing was there, or it was absent already."""
    return Changes((Change(title, "-", "destroyed") if existed else Change(title, "=", "absent"),))


def kept(title: str, why: str) -> Changes:
    """What a `destroy_x` left on purpose."""
    return Changes((Change(title, "!", "kept", (why,)),))


_MARKS = {True: ("✔ ok", colors.GREEN), False: ("✘ differs", colors.RED)}
_COLORS = {"+": colors.GREEN, "~": colors.AMBER, "-": colors.RED}
_LEFT = "text-align:left;vertical-align:top"
_TABLE = '<table style="table-layout:auto;margin-left:0">'  # JupyterLab's own have columns of one width
_PRE = '<pre style="margin:0">'


def _mark(word: str, color: str, span: int = 1) -> str:
    return f'<td{_span(span)} style="{_LEFT};white-space:nowrap;color:{color}">{escape(word)}</td>'


def _cell(*lines: str, width: int = 0, span: int = 1, columns: int = 1) -> str:
    style = _LEFT + (f";min-width:{width}em" if width else "")
    across = f' colspan="{columns}"' if columns > 1 else ""
    return f'<td{_span(span)}{across} style="{style}">{"<br>".join(_breakable(line) for line in lines)}</td>'


def _span(rows: int) -> str:
    return f' rowspan="{rows}"' if rows > 1 else ""


def _breakable(text: str) -> str:
    """Escaped; a long name or ARN may break after its punctuation instead of pushing the next column out."""
    return re.sub(r"([._:/,])(?=\w)", r"\1<wbr>", escape(text))


def _table(caption: str, columns: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col" style="text-align:left">{column}</th>' for column in columns)
    caption = f'<caption style="text-align:left;font-weight:bold">{escape(caption)}</caption>' if caption else ""
    return f"{_TABLE}{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def words(value: Any) -> str:
    """A value as a short text: texts as they are, a secret as "(sensitive)", everything else as JSON."""
    if value is None:
        return "absent"
    if isinstance(value, str | Secret):
        return _plain(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_plain)


def _plain(value: Any) -> str:
    return "(sensitive)" if isinstance(value, Secret) else str(value)


def compare(title: str, wanted: dict[str, Any], found: dict[str, Any] | None) -> Report:
    """One check for each key that is wanted; nested mappings are compared key by key, all else as a whole.

    Keys of `found` that nobody wanted are AWS's own and are not compared, save those below `Added`: what somebody
    added to a thing that is wholly ours, and shall be absent.
    """
    if found is None:
        fields = tuple(Field(name, "absent", words(value)) for name, _, value in _leaves(wanted))
        return Report(title, (Check("exists", False, "present", "absent"),), absent=True, wanted=fields)
    checks = tuple(
        Check(name, value == (seen := _at(found, path)), words(value), words(seen))
        for name, path, value in (*_leaves(wanted), *_added(found))
    )
    return Report(title, checks)


def _leaves(wanted: dict[str, Any], path: tuple[str, ...] = ()):
    for key, value in wanted.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, str(key)))
        else:
            yield ".".join((*path, str(key))), (*path, key), value


def _added(found: dict[str, Any], path: tuple[str, ...] = ()):
    for key, value in found.items():
        if key == "Added":
            yield from _leaves(dict.fromkeys(value), (*path, key))
        elif isinstance(value, dict):
            yield from _added(value, (*path, key))


def added(what: dict[str, Any]) -> dict[str, dict]:
    """The part of a `find_x` that says what somebody added; nothing where that is nothing."""
    return {"Added": dict(sorted(what.items()))} if what else {}


def _at(found: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found

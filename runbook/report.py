"""What a step shows: documents, reports and changes, each with a text form (deterministic) and an HTML form."""

import json
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

from .errors import VerificationFailed


class Document(dict):
    """A mapping that shows itself as JSON: what shall be, or what is. Equal to any dict with the same content."""

    def __repr__(self) -> str:
        return json.dumps(self, indent=2, ensure_ascii=False, default=repr)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


class Text(str):
    """A text (a config.yml, a Dockerfile, a transcript) that shows itself as it is."""

    def __repr__(self) -> str:
        return str(self).rstrip("\n")

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `wanted` and `found` are short texts without ids or times."""

    name: str
    ok: bool
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.name}: {self.found}" if self.ok else f"{self.name}: wanted {self.wanted}, found {self.found}"


@dataclass(frozen=True)
class Report:
    """Wanted against found. True when every check is ok; `.require()` returns it or raises VerificationFailed."""

    title: str
    checks: tuple[Check, ...] = ()
    absent: bool = False

    def __bool__(self) -> bool:
        return all(check.ok for check in self.checks)

    def __add__(self, other: "Report") -> "Report":
        return replace(self, checks=self.checks + other.checks, absent=self.absent or other.absent)

    def check(self, name: str, ok: bool, wanted: Any, found: Any) -> "Report":
        """This report with one more check."""
        return replace(self, checks=(*self.checks, Check(name, bool(ok), words(wanted), words(found))))

    def require(self) -> "Report":
        if not self:
            raise VerificationFailed(self)
        return self

    def failures(self) -> str:
        return f"{self.title}: " + "; ".join(str(check) for check in self.checks if not check.ok)

    @property
    def changes(self) -> "Changes":
        """The same comparison as a plan: what `ensure` would create or change."""
        wrong = tuple(check for check in self.checks if not check.ok)
        kind = "create" if self.absent else "change" if wrong else "none"
        return Changes(((self.title, kind, () if self.absent else wrong),))

    def __repr__(self) -> str:
        state = "ok" if self else "NOT OK"
        width = max((len(check.name) for check in self.checks), default=0)
        lines = [f"{self.title}: {state}"]
        for check in self.checks:
            mark, value = (
                ("ok    ", check.found) if check.ok else ("differs", f"wanted {check.wanted}, found {check.found}")
            )
            lines.append(f"  {mark:7} {check.name:{width}}  {value}".rstrip())
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [
            (("✔ ok" if c.ok else "✘ differs"), c.name, c.wanted, c.found, "" if c.ok else "--jp-error-color1")
            for c in self.checks
        ]
        body = "".join(
            f'<tr><td style="text-align:left;color:var({color or "--jp-success-color1"})">{mark}</td>'
            + "".join(f'<td style="text-align:left">{escape(text)}</td>' for text in texts)
            + "</tr>"
            for mark, *texts, color in rows
        )
        head = "".join(
            f'<th scope="col" style="text-align:left">{t}</th>' for t in ("result", "check", "wanted", "found")
        )
        state = "ok" if self else "not ok"
        return (
            f"<table><caption>{escape(self.title)}: {state}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


_WORDS = {"none": ("=", "nothing to change"), "create": ("+", "create"), "change": ("~", "change")}
_DONE = {"none": ("=", "unchanged"), "create": ("+", "created"), "change": ("~", "changed")}
_GONE = {"none": ("=", "absent"), "destroy": ("-", "destroyed"), "kept": ("!", "kept")}


@dataclass(frozen=True)
class Changes:
    """What would be done (a plan), or what was done. False when it is nothing. `+` adds two."""

    rows: tuple[tuple[str, str, tuple[Check, ...]], ...] = ()
    words: dict[str, tuple[str, str]] = field(default_factory=lambda: _WORDS, compare=False)

    def __bool__(self) -> bool:
        return any(kind != "none" for _, kind, _ in self.rows)

    def __add__(self, other: "Changes") -> "Changes":
        return replace(self, rows=self.rows + other.rows)

    @property
    def done(self) -> "Changes":
        """The same rows, told as done."""
        return replace(self, words=_DONE)

    def __repr__(self) -> str:
        lines = []
        for title, kind, checks in self.rows:
            mark, word = self.words[kind]
            lines.append(f"{mark} {title}: {word}")
            lines += [f"    {check.name}: {check.found} → {check.wanted}" for check in checks]
        return "\n".join(lines) or "nothing to change"

    def _repr_html_(self) -> str:
        body = "".join(
            f'<tr><td style="text-align:left">{self.words[kind][0]} {self.words[kind][1]}</td>'
            f'<td style="text-align:left">{escape(title)}</td><td style="text-align:left">'
            + "<br>".join(escape(f"{c.name}: {c.found} → {c.wanted}") for c in checks)
            + "</td></tr>"
            for title, kind, checks in self.rows
        )
        head = "".join(f'<th scope="col" style="text-align:left">{t}</th>' for t in ("change", "thing", "now → wanted"))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def destroyed(title: str, existed: bool, *, kept: bool = False) -> Changes:
    """What a `destroy_x` did: destroyed, absent, or kept on purpose."""
    return Changes(((title, "kept" if kept else "destroy" if existed else "none", ()),), _GONE)


def words(value: Any) -> str:
    """A value as a short text: texts as they are, everything else as JSON."""
    if value is None:
        return "absent"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def compare(title: str, wanted: dict[str, Any], found: dict[str, Any] | None) -> Report:
    """One check for each key that is wanted; nested mappings are compared key by key, all else as a whole.

    Keys of `found` that nobody wanted are AWS's own and are not compared.
    """
    if found is None:
        return Report(title, (Check("exists", False, "present", "absent"),), absent=True)
    checks = tuple(
        Check(name, value == (seen := _at(found, path)), words(value), words(seen))
        for name, path, value in _leaves(wanted)
    )
    return Report(title, checks)


def _leaves(wanted: dict[str, Any], path: tuple[str, ...] = ()):
    for key, value in wanted.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*path, str(key)))
        else:
            yield ".".join((*path, str(key))), (*path, key), value


def _at(found: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found

"""What a command found, as one JSON document for a script: docs/json.md has its keys."""

import json
from functools import singledispatch
from typing import Any

from .finding import Finding, Findings
from .report import Change, Changes, Check, Document, Report

KEYS = ("command", "about", "exit_status", "error", "rows")
ROW_KEYS = ("thing", "state", "check", "wanted", "found", "details", "remedy", "notebook", "failure")


def document(command: str, about: str, exit_status: int, *found: Any, error: str | None = None) -> str:
    """`found` are what `rows` takes; `error` is the sentence with which the command ended, if it did."""
    listed = [row for each in found for row in rows(each)]
    values = (command, about, exit_status, error, listed)
    return json.dumps(dict(zip(KEYS, values, strict=True)), indent=2, ensure_ascii=False)


def row(thing: str, state: str, **more: Any) -> dict[str, Any]:
    """One row; what it does not have is null."""
    known = dict.fromkeys(ROW_KEYS) | {"thing": thing, "state": state} | more
    return {key: known[key] for key in ROW_KEYS}


@singledispatch
def rows(found: Any) -> list[dict[str, Any]]:
    """The rows of a report, of changes, of findings, or of several of them."""
    raise TypeError(f"{type(found).__name__} has no rows")


@rows.register(tuple)
def _several(found: tuple) -> list[dict[str, Any]]:
    return [row for each in found for row in rows(each)]


@rows.register
def _report(found: Report) -> list[dict[str, Any]]:
    absent = "absent" if found.absent else "differs"
    return [_check(found.title, check, absent) for check in found.checks] or [row(found.title, "ok")]


def _check(title: str, check: Check, wrong: str) -> dict[str, Any]:
    state = "ok" if check.ok else wrong
    failure = None if check.ok else check.row
    return row(title, state, check=check.name, wanted=check.wanted, found=check.found, failure=failure)


@rows.register
def _changes(found: Changes) -> list[dict[str, Any]]:
    return [_change(change) for change in found.rows]


def _change(change: Change) -> dict[str, Any]:
    return row(change.title, change.word, details=list(change.details))


@rows.register
def _findings(found: Findings) -> list[dict[str, Any]]:
    return [_finding(each) for each in tuple(found)]


def _finding(each: Finding) -> dict[str, Any]:
    return row(each.where, each.severity, found=each.what, remedy=each.remedy, failure=each.row)


@rows.register
def _document(found: Document) -> list[dict[str, Any]]:
    """A document has one row a key, in the order of its keys."""
    return [row(key, "up", found=found[key]) for key in sorted(found)]

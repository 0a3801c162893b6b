"""Two runs side by side: results, seconds, the params and the checks that differ."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import paths
from .errors import ParamsError
from .report import words

_ABSENT = "-"


def read(name: str) -> dict[str, Any]:
    """The report of a run: its folder, or its name in the folder of runs. Raises ParamsError."""
    for folder in (Path(name), paths.runs() / name):
        if (file := folder / "report.json").is_file():
            try:
                content = json.loads(file.read_text())
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise ParamsError(f"{file} is no report of a run: {error}") from error
            return {"run": folder.name, **content}
    raise ParamsError(f"no run {name}: neither a folder with a report.json, nor one in {paths.runs()}")


def names() -> list[str]:
    """The runs that have a report, the oldest first."""
    return sorted(file.parent.name for file in paths.runs().glob("*/report.json"))


@dataclass(frozen=True)
class Comparison:
    """Rows of (what, in the first run, in the second), by section. False when nothing but the seconds differs."""

    first: str
    second: str
    notebooks: tuple[tuple[str, str, str], ...]
    params: tuple[tuple[str, str, str], ...]
    checks: tuple[tuple[str, str, str], ...]

    def __bool__(self) -> bool:
        verdicts = ((one.partition(",")[0], other.partition(",")[0]) for _, one, other in self.notebooks)
        return bool(self.params or self.checks) or any(one != other for one, other in verdicts)

    def _sections(self):
        return (("notebook", self.notebooks), ("params that differ", self.params), ("checks that differ", self.checks))

    def __repr__(self) -> str:
        lines = [f"{self.first} → {self.second}"]
        for name, rows in self._sections():
            lines += ["", f"{name}:" if rows else f"{name}: none"]
            width = max((len(what) for what, _, _ in rows), default=0)
            lines += [f"  {what:{width}}  {one} → {other}" for what, one, other in rows]
        return "\n".join(lines)


def compare(one: dict[str, Any], other: dict[str, Any]) -> Comparison:
    """Of two contents of report.json. Checks are compared of the reports that both runs came to."""
    before, after = _checks(one), _checks(other)
    checks = (
        (f"{report}, {check}", *told)
        for report in before
        if report in after
        for check, *told in _differing(before[report], after[report])
    )
    notebooks = _both(_notebooks(one), _notebooks(other))
    return Comparison(one["run"], other["run"], notebooks, _differing(_params(one), _params(other)), tuple(checks))


def _both(one: dict[str, str], other: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    names = dict.fromkeys((*one, *other))
    return tuple((name, one.get(name, _ABSENT), other.get(name, _ABSENT)) for name in names)


def _differing(one: dict[str, str], other: dict[str, str]) -> tuple[tuple[str, str, str], ...]:
    return tuple(row for row in _both(one, other) if row[1] != row[2])


def _notebooks(run: dict[str, Any]) -> dict[str, str]:
    return {each["notebook"]: f"{each['result']}, {each['seconds']} s" for each in run["results"]}


def _params(run: dict[str, Any]) -> dict[str, str]:
    return {name: words(value) for name, value in run["params"].items()}


def _checks(run: dict[str, Any]) -> dict[str, dict[str, str]]:
    """By notebook and report: what each check found."""
    return {
        f"{each['notebook'][:2]} {report['title']}": {
            check["name"]: f"{'ok' if check['ok'] else 'differs'}, {check['found']}" for check in report["checks"]
        }
        for each in run["results"]
        for report in each["reports"]
    }

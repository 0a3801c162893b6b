"""Where one is: the set-up's notebooks in their order, and how far each is."""

from dataclasses import dataclass
from html import escape

from . import colors, steps
from .params import Params
from .report import Report
from .session import AWS

_NOTEBOOKS = {
    "00_start_here": "Start",
    "01_enable_s3_and_authentication": "S3",
    "02_create_a_task_definition": "Task",
    "03_create_an_htpasswd_file": "Users",
    "04_launch_your_service": "Service",
    "05_configure_https_on_the_load_balancer": "HTTPS",
    "06_test_your_setup": "Test",
    "07_summary": "Summary",
}
_TEST, _LAST = "06_test_your_setup", "07_summary"
_MARKS = {"done": "✔", "next": "▶", "changed": "~", "absent": "○", "ready": "▷"}
_COLORS = {
    "done": colors.GREEN,
    "next": "var(--jp-brand-color1,#1565c0)",
    "changed": colors.AMBER,
}
_INK, _LINE = "var(--jp-ui-font-color1,#212121)", "var(--jp-border-color1,#9e9e9e)"


@dataclass(frozen=True)
class Stop:
    """One notebook. `state` is done, next, changed or absent, and ready where it makes nothing that could be told."""

    notebook: str
    state: str
    here: bool

    @property
    def label(self) -> str:
        return f"{self.notebook[:2]} {_NOTEBOOKS[self.notebook]}"


@dataclass(frozen=True)
class Strip:
    """All stops in a row, below the line that says in which cloud and account one is."""

    where: str
    stops: tuple[Stop, ...]

    def __repr__(self) -> str:
        told = (f"{stop.label}: {stop.state}{' (here)' if stop.here else ''}" for stop in self.stops)
        return f"{self.where}\n" + " · ".join(told)

    def _repr_html_(self) -> str:
        stops = "".join(_stop(stop) for stop in self.stops)
        return (
            f'<p style="margin:0 0 4px">{escape(self.where)}</p><nav aria-label="the steps">'
            '<ol style="display:grid;grid-template-columns:repeat(8,minmax(0,1fr));gap:4px;'
            'list-style:none;margin:0 0 12px;padding:0">'
            f"{stops}</ol></nav>"
        )


def _stop(stop: Stop) -> str:
    border = f"2px solid {_INK}" if stop.here else f"1px solid {_LINE}"
    color, current = _COLORS.get(stop.state, _INK), ' aria-current="step"' if stop.here else ""
    state = f"{_MARKS[stop.state]} {stop.state}{', here' if stop.here else ''}"
    return (
        f'<li{current} style="list-style:none;margin:0;padding:2px 6px;border:{border};border-radius:4px">'
        f'<a href="{stop.notebook}.ipynb">{escape(stop.label)}</a><br>'
        f'<span style="color:{color}">{state}</span></li>'
    )


def where(aws: AWS, p: Params) -> str:
    """The cloud, the account, the region, and the profile of the credentials if there is one."""
    profile = f", profile {aws.profile}" if aws.profile else ""
    return f"{p.cloud}, account {aws.account}, {aws.region}{profile}"


def strip(aws: AWS, p: Params, *, here: str = "") -> Strip:
    """Where one is, from one verification of all things; `here` is the present notebook's number."""
    return told(aws, p, steps.verify(aws, p, show=True), here=here)


def told(aws: AWS, p: Params, verified: steps.Reports, *, here: str = "") -> Strip:
    """The same from what was verified already."""
    things: dict[str, list[Report]] = {name: [] for name in _NOTEBOOKS}
    for step, report in zip(steps.STEPS, verified, strict=True):
        things[step.notebook].append(report)
    stops, complete = [], True
    for name, reports in things.items():
        state = _state(name, reports, complete)
        complete = complete and state in ("done", "ready")
        stops.append(Stop(name, state, name[:2] == here[:2]))
    return Strip(where(aws, p), tuple(stops))


def _state(name: str, reports: list[Report], complete: bool) -> str:
    """A thing that cannot be told stands for what another notebook has yet to make."""
    if name in (_TEST, _LAST):
        return "absent" if not complete else "ready" if all(reports) else "next"
    if all(reports):
        return "done"
    if any(not (report or report.absent or report.checks[0].name == steps.UNTOLD) for report in reports):
        return "changed"
    return "next" if complete else "absent"

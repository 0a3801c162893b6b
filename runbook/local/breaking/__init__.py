"""Failures brought about on purpose, so that a person (and the tests) can see what the doctor says of each."""

from ... import rollout
from ...errors import ParamsError, StepFailed
from ...failures import FAILURES
from ...params import Params
from ...report import Text
from ...session import AWS
from . import inside, outside
from .frame import Break

__all__ = ["BREAKS", "NOT_HERE", "Break", "bring_about", "find", "take_back"]

BREAKS: dict[int, Break] = dict(sorted((outside.BREAKS | inside.BREAKS).items()))
# Why a failure cannot be brought about here.
NOT_HERE: dict[int, str] = dict(sorted((outside.NOT_HERE | inside.NOT_HERE).items()))


def bring_about(aws: AWS, p: Params, row: int) -> Text:
    """Break the deployment in the way of that row of FAILURES; the text says what was done and how to mend it."""
    found = find(p, row)
    if rollout.describe(aws, p) is None:
        raise StepFailed(f"{p.title} is not there to be broken; set it up first: python -m runbook run {found.params}")
    found.does(aws, p)
    lines = [f"failure {row}: {FAILURES[row].symptom}", f"done: {found.what}", _see(found), *_mend(found, row)]
    return Text("\n".join(lines))


def take_back(aws: AWS, p: Params, row: int) -> Text:
    """Take back what the notebooks do not mend."""
    found = find(p, row)
    if found.mend:
        found.mend(aws, p)
    return Text("\n".join([f"failure {row}: {'taken back' if found.mend else 'the notebooks mend it'}", *_mend(found)]))


def find(p: Params, row: int) -> Break:
    """The break of that row; ParamsError says why there is none for these params."""
    if p.cloud != "embedded":
        raise ParamsError(f"{p.source}: cloud: {p.cloud}; only the embedded cloud is broken on purpose")
    if row not in FAILURES:
        raise ParamsError(f"there is no failure {row}; they have the numbers 1 to {max(FAILURES)}")
    if row not in BREAKS:
        why = NOT_HERE.get(row, "nothing here brings it about")
        raise ParamsError(f"failure {row} ({FAILURES[row].symptom}): {why}")
    found = BREAKS[row]
    if (found.params == "production") != p.scales:
        raise ParamsError(f"failure {row} is brought about in a deployment of params/{found.params}.yml")
    return found


def _see(found: Break) -> str:
    return f"look: python -m runbook doctor {found.params}"


def _mend(found: Break, row: int | None = None) -> list[str]:
    first = f"python -m runbook cloud mend {found.params} {row}, then " if found.mend and row else ""
    return [f"mend: {first}the notebook that the doctor names; or all of them: python -m runbook run {found.params}"]

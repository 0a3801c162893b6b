"""The strip: how far each notebook is, told from reports alone."""

import re
from types import SimpleNamespace

import pytest

from runbook import paths, progress, steps
from runbook.report import Check, Report, compare
from runbook.steps import Reports

pytestmark = pytest.mark.pure

AWS = SimpleNamespace(account="123456789012", region="eu-central-1", profile="")
P = SimpleNamespace(cloud="aws")
OK, ABSENT = Report("x"), compare("x", {"a": 1}, None)
CHANGED, UNTOLD = compare("x", {"a": 1}, {"a": 2}), Report("x", (Check(steps.UNTOLD, False, "found", "no balancer"),))


def strip(here="", **of):
    """The strip where the things of a notebook (`_03=ABSENT`) are so, and all others ok."""
    verified = Reports(of.get(f"_{step.notebook[:2]}", OK) for step in steps.STEPS)
    return progress.told(AWS, P, verified, here=here)


def states(told):
    return [stop.state for stop in told.stops]


def test_an_empty_account_begins_with_01():
    told = strip(_01=ABSENT, _02=ABSENT, _03=ABSENT, _04=ABSENT, _05=ABSENT)
    assert states(told) == ["done", "next", "absent", "absent", "absent", "absent", "absent", "absent"]


def test_what_a_notebook_cannot_tell_is_yet_to_be_made():
    assert states(strip(_05=UNTOLD))[5:] == ["next", "absent", "absent"]


def test_the_first_that_is_not_done_is_next_and_a_changed_one_is_told():
    assert states(strip(_02=CHANGED, _04=ABSENT)) == [
        "done", "done", "changed", "done", "absent", "done", "absent", "absent"
    ]  # fmt: skip


def test_what_makes_nothing_is_ready_and_the_test_is_next_while_former_pieces_are_there():
    assert states(strip())[-2:] == ["ready", "ready"]
    assert states(strip(_06=CHANGED))[-2:] == ["next", "absent"]


def test_the_text_is_one_line_below_where_one_is():
    lines = repr(strip("03", _04=ABSENT)).splitlines()
    assert lines[0] == "aws, account 123456789012, eu-central-1"
    assert "03 Users: done (here) · 04 Service: next" in lines[1]


def test_the_profile_is_told():
    named = SimpleNamespace(**{**vars(AWS), "profile": "team"})
    assert progress.where(named, P).endswith(", profile team")


def test_each_stop_is_a_link_that_resolves_and_has_its_state_in_words():
    html = strip("03")._repr_html_()
    links = re.findall(r'href="([^"]+)"', html)
    assert len(links) == 8 and all((paths.NOTEBOOKS / link).exists() for link in links)
    assert html.count('aria-current="step"') == 1
    assert html.count("✔ done") == 6 and "done, here" in html

"""docs/controls.md says of each control whether it is met, by production and by the blog: what is wanted decides."""

import re

import pytest
from controls import CONTROLS

from runbook import load, paths

pytestmark = pytest.mark.pure

_SAID = {"met": True, "not met": False, "does not apply": None}
REGISTRY_3 = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role"}


def rows():
    """Control → what the page says of production and of the blog."""
    text = (paths.PROJECT / "docs" / "controls.md").read_text()
    found = {}
    for line in text.splitlines():
        if line.startswith("| ") and not line.startswith(("| control", "| ---")):
            name, *columns = (cell.strip() for cell in line.strip("|").split("|"))
            found[name] = columns
    return found


def said(cell):
    word, _, reason = cell.partition(":")
    assert word in _SAID, cell
    assert word != "not met" or len(reason.split()) > 3, f"why not? {cell}"
    return _SAID[word]


def test_each_control_has_a_row_and_each_row_is_a_control():
    assert list(rows()) == list(CONTROLS)


@pytest.mark.parametrize("name", CONTROLS)
def test_the_page_says_what_is_wanted(name):
    production, blog = rows()[name]
    on_aws = load({**load("production").model_dump(), **REGISTRY_3})
    assert said(production) is CONTROLS[name](on_aws)
    assert said(blog) is CONTROLS[name](load("blog"))


def test_the_page_counts_right(figure):
    text = (paths.PROJECT / "docs" / "controls.md").read_text()
    met, of = re.search(r"meets (\d+) of the (\d+) that apply", text).groups()
    told = [said(production) for production, _ in rows().values()]
    assert (int(met), int(of)) == (told.count(True), len(told) - told.count(None))
    figure("controls met by production", f"{met} of {of}")


def test_a_control_that_is_not_met_any_more_is_seen():
    opened = load({**load("production").model_dump(), "log_retention": 30, "ssh_from": ["192.0.2.0/24"]})
    changed = {name for name, question in CONTROLS.items() if question(opened) != question(load("production"))}
    assert changed == {"No SSH", "Logs are kept a year"}

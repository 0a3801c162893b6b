"""The notebooks as a person sees them: JupyterLab in Chromium, every notebook from 00 to 99 by Run All Cells."""

import os
from pathlib import Path

import pytest

from runbook import connect, load, paths
from runbook.local import breaking

pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: no browser test")
import lab_page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(900),
    pytest.mark.skipif(lab_page.CHROMIUM is None, reason="Debian's chromium is not installed"),
]

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
SUMMARY, BALANCER = "07_summary.ipynb", "05_configure_https_on_the_load_balancer.ipynb"
IDLE_TIMEOUT = 4  # the row of FAILURES; only a look at the settings shows it, and notebook 05 mends it


@pytest.fixture(scope="module")
def pictures():
    """Where the pictures of the notebooks are kept."""
    folder = Path(os.environ.get("RUNBOOK_SCREENSHOTS") or paths.PROJECT / ".screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def lab(home, tmp_path_factory):
    folder = lab_page.copied(tmp_path_factory.mktemp("lab"))
    with lab_page.running(folder) as url, lab_page.opened(url) as lab:
        yield lab


@pytest.fixture(scope="module")
def walked(lab, pictures):
    """What was seen of each notebook, in their order; `broken` is 07 with the balancer's idle timeout changed."""

    def walk(name, shown_as):
        lab.open(name)
        lab.run_all()
        seen = lab.look(shown_as, pictures)
        lab.close()
        return seen

    found = {}
    for notebook in NOTEBOOKS:
        found[notebook.stem] = walk(notebook.name, notebook.stem)
        if notebook.name == SUMMARY:
            p = load("blog")
            breaking.bring_about(connect(p), p, IDLE_TIMEOUT)
            found["broken"] = walk(SUMMARY, "broken")
            found["mended"] = walk(BALANCER, "mended")
    return found


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def seen(request, walked):
    return walked[request.param.stem]


def test_runs_to_its_end_without_an_error(seen):
    assert seen.errors == []
    assert seen.notRun == []


def test_every_table_and_every_picture_is_drawn(seen):
    assert seen.tables == seen.written["tables"]
    assert seen.pictures == seen.written["pictures"]


def test_some_are_there(walked):
    assert walked["00_start_here"].pictures
    assert all(walked[notebook.stem].tables for notebook in NOTEBOOKS)


def test_tables_have_headers_and_pictures_have_names(seen):
    assert seen.withoutHeaders == []
    assert seen.unnamed == []


def test_headings_go_down_one_at_a_time(seen):
    assert seen.headings[0] == 1
    assert seen.headings.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(seen.headings, seen.headings[1:], strict=False))


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_what_is_shown_can_be_read(seen, theme):
    """Contrast of 4.5 to 1: WCAG 2.2, success criterion 1.4.3."""
    assert seen.faint[theme] == []


def test_fits_a_narrow_window(seen):
    assert seen.wide == []


def test_a_broken_step_is_told_in_a_box(walked):
    broken = walked["broken"]
    assert len(broken.errors) == 1 and broken.errors[0].startswith("VerificationFailed: ")
    assert all(f"\n{row}\t" in broken.text for row in ("tried", "seen", "to do")), broken.text
    assert "traceback" in broken.folded
    assert "Traceback (most recent call last)" not in broken.text
    assert "idle timeout" in broken.text
    assert BALANCER.removesuffix(".ipynb") in broken.text
    assert broken.notRun
    assert walked["mended"].errors == []


def test_nothing_is_asked_of_other_computers(lab, walked):
    assert lab.refused == []

"""The verdict over an executed notebook is ours: papermill calls one complete after a dead kernel."""

import io
import json
import os

import nbformat
import pytest

from runbook import headless, load, paths, run_log
from runbook.errors import ParamsError, StepFailed

pytestmark = pytest.mark.notebooks


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Runs one notebook made of the given cells; returns (folder, results, what was printed)."""

    def run(*cells):
        made = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}}
        )
        made.cells = [nbformat.v4.new_code_cell("params = 'blog'", metadata={"tags": ["parameters"]})]
        made.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
        folder = tmp_path / "notebooks"
        folder.mkdir()
        nbformat.write(made, folder / "00_one.ipynb")
        nbformat.write(made, folder / "01_two.ipynb")
        monkeypatch.setattr(paths, "NOTEBOOKS", folder)
        monkeypatch.setenv("RUNBOOK_RUNS", str(tmp_path / "runs"))
        stream = io.StringIO()
        run = headless.run(load("blog"), run_log.Lines(stream), note="registry:2 is played by another.")
        return run.folder, run.results, stream.getvalue()

    return run


def test_good_notebooks_are_ok_and_recorded(notebook):
    folder, results, printed = notebook("assert params['name'] == 'registry'")
    assert [result.ok for result in results] == [True, True]
    assert printed.count(" ok\n") == 2
    assert (folder / "00_one.ipynb").exists()
    assert "| 00_one | ok |" in (folder / "summary.md").read_text()
    assert "registry:2 is played by another." in (folder / "summary.md").read_text()
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (
            "from runbook.errors import ParamsError, StepFailed\nraise StepFailed('run notebook 03 first')",
            "run notebook 03 first",
        ),
        ("import os; os._exit(1)", "Dead"),
        ("raise ValueError('one | thing\\nand another')", "one | thing and another"),
    ],
    ids=["an error", "a dead kernel", "an error of two lines"],
)
def test_a_failure_stops_the_run_and_says_why(notebook, cell, why):
    folder, results, printed = notebook(cell)
    assert [result.ok for result in results] == [False]
    assert why in results[0].why
    assert why in printed
    (row,) = [line for line in (folder / "summary.md").read_text().splitlines() if "| failed |" in line]
    assert row.replace("\\|", "").count("|") == 5
    assert (folder / "00_one.ipynb").exists()


ATTENDED = """
from runbook import at_failure, doctor
from runbook.doctor import Cause, Diagnosis
from runbook.errors import ParamsError, StepFailed
doctor.diagnose = lambda aws, p: Diagnosis(p, ("name",), Cause.of(5, "503 for all that is asked"))
at_failure.attend(None, "deployment registry")
"""


def test_below_a_failed_cell_the_doctor_names_the_cause(notebook):
    folder, results, _ = notebook(f"{ATTENDED}\nraise StepFailed('no registry answers')")
    assert "(failure 5)" in results[0].diagnosis and "503 for all that is asked" in results[0].diagnosis
    assert results[0].diagnosis in (folder / "summary.md").read_text()
    (failed,) = (cell for cell in nbformat.read(folder / "00_one.ipynb", 4).cells[-1:])
    assert [output.output_type for output in failed.outputs] == ["display_data", "error", "display_data"]


def test_wrong_params_need_no_doctor(notebook):
    _, results, _ = notebook(f"{ATTENDED}\nraise ParamsError('no such key')")
    assert results[0].diagnosis == ""


def test_a_cell_that_never_ends_is_a_failure(notebook, monkeypatch):
    monkeypatch.setattr(headless, "CELL_TIMEOUT", 1)
    _, results, _ = notebook("import threading; threading.Event().wait()")
    assert results[0].verdict == "timed out"
    assert results[0].why == "a cell did not end within 1 s"


def test_what_a_step_waited_for_in_vain_is_a_verdict_of_its_own(notebook):
    folder, results, printed = notebook("from runbook.errors import TimedOut\nraise TimedOut('nodes: not within 1 s')")
    assert results[0].verdict == "timed out"
    assert "  timed out: cell 3: TimedOut: nodes: not within 1 s" in printed
    assert json.loads((folder / "report.json").read_text())["not run"] == ["01_two"]
    assert nbformat.read(folder / "00_one.ipynb", 4).metadata["runbook"]["result"] == "timed out"


@pytest.mark.parametrize("name", ["04", "4", "04_launch_your_service"])
def test_one_notebook_or_from_one_on(name):
    stems = [path.stem for path in headless.notebooks(start=name)]
    assert stems[0] == "04_launch_your_service" and stems[-1] == "07_summary" and len(stems) == 4
    assert [path.stem for path in headless.notebooks(only=name)] == stems[:1]


def test_a_notebook_that_is_not_there_is_named():
    with pytest.raises(ParamsError, match="no notebook 08; there are 00_start_here, "):
        headless.notebooks(start="08")


def test_a_home_that_cannot_be_written_is_no_matter(notebook, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("HOME", "/proc/self")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "mine"))
    (tmp_path / "mine" / "profile_default" / "startup").mkdir(parents=True)
    (tmp_path / "mine" / "profile_default" / "startup" / "first.py").write_text("mine = True")
    _, results, _ = notebook("assert 'mine' not in globals()")
    assert [result.ok for result in results] == [True, True]
    assert "writable" not in capfd.readouterr().err
    assert os.environ["IPYTHONDIR"] == str(tmp_path / "mine")


def test_a_folder_that_cannot_be_made_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / "runs").write_text("a file stands in its place")
    monkeypatch.setenv("RUNBOOK_RUNS", str(tmp_path / "runs"))
    with pytest.raises(StepFailed, match="RUNBOOK_RUNS"):
        headless.run(load("blog"))

"""An interruption of a run: the cell sees it first, a second one ends the run, and the saved notebook says so."""

import json
import os
import signal
import subprocess
import sys

import nbformat
import pytest

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(120)]

RUN = """
import signal, sys
from pathlib import Path
from runbook import engine, headless, load, paths

signal.signal(signal.SIGTERM, signal.default_int_handler)
paths.NOTEBOOKS = Path(sys.argv[1])
engine.GRACE = float(sys.argv[2])
sys.exit(headless.run(load("blog")).exit_status)
"""
WAITS = """
import threading
try:
    open("began", "w").close()
    threading.Event().wait()
except KeyboardInterrupt:
    print("put away")
    raise
"""
STUBBORN = """
import threading
told = False
while True:
    try:
        if not told:
            told = True
            open("began", "w").close()
        threading.Event().wait()
    except KeyboardInterrupt:
        open("seen", "w").close()
"""


@pytest.fixture
def begun(tmp_path):
    """Starts a run of two notebooks made of this cell and another one; returns it once the cell runs."""
    os.mkfifo(tmp_path / "began"), os.mkfifo(tmp_path / "seen")
    (tmp_path / "notebooks").mkdir()
    started = []

    def begin(cell, grace=60):
        made = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "x", "language": "python"}}
        )
        made.cells = [nbformat.v4.new_code_cell("params = 'blog'", metadata={"tags": ["parameters"]})]
        made.cells += [nbformat.v4.new_code_cell(cell), nbformat.v4.new_code_cell("'never run'")]
        for name in ("00_one", "01_two"):
            nbformat.write(made, tmp_path / "notebooks" / f"{name}.ipynb")
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(tmp_path / "notebooks"), str(grace)],
            cwd=tmp_path, env={**os.environ, "RUNBOOK_RUNS": str(tmp_path / "runs")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        (tmp_path / "began").read_text()  # until the cell opens it
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def left_by(tmp_path):
    (folder,) = (tmp_path / "runs").iterdir()
    return nbformat.read(folder / "00_one.ipynb", 4), json.loads((folder / "report.json").read_text()), folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_lets_the_cell_end_and_the_saved_notebook_says_interrupted(begun, tmp_path, number):
    process = begun(WAITS)
    process.send_signal(number)
    said, errors = process.communicate()
    assert process.returncode == 4, errors
    assert "interrupted: cell 3: KeyboardInterrupt" in said
    notebook, report, folder = left_by(tmp_path)
    nbformat.validate(notebook)
    assert notebook.metadata["runbook"]["result"] == "interrupted"
    assert notebook.metadata["papermill"]["exception"] is True
    assert "interrupted" in notebook.cells[0].source
    (waited,) = (cell for cell in notebook.cells if "Event" in cell.source)
    assert waited.outputs[0].text == "put away\n"
    assert waited.metadata["papermill"]["status"] == "failed"
    assert notebook.cells[-1].metadata["papermill"]["status"] == "pending"
    assert (report["result"], report["not run"]) == ("interrupted", ["01_two"])
    assert "interrupted" in (folder / "summary.md").read_text()
    assert 'type="interrupted"' in (folder / "junit.xml").read_text()


def test_the_second_waits_for_nothing(begun, tmp_path):
    process = begun(STUBBORN)
    process.send_signal(signal.SIGINT)
    (tmp_path / "seen").read_text()
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 4, errors
    notebook, report, _ = left_by(tmp_path)
    assert notebook.metadata["runbook"] == {"result": "interrupted", "why": "the cell that ran was not waited for"}
    assert report["results"][0]["result"] == "interrupted"
    (stubborn,) = (cell for cell in notebook.cells if "Event" in cell.source)
    assert stubborn.metadata["papermill"]["status"] == "failed"


def test_a_cell_that_does_not_end_is_not_waited_for_long(begun, tmp_path):
    process = begun(STUBBORN, grace=0.2)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 4, errors
    assert left_by(tmp_path)[1]["result"] == "interrupted"

"""A plain papermill call for each notebook, from a folder that is not ours."""

import json
import os
import subprocess
import sys

import pytest

from runbook import paths

pytestmark = pytest.mark.notebooks


@pytest.fixture
def papermill(tmp_path):
    """Runs `papermill NOTEBOOK out.ipynb -f params/blog.yml`; the cloud of this test goes down afterwards."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RUNBOOK_")}
    environment["RUNBOOK_HOME"] = str(tmp_path / "home")

    def run(program, *arguments):
        command = [sys.executable, "-m", program, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)

    def notebook(digits):
        (path,) = paths.NOTEBOOKS.glob(f"{digits}_*.ipynb")
        return run("papermill", path, "out.ipynb", "--no-progress-bar", "-f", paths.PARAMS / "blog.yml")

    yield notebook
    assert run("runbook", "cloud", "down").returncode == 0


def test_each_runs_after_its_predecessors_and_names_the_one_that_is_missing(papermill, tmp_path):
    for digits in ("00", "01"):
        done = papermill(digits)
        assert done.returncode == 0, done.stderr
    done = papermill("03")
    assert done.returncode == 1
    assert "run notebook 02_create_a_task_definition" in done.stderr
    executed = json.loads((tmp_path / "out.ipynb").read_text())
    assert executed["metadata"]["papermill"]["parameters"]["params"]["name"] == "registry"

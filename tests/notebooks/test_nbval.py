"""nbval over all the notebooks, strictly: what they show is what they print today."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from runbook import paths

pytestmark = pytest.mark.notebooks


def nbval(folder):
    """One strict session of nbval, as a person would start it; the process's result."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "--nbval-cell-timeout=120", str(folder)]
    return subprocess.run(command, cwd=paths.PROJECT, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.timeout(900)
def test_the_committed_outputs_are_true():
    done = nbval(paths.NOTEBOOKS)
    assert done.returncode == 0, done.stdout[-5000:]
    assert re.search(r"\b\d+ passed", done.stdout)
    assert "failed" not in done.stdout


@pytest.mark.timeout(900)
def test_a_document_that_no_longer_tells_the_truth_fails(tmp_path):
    shutil.copy(paths.PROJECT / "conftest.py", tmp_path)
    text = (paths.NOTEBOOKS / "00_start_here.ipynb").read_text()
    assert "elastic.io private registry" in text
    (tmp_path / "00_start_here.ipynb").write_text(text.replace("elastic.io private registry", "another realm"))
    done = nbval(tmp_path)
    assert done.returncode == 1, done.stdout[-5000:]
    assert "elastic.io private registry" in done.stdout

"""What a run tells GitHub Actions, where it runs in it: the job's summary, and an error beside the notebook."""

import os
import sys
from pathlib import Path
from typing import TextIO

from . import paths
from .run_result import Run


def tell(run: Run, stream: TextIO | None = None) -> None:
    """Nothing outside of GitHub Actions. https://docs.github.com/actions/reference/workflow-commands-for-github-actions"""
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a") as file:
            file.write((run.folder / "summary.md").read_text())
    if os.environ.get("GITHUB_ACTIONS") == "true":
        for result in run.results:
            if not result.ok:
                print(error(result.notebook, result.verdict, result.why), file=stream or sys.stderr)


def error(notebook: str, verdict: str, why: str) -> str:
    """A workflow command that shows the error at the notebook's source."""
    source = paths.NOTEBOOKS / f"{notebook}.ipynb"
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or paths.PROJECT)
    file = source.relative_to(workspace if source.is_relative_to(workspace) else paths.NOTEBOOKS.parent)
    return f"::error file={_property(str(file))},title={_property(f'{notebook}: {verdict}')}::{_data(why)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

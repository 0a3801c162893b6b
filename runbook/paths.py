"""Where the project's folders are, whatever folder a kernel, papermill or a shell was started in."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PARAMS = PROJECT / "params"
NOTEBOOKS = PROJECT / "notebooks"


def home() -> Path:
    """The runbook's own folder on this computer: `RUNBOOK_HOME`, else `.cloud` in the project."""
    return Path(os.environ.get("RUNBOOK_HOME") or PROJECT / ".cloud").absolute()


def runs() -> Path:
    """Where each headless run leaves its executed notebooks and report: `RUNBOOK_RUNS`, else `runs`."""
    return Path(os.environ.get("RUNBOOK_RUNS") or PROJECT / "runs").absolute()

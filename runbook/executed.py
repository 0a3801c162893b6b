"""What an executed notebook tells: why it stopped, the diagnosis below it, and what its cells recorded."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .recorded import KEY


def read(notebook: Path) -> dict[str, Any]:
    """Its content; an empty notebook where the run ended before it was written."""
    return json.loads(notebook.read_text()) if notebook.exists() else {"cells": [], "metadata": {}}


def unfinished(notebook: Path) -> str:
    """papermill calls a notebook complete after a dead kernel or a time-out; its cells tell the truth."""
    for cell in _code(read(notebook)):
        if error := _error(cell):
            return f"{error['ename']}: {error['evalue']}"
        if cell["execution_count"] is None:
            return "not every cell was run"
    return ""


def diagnosis(notebook: Path) -> str:
    """What is shown below the error of the cell that failed."""
    for cell in _code(read(notebook)):
        if error := _error(cell):
            below = cell["outputs"][cell["outputs"].index(error) :]
            return "\n".join("".join(each["data"].get("text/plain", "")) for each in below if "data" in each)
    return ""


def recorded(notebook: Path) -> list[dict[str, Any]]:
    """The reports and changes that its cells showed, in their order."""
    shown = (output for cell in _code(read(notebook)) for output in cell["outputs"])
    return [each for output in shown for each in output.get("metadata", {}).get(KEY, ())]


def mark(notebook: Path, verdict: str, why: str) -> None:
    """Write the verdict into the notebook's metadata. Where papermill has no word for it, a first cell tells it, and
    what papermill says of the cells that did not end becomes true."""
    if not notebook.exists():
        return
    content = read(notebook)
    content["metadata"][KEY] = {"result": verdict, "why": why}
    if verdict in ("interrupted", "timed out") or unfinished(notebook) == "not every cell was run":
        content["metadata"].setdefault("papermill", {})["exception"] = True
        for cell in _code(content):
            told = cell["metadata"].get("papermill", {})
            times = cell["metadata"].get("execution", {})
            if _error(cell) or ("iopub.execute_input" in times and "shell.execute_reply" not in times):
                told |= {"exception": True, "status": "failed"}
            elif cell["execution_count"] is None:
                told |= {"exception": None, "status": "pending"}
        head = {"cell_type": "markdown", "id": "runbook-verdict", "metadata": {"tags": ["runbook-verdict"]}}
        told = f"**This run of the notebook: {verdict}.** What was done stays; running it again completes it."
        content["cells"] = [head | {"source": told}, *content["cells"]]
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _code(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (cell for cell in content["cells"] if cell["cell_type"] == "code")


def _error(cell: dict[str, Any]) -> dict[str, Any] | None:
    return next((output for output in cell["outputs"] if output["output_type"] == "error"), None)

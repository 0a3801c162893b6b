"""Execute the notebooks in their order on a fresh embedded cloud and keep their outputs (make notebooks)."""

import os
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

from runbook import local, paths


def refresh(notebook, home):
    """Execute one notebook where it lies, as JupyterLab does, and write it back without what is of this computer."""
    content = nbformat.read(notebook, as_version=4)
    resources = {"metadata": {"path": paths.NOTEBOOKS}}
    NotebookClient(content, timeout=600, kernel_name="python3", record_timing=False, resources=resources).execute()
    for output in (output for cell in content.cells for output in cell.get("outputs", ())):
        if "metadata" in output:
            output.metadata.clear()  # the record for a run's report, which would be there twice
        output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)  # of a kernel that has ended
    content.metadata.pop("widgets", None)
    content.metadata["language_info"] = {"name": "python"}
    text = nbformat.writes(content).replace(home, ".cloud").replace(f"{paths.PROJECT}/", "")
    notebook.write_text(text + "\n")


def main():
    with tempfile.TemporaryDirectory(prefix="runbook-notebooks-") as home:
        os.environ["RUNBOOK_HOME"] = home
        try:
            for notebook in sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
                print(notebook.name, flush=True)
                refresh(notebook, home)
        finally:
            local.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Execute the notebooks in their order on a fresh embedded cloud and keep their outputs (make notebooks)."""

import os
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

from runbook import local, paths


def refresh(notebook):
    """Execute one notebook where it lies, as JupyterLab does, and write it back without what changes by the hour."""
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": paths.NOTEBOOKS}},
    )
    client.execute()
    content.metadata["language_info"] = {"name": "python"}
    nbformat.write(content, notebook)


def main():
    with tempfile.TemporaryDirectory(prefix="runbook-notebooks-") as home:
        os.environ["RUNBOOK_HOME"] = home
        try:
            for notebook in sorted(paths.NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
                print(notebook.name, flush=True)
                refresh(notebook)
        finally:
            local.down()
    return 0


if __name__ == "__main__":
    sys.exit(main())

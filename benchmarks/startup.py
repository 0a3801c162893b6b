"""What comes before any work: the embedded cloud, `import runbook`, and how each notebook begins.

A notebook's beginning is its first two code cells, as they stand, in a plain process: the params, the imports, `load`
and, but in 00, `connect`. What is told is how much longer this takes than a process that imports boto3 alone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest.mock import patch

import tables
from clouds import cloud
from tables import Row

from runbook.paths import NOTEBOOKS, PROJECT

NOTHING, BOTO, OURS = "python -c pass", "import boto3", "import runbook"
CELLS = 2


def measure(rounds: int) -> list[Row]:
    up = median(cloud_up() for _ in range(rounds))
    programs = {NOTHING: "pass", BOTO: "import boto3", OURS: "import runbook"}
    programs |= {path.stem: beginning(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    with cloud():
        found = {name: [process(text) for _ in range(rounds + 1)][1:] for name, text in programs.items()}
    middle = {name: median(seconds) for name, seconds in found.items()}
    above = {name: seconds - middle[BOTO] for name, seconds in middle.items()}
    print(tables.table(
        ("what", "s", "s above `import boto3`"),
        [(name, f"{middle[name]:.2f}", f"{above[name]:.2f}") for name in programs],
    ) + "\n")  # fmt: skip
    slowest = max((name for name in programs if name not in (NOTHING, BOTO, OURS)), key=above.get)
    return [
        tables.at_most("`cloud up`", up, 3, unit=" s"),
        tables.at_most("`import runbook`", above[OURS], 0.3, unit=" s", relation=" above boto3"),
        tables.at_most(
            f"a notebook's first cells (slowest: {slowest[:2]})",
            above[slowest],
            0.3,
            unit=" s",
            relation=" above boto3",
        ),
    ]


def cloud_up() -> float:
    with tempfile.TemporaryDirectory(prefix="runbook-bench-") as home, patch.dict(os.environ, {"RUNBOOK_HOME": home}):
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", "runbook", "cloud", "up"], cwd=PROJECT, check=True, capture_output=True)
        seconds = time.monotonic() - begun
        subprocess.run([sys.executable, "-m", "runbook", "cloud", "down"], cwd=PROJECT, check=True, capture_output=True)
    return seconds


def beginning(notebook: Path) -> str:
    cells = json.loads(notebook.read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return "\n".join(code[:CELLS])


def process(text: str) -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", text], cwd=PROJECT, check=True, capture_output=True)
    return time.monotonic() - begun


if __name__ == "__main__":
    sys.exit(tables.main(measure, __doc__))

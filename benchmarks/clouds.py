"""An embedded cloud for one measurement, with an empty account, behind the proxy that counts its calls."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

from counting import Counted

from runbook import load, local
from runbook.local import state
from runbook.local.furnish import furnish

OURS = Path(__file__).parent / "peers" / "ours.py"


class Cloud(NamedTuple):
    """Its folder (RUNBOOK_HOME), its process, its own endpoint, and the proxy before that, whose endpoint the runbook
    takes for the cloud's."""

    home: Path
    pid: int
    endpoint: str
    counted: Counted


@contextmanager
def cloud() -> Iterator[Cloud]:
    """Within the block `runbook` in this process and in those that it starts finds this cloud and no other."""
    with tempfile.TemporaryDirectory(prefix="runbook-bench-") as folder:
        there = {"RUNBOOK_HOME": folder, "RUNBOOK_RUNS": f"{folder}/runs"}
        with patch.dict(os.environ, there):
            up = local.up()
            counted = Counted(up.endpoint)
            fields = state.read(Path(folder)) | {"endpoint": counted.endpoint}
            (Path(folder) / "cloud.json").write_text(json.dumps(fields))
            try:
                yield Cloud(Path(folder), up.pid, up.endpoint, counted)
            finally:
                counted.close()
                local.down()


def deploy(params: str | Path) -> float:
    """Bring to the cloud what the params need of it, take all the steps in a process, and tell its seconds."""
    furnish(load(params))
    begun = time.monotonic()
    done = subprocess.run([sys.executable, str(OURS), "deploy", str(params)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the deployment failed\n{done.stdout}{done.stderr}")
    return time.monotonic() - begun

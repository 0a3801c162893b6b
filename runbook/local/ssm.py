"""Run Command: each command's script really runs on its node, and its end comes back through SSM."""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .inside import ssm
from .nodes import SCRIPT, Node, Nodes, end
from .state import Place

# The agent runs `sh`, which on Amazon Linux is bash.
SH = ("/bin/bash", "--posix")
# What the SSM agent answers for a script that it had to stop.
STOPPED_CODE = 137


@dataclass
class Run:
    """One script on one node; its files lie beside the node's root, out of the script's reach."""

    invocation: ssm.Invocation
    node: Node
    folder: Path
    process: subprocess.Popen
    deadline: float

    def text(self, name: str) -> str:
        with open(self.folder / name, "rb") as file:
            return file.read(4 * ssm.STDOUT_CHARACTERS).decode(errors="replace")


class Commands:
    """The part that runs what send_command asked for."""

    def __init__(self, place: Place, nodes: Nodes):
        self._place, self._nodes = place, nodes
        self._runs: list[Run] = []
        ssm.install(nodes.all)

    def step(self) -> None:
        for invocation in ssm.pending():
            node = self._nodes.get(invocation.instance_id)
            if node:
                self._runs.append(self._start(invocation, node))
            else:
                invocation.finish("TimedOut", "DeliveryTimedOut", -1)
        self._runs = [run for run in self._runs if not self._ended(run)]

    def close(self) -> None:
        for run in self._runs:
            end(run.process)

    def _start(self, invocation: ssm.Invocation, node: Node) -> Run:
        folder = self._place.folder("nodes", node.instance_id, "commands", invocation.command_id)
        script = folder / "script"
        script.touch(mode=0o600)
        script.write_text(invocation.script)
        deadline = time.monotonic() + invocation.seconds
        with open(folder / "stdout", "wb") as stdout, open(folder / "stderr", "wb") as stderr:
            process = self._nodes.run(node, script, [*SH, SCRIPT], stdout, stderr)
        invocation.begin()
        return Run(invocation, node, folder, process, deadline)

    def _ended(self, run: Run) -> bool:
        """Whether the script has ended, or had to be: then its end is written, and its files are removed."""
        code = run.process.poll()
        if not run.node.running:
            end(run.process)
            shutil.rmtree(run.folder, ignore_errors=True)  # gone already, if the instance was terminated
            run.invocation.finish("Failed", "Terminated", -1)
            return True
        if code is None and time.monotonic() < run.deadline:
            return False
        if code is None:
            end(run.process)
            status, details, code = "TimedOut", "ExecutionTimedOut", STOPPED_CODE
        else:
            status = details = "Failed" if code else "Success"
        stdout, stderr = run.text("stdout"), run.text("stderr")
        if code:
            stderr += f"failed to run commands: exit status {code}"
        shutil.rmtree(run.folder)
        run.invocation.finish(status, details, code, stdout, stderr)
        return True

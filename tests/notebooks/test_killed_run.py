"""A run that is killed with SIGKILL at one of its writes: the next run completes it, and nothing is there twice."""

import os
import random
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from account import by_name

from runbook import connect, load

pytestmark = [pytest.mark.notebooks, pytest.mark.long]

POINTS = 5
# In every Python process of the run. The kernel of a notebook is no child of its group: where only the run is killed,
# it lives on until it sees that its parent is gone.
HOOK = """
import os, signal
from botocore.client import BaseClient
from runbook.session import _READS

folder = os.environ["KILL_FOLDER"]
when, whom, at = os.environ["KILL"].split()
try:
    with open(f"{folder}/run", "x") as file:
        file.write(str(os.getpid()))
except FileExistsError:
    pass
plain = BaseClient._make_api_call

def kill(number):
    # Two threads that write at once may both have seen the number after it.
    if at != "0" and number >= int(at) and not os.path.exists(f"{folder}/killed"):
        with open(f"{folder}/killed", "w") as file:
            file.write(what)
        os.kill(int(open(f"{folder}/run").read()), signal.SIGKILL)
        if whom == "both":
            os.kill(os.getpid(), signal.SIGKILL)

def call(self, operation, parameters):
    global what
    renewed = operation == "PutParameter" and parameters.get("Overwrite")  # the lease, at times of its own
    if operation.startswith(_READS) or renewed:
        return plain(self, operation, parameters)
    what = f"{when} {self.meta.service_model.service_name} {operation}"
    with open(f"{folder}/writes", "a") as file:
        file.write(what + chr(10))
    number = sum(1 for _ in open(f"{folder}/writes"))
    if when == "before":
        kill(number)
    answer = plain(self, operation, parameters)
    if when == "after":
        kill(number)
    return answer

BaseClient._make_api_call = call
"""


@pytest.fixture
def deployed(tmp_path):
    """`deployed(when, whom, at)`: a fresh cloud, a run that is killed there, a run; how they ended, what is there."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(HOOK)
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "AWS_"))}
    plain |= {"RUNBOOK_HOME": str(tmp_path / "home"), "RUNBOOK_RUNS": str(tmp_path / "runs")}
    hook = os.pathsep.join([str(tmp_path / "hook"), *filter(None, [plain.get("PYTHONPATH")])])

    def command(*arguments, **more):
        line = [sys.executable, "-m", "runbook", *arguments]
        done = subprocess.run(line, cwd=tmp_path, env=plain | more, capture_output=True, text=True, timeout=900)
        return SimpleNamespace(status=done.returncode, said=done.stdout + done.stderr)

    def deploy(*kills):
        command("cloud", "down")
        up = command("cloud", "up", "blog")
        assert up.status == 0, up.said
        runs = []
        for number, kill in enumerate((*kills, "never both 0")):
            folder = tmp_path / f"{len(os.listdir(tmp_path))}-{number}"
            folder.mkdir()
            run = command("run", "blog", PYTHONPATH=hook, KILL_FOLDER=str(folder), KILL=kill)
            run.writes = (folder / "writes").read_text().splitlines()
            run.killed = (folder / "killed").read_text() if (folder / "killed").exists() else None
            runs.append(run)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("RUNBOOK_HOME", str(tmp_path / "home"))
            found = by_name(connect(load("blog")))
        return runs, found, command("plan", "blog")

    yield deploy
    command("cloud", "down")


def test_a_run_that_sigkill_ended_is_completed_by_the_next(deployed, figure):
    (alone,), undisturbed, plan = deployed()
    assert alone.status == 0 and plan.status == 0, alone.said + plan.said
    for _ in range(POINTS):
        when, whom = random.choice(("before", "after")), random.choice(("run", "both"))
        at = random.randrange(1, len(alone.writes) + 1)
        (killed, again), found, plan = deployed(f"{when} {whom} {at}")
        where = f"{killed.killed}, write {at} of {len(alone.writes)}, killed: {whom}"
        assert killed.status == -signal.SIGKILL, f"{where}: {killed.said}"
        assert again.status == 0, f"{where}: {again.said}"
        assert found == undisturbed, where
        assert plan.status == 0, f"{where}: {plan.said}"
    figure("runs killed with SIGKILL at one of their writes", POINTS)
    figure("of these completed by the next run", POINTS)

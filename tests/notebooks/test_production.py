"""The production params from the command line, in a folder that is not ours: run, nothing to change, nothing left."""

import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import leaks
import pytest
from account import dump

from runbook import connect, headless, htpasswd, load, paths

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(900)]

# What the init container writes for the registry alone, in a volume below a folder that is its owner's.
HTPASSWD = re.compile(r"/data/volumes/.*htpasswd$")
PARAMS = paths.PARAMS / "production.yml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("production")


@pytest.fixture(scope="module")
def command(folder):
    """Runs `python -m …` there, with homes of its own; the cloud goes down afterwards."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "AWS_"))}
    environment |= {"RUNBOOK_HOME": str(folder / "home"), "RUNBOOK_RUNS": str(folder / "runs")}

    def run(*arguments):
        line = [sys.executable, "-m", *map(str, arguments)]
        return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)

    yield run
    assert run("runbook", "cloud", "down").returncode == 0


@pytest.fixture(scope="module")
def aws(command, folder):
    """A connection to the account, in which there is only what a person brings."""
    assert command("runbook", "cloud", "up", "production").returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_HOME", str(folder / "home"))
        yield connect(load("production"))


@pytest.fixture(scope="module")
def lived(aws, command, folder):
    """A whole life: what was there before, what each command said, the secrets, and what was there after."""
    p, before = load("production"), dump(aws)
    with leaks.Processes(every=0.2) as seen:
        notebook = paths.NOTEBOOKS / "01_enable_s3_and_authentication.ipynb"
        first = command("papermill", notebook, folder / "runs_01.ipynb", "--no-progress-bar", "-f", PARAMS)
        run = command("runbook", "run", "production")
        plan = command("runbook", "plan", "production")
    secrets = {f"password of {user}": htpasswd.password(aws, p, user).reveal() for user in p.users}
    for name in (p.http_secret, p.htpasswd_secret):
        lines = aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"].splitlines()
        secrets |= {f"{name}, line {number}": line.rsplit("$")[-1] for number, line in enumerate(lines)}
    held = {path: path.read_bytes() for path in leaks.files(folder / "home")}
    destroy = command("runbook", "destroy", "production", "--images")
    return SimpleNamespace(
        **{"first": first, "run": run, "plan": plan, "destroy": destroy},
        **{"before": before, "after": dump(aws), "secrets": secrets, "seen": seen, "held": held},
    )


def test_a_plain_papermill_call_takes_the_production_params(lived, folder):
    assert lived.first.returncode == 0, lived.first.stderr
    executed = json.loads((folder / "runs_01.ipynb").read_text())
    assert executed["metadata"]["papermill"]["parameters"]["params"]["credentials"] == "instance-role"


def test_a_line_a_notebook_and_a_report(lived, folder):
    assert lived.run.returncode == 0, lived.run.stdout + lived.run.stderr
    names = [notebook.stem for notebook in headless.notebooks()]
    lines = [line.split() for line in lived.run.stdout.splitlines()]
    assert [line[1] for line in lines if line and line[-1] == "ok"] == names
    (made,) = (folder / "runs").iterdir()
    assert {file.stem for file in made.glob("*.ipynb")} == set(names)
    results = json.loads((made / "report.json").read_text())["results"]
    assert [(each["notebook"], each["ok"]) for each in results] == [(name, True) for name in names]
    assert (made / "summary.md").read_text().count("| ok |") == len(names)


def test_then_there_is_nothing_to_change(lived):
    assert lived.plan.returncode == 0, lived.plan.stdout + lived.plan.stderr
    assert "nothing to change" in lived.plan.stdout


def test_no_document_no_log_and_no_process_list_holds_a_secret(lived, folder):
    """How secrets come in by every way, and what else may hold one, is in test_secrets.py."""
    assert len(lived.secrets) >= 5
    search, running = leaks.Search(lived.secrets), lived.seen.text()
    for program in (b"haproxy", b"redis-server", b"registry serve", b"ipykernel"):
        assert program in running
    search.look("the process list", running)
    for name in ("first", "run", "plan", "destroy"):
        done = getattr(lived, name)
        search.look(name, done.stdout + done.stderr)
    search.look("runs_01.ipynb", (folder / "runs_01.ipynb").read_bytes())
    search.files(folder / "runs")
    for path, content in lived.held.items():
        if not HTPASSWD.search(str(path)):
            search.look(str(path), content)
    assert search.places > 50
    assert not search.hits, search.told()


def test_destruction_leaves_nothing(lived):
    assert lived.destroy.returncode == 0, lived.destroy.stderr
    assert lived.after == lived.before

"""The production params from the command line, in a folder that is not ours: run, nothing to change, nothing left."""

import json
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from account import dump

from runbook import connect, headless, htpasswd, load, paths

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(900)]

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
    p, before, seen, ended = load("production"), dump(aws), set(), threading.Event()

    def look():
        while not ended.wait(0.2):
            shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
            seen.update(shown.splitlines())

    looking = threading.Thread(target=look)
    looking.start()
    try:
        notebook = paths.NOTEBOOKS / "01_enable_s3_and_authentication.ipynb"
        first = command("papermill", notebook, folder / "runs_01.ipynb", "--no-progress-bar", "-f", PARAMS)
        run = command("runbook", "run", "production")
        plan = command("runbook", "plan", "production")
    finally:
        ended.set()
        looking.join()
    secrets = [htpasswd.password(aws, p, user).reveal() for user in p.users]
    for name in (p.http_secret, p.htpasswd_secret):
        secrets += aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"].splitlines()
    destroy = command("runbook", "destroy", "production", "--images")
    return SimpleNamespace(
        **{"first": first, "run": run, "plan": plan, "destroy": destroy},
        **{"before": before, "after": dump(aws), "secrets": secrets, "seen": "\n".join(seen)},
    )


def test_a_plain_papermill_call_takes_the_production_params(lived, folder):
    assert lived.first.returncode == 0, lived.first.stderr
    executed = json.loads((folder / "runs_01.ipynb").read_text())
    assert executed["metadata"]["papermill"]["parameters"]["params"]["credentials"] == "instance-role"


def test_a_line_a_notebook_and_a_report(lived, folder):
    assert lived.run.returncode == 0, lived.run.stdout + lived.run.stderr
    names = [notebook.stem for notebook in headless.notebooks()]
    lines = [line.split() for line in lived.run.stdout.splitlines()]
    assert [line[0] for line in lines if line and line[-1] == "ok"] == names
    (made,) = (folder / "runs").iterdir()
    assert {file.stem for file in made.glob("*.ipynb")} == set(names)
    results = json.loads((made / "report.json").read_text())["results"]
    assert [(each["notebook"], each["ok"]) for each in results] == [(name, True) for name in names]
    assert (made / "report.md").read_text().count("| ok |") == len(names)


def test_then_there_is_nothing_to_change(lived):
    assert lived.plan.returncode == 0, lived.plan.stdout + lived.plan.stderr
    assert "nothing to change" in lived.plan.stdout


def test_no_document_no_log_and_no_process_list_holds_a_secret(lived, folder):
    shown = {"the process list": lived.seen, "the log": (folder / "home" / "cloud.log").read_text()}
    for name in ("first", "run", "plan", "destroy"):
        done = getattr(lived, name)
        shown[name] = done.stdout + done.stderr
    for file in [folder / "runs_01.ipynb", *(folder / "runs").rglob("*.*")]:
        shown[file.name] = file.read_text()
    assert {"report.json", "report.md", "03_create_an_htpasswd_file.ipynb"} <= shown.keys()
    for program in ("haproxy", "redis-server", "registry serve", "ipykernel"):
        assert program in lived.seen
    assert len(lived.secrets) >= 5 and all(len(secret) > 10 for secret in lived.secrets)
    for where, text in shown.items():
        assert not any(secret in text for secret in lived.secrets), where


def test_destruction_leaves_nothing(lived):
    assert lived.destroy.returncode == 0, lived.destroy.stderr
    assert lived.after == lived.before

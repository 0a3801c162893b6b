"""The workflow for GitHub Actions and the dev container: their commands exist, those of plan and run work."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from runbook import paths
from runbook.__main__ import main

WORKFLOW = yaml.safe_load((paths.PROJECT / ".github/workflows/registry.yml").read_text())
JOBS = WORKFLOW["jobs"]


def command(job, name):
    (step,) = [each for each in JOBS[job]["steps"] if each.get("name") == name]
    return step["run"]


@pytest.mark.pure
def test_only_the_plan_and_the_run_may_ask_for_an_identity_and_only_the_run_waits_for_approval():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    asks = {name for name, job in JOBS.items() if job.get("permissions", {}).get("id-token") == "write"}
    assert asks == {"plan", "apply"}
    assert {name for name, job in JOBS.items() if "environment" in job} == {"apply"}
    assert JOBS["apply"]["needs"] == "plan" and JOBS["plan"]["needs"] == "test"
    assert "secrets." not in (paths.PROJECT / ".github/workflows/registry.yml").read_text()


@pytest.mark.pure
def test_the_tests_are_those_of_the_readme():
    assert command("test", "Tests") == "make test"
    done = subprocess.run(["make", "-n", "test"], cwd=paths.PROJECT, capture_output=True, text=True)
    assert done.returncode == 0 and "pytest" in done.stdout


@pytest.mark.pure
@pytest.mark.parametrize("job", ["plan", "apply"])
def test_what_they_name_is_there(job):
    assert command(job, "Set up") == "./setup.sh .venv"
    assert os.access(paths.PROJECT / "setup.sh", os.X_OK)
    for step in JOBS[job]["steps"]:
        for name in re.findall(r"-m runbook (\w+)", step.get("run", "")):
            with pytest.raises(SystemExit) as ended:
                main([name, "--help"])
            assert ended.value.code == 0


def run(script, folder, params):
    """As GitHub runs a step: bash, which stops at the first command that fails."""
    told = {name: str(folder / name.lower()) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = os.environ | told | {"PARAMS": params}
    script = script.replace(".venv/bin/python", sys.executable)
    return subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=folder, env=environment, text=True,
                          capture_output=True, timeout=300)  # fmt: skip


@pytest.mark.notebooks
@pytest.mark.timeout(600)
def test_a_plan_with_changes_leads_to_the_run_after_which_there_are_none(home, tmp_path):
    main(["cloud", "up", "blog"])
    planned = run(command("plan", "Plan"), tmp_path, "blog")
    assert planned.returncode == 0, planned.stderr
    assert (tmp_path / "github_output").read_text() == "changes=yes\n"
    assert "+ bucket elastic-io-registry" in (tmp_path / "github_step_summary").read_text()
    applied = run(command("apply", "Run the notebooks"), tmp_path, "blog")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    (tmp_path / "github_output").unlink()
    planned = run(command("plan", "Plan"), tmp_path, "blog")
    assert planned.returncode == 0, planned.stderr
    assert (tmp_path / "github_output").read_text() == "changes=no\n"


@pytest.mark.pure
def test_a_plan_that_cannot_be_told_fails(tmp_path):
    assert run(command("plan", "Plan"), tmp_path, "nowhere").returncode == 2
    assert not (tmp_path / "github_output").exists()


@pytest.mark.pure
def test_the_dev_container_sets_up_as_make_does():
    container = json.loads((paths.PROJECT / ".devcontainer/devcontainer.json").read_text())
    assert container["privileged"]  # bubblewrap mounts /proc in a namespace of its own
    program, target = container["postCreateCommand"].split()
    assert program == "make" and re.search(rf"^{re.escape(target.replace('.venv', '$(VENV)'))}:",
                                           (paths.PROJECT / "Makefile").read_text(), re.M)  # fmt: skip
    (opened,) = container["customizations"]["codespaces"]["openFiles"]
    assert (paths.PROJECT / opened).exists()


@pytest.mark.pure
def test_the_lab_takes_the_kernel_of_its_own_environment(tmp_path):
    """Also where the user has a kernel of the same name."""
    (recipe,) = re.findall(r"^\t@(.*jupyter) lab ", (paths.PROJECT / "Makefile").read_text(), re.M)
    foreign = tmp_path / "kernels" / "python3"
    foreign.mkdir(parents=True)
    (foreign / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "x", "language": "python"}))
    script = recipe.replace("$(VENV)/bin/jupyter", shutil.which("jupyter", path=os.path.dirname(sys.executable)))
    environment = os.environ | {"JUPYTER_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", f"{script} kernelspec list --json"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kernelspecs"]["python3"]["resource_dir"].startswith(sys.prefix)

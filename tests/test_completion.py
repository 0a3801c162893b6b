"""The completion script, in a real bash: what Tab offers."""

import shutil
import subprocess

import pytest

from runbook import completion, paths
from runbook.options import parser

pytestmark = pytest.mark.pure


@pytest.fixture(scope="module")
def offered():
    """What bash offers for the last of these words."""
    script = completion.script(parser("runbook"), "bash")

    def complete(*words):
        # As readline does: https://www.gnu.org/software/bash/manual/html_node/Programmable-Completion.html
        asked = 'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_runbook "$1" "${!#}" "${COMP_WORDS[-2]}"'
        text = f'{script}\n{asked} 2>/dev/null; printf "%s\\n" "${{COMPREPLY[@]}}"'
        done = subprocess.run(
            ["bash", "--norc", "-c", text, "bash", *words], capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.split()

    return complete


def test_commands(offered):
    assert offered("runbook", "ver") == ["verify"]
    assert {"plan", "password", "params", "policy"} <= set(offered("runbook", "p"))


@pytest.mark.parametrize("command", ["plan", "verify", "run", "doctor", "destroy", "rotate"])
def test_names_of_params_files(offered, command):
    assert set(offered("runbook", command, "")) >= {"blog", "production"}
    assert offered("runbook", command, "pro") == ["production"]


def test_params_files_are_those_of_now(offered, tmp_path, monkeypatch):
    (tmp_path / "m$(touch ran).yml").touch()
    (tmp_path / "mine.yml").touch()
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    text = completion.script(parser("runbook"), "bash") + "\n_runbook_params m"
    done = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, timeout=30, cwd=tmp_path)
    assert "mine" in done.stdout.split()
    assert "production" not in done.stdout
    assert not (tmp_path / "ran").exists()


def test_options_and_choices(offered):
    assert offered("runbook", "plan", "--js") == ["--json"]
    assert offered("runbook", "cloud", "u") == ["up"]
    assert offered("runbook", "new", "mine", "--like", "p") == ["production"]


def test_the_command_is_completed_wherever_it_lies():
    script = completion.script(parser("runbook"), "bash")
    assert script.rstrip().splitlines()[-1].endswith(" runbook")


def test_zsh():
    script = completion.script(parser("runbook"), "zsh")
    assert script.startswith("#compdef runbook")
    assert f"compadd -- {paths.PARAMS}/*.yml(N:t:r)" in script
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n"], input=script, text=True, check=True, timeout=30)

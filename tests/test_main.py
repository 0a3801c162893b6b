"""The command line as a shell sees it: exit status, one sentence, no traceback."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from runbook import __main__, load, paths
from runbook.errors import StepFailed, TimedOut
from runbook.local import state

pytestmark = pytest.mark.embedded


@pytest.fixture
def runbook(tmp_path):
    """Runs `python -m runbook …` from a foreign folder with a home of its own."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "AWS_"))}
    environment["RUNBOOK_HOME"] = str(tmp_path / "home")
    environment["RUNBOOK_RUNS"] = str(tmp_path / "runs")

    def run(*arguments, **more):
        command = [sys.executable, "-m", "runbook", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env={**environment, **more}, capture_output=True, text=True, timeout=120
        )

    run.environment = environment
    yield run
    run("cloud", "down")


def params_file(tmp_path, text):
    (tmp_path / "x.yml").write_text(text)
    return str(tmp_path / "x.yml")


def test_every_command_has_help(runbook):
    assert "cloud" in runbook("--help").stdout
    commands = ("cloud", "run", "plan", "verify", "status", "doctor", "lint", "audit", "destroy", "report", "rotate")
    for command in (*commands, "password", "policy", "params", "new", "completion"):
        done = runbook(command, "--help")
        assert done.returncode == 0
        assert "usage" in done.stdout


def test_wrong_usage_and_wrong_params_are_2(runbook, tmp_path):
    assert runbook("nonsense").returncode == 2
    text = (paths.PARAMS / "blog.yml").read_text().replace("region:", "regoin:")
    for command in ("run", "plan", "verify", "destroy"):
        done = runbook(command, params_file(tmp_path, text))
        assert done.returncode == 2
        assert "did you mean `region`?" in done.stderr
        assert "Traceback" not in done.stderr
    assert runbook("plan", "nothing").returncode == 2


def test_a_stopped_cloud_is_one_sentence(runbook):
    for command in ("plan", "verify", "destroy"):
        done = runbook(command, "blog")
        assert done.returncode == 1
        assert "python -m runbook cloud up" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("plan", "nothing"), 2), (("doctor", "blog"), 1), (("lint", "nothing"), 2), (("cloud", "status"), 1),
     (("rotate", "blog", "key"), 2)],
)  # fmt: skip
def test_an_error_is_in_the_json_too(runbook, arguments, status):
    done = runbook(*arguments, "--json")
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_status"] == status
    assert done.stderr == f"runbook: {told['error']}\n"
    assert (told["command"], told["rows"]) == (arguments[0], [])


def test_lint_in_json(runbook, tmp_path):
    (tmp_path / "config.yml").write_text("version: 0.1\nstorage:\n  filesystem: {}\nhttp:\n  addr: :5000\n")
    done = runbook("lint", "config.yml", "--version", "2.8.3", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == told["exit_status"]
    assert {row["state"] for row in told["rows"]} <= {"error", "warning", "note"}
    assert told["rows"]


def test_new_without_a_terminal_takes_the_options(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    for name in ("blog", "production"):
        (tmp_path / f"{name}.yml").write_text((paths.PROJECT / f"params/{name}.yml").read_text())
    given = ["--cloud", "aws", "--like", "production", "--domain", "images.example.com"]
    assert __main__.main(["new", "mine", *given]) == 0
    assert 'params = "mine"' in capsys.readouterr().out
    assert load("mine").domain == "images.example.com"
    assert __main__.main(["new", "mine", *given]) == 2
    assert "there already" in capsys.readouterr().err
    assert __main__.main(["new", "mine", *given, "--region", "moon", "--replace"]) == 2
    assert "region: a region of AWS" in capsys.readouterr().err


def test_new_asks_on_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    for name in ("blog", "production"):
        (tmp_path / f"{name}.yml").write_text((paths.PROJECT / f"params/{name}.yml").read_text())
    replies = iter(["", "embedded", "", "", "", "", "", ""])
    monkeypatch.setattr("builtins.input", lambda _: next(replies))
    for stream in ("stdin", "stdout"):
        monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
    assert __main__.main(["new", "mine"]) == 0
    assert (load("mine").name, load("mine").cloud) == ("mine", "embedded")


def test_the_console_script_is_the_same_program():
    scripts = tomllib.loads((paths.PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["runbook"].partition(":")
    assert (module, getattr(__main__, function)) == ("runbook.__main__", __main__.script)


def test_a_missing_program_is_named_with_its_package(runbook, tmp_path):
    done = runbook("cloud", "up", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "bubblewrap" in done.stderr or "haproxy" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cloud_goes_up_once_and_down(runbook):
    first, again = runbook("cloud", "up"), runbook("cloud", "up")
    assert first.returncode == again.returncode == 0
    assert first.stdout == again.stdout
    assert "127." in runbook("cloud", "status").stdout
    rows = json.loads(runbook("cloud", "status", "--json").stdout)["rows"]
    assert "endpoint" in [row["thing"] for row in rows]
    told = runbook("plan", "blog", "--json")
    assert told.returncode == json.loads(told.stdout)["exit_status"] == 3
    assert {row["state"] for row in json.loads(told.stdout)["rows"]} >= {"create"}
    assert told.stdout == runbook("plan", "blog", "--json").stdout
    for command, status in (("verify", 1), ("doctor", 1), ("rotate", 3)):
        told = runbook(command, "blog", "--json")
        content = json.loads(told.stdout)
        assert (told.returncode, content["exit_status"], content["command"]) == (status, status, command)
        assert content["error"] or [row for row in content["rows"] if row["state"] != "ok"]
    plan = runbook("plan", "blog")
    assert plan.returncode == 3
    assert "+ bucket elastic-io-registry: create" in plan.stdout
    assert runbook("cloud", "down").stdout == "the embedded cloud is down\n"
    assert runbook("cloud", "down").stdout == "the embedded cloud was not running\n"


def test_aws_without_a_login_is_one_sentence(runbook, tmp_path):
    text = (paths.PARAMS / "blog.yml").read_text().replace("cloud: embedded", "cloud: aws")
    nowhere = str(tmp_path / "none")
    login = {"AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true"}
    done = runbook("plan", params_file(tmp_path, text), **login)
    assert done.returncode == 1
    assert "no AWS credentials found" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_does_not_answer_is_one_sentence(runbook, tmp_path):
    text = (paths.PARAMS / "blog.yml").read_text().replace("cloud: embedded", "cloud: aws")
    login = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = runbook("plan", params_file(tmp_path, text), **login)
    assert done.returncode == 1
    assert "no answer from" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("error", "status"), [(StepFailed("x"), 1), (TimedOut("x"), 5), (KeyboardInterrupt(), 4)])
def test_exit_statuses(monkeypatch, capsys, error, status):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(__main__, "load", fail)
    assert __main__.main(["plan", "blog"]) == status
    assert "Traceback" not in capsys.readouterr().err


def test_a_password_is_not_shown_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert __main__.main(["password", "blog", "testuser"]) == 2
    assert "pipe" in capsys.readouterr().err


def test_an_unknown_user_is_named(capsys):
    assert __main__.main(["password", "blog", "nobody"]) == 2
    assert "testuser" in capsys.readouterr().err


def test_what_cannot_be_rotated_is_named(capsys):
    assert __main__.main(["rotate", "blog", "keys"]) == 2
    assert "keys: what can be rotated is key, http-secret, passwords, certificate" in capsys.readouterr().err


def test_params_are_listed(capsys):
    assert __main__.main(["params"]) == 0
    shown = capsys.readouterr().out
    for name in type(load("blog")).model_fields:
        assert name in shown


def command_of(pid):
    try:
        return Path(f"/proc/{int(pid)}/cmdline").read_text()
    except (ValueError, OSError):
        return ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_4_and_leaves_no_kernel(runbook, tmp_path, number):
    command, folder = [sys.executable, "-m", "runbook", "run", "blog"], tmp_path / "tmp"
    folder.mkdir()
    environment = {**runbook.environment, "TMPDIR": str(folder), "JUPYTER_RUNTIME_DIR": str(folder)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().split()[1] == "00_start_here"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while "ipykernel" not in (kernel := command_of(children.read_text())):
            assert process.poll() is None, kernel
        pid = int(children.read_text())
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 4, said
    assert "runbook: interrupted; what was done stays" in said
    assert "Traceback" not in said
    ends = time.monotonic() + 5  # one that was being started at that moment sees for itself that its parent is gone
    while state.started(pid):
        assert time.monotonic() < ends, f"{kernel} lives on"
    assert [path.name for path in folder.rglob("*")] == []  # a kernel's connection file has the key to it


def test_a_reader_that_ended_is_one_sentence(runbook, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "runbook", "params"]
    done = subprocess.run(command, env=runbook.environment, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == "runbook: the program that reads this output has ended\n"


class HalfDead(http.server.BaseHTTPRequestHandler):
    """AWS that tells who calls, and then answers nothing any more."""

    ASKED = threading.Event()
    ENDED = threading.Event()

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if b"GetCallerIdentity" not in content:
            self.ASKED.set()
            self.ENDED.wait()
            return
        said = "<R><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult></R>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said.encode())

    do_GET = do_HEAD = do_PUT = do_POST

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("number", "command"), [(signal.SIGINT, ("plan",)), (signal.SIGTERM, ("destroy", "--confirm", "registry"))]
)
def test_an_interrupted_command_ends_soon_though_aws_is_silent(runbook, tmp_path, number, command):
    text = (paths.PARAMS / "blog.yml").read_text().replace("cloud: embedded", "cloud: aws")
    HalfDead.ASKED.clear(), HalfDead.ENDED.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), HalfDead) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        login = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
        login["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{server.server_port}"
        program = subprocess.Popen(
            [sys.executable, "-m", "runbook", command[0], params_file(tmp_path, text), *command[1:]],
            env=runbook.environment | login, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert HalfDead.ASKED.wait(60)
        started = time.monotonic()
        program.send_signal(number)
        said = program.communicate(timeout=60)[1]
        assert time.monotonic() - started < 10  # 5 where nothing else runs
        assert program.returncode == 4 and "interrupted" in said and "Traceback" not in said
        HalfDead.ENDED.set()
        server.shutdown()

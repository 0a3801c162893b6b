"""Bad parameters end with exit status 2, the key by its name and what would be right; nothing is called before that."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
from urllib.parse import parse_qs

import bad_params
import botocore.client
import papermill
import pytest
import services
import yaml

from runbook import __main__, headless, htpasswd, load, paths
from runbook.errors import ParamsError, SecretError, StepFailed
from runbook.params import Params
from runbook.secret import Secret

GOOD = {
    "blog": {**load("blog").model_dump(mode="json"), "cloud": "aws"},
    "production": services.production().model_dump(mode="json"),
}
COMMANDS = ("run", "plan", "verify", "destroy")


@pytest.fixture
def refused(tmp_path, capsys, monkeypatch):
    """`refused(content)` is what the command line says of such a file; any call to AWS is an error."""

    def call(self, operation, parameters):
        raise AssertionError(f"{operation} was called")

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)
    file = tmp_path / "x.yml"

    def refuse(content, command="plan"):
        file.write_bytes(content)
        assert __main__.main([command, str(file)]) == 2
        said = capsys.readouterr()
        assert not said.out
        assert "Traceback" not in said.err
        assert "hunter2" not in said.err
        assert said.err.startswith(f"runbook: {file}")
        return said.err

    return refuse


def text(file, changes):
    return yaml.safe_dump({"params": {**GOOD[file], **changes}}).encode()


@pytest.mark.pure
def test_each_bad_value_is_refused_by_the_name_of_its_key_with_what_is_right(refused, figure):
    wrong, count = {}, 0
    for row, file, changes, key, right in bad_params.rows():
        try:
            said = refused(text(file, changes))
        except AssertionError as error:
            wrong[row] = str(error)
        else:
            if not re.search(rf"\b{key}\b", said) or not re.search(right, said):
                wrong[row] = said
        count += 1
    assert not wrong, "\n".join(f"{row}: {why}" for row, why in wrong.items())
    figure("bad values refused", count)


@pytest.mark.pure
@pytest.mark.parametrize("spoil, said", bad_params.TEXTS.values(), ids=bad_params.TEXTS)
def test_each_bad_file_is_refused_in_a_sentence(refused, spoil, said):
    good = (paths.PARAMS / "blog.yml").read_bytes()
    for command in COMMANDS:
        assert re.search(said, refused(spoil(good), command))


@pytest.mark.pure
@pytest.mark.parametrize("change", bad_params.HARMLESS.values(), ids=bad_params.HARMLESS)
def test_oddities_that_change_nothing(tmp_path, change):
    file = tmp_path / "x.yml"
    file.write_bytes(change((paths.PARAMS / "blog.yml").read_bytes()))
    assert load(file).model_dump() == load("blog").model_dump()


@pytest.mark.pure
def test_every_key_has_a_row():
    assert set(Params.model_fields) <= set(bad_params.BLOG) | set(bad_params.PRODUCTION)
    assert all(len(reason) > 10 for reason in bad_params.NO_COUNTERPART.values())


@pytest.mark.pure
@pytest.mark.parametrize("name", ["no-such-file", "a\0b", "a" * 5000, ".", "/dev/null/x.yml"])
def test_a_file_that_cannot_be_read(name):
    with pytest.raises(ParamsError, match="no such params file|cannot be read"):
        load(name)


@pytest.mark.pure
@pytest.mark.parametrize(
    "password, said",
    [
        ("", "is empty"),
        ("a" * 73, "more than 72 bytes"),
        ("é" * 37, "more than 72 bytes"),
        ("a\0b", "line break or a NUL"),
        ("a\nb", "line break or a NUL"),
        ("builder", "is the user's name"),
        (os.fsdecode(b"\xff\xfe"), "not UTF-8"),
    ],
)
def test_a_password_that_a_registry_cannot_use(password, said):
    with pytest.raises(SecretError, match=f"user builder: the password .*{said}") as caught:
        htpasswd._usable("builder", Secret(password))
    assert len(password) < 3 or password in ("builder",) or password not in str(caught.value)


@pytest.mark.pure
def test_a_password_of_72_bytes_is_right_in_any_letters():
    for password in ("a" * 72, "é" * 36, "€" * 24):
        assert htpasswd._usable("builder", Secret(password)).reveal() == password


class Recorder(http.server.BaseHTTPRequestHandler):
    """Answers every request as an AWS that is out of order, and keeps what was asked."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        self.server.asked.append(target or parse_qs(body.decode(errors="replace")).get("Action", [self.path])[0])
        self.send_response(400)
        self.end_headers()

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815 (http.server's names)

    def log_message(self, *_):
        pass


@pytest.fixture
def outside(tmp_path):
    """An environment for real processes whose AWS is a recorder; `outside.asked` is what they asked of it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "RUNBOOK_"))}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    server.environment = kept | nowhere | {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_EC2_METADATA_DISABLED": "true",
        "RUNBOOK_HOME": str(tmp_path / "home"),
        "RUNBOOK_RUNS": str(tmp_path / "runs"),
    }  # fmt: skip

    def run(content, command="run", **more):
        (tmp_path / "x.yml").write_bytes(content)
        environment = {key: value for key, value in (server.environment | more).items() if value is not None}
        done = subprocess.run(
            [sys.executable, "-m", "runbook", command, str(tmp_path / "x.yml")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return done

    server.run = run
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.pure
@pytest.mark.parametrize(
    "changes, said",
    [
        ({"region": "us-east-9", "image": "x/y:1", "configured_by": "image"}, "us-east-1"),
        ({"bucket": "a..b"}, "`bucket`"),
    ],
)
def test_a_real_process_asks_nothing(outside, changes, said):
    done = outside.run(text("blog", changes))
    assert done.returncode == 2
    assert said in done.stderr
    assert outside.asked == []


@pytest.mark.pure
@pytest.mark.parametrize(
    "more, said",
    [
        ({"AWS_PROFILE": "no-such"}, "AWS_PROFILE"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no AWS credentials found"),
    ],
)
def test_a_login_that_is_missing_or_half(outside, more, said):
    done = outside.run(text("blog", {}), **more)
    assert done.returncode == 1
    assert said in done.stderr
    assert outside.asked == []


@pytest.mark.pure
def test_a_folder_for_runs_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUNBOOK_RUNS", str(tmp_path / "file" / "runs"))
    with pytest.raises(StepFailed, match="name another in RUNBOOK_RUNS"):
        headless.run(load("blog"))


@pytest.mark.pure
def test_a_home_that_cannot_be_written(outside, tmp_path):
    (tmp_path / "file").write_text("")
    done = outside.run(text("blog", {"cloud": "embedded"}), RUNBOOK_HOME=str(tmp_path / "file" / "home"))
    assert done.returncode == 1
    assert "RUNBOOK_HOME" in done.stderr


@pytest.mark.notebooks
@pytest.mark.parametrize("changes, said", [({"bucket": "a..b"}, "`bucket`: 3 to 63"), ({"nodes": 0}, "`nodes`")])
def test_a_notebook_ends_in_the_same_sentence(outside, tmp_path, monkeypatch, changes, said):
    for name, value in outside.environment.items():
        monkeypatch.setenv(name, value)
    output = tmp_path / "00.ipynb"
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        papermill.execute_notebook(
            paths.NOTEBOOKS / "00_start_here.ipynb",
            output,
            parameters={"params": {**GOOD["blog"], **changes}},
            progress_bar=False,
        )
    assert caught.value.ename == "ParamsError"
    assert said in caught.value.evalue
    errors = [
        o for cell in json.loads(output.read_text())["cells"] for o in cell.get("outputs", []) if "traceback" in o
    ]
    assert errors
    assert all(len(each["traceback"]) == 1 for each in errors)
    assert outside.asked == []

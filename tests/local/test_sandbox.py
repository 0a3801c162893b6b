"""The sandbox shows a program what it is given and nothing else, and ends with the thread that started it."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from programs import members

from runbook.local import sandbox

pytestmark = pytest.mark.embedded

ENV = {"PATH": "/usr/bin:/bin"}


def run(script: str, env: dict[str, str] = ENV, **options) -> tuple[int, str]:
    process = sandbox.spawn([*sandbox.argv(**options), "/bin/sh", "-c", script], env, subprocess.PIPE)
    return process.wait(), process.communicate()[0].decode()


def test_only_the_system_and_what_is_bound_is_there(tmp_path):
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "file").write_text("hello")
    (tmp_path / "other").write_text("not for you")
    code, said = run(
        f"cat /auth/file; ls / | tr '\\n' ' '; cat {tmp_path}/other", ro_binds=[(tmp_path / "given", "/auth")]
    )
    assert code == 1
    assert said.startswith("hello")
    assert {"auth", "dev", "proc", "tmp", "usr"} <= set(said.split()) | {"auth"}
    assert "home" not in said.split()
    assert "No such file" in said


@pytest.mark.parametrize("target", ["/usr/x", "/x", "/auth/x"])
def test_what_is_read_only_cannot_be_written(tmp_path, target):
    code, said = run(f"echo x > {target}", ro_binds=[(tmp_path, "/auth")])
    assert code != 0
    assert "Read-only" in said
    assert not list(tmp_path.iterdir())


def test_a_bound_root_is_used_again_and_keeps_what_is_written(tmp_path):
    for _ in range(2):
        code, said = run("echo line >> /etc-of-mine", binds=[(tmp_path, "/")], read_only_root=False)
        assert (code, said) == (0, "")
    assert (tmp_path / "etc-of-mine").read_text() == "line\nline\n"


def test_a_mount_within_a_mount_is_seen_whatever_the_order(tmp_path):
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    for folder in (outer, inner):
        folder.mkdir()
        (folder / "name").write_text(folder.name)
    code, said = run("cat /a/name /a/b/name", binds=[(inner, "/a/b"), (outer, "/a")])
    assert (code, said) == (0, "outerinner")


@pytest.mark.parametrize(("user", "ids"), [(None, "0:0"), ("root", "0:0"), ("1000", "1000:1000"), ("10:20", "10:20")])
def test_the_user_is_the_one_named(user, ids):
    assert run("echo $(id -u):$(id -g)", user=user) == (0, f"{ids}\n")


def test_a_user_by_name_is_refused_because_only_an_image_knows_it():
    with pytest.raises(ValueError, match="registry"):
        sandbox.argv(user="registry")


def test_no_capability_is_left():
    assert run("grep CapEff /proc/self/status") == (0, "CapEff:\t0000000000000000\n")


def test_the_environment_is_what_was_given_and_not_in_the_command_line(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-caller")
    secret = "only-for-the-program"
    words = [*sandbox.argv(), "/bin/sh", "-c", "env; read line < /dev/zero"]
    process = sandbox.spawn(words, ENV | {"KEY": secret}, subprocess.PIPE)
    with process:
        said = b""
        while b"KEY=" not in said:
            said += process.stdout.readline()
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.kill()
        said += process.stdout.read()
    assert secret.encode() in said
    assert b"of-the-caller" not in said
    assert secret.encode() not in line


def test_its_processes_are_not_those_outside():
    code, said = run("for p in /proc/[0-9]*; do cat $p/comm 2>/dev/null; done")
    assert code == 0
    assert set(said.split()) <= {"bwrap", "sh", "cat"}


def test_a_program_ends_with_the_thread_that_started_it():
    words = ["/bin/sh", "-c", "echo runs; exec sleep 600"]
    started = []

    def start():
        for argv in ([*sandbox.argv(), *words], words):
            started.append(sandbox.spawn(argv, ENV, subprocess.PIPE))
            assert started[-1].stdout.readline() == b"runs\n"

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert len(started) == 2
    for process in started:
        with process:
            assert process.wait(timeout=30) == -9


def test_a_program_whose_starter_is_killed_at_once_does_not_run(tmp_path):
    program = (
        "import os, subprocess, sys; from runbook.local import sandbox\n"
        "sandbox.spawn(['/bin/sh', '-c', 'sleep 0.3; touch ' + sys.argv[1]], {}, subprocess.DEVNULL)\n"
        "os.kill(os.getpid(), 9)"
    )
    for k in range(10):
        killed = subprocess.run([sys.executable, "-c", program, str(tmp_path / str(k))], capture_output=True)
        assert killed.returncode == -9, killed.stderr
    code, _ = run("sleep 0.5; touch /there/here", binds=[(tmp_path, "/there")])
    assert code == 0
    assert [file.name for file in tmp_path.iterdir()] == ["here"]


def test_a_sandbox_that_is_still_being_made_ends_with_a_killed_group(tmp_path):
    """bubblewrap has made its child and is stopped before it lets it go on; then all that started them is killed."""
    program = textwrap.dedent(f"""
        import os, signal, sys
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        from runbook.local import container, sandbox
        os.setsid()
        sandbox.end_together()
        started = sandbox.spawn([*sandbox.argv(), "/bin/sleep", "600"], {{"PATH": "/usr/bin:/bin"}}, 2)
        while not container._children(started.pid):
            pass
        os.kill(started.pid, signal.SIGSTOP)
        print(os.getpid(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as killed:
            group = int(killed.stdout.readline())
        assert killed.returncode == -signal.SIGKILL
        deadline = time.monotonic() + 60
        while left := members(group):
            if time.monotonic() > deadline:
                os.killpg(group, signal.SIGKILL)
                raise AssertionError(f"left: {left}")
            time.sleep(0.01)

"""The sandbox that every program of a node or of a container runs in: bubblewrap, as root or as a plain user."""

import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO

Mount = tuple[Path | str, str]

USER_LANDS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
FROM_ETC = ("/etc/alternatives", "/etc/ld.so.cache")


def argv(
    *,
    binds: Iterable[Mount] = (),
    ro_binds: Iterable[Mount] = (),
    read_only_root: bool = True,
    user: str | None = None,
    cwd: str = "/",
    tmpfs: Iterable[str] = ("/tmp",),
) -> list[str]:
    """The bwrap command line up to and with `--`; append the program and its arguments.

    A mount is (folder or file here, path inside); a bind to "/" becomes the root, which otherwise is an empty
    tmpfs. Parents are mounted before what lies in them, whatever their order here. `user` is "UID" or "UID:GID",
    root without it: the caller's own id carries that number inside, and it is the only id there (a user namespace
    that a plain user may make maps one), so that `chown` to another one fails. The environment is Popen's.
    """
    uid, gid = ids(user)
    binds, ro_binds = list(binds), list(ro_binds)
    words = ["bwrap", "--unshare-user", "--uid", uid, "--gid", gid, "--unshare-pid", "--unshare-ipc"]
    words += ["--unshare-uts", "--die-with-parent", "--cap-drop", "ALL"]
    for source, inside in binds:
        if inside == "/":
            words += ["--bind", str(source), "/"]
    words += host_programs()
    words += ["--proc", "/proc", "--dev", "/dev"]
    for inside in tmpfs:
        words += ["--perms", "1777", "--tmpfs", inside]
    mounts = [("--bind", source, inside) for source, inside in binds if inside != "/"]
    mounts += [("--ro-bind", source, inside) for source, inside in ro_binds]
    for option, source, inside in sorted(mounts, key=lambda mount: PurePosixPath(mount[2]).parts):
        words += [option, str(source), inside]
    if read_only_root:
        words += ["--remount-ro", "/"]
    return [*words, "--chdir", cwd, "--"]


def ids(user: str | None) -> tuple[str, str]:
    """`user` of a container definition as (uid, gid); ValueError for a name, which only an image could resolve."""
    uid, _, gid = (user or "0").partition(":")
    uid = "0" if uid == "root" else uid
    gid = gid or uid
    if not (uid.isdecimal() and gid.isdecimal()):
        raise ValueError(f"user {user!r}: a number, or two with a colon between them, is what can be run here")
    return uid, gid


def host_programs() -> list[str]:
    """The mounts that bring this machine's own programs and libraries in, read-only."""
    words = ["--ro-bind", "/usr", "/usr"]
    for name in (*USER_LANDS, *FROM_ETC):
        if Path(name).exists():
            words += ["--ro-bind", str(Path(name).resolve()), name]
    return words


def spawn(
    argv: Sequence[str], env: dict[str, str], stdout: int | IO, stderr: int | IO = subprocess.STDOUT
) -> subprocess.Popen:
    """Start a program that the kernel kills when the calling thread ends (prctl(2): the thread, not the process).

    `setpriv` of util-linux sets that in the child and becomes the program: forking with Python code in between
    (preexec_fn) can hang in a process with threads. If the caller was killed before that was set, the shell finds
    another parent and ends. `env` is the program's: its PATH does not say where these programs are.
    """
    program, *arguments = argv
    still_ours = ["/bin/sh", "-c", 'test $PPID = "$0" && exec "$@"', str(os.getpid())]
    return subprocess.Popen(
        [_found("setpriv"), "--pdeathsig", "KILL", "--", *still_ours, _found(program), *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        close_fds=True,
    )


def end_together() -> None:
    """When this process, which leads a process group, has ended in whatever way, kill all that is left of the group.

    What bubblewrap has just cloned waits for it with no parent-death signal set yet (bubblewrap 0.8), and would wait
    for ever. The kernel closes the pipe that the keeper reads; kill(2) meets a whole group at once, the keeper too.
    """
    assert os.getpgrp() == os.getpid(), "this would kill who started this process, too"
    reading, _kept_open = os.pipe()
    subprocess.Popen(
        ["/bin/sh", "-c", "read -r end; kill -KILL 0"],
        env={},
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(reading)


def _found(program: str) -> str:
    """Where this computer has the program; its bare name, which starting it says is missing, where it has not."""
    return shutil.which(program) or program

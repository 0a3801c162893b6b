"""The programs that people push and pull with, tried on the registry: `docker login`, and a round trip by skopeo."""

import base64
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from . import image
from .params import Params
from .report import Report, Text
from .secret import Login, Secret, sealed
from .session import AWS
from .wait import Live

TAG = "skopeo"
LAYER = 6 * 1024 * 1024  # bytes: more than one of the registry's 5 MiB chunks in S3
TIMEOUT = 300  # seconds for one program
_SHOWN = len("sha256:") + 12  # of a digest
_QUOTED = r'"((?:[^"\\]|\\.)*)"'  # a value in a log line of docker's and skopeo's


def address(aws: AWS, p: Params) -> str:
    """What a client on this computer calls the registry: its domain on AWS, address:port on the embedded cloud.

    Docker takes any certificate from 127.0.0.0/8 (https://docs.docker.com/reference/cli/dockerd/#insecure-registries).
    """
    host, port = aws.locate(p.domain, 443)
    return host if port == 443 else f"{host}:{port}"


def instructions(aws: AWS, p: Params, *, params: str = "") -> Text:
    """The registry's address for clients on this computer, and the lines that log docker in (`params` as typed) and
    push an image."""
    registry, user = address(aws, p), next(iter(p.users))
    python = shlex.quote(_as_typed(sys.executable))
    trust = f"  ({p.domain}; CA: {_as_typed(aws.ca)})" if aws.ca else ""
    password = f"log in    {python} -m runbook password {shlex.quote(params or p.source)} {user} |"
    login = f"login {registry} --username {user} --password-stdin"
    pushed = f"{registry}/team/image:1"
    lines = [f"registry  https://{registry}{trust}", f"{password} docker {login}"]
    lines.append(f"push      docker tag IMAGE {pushed} && docker push {pushed}")
    if not shutil.which("docker"):
        ca = f"SSL_CERT_FILE={shlex.quote(_as_typed(aws.ca))} " if aws.ca else ""
        lines += ["docker is not installed here; the same with skopeo:", f"{password} {ca}skopeo {login}"]
        lines.append(f"push      {ca}skopeo copy docker-archive:image.tar docker://{pushed}")
    return Text("\n".join(lines))


def _as_typed(path: str) -> str:
    """Relative where it is below the current folder."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def docker_login(aws: AWS, p: Params, login: Login) -> Report:
    """`docker login` as the given user, with a configuration of its own that is gone afterwards.

    The client itself asks the registry, even where an engine runs. Where docker is not installed, the check says so.
    """
    report, program = Report(f"docker login {p.domain} as {login.user}"), shutil.which("docker")
    if program is None:
        return _not_installed(report, "docker")
    registry = address(aws, p)
    with tempfile.TemporaryDirectory(prefix="runbook-") as folder:
        # An empty PATH: docker would hand the password to any docker-credential-… program that it finds there.
        environment = {"DOCKER_CONFIG": folder, "DOCKER_HOST": "unix:///nonexistent/docker.sock", "PATH": folder}
        command = [program, "login", registry, "--username", login.user, "--password-stdin"]
        found = _run(command, {**environment, "HOME": folder}, stdin=login.password)
    return _told(report, "docker login", found, {registry: p.domain}, "Login Succeeded")


def skopeo_round_trip(aws: AWS, p: Params, login: Login, *, size: int = LAYER) -> Report:
    """Push an image of three layers of `size` bytes each with skopeo and pull it back, byte for byte.

    What fails on its way is tried again, three times, as docker does: a registry may go in the middle of a push.
    The image is the same each time: layers that the registry has from an earlier run are not sent again.
    Where skopeo is not installed, the check says so.
    """
    report, program = Report(f"skopeo, push and pull of {p.domain}/{image.REPOSITORY}:{TAG}"), shutil.which("skopeo")
    if program is None:
        return _not_installed(report, "skopeo")
    registry, made = address(aws, p), image.make(size=size, seed="skopeo")
    with tempfile.TemporaryDirectory(prefix="runbook-") as name:
        folder = Path(name)
        made.write(folder / "pushed", tag=TAG)
        _write_private(folder / "auth.json", _auths(registry, login))
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        (folder / "certs").mkdir()
        if aws.ca:
            shutil.copyfile(aws.ca, folder / "certs" / "ca.crt")
        remote, environment = f"docker://{registry}/{image.REPOSITORY}:{TAG}", {"HOME": name, "PATH": os.defpath}
        for verb, side, source, target in (
            ("push", "dest", f"oci:{folder}/pushed:{TAG}", remote),
            ("pull", "src", remote, f"oci:{folder}/pulled:{TAG}"),
        ):
            command = [
                program,
                "--policy",
                f"{folder}/policy.json",
                "copy",
                "--quiet",
                "--preserve-digests",
                "--retry-times=3",
            ]
            command += [f"--authfile={folder}/auth.json", f"--{side}-cert-dir={folder}/certs", source, target]
            with Live(passing=True) as live:
                live.show(f"skopeo: {verb} of {image.REPOSITORY}:{TAG}")
                ended = _run(command, environment)
            report = _told(report, verb, ended, {registry: p.domain, name: "…"}, "done")
            if not report:
                return report
        manifest, digests = image.read_digests(folder / "pulled")
    wanted = {made.digest, *map(image.digest, made.blobs.values())}
    report = report.check("manifest", manifest == made.digest, made.digest[:_SHOWN], manifest[:_SHOWN])
    return report.check("bytes", digests == wanted, _count(wanted, wanted), _count(wanted, digests))


def _not_installed(report: Report, program: str) -> Report:
    words = f"not run: {program} is not installed here"
    return report.check(program, True, words, words)


def _run(
    command: list[str], environment: dict[str, str], stdin: Secret | None = None
) -> subprocess.CompletedProcess | None:
    """None when the program did not end in time. The caller's environment (proxies, CA bundles) stays out."""
    try:
        with sealed():
            typed = stdin.reveal() if stdin else ""
            return subprocess.run(
                command, env=environment, input=typed, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
    except subprocess.TimeoutExpired:
        return None


def _told(
    report: Report, name: str, ended: subprocess.CompletedProcess | None, public: dict[str, str], wanted: str
) -> Report:
    """One more check: `wanted` when the program succeeded, else its last words, with public names for local ones."""
    if ended is None:
        return report.check(name, False, wanted, f"no end within {TIMEOUT} s")
    if ended.returncode == 0 and (wanted == "done" or wanted in ended.stdout):
        return report.check(name, True, wanted, wanted)
    words = (ended.stderr.strip() or ended.stdout.strip() or f"exit status {ended.returncode}").splitlines()[-1]
    # Docker tries plain HTTP next on 127.0.0.0/8: what it says of its first try, over TLS, is the reason.
    first_try, last_word = rf"trying next endpoint\".* error={_QUOTED}", rf"level=\w+ msg={_QUOTED}"
    if told := re.search(first_try, ended.stderr) or re.search(last_word, words):
        words = told[1].replace('\\"', '"')
    for local, shown in public.items():
        words = words.replace(local, shown)
    return report.check(name, False, wanted, words)


def _write_private(file: Path, content: Secret) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream, sealed():
        stream.write(content.reveal())


def _auths(registry: str, login: Login) -> Secret:
    """What `docker login` keeps, and skopeo reads: containers-auth.json(5)."""
    basic = base64.b64encode(f"{login.user}:{login.password.reveal()}".encode()).decode()
    return Secret(json.dumps({"auths": {registry: {"auth": basic}}}))


def _count(wanted: set[str], found: set[str]) -> str:
    missing, more = len(wanted - found), len(found - wanted)
    return f"{len(found)} blobs, {'all as pushed' if not missing + more else f'{missing} of the pushed ones missing'}"

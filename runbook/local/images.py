"""The container images that the embedded cloud knows: which program of this machine stands for which image."""

import functools
import json
import os
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

KNOWN = (
    "registry:2, registry:2.8, registry:2.8.0 to registry:2.8.3, registry:3 and its releases, and what was built from "
    "a Dockerfile here"
)
REGISTRY_2 = re.compile(r"(docker\.io/)?(library/)?registry:2(\.8(\.[0-3])?)?")
REGISTRY_3 = re.compile(r"(docker\.io/)?(library/)?registry:3(\.\d+(\.\d+)?)?")
PROGRAM = Path("/usr/bin/docker-registry")  # Debian's package of the same name, Distribution 2.8.2
VERSION_SECONDS = 10
PROGRAM_FOLDER = "/opt/registry/bin"  # the real image has it in /bin, which here is this machine's own

# What registry:2.8 brings: config.yml and entrypoint.sh of distribution-library-image at that release.
CONFIG = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""
ENTRYPOINT = """\
#!/bin/sh

set -e

case "$1" in
    *.yaml|*.yml) set -- registry serve "$@" ;;
    serve|garbage-collect|help|-*) set -- registry "$@" ;;
esac

exec "$@"
"""
# What registry:3 brings: another path, deletion, and metrics on the debug port; its entrypoint is the same.
CONFIG_3 = """\
version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  tag:
    concurrencylimit: 5
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


class ImageError(Exception):
    """An image that cannot be had, or a Dockerfile that cannot be built here; the text says why."""


@dataclass(frozen=True)
class Image:
    """What an image brings: `files` is path inside -> content; the rest is as in `docker inspect`."""

    name: str
    entrypoint: tuple[str, ...] = ("/entrypoint.sh",)
    command: tuple[str, ...] = ("/etc/docker/registry/config.yml",)
    volumes: tuple[str, ...] = ("/var/lib/registry",)
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict, repr=False)
    major: int = 2

    @property
    def program(self) -> Path:
        """The program of this machine that stands for the image's registry."""
        return version_3() or PROGRAM if self.major == 3 else PROGRAM


def version_3() -> Path | None:
    """A registry of version 3: the program that RUNBOOK_REGISTRY names, or `registry` on PATH. None if it is none."""
    named = os.environ.get("RUNBOOK_REGISTRY") or "registry"
    found = shutil.which(named)
    if found is None:
        return None
    path = Path(found).resolve()
    return path if re.search(r"distribution(/v3)?\s+v?3\.\d", _version(path, path.stat().st_mtime_ns)) else None


@functools.lru_cache(maxsize=8)
def _version(program: Path, changed: int) -> str:
    """What `registry --version` prints of the program that was `changed` then."""
    try:
        said = subprocess.run([program, "--version"], capture_output=True, timeout=VERSION_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.decode(errors="replace")


def stand_in(home: Path, name: str) -> str:
    """Which program plays the image, in a sentence."""
    program = find(home, name).program
    said = _version(program, program.stat().st_mtime_ns).split()
    return f"{name} is played by {program.name} {said[-1] if said else 'of an unknown version'}."


def find(home: Path, name: str) -> Image:
    """The image called `name`; ImageError in Docker's words if it is neither known nor built."""
    image = _known(home, name)
    if image is None:
        raise ImageError(
            f"Error response from daemon: pull access denied for {name}, repository does not exist or may require "
            f"'docker login' (the embedded cloud knows {KNOWN})"
        )
    if image.major == 3 and version_3() is None:
        raise ImageError(
            f"Error response from daemon: {name} needs a registry program of version 3, and there is none here: put "
            "`registry` of a release archive of Distribution (github.com/distribution/distribution) on PATH, or name "
            "it in RUNBOOK_REGISTRY, and start the embedded cloud again"
        )
    return image


def _known(home: Path, name: str) -> Image | None:
    built = _folder(home, name)
    if (built / "image.json").exists():
        return _load(built)
    if REGISTRY_2.fullmatch(name):
        files = {"/etc/docker/registry/config.yml": CONFIG.encode(), "/entrypoint.sh": ENTRYPOINT.encode()}
        return Image(name, files=files)
    if REGISTRY_3.fullmatch(name):
        return Image(
            name,
            command=("/etc/distribution/config.yml",),
            environment={"OTEL_TRACES_EXPORTER": "none"},
            files={"/etc/distribution/config.yml": CONFIG_3.encode(), "/entrypoint.sh": ENTRYPOINT.encode()},
            major=3,
        )
    return None


def build(home: Path, folder: Path, tag: str) -> Image:
    """Make the image `tag` from `folder`/Dockerfile, as `docker build --tag` does with FROM and COPY alone."""
    instructions = _instructions((folder / "Dockerfile").read_text())
    if not instructions or instructions[0][0] != "FROM":
        raise ImageError(f"{folder}/Dockerfile: the first instruction has to be FROM")
    image = None
    for word, arguments in instructions:
        if word == "FROM" and image is None and len(arguments) == 1:
            image = find(home, arguments[0])
        elif word == "COPY" and len(arguments) >= 2 and not arguments[0].startswith("--"):
            *sources, target = arguments
            image = replace(image, files=image.files | _copied(folder, sources, target))
        else:
            line = " ".join([word, *arguments])
            raise ImageError(
                f"{folder}/Dockerfile: `{line}` is not supported, only one FROM IMAGE and COPY SOURCE TARGET are"
            )
    image = replace(image, name=tag)
    _save(_folder(home, tag), image)
    return image


def _instructions(text: str) -> list[tuple[str, list[str]]]:
    lines = text.replace("\\\n", " ").splitlines()
    words = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return [(first.upper(), rest) for first, *rest in words]


def _copied(folder: Path, sources: list[str], target: str) -> dict[str, bytes]:
    """COPY: a folder's content, not the folder; a target with a slash at its end, or for several, is a folder."""
    if len(sources) > 1 and not target.endswith("/"):
        raise ImageError(f"COPY of several sources: the target {target} has to end in /")
    root = folder.resolve()
    files = {}
    for source in sources:
        path = (root / source.lstrip("/")).resolve()
        if not path.is_relative_to(root) or not path.exists():
            raise ImageError(f"COPY {source}: not found in {folder}")
        if path.is_dir():
            inside = {f"{target.rstrip('/')}/{f.relative_to(path)}": f for f in path.rglob("*") if f.is_file()}
        else:
            inside = {target + path.name if target.endswith("/") else target: path}
        files |= {str(PurePosixPath("/") / name): file.read_bytes() for name, file in inside.items()}
    return files


def _folder(home: Path, name: str) -> Path:
    return home / "images" / name.replace("/", "%2F")


def _save(folder: Path, image: Image) -> None:
    new = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for name, content in image.files.items():
        path = new / "files" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    facts = asdict(image) | {"files": sorted(image.files)}
    (new / "image.json").write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def _load(folder: Path) -> Image:
    facts = json.loads((folder / "image.json").read_text())
    files = {name: (folder / "files" / name.lstrip("/")).read_bytes() for name in facts.pop("files")}
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    return Image(files=files, **lists)

"""Where the embedded cloud lives: its folder, its loopback addresses, and the file that says that it is up."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CloudError
from ..paths import home

__all__ = ["CloudError", "Place", "home"]

PORT = 4566
BLOCKS = range(20, 120)
BALANCERS = 20  # whose addresses stand in the certificates: a client that cannot resolve the domain verifies by them


@dataclass(frozen=True)
class Place:
    """The folder of one cloud and its share of the loopback network, 127.`block`.0.0/16."""

    home: Path
    block: int
    port: int = PORT

    @property
    def endpoint(self) -> str:
        return f"http://{self.address}:{self.port}"

    @property
    def address(self) -> str:
        return f"127.{self.block}.0.1"

    def node_address(self, k: int) -> str:
        return f"127.{self.block}.1.{k}"

    def balancer_address(self, k: int) -> str:
        return f"127.{self.block}.2.{k}"

    def cache_address(self, k: int) -> str:
        return f"127.{self.block}.4.{k}"

    def folder(self, *names: str) -> Path:
        """A folder (0700, made where absent) for what lives no longer than this cloud does."""
        path = data(self.home)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in Path(*names).parts:  # with `parents` those between would have the mode that the umask leaves
            path /= name
            path.mkdir(mode=0o700, exist_ok=True)
        return path


def data(home: Path) -> Path:
    """The folder of everything that only a running cloud needs."""
    return home / "data"


def throttled(home: Path) -> Path:
    """The file that makes S3 throttle while it is there."""
    return data(home) / "s3-throttles"


def write(home: Path, fields: dict[str, Any]) -> None:
    """Say in cloud.json that this process is the cloud; whole or not at all, for its owner only."""
    draft = home / "cloud.json.draft"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(fields | {"pid": os.getpid(), "started": started(os.getpid())}, file)
    draft.replace(home / "cloud.json")


def read(home: Path) -> dict[str, Any] | None:
    """What cloud.json says of a process that lives; None, and the file is removed, when it is of a dead one."""
    try:
        fields = json.loads((home / "cloud.json").read_text())
        alive = fields["started"] == started(fields["pid"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        alive = False
    if not alive:
        (home / "cloud.json").unlink(missing_ok=True)
        return None
    return fields


def started(pid: int) -> int | None:
    """When a process began, in clock ticks since boot (proc(5), field 22); None for none and for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def clear(home: Path) -> None:
    """Remove what a cloud that is gone has left."""
    (home / "cloud.json").unlink(missing_ok=True)
    shutil.rmtree(data(home), ignore_errors=True)

"""The programs that really run in a test's own embedded cloud."""

import os
from pathlib import Path

from runbook import local


def registries():
    """Pid → environment of each registry (its nodes' addresses are in its environment)."""
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                with open(f"/proc/{entry.name}/environ", "rb") as file:
                    environment = file.read().decode(errors="replace")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if words[0].endswith(b"registry") and local.running().endpoint in environment:
                found[int(entry.name)] = environment
    return found


def members(group: int) -> dict[int, str]:
    """The living processes of a process group."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it ended while we looked
                continue
            if int(its_group) == group and state not in "ZX":
                found[int(entry.name)] = words
    return found

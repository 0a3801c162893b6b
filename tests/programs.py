"""The programs that really run in a test's own embedded cloud."""

import contextlib
import ipaddress
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

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


class Listener(NamedTuple):
    """A socket that takes what others send: its program, protocol, and address or path."""

    program: str
    protocol: str
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | str

    @property
    def is_private(self) -> bool:
        """On loopback; of a Unix socket, in a folder that is its owner's alone. An abstract one is everybody's."""
        if not isinstance(self.address, str):
            return self.address.is_loopback
        folder = os.path.dirname(self.address)
        return folder.startswith("/") and stat.S_IMODE(os.stat(folder).st_mode) == 0o700


def listeners(pids) -> list[Listener]:
    """Those of these processes, each looked for in the process's own network namespace (proc(5), /proc/pid/net)."""
    found = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            program = Path(f"/proc/{pid}/comm").read_text().strip()
            inodes = set(_sockets(pid))
            at = (_inet(pid), _unix(pid)) if inodes else ()
            found += [Listener(program, *which) for all_of in at for inode, *which in all_of if inode in inodes]
    return found


def _sockets(pid):
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed while we looked
            if match := re.fullmatch(r"socket:\[(\d+)\]", os.readlink(file)):
                yield match[1]


def _inet(pid):
    """TCP that listens (state 0A), and every UDP and raw socket that is connected to nobody (07)."""
    for protocol in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"):
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            for line in Path(f"/proc/{pid}/net/{protocol}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == ("0A" if protocol.startswith("tcp") else "07"):
                    yield words[9], protocol, _address(words[1].partition(":")[0])


def _address(text: str):
    """Words of 32 bits, each in this machine's order, which is that of x86 and Arm."""
    packed = b"".join(bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8))
    return ipaddress.ip_address(packed)


def _unix(pid):
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        words = line.split()
        if int(words[3], 16) & 0x10000:  # __SO_ACCEPTCON: it listens
            path = words[7] if len(words) > 7 else ""
            # "stats.sock.123.tmp": HAProxy's, bound by a relative name in its folder, then renamed
            folder = re.search(r"-C\0([^\0]+)", Path(f"/proc/{pid}/cmdline").read_text())
            yield words[6], "unix", path if path[:1] in "/@" or not folder else f"{folder[1]}/{path}"

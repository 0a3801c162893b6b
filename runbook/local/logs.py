"""The log of a container: what its program prints, kept in a file and brought to CloudWatch Logs."""

import os
from pathlib import Path

from .inside import logs as cloudwatch

LONGEST = 256 * 1024 - 26  # bytes of one CloudWatch event
KEPT = 4 * 1024 * 1024  # bytes of the file; older output is dropped, as Docker's log rotation does


class Log:
    """A file that a program appends to. `stream` is (region, group, stream) for awslogs, None for the file alone."""

    def __init__(self, path: Path, stream: tuple[str, str, str] | None):
        self.path, self.stream, self.read = path, stream, 0
        self.file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def step(self, *, last: bool = False) -> None:
        """Ship the lines that are complete; with `last` also one that never got its end."""
        size = os.fstat(self.file).st_size
        if size == self.read:
            return
        if self.stream is None:
            self.read = size
        else:
            text = os.pread(self.file, min(size - self.read, KEPT), self.read)
            text = text if last else text[: text.rfind(b"\n") + 1]
            lines = [line[:LONGEST].decode(errors="replace") for line in text.splitlines() if line]
            if lines and not cloudwatch.put(*self.stream, lines):
                self.stream = None
            self.read += len(text)
        if self.read == size and size > KEPT:
            os.ftruncate(self.file, 0)
            self.read = 0

    def close(self) -> None:
        """Ship what is left; the file stays until its folder goes."""
        self.step(last=True)
        os.close(self.file)


def open_log(path: Path, configuration: dict | None, *, region: str, container: str, task: str) -> Log:
    """The log that `logConfiguration` asks for; LookupError if its group is not there, ValueError if not known here."""
    driver = (configuration or {}).get("logDriver", "json-file")
    options = (configuration or {}).get("options") or {}
    if driver == "json-file":
        return Log(path, None)
    known = {
        "awslogs-group",
        "awslogs-region",
        "awslogs-stream-prefix",
        "awslogs-create-group",
        "mode",
        "max-buffer-size",
    }
    unknown = sorted(options.keys() - known) + (["secretOptions"] if configuration.get("secretOptions") else [])
    if driver != "awslogs" or unknown:
        raise ValueError(f"logConfiguration: {driver} {' '.join(unknown)}".strip())
    prefix = options.get("awslogs-stream-prefix")
    # Docker names the stream by the container's id when no prefix is given.
    stream = f"{prefix}/{container}/{task}" if prefix else f"{task}-{container}"
    region, group = options.get("awslogs-region", region), options["awslogs-group"]
    create = options.get("awslogs-create-group") == "true"
    cloudwatch.open_stream(region, group, stream, create_group=create)
    return Log(path, (region, group, stream))

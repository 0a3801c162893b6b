"""A search for planted secrets in whatever a run leaves or shows, in every form in which a text gets written down."""

import base64
import contextlib
import gzip
import html
import io
import json
import re
import threading
import time
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

SHORTEST = 8  # bytes of a secret: a shorter one would be found everywhere
PIECE = 14  # bytes at its beginning, and at its end, by which a secret that was cut is found
_BETWEEN = re.compile(rb"<wbr>|\x1b\[[0-9;?]*[A-Za-z]")
_DROPPED = b" \t\r\n\\\"'\0"


class Hit(NamedTuple):
    """A secret's name, the form that it was found in, and where."""

    secret: str
    form: str
    place: str


class Search:
    """Of secrets (name → text or bytes). `look(place, content)` adds to `hits`; `places` counts what was looked at."""

    def __init__(self, secrets: dict[str, str | bytes]):
        self._patterns: dict[bytes, tuple[str, str]] = {}
        for name, secret in secrets.items():
            for form, pattern in _forms(secret):
                if len(pattern) < SHORTEST:
                    raise ValueError(f"{name} is too short to be looked for")
                self._patterns.setdefault(pattern, (name, form))
        self.hits: list[Hit] = []
        self.places = 0

    def look(self, place: str, content: str | bytes) -> list[Hit]:
        """The hits in this place: in the text, and in what it holds in compressed form."""
        self.places += 1
        content = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        found = [Hit(*told, place) for told in {t for text in _unpacked(content) for t in self._in(_even(text))}]
        self.hits += found
        return found

    def files(self, *folders: Path) -> dict[Path, list[Hit]]:
        """What is found in the files below these folders, and in their names."""
        return {path: hits for path in _files(folders) if (hits := self._file(path))}

    def _file(self, path: Path) -> list[Hit]:
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # it went while we looked
            return []
        self.places -= 1  # a file is one place, with its name
        return self.look(str(path), str(path)) + self.look(str(path), content)

    def _in(self, text: bytes) -> Iterator[tuple[str, str]]:
        return (told for pattern, told in self._patterns.items() if pattern in text)


def _forms(secret: str | bytes) -> Iterator[tuple[str, bytes]]:
    """What differs only in escapes, quotes, line ends and spaces is one form: these are dropped on both sides."""
    raw = secret.encode() if isinstance(secret, str) else secret
    yield "as it is", _even(raw)
    if len(raw) >= 2 * PIECE:
        yield "its beginning", _even(raw[:PIECE])
        yield "its end", _even(raw[-PIECE:])
    yield "repr of bytes", _even(repr(raw).encode())
    for shift in range(3):  # base64 tells three bytes with four characters: the neighbours change the outer ones
        whole = len(raw) - (len(raw) + shift) % 3
        for kind, encode in (("base64", base64.b64encode), ("URL-safe base64", base64.urlsafe_b64encode)):
            yield kind, encode(b"\0" * shift + raw[:whole])[-(-shift * 4 // 3) :]
    yield "hexadecimal", raw.hex().encode()
    yield "hexadecimal", raw.hex().upper().encode()
    for quoted in {urllib.parse.quote(raw, safe=safe) for safe in ("", "/")} | {urllib.parse.quote_plus(raw)}:
        yield "URL-quoted", quoted.encode()
        yield "URL-quoted", re.sub(r"%..", lambda match: match[0].lower(), quoted).encode()
    if isinstance(secret, str):
        yield "JSON", _even(json.dumps(secret).encode())
        yield "YAML", _even(yaml.safe_dump(secret, width=10**6).removesuffix("...\n").encode())
        yield "Python's escapes", _even(secret.encode("unicode_escape"))
        yield "HTML", _even(html.escape(secret).encode())
        yield "HTML", _even(html.escape(secret, quote=False).encode())
        yield "UTF-16", _even(secret.encode("utf-16-le"))


def _even(text: bytes) -> bytes:
    """Without what an escape, a quotation, a terminal or a line's end puts between the characters of a text."""
    if b"<wbr>" in text or b"\x1b" in text:
        text = _BETWEEN.sub(b"", text)
    return text.translate(None, _DROPPED)


def _unpacked(content: bytes, depth: int = 3) -> Iterator[bytes]:
    """The content, and what is packed in it."""
    yield content
    if not depth:
        return
    with contextlib.suppress(OSError, EOFError, zlib.error, zipfile.BadZipFile):
        if content.startswith(b"\x1f\x8b"):
            yield from _unpacked(gzip.decompress(content), depth - 1)
        elif content.startswith((b"\x78\x01", b"\x78\x9c", b"\x78\xda")):
            yield from _unpacked(zlib.decompress(content), depth - 1)
        elif content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield from _unpacked(archive.read(name), depth - 1)


def _files(folders: Iterable[Path]) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path


def open_to_others(path: Path, below: Path) -> str:
    """Who else could read this file, by its mode or that of its folder; empty when nobody. Both lie in `below`."""
    if not path.is_relative_to(below):
        return f"outside {below}"
    wrong = [f"{each} {mode:04o}" for each in (path, path.parent) if (mode := each.stat().st_mode & 0o7777) & 0o077]
    return ", ".join(wrong)


class Processes:
    """Within the block, what every process of this computer shows: `lines` (what `ps` prints), and `environments`,
    by the program's name, of those that are ours to read."""

    def __init__(self, every: float = 0.05):
        self._every, self._over = every, threading.Event()
        self.lines: set[bytes] = set()
        self.environments: set[tuple[str, bytes]] = set()
        self.looks = 0

    def __enter__(self) -> "Processes":
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def text(self) -> bytes:
        return b"\n".join(sorted(self.lines))

    def _run(self) -> None:
        environment_at = 0.0
        while not self._over.wait(self._every):
            wanted = time.monotonic() >= environment_at
            for process in Path("/proc").iterdir():
                if process.name.isdecimal():
                    self._look(process, with_environment=wanted)
            self.looks += 1
            if wanted:
                environment_at = time.monotonic() + 10 * self._every

    def _look(self, process: Path, *, with_environment: bool) -> None:
        with contextlib.suppress(OSError):  # it ended while we looked, or is another user's
            if line := (process / "cmdline").read_bytes():
                self.lines.add(line.replace(b"\0", b" "))
                if with_environment:
                    name = (process / "comm").read_text().strip()
                    self.environments.add((name, (process / "environ").read_bytes()))

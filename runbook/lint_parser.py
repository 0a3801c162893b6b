"""Distribution's parser of its configuration, as far as one can see what it does with each variable and key.

https://github.com/distribution/distribution/blob/v2.8.3/configuration/parser.go, and the same file of v3.1.1.
"""

import difflib
import functools
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from .finding import Finding
from .lint_keys import BOOL, DURATION, INLINES_REDIS, INT, LEVEL, LIST, Free, Version, beside, fields, keys

PREFIX = "REGISTRY_"
_NODES, _DEPTH, _LARGEST = 20_000, 40, 1 << 20
_LEVELS = ("debug", "error", "info", "warn")
# Go's time.ParseDuration
_DURATION = re.compile(r"[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_RENAMED = (("redis", "addr"), ("redis", "addrs"))  # from version 2 to 3; lint_settings tells
_TAKE_OUT = "take it out, or see the documentation of the registry's version"
_NEAR = 0.75  # of two names, as difflib tells it
# What PyYAML raises on a text that is no YAML, and on a scalar with a tag that does not fit it.
_YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError, ArithmeticError)


class NotYaml(Exception):
    """A text that is not YAML, or too large or too deep to be a configuration; says which."""


class Later:
    """A value that is known only when the task starts: a secret."""


LATER = Later()


class Implied(dict):
    """A map that the parser made because a variable's name goes deeper than the file."""


class Applied(NamedTuple):
    """What the registry ends up with, and where each part of it comes from."""

    settings: dict[str, Any]
    origins: dict[tuple[str, ...], str]
    findings: list[Finding]
    file: str

    def get(self, *path: str) -> Any:
        """A setting's value; None where it is not set, LATER where a secret will tell."""
        node: Any = self.settings
        for key in path:
            if node is LATER:
                return LATER
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def where(self, *path: str) -> str:
        """The variable or the key of the file that says it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.origins:
                return self.origins[path[:end]]
        return f"{self.file}: {'.'.join(path)}"

    def inside(self, *path: str) -> str:
        """The same, or the first variable that says a part of it."""
        parts = (name for at, name in self.origins.items() if at[: len(path)] == path)
        told = self.where(*path)
        return next(parts, told) if told.startswith(f"{self.file}: ") else told


def read_yaml(text: str) -> Any:
    """A YAML text as plain dicts, lists and scalars, aliases written out."""
    if len(text) > _LARGEST:
        raise NotYaml("it is larger than 1 MiB")
    try:
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise NotYaml(f"YAML cannot be read{line}") from None  # its message may quote a secret
    except _YAML_ERRORS:
        raise NotYaml("YAML cannot be read") from None
    return _plain(value, iter(range(_NODES)), 0)


def _plain(value: Any, left: Iterator[int], depth: int) -> Any:
    if next(left, None) is None or depth > _DEPTH:
        raise NotYaml("it is too large or too deep for a configuration, its aliases written out")
    if isinstance(value, dict):
        return {_key(key): _plain(item, left, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item, left, depth + 1) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _key(key: Any) -> str:
    return {True: "true", False: "false", None: "null"}.get(key, str(key)) if not isinstance(key, str) else key


def apply(
    version: Version | None,
    config: Mapping[str, Any] | None,
    environment: Mapping[str, str],
    secrets: Collection[str] = (),
    *,
    file: str = "config.yml",
    given: bool = True,
) -> Applied:
    """The variables over the file, in the order of their names. `given`: the file is the reader's own, not the
    image's."""
    known = keys(version)
    applied = Applied({}, {}, [], file)
    for key, value in (config or {}).items():
        applied.settings[key] = _copy(value)
    if given and config is not None:
        _check_file(applied, known, applied.settings, ())
    for key in ("storage", "auth"):
        if isinstance(applied.settings.get(key), str):
            applied.settings[key] = {applied.settings[key]: {}}
    before = _copy(applied.settings)
    named = {name for name in (*environment, *secrets) if name.startswith(PREFIX)}
    for name in sorted(named, key=lambda each: each.encode("utf-8", "surrogatepass")):
        value: Any = LATER if name in secrets else environment[name]
        _Variable(applied, version, name, value, before if given and config is not None else {}).apply(known)
    for name in sorted({*environment, *secrets} - named):
        if meant := _without_prefix(name, version):
            what = f"the registry reads no variable whose name does not begin with {PREFIX}, in capitals"
            applied.findings.append(Finding("error", name, what, f"did you mean {meant}?", 14))
    return applied


def _without_prefix(name: str, version: Version | None) -> str | None:
    plain = re.sub(r"[.-]", "_", name.upper())
    known = all_names(version)
    if plain.startswith(PREFIX):
        return plain if plain in known else None
    return next((each for each in (PREFIX + plain, closest(plain, known, 0.9)) if each in known), None)


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def wrong(kind: Any, value: Any) -> str | None:
    """What the program expects instead; None if it takes the value."""
    if value is None or value is LATER:
        return None
    if isinstance(kind, Mapping | Free):
        return None if isinstance(value, dict) else "a section with keys"
    if kind is LIST:
        return None if isinstance(value, list) else LIST
    if kind is None:
        return None
    right = {
        INT: isinstance(value, int) and not isinstance(value, bool),
        BOOL: isinstance(value, bool) or value in ("y", "n", "Y", "N"),
        DURATION: (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, str) and _DURATION.fullmatch(value)),
        LEVEL: isinstance(value, str) and value.lower() in _LEVELS,
    }.get(kind, not isinstance(value, dict | list))
    return None if right else f"{kind} ({', '.join(_LEVELS)})" if kind is LEVEL else kind


def _starts_not(where: str, expected: str) -> Finding:
    return Finding("error", where, f"the registry will not start: {expected} is expected here", "correct the value")


def _check_file(applied: Applied, known: Mapping[str, Any], section: Mapping[str, Any], path: tuple[str, ...]) -> None:
    """Keys that nobody reads, and values of the wrong kind. `storage` and `auth` have their own rules."""
    for key, value in section.items():
        at = (*path, key)
        where = f"{applied.file}: {'.'.join(at)}"
        if key not in known:
            if at not in _RENAMED:
                _ignored_key(applied, where, key, known)
            continue
        kind = known[key]
        if isinstance(value, str) and at in (("storage",), ("auth",)):
            continue
        if expected := wrong(kind, value):
            applied.findings.append(_starts_not(where, expected))
        elif isinstance(kind, Mapping) and isinstance(value, dict):
            _check_file(applied, kind, value, at)
        elif isinstance(kind, Free) and isinstance(value, dict):
            _check_free(applied, kind, value, at)


def _check_free(applied: Applied, kind: Free, section: Mapping[str, Any], path: tuple[str, ...]) -> None:
    for key, value in section.items():
        where = f"{applied.file}: {'.'.join((*path, key))}"
        inner = kind.known.get(key, kind.of) if kind.known is not None else kind.of
        if kind.known and key not in kind.known and kind.of is None:
            _ignored_key(applied, where, key, kind.known)
        elif expected := wrong(inner, value):
            applied.findings.append(_starts_not(where, expected))
        elif isinstance(inner, Free) and isinstance(value, dict):
            _check_free(applied, inner, value, (*path, key))


def _ignored_key(applied: Applied, where: str, key: str, known: Collection[str]) -> None:
    near = closest(key, known)
    what = "the registry knows no such key and ignores it, without a word"
    remedy = f"did you mean {near}?" if near else _TAKE_OUT
    applied.findings.append(Finding("error" if near else "warning", where, what, remedy, 14))


def closest(name: str, known: Collection[str], near: float = _NEAR) -> str | None:
    return next(iter(difflib.get_close_matches(name[:200], sorted(known), 1, near)), None)


class _Variable:
    """One variable on its way into the settings."""

    def __init__(
        self, applied: Applied, version: Version | None, name: str, value: str | Later, file: Mapping[str, Any]
    ):
        self.applied, self.version, self.name, self.text, self.file = applied, version, name, value, file

    def apply(self, known: Mapping[str, Any]) -> None:
        self._struct(self.applied.settings, known, (), self.name.split("_")[1:])

    def _struct(self, node: dict, kinds: Mapping[str, Any], path: tuple[str, ...], rest: list[str]) -> None:
        named = fields(self.version, path, kinds)
        key = named.get(rest[0])
        if key is None:
            if path == ("redis",) and not self._redis(rest):
                return
            said = "the registry does not know it and ignores it (one line in its log, at the start)"
            self._ignored(said, self._meant(named, path, rest))
            return
        kind, at = kinds[key], (*path, key)
        if len(rest) == 1:
            self._set(node, key, kind, at)
        elif isinstance(kind, Mapping):
            self._struct(self._section(node, key), kind, at, rest[1:])
        elif isinstance(kind, Free):
            self._free(self._section(node, key), kind, at, rest[1:])
        elif kind is LIST and self._lists():
            self._item(node, key, at, rest[1:])
        else:
            self._ignored(f"the registry ignores it, without a word: {'.'.join(at)} has no keys", None)

    def _redis(self, rest: list[str]) -> bool:
        """Whether a variable that is none of this version's for redis is misspelt; what is another version's is told
        here."""
        version = self.version or (3,)
        inline = INLINES_REDIS if (3,) < version < INLINES_REDIS else None
        if inline is None and rest[0] not in ("ADDR", "ADDRS"):
            return True
        meant = "REGISTRY_REDIS_ADDR" if version[0] == 2 else "REGISTRY_REDIS_ADDRS, with a list"
        if inline:
            meant = "REGISTRY_REDIS with the whole section as YAML: before 3.1 no variable reaches into it"
        what = f"version {version[0]} does not know it and ignores it (one line in its log, at the start)"
        self.applied.findings.append(Finding("error", self.name, what, f"set {meant}", 26))
        return False

    def _free(self, node: Any, kind: Free, path: tuple[str, ...], rest: list[str]) -> None:
        if node is LATER:
            return
        key = next((each for each in node if each.upper() == rest[0] and node[each] is not None), None)
        inner = kind.of if kind.known is None else kind.known.get(rest[0].lower(), kind.of)
        if len(rest) > 1 and key is not None:
            found = node[key]
            if isinstance(inner, Free) or isinstance(found, Implied):
                self._free(found, inner if isinstance(inner, Free) else Free(), (*path, key), rest[1:])
            elif isinstance(found, dict):
                self._ignored(
                    f"the registry ignores it: {'.'.join((*path, key))} is in the file already, and a map inside a map",
                    f"{PREFIX}{'_'.join((*path, key)).upper()} with the whole section as YAML",
                )
            else:
                self._ignored(f"the registry ignores it, without a word: {'.'.join((*path, key))} has no keys", None)
            return
        key = rest[0].lower()
        at = (*path, key)
        if kind.known and key not in kind.known and kind.of is None:
            near = closest("".join(rest).lower(), kind.known)
            meant = PREFIX + "_".join((*path, near)).upper() if near else None
            self._ignored("the registry reads it into its settings, where nobody looks for it, without a word", meant)
        if len(rest) == 1:
            self._set(node, key, inner, at)
        elif isinstance(inner, Free):
            node[key] = {}
            self._free(node[key], inner, at, rest[1:])
        elif inner is LIST:
            node[key] = None
        else:
            node[key] = Implied()
            self._free(node[key], Free(), at, rest[1:])

    def _section(self, node: dict, key: str) -> Any:
        if node.get(key) is not LATER and not isinstance(node.get(key), dict):
            node[key] = {}
        return node[key] if node[key] is not LATER else {}

    def _lists(self) -> bool:
        return self.version is not None and self.version[0] >= 3

    def _item(self, node: dict, key: str, at: tuple[str, ...], rest: list[str]) -> None:
        """REGISTRY_NOTIFICATIONS_ENDPOINTS_0_…: an item of a list, by its number, since version 3."""
        items = node[key] if isinstance(node.get(key), list) else []
        if not re.fullmatch(r"\d{1,6}", rest[0]) or int(rest[0]) > len(items):
            self._error(f"the number of an item of {'.'.join(at)} is expected, at most {len(items)}")
            return
        node[key] = items + [LATER] * (int(rest[0]) == len(items))
        self.applied.origins.setdefault(at, self.name)

    def _set(self, node: dict, key: str, kind: Any, at: tuple[str, ...]) -> None:
        value: Any = self.text
        if value is not LATER:
            try:
                value = read_yaml(value)
            except NotYaml:
                self._error("text that is YAML (quote it)")
                return
            if at in (("storage",), ("auth",)) and isinstance(value, str):
                value = {value: {}}
            if expected := wrong(kind, value):
                self._error(expected)
                return
            if isinstance(kind, Mapping) and isinstance(value, dict):
                self._unknown(kind, value, at)
        self._tell(at, value, node.get(key))
        node[key] = value
        for inner in [each for each in self.applied.origins if each[: len(at)] == at]:
            del self.applied.origins[inner]
        self.applied.origins[at] = self.name

    def _unknown(self, kinds: Mapping[str, Any], section: Mapping[str, Any], at: tuple[str, ...]) -> None:
        for key, value in section.items():
            where = f"{self.name}: {'.'.join((*at, key))}"
            if key not in kinds and (*at, key) not in _RENAMED:
                _ignored_key(self.applied, where, key, kinds)
            elif key in kinds and (expected := wrong(kinds[key], value)):
                self.applied.findings.append(_starts_not(where, expected))

    def _tell(self, at: tuple[str, ...], value: Any, found: Any) -> None:
        """What the variable takes the place of."""
        node: Any = self.file
        for key in at:
            node = node.get(key) if isinstance(node, Mapping) else None
        if at == ("storage",) and isinstance(found, dict) and isinstance(value, dict):
            gone = [key for key in found if key not in value and key in beside(self.version)]
            gone += [f"driver {key}" for key in found if key not in value and key not in beside(self.version)]
            if gone and self.file:
                what = f"it takes the place of the whole section: gone are {', '.join(sorted(gone))}"
                self._note(what, "set what shall stay by its own REGISTRY_STORAGE_… variable")
        elif node is not None and (value is LATER or node != value):
            self._note(f"it wins over {'.'.join(at)} in {self.applied.file}", "nothing, if this is meant")

    def _note(self, what: str, remedy: str) -> None:
        self.applied.findings.append(Finding("note", self.name, what, remedy))

    def _ignored(self, what: str, meant: str | None) -> None:
        remedy = (
            f"did you mean {meant}?" if meant else "take it out, or see the documentation of the registry's version"
        )
        self.applied.findings.append(Finding("error" if meant else "warning", self.name, what, remedy, 14))

    def _error(self, expected: str) -> None:
        self.applied.findings.append(_starts_not(self.name, expected))

    def _meant(self, named: Mapping[str, str], path: tuple[str, ...], rest: list[str]) -> str | None:
        """The variable with the nearest name, underscores apart; or with the nearest section."""
        squeezed = {name.removeprefix(PREFIX).replace("_", ""): name for name in all_names(self.version)}
        if near := closest(self.name.removeprefix(PREFIX).replace("_", ""), squeezed, 0.8):
            return squeezed[near]
        if near := closest(rest[0], named):
            return "_".join(("REGISTRY", *self.name.split("_")[1 : len(path) + 1], near, *rest[1:]))
        return None


@functools.cache
def all_names(version: Version | None) -> tuple[str, ...]:
    """Every variable that has one meaning."""

    def below(kinds: Mapping[str, Any], path: tuple[str, ...], name: str):
        for field, key in fields(version, path, kinds).items():
            inner = kinds[key].known or {} if isinstance(kinds[key], Free) else kinds[key]
            yield f"{name}_{field}"
            if isinstance(inner, Mapping):
                yield from below(inner, (*path, key), f"{name}_{field}")

    return tuple(below({key: kind or {} for key, kind in keys(version).items()}, (), "REGISTRY"))

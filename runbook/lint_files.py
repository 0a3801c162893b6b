"""The files that a reader gives: which kind each of them is, and what stands in it."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .errors import ParamsError
from .finding import Finding
from .lint_keys import keys
from .lint_parser import NotYaml, read_yaml

_VARIABLE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)=(.*)")
_LOGIN = re.compile(r"[^\s:=]{1,255}:\S*")
# Go's bcrypt takes every minor version: https://pkg.go.dev/golang.org/x/crypto/bcrypt
_BCRYPT = re.compile(r"\$2[a-z]?\$(\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_TAIL = re.compile(r"[./A-Za-z0-9$]{20,}")
_DEAR = 14
_MAKE = "make the line anew with bcrypt, in single quotes where a shell sees it (notebook 03)"


class LintError(ParamsError):
    """A file that cannot be read, or is none of those that the lint knows; the sentence names it."""


class Files(NamedTuple):
    config: dict[str, Any] | None
    config_name: str | None
    task: Mapping[str, Any] | None
    environment: dict[str, str]
    htpasswd: dict[str, str]


def sort(texts: Mapping[str, str | bytes]) -> Files:
    """Each text by its kind. Two of .env or htpasswd are fine; two configurations are not."""
    config: dict[str, Any] | None = None
    config_name, task, task_name = None, None, None
    environment: dict[str, str] = {}
    htpasswd: dict[str, str] = {}
    for name, content in texts.items():
        kind, value = _read(name, content)
        if kind == "config":
            if config is not None:
                raise LintError(f"{name}: {config_name} is a config.yml already; give the files of one registry")
            config, config_name = value, name
        elif kind == "task":
            if task is not None:
                raise LintError(f"{name}: {task_name} is a task definition already; give the files of one registry")
            task, task_name = value, name
        elif kind == "environment":
            environment |= value
        else:
            htpasswd[name] = value
    return Files(config, config_name, task, environment, htpasswd)


def items(mapping: Mapping[str, Any], key: str) -> list[Any]:
    """A list of anybody's JSON; empty where there is none."""
    value = mapping.get(key)
    return value if isinstance(value, list) else []


def words(mapping: Mapping[str, Any], key: str) -> list[str]:
    return [each for each in items(mapping, key) if isinstance(each, str)]


def pairs(container: Mapping[str, Any], key: str, value: str = "value") -> dict[str, str]:
    """Variables or secrets by name, as ECS has them: a list of names with values."""
    return {
        each["name"]: each[value]
        for each in items(container, key)
        if isinstance(each, Mapping) and isinstance(each.get("name"), str) and isinstance(each.get(value), str)
    }


def lint_htpasswd(name: str, text: str) -> list[Finding]:
    """Findings on an htpasswd file. https://github.com/distribution/distribution/blob/v2.8.3/registry/auth/htpasswd"""
    found, users = [], set()
    for number, line in enumerate(text.splitlines(), 1):
        line, where = line.strip(), f"{name}: line {number}"
        if not line or line.startswith("#"):
            continue
        user, colon, hashed = line.partition(":")
        if not colon:
            what = "there is no colon in it: the registry then takes nobody's password"
            found.append(Finding("error", where, what, _MAKE, 16))
            continue
        if user in users:
            found.append(
                Finding("note", where, f"user {user} is there twice, and the last line counts", "take one out")
            )
        users.add(user)
        if user == "docker":
            what = "user docker: the registry makes it, with a password by chance, when it starts without a file"
            found.append(Finding("warning", where, what, "deliver your own file, then start the registry", 17))
        found += _hash(where, hashed)
    if not users:
        found.append(Finding("warning", name, "it has no user: nobody can log in", "add one (notebook 03)"))
    return found


def _hash(where: str, hashed: str) -> list[Finding]:
    if match := _BCRYPT.fullmatch(hashed):
        if int(match[1]) < _DEAR:
            return []
        what = f"bcrypt's cost is {match[1]}: it is paid on every request, a second and more"
        return [Finding("warning", where, what, "make the line with cost 10")]
    what = "the hash is not bcrypt, and the registry takes no other"
    if "$$" in hashed:
        what = "each $ of the hash is there twice: that is for a Compose file only"
    elif not hashed.startswith(("$", "{")) and _BCRYPT_TAIL.fullmatch(hashed):
        what = "this is no bcrypt hash; it looks like one of which a shell has eaten `$2y$…`"
    elif hashed.startswith("$2"):
        what = "this is no whole bcrypt hash: it has 60 characters"
    return [Finding("error", where, what, _MAKE, 16)]


def _read(name: str, content: str | bytes) -> tuple[str, Any]:
    text = _text(name, content)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if not lines:
        raise LintError(f"{name}: it is empty; a config.yml, a task definition, a .env or an htpasswd file is expected")
    if text.lstrip().startswith(("{", "[")):
        try:
            return _json(name, json.loads(text))
        except (ValueError, RecursionError):
            if text.lstrip().startswith("["):
                raise _unknown(name, "a list, or broken JSON") from None
    if all(_VARIABLE.fullmatch(line) for line in lines):
        return "environment", {match[1]: match[2] for match in map(_VARIABLE.fullmatch, lines) if match}
    if all(_LOGIN.fullmatch(line) for line in lines) and not lines[0].endswith(":"):
        return "htpasswd", text
    return _yaml(name, text)


def _text(name: str, content: str | bytes) -> str:
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise _unknown(name, "a binary file, or a text that is not UTF-8") from None
    if "\0" in content:
        raise _unknown(name, "a binary file")
    return content


def _json(name: str, value: Any) -> tuple[str, Any]:
    if isinstance(value, dict):
        inner = value.get("taskDefinition")
        task = inner if isinstance(inner, dict) else value
        if isinstance(task.get("containerDefinitions"), list):
            return "task", task
        if "image" in task and ("environment" in task or "command" in task or "name" in task):
            return "task", {"containerDefinitions": [task]}
        if set(task) & {"storage", "http", "auth"}:
            return "config", task
        raise _unknown(name, "JSON without containerDefinitions")
    if isinstance(value, list) and value and all(isinstance(each, dict) and "image" in each for each in value):
        return "task", {"containerDefinitions": value}
    raise _unknown(name, "JSON that is no object" if not isinstance(value, list) else "a JSON list")


def _yaml(name: str, text: str) -> tuple[str, Any]:
    try:
        value = read_yaml(text)
    except NotYaml as error:
        raise _unknown(name, f"a text; {error}") from None
    if not isinstance(value, dict):
        raise _unknown(name, "a list" if isinstance(value, list) else "a text")
    if isinstance(value.get("containerDefinitions"), list) or isinstance(value.get("taskDefinition"), dict):
        return _json(name, value)
    if "services" in value:
        raise _unknown(name, "a Compose file: put its environment into a .env file")
    if not set(value) & set(keys(None)):
        raise _unknown(name, "YAML without any key of the registry")
    return "config", value


def _unknown(name: str, looks_like: str) -> LintError:
    return LintError(
        f"{name}: not understood, it looks like {looks_like}; a config.yml, a task definition in JSON, a .env or an "
        "htpasswd file is expected"
    )

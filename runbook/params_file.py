"""Reads a params file: strict YAML into `Params`, or a sentence with the file, the line, the key and what is right."""

import difflib
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from . import paths
from .errors import ParamsError
from .params import Params

# An editor with YAML's language server completes and checks a file that begins so.
SCHEMA_LINE = "# yaml-language-server: $schema=schema.json"


class _Loader(yaml.SafeLoader):
    """YAML with fewer surprises: no duplicate key, alias or tag, only true/false are booleans, no octal, no date."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases (*name) are not used here, line {self.peek_event().start_mark.line + 1}")
        if self.peek_event().tag is not None:
            raise yaml.YAMLError(f"tags (!name) are not used here, line {self.peek_event().start_mark.line + 1}")
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.YAMLError(f"a key must be a plain word, line {key.start_mark.line + 1}")
            if key.value in seen:
                raise yaml.YAMLError(f"the key `{key.value}` stands twice, line {key.start_mark.line + 1}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", "n~"),
    ("int", r"[-+]?(0|[1-9][0-9]{0,17})", "-+0123456789"),
    ("float", r"[-+]?[0-9]+\.[0-9]+", "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def load(params: str | Path | dict[str, Any]) -> Params:
    """Params from a name (`blog` → params/blog.yml), a path, or a mapping as papermill injects it.

    Raises ParamsError, which names the file, the key and what would be right; nothing has been called then.
    """
    if isinstance(params, dict):
        return _model(params.get("params", params), "the params", None)
    path = Path(params)
    if path.suffix not in (".yml", ".yaml"):
        path = paths.PARAMS / f"{params}.yml"
    shown = str(path.relative_to(paths.PROJECT)) if path.is_relative_to(paths.PROJECT) else str(path)
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ParamsError(f"{shown}: no such params file; params/ has: {', '.join(names())}") from None
    except (OSError, ValueError) as error:  # not UTF-8; a NUL in the name
        raise ParamsError(f"{shown}: cannot be read: {error}") from None
    return read(text, shown)


def names() -> list[str]:
    """The params files that `load` finds by name."""
    return sorted(file.stem for file in paths.PARAMS.glob("*.yml"))


def read(text: str, shown: str) -> Params:
    """Params from the text of a file that errors call `shown`."""
    return _model(parse(text, shown), shown, text)


def problems(content: dict[str, Any]) -> dict[str, str]:
    """What is wrong with the keys and values of one deployment, by key; empty when they can be loaded."""
    try:
        Params.model_validate(content)
    except ValidationError as error:
        return dict(_problem(each) for each in reversed(error.errors()))
    return {}


def _problem(error: dict[str, Any]) -> tuple[str, str]:
    message = error["msg"].removeprefix("Value error, ")
    if error["loc"]:
        return str(error["loc"][0]), message
    key, _, rest = message.partition(": ")  # of keys that are impossible together
    return key, rest


def parse(text: str, shown: str) -> Any:
    """What stands under `params` in the text of a file that errors call `shown`."""
    try:
        content = yaml.load(text, _Loader)  # noqa: S506 (a SafeLoader, made stricter)
    except yaml.YAMLError as error:
        raise ParamsError(f"{shown}: not valid YAML: {_yaml_problem(error)}") from None
    except RecursionError:
        raise ParamsError(f"{shown}: not valid YAML: lists or mappings in one another, too many levels deep") from None
    if not isinstance(content, dict) or list(content) != ["params"]:
        raise ParamsError(f"{shown}: exactly one key at the top is expected: params")
    return content["params"]


def _yaml_problem(error: yaml.YAMLError) -> str:
    """PyYAML's own text quotes the line, in which a password may stand by mistake."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"{', '.join(filter(None, (error.context, error.problem)))}, line {mark.line + 1}"


def _model(content: Any, source: str, text: str | None) -> Params:
    if not isinstance(content, dict):
        raise ParamsError(f"{source}: params must be a mapping of keys to values, see params/blog.yml")
    for key in content:
        if not isinstance(key, str) or not key.isprintable():
            raise ParamsError(f"{source}: unknown key {key!r}; every key is listed by: python -m runbook params")
    try:
        p = Params.model_validate(content)
    except ValidationError as error:
        raise ParamsError("\n".join(_sentence(e, source, text) for e in error.errors())) from None
    p._source = source
    return p


def _sentence(error: dict[str, Any], source: str, text: str | None) -> str:
    """One validation error with its file, line, key and what would be right; never the value of a secret."""
    key = ".".join(str(part) for part in error["loc"])
    where = source + (f" line {_line(text, key)}" if text and _line(text, key) else "")
    if error["type"] in ("extra_forbidden", "invalid_key"):
        near = difflib.get_close_matches(key, Params.model_fields, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "every key is listed by: python -m runbook params"
        return f"{where}: unknown key `{key}`; {hint}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{where}: `{key}` is missing ({Params.model_fields[key].description})"
    if not key:
        return f"{where}: {message}"
    # pydantic's own words tell the wrong type or size, and not what the key is for.
    meant = "" if error["type"] == "value_error" else f" ({Params.model_fields[key.split('.')[0]].description})"
    return f"{where}: `{key}`: {message[0].lower() + message[1:]}{meant}"


def _line(text: str, key: str) -> int | None:
    name = re.escape(key.split(".")[0])
    match = re.search(rf"^\s+{name}\s*:", text, re.MULTILINE)
    return text.count("\n", 0, match.start()) + 1 if match else None

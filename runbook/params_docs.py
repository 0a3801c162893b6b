"""What the model says of a params file: its JSON schema (params/schema.json) and its page (docs/params.md)."""

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from .params import Params


class _Untitled(GenerateJsonSchema):
    """Without the titles that pydantic makes of names: an editor would show them before the description."""

    def field_title_should_be_set(self, schema) -> bool:
        return False


def schema() -> str:
    """JSON schema of a params file; `load` checks more, as what is impossible together."""
    of_params = Params.model_json_schema(schema_generator=_Untitled)
    of_file = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The params of one deployment",
        "type": "object",
        "additionalProperties": False,
        "required": ["params"],
        "properties": {"params": {key: value for key, value in of_params.items() if key != "title"}},
    }
    return json.dumps(of_file, indent=2, ensure_ascii=False) + "\n"


def keys() -> str:
    """Every key, its meaning and its default, for a terminal."""
    lines = []
    for name, field in Params.model_fields.items():
        default = "" if field.is_required() else f" (default {field.default})"
        lines.append(f"{name:16} {field.description}{default}\n")
    return "".join(lines)


def page() -> str:
    """docs/params.md: every key, its type, its default and its meaning, in the model's order."""
    keys = Params.model_json_schema(schema_generator=_Untitled)["properties"]
    lines = [
        "# The keys of a params file",
        "",
        "A file has one key at the top, `params`; below it stand these. What is impossible together is refused when",
        "the file is loaded, with the file, the line and what would be right. This page is made by",
        "`python -m runbook params --page`, the schema for editors ([params/schema.json](../params/schema.json)) by",
        "`python -m runbook params --schema`.",
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for key, of_key in keys.items():
        default = f"`{json.dumps(of_key['default'])}`" if "default" in of_key else "needed"
        lines.append(f"| `{key}` | {_type(of_key)} | {default} | {_cell(of_key['description'])} |")
    return "\n".join(lines) + "\n"


def _type(of_key: dict[str, Any]) -> str:
    if "anyOf" in of_key:
        return " or ".join(_type(each) for each in of_key["anyOf"])
    if "enum" in of_key:
        return ", ".join(f"`{value}`" for value in of_key["enum"])
    kind = of_key["type"]
    if kind == "integer" and {"minimum", "maximum"} <= of_key.keys():
        return f"{of_key['minimum']} to {of_key['maximum']}"
    if kind == "array":
        return f"list of {_type(of_key['items'])}"
    if kind == "object":
        return f"mapping of {_type(of_key['additionalProperties'])}"
    return {"boolean": "`true`, `false`", "integer": "number", "null": "`null`", "string": "text"}[kind]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

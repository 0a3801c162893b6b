"""The command `aws` of a node: the AWS CLI's `aws SERVICE OPERATION --parameter VALUE …`, by boto3's own models.

It stands alone (a node runs it by its file name) and knows --query, --output text|json, --region and file:// values.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import boto3
import jmespath
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import Shape


def main(words: list[str]) -> int:
    """Exit status 0, 252 for a wrong command line, 253 without credentials or region, 254 when AWS refuses."""
    common = argparse.ArgumentParser(prog="aws", add_help=False, allow_abbrev=False)
    common.add_argument("service")
    common.add_argument("operation")
    common.add_argument("--query")
    common.add_argument("--output", choices=("json", "text"), default="json")
    common.add_argument("--region")
    options, rest = common.parse_known_args(words)
    try:
        client = boto3.client(options.service, region_name=options.region)
        method = options.operation.replace("-", "_")
        model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
        answer = getattr(client, method)(**parameters(model.input_shape, rest))
    except ClientError as error:
        print(f"\n{error}", file=sys.stderr)
        return 254
    except BotoCoreError as error:
        print(f"\n{error}", file=sys.stderr)
        return 253
    except (KeyError, ValueError, OSError) as error:
        print(f"\naws: error: {error}", file=sys.stderr)
        return 252
    answer.pop("ResponseMetadata", None)
    result = jmespath.search(options.query, answer) if options.query else answer
    if result is not None or options.output == "text":
        print(text(result) if options.output == "text" else json.dumps(result, indent=4, default=str))
    return 0


def parameters(shape: Shape | None, words: list[str]) -> dict[str, Any]:
    """`--instance-ids a b --no-dry-run` in the API's names and types."""
    members = {kebab(name): (name, member) for name, member in shape.members.items()} if shape else {}
    found: dict[str, Any] = {}
    while words:
        option, words = words[0].removeprefix("--"), words[1:]
        count = next((k for k, word in enumerate(words) if word.startswith("--")), len(words))
        values, words = words[:count], words[count:]
        name, member = members.get(option) or members[option.removeprefix("no-")]
        if member.type_name == "boolean":
            found[name] = option in members
        else:
            found[name] = typed(member, [read(value) for value in values])
    return found


def typed(shape: Shape, values: list[str]) -> Any:
    if values and values[0].lstrip().startswith(("{", "[")) and shape.type_name in ("list", "map", "structure"):
        return json.loads(" ".join(values))
    if shape.type_name == "list":
        return [typed(shape.member, [value]) for value in values]
    if shape.type_name in ("map", "structure"):
        return dict(pair.split("=", 1) for value in values for pair in value.split(","))
    (value,) = values
    if shape.type_name in ("integer", "long"):
        return int(value)
    return value.encode() if shape.type_name == "blob" else value


def read(value: str) -> str:
    return Path(value.removeprefix("file://")).read_text() if value.startswith("file://") else value


def kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def text(result: Any) -> str:
    """The CLI's text form: a list's items between tabs, a table's rows on lines, None for nothing."""
    if isinstance(result, dict):
        return text(list(result.values()))
    if isinstance(result, list):
        nested = any(isinstance(item, list | dict) for item in result)
        return ("\n" if nested else "\t").join(text(item) for item in result)
    return str(result)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

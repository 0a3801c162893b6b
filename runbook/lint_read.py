"""What the command line's lint is given: files, or a task definition by its ARN or its family:revision."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import AwsError
from .lint import LintError, read_version
from .lint_keys import Version
from .session import connect

_LARGEST = 1 << 20
_ARN = re.compile(r"arn:aws[a-z-]*:ecs:(?P<region>[a-z0-9-]+):\d{12}:task-definition/(?P<name>[\w-]{1,255}(:\d{1,9})?)")
_NAME = re.compile(r"[\w-]{1,255}:\d{1,9}")


class _Where(NamedTuple):
    """As much of the params as a connection needs."""

    cloud: str
    region: str
    source: str


def read(names: Sequence[str], *, cloud: str, region: str | None) -> dict[str, str | bytes]:
    """Name → content, of each file, or of the task definition of that name. LintError where it cannot be read."""
    texts: dict[str, str | bytes] = {}
    for name in names:
        if match := _ARN.fullmatch(name):
            texts[name] = _task_definition(_Where(cloud, match["region"], "the ARN"), match["name"])
        elif _NAME.fullmatch(name) and not Path(name).exists():
            if not region:
                raise LintError(f"{name}: no such file; for a task definition of that name say --region, or its ARN")
            texts[name] = _task_definition(_Where(cloud, region, "--region"), name)
        else:
            texts[name] = _file(name)
    return texts


def read_version_option(text: str | None) -> Version | None:
    """LintError for what is no version of the registry."""
    if text is None:
        return None
    version = read_version(text)
    if version is None or version[0] not in (2, 3):
        raise LintError(f"--version {text}: a version of the registry is expected, such as 2.8.3 or 3.1.1")
    return version


def _file(name: str) -> bytes:
    try:
        with Path(name).open("rb") as file:
            content = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        why = getattr(error, "strerror", None) or "it is no name of a file"
        raise LintError(f"{name}: cannot be read: {why}") from None
    if len(content) > _LARGEST:
        raise LintError(f"{name}: it is larger than 1 MiB, and no configuration")
    return content


def _task_definition(where: _Where, name: str) -> str:
    aws = connect(where, read_only=True)
    try:
        answer = aws.ecs.describe_task_definition(taskDefinition=name)
    except AwsError as error:
        if error.code != "ClientException":
            raise
        raise LintError(f"{name}: {where.region} has no such task definition") from error
    return json.dumps({"taskDefinition": answer["taskDefinition"]}, default=str)

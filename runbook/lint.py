"""What a registry will really do with a config.yml, an environment or a task definition: findings, before it starts.

Nothing here asks anybody: it is Distribution's parser and its rules, by version, on texts and values. Values of
settings are not repeated in findings: one of them may be a secret.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from . import lint_files, lint_parser, lint_settings
from .config import CONFIG_PATHS
from .finding import Finding, Findings
from .lint_container import around, credentials
from .lint_files import LintError
from .lint_keys import STOCK, Version

_STOCK_IMAGE = re.compile(
    r"(docker\.io/|public\.ecr\.aws/docker/|ghcr\.io/)?(library/|distribution/)?(registry|distribution)"
    r"(:(?P<tag>[\w.-]+))?(@sha256:[0-9a-f]{64})?"
)
_VERSION = re.compile(r"v?(\d{1,3})(\.\d{1,3})?(\.\d{1,3})?([+-][\w.+-]+)?")
_PROGRAM = re.compile(r"(^|[\s;&|/])htpasswd(\s|$)")


def lint(texts: Mapping[str, str | bytes], version: Version | None = None, *, replicas: int = 1) -> Findings:
    """Findings on files that together describe one registry: name → content, of a config.yml, a task definition in
    JSON, variables as in a .env file, htpasswd files.

    LintError for a text that is none of these, or two that contradict each other.
    """
    files = lint_files.sort(texts)
    found = [each for name, text in files.htpasswd.items() for each in lint_files.lint_htpasswd(name, text)]
    own = {"config": files.config, "file": files.config_name or "config.yml"}
    if files.task is not None:
        containers = registries(files.task)
        if not containers:
            raise LintError("the task definition has no container that runs a registry")
        for container in containers:
            found += _container(container, files.task, replicas, version, files.environment, **own)
    elif files.environment or files.config is not None:
        found += _settings(version, files.environment, replicas=replicas, **own)
    return Findings(found)


def lint_container(container: Mapping[str, Any], *, task: Mapping[str, Any], replicas: int = 1) -> Findings:
    """Findings on a container that runs a registry; it and its task as `describe_task_definition` tells them."""
    return Findings(_container(container, task, replicas, None, {}))


def lint_environment(
    version: Version | None,
    environment: Mapping[str, str],
    *,
    config: Mapping[str, Any] | None = None,
    secrets: Collection[str] = (),
    replicas: int = 1,
) -> Findings:
    """Findings on variables over a config.yml as YAML reads it (None: that of the stock image). `secrets` are the
    names of variables whose values nobody knows before the start. Without a version, what differs by version is left
    out."""
    return Findings(_settings(version, environment, config=config, secrets=secrets, replicas=replicas))


def registries(task: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers of a task definition that run a registry: by their image or their variables, or the only one."""
    containers = [each for each in lint_files.items(task, "containerDefinitions") if isinstance(each, Mapping)]
    named = [each for each in containers if _is_registry(each)]
    return named or (containers if len(containers) == 1 else [])


def image_version(image: str) -> Version | None:
    """Of a stock image, as far as its tag tells; None for another image, and for `latest`."""
    match = _STOCK_IMAGE.fullmatch(image)
    return read_version(match["tag"]) if match and match["tag"] else None


def read_version(text: str) -> Version | None:
    """2.8.3 → (2, 8, 3); None for what is no version."""
    match = _VERSION.fullmatch(text.strip())
    return tuple(int(part.lstrip(".")) for part in match.groups()[:3] if part) if match else None


def _is_registry(container: Mapping[str, Any]) -> bool:
    if _starts_a_program(container) is not None and not _program_is_registry(container):
        return False
    named = [*lint_files.pairs(container, "environment"), *lint_files.pairs(container, "secrets", "valueFrom")]
    return bool(_STOCK_IMAGE.fullmatch(_image(container))) or any(name.startswith("REGISTRY_") for name in named)


def _image(container: Mapping[str, Any]) -> str:
    return str(container.get("image") or "")


def _starts_a_program(container: Mapping[str, Any]) -> str | None:
    """The first word of an entry point of its own: another program than the image's."""
    entry = lint_files.words(container, "entryPoint")
    return entry[0] if entry else None


def _program_is_registry(container: Mapping[str, Any]) -> bool:
    words = [*lint_files.words(container, "entryPoint"), *lint_files.words(container, "command")]
    return any(re.search(r"(^|/)(registry|entrypoint\.sh|htpasswd)$", word) for word in words[:2])


def _container(
    container: Mapping[str, Any],
    task: Mapping[str, Any],
    replicas: int,
    version: Version | None,
    more: Mapping[str, str],
    *,
    config: Mapping[str, Any] | None = None,
    file: str = "config.yml",
) -> list[Finding]:
    stock = bool(_STOCK_IMAGE.fullmatch(_image(container)))
    told = version or image_version(_image(container))
    command = lint_files.words(container, "command")
    path = next((word for word in command if re.search(r"\.ya?ml$", word)), None)
    if told is None and not stock:  # an image of one's own: its command's path tells for which version it was made
        told = next(((major,) for major, at in CONFIG_PATHS.items() if at == path), None)
    environment = {**more, **lint_files.pairs(container, "environment")}
    secrets = {name for name in lint_files.pairs(container, "secrets", "valueFrom")}
    found = _programs(container, command)
    found += _config_path(told, path, stock) + around(container, task)
    if config is None and (not stock or (path and path not in CONFIG_PATHS.values())):
        what = "the config.yml that it reads is not known here: what the image's own file says is not looked at"
        found.append(
            Finding("note", f"image {_image(container)}", what, "give the config.yml beside the task definition")
        )
        known = False
    else:
        known = True
    rest = {"config": config, "secrets": secrets, "replicas": replicas, "file": file, "known": known}
    return found + _settings(told, environment, **rest, container=container, task=task)


def _programs(container: Mapping[str, Any], command: Sequence[str]) -> list[Finding]:
    words = " ".join([*lint_files.words(container, "entryPoint"), *command])
    if not _PROGRAM.search(words):
        return []
    where = "entryPoint" if lint_files.words(container, "entryPoint") else "command"
    what = "it starts htpasswd, and the image has no such program since 2020"
    return [Finding("error", where, what, "make the line with passlib, and deliver the file (notebook 03)", 18)]


def _config_path(version: Version | None, path: str | None, stock: bool) -> list[Finding]:
    if version is None or path is None:
        return []
    right = CONFIG_PATHS[2 if version[0] <= 2 else 3]
    if path == right or path not in CONFIG_PATHS.values():
        return []
    severity = "error" if stock else "warning"
    what = f"the registry will not start: version {version[0]} has its file in {right}"
    return [Finding(severity, "command", what, "give that path, or no command at all", 15)]


def _settings(
    version: Version | None,
    environment: Mapping[str, str],
    *,
    config: Mapping[str, Any] | None = None,
    secrets: Collection[str] = (),
    replicas: int = 1,
    file: str = "config.yml",
    known: bool = True,
    container: Mapping[str, Any] | None = None,
    task: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """`known` is false where the registry has a config.yml that nobody gave us: what it may say is not missed."""
    given = config is not None
    base = config if given else STOCK[3 if version and version[0] >= 3 else 2] if known else {}
    label = file if given else "the image's config.yml"
    applied = lint_parser.apply(version, base, environment, secrets, file=label, given=given)
    found = list(applied.findings)
    looked = lint_settings.look(applied, version, replicas, given)
    if not known:
        looked = [each for each in looked if not each.where.startswith(label)]
    found += looked
    found += _version(version, environment, stock=container is None or known)
    return found + credentials(applied, version, environment, secrets, container, task)


def _version(version: Version | None, environment: Mapping[str, str], stock: bool) -> list[Finding]:
    where = "version"
    if version is None:
        what = "not told: what differs between registry 2 and 3 is not looked at"
        return [Finding("note", where, what, "say --version, or pin the image's tag")]
    found = []
    if len(version) == 1:
        what = f"version {version[0]} is whatever is newest on the day of the pull"
        found.append(Finding("note", where, what, "pin the image's tag, such as registry:3.1.1"))
    elif (3, 0) <= version < (3, 1) or (3, 1, 0) <= version < (3, 1, 1):
        what = f"{'.'.join(map(str, version))} has known holes: CVE-2026-35172, CVE-2026-33540 or CVE-2026-41888"
        found.append(Finding("warning", where, what, "use registry 3.1.1 or newer", 33))
    if version in ((3, 0), (3, 0, 0)) and environment.get("OTEL_TRACES_EXPORTER") != "none":
        what = "3.0.0 sends traces to localhost:4318, and fills its log where nobody listens there"
        found.append(Finding("warning", where, what, "set OTEL_TRACES_EXPORTER=none", 31))
    return found


__all__ = ["LintError", "image_version", "lint", "lint_container", "lint_environment", "read_version", "registries"]

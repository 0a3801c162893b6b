"""What stands around the registry in a task definition: image, size, log, secrets, mounts, ports, credentials."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from . import lint_files
from .finding import Finding
from .lint_keys import S3_DRIVERS, Version
from .lint_parser import LATER, Applied
from .lint_settings import driver

# Names of variables whose values are secrets. The id of a key is none by itself, and goes with one.
_SECRET = re.compile(r"SECRET|PASSWORD|PASSWD$|ACCESSKEY|ACCESS_KEY|PRIVATE_?KEY|TOKEN|LICENSEKEY|APIKEY|CREDENTIAL")
_NO_SECRET = re.compile(r"^REGISTRY_AUTH_(TOKEN|HTPASSWD)|_(URI|URL|FILE|PATH|ARN|NAME)$|^AWS_(CONTAINER|EC2)_")
_PLAIN = "put it into Secrets Manager, and name it in the container's `secrets`"


def around(container: Mapping[str, Any], task: Mapping[str, Any]) -> list[Finding]:
    """Findings on the container and its task, whatever the registry's settings are."""
    found = []
    image = str(container.get("image") or "")
    tag = image.rpartition("/")[2].partition("@")[0].partition(":")[2]
    if "@sha256:" not in image and tag in ("", "latest"):
        what = "the image's tag is `latest`: which program it starts changes from pull to pull"
        found.append(Finding("warning", f"image {image}", what, "pin a version, such as registry:3.1.1"))
    if not container.get("logConfiguration"):
        what = "the container has no log driver: what the registry says stays on its node, and goes with it"
        found.append(Finding("warning", "logConfiguration", what, "set awslogs (notebook 02)", 22))
    if not container.get("memory") and not task.get("memory"):
        what = "nothing limits the memory that it takes from the other containers of its node"
        found.append(Finding("warning", "memory", what, "set memory"))
    if container.get("privileged") is True:
        found.append(Finding("warning", "privileged", "the registry needs no privileges", "take it out"))
    return found


def credentials(
    applied: Applied,
    version: Version | None,
    environment: Mapping[str, str],
    secrets: Collection[str],
    container: Mapping[str, Any] | None,
    task: Mapping[str, Any] | None,
) -> list[Finding]:
    """Secrets that everybody can read; which credentials S3 is shown; and, in a container, its mounts and ports."""
    found = _plain(applied, environment)
    if driver(applied, version) in S3_DRIVERS:
        found += _source(applied, version, {**environment, **dict.fromkeys(secrets, "")}, container, task)
    if container is not None:
        found += _mount(applied, container) + _port(applied, container, task or {})
    return found


def _plain(applied: Applied, environment: Mapping[str, str]) -> list[Finding]:
    found = []
    for name in sorted(environment):
        if environment[name] and _SECRET.search(name.upper()) and not _NO_SECRET.search(name.upper()):
            what = "a secret stands in a plain variable: whoever may read the task definition reads it"
            found.append(Finding("warning", name, what, _PLAIN))
    for path in (
        ("storage", "s3", "accesskey"),
        ("storage", "s3", "secretkey"),
        ("http", "secret"),
        ("redis", "password"),
    ):
        where = applied.where(*path)
        if applied.get(*path) not in (None, "", LATER) and where.startswith(applied.file):
            what = "a secret stands in a file: whoever has it, or the image that it is in, reads it"
            found.append(Finding("warning", where, what, f"take it out of the file; {_PLAIN}"))
    return found


def _source(
    applied: Applied,
    version: Version | None,
    names: Mapping[str, str],
    container: Mapping[str, Any] | None,
    task: Mapping[str, Any] | None,
) -> list[Finding]:
    """Distribution: static keys, then the chain of its AWS SDK: environment, file, task role (3), instance role."""
    name = driver(applied, version) or "s3"
    keys = [applied.get("storage", name, key) for key in ("accesskey", "secretkey")]
    role = bool((task or {}).get("taskRoleArn"))
    where = f"storage.{name}"
    if all(keys):
        what = "S3 is shown the access key of the settings" + (", and the task's role is not used" if role else "")
        return [Finding("note", where, what, "a role needs no key (notebook 01)")]
    if any(keys):
        missing = "secretkey" if keys[0] else "accesskey"
        what = f"one half of an access key is not used: {missing} is missing"
        return [Finding("error", applied.where("storage", name, missing), what, "set both, or none and use a role")]
    if "AWS_ACCESS_KEY_ID" in names and "AWS_SECRET_ACCESS_KEY" in names:
        return [Finding("note", where, "S3 is shown the access key of AWS_ACCESS_KEY_ID", "a role needs no key")]
    if container is None:
        return [Finding("note", where, "no access key is set: S3 is shown a role", "nothing, if there is one")]
    fargate = "FARGATE" in lint_files.words(task or {}, "requiresCompatibilities")
    if version and version[0] == 2 and (role or fargate):
        what = "registry 2 does not know task roles: it shows S3 the role of its node, or nothing"
        remedy = "use registry 3.1.1 or newer, or the instance's role"
        return [Finding("error", "taskRoleArn", what, remedy, 9)]
    if role:
        return [Finding("note", "taskRoleArn", "S3 is shown the task's role", "nothing, if it may use the bucket")]
    what = "no access key and no task role: S3 is shown the role of the node"
    if version and version[0] == 2:
        what += ", which registry 2.8 asks for without IMDSv2"
        return [Finding("note", where, what, "nodes that require IMDSv2 need registry 3, and a hop limit of 2", 10)]
    return [Finding("note", where, what, "nothing, if it may use the bucket")]


def _mount(applied: Applied, container: Mapping[str, Any]) -> list[Finding]:
    path = applied.get("auth", "htpasswd", "path")
    if not isinstance(path, str) or not path.startswith("/"):
        return []
    mounts = [each for each in lint_files.items(container, "mountPoints") if isinstance(each, Mapping)]
    targets = [str(each.get("containerPath") or "").rstrip("/") for each in mounts]
    if any(path == each or path.startswith(f"{each}/") for each in targets):
        return []
    where = applied.where("auth", "htpasswd", "path")
    what = "nothing is mounted there: where the file is missing, the registry makes one with a user of its own"
    return [Finding("warning", where, what, "mount the folder of the htpasswd file", 17)]


def _port(applied: Applied, container: Mapping[str, Any], task: Mapping[str, Any]) -> list[Finding]:
    addr = applied.get("http", "addr")
    ports = [
        each.get("containerPort") for each in lint_files.items(container, "portMappings") if isinstance(each, Mapping)
    ]
    if not isinstance(addr, str) or not (match := re.fullmatch(r"(.*):(\d{1,5})", addr)):
        return []
    where = applied.where("http", "addr")
    if re.match(r"localhost$|127\.|\[?::1", match[1]):
        what = "the registry listens on the container's own loopback address, where no client comes"
        return [Finding("error", where, what, f"set :{match[2]}")]
    if ports and int(match[2]) not in ports and task.get("networkMode") != "host":
        what = f"the registry listens on port {match[2]}, and the container's port mappings lead elsewhere"
        return [Finding("error", where, what, "give both the same port")]
    return []

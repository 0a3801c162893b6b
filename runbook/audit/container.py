"""The task's containers: what stands in their environment, what they may do on the node, where their log goes."""

import re
from collections.abc import Iterator

from .. import lint
from ..finding import Finding
from .deployment import Deployment, redis, variables
from .rules import found

# Names under which secrets are kept. AWS's own rule knows three names, and none of the registry's:
# https://docs.aws.amazon.com/config/latest/developerguide/ecs-no-environment-secrets.html
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PASSWD|ACCESS_?KEY|TOKEN|PRIVATE_?KEY|ENGINE_AUTH_DATA", re.IGNORECASE)
_NO_SECRET = re.compile(r"_(FILE|PATH|REALM|SERVICE|ISSUER|ROOTCERTBUNDLE|EXPIRY|AUTOREDIRECT|JWKS)$", re.IGNORECASE)
_KEY_ID = re.compile(r"A[KS]IA[A-Z0-9]{16}")
_MOVES = re.compile(r"latest|edge|v?\d+(\.\d+)?")


def containers(d: Deployment) -> dict[str, dict]:
    family = d.title.rpartition(" ")[2]
    return {f"container {each['name']} of {family}": each for each in d.task["containerDefinitions"]}


def environment(d: Deployment, where: str, container: dict) -> Iterator[Finding]:
    given = variables(container)
    if names := _secrets(given):
        yield found("secret-in-environment", where, names=", ".join(sorted(names)))
    if container.get("environmentFiles"):
        yield found("environment-file", where)


def image(d: Deployment, where: str, container: dict) -> Iterator[Finding]:
    name = container["image"]
    if "@sha256:" in name:
        return
    _, _, tag = name.rpartition("/")[2].partition(":")
    moves = not tag or _MOVES.fullmatch(tag)
    yield found("image-moves" if moves else "image-no-digest", where, image=name)


def rights(d: Deployment, where: str, container: dict) -> Iterator[Finding]:
    if container.get("privileged"):
        yield found("privileged", where)
    if not container.get("readonlyRootFilesystem"):
        yield found("root-writable", where)
    capabilities = (container.get("linuxParameters") or {}).get("capabilities") or {}
    dropped = "ALL" in capabilities.get("drop", []) and not capabilities.get("add")
    if not dropped:
        yield found("capabilities", where)
    # A container that only prepares the volume has to be root; without capabilities it is so by name.
    is_registry = container["name"] == d.registry["name"]
    if container.get("user", "0").partition(":")[0] in ("0", "root") and (is_registry or not dropped):
        yield found("root-user", where)


def log(d: Deployment, where: str, container: dict) -> Iterator[Finding]:
    configured = container.get("logConfiguration") or {}
    if configured.get("logDriver", "none") in ("none", "json-file"):
        yield found("no-log", where)
    elif configured["logDriver"] == "awslogs" and (configured.get("options") or {}).get("mode") != "non-blocking":
        yield found("log-blocks", where)


def settings(d: Deployment, where: str, container: dict) -> Iterator[Finding]:
    """What the lint says of the registry. What is asked of every container is said once."""
    if container["name"] != d.registry["name"]:
        return
    names = _secrets(variables(container))
    for each in lint.lint_container(container, task=d.task, replicas=d.service["desiredCount"]):
        is_plain = each.where in names and "Secrets Manager" in each.remedy
        moves = each.where.startswith("image ") and each.severity == "warning"
        if not (is_plain or moves or each.where in ("logConfiguration", "privileged")):
            yield each._replace(where=f"{where}, {each.where}")


def _secrets(given: dict[str, str]) -> set[str]:
    names = {name for name, value in given.items() if value and _is_secret(name, value)}
    if redis(given).get("password"):
        names |= {"REGISTRY_REDIS", "REGISTRY_REDIS_PASSWORD"} & given.keys()
    return names


def _is_secret(name: str, value: str) -> bool:
    return bool(_KEY_ID.fullmatch(value) or (_SECRET_NAME.search(name) and not _NO_SECRET.search(name)))


CHECKS = (environment, image, rights, log, settings)

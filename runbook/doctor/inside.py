"""Behind the balancer: tasks, their log, configuration, credentials, S3 and the cache."""

import itertools
import re

from ..lint import lint_container
from . import signs
from .bucket import credentials, storage
from .descriptors import cache
from .diagnosis import Cause
from .logins import users
from .patient import Patient

__all__ = ["cache", "configuration", "credentials", "log", "storage", "tasks"]

_SAID = 3  # lines of a log that nobody understands
_HTPASSWD = signs.SIGNS[0].words
_WHY = re.compile(r"level=(?:error|fatal|panic)|^panic|error:", re.IGNORECASE)
_STACK = re.compile(r"goroutine \d+ |Usage:$")


def tasks(patient: Patient) -> Cause | None:
    """Why the tasks of a revision end by themselves, as ECS says it; what no station explains is failure 22."""
    if not patient.failed:
        return None
    task = patient.failed[0]
    reasons = [task.get("stoppedReason", ""), *(each.get("reason", "") for each in task["containers"])]
    for reason in filter(None, reasons):
        if "ResourceInitializationError" in reason and re.search("secret|ssm", reason):
            return Cause.of(21, _stopped(patient), _without_ids(reason))
        if _HTPASSWD.search(reason):
            return Cause.of(18, _stopped(patient), _without_ids(reason))
        if "CannotPull" in reason:
            return Cause(
                "the image cannot be pulled",
                (_stopped(patient), _without_ids(reason)),
                f"name an image that the nodes can pull: `image` in {patient.p.source}",
                "02_create_a_task_definition",
            )
    if any(look(patient) for look in (log, configuration, credentials, storage, cache)):
        return None
    return Cause.of(22, *dict.fromkeys([_stopped(patient), *map(_without_ids, filter(None, reasons))]), *_last(patient))


def log(patient: Patient) -> Cause | None:
    """The first line of a container that ended, or of a registry that runs, which is the sign of one failure."""
    for sign in signs.SIGNS:
        for line in (*patient.failed_lines, *patient.running_lines):
            if sign.words.search(line.text) and (sign.lasting or line.is_recent):
                return Cause.of(sign.row, _logged(line, sign.words))
    alone = [line for line in patient.running_lines if signs.NO_HTTP_SECRET.search(line.text)]
    if alone and patient.replicas > 1:
        several = f"{len(alone)} of {patient.replicas} registries made up a secret of their own"
        return Cause.of(1, several, _logged(alone[0], signs.NO_HTTP_SECRET))
    return None


def configuration(patient: Patient) -> Cause | None:
    """What the lint calls an error in the task definition; then the users' lines."""
    if patient.registry is None:
        return None
    found = lint_container(patient.registry, task=patient.suspect, replicas=patient.replicas)
    for finding in found:
        # A name that nobody reads has no other symptom than that.
        if finding.row and (finding.severity == "error" or finding.row == 14 and finding.severity == "warning"):
            return Cause.of(finding.row, f"{finding.where}: {finding.what}")
    return users(patient)


def _stopped(patient: Patient) -> str:
    """Which tasks ended, as ECS counts them."""
    task = patient.failed[0]
    same = sum(each["taskDefinitionArn"] == task["taskDefinitionArn"] for each in patient.failed)
    family = task["taskDefinitionArn"].rsplit("/")[-1]
    codes = [f"{each['name']} {each['exitCode']}" for each in task["containers"] if each.get("exitCode")]
    ended = f", exit code of {', '.join(codes)}" if codes else ""
    back = "" if patient.primary.get("taskDefinition") == task["taskDefinitionArn"] else "; ECS has rolled back"
    return f"{same} tasks of {family} ended by themselves ({task.get('stopCode')}{ended}){back}"


def _last(patient: Patient) -> list[str]:
    """The last lines before a program prints its stacks, or how it is used: of those that say why, if there are any."""
    lines = list(itertools.takewhile(lambda line: not _STACK.match(line.text), patient.failed_lines))
    why = [line for line in lines if _WHY.search(line.text)] or lines
    return [_logged(line, signs.ANY) for line in why[-_SAID:]] or [f"no line in log group {patient.p.log_group}"]


def _logged(line, words: re.Pattern) -> str:
    return f"log of {line.container}: {signs.quote(line.text, words)}"


def _without_ids(reason: str) -> str:
    """ECS's sentence with names for ARNs."""
    said = re.sub(r"arn:aws:[\w-]+:[\w-]*:\d*:([\w-]+[:/])?([^\s:]+)\S*", r"\2", reason)
    return said if len(said) <= 400 else f"{said[:400]} …"

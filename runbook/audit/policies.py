"""What policies allow, and what the registry needs of S3.

Conditions are not evaluated: an Allow with one counts, a Deny with one does not.
"""

import fnmatch
import re
from collections.abc import Iterable

from .. import node_role
from ..s3_policy import BUCKET_ACTIONS, OBJECT_ACTIONS

# AWS's own, whose wide resources are as AWS wants them.
_KNOWN = {
    node_role.SSM,
    node_role.CLOUDWATCH_AGENT,
    node_role.ECS,
    "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy",
}
# Services whose data a policy ought to name.
_OF_DATA = ("s3", "secretsmanager", "kms", "iam")
_HARMLESS = {"s3:listallmybuckets", "s3:getbucketlocation"}
_EVERYTHING = re.compile(r"\*|arn:aws[\w-]*:s3:::\*(/\*)?")
_PARTITION = re.compile(r"^arn:aws[\w-]*:")


def statements(document: dict) -> list[dict]:
    return many(document.get("Statement", []))


def many(value) -> list:
    return value if isinstance(value, list) else [value]


def allowed(documents: Iterable[dict], action: str, resource: str) -> bool:
    concerned = [each for document in documents for each in statements(document) if _concerns(each, action, resource)]
    denied = any(each["Effect"] == "Deny" and "Condition" not in each for each in concerned)
    return not denied and any(each["Effect"] == "Allow" for each in concerned)


def of_s3(documents: Iterable[dict], arn: str) -> tuple[list[str], list[str]]:
    """The actions that the registry needs on the bucket of that ARN: those that are allowed, and those that are not."""
    documents = list(documents)
    needed = [(action, arn) for action in BUCKET_ACTIONS]
    needed += [(action, f"{arn}/docker/registry/v2/x") for action in OBJECT_ACTIONS]
    granted = {action for action, resource in needed if allowed(documents, action, resource)}
    return [action for action, _ in needed if action in granted], [a for a, _ in needed if a not in granted]


def buckets(documents: Iterable[dict]) -> set[str]:
    """Names of the buckets that are named where something is allowed."""
    arns = [
        arn
        for document in documents
        for each in statements(document)
        if each["Effect"] == "Allow"
        for arn in many(each.get("Resource", []))
    ]
    named = [re.fullmatch(r"arn:aws[\w-]*:s3:::([a-z0-9.-]{3,63})(/.*)?", arn) for arn in arns]
    return {each[1] for each in named if each}


def width(arn: str | None, document: dict) -> tuple[bool, list[str], list[str]]:
    """Whether it allows everything on everything; else the services of which it allows all actions, and those of
    which it allows some on every resource. `arn` is the policy's, if it has one."""
    if arn and _PARTITION.sub("arn:aws:", arn) in _KNOWN:
        return False, [], []
    wide, everywhere = set(), set()
    for each in statements(document):
        if each["Effect"] != "Allow":
            continue
        actions = [action.lower() for action in many(each.get("Action", []))]
        resources = set(many(each.get("Resource", [])))
        if {"*", "*:*"} & set(actions) and "*" in resources:
            return True, [], []
        wide |= {action[:-2] for action in actions if action.endswith(":*")}
        if any(map(_EVERYTHING.fullmatch, resources)) and "Condition" not in each:
            services = {action.partition(":")[0] for action in actions if action not in _HARMLESS}
            everywhere |= services & set(_OF_DATA)
    return False, sorted(wide), sorted(everywhere)


def _concerns(statement: dict, action: str, resource: str) -> bool:
    return _named(statement, "Action", action.lower(), str.lower) and _named(statement, "Resource", resource, str)


def _named(statement: dict, key: str, asked: str, case) -> bool:
    if key in statement:
        return any(_matches(case(each), asked) for each in many(statement[key]))
    return not any(_matches(case(each), asked) for each in many(statement.get(f"Not{key}", [])))


def _matches(pattern: str, text: str) -> bool:
    """IAM's wildcards are `*` and `?` alone."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))

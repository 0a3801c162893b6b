"""What IAM statements say of one action, as far as it can be told without their conditions."""

import json
import re
from collections.abc import Iterable


def statements(document: dict | str) -> list[dict]:
    found = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    return found if isinstance(found, list) else [found]


def allowed(documents: Iterable[dict], action: str, resource: str) -> bool:
    """Whether one statement allows it and none without a condition denies it."""
    concerned = [each for document in documents for each in statements(document) if concerns(each, action, resource)]
    if any(each["Effect"] == "Deny" and not each.get("Condition") for each in concerned):
        return False
    return any(each["Effect"] == "Allow" for each in concerned)


def denies(document: dict, principals: set[str], action: str, resource: str) -> bool:
    """Whether a bucket's policy denies it, without a condition, to one of these ARNs."""
    return any(
        each["Effect"] == "Deny"
        and not each.get("Condition")
        and _whom(each["Principal"]) & (principals | {"*"})
        and concerns(each, action, resource)
        for each in statements(document)
        if "Principal" in each
    )


def _whom(principal: str | dict) -> set[str]:
    return _many(principal if isinstance(principal, str) else principal.get("AWS", []))


def concerns(statement: dict, action: str, resource: str) -> bool:
    return _names(statement, "Action", action.lower()) and _names(statement, "Resource", resource)


def _names(statement: dict, key: str, asked: str) -> bool:
    negated = f"Not{key}" in statement
    patterns = _many(statement.get(f"Not{key}" if negated else key, "*"))
    patterns = {each.lower() for each in patterns} if key == "Action" else patterns
    return any(_matches(each, asked) for each in patterns) != negated


def _many(value: str | list[str]) -> set[str]:
    return {value} if isinstance(value, str) else set(value)


def _matches(pattern: str, text: str) -> bool:
    words = {"*": ".*", "?": "."}
    return re.fullmatch("".join(words.get(each, re.escape(each)) for each in pattern), text, re.DOTALL) is not None

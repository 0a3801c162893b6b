"""IAM's policy evaluation, of identity policies: action, resource and conditions; an explicit Deny wins.

A condition that is not understood fails closed: its Allow does not count, its Deny does. Policy variables
(`${aws:username}`), permissions boundaries, service control policies and session policies are not evaluated.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable, Mapping

Context = Mapping[str, str | list[str]]
"""What conditions look at: keys in lower case."""


def allowed(documents: Iterable[str | dict], action: str, resource: str, context: Context) -> bool:
    """Whether the documents together allow it."""
    statements = [
        each
        for document in documents
        for each in many((json.loads(document) if isinstance(document, str) else document)["Statement"])
        if _concerns(each, action, resource)
    ]
    denied = any(each["Effect"] == "Deny" and _met(each, context, unknown=True) for each in statements)
    return not denied and any(each["Effect"] == "Allow" and _met(each, context, unknown=False) for each in statements)


def many(value) -> list:
    return value if isinstance(value, list) else [value]


def _concerns(statement: dict, action: str, resource: str) -> bool:
    for key, asked in (("Action", action.lower()), ("Resource", resource)):
        lower = str.lower if key == "Action" else str
        if key in statement:
            if not any(matches(lower(each), asked) for each in many(statement[key])):
                return False
        elif any(matches(lower(each), asked) for each in many(statement[f"Not{key}"])):
            return False
    return True


def matches(pattern: str, text: str) -> bool:
    """IAM's wildcards: `*` any characters, `?` exactly one."""
    return _compiled(pattern).fullmatch(text) is not None


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern:
    return re.compile("".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern), re.DOTALL)


def _same(pattern: str, text: str) -> bool:
    return pattern == text


def _same_word(pattern: str, text: str) -> bool:
    return pattern.lower() == text.lower()


_TESTS: dict[str, Callable[[str, str], bool]] = {
    "ArnEquals": matches,
    "ArnLike": matches,
    "Bool": _same_word,
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same_word,
    "StringLike": matches,
}


def _met(statement: dict, context: Context, *, unknown: bool) -> bool:
    for operator, pairs in statement.get("Condition", {}).items():
        quantifier, _, plain = operator.rpartition(":")
        test = _TESTS.get(plain)
        if test is None or quantifier not in ("", "ForAllValues", "ForAnyValue"):
            return unknown
        for key, wanted in pairs.items():
            patterns = [str(each) for each in many(wanted)]
            seen = many(context.get(key.lower(), []))
            found = [any(test(pattern, each) for pattern in patterns) for each in seen]
            if not (all(found) if quantifier == "ForAllValues" else any(found)):
                return False
    return True

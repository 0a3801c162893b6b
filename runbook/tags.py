"""Tags: one says whose a thing is; the extra ones of the params are kept as they are; all others are someone else's.

A thing is found by its ownership tag, so that one cannot differ: without it the thing is not ours. What other people
tag it with beside, by hand or by a policy of their organisation, is left alone.
"""

from collections.abc import Iterable, Mapping

from .params import Params


def want(p: Params) -> dict[str, dict]:
    """The part of a `want_x` that says the extra tags; nothing where the params ask for none."""
    return {"Tags": dict(p.extra_tags)} if p.extra_tags else {}


def found(p: Params, seen: Iterable[Mapping[str, str]] | Mapping[str, str] | None) -> dict[str, dict]:
    """The same part of what is, from the tags as a service tells them: [{Key, Value}], [{key, value}] or a mapping."""
    there = read(seen)
    return {"Tags": {key: there.get(key) for key in p.extra_tags}} if p.extra_tags else {}


def differ(p: Params, found: Mapping) -> bool:
    """Whether one of the extra tags is missing or has another value in what `found` above is a part of."""
    return found.get("Tags", {}) != p.extra_tags


def read(seen: Iterable[Mapping[str, str]] | Mapping[str, str] | None) -> dict[str, str]:
    """Tags by key, whichever shape the service has for them."""
    if isinstance(seen, Mapping):
        return dict(seen)
    return {tag.get("Key") or tag["key"]: tag["Value"] if "Key" in tag else tag["value"] for tag in seen or []}


def pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As most services take them; ECS writes the two words small."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def small_pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """As ECS takes them."""
    return [{"key": key, "value": value} for key, value in tags.items()]

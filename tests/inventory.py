"""The whole account as moto holds it in this process: every object of every backend in use, comparable and readable.

Nothing here knows what the runbook makes: whatever can be reached from moto's backends is listed, in all services and
regions. What AWS makes up (ids, times, passwords, addresses) is put into words that two equal accounts have in common.
"""

import datetime
import enum
import functools
import hashlib
import ipaddress
import json
import re
import threading
import types
import uuid
from collections import deque
from collections.abc import Iterator, Mapping

from moto.core.base_backend import BackendDict, BaseBackend

# What is no part of the account, and why.
LEFT_OUT = {  # class of moto → its attributes
    "FakeZone": {"rr_changes"},  # a log of what was asked for; the records are listed
    "Route53Backend": {"delegation_sets"},  # one for each zone, under a name made by chance, as are those that follow
    "DelegationSet": {"location"},
    "User": {"id"},
    "InstanceProfile": {"id"},
    "NetworkInterface": {"mac_address"},
    "Group": {"mark"},
    "IAMBackend": {"aws_managed_policies"},  # a second list of managed_policies
    "Key": {"key_material"},  # of KMS: random bytes
    "Cluster": {"running_tasks_count", "pending_tasks_count"},  # moto's sums; the tasks themselves are listed
    "Service": {"events"},  # ECS's words on what it did
    "SimpleSystemManagerBackend": {"deleted"},  # when a name was last deleted
}
GONE = {  # class of moto → whether AWS only still shows it for a while, as a record of what was
    "Instance": lambda each: each.state == "terminated",
    "Reservation": lambda each: all(instance.state == "terminated" for instance in each.instances),
    # The primary one goes with its instance; moto leaves it.
    "NetworkInterface": lambda each: each.instance is not None and each.instance.state == "terminated",
    "Task": lambda each: each.last_status == "STOPPED",
    "Service": lambda each: each.status == "INACTIVE",
    "Cluster": lambda each: each.status == "INACTIVE",
}

_CODE = (type, types.ModuleType, types.FunctionType, types.MethodType, types.GeneratorType, functools.partial)
_LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.Thread, threading.Event)
_SCALARS = (type(None), bool, int, float, str)
_TEXTS = (uuid.UUID, ipaddress._IPAddressBase)
_EPOCHS = (1_500_000_000, 5_000_000_000)  # seconds
_NAMED_BY = ("Name", "name", "cidr_block")
_SECRETS = {"secret_string", "secret_access_key"}
_MADE_UP = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?"), "«time»"),
    (re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}"), "«bcrypt»"),
    (re.compile(r"(:secret:[\w/+=.@-]+)-[A-Za-z0-9]{6}\b"), r"\1-‹id›"),
    (re.compile(r"\becs-svc/\d+"), "ecs-svc/‹id›"),
    (re.compile(r"(:scalable-target/)\w+"), r"\1‹id›"),
    (re.compile(r"\b(?:10|54|172)(?:([.-])\d{1,3}){3}\b(?!/)"), "‹address›"),
    (re.compile(r'\{"id": "", "holder": "[^"]*", "process": "[^"]*"\}'), "«a lease given back»"),
    (re.compile(r'\{"id": "[^"]+", "holder": "[^"]*", "process": "[^"]*"\}'), "«a lease»"),
    (re.compile(r"\.[0-9a-f]{6}\.(\w+\.cache\.amazonaws)"), r".‹id›.\1"),
    (re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL), "«PEM»"),
)
# A resource's id in AWS's forms; what stands before the part that chance makes is its kind.
_ID = re.compile(
    r"\b(?P<kind>[a-z]+-)[0-9a-f]{8}(?:[0-9a-f]{9})?\b"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
    r"|\b[0-9a-f]{16,}\b|\b[A-Z0-9]{20,}\b|\b(?=[a-z]*\d)[a-z0-9]{30,}\b|\b\d{13,}\b"
)


def inventory() -> dict:
    """Service, account and region → what moto's backend of it holds."""
    backends = dict(_backends())
    places = _places(backends.values())
    held = {title: _plain(backend, places) for title, backend in backends.items()}
    return _in_words({title: each for title, each in held.items() if not _is_bare(each)})


def difference(before: dict, after: dict) -> list[str]:
    """What `after` has more (+), less (-) or otherwise, one line each with the place where it stands."""
    return list(_differences("", before, after))


def _backends() -> Iterator[tuple[str, BaseBackend]]:
    for kept in BackendDict._instances:
        for account, region, backend in kept.iter_backends():
            yield f"{kept.service_name} {account} {region}", backend


def _is_bare(backend: dict) -> bool:
    """Whether it holds nothing: moto makes a backend when it is first asked for, and some make those of others."""
    parts = [part for part in backend.values() if isinstance(part, (dict, list))]
    return not any(part.get("tags", True) if isinstance(part, dict) and part else part for part in parts)


def _is_container(value) -> bool:
    return isinstance(value, (Mapping, list, tuple, set, frozenset, deque))


def _is_object(value) -> bool:
    scalar = isinstance(value, (*_SCALARS, *_TEXTS, bytes, enum.Enum, datetime.date))
    return not scalar and not _is_container(value) and not isinstance(value, (*_CODE, *_LOCKS))


def _attributes(value) -> dict:
    left_out = {name for each in type(value).__mro__ for name in LEFT_OUT.get(each.__name__, ())}
    found = vars(value) if hasattr(value, "__dict__") else {}
    slots = {name for each in type(value).__mro__ for name in getattr(each, "__slots__", ())}
    found = found | {name: getattr(value, name) for name in slots if hasattr(value, name)}
    return {name: each for name, each in found.items() if name not in left_out}


def _is_gone(value) -> bool:
    return any(GONE[each.__name__](value) for each in type(value).__mro__ if each.__name__ in GONE)


def _parts(value) -> list:
    """What it is made of."""
    content = value.values() if isinstance(value, Mapping) else value if _is_container(value) else ()
    return [*content, *_attributes(value).values()]


def _places(backends) -> dict[int, int]:
    """Each object by its identity → that of what it is listed in: of all that know it, the nearest to a backend."""
    places = {id(backend): 0 for backend in backends}
    queue, containers = deque(backends), set()
    while queue:
        value = queue.popleft()
        for part in _parts(value):
            if _is_container(part) and id(part) not in containers:
                containers.add(id(part))
                queue.append(part)
            elif _is_object(part) and id(part) not in places:
                places[id(part)] = id(value)
                queue.append(part)
    return places


def _plain(value, places, within=()):
    """The same of mappings, lists and scalars; an object that is listed elsewhere is a reference."""
    if isinstance(value, _LOCKS):
        return f"«{type(value).__name__}»"
    if isinstance(value, _CODE):
        return f"«{getattr(value, '__name__', 'code')}»"
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value.value, _SCALARS) else value.name
    if isinstance(value, datetime.date):
        return "«time»"
    if isinstance(value, _TEXTS):
        return str(value)
    if isinstance(value, bytes):
        if value.startswith(b"-----BEGIN "):
            return value.decode()
        return f"«{len(value)} bytes, {hashlib.sha256(value).hexdigest()[:10]}»"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "«time»" if _EPOCHS[0] < (value / 1000 if value > _EPOCHS[1] else value) < _EPOCHS[1] else value
    if isinstance(value, _SCALARS):
        return value
    if hasattr(value, "read") and hasattr(value, "seek"):
        return _plain(_content(value), places)
    if id(value) in within:
        return "→ itself"
    if _is_object(value) and within and places.get(id(value)) != within[-1]:
        return _reference(value)
    inside = (*within, id(value))
    attributes = {name: _plain(each, places, inside) for name, each in _attributes(value).items()}
    if isinstance(value, Mapping):
        content = {_key(key): _plain(each, places, inside) for key, each in value.items() if not _is_gone(each)}
        # moto's dictionaries keep the key of what is gone, and get one of what was only asked for.
        return {key: each for key, each in content.items() if each not in ({}, [])} | attributes
    if _is_container(value):
        content = [_plain(each, places, inside) for each in value if not _is_gone(each)]
        return sorted(content, key=_order) if isinstance(value, (set, frozenset)) else content
    return attributes


def _key(key) -> str:
    return key if isinstance(key, str) else str(key)


def _content(file) -> bytes:
    at = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(at)
    return content if isinstance(content, bytes) else content.encode()


def _reference(value) -> str:
    found = _attributes(value)
    name = next((found[key] for key in ("arn", "name", "id", "region_name") if isinstance(found.get(key), str)), "")
    return f"→ {type(value).__name__} {name}"


def _in_words(tree) -> dict:
    names = {}
    _find_names(tree, names)
    return _translated(tree, functools.partial(_ID.sub, lambda match: _label(match, names)))


def _find_names(tree, names):
    """For each id the name of what has it as its key or as its `id`."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        if isinstance(value, dict):
            name = next((value[each] for each in _NAMED_BY if isinstance(value.get(each), str) and value[each]), None)
            for given in (key, value.get("id")):
                if name and isinstance(given, str) and _ID.fullmatch(given) and not _ID.search(name):
                    names.setdefault(given, name)
        if isinstance(value, (dict, list)):
            _find_names(value, names)


def _label(match, names) -> str:
    name = names.get(match[0])
    return f"{match['kind'] or ''}‹{name or 'id'}›"


def _translated(tree, words):
    if isinstance(tree, str):
        return _words(tree, words)
    if isinstance(tree, list):
        content = [_translated(each, words) for each in tree]
        ordered = all(isinstance(each, str) and not each.startswith("→") for each in content)  # a command's words
        return content if ordered else sorted(content, key=_order)
    if not isinstance(tree, dict):
        return tree
    made = {}
    for key, value in tree.items():
        value = _secret(value) if key in _SECRETS and isinstance(value, str) else value
        made.setdefault(_words(key, words), []).append(_translated(value, words))
    # Several of one name, told by ids alone, are numbered by what they are.
    numbered = {}
    for key, values in sorted(made.items()):
        for number, value in enumerate(sorted(values, key=_order), 1):
            numbered[key if number == 1 else f"{key} #{number}"] = value
    return numbered


def _order(value) -> str:
    return json.dumps(value, sort_keys=True)


def _words(text: str, words) -> str:
    for pattern, what in _MADE_UP:
        text = pattern.sub(what, text)
    return words(text)


def _secret(text: str) -> str:
    """A secret's form without what chance has made of it."""
    try:
        held = json.loads(text)
    except ValueError:
        held = None
    if isinstance(held, dict):
        return f"«secret with {', '.join(sorted(held))}»"
    lines = [line.partition(":") for line in text.splitlines()]
    users = [user for user, colon, _ in lines if colon]
    return f"«secret of {', '.join(users)}»" if users else f"«secret of {len(text)} characters»"


def _differences(place: str, before, after) -> Iterator[str]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            where = f"{place} / {key}" if place else key
            if key not in after:
                yield f"- {where}: {_short(before[key])}"
            elif key not in before:
                yield f"+ {where}: {_short(after[key])}"
            else:
                yield from _differences(where, before[key], after[key])
        return
    if isinstance(before, list) and isinstance(after, list):
        gone, more = _without(before, after), _without(after, before)
        if len(gone) == len(more) == 1:
            yield from _differences(f"{place} / *", gone[0], more[0])
        elif not gone and not more:
            yield f"  {place}: in another order, {_short(before)} → {_short(after)}"
        else:
            yield from (f"- {place}: {_short(each)}" for each in gone)
            yield from (f"+ {place}: {_short(each)}" for each in more)
        return
    yield f"  {place}: {_short(before)} → {_short(after)}"


def _without(one: list, other: list) -> list:
    left = list(other)
    return [each for each in one if each not in left or left.remove(each)]


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"

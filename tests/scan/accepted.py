"""The findings that are accepted, each with its reason (accepted.yml): no other may be there, and none may be gone."""

from fnmatch import fnmatchcase
from pathlib import Path

import yaml

_LIST = Path(__file__).with_name("accepted.yml")
_SPEAKING = Path(__file__).with_name("speaking.txt")


def entries(scanner, *, variant=None):
    """The list's entries for the scanner; one that names a variant is for that alone."""
    listed = yaml.safe_load(_LIST.read_text())[scanner]
    return [entry for entry in listed if entry.get("variant", variant) == variant]


def speaking(scanner):
    """The checks that must have something to say: one that is silent has looked at nothing."""
    pairs = (line.split() for line in _SPEAKING.read_text().splitlines())
    return {check for name, check in pairs if name == scanner}


def unlisted(found, listed):
    """The findings that no entry accepts."""
    return sorted(each for each in found if not any(_accepts(entry, each) for entry in listed))


def idle(found, listed):
    """The entries that accept nothing: an exemption that is not needed any more."""
    return [f"{e['check']} {e['resource']}" for e in listed if not any(_accepts(e, each) for each in found)]


def _accepts(entry, finding):
    return fnmatchcase(finding.check, entry["check"]) and fnmatchcase(finding.resource, entry["resource"])

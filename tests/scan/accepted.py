"""The findings that are accepted, each with its reason (accepted.yml): no other may be there, and none may be gone."""

from fnmatch import fnmatchcase
from pathlib import Path

import yaml

LIST = Path(__file__).with_name("accepted.yml")
KEYS = {"check", "resource", "reason"}


def entries(scanner):
    """The list's entries for the scanner; `resource` is a pattern."""
    return yaml.safe_load(LIST.read_text())[scanner] or []


def unlisted(found, listed):
    """The findings that no entry accepts."""
    return sorted(each for each in found if not any(_accepts(entry, each) for entry in listed))


def idle(found, listed):
    """The entries that accept nothing: an exemption that is not needed any more."""
    return [
        f"{entry['check']} {entry['resource']}"
        for entry in listed
        if not any(_accepts(entry, each) for each in found)
    ]


def _accepts(entry, finding):
    return entry["check"] == finding.check and fnmatchcase(finding.resource, entry["resource"])

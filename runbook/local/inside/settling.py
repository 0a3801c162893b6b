"""What AWS knows only a while after it was made: here the same, for a short while."""

import datetime
import time
from collections.abc import Iterable

from moto.core.utils import utcnow

SECONDS = 0.5  # on AWS seconds to minutes: "I made a change, and the change isn't immediately visible" (IAM guide)

_kept: dict[tuple[str, str], float] = {}


def is_fresh(made: datetime.datetime) -> bool:
    """Whether IAM has not spread yet what was made then (UTC, without a zone, as moto has it)."""
    return (utcnow() - made).total_seconds() < SECONDS


def keep_groups(region: str, group_ids: Iterable[str]) -> None:
    """The network interfaces of a balancer that was just deleted hold its security groups for a while."""
    for group_id in group_ids:
        _kept[region, group_id] = time.monotonic() + SECONDS


def holds(region: str, group_id: str) -> bool:
    return time.monotonic() < _kept.get((region, group_id), 0)

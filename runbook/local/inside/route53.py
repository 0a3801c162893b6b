"""Route 53 inside moto: the records that the account's public hosted zones hold, and when a change is in sync."""

import functools
import time
import uuid
from dataclasses import dataclass

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.route53.models import route53_backends
from moto.route53.responses import Route53

SECONDS = 0.5  # on AWS up to a minute
_changed: dict[str, float] = {}


@dataclass(frozen=True)
class Record:
    """One record set: its name without the last dot, its type, and its values or its alias target."""

    name: str
    kind: str
    ttl: int | None
    values: tuple[str, ...]
    alias: str | None


def install() -> None:
    """A change is PENDING at first, then INSYNC; a second call changes nothing."""
    if not hasattr(Route53.change_resource_record_sets, "__wrapped__"):
        Route53.change_resource_record_sets = _pending(Route53.change_resource_record_sets)
        Route53.get_change = _with_status(Route53.get_change)


def _pending(plain):
    @functools.wraps(plain)
    def change_resource_record_sets(self) -> ActionResult:
        answer = plain(self).result
        change = f"C{uuid.uuid4().hex[:20].upper()}"
        _changed[change] = time.monotonic()
        return ActionResult({"ChangeInfo": answer["ChangeInfo"] | {"Id": f"/change/{change}", "Status": "PENDING"}})

    return change_resource_record_sets


def _with_status(plain):
    @functools.wraps(plain)
    def get_change(self) -> ActionResult:
        answer = plain(self).result
        made = _changed.get(answer["ChangeInfo"]["Id"].removeprefix("/change/"))
        pending = made is not None and time.monotonic() < made + SECONDS
        return ActionResult({"ChangeInfo": answer["ChangeInfo"] | {"Status": "PENDING" if pending else "INSYNC"}})

    return get_change


def zones() -> dict[str, list[Record]]:
    """Every public hosted zone's records, by the zone's name without the last dot, lower-case."""
    found: dict[str, list[Record]] = {}
    for zone in list(route53_backends[DEFAULT_ACCOUNT_ID]["aws"].zones.values()):
        if not zone.private_zone:
            found.setdefault(plain(zone.name), []).extend(_records(zone))
    return found


def zone(zone_id: str) -> tuple[str, list[Record]] | None:
    """(name, records) of the hosted zone with this id; None if there is none."""
    kept = route53_backends[DEFAULT_ACCOUNT_ID]["aws"].zones.get(zone_id.removeprefix("/hostedzone/"))
    return (plain(kept.name), _records(kept)) if kept else None


def plain(name: str) -> str:
    """A name as DNS compares it: lower-case, without the last dot."""
    return name.lower().rstrip(".")


def _records(zone) -> list[Record]:
    return [
        Record(
            name=plain(record.name),
            kind=record.type,
            ttl=None if record.ttl is None else int(record.ttl),
            values=tuple(v["Value"] if isinstance(v, dict) else v for v in record.records or ()),
            alias=plain(record.alias_target["DNSName"]) if record.alias_target else None,
        )
        for record in list(zone.rrsets)
    ]

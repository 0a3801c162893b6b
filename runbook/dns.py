"""The registry's name in Route 53: a CNAME to a classic balancer, an alias of an application one.

A record cannot carry tags, so what is ours is marked by a second record, written and deleted in one batch with the
first: _runbook.DOMAIN, a TXT that says runbook:deployment=NAME. (Beside a CNAME no other record may have its name.)
"""

from . import hosted_zone, lease
from .errors import NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS

TTL = 60  # seconds; an alias has that of the balancer's own name, 60 too
_BALANCER_ABSENT = {"LoadBalancerNotFound", "AccessPointNotFound"}


def want_record(p: Params) -> Document:
    """The record and its mark; the target is called by the load balancer's name."""
    kind = {"Type": "A", "EvaluateTargetHealth": False} if p.scales else {"Type": "CNAME", "TTL": TTL}
    return Document(Name=p.domain, **kind, Target=f"load balancer {p.balancer_name}", Mark=_mark(p))


def find_record(aws: AWS, p: Params) -> Document | None:
    """The same of what is. None when the name has no record, or the account no public zone for it."""
    zone = hosted_zone.find(aws, p)
    if zone is None:
        return None
    records, mark = _records(aws, p, zone)
    if not records and not mark:
        return None
    record = records[0] if records else {}
    ours = bool(record) and _target(record) == _target(_wanted_record(aws, p))
    return Document(
        Name=p.domain,
        Type=" and ".join(each["Type"] for each in records) or None,
        TTL=record.get("TTL"),
        EvaluateTargetHealth=record.get("AliasTarget", {}).get("EvaluateTargetHealth"),
        Target=f"load balancer {p.balancer_name}" if ours else "another host" if record else None,
        Mark=(_mark(p) if _same(mark, _wanted_mark(p)) else "changed") if mark else None,
    )


@lease.exclusive
def ensure_record(aws: AWS, p: Params) -> Changes:
    """Write the record and its mark, and wait until every name server of Route 53 has them.

    A CNAME becomes an alias, or the other way round, in one batch: the name is never without a record.
    """
    report = compare(_title(p), want_record(p), find_record(aws, p))
    if report:
        return report.changes.done
    zone, record = hosted_zone.needed(aws, p), _wanted_record(aws, p)
    if record is None:
        raise StepFailed(
            f"{_title(p)} needs load balancer {p.balancer_name}, which is not there; "
            "run notebook 05_configure_https_on_the_load_balancer from its start"
        )
    records, _ = _records(aws, p, zone)
    if other := [each["Type"] for each in records if not _is_ours(each)]:
        raise StepFailed(
            f"{p.domain} has a record of type {' and '.join(other)}, beside which no {_kind(p)} can stand; "
            f"delete it in the zone {p.zone} and run this again"
        )
    former = [("DELETE", each) for each in records if each["Type"] != record["Type"]]
    hosted_zone.submit(aws, zone, changes=[*former, ("UPSERT", record), ("UPSERT", _wanted_mark(p))])
    return report.changes.done


def verify_record(aws: AWS, p: Params) -> Report:
    """Wanted against found."""
    return compare(_title(p), want_record(p), find_record(aws, p))


@lease.exclusive
def destroy_record(aws: AWS, p: Params) -> Changes:
    """Delete the record of either kind and its mark, exactly as they are read; the zone stays."""
    zone = hosted_zone.find(aws, p)
    records, mark = _records(aws, p, zone) if zone else ([], None)
    ours = [record for record in records if _is_ours(record)] + ([mark] if mark else [])
    if ours:
        hosted_zone.submit(aws, zone, changes=[("DELETE", record) for record in ours])
    return destroyed(_title(p), bool(ours))


def _title(p: Params) -> str:
    return f"DNS record {p.domain}"


def _kind(p: Params) -> str:
    return "alias" if p.scales else "CNAME"


def _mark(p: Params) -> str:
    return f"runbook:deployment={p.name}"


def _mark_name(p: Params) -> str:
    return f"_runbook.{p.domain}"


def _wanted_mark(p: Params) -> dict:
    return {"Name": _mark_name(p), "Type": "TXT", "TTL": TTL, "ResourceRecords": [{"Value": f'"{_mark(p)}"'}]}


def _wanted_record(aws: AWS, p: Params) -> dict | None:
    """As Route 53 takes it; None while there is no balancer.

    The target's health is not asked for: it is the registries', and no other answer would take their place.
    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resource-record-sets-values-alias.html
    """
    if not p.scales:
        found = aws.elb.find("describe_load_balancers", _BALANCER_ABSENT, LoadBalancerNames=[p.balancer_name])
        if not found:
            return None
        value = found["LoadBalancerDescriptions"][0]["DNSName"].lower()
        return {"Name": p.domain, "Type": "CNAME", "TTL": TTL, "ResourceRecords": [{"Value": value}]}
    found = aws.elbv2.find("describe_load_balancers", _BALANCER_ABSENT, Names=[p.balancer_name])
    if not found:
        return None
    balancer = found["LoadBalancers"][0]
    target = {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": balancer["DNSName"].lower(),
        "EvaluateTargetHealth": False,
    }
    return {"Name": p.domain, "Type": "A", "AliasTarget": target}


def _target(record: dict | None) -> list[str] | None:
    """The hosts to which a record leads, as Route 53 spells or the console spelt them."""
    if record is None:
        return None
    hosts = [value["Value"] for value in record.get("ResourceRecords", [])]
    if alias := record.get("AliasTarget"):
        hosts = [alias["DNSName"].lower().removeprefix("dualstack.")]
    return [host.rstrip(".").lower() for host in hosts]


def _same(found: dict, wanted: dict) -> bool:
    return all(found.get(key) == value for key, value in wanted.items() if key != "Name")


def _is_ours(record: dict) -> bool:
    """Of the kinds that this step writes; an address that stands in a record itself was never ours."""
    return record["Type"] == "CNAME" or (record["Type"] == "A" and "AliasTarget" in record)


def _records(aws: AWS, p: Params, zone: str) -> tuple[list[dict], dict | None]:
    """The records of the domain, and our mark. NotOurs when there are records and the mark is not ours.

    Beside an alias the name may have records of other types (MX, TXT, those of the zone itself), which matter to no
    client of the registry; beside a CNAME it may have none.
    """
    records, marks = hosted_zone.records(aws, zone, name=p.domain), hosted_zone.records(aws, zone, name=_mark_name(p))
    if p.scales:
        records = [record for record in records if record["Type"] in ("A", "AAAA", "CNAME")]
    mark = next((each for each in marks if {"Value": f'"{_mark(p)}"'} in each.get("ResourceRecords", [])), None)
    if (records or marks) and mark is None:
        raise NotOurs(_title(p), p)
    return records, mark

"""The registry's name: a CNAME in Route 53 that leads to the load balancer.

A record cannot carry tags, so what is ours is marked by a second record, written and deleted in one batch with the
first: _runbook.DOMAIN, a TXT that says runbook:deployment=NAME. (Beside a CNAME no other record may have its name.)
"""

from .errors import NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS
from .wait import wait

TTL = 60  # seconds
_BALANCER_ABSENT = {"LoadBalancerNotFound", "AccessPointNotFound"}


def want_record(p: Params) -> Document:
    """The record and its mark; the target is called by the load balancer's name."""
    return Document(Name=p.domain, Type="CNAME", TTL=TTL, Target=f"load balancer {p.balancer_name}", Mark=_mark(p))


def find_record(aws: AWS, p: Params) -> Document | None:
    """The same of what is. None when the name has no record, or the account no public zone for it."""
    zone = _zone(aws, p)
    if zone is None:
        return None
    records, mark = _records(aws, p, zone)
    if not records and not mark:
        return None
    record = records[0] if records else {}
    values = [value["Value"].rstrip(".").lower() for value in record.get("ResourceRecords", [])]
    target = f"load balancer {p.balancer_name}" if values == [_balancer(aws, p)] else "another host"
    return Document(
        Name=p.domain,
        Type=" and ".join(each["Type"] for each in records) or None,
        TTL=record.get("TTL"),
        Target=target if record else None,
        Mark=_mark(p) if mark else None,
    )


def ensure_record(aws: AWS, p: Params) -> Changes:
    """Write the record and its mark, and wait until every name server of Route 53 has them."""
    report = compare(_title(p), want_record(p), find_record(aws, p))
    if report:
        return report.changes.done
    zone, target = _zone(aws, p), _balancer(aws, p)
    if zone is None:
        raise StepFailed(
            f"this account has no public hosted zone {p.zone}, and none is made here, as a zone is of use only once "
            f"its parent domain delegates to it: create and delegate it, or name another in {p.source}"
        )
    if target is None:
        raise StepFailed(
            f"{_title(p)} needs load balancer {p.balancer_name}, which is not there; "
            "run notebook 05_configure_https_on_the_load_balancer from its start"
        )
    records, _ = _records(aws, p, zone)
    if other := [each["Type"] for each in records if each["Type"] != "CNAME"]:
        raise StepFailed(
            f"{p.domain} has a record of type {' and '.join(other)}, beside which no CNAME can stand; "
            f"delete it in the zone {p.zone} and run this again"
        )
    _submit(aws, p, zone, [("UPSERT", record) for record in _wanted_records(p, target)])
    return report.changes.done


def verify_record(aws: AWS, p: Params) -> Report:
    """Wanted against found."""
    return compare(_title(p), want_record(p), find_record(aws, p))


def destroy_record(aws: AWS, p: Params) -> Changes:
    """Delete the record and its mark, exactly as they are read; the zone stays."""
    zone = _zone(aws, p)
    records, mark = _records(aws, p, zone) if zone else ([], None)
    ours = [record for record in (*records, mark) if record and record["Type"] in ("CNAME", "TXT")]
    if ours:
        _submit(aws, p, zone, [("DELETE", record) for record in ours])
    return destroyed(_title(p), bool(ours))


def _title(p: Params) -> str:
    return f"DNS record {p.domain}"


def _mark(p: Params) -> str:
    return f"runbook:deployment={p.name}"


def _mark_name(p: Params) -> str:
    return f"_runbook.{p.domain}"


def _wanted_records(p: Params, target: str) -> list[dict]:
    return [
        {"Name": p.domain, "Type": "CNAME", "TTL": TTL, "ResourceRecords": [{"Value": target}]},
        {"Name": _mark_name(p), "Type": "TXT", "TTL": TTL, "ResourceRecords": [{"Value": f'"{_mark(p)}"'}]},
    ]


def _zone(aws: AWS, p: Params) -> str | None:
    """Id of the public zone of that name. StepFailed when there are several: a domain is delegated to one of them."""
    listed = aws.route53.list_hosted_zones_by_name(DNSName=p.zone)["HostedZones"]
    ids = [zone["Id"] for zone in listed if zone["Name"] == f"{p.zone}." and not zone["Config"]["PrivateZone"]]
    if len(ids) > 1:
        raise StepFailed(
            f"this account has {len(ids)} public hosted zones {p.zone}, of which the domain is delegated to one at "
            "most; delete the others, so that it is clear where the record belongs"
        )
    return ids[0].removeprefix("/hostedzone/") if ids else None


def _records(aws: AWS, p: Params, zone: str) -> tuple[list[dict], dict | None]:
    """The records of the domain, and our mark. NotOurs when there are records and the mark is not ours."""
    records, marks = _named(aws, zone, p.domain), _named(aws, zone, _mark_name(p))
    mark = next((each for each in marks if {"Value": f'"{_mark(p)}"'} in each.get("ResourceRecords", [])), None)
    if (records or marks) and mark is None:
        raise NotOurs(_title(p), p)
    return records, mark


def _named(aws: AWS, zone: str, name: str) -> list[dict]:
    """The record sets of one name: Route 53 lists in the order of names, from the given one on."""
    page = aws.route53.list_resource_record_sets(HostedZoneId=zone, StartRecordName=name, MaxItems="100")
    return [record for record in page["ResourceRecordSets"] if record["Name"].lower() == f"{name}."]


def _balancer(aws: AWS, p: Params) -> str | None:
    found = aws.elb.find("describe_load_balancers", _BALANCER_ABSENT, LoadBalancerNames=[p.balancer_name])
    return found["LoadBalancerDescriptions"][0]["DNSName"].lower() if found else None


def _submit(aws: AWS, p: Params, zone: str, changes: list[tuple[str, dict]]) -> None:
    """One batch, of which Route 53 does all or nothing; then wait until it is in sync (about a minute)."""
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record} for action, record in changes]}
    change = aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]["Id"]

    def look():
        status = aws.route53.get_change(Id=change)["ChangeInfo"]["Status"]
        return (True if status == "INSYNC" else None), status

    wait(_title(p), look, timeout=300, every=2)

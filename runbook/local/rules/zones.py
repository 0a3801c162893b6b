"""What Route 53 refuses."""

import ipaddress

from ..inside import account, route53
from ..inside.dispatch import Refused
from ..inside.route53 import Record


def create_hosted_zone(params: dict, region: str) -> None:
    """CreateHostedZone, HostedZoneAlreadyExists: "the specified CallerReference was used before"."""
    reference = params.get("CallerReference", "")
    if account.caller_reference_is_used(reference):
        raise Refused(
            "HostedZoneAlreadyExists",
            f"A hosted zone has already been created with reference {reference}",
            409,
        )


def change_record_sets(params: dict, region: str) -> None:
    """ChangeResourceRecordSets, InvalidChangeBatch: each change must be possible after those before it."""
    found = route53.zone(params["HostedZoneId"])
    if found is None:
        return
    zone, records = found[0], list(found[1])
    for change in params["ChangeBatch"]["Changes"]:
        sent = change["ResourceRecordSet"]
        if sent.get("SetIdentifier"):
            continue
        record = _record(sent)
        same = [each for each in records if (each.name, each.kind) == (record.name, record.kind)]
        words = f"resource record set [name='{record.name}.', type='{record.kind}']"
        if change["Action"] == "DELETE":
            if not same:
                raise _batch(f"Tried to delete {words} but it was not found")
            if not _equal(same[0], record):
                raise _batch(f"Tried to delete {words} but the values provided do not match the current values")
        elif change["Action"] == "CREATE" and same:
            raise _batch(f"Tried to create {words} but it already exists")
        records = [each for each in records if each not in same]
        if change["Action"] != "DELETE":
            _possible(record, zone, records)
            records.append(record)


def _record(sent: dict) -> Record:
    alias = sent.get("AliasTarget")
    return Record(
        name=route53.plain(sent["Name"]),
        kind=sent["Type"],
        ttl=int(sent["TTL"]) if sent.get("TTL") is not None else None,
        values=tuple(each["Value"] for each in sent.get("ResourceRecords") or ()),
        alias=route53.plain(alias["DNSName"]) if alias else None,
    )


def _equal(kept: Record, sent: Record) -> bool:
    return (kept.ttl, sorted(kept.values), kept.alias) == (sent.ttl, sorted(sent.values), sent.alias)


def _possible(record: Record, zone: str, others: list[Record]) -> None:
    """ "Supported DNS record types", CNAME: not at the zone's apex, and nothing else beside it."""
    if not record.alias and (record.ttl is None or not record.values):
        raise Refused(
            "InvalidInput",
            "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or "
            f"TrafficPolicyInstanceId], but found none in Change with [Name={record.name}., Type={record.kind}]",
        )
    if record.kind == "CNAME" and record.name == zone:
        raise _batch(f"RRSet of type CNAME with DNS name {zone}. is not permitted at apex in zone {zone}.")
    for other in others:
        if other.name == record.name and "CNAME" in (record.kind, other.kind):
            raise _batch(
                f"RRSet of type {record.kind} with DNS name {record.name}. is not permitted because a conflicting "
                f"RRSet of type {other.kind} with the same DNS name already exists in zone {zone}."
            )
    for value in record.values if record.kind == "A" else ():
        try:
            ipaddress.IPv4Address(value)
        except ValueError:
            raise _batch(
                f"Invalid Resource Record: 'FATAL problem: ARRDATAIllegalIPv4Address' with '{value}'"
            ) from None


def _batch(message: str) -> Refused:
    return Refused("InvalidChangeBatch", f"[{message}]")


RULES = {
    ("route53", "ChangeResourceRecordSets"): change_record_sets,
    ("route53", "CreateHostedZone"): create_hosted_zone,
}

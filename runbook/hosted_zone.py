"""The public hosted zone in Route 53: found by its name, its records read, and changed in one batch."""

from .errors import StepFailed
from .params import Params
from .session import AWS
from .wait import wait


def find(aws: AWS, p: Params) -> str | None:
    """Id of the public zone of that name. StepFailed when there are several: a domain is delegated to one of them."""
    listed = aws.route53.list_hosted_zones_by_name(DNSName=p.zone)["HostedZones"]
    ids = [zone["Id"] for zone in listed if zone["Name"] == f"{p.zone}." and not zone["Config"]["PrivateZone"]]
    if len(ids) > 1:
        raise StepFailed(
            f"this account has {len(ids)} public hosted zones {p.zone}, of which the domain is delegated to one at "
            "most; delete the others, so that it is clear where the record belongs"
        )
    return ids[0].removeprefix("/hostedzone/") if ids else None


def needed(aws: AWS, p: Params) -> str:
    """The same; StepFailed when there is none."""
    zone = find(aws, p)
    if zone is None:
        raise StepFailed(
            f"this account has no public hosted zone {p.zone}, and none is made here, as a zone is of use only once "
            f"its parent domain delegates to it: create and delegate it, or name another in {p.source}"
        )
    return zone


def records(aws: AWS, zone: str, *, name: str) -> list[dict]:
    """The record sets of one name: Route 53 lists in the order of names, from the given one on."""
    found, start = [], {"StartRecordName": name}
    while start.get("StartRecordName", "").lower() in (name, f"{name}."):
        page = aws.route53.list_resource_record_sets(HostedZoneId=zone, MaxItems="100", **start)
        found += [record for record in page["ResourceRecordSets"] if record["Name"].lower() == f"{name}."]
        keys = ("RecordName", "RecordType", "RecordIdentifier")
        start = {f"Start{key}": page[f"Next{key}"] for key in keys if f"Next{key}" in page}
    return found


def submit(aws: AWS, zone: str, *, changes: list[tuple[str, dict]]) -> None:
    """One batch, of which Route 53 does all or nothing; then wait until it is in sync (about a minute)."""
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record} for action, record in changes]}
    answer = aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)

    def look():
        if not answer:
            return True, "made, the answer was lost"
        change = answer["ChangeInfo"]["Id"]
        status = aws.route53.get_change(Id=change)["ChangeInfo"]["Status"]
        return (True if status == "INSYNC" else None), status

    names = sorted({record["Name"].rstrip(".") for _, record in changes})
    wait(f"DNS record {names[-1]}", look, timeout=300, every=2)

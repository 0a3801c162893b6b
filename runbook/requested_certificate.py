"""A certificate that ACM issues: requested for the registry's name, proven by a record in the zone, renewed by ACM.

ACM looks for the record again at each renewal, so it stays as long as the certificate does. It asks for the same record
for each certificate of one name, in every region: one that was there before is somebody else's, and stays for good.
What is ours is marked by a second record, written and deleted with the first: _runbook.RECORD, a TXT that says
runbook:deployment=NAME.
"""

import uuid

from . import acm, hosted_zone, tags
from .errors import NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS
from .wait import wait

TTL = 300  # seconds
# ACM itself gives up after 72 hours; with the zone's delegation in order it takes minutes:
# https://docs.aws.amazon.com/acm/latest/userguide/dns-validation.html
_ISSUED_WITHIN = 1800  # seconds
_CONTENT = "requested from ACM"


def want_certificate(p: Params) -> Document:
    """What it is for, its key, its state in ACM, and that the record by which ACM renews it is in the zone."""
    told = {"Domain": p.domain, "Key": acm.RSA, "Status": "ISSUED", "Content": _CONTENT, "Validation": _in_zone(p)}
    return Document(told, **acm.want_tags(p))


def find_certificate(aws: AWS, p: Params) -> Document | None:
    """The same of what ACM has, and how long it is valid. Found by our tag and the domain."""
    found = acm.find(aws, p)
    if found is None:
        return None
    return Document(
        Domain=p.domain,
        Key=acm.key(found),
        Status=found["Status"],
        Content=_CONTENT,
        Validation=_in_zone(p) if _in_route53(aws, p, _proof(found)) else "no record for it in the zone",
        Valid=acm.valid(found.get("NotAfter")),
        **acm.find_tags(aws, p, found["CertificateArn"]),
    )


def ensure_certificate(aws: AWS, p: Params) -> Changes:
    """Request the certificate, write the record that proves the domain, and wait until ACM has issued it.

    A request that came to nothing is told as StepFailed with ACM's reason; the next run makes a new one.
    """
    title = _title(p)
    report = compare(title, want_certificate(p), find_certificate(aws, p))
    if report:
        return report.changes.done
    zone, found = hosted_zone.needed(aws, p), acm.find(aws, p)
    if found is None or found["Status"] in acm.DEAD:
        found = _request(aws, p)
    arn = found["CertificateArn"]
    record = wait(title, lambda: _asked_for(aws, arn), timeout=120, every=1)
    if _in_route53(aws, p, record) is None:
        _require_free(aws, p, zone, record)
        hosted_zone.submit(aws, zone, changes=[("UPSERT", _record(record)), ("UPSERT", _mark(p, record))])
    acm.mend_tags(aws, p, arn)
    wait(title, lambda: _issued(aws, p, arn), timeout=_ISSUED_WITHIN, every=2)
    return report.changes.done


def verify_certificate(aws: AWS, p: Params) -> Report:
    """Wanted against found, and that it does not end soon, as it would if ACM could not renew it."""
    found = find_certificate(aws, p)
    report = compare(_title(p), want_certificate(p), found)
    return report.check("Valid", found["Valid"] == acm.VALID, acm.VALID, found["Valid"]) if found else report


def destroy_certificate(aws: AWS, p: Params) -> Changes:
    """Delete what was requested for this deployment, and the records that it wrote as a proof, where no other
    certificate of this region needs them."""
    title, found = _title(p), acm.requested(aws, p)
    for certificate in found:
        arn = certificate["CertificateArn"]
        # In use somewhere for good, it would miss its record: `ensure` writes that again.
        _delete_record(aws, p, certificate)  # before the certificate, by which alone the record can be told
        acm.delete(aws, arn, title=title)
    return destroyed(title, bool(found))


def _title(p: Params) -> str:
    return f"certificate of {p.domain}"


def _in_zone(p: Params) -> str:
    return f"by a record in zone {p.zone}"


def _request(aws: AWS, p: Params) -> dict:
    """A new request, in place of those that failed.

    Its token makes one of a call and its retries. It is a new one each time: for an hour ACM answers a known token with
    the certificate that it made then, also when that one has failed or is deleted.
    """
    dead = [each["CertificateArn"] for each in acm.requested(aws, p) if each["Status"] in acm.DEAD]
    arn = aws.acm.request_certificate(
        DomainName=p.domain,
        ValidationMethod="DNS",
        KeyAlgorithm="RSA_2048",
        IdempotencyToken=uuid.uuid4().hex,
        Tags=tags.pairs(p.tags),
    )["CertificateArn"]
    for each in dead:
        acm.delete(aws, each, title=_title(p))

    def visible():
        found = acm.described(aws, arn)
        return found, "requested" if found else "not to be seen yet"

    return wait(_title(p), visible, timeout=60)


def _proof(found: dict) -> dict | None:
    """The record that ACM asks for: Name, Type and Value. It tells it some seconds after the request."""
    options = found.get("DomainValidationOptions") or [{}]
    return options[0].get("ResourceRecord")


def _record(proof: dict) -> dict:
    value = {"Value": proof["Value"]}
    return {"Name": proof["Name"], "Type": proof["Type"], "TTL": TTL, "ResourceRecords": [value]}


def _mark(p: Params, proof: dict) -> dict:
    value = {"Value": f'"runbook:deployment={p.name}"'}
    return {"Name": f"_runbook.{proof['Name']}", "Type": "TXT", "TTL": TTL, "ResourceRecords": [value]}


def _is_marked(aws: AWS, p: Params, zone: str, proof: dict) -> bool:
    wanted = _mark(p, proof)
    found = hosted_zone.records(aws, zone, name=wanted["Name"].rstrip(".").lower())
    return any(each.get("ResourceRecords") == wanted["ResourceRecords"] for each in found)


def _require_free(aws: AWS, p: Params, zone: str, proof: dict) -> None:
    """NotOurs when the name has a record already that is not ours and says something else."""
    if hosted_zone.records(aws, zone, name=proof["Name"].rstrip(".").lower()) and not _is_marked(aws, p, zone, proof):
        raise NotOurs(f"DNS record {proof['Name'].rstrip('.')}", p)


def _asked_for(aws: AWS, arn: str) -> tuple[dict | None, str]:
    proof = _proof(acm.described(aws, arn) or {})
    return proof, "ACM names the record" if proof else "ACM has not named its record yet"


def _in_route53(aws: AWS, p: Params, proof: dict | None) -> tuple[str, dict] | None:
    """The zone, and the record in it that says exactly what ACM asks for."""
    zone = hosted_zone.find(aws, p)
    if zone is None or proof is None:
        return None
    for record in hosted_zone.records(aws, zone, name=proof["Name"].rstrip(".").lower()):
        values = [each["Value"].rstrip(".") for each in record.get("ResourceRecords", [])]
        if record["Type"] == proof["Type"] and values == [proof["Value"].rstrip(".")]:
            return zone, record
    return None


def _issued(aws: AWS, p: Params, arn: str) -> tuple[bool | None, str]:
    found = acm.described(aws, arn)
    if found is None:
        raise StepFailed(f"{_title(p)} was deleted while ACM validated it; run this again")
    if found["Status"] in acm.DEAD:
        why = found.get("FailureReason", "no reason is given")
        raise StepFailed(
            f"{_title(p)}: {found['Status']} ({why}); {_REMEDIES.get(why, _REMEDY)}. "
            "Run this again: it makes a new request"
        )
    options = found.get("DomainValidationOptions") or [{}]
    seen = f"{found['Status']}, validation {options[0].get('ValidationStatus', 'not begun')}"
    return (True if found["Status"] == "ISSUED" else None), seen


# https://docs.aws.amazon.com/acm/latest/userguide/troubleshooting-failed.html
_REMEDY = "see that the zone is the one to which the domain is delegated"
_REMEDIES = {
    "CAA_ERROR": "a CAA record of the domain or its parents must allow amazon.com (or there must be none)",
    "ADDITIONAL_VERIFICATION_REQUIRED": "AWS Support must allow this domain",
    "DOMAIN_NOT_ALLOWED": "ACM does not issue for this domain",
    "INVALID_PUBLIC_DOMAIN": "the domain is not below a public suffix",
}


def _delete_record(aws: AWS, p: Params, certificate: dict) -> None:
    """With the last certificate of ours that needs it; one that somebody else's needs as well is left to them."""
    asked, zone = _proof(certificate), hosted_zone.find(aws, p)
    if asked is None or zone is None or not _is_marked(aws, p, zone, asked):
        return
    everything = {each["CertificateArn"] for each in acm.everything(aws)} - {certificate["CertificateArn"]}
    needed = {arn for arn in everything if _proof(acm.described(aws, arn) or {}) == asked}
    if needed & {each["CertificateArn"] for each in acm.requested(aws, p)}:
        return
    there = _in_route53(aws, p, asked)
    record = [("DELETE", there[1])] if there and not needed else []
    hosted_zone.submit(aws, zone, changes=[*record, ("DELETE", _mark(p, asked))])

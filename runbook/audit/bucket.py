"""The bucket behind the registry: who gets at it, what is encrypted, what expires, and whether the registry may."""

import json
from collections.abc import Iterator
from typing import Any

from ..errors import Denied
from ..finding import Finding
from . import identity, policies
from .deployment import Deployment
from .rules import found

_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_EVERYBODY = (
    "http://acs.amazonaws.com/groups/global/AllUsers",
    "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
)
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
_LOCATIONS = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}


def names(d: Deployment) -> set[str]:
    """From the registry's own variable; else what the policies of whom it is name."""
    if told := d.environment.get("REGISTRY_STORAGE_S3_BUCKET"):
        return {told}
    return {name for who in identity.storing(d) for name in policies.buckets(identity.documents(d, *who))}


def known(d: Deployment, where: str, service: dict) -> Iterator[Finding]:
    if not names(d):
        yield found("bucket-unknown", where)


def buckets(d: Deployment) -> dict[str, str]:
    """Those that are there; of the others `there` tells."""
    return {f"bucket {name}": name for name in sorted(names(d))}


def there(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    if not _is_there(d, name):
        yield found("bucket-absent", where)


def region(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    told = d.environment.get("REGISTRY_STORAGE_S3_REGION")
    if not _is_there(d, name) or not told or "REGISTRY_STORAGE_S3_REGIONENDPOINT" in d.environment:
        return
    located = d.aws.s3.get_bucket_location(Bucket=name).get("LocationConstraint")
    if (actual := _LOCATIONS.get(located, located)) != told:
        yield found("bucket-elsewhere", where, region=actual, told=told)


def blocked(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    if not _is_there(d, name):
        return
    if missing := [each for each in _BLOCKS if not _block(d, name).get(each)]:
        yield found("bucket-not-blocked", where, missing="none of the four is on" if len(missing) == 4 else
                    f"{', '.join(missing)} off")  # fmt: skip


def access_list(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    """Public grants count where they are not ignored, and lists count where the owner's rule is not enforced."""
    if not _is_there(d, name):
        return
    controls = _setting(d, name, "ownership_controls", "OwnershipControlsNotFoundError", "OwnershipControls")
    if controls and controls["Rules"][0]["ObjectOwnership"] == "BucketOwnerEnforced":
        return
    yield found("bucket-lists", where)
    grants = d.aws.s3.get_bucket_acl(Bucket=name)["Grants"]
    public = {each["Permission"] for each in grants if each["Grantee"].get("URI") in _EVERYBODY}
    if public and not _block(d, name).get("IgnorePublicAcls"):
        yield found("bucket-public", where, actions=", ".join(sorted(public)), way="the bucket's access list")


def policy(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    if not _is_there(d, name):
        return
    said, open_to, others, tls = _statements(d, name), set(), set(), False
    for each in said:
        if each["Effect"] == "Deny":
            tls = tls or _asks_for_tls(each, d.arn_of_bucket(name))
        elif "Condition" not in each:
            principals = _principals(each)
            open_to |= set(policies.many(each.get("Action", []))) if "*" in principals else set()
            others |= {who for who in principals if who != "*" and d.aws.account not in who}
    if open_to and not _block(d, name).get("RestrictPublicBuckets"):
        yield found("bucket-public", where, actions=", ".join(sorted(open_to)), way="the bucket's policy")
    if others:
        yield found("bucket-other-accounts", where, who=", ".join(sorted(others)))
    if not tls:
        yield found("bucket-no-tls-only", where)


def encryption(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    if not _is_there(d, name):
        return
    absent = "ServerSideEncryptionConfigurationNotFoundError"
    rules = _setting(d, name, "encryption", absent, "ServerSideEncryptionConfiguration")
    by = [each.get("ApplyServerSideEncryptionByDefault", {}) for each in (rules or {}).get("Rules", [])]
    if not by:
        yield found("bucket-plain", where)
    elif not any("KMSMasterKeyID" in each for each in by):
        yield found("bucket-no-kms", where)


def lifecycle(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    if not _is_there(d, name):
        return
    told = d.aws.s3.find("get_bucket_lifecycle_configuration", {"NoSuchLifecycleConfiguration"}, Bucket=name)
    rules = [each for each in (told or {}).get("Rules", []) if each["Status"] == "Enabled"]
    if not any("AbortIncompleteMultipartUpload" in each for each in rules):
        yield found("bucket-uploads", where)
    for each in rules:
        expires = each.get("Expiration", {})
        if "Days" in expires or "Date" in expires:
            after = f"after {expires['Days']} days" if "Days" in expires else f"on {expires['Date']:%Y-%m-%d}"
            yield found("bucket-expires", where, rule=each.get("ID", "(without a name)"), after=after)
    if d.aws.s3.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
        yield found("bucket-no-versions", where)
    elif not any("NoncurrentVersionExpiration" in each for each in rules):
        yield found("bucket-versions-stay", where)


def logged(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    if _is_there(d, name) and "LoggingEnabled" not in d.aws.s3.get_bucket_logging(Bucket=name):
        yield found("bucket-no-log", where)


def reach(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    """Whether the policies let the registry do its work. A bucket whose own policy allows something is left out."""
    if not _is_there(d, name) or any(each["Effect"] == "Allow" for each in _statements(d, name)):
        return
    for kind, who in identity.storing(d):
        may, may_not = policies.of_s3(identity.documents(d, kind, who), d.arn_of_bucket(name))
        if not may:
            yield found("s3-nothing-allowed", f"{kind} {who}", bucket=name)
        elif may_not:
            yield found("s3-actions-missing", f"{kind} {who}", actions=", ".join(may_not), bucket=name)


def nodes(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    """What the nodes' role may is every container's where the registry does not need it."""
    for label, who in identity.of_nodes(d).items():
        may, _ = policies.of_s3(identity.documents(d, *who), d.arn_of_bucket(name))
        if may and identity.has_its_own(d):
            yield found("node-role-s3", label, actions=", ".join(may), bucket=name)


def _is_there(d: Deployment, name: str) -> bool:
    """A bucket that may not be listed is there; other questions may be allowed."""

    def look() -> bool:
        try:
            return d.aws.s3.find("head_bucket", {"404", "NoSuchBucket"}, Bucket=name) is not None
        except Denied:
            return True

    return d.once(("bucket", name), look)


def _block(d: Deployment, name: str) -> dict[str, bool]:
    operation, absent = "get_public_access_block", {"NoSuchPublicAccessBlockConfiguration"}
    told = d.once(("block", name), lambda: d.aws.s3.find(operation, absent, Bucket=name))
    return told["PublicAccessBlockConfiguration"] if told else {}


def _statements(d: Deployment, name: str) -> list[dict]:
    told = d.once(("policy", name), lambda: d.aws.s3.find("get_bucket_policy", {"NoSuchBucketPolicy"}, Bucket=name))
    return policies.statements(json.loads(told["Policy"])) if told else []


def _setting(d: Deployment, name: str, setting: str, absent: str, key: str) -> Any:
    told = d.aws.s3.find(f"get_bucket_{setting}", {absent}, Bucket=name)
    return told and told[key]


def _principals(statement: dict) -> set[str]:
    """AWS's own services (a balancer's log delivery, say) are not among them."""
    told = statement.get("Principal", {})
    return {"*"} if told == "*" else set(policies.many(told.get("AWS", [])))


def _asks_for_tls(statement: dict, arn: str) -> bool:
    pairs = [pair for pairs in statement.get("Condition", {}).values() for pair in pairs.items()]
    insecure = any(key.lower() == "aws:securetransport" and "false" in policies.many(value) for key, value in pairs)
    objects = policies.allowed([{"Statement": {**statement, "Effect": "Allow"}}], "s3:GetObject", f"{arn}/x")
    return insecure and objects and "*" in _principals(statement)


CHECKS = (there, region, blocked, access_list, policy, encryption, lifecycle, logged, reach, nodes)

"""The S3 bucket that holds the images: encrypted, private, TLS only, with nothing in it that ever expires."""

import json
from collections import Counter
from typing import Any

from . import lease
from .errors import AwsError, Denied, NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed, kept
from .session import AWS
from .wait import wait

_SETTLE_SECONDS = 180
ROOT = "docker/registry/v2/"  # below the driver's rootdirectory: Distribution's registry/storage/paths.go


def want_bucket(p: Params) -> Document:
    """The bucket's settings in S3's own words. The one lifecycle rule ends uploads that nobody will finish; images
    do not expire."""
    arn = f"arn:aws:s3:::{p.bucket}"
    # {"AWS": "*"} means what "*" means, and every reader of policies takes it.
    tls_only = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    abort = {
        "ID": "abort-incomplete-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return Document(
        Bucket=p.bucket,
        Region=p.region,
        Encryption={"SSEAlgorithm": "AES256"},
        PublicAccessBlock=dict.fromkeys(blocks, True),
        ObjectOwnership="BucketOwnerEnforced",
        Policy={"Version": "2012-10-17", "Statement": [tls_only]},
        LifecycleRules=[abort],
        Tags=p.tags,
    )


def find_bucket(aws: AWS, p: Params) -> Document | None:
    """The bucket in the same words. S3 makes a bucket and tags it in two calls: one that is empty and has no tags,
    policy or lifecycle is a half-made one of ours.

    Raises StepFailed for a bucket of another account, NotOurs for another one of this account.
    """
    try:
        head = aws.s3.find("head_bucket", {"404", "NoSuchBucket"}, Bucket=p.bucket)
    except Denied as error:
        raise StepFailed(_taken(p)) from error
    if head is None:
        return None
    found = Document(
        Bucket=p.bucket,
        Region=head["BucketRegion"],
        Encryption=_encryption(aws, p),
        PublicAccessBlock=_setting(aws, p, "public_access_block", "NoSuchPublicAccessBlockConfiguration"),
        ObjectOwnership=_ownership(aws, p),
        Policy=_policy(aws, p),
        LifecycleRules=_lifecycle(aws, p),
        Tags=_tags(aws, p),
    )
    if found["Tags"].get("runbook:deployment") != p.name:
        bare = not (found["Tags"] or found["Policy"] or found["LifecycleRules"])
        if not bare or _holds_anything(aws, p):
            raise NotOurs(f"bucket {p.bucket}", p)
    return found


@lease.exclusive
def ensure_bucket(aws: AWS, p: Params) -> Changes:
    """Create the bucket, and set what differs. A bucket cannot change its region: StepFailed."""
    wanted, found = want_bucket(p), find_bucket(aws, p)
    report = compare(_title(p), wanted, found)
    if report:
        return report.changes.done
    if found is None:
        _create(aws, p)
        found = Document(Tags={})
        differing = set(wanted)
    else:
        differing = {check.name.split(".")[0] for check in report.checks if not check.ok}
    require_region(p, found)
    # The tag goes first: from then on the bucket is known as ours.
    if "Tags" in differing:
        tags = [{"Key": key, "Value": value} for key, value in (found["Tags"] | wanted["Tags"]).items()]
        aws.s3.put_bucket_tagging(Bucket=p.bucket, Tagging={"TagSet": tags})
    if "PublicAccessBlock" in differing:
        block = wanted["PublicAccessBlock"]
        aws.s3.put_public_access_block(Bucket=p.bucket, PublicAccessBlockConfiguration=block)
    if "ObjectOwnership" in differing:
        rules = {"Rules": [{"ObjectOwnership": wanted["ObjectOwnership"]}]}
        aws.s3.put_bucket_ownership_controls(Bucket=p.bucket, OwnershipControls=rules)
    if "Encryption" in differing:
        rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": wanted["Encryption"]}]}
        aws.s3.put_bucket_encryption(Bucket=p.bucket, ServerSideEncryptionConfiguration=rules)
    if "Policy" in differing:
        aws.s3.put_bucket_policy(Bucket=p.bucket, Policy=json.dumps(wanted["Policy"]))
    if "LifecycleRules" in differing:
        rules = {"Rules": wanted["LifecycleRules"]}
        aws.s3.put_bucket_lifecycle_configuration(Bucket=p.bucket, LifecycleConfiguration=rules)
    wait(_title(p), lambda: _settled(aws, p), timeout=_SETTLE_SECONDS, every=2)
    return report.changes.done


def verify_bucket(aws: AWS, p: Params) -> Report:
    return compare(_title(p), want_bucket(p), find_bucket(aws, p))


@lease.exclusive
def destroy_bucket(aws: AWS, p: Params, *, images: bool = False) -> Changes:
    """Delete the bucket; with anything in it only if `images`, else it is kept and the row says so."""
    if find_bucket(aws, p) is None:
        return destroyed(_title(p), False)
    if not images and _holds_anything(aws, p):
        return kept(_title(p), "with the images in it (python -m runbook destroy … --images deletes them, too)")
    for upload in aws.s3.all("list_multipart_uploads", "Uploads", Bucket=p.bucket):
        names = {"Bucket": p.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        aws.s3.find("abort_multipart_upload", {"NoSuchUpload"}, **names)
    while versions := _some_versions(aws, p):
        result = aws.s3.delete_objects(Bucket=p.bucket, Delete={"Objects": versions, "Quiet": True})
        for error in result.get("Errors", []):
            raise StepFailed(f"bucket {p.bucket}: {error['Key']} is not deleted: {error['Code']}: {error['Message']}")
    aws.s3.find("delete_bucket", {"NoSuchBucket"}, Bucket=p.bucket)
    return destroyed(_title(p), True)


def require_region(p: Params, found: Document | None) -> None:
    """StepFailed for a bucket that is in another region: it cannot move."""
    if found and found.get("Region", p.region) != p.region:
        raise StepFailed(
            f"bucket {p.bucket} is in {found['Region']}, not in {p.region}, and cannot move; "
            f"change region or bucket in {p.source}"
        )


def stored(aws: AWS, p: Params) -> Document:
    """What the registry stored: how many blobs, and each repository's tags and counts of manifests and blobs.

    The layout is that of Distribution's registry/storage/paths.go; a repository links to blobs that it may share.
    """
    if find_bucket(aws, p) is None:
        raise StepFailed(f"{_title(p)} is not there; run notebook 01_enable_s3_and_authentication first")
    blobs, links, tags = 0, Counter(), {}
    for item in aws.s3.all("list_objects_v2", "Contents", Bucket=p.bucket, Prefix=ROOT):
        key = item["Key"].removeprefix(ROOT)
        if key.startswith("blobs/") and key.endswith("/data"):
            blobs += 1
        for mark in ("/_layers/", "/_manifests/revisions/", "/_manifests/tags/"):
            name, found, rest = key.removeprefix("repositories/").partition(mark)
            if found and mark != "/_manifests/tags/":
                links[name, mark] += 1
            elif found and rest.endswith("/current/link"):
                tags.setdefault(name, []).append(rest.removesuffix("/current/link"))
    repositories = {
        name: {
            "tags": sorted(tags.get(name, [])),
            "manifests": links[name, "/_manifests/revisions/"],
            "blobs": links[name, "/_layers/"],
        }
        for name in sorted({name for name, _ in links})
    }
    return Document(bucket=p.bucket, blobs=blobs, repositories=repositories)


def _title(p: Params) -> str:
    return f"bucket {p.bucket}"


def _taken(p: Params) -> str:
    return (
        f"bucket {p.bucket}: it belongs to another account (403), or your login may not see it (s3:ListBucket); "
        f"choose another name in {p.source}"
    )


def _create(aws: AWS, p: Params) -> None:
    # us-east-1 must not be named: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    where = {} if p.region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": p.region}}

    def create():
        try:
            aws.s3.create_bucket(Bucket=p.bucket, ObjectOwnership="BucketOwnerEnforced", **where)
        except AwsError as error:
            if error.code == "BucketAlreadyExists":
                raise StepFailed(_taken(p)) from error
            if error.code == "OperationAborted":
                return None, "S3 is still deleting a bucket of that name"
            if error.code != "BucketAlreadyOwnedByYou":  # what a call that is made again after a lost reply gets
                raise
        return True, "created"

    wait(_title(p), create, timeout=_SETTLE_SECONDS, every=3)


def _settled(aws: AWS, p: Params) -> tuple[bool | None, str]:
    """Settings of a bucket are eventually consistent:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel"""
    try:
        report = verify_bucket(aws, p)
    except NotOurs:
        return None, "S3 does not show our tag yet"
    missing = ", ".join(check.name for check in report.checks if not check.ok)
    return (None, f"S3 does not show yet: {missing}") if missing else (True, "as wanted")


def _setting(aws: AWS, p: Params, name: str, absent: str) -> Any:
    answer = aws.s3.find(f"get_{name}", {absent}, Bucket=p.bucket)
    return answer and next(value for key, value in answer.items() if key != "ResponseMetadata")


def _encryption(aws: AWS, p: Params) -> dict | None:
    rules = _setting(aws, p, "bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError")
    return rules and rules["Rules"][0].get("ApplyServerSideEncryptionByDefault")


def _ownership(aws: AWS, p: Params) -> str | None:
    controls = _setting(aws, p, "bucket_ownership_controls", "OwnershipControlsNotFoundError")
    return controls and controls["Rules"][0]["ObjectOwnership"]


def _policy(aws: AWS, p: Params) -> dict | None:
    text = _setting(aws, p, "bucket_policy", "NoSuchBucketPolicy")
    return text and json.loads(text)


def _lifecycle(aws: AWS, p: Params) -> list[dict]:
    answer = aws.s3.find("get_bucket_lifecycle_configuration", {"NoSuchLifecycleConfiguration"}, Bucket=p.bucket)
    # "every object" comes back as an empty Filter or as an empty Prefix in it
    return [rule | {"Filter": rule.get("Filter") or {"Prefix": ""}} for rule in (answer or {}).get("Rules", [])]


def _tags(aws: AWS, p: Params) -> dict[str, str]:
    answer = aws.s3.find("get_bucket_tagging", {"NoSuchTagSet"}, Bucket=p.bucket)
    return {tag["Key"]: tag["Value"] for tag in (answer or {}).get("TagSet", [])}


def _some_versions(aws: AWS, p: Params, limit: int = 1000) -> list[dict[str, str]]:
    """The first objects, old versions and delete markers; 1000 is as many as one delete_objects takes."""
    page = aws.s3.list_object_versions(Bucket=p.bucket, MaxKeys=limit)
    items = page.get("Versions", []) + page.get("DeleteMarkers", [])
    return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in items]


def _holds_anything(aws: AWS, p: Params) -> bool:
    return bool(_some_versions(aws, p, limit=1))

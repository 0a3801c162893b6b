import json

import boto3
import pytest

import runbook
from runbook import storage
from runbook.errors import AwsError, Denied, NotOurs, StepFailed

pytestmark = pytest.mark.moto


def changed(p, **values):
    return runbook.load({**p.model_dump(), **values})


def put(aws, p, key, body=b"x"):
    aws.s3.put_object(Bucket=p.bucket, Key=key, Body=body)


@pytest.mark.pure
def test_what_is_wanted_is_private_encrypted_and_never_expires_an_image(p):
    wanted = storage.want_bucket(p)
    assert set(wanted["PublicAccessBlock"].values()) == {True} and len(wanted["PublicAccessBlock"]) == 4
    assert wanted["Encryption"] == {"SSEAlgorithm": "AES256"}
    [statement] = wanted["Policy"]["Statement"]
    assert statement["Principal"] == {"AWS": "*"} and statement["Effect"] == "Deny"
    assert statement["Resource"] == ["arn:aws:s3:::elastic-io-registry", "arn:aws:s3:::elastic-io-registry/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    [rule] = wanted["LifecycleRules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert not any("Expiration" in key or "Transition" in key for key in rule)


def test_made_from_nothing_and_left_alone_afterwards(aws, p):
    assert storage.find_bucket(aws, p) is None
    assert repr(storage.verify_bucket(aws, p).changes) == "+ bucket elastic-io-registry: create"
    assert repr(storage.ensure_bucket(aws, p)) == "+ bucket elastic-io-registry: created"
    assert storage.verify_bucket(aws, p).require()
    assert repr(storage.ensure_bucket(aws.read_only(), p)) == "= bucket elastic-io-registry: unchanged"
    assert storage.find_bucket(aws, p) == storage.want_bucket(p)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "eu-central-1"])
def test_the_bucket_is_made_in_the_region(aws, p, region):
    p = changed(p, region=region)
    aws = runbook.connect(p)
    storage.ensure_bucket(aws, p)
    assert storage.find_bucket(aws, p)["Region"] == region


def test_a_kill_at_any_write_leaves_what_the_next_run_completes(crash_everywhere):
    writes = crash_everywhere(storage.ensure_bucket, lambda aws, p: storage.verify_bucket(aws, p).require())
    assert writes == [
        "s3 CreateBucket",
        "s3 PutBucketTagging",
        "s3 PutPublicAccessBlock",
        "s3 PutBucketOwnershipControls",
        "s3 PutBucketEncryption",
        "s3 PutBucketPolicy",
        "s3 PutBucketLifecycleConfiguration",
    ]


OPEN = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
EXPIRES = {"ID": "x", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
DRIFT = {
    "Encryption": ("delete_bucket_encryption", {}),
    "Encryption.SSEAlgorithm": (
        "put_bucket_encryption",
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
            }
        },
    ),
    "PublicAccessBlock": ("delete_public_access_block", {}),
    "PublicAccessBlock.BlockPublicPolicy": (
        "put_public_access_block",
        {"PublicAccessBlockConfiguration": OPEN | {"BlockPublicAcls": True}},
    ),
    "ObjectOwnership": (
        "put_bucket_ownership_controls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
    ),
    "Policy": ("delete_bucket_policy", {}),
    "Policy.Statement": ("put_bucket_policy", {"Policy": json.dumps({"Version": "2012-10-17", "Statement": []})}),
    "LifecycleRules": ("put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": [EXPIRES]}}),
}


@pytest.mark.parametrize("field", DRIFT)
def test_drift_is_named_and_mended_by_the_one_write(aws, p, field):
    storage.ensure_bucket(aws, p)
    operation, parameters = DRIFT[field]
    getattr(aws.s3, operation)(Bucket=p.bucket, **parameters)
    report = storage.verify_bucket(aws, p)
    assert not report and any(check.name.startswith(field) for check in report.checks if not check.ok)
    assert {check.name.split(".")[0] for check in report.checks if not check.ok} == {field.split(".")[0]}
    writes = []
    aws.s3._client.meta.events.register("before-call", lambda model, **_: writes.append(model.name))
    assert "~ bucket elastic-io-registry: changed" in repr(storage.ensure_bucket(aws, p))
    assert len([name for name in writes if name.startswith("Put")]) == 1
    assert storage.verify_bucket(aws, p)


def test_tags_of_others_stay(aws, p):
    storage.ensure_bucket(aws, p)
    tags = [{"Key": "team", "Value": "blue"}, {"Key": "runbook:deployment", "Value": p.name}]
    aws.s3.put_bucket_tagging(Bucket=p.bucket, Tagging={"TagSet": tags})
    aws.s3.delete_bucket_policy(Bucket=p.bucket)
    storage.ensure_bucket(aws, p)
    assert storage.find_bucket(aws, p)["Tags"] == {"team": "blue", **p.tags}


def test_an_empty_filter_means_every_object_too(aws, p):
    storage.ensure_bucket(aws, p)
    [rule] = storage.want_bucket(p)["LifecycleRules"]
    rules = {"Rules": [rule | {"Filter": {}}]}
    aws.s3.put_bucket_lifecycle_configuration(Bucket=p.bucket, LifecycleConfiguration=rules)
    assert storage.verify_bucket(aws, p)


def create(aws, p):
    aws.s3.create_bucket(Bucket=p.bucket, CreateBucketConfiguration={"LocationConstraint": p.region})


def test_an_empty_bucket_without_settings_is_taken_for_half_made(aws, p):
    create(aws, p)
    storage.ensure_bucket(aws, p)
    assert storage.verify_bucket(aws, p)


@pytest.mark.parametrize("mark", ["object", "tag", "policy"])
@pytest.mark.parametrize("verb", [storage.ensure_bucket, storage.destroy_bucket, storage.verify_bucket])
def test_a_bucket_that_is_not_ours_is_left_alone(aws, p, mark, verb):
    create(aws, p)
    if mark == "object":
        put(aws, p, "holiday.jpg")
    elif mark == "tag":
        tags = [{"Key": "runbook:deployment", "Value": "another"}]
        aws.s3.put_bucket_tagging(Bucket=p.bucket, Tagging={"TagSet": tags})
    else:
        aws.s3.put_bucket_policy(Bucket=p.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": []}))
    with pytest.raises(NotOurs, match="bucket elastic-io-registry exists and does not belong to deployment registry"):
        verb(aws, p)
    assert aws.s3.head_bucket(Bucket=p.bucket)


@pytest.mark.parametrize("verb", [storage.ensure_bucket, storage.destroy_bucket, storage.verify_bucket])
def test_a_bucket_of_another_account_is_one_clear_sentence(aws, p, monkeypatch, verb):
    monkeypatch.setenv("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
    role = aws.sts.assume_role(RoleArn="arn:aws:iam::222222222222:role/x", RoleSessionName="other")["Credentials"]
    other = boto3.client(
        "s3",
        region_name=p.region,
        aws_access_key_id=role["AccessKeyId"],
        aws_secret_access_key=role["SecretAccessKey"],
        aws_session_token=role["SessionToken"],
    )
    other.create_bucket(Bucket=p.bucket, CreateBucketConfiguration={"LocationConstraint": p.region})
    with pytest.raises(
        StepFailed, match=r"^bucket elastic-io-registry: it belongs to another account \(403\).*choose another name in"
    ) as caught:
        verb(aws, p)
    assert isinstance(caught.value.__cause__, Denied)


def test_a_bucket_in_another_region_cannot_move(aws, p):
    storage.ensure_bucket(aws, p)
    moved = changed(p, region="eu-west-1")
    with pytest.raises(StepFailed, match="is in eu-central-1, not in eu-west-1, and cannot move"):
        storage.ensure_bucket(runbook.connect(moved), moved)


def test_destroyed_and_destroyed_again(aws, p):
    storage.ensure_bucket(aws, p)
    assert repr(storage.destroy_bucket(aws, p)) == "- bucket elastic-io-registry: destroyed"
    assert aws.s3.list_buckets()["Buckets"] == []
    assert repr(storage.destroy_bucket(aws.read_only(), p)) == "= bucket elastic-io-registry: absent"


def test_a_half_made_bucket_is_destroyed(aws, p):
    create(aws, p)
    assert storage.destroy_bucket(aws, p)
    assert aws.s3.list_buckets()["Buckets"] == []


def test_images_are_kept_unless_told_so(aws, p):
    storage.ensure_bucket(aws, p)
    put(aws, p, "docker/registry/v2/x")
    kept = storage.destroy_bucket(aws, p)
    assert repr(kept) == (
        "! bucket elastic-io-registry: kept\n    with the images in it "
        "(python -m runbook destroy … --images deletes them, too)"
    )
    assert aws.s3.get_object(Bucket=p.bucket, Key="docker/registry/v2/x")
    assert storage.verify_bucket(aws, p), "a kept bucket stays as it was"
    assert repr(storage.destroy_bucket(aws, p, images=True)) == "- bucket elastic-io-registry: destroyed"
    assert storage.find_bucket(aws, p) is None


def test_unfinished_uploads_are_no_images(aws, p):
    storage.ensure_bucket(aws, p)
    aws.s3.create_multipart_upload(Bucket=p.bucket, Key="docker/registry/v2/upload")
    aborted = []
    aws.s3._client.meta.events.register(
        "before-call.s3.AbortMultipartUpload", lambda model, **_: aborted.append(model.name)
    )
    assert storage.destroy_bucket(aws, p)
    assert aborted == ["AbortMultipartUpload"] and storage.find_bucket(aws, p) is None


def test_more_objects_than_one_call_deletes_with_versions_and_markers(aws, p):
    storage.ensure_bucket(aws, p)
    aws.s3.put_bucket_versioning(Bucket=p.bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(1010):
        put(aws, p, f"docker/registry/v2/{number:04}", b"")
    put(aws, p, "docker/registry/v2/0000", b"again")
    aws.s3.delete_object(Bucket=p.bucket, Key="docker/registry/v2/0001")
    sizes = []
    aws.s3._client.meta.events.register(
        "provide-client-params.s3.DeleteObjects", lambda params, **_: sizes.append(len(params["Delete"]["Objects"]))
    )
    assert storage.destroy_bucket(aws, p, images=True)
    assert storage.find_bucket(aws, p) is None
    assert sum(sizes) == 1012 and max(sizes) <= 1000


def test_a_version_or_a_marker_alone_keeps_the_bucket(aws, p):
    storage.ensure_bucket(aws, p)
    aws.s3.put_bucket_versioning(Bucket=p.bucket, VersioningConfiguration={"Status": "Enabled"})
    put(aws, p, "docker/registry/v2/x")
    aws.s3.delete_object(Bucket=p.bucket, Key="docker/registry/v2/x")
    assert "kept" in repr(storage.destroy_bucket(aws, p))
    assert storage.destroy_bucket(aws, p, images=True)
    assert storage.find_bucket(aws, p) is None


def test_an_object_that_cannot_be_deleted_is_named(aws, p):
    storage.ensure_bucket(aws, p)
    put(aws, p, "docker/registry/v2/x")
    errors = [{"Key": "docker/registry/v2/x", "Code": "AccessDenied", "Message": "Access Denied"}]
    aws.s3._client.meta.events.register(
        "after-call.s3.DeleteObjects", lambda parsed, **_: parsed.update({"Errors": errors})
    )
    with pytest.raises(StepFailed, match="docker/registry/v2/x is not deleted: AccessDenied: Access Denied"):
        storage.destroy_bucket(aws, p, images=True)


def test_a_kill_at_any_write_of_the_destruction_is_completed_by_the_next(crash_everywhere):
    def prepare(aws, p):
        storage.ensure_bucket(aws, p)
        aws.s3.create_multipart_upload(Bucket=p.bucket, Key="docker/registry/v2/upload")
        put(aws, p, "docker/registry/v2/x")

    def check(aws, p):
        assert storage.find_bucket(aws, p) is None

    writes = crash_everywhere(lambda aws, p: storage.destroy_bucket(aws, p, images=True), check, prepare)
    assert writes == ["s3 AbortMultipartUpload", "s3 DeleteObjects", "s3 DeleteBucket"]


def test_what_the_registry_stored_is_told_by_repository(aws, p):
    with pytest.raises(StepFailed, match="is not there; run notebook 01_enable_s3_and_authentication first"):
        storage.stored(aws, p)
    storage.ensure_bucket(aws, p)
    assert storage.stored(aws, p) == {"bucket": p.bucket, "blobs": 0, "repositories": {}}
    for blob in ("aa", "bb", "cc"):
        put(aws, p, f"docker/registry/v2/blobs/sha256/{blob}/{blob}11/data")
    app = "docker/registry/v2/repositories/team/app"
    for key in (
        "_layers/sha256/aa11/link",
        "_layers/sha256/bb11/link",
        "_manifests/revisions/sha256/cc11/link",
        "_manifests/tags/2.0/current/link",
        "_manifests/tags/1.0/current/link",
        "_manifests/tags/1.0/index/sha256/cc11/link",
        "_uploads/0000/startedat",
    ):
        put(aws, p, f"{app}/{key}")
    put(aws, p, "docker/registry/v2/repositories/half/_layers/sha256/aa11/link")
    put(aws, p, "notes.txt")
    assert storage.stored(aws.read_only(), p) == {
        "bucket": p.bucket,
        "blobs": 3,
        "repositories": {
            "half": {"tags": [], "manifests": 0, "blobs": 1},
            "team/app": {"tags": ["1.0", "2.0"], "manifests": 1, "blobs": 2},
        },
    }


@pytest.mark.parametrize(
    ("operation", "key", "shown"),
    [
        (
            "GetBucketLifecycleConfiguration",
            "Rules",
            "S3 does not show yet: LifecycleRules",
        ),
        ("GetBucketTagging", "TagSet", "S3 does not show our tag yet"),
    ],
)
def test_settings_that_s3_shows_late_are_waited_for(aws, p, monkeypatch, capsys, operation, key, shown):
    late = []
    aws.s3._client.meta.events.register("after-call.s3.PutBucketLifecycleConfiguration", lambda **_: late.extend("xx"))

    def answer(parsed, **_):
        if late:
            late.pop()
            parsed.pop(key)

    aws.s3._client.meta.events.register(f"after-call.s3.{operation}", answer)
    monkeypatch.setattr("runbook.wait.time.sleep", lambda _: None)
    storage.ensure_bucket(aws, p)
    assert shown in capsys.readouterr().err
    assert not late and storage.verify_bucket(aws, p).require()


def test_a_name_that_was_just_given_up_is_waited_for(aws, p, monkeypatch):
    real, answers = aws.s3.create_bucket, [AwsError("s3", "CreateBucket", "OperationAborted", "conflicting")] * 2

    def create_bucket(**request):
        if answers:
            raise answers.pop()
        return real(**request)

    monkeypatch.setattr(aws.s3, "create_bucket", create_bucket, raising=False)
    monkeypatch.setattr("runbook.wait.time.sleep", lambda _: None)
    storage.ensure_bucket(aws, p)
    assert not answers and storage.verify_bucket(aws, p).require()


def test_a_lost_reply_of_the_creation_does_no_harm(aws, p, monkeypatch):
    real = aws.s3.create_bucket

    def asked_twice(**request):
        real(**request)
        return real(**request)

    monkeypatch.setattr(aws.s3, "create_bucket", asked_twice, raising=False)
    storage.ensure_bucket(aws, p)
    assert storage.verify_bucket(aws, p).require()

"""The registry's way to its bucket: with whose credentials it goes, what those may do, and what the bucket says."""

import datetime
import json

from .. import access_key, s3_policy
from ..errors import Denied
from ..roles import INLINE
from . import policy, signs
from .diagnosis import Cause
from .patient import Patient

_ABSENT = {"NoSuchEntity"}
# Without these a registry does not even look: its health check lists the bucket.
_LOOKING = {"s3:ListBucket", "s3:GetObject"}
# What the runbook attaches to its roles: none of them knows of a registry's bucket.
_WITHOUT_S3 = ("AmazonSSMManagedInstanceCore", "CloudWatchAgentServerPolicy", "AmazonEC2ContainerServiceforEC2Role")
_OLD = datetime.timedelta(days=1)


def credentials(patient: Patient) -> Cause | None:
    """Whether the registry gets credentials at all, and whether they may do what it does."""
    if patient.registry is None:
        return None
    if patient.uses_static_key:
        return _key(patient) or _rights(patient, "user", patient.p.user_name)
    task_role = patient.suspect.get("taskRoleArn")
    if task_role and patient.version >= (3,):
        return _rights(patient, "role", task_role.rsplit("/")[-1])
    found = _rights(patient, "role", patient.p.node_role)
    if task_role and found and patient.version[:1] == (2,):
        role = task_role.rsplit("/")[-1]
        return Cause.of(9, f"{patient.registry['image']} with the task role {role}", *found.evidence)
    return _metadata(patient) or found


def storage(patient: Patient) -> Cause | None:
    """The bucket: there, in the region that the registry is told, open to it; then what nobody finished in it."""
    if patient.service is None:
        return None
    name = patient.variables.get("REGISTRY_STORAGE_S3_BUCKET", patient.p.bucket)
    region = patient.variables.get("REGISTRY_STORAGE_S3_REGION", patient.p.region)
    unhealthy = patient.health.startswith("503 UNAVAILABLE")
    try:
        head = patient.aws.s3.find("head_bucket", {"404", "NoSuchBucket"}, Bucket=name)
    except Denied:
        return Cause.of(5, f"bucket {name}: 403 for this login, too", *_said(patient)) if unhealthy else None
    if head is None:
        return Cause.of(5, f"bucket {name}: there is none", *_said(patient))
    if head["BucketRegion"] != region:
        return Cause.of(5, f"bucket {name}: in {head['BucketRegion']}, and the registry is told {region}")
    if denied := _denied(patient, name):
        row = 5 if _LOOKING & set(denied) else 8
        return Cause.of(row, f"the policy of bucket {name} denies the registry {', '.join(denied)}", *_said(patient))
    if unhealthy:
        return Cause.of(5, *_said(patient))
    return _unfinished(patient, name)


def _key(patient: Patient) -> Cause | None:
    """The access key that is stored for the registry, as IAM knows it."""
    p = patient.p
    if p.credentials != "access-key" or "REGISTRY_STORAGE_S3_ACCESSKEY" not in patient.secrets:
        return None
    stored = access_key.stored_id(patient.aws, p)
    answer = patient.aws.iam.find("list_access_keys", _ABSENT, UserName=p.user_name) or {"AccessKeyMetadata": []}
    known = {each["AccessKeyId"]: each["Status"] for each in answer["AccessKeyMetadata"]}
    if stored is None or known.get(stored) == "Active":
        return None
    state = "inactive" if stored in known else "not one of the user's"
    return Cause.of(5, f"IAM user {p.user_name}: the key in secret {p.key_secret} is {state}", *_said(patient))


def _rights(patient: Patient, kind: str, name: str) -> Cause | None:
    """What the policies of the user or role lack. With a policy whose text is not known here nothing is said."""
    documents = _documents(patient, kind, name)
    if documents is None:
        return None
    lacking = [
        action
        for actions, resource in _needed(patient.p.bucket)
        for action in actions
        if not policy.allowed(documents, action, resource)
    ]
    if not lacking:
        return None
    row = 5 if _LOOKING & set(lacking) else 8
    return Cause.of(row, f"IAM {kind} {name} may not {', '.join(lacking)} on bucket {patient.p.bucket}")


def _documents(patient: Patient, kind: str, name: str) -> list[dict] | None:
    """The user's or role's inline policies; None where others are attached, or where there is no such user or role."""
    iam, asked = patient.aws.iam, {f"{kind.title()}Name": name}
    if iam.find(f"get_{kind}", _ABSENT, **asked) is None:
        return None
    attached = iam.all(f"list_attached_{kind}_policies", "AttachedPolicies", **asked)
    if any(each["PolicyArn"].rsplit("/")[-1] not in _WITHOUT_S3 for each in attached):
        return None
    if kind == "user" and iam.all("list_groups_for_user", "Groups", **asked):
        return None
    names = iam.all(f"list_{kind}_policies", "PolicyNames", **asked)
    inline = sorted(names, key=lambda each: each != INLINE)
    return [getattr(iam, f"get_{kind}_policy")(**asked, PolicyName=each)["PolicyDocument"] for each in inline]


def _needed(bucket: str) -> list[tuple[list[str], str]]:
    arn = f"arn:aws:s3:::{bucket}"
    return [(s3_policy.BUCKET_ACTIONS, arn), (s3_policy.OBJECT_ACTIONS, f"{arn}/docker/registry/v2/x")]


def _metadata(patient: Patient) -> Cause | None:
    """Whether a container can ask the metadata service of its node for the role's credentials."""
    if patient.suspect.get("networkMode", "bridge") != "bridge":
        return None
    old = patient.p.cloud == "aws" and patient.version[:1] == (2,)
    shut = []
    for node in patient.nodes:
        options = node.get("MetadataOptions", {})
        version_2, hops = options.get("HttpTokens") == "required", options.get("HttpPutResponseHopLimit", 1)
        if options.get("HttpEndpoint") == "disabled" or version_2 and (hops < 2 or old):
            endpoint, tokens = options.get("HttpEndpoint", "enabled"), options.get("HttpTokens", "optional")
            shut.append(f"endpoint {endpoint}, tokens {tokens}, hop limit {hops}")
    if not shut:
        return None
    image = [f"the image is {patient.registry['image']}"] if old else []
    said = [line for line in patient.running_lines if signs.NO_CREDENTIALS.search(line.text)]
    logged = [f"log of {said[-1].container}: {signs.quote(said[-1].text, signs.NO_CREDENTIALS)}"] if said else []
    seen = [f"metadata options of {shut.count(each)} nodes: {each}" for each in dict.fromkeys(shut)]
    return Cause.of(10, *seen, *image, *logged)


def _denied(patient: Patient, bucket: str) -> list[str]:
    """The actions that the bucket's policy denies to whom the registry is."""
    found = patient.aws.s3.find("get_bucket_policy", {"NoSuchBucketPolicy"}, Bucket=bucket)
    if found is None:
        return []
    document, p, account = json.loads(found["Policy"]), patient.p, patient.aws.account
    role = patient.suspect.get("taskRoleArn") if patient.version >= (3,) else None
    role = role or f"arn:aws:iam::{account}:role/{p.node_role}"
    owner = f"arn:aws:iam::{account}:user/{p.user_name}" if patient.uses_static_key else role
    whom = {owner, account, f"arn:aws:iam::{account}:root"}
    return [
        action
        for actions, resource in _needed(bucket)
        for action in actions
        if policy.denies(document, whom, action, resource)
    ]


def _said(patient: Patient) -> list[str]:
    """What the registry itself says of it."""
    said = [line for line in (*patient.failed_lines, *patient.running_lines) if signs.OF_S3.search(line.text)]
    logged = [f"log of {said[-1].container}: {signs.quote(said[-1].text, signs.OF_S3)}"] if said else []
    return [f"GET / answers {patient.health}", *logged]


def _unfinished(patient: Patient, bucket: str) -> Cause | None:
    """Uploads that nobody will finish, and no rule that ends them."""
    s3 = patient.aws.s3
    found = s3.find("get_bucket_lifecycle_configuration", {"NoSuchLifecycleConfiguration"}, Bucket=bucket)
    rules = (found or {"Rules": []})["Rules"]
    if any(each["Status"] == "Enabled" and each.get("AbortIncompleteMultipartUpload") for each in rules):
        return None
    before = datetime.datetime.now(datetime.UTC) - _OLD
    old = [each for each in s3.all("list_multipart_uploads", "Uploads", Bucket=bucket) if each["Initiated"] < before]
    if not old:
        return None
    ends = "no lifecycle rule that ends incomplete multipart uploads"
    return Cause.of(29, f"bucket {bucket}: {ends}", f"{len(old)} of them, begun more than a day ago")

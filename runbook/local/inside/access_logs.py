"""Access logs inside moto: may Elastic Load Balancing write to a bucket, and what it writes there."""

import fnmatch
import json

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.s3.models import s3_backends

# "Enable access logs for your Application Load Balancer", Step 2: a policy names one of these.
SERVICE = "logdelivery.elasticloadbalancing.amazonaws.com"
ACCOUNTS = {
    "us-east-1": "127311923021",
    "us-east-2": "033677994240",
    "us-west-1": "027434742980",
    "us-west-2": "797873946194",
    "ca-central-1": "985666609251",
    "eu-central-1": "054676820928",
    "eu-west-1": "156460612806",
    "eu-west-2": "652711504416",
    "eu-west-3": "009996457667",
    "eu-north-1": "897822967062",
    "ap-northeast-1": "582318560864",
    "ap-northeast-2": "600734575887",
    "ap-southeast-1": "114774131450",
    "ap-southeast-2": "783225319266",
    "ap-south-1": "718504428378",
    "sa-east-1": "507241528517",
}


def problem(bucket: str, prefix: str, region: str) -> str | None:
    """Why access logs cannot be written to a bucket; None when they can."""
    kept = _bucket(bucket)
    if kept is None or kept.region_name != region:
        return f"Access Denied for bucket: {bucket}. Please check S3bucket permission"
    resource = f"arn:aws:s3:::{bucket}/{prefix + '/' if prefix else ''}AWSLogs/{ACCOUNT}/"
    statements = json.loads(kept.policy)["Statement"] if kept.policy else []
    statements = statements if isinstance(statements, list) else [statements]
    if any(_lets_us_write(each, resource, region) for each in statements):
        return None
    return f"Access Denied for bucket: {bucket}. Please check S3bucket permission"


def _lets_us_write(statement: dict, resource: str, region: str) -> bool:
    if statement["Effect"] != "Allow":
        return False
    principal = statement.get("Principal", {})
    named = ["*"] if principal == "*" else _list(principal.get("Service")) + _list(principal.get("AWS"))
    account = ACCOUNTS.get(region)
    ours = {"*", SERVICE, account, f"arn:aws:iam::{account}:root"}
    return (
        any(each in ours for each in named)
        and any(fnmatch.fnmatchcase("s3:PutObject", each) for each in _list(statement.get("Action")))
        and any(fnmatch.fnmatchcase(f"{resource}x", each) for each in _list(statement.get("Resource")))
    )


def _list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def put(bucket: str, key: str, content: bytes) -> None:
    """Write one file of the log; a bucket that is gone gets none, as on AWS."""
    if _bucket(bucket) is not None:
        s3_backends[ACCOUNT]["aws"].put_object(bucket, key, content)


def _bucket(name: str):
    return s3_backends[ACCOUNT]["aws"].buckets.get(name)

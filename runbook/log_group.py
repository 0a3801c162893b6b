"""The CloudWatch log group that holds what the containers print."""

from . import tags
from .errors import NotOurs
from .params import Params
from .report import Changes, Document, compare, destroyed
from .session import AWS


def want_log_group(p: Params) -> Document:
    return Document(logGroupName=p.log_group, retentionInDays=p.log_retention, **tags.want(p))


def find_log_group(aws: AWS, p: Params) -> Document | None:
    """Name and retention in days. NotOurs without our tag."""
    group = _describe(aws, p)
    if group is None:
        return None
    told = {"logGroupName": p.log_group, "retentionInDays": group.get("retentionInDays")}
    return Document(told, **tags.found(p, group["tags"]))


def _describe(aws: AWS, p: Params) -> dict | None:
    groups = aws.logs.all("describe_log_groups", "logGroups", logGroupNamePrefix=p.log_group)
    group = next((group for group in groups if group["logGroupName"] == p.log_group), None)
    if group is None:
        return None
    arn = group["arn"].removesuffix(":*")
    seen = aws.logs.list_tags_for_resource(resourceArn=arn)["tags"]
    if seen.get("runbook:deployment") != p.name:
        raise NotOurs(f"log group {p.log_group}", p)
    return group | {"arn": arn, "tags": seen}


def ensure_log_group(aws: AWS, p: Params) -> Changes:
    found = find_log_group(aws, p)
    report = compare(f"log group {p.log_group}", want_log_group(p), found)
    if found is None:
        aws.logs.create_log_group(logGroupName=p.log_group, tags=p.tags)
    elif tags.differ(p, found):
        aws.logs.tag_resource(resourceArn=_describe(aws, p)["arn"], tags=p.extra_tags)
    if found is None or found["retentionInDays"] != p.log_retention:
        aws.logs.put_retention_policy(logGroupName=p.log_group, retentionInDays=p.log_retention)
    return report.changes.done


def destroy_log_group(aws: AWS, p: Params) -> Changes:
    """With all that is in it."""
    group = find_log_group(aws, p)
    if group:
        aws.logs.delete_log_group(logGroupName=p.log_group)
    return destroyed(f"log group {p.log_group}", bool(group))

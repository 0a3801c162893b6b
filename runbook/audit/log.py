"""The log groups that the containers write to."""

from collections.abc import Iterator

from ..finding import Finding
from .deployment import Deployment
from .rules import found

_ONE_YEAR = 365


def groups(d: Deployment) -> dict[str, dict]:
    """Those of this region, each with the options by which a container names it."""
    configured = [each.get("logConfiguration") or {} for each in d.task["containerDefinitions"]]
    options = [each.get("options") or {} for each in configured if each.get("logDriver") == "awslogs"]
    here = [each for each in options if each.get("awslogs-region") == d.aws.region and "awslogs-group" in each]
    return {f"log group {each['awslogs-group']}": each for each in here}


def retention(d: Deployment, where: str, options: dict) -> Iterator[Finding]:
    name = options["awslogs-group"]
    told = d.aws.logs.all("describe_log_groups", "logGroups", logGroupNamePrefix=name)
    group = next((each for each in told if each["logGroupName"] == name), None)
    if group is None:
        if options.get("awslogs-create-group") != "true":
            yield found("log-group-absent", where)
    elif "retentionInDays" not in group:
        yield found("log-for-ever", where)
    elif group["retentionInDays"] < _ONE_YEAR:
        yield found("log-short", where, days=group["retentionInDays"])


CHECKS = (retention,)

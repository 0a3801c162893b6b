"""How the targets of the application load balancer fare: its health check's reasons, and what mends each."""

from collections import Counter

from . import target_group
from .params import Params
from .session import AWS

_ABSENT = {"TargetGroupNotFound"}
# What each reason means for a registry, and what mends it; the first row that fits counts. The codes:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
_REASONS = (
    (
        "Target.ResponseCodeMismatch",
        "[401]",
        "the check asks a path that wants a login: it must ask / or take 401 for healthy (matcher); run notebook "
        "05_configure_https_on_the_load_balancer from its start",
    ),
    (
        "Target.ResponseCodeMismatch",
        "[503]",
        "the registry's own storage check fails, it cannot use its bucket; run notebook "
        "01_enable_s3_and_authentication",
    ),
    ("Target.ResponseCodeMismatch", "", "read the log group {p.log_group}"),
    (
        "Target.Timeout",
        "",
        "group {p.node_group} must admit group {p.balancer_group}; run notebook 02_create_a_task_definition",
    ),
    (
        "Target.FailedHealthChecks",
        "",
        "nothing listens on the port, or it breaks off; read the log group {p.log_group}",
    ),
    (
        "Target.NotInUse",
        "",
        "the group has no listener, or the node stands in a zone that the balancer does not; run notebook "
        "05_configure_https_on_the_load_balancer from its start",
    ),
    ("Target.InvalidState", "", "its node is stopped or terminated"),
)


def health(aws: AWS, p: Params) -> list[dict]:
    """The TargetHealthDescriptions of all registered targets; none when there is no group."""
    group = target_group.describe(aws, p)
    if group is None:
        return []
    answer = aws.elbv2.find("describe_target_health", _ABSENT, TargetGroupArn=group["TargetGroupArn"])
    return (answer or {"TargetHealthDescriptions": []})["TargetHealthDescriptions"]


def count(targets: list[dict], state: str) -> int:
    return sum(target["TargetHealth"]["State"] == state for target in targets)


def words(p: Params, targets: list[dict]) -> str:
    """How the targets fare: how many are healthy, and of the others their state, the reason and what mends it."""
    others = Counter(_why(p, each["TargetHealth"]) for each in targets if each["TargetHealth"]["State"] != "healthy")
    said = [f"{number} {why}" for why, number in sorted(others.items())]
    return "; ".join([f"{count(targets, 'healthy')} of {len(targets)} targets healthy", *said])


def _why(p: Params, found: dict) -> str:
    reason, description = found.get("Reason", ""), found.get("Description", "")
    remedies = (text for code, sign, text in _REASONS if code == reason and sign in description)
    remedy = next(remedies, "").format(p=p)
    return found["State"] + (f" ({description or reason})" if reason else "") + (f": {remedy}" if remedy else "")

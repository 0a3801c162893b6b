"""The revisions of the deployment's task definition: the newest one, and those that nothing needs any more."""

from .errors import AwsError, NotOurs, StepFailed
from .params import Params
from .session import AWS

# The most names in one call, https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteTaskDefinitions.html
# and https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
_AT_ONCE = 10


def find_active(aws: AWS, p: Params) -> list[dict]:
    """The ACTIVE revisions as ECS describes them, newest first. NotOurs when one of them lacks our tag."""
    found = _revisions(aws, p, "ACTIVE")
    if not all(_is_ours(revision, p) for revision in found):
        raise NotOurs(f"task definition {p.family}", p)
    return found


def newest(aws: AWS, p: Params) -> str | None:
    """ARN of the newest ACTIVE revision."""
    active = find_active(aws, p)
    return active[0]["taskDefinitionArn"] if active else None


def surplus(aws: AWS, p: Params) -> list[str]:
    """ARNs of the older ACTIVE revisions that no service uses.

    RegisterTaskDefinition has no idempotency token: a retry after a lost answer makes a second revision.
    """
    older = [revision["taskDefinitionArn"] for revision in find_active(aws, p)[1:]]
    used = _used(aws, p) if older else set()
    return [arn for arn in older if arn not in used]


def retire(aws: AWS, p: Params) -> None:
    """Deregister the surplus revisions."""
    for arn in surplus(aws, p):
        aws.ecs.deregister_task_definition(taskDefinition=arn)


def destroy(aws: AWS, p: Params) -> bool:
    """Deregister and delete every revision of ours; True when there was one."""
    active = [revision["taskDefinitionArn"] for revision in find_active(aws, p)]
    for arn in active:
        aws.ecs.deregister_task_definition(taskDefinition=arn)
    # The list may not show at once what has just become INACTIVE.
    ours = [revision["taskDefinitionArn"] for revision in _revisions(aws, p, "INACTIVE") if _is_ours(revision, p)]
    arns = list(dict.fromkeys([*active, *ours]))
    for start in range(0, len(arns), _AT_ONCE):
        failures = aws.ecs.delete_task_definitions(taskDefinitions=arns[start : start + _AT_ONCE])["failures"]
        # Made again after a lost answer, the call fails for those that the first one deleted.
        if failures and _revisions(aws, p, "INACTIVE"):
            raise StepFailed(f"task definition {p.family} cannot be deleted: {failures[0]['reason']}")
    return bool(arns)


def _revisions(aws: AWS, p: Params, status: str) -> list[dict]:
    """Each with its tags; newest first."""
    arns = aws.ecs.all("list_task_definitions", "taskDefinitionArns", familyPrefix=p.family, status=status)
    arns = [arn for arn in arns if arn.rsplit("/")[-1].rsplit(":")[0] == p.family]
    arns.sort(key=lambda arn: int(arn.rsplit(":")[-1]), reverse=True)
    answers = [aws.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"]) for arn in arns]
    return [answer["taskDefinition"] | {"tags": answer.get("tags", [])} for answer in answers]


def _is_ours(revision: dict, p: Params) -> bool:
    return {"key": "runbook:deployment", "value": p.name} in revision["tags"]


def _used(aws: AWS, p: Params) -> set[str]:
    """What any service of the cluster uses: while one replaces another, both run."""
    try:
        arns = aws.ecs.all("list_services", "serviceArns", cluster=p.cluster_name)
    except AwsError as error:
        if error.code != "ClusterNotFoundException":
            raise
        return set()
    used = set()
    for start in range(0, len(arns), _AT_ONCE):
        some = arns[start : start + _AT_ONCE]
        for service in aws.ecs.describe_services(cluster=p.cluster_name, services=some)["services"]:
            if service["status"] != "INACTIVE":
                used |= {thing["taskDefinition"] for thing in (service, *service.get("deployments", []))}
    return used

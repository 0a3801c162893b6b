"""The ECS cluster, to which the nodes belong and in which the service runs."""

from . import lease, tags, wait
from .errors import AwsError, NotOurs
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS

# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html
_IN_USE = {
    "ClusterContainsServicesException": "services",
    "ClusterContainsContainerInstancesException": "nodes",
    "ClusterContainsTasksException": "tasks",
    "UpdateInProgressException": "an update in progress",
}
_SETTLE_SECONDS = 120


def want_cluster(p: Params) -> Document:
    """The blog's cluster is a name and no setting of its own; one that scales says whether it has insights.

    An account may have another default for them:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-account-settings.html
    """
    insights = {"containerInsights": "enabled" if p.container_insights else "disabled"} if p.scales else {}
    return Document(clusterName=p.cluster_name, status="ACTIVE", **insights, **tags.want(p))


def find_cluster(aws: AWS, p: Params) -> Document | None:
    """Name, status, settings. A deleted cluster stays visible as INACTIVE for a while: it is absent."""
    found = aws.ecs.describe_clusters(clusters=[p.cluster_name], include=["TAGS", "SETTINGS"])["clusters"]
    if not found or found[0]["status"] == "INACTIVE":
        return None
    if {"key": "runbook:deployment", "value": p.name} not in found[0].get("tags", []):
        raise NotOurs(f"ECS cluster {p.cluster_name}", p)
    settings = {setting["name"]: setting["value"] for setting in found[0].get("settings", [])}
    told = {"clusterName": found[0]["clusterName"], "status": found[0]["status"], **settings}
    return Document(told, **tags.found(p, found[0]["tags"]))


@lease.exclusive
def ensure_cluster(aws: AWS, p: Params) -> Changes:
    """Create the cluster, and before it the role that an account's first use of ECS needs."""
    found = find_cluster(aws, p)
    report = compare(_title(p), want_cluster(p), found)
    if found is None:
        _ensure_service_linked_role(aws)
        wait.wait(f"ECS cluster {p.cluster_name}", lambda: _created(aws, p), timeout=_SETTLE_SECONDS, every=3)
        return report.changes.done
    if any(found.get(setting["name"]) != setting["value"] for setting in _settings(p)):
        aws.ecs.update_cluster(cluster=p.cluster_name, settings=_settings(p))
    if tags.differ(p, found):
        arn = aws.ecs.describe_clusters(clusters=[p.cluster_name])["clusters"][0]["clusterArn"]
        aws.ecs.tag_resource(resourceArn=arn, tags=tags.small_pairs(p.extra_tags))
    return report.changes.done


def verify_cluster(aws: AWS, p: Params) -> Report:
    return compare(_title(p), want_cluster(p), find_cluster(aws, p))


@lease.exclusive
def destroy_cluster(aws: AWS, p: Params) -> Changes:
    """Delete the cluster; waits up to two minutes for services and nodes that are just going away."""
    found = find_cluster(aws, p)
    if found:
        wait.wait(f"ECS cluster {p.cluster_name}", lambda: _deleted(aws, p), timeout=_SETTLE_SECONDS, every=3)
    return destroyed(f"ECS cluster {p.cluster_name}", bool(found))


def _ensure_service_linked_role(aws: AWS) -> None:
    """AWSServiceRoleForECS: the account's own, shared by all clusters, so it is never destroyed.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using-service-linked-roles.html
    """
    if aws.iam.find("get_role", {"NoSuchEntity"}, RoleName="AWSServiceRoleForECS"):
        return
    try:
        aws.iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    except AwsError as error:
        taken = error.code == "InvalidInput" and "has been taken" in error.message
        if not taken and error.code != "EntityAlreadyExists":
            raise


def _title(p: Params) -> str:
    return f"ECS cluster {p.cluster_name}"


def _settings(p: Params) -> list[dict[str, str]]:
    wanted = want_cluster(p)
    return [{"name": name, "value": wanted[name]} for name in ("containerInsights",) if name in wanted]


def _created(aws: AWS, p: Params) -> tuple[bool | None, str]:
    try:
        given = tags.small_pairs(p.tags)
        aws.ecs.create_cluster(clusterName=p.cluster_name, tags=given, settings=_settings(p))
    except AwsError as error:
        if "service linked role" not in error.message:
            raise
        return None, "the role AWSServiceRoleForECS is not usable yet"
    return True, "created"


def _deleted(aws: AWS, p: Params) -> tuple[bool | None, str]:
    try:
        aws.ecs.find("delete_cluster", {"ClusterNotFoundException"}, cluster=p.cluster_name)
    except AwsError as error:
        if error.code not in _IN_USE:
            raise
        return None, f"still holds {_IN_USE[error.code]}"
    return True, "deleted"

"""The ECS capacity provider: by it the cluster grows and shrinks the Auto Scaling group, and drains what it ends."""

from . import instances, tags, wait
from .errors import AwsError, NotOurs, StepFailed
from .params import Params
from .report import Changes, destroyed
from .session import AWS

_SETTLE_SECONDS = 180
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutClusterCapacityProviders.html
_BUSY = ("ResourceInUseException", "UpdateInProgressException")
# The protection needs the group's own, on the group and on each instance:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-termination-protection.html
_SETTINGS = {
    "managedScaling": {"status": "ENABLED", "targetCapacity": 100},  # percent
    "managedTerminationProtection": "ENABLED",
    "managedDraining": "ENABLED",
}


def want(p: Params) -> dict:
    """The provider, and the cluster's use of it, in words."""
    return {
        "group": p.scaling_group_name,
        "managed scaling": "enabled, target 100 %",
        "managed termination protection": "enabled",
        "managed draining": "enabled",
        "of the cluster": [p.capacity_provider_name],
        "default strategy": [p.capacity_provider_name],
        **tags.want(p),
    }


def find(aws: AWS, p: Params, *, group_arn: str | None) -> dict | None:
    """The same words. A provider keeps the ARN of its group: of one that was made again it knows the former only."""
    provider = _describe(aws, p)
    if provider is None:
        return None
    settings = provider["autoScalingGroupProvider"]
    scaling, cluster = settings.get("managedScaling", {}), instances.require_cluster(aws, p) or {}
    same = settings["autoScalingGroupArn"] == group_arn
    strategy = [item["capacityProvider"] for item in cluster.get("defaultCapacityProviderStrategy", [])]
    return {
        "group": p.scaling_group_name if same else "another group, or a former one of that name",
        "managed scaling": f"{_on(scaling.get('status'))}, target {scaling.get('targetCapacity', '?')} %",
        "managed termination protection": _on(settings.get("managedTerminationProtection")),
        "managed draining": _on(settings.get("managedDraining")),
        "of the cluster": cluster.get("capacityProviders", []),
        "default strategy": strategy,
        **tags.found(p, provider["tags"]),
    }


def ensure(aws: AWS, p: Params, *, group_arn: str) -> None:
    """Make it, set it right, and make it the only provider of the cluster and its default."""
    found, wanted = find(aws, p, group_arn=group_arn), want(p)
    if found and found["group"] != wanted["group"]:
        destroy(aws, p)
        found = None
    of_cluster = ("of the cluster", "default strategy")
    if found is None:
        aws.ecs.create_capacity_provider(
            name=p.capacity_provider_name,
            autoScalingGroupProvider={"autoScalingGroupArn": group_arn, **_SETTINGS},
            tags=tags.small_pairs(p.tags),
        )
    elif any(found[key] != wanted[key] for key in wanted if key not in (*of_cluster, "Tags")):
        aws.ecs.update_capacity_provider(name=p.capacity_provider_name, autoScalingGroupProvider=_SETTINGS)
    if found and tags.differ(p, found):
        arn = _describe(aws, p)["capacityProviderArn"]
        aws.ecs.tag_resource(resourceArn=arn, tags=tags.small_pairs(p.extra_tags))
    found = find(aws, p, group_arn=group_arn) or {}
    if any(found.get(key) != wanted[key] for key in of_cluster):
        _put(aws, p, [p.capacity_provider_name])


def destroy(aws: AWS, p: Params) -> Changes:
    """Take it out of the cluster, then delete it: AWS deletes none that a cluster lists."""
    found, cluster = _describe(aws, p), instances.require_cluster(aws, p)
    if found:
        if cluster and p.capacity_provider_name in cluster.get("capacityProviders", []):
            _put(aws, p, [])
        wait.wait("capacity provider", lambda: _deleted(aws, p), timeout=_SETTLE_SECONDS, every=3)
    return destroyed(f"capacity provider {p.capacity_provider_name}", bool(found))


def _on(status: str | None) -> str:
    return (status or "unset").lower()


def _describe(aws: AWS, p: Params) -> dict | None:
    """None when it is absent or deleted: a deleted one stays visible as INACTIVE."""
    answer = aws.ecs.describe_capacity_providers(capacityProviders=[p.capacity_provider_name], include=["TAGS"])
    found = [provider for provider in answer["capacityProviders"] if provider["status"] != "INACTIVE"]
    if not found:
        return None
    if {"key": "runbook:deployment", "value": p.name} not in found[0].get("tags", []):
        raise NotOurs(f"capacity provider {p.capacity_provider_name}", p)
    return found[0]


def _put(aws: AWS, p: Params, names: list[str]) -> None:
    """Make these the cluster's providers, and wait until the cluster is done with it."""
    strategy = [{"capacityProvider": name, "weight": 1, "base": 0} for name in names]

    def look() -> tuple[bool | None, str]:
        try:
            aws.ecs.put_cluster_capacity_providers(
                cluster=p.cluster_name, capacityProviders=names, defaultCapacityProviderStrategy=strategy
            )
        except AwsError as error:
            if error.code not in _BUSY:
                raise
            in_use = error.code == "ResourceInUseException"
            return None, "a service uses it" if in_use else "an update is in progress"
        return True, "listed by the cluster" if names else "no longer listed by the cluster"

    def settled() -> tuple[bool | None, str]:
        status = (instances.require_cluster(aws, p) or {}).get("attachmentsStatus", "UPDATE_COMPLETE")
        if status == "UPDATE_FAILED":
            raise StepFailed(f"ECS could not attach capacity provider {p.capacity_provider_name}; run the step again")
        return (True if status == "UPDATE_COMPLETE" else None), status.lower().replace("_", " ")

    wait.wait("capacity provider", look, timeout=_SETTLE_SECONDS, every=3)
    wait.wait("capacity provider", settled, timeout=_SETTLE_SECONDS, every=3)


def _deleted(aws: AWS, p: Params) -> tuple[bool | None, str]:
    found = _describe(aws, p)
    if found is None:
        return True, "deleted"
    if found.get("updateStatus") != "DELETE_IN_PROGRESS":
        try:
            aws.ecs.delete_capacity_provider(capacityProvider=p.capacity_provider_name)
        except AwsError as error:
            if error.code not in _BUSY:
                raise
            return None, "still in use"
    return None, "being deleted"

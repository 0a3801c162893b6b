"""The service: as many registries as wanted, kept running on the cluster's nodes by ECS."""

import hashlib

from . import instances, lease, revisions, rollout, tags, wait
from .errors import AwsError, StepFailed
from .params import Params
from .report import Changes, Document, Report, added, compare, destroyed
from .running import running_nodes
from .secretsmanager import find_secret
from .session import AWS

_FIXED = ("launchType", "schedulingStrategy")  # UpdateService cannot change them
_UNTOLD = ("deploymentConfiguration", "enableECSManagedTags", "availabilityZoneRebalancing")
_ZONE = "ecs.availability-zone"


def want_service(p: Params) -> Document:
    """The service, with the task definition by its family. The balancer's targets are a step of their own."""
    return Document(
        serviceName=p.service_name,
        cluster=p.cluster_name,
        taskDefinition=p.family,
        desiredCount=p.replicas,
        **(_scaled(p) if p.scales else _fixed()),
        enableECSManagedTags=True,
        propagateTags="SERVICE",
    )


def _fixed() -> dict:
    """One task a node, with a fixed host port.

    No more tasks than `desiredCount` while a new revision rolls out, and none is kept: a new task needs host port
    5000, which the old one holds. With ECS's defaults (100 and 200 %) the rollout would wait for ever:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
    Nor can ECS move tasks between zones then; it is asked to unless told otherwise, and refuses with 100 %:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
    """
    return {
        "launchType": "EC2",
        "schedulingStrategy": "REPLICA",
        "availabilityZoneRebalancing": "DISABLED",
        "deploymentConfiguration": _deployment(0, 100),
    }


def _scaled(p: Params) -> dict:
    """Tasks on the capacity provider's nodes, which come and go with them.

    Spread over the zones and then over the nodes, so that the loss of one leaves a registry: `binpack` would fill one
    node first and save little, as the group keeps its least number of nodes anyway. ECS places by the strategy once;
    after the loss of a zone or a node it balances the zones again, a new task first, only if asked to:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
    With dynamic ports new tasks start beside the old ones (100 and 200 %), so that a rollout fails no request.
    """
    return {
        "capacityProviderStrategy": [{"capacityProvider": p.capacity_provider_name, "weight": 1, "base": 0}],
        "schedulingStrategy": "REPLICA",
        "placementStrategy": [
            {"type": "spread", "field": f"attribute:{_ZONE}"},
            {"type": "spread", "field": "instanceId"},
        ],
        "availabilityZoneRebalancing": "ENABLED",
        "deploymentConfiguration": _deployment(100, 200),
    }


def _deployment(least: int, most: int) -> dict:
    return {
        "minimumHealthyPercent": least,
        "maximumPercent": most,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    }


def find_service(aws: AWS, p: Params) -> Document | None:
    """The ACTIVE service in the words of `want_service`; what the endpoint does not tell is left out."""
    return _in_words(p, rollout.describe(aws, p), revisions.newest(aws, p))


@lease.exclusive
def ensure_service(aws: AWS, p: Params) -> Changes:
    """Create the service or change it, and wait until its tasks run the newest revision with the present users.

    StepFailed when the nodes, the htpasswd lines or the task definition are missing, or when the tasks cannot start.
    """
    newest = revisions.newest(aws, p)
    if newest is None:
        raise StepFailed(f"task definition {p.family} is not there; run notebook 02_create_a_task_definition first")
    service = rollout.settled(aws, p)
    found = _in_words(p, service, newest)
    former = {d["id"] for d in rollout.deployments(service) if d.get("rolloutState") == "FAILED"}
    version = _users_version(aws, p)
    report = _compare(p, found)
    if former:
        report = report.check("deployment", False, "COMPLETED", "FAILED")
    if found is not None:
        report = _check_users(report, p, service, version)
    if not report:
        _require_nodes(aws, p)
        _require_users(aws, p, version)
        if found and any(found.get(key) != want_service(p).get(key) for key in _FIXED if key in want_service(p)):
            destroy_service(aws, p)
            found, service = None, rollout.describe(aws, p)
        if found is None:
            former = set()
            _create(aws, p, newest, service, version)
        elif any(not check.ok and not check.name.startswith("Tags.") for check in report.checks):
            former = _update(aws, p, newest, service, report)
    rollout.wait_until_steady(aws, p, newest, former=former)
    _tag(aws, p, version)
    revisions.retire(aws, p)
    return report.changes.done


def verify_service(aws: AWS, p: Params) -> Report:
    """The comparison, the running count, one completed deployment, the users' version, the spread over the nodes."""
    service = rollout.describe(aws, p)
    report = _compare(p, _in_words(p, service, revisions.newest(aws, p)))
    if report.absent:
        return report
    report = _check_running(report, p, service)
    states = [d.get("rolloutState", d["status"]) for d in rollout.deployments(service)]
    report = report.check("deployments", states == ["COMPLETED"], "COMPLETED", ", ".join(states))
    report = _check_users(report, p, service, _users_version(aws, p))
    running = [task for task in rollout.tasks(aws, p, "RUNNING") if task["lastStatus"] == "RUNNING"]
    nodes = [task["containerInstanceArn"] for task in running]
    if p.scales:
        return _check_spread(report, p, nodes, instances.registrations(aws, p))
    spread = f"{p.replicas} on {p.replicas}"
    seen = f"{len(nodes)} on {len(set(nodes))}"
    return report.check("tasks on nodes", seen == spread, spread, seen)


@lease.exclusive
def destroy_service(aws: AWS, p: Params) -> Changes:
    """Stop all tasks and delete the service; returns when both are gone.

    ECS cannot stop a task whose node's agent is away; such tasks, and so the service, end with their node.
    """
    service = rollout.describe(aws, p)
    existed = service is not None and service["status"] != "INACTIVE"
    if existed and service["status"] == "ACTIVE":
        if service["desiredCount"]:
            aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, desiredCount=0)
        aws.ecs.delete_service(cluster=p.cluster_name, service=p.service_name, force=True)
    if existed or (service and rollout.living(aws, p)):
        rollout.wait_until_ended(aws, p)
    return destroyed(f"service {p.service_name}", existed)


def _in_words(p: Params, service: dict | None, newest: str | None) -> Document | None:
    if service is None or service["status"] != "ACTIVE":
        return None
    family = service["taskDefinition"].rsplit("/")[-1].rsplit(":")[0]
    current = family if service["taskDefinition"] == newest else f"an older revision of {family}"
    found = {key: service[key] for key in want_service(p) if key in service}
    told = {"cluster": p.cluster_name, "taskDefinition": current, **tags.found(p, service.get("tags"))}
    return Document(found | told | added({"enableExecuteCommand": True} if service.get("enableExecuteCommand") else {}))


def _compare(p: Params, found: Document | None) -> Report:
    """ECS always tells its deployment configuration; an endpoint that does not keep it cannot be compared.

    What scaling made of the desired count, within its bounds, is no difference.
    """
    wanted = want_service(p)
    if found is not None:
        wanted["desiredCount"] = rollout.nearest(p, found["desiredCount"])
        untold = [key for key in _UNTOLD if key not in found]
        if "deploymentConfiguration" in untold:
            untold += ["capacityProviderStrategy", "placementStrategy"]
        wanted = Document({key: value for key, value in wanted.items() if key not in untold or key in found})
    return compare(f"service {p.service_name}", wanted | tags.want(p), found)


def _check_running(report: Report, p: Params, service: dict) -> Report:
    running, desired = service["runningCount"], service["desiredCount"]
    if not p.scales:
        return report.check("tasks running", running == p.replicas, str(p.replicas), str(running))
    wanted = f"all, {p.replicas} to {p.max_replicas}"
    ok = running == desired and rollout.within(p, desired)
    return report.check("tasks running", ok, wanted, wanted if ok else f"{running} of {desired}")


def _check_spread(report: Report, p: Params, nodes: list[str], registered: dict[str, dict]) -> Report:
    """Two nodes and two zones are enough to survive the loss of one, where the cluster has as many."""
    zones = {each["containerInstanceArn"]: _zone(each) for each in registered.values() if each["agentConnected"]}
    most = min(p.replicas, 2)
    wanted = min(most, len(zones)), min(most, len(set(zones.values())))
    found = len(set(nodes)), len({zones[node] for node in nodes if node in zones})
    ok = found[0] >= wanted[0] and found[1] >= wanted[1]
    words = "at least {} nodes, {} zones".format(*wanted)
    return report.check("tasks on", ok and bool(nodes), words, words if ok else "{} nodes, {} zones".format(*found))


def _zone(registration: dict) -> str:
    return next((each["value"] for each in registration.get("attributes", []) if each["name"] == _ZONE), "")


def _users_version(aws: AWS, p: Params) -> str | None:
    """VersionId of the htpasswd lines with which a task would start now; None also where tasks do not read them."""
    secret = find_secret(aws, p, p.htpasswd_secret) if p.htpasswd == "init-container" else None
    return secret["VersionId"] if secret else None


def _check_users(report: Report, p: Params, service: dict, version: str | None) -> Report:
    """A task reads the htpasswd lines once, when it starts: new lines need a new deployment."""
    if p.htpasswd != "init-container":
        return report
    started_with = tags.read(service.get("tags")).get(p.htpasswd_tag)
    ok = version is not None and started_with == version
    return report.check("users", ok, "the current version", "the current version" if ok else "an older version")


def _tag(aws: AWS, p: Params, version: str | None) -> None:
    """After the wait: a run that was killed before it deploys once more, and never too seldom."""
    service = rollout.describe(aws, p)
    wanted, seen = p.extra_tags | ({p.htpasswd_tag: version} if version else {}), tags.read(service.get("tags"))
    if lacking := {key: value for key, value in wanted.items() if seen.get(key) != value}:
        aws.ecs.tag_resource(resourceArn=service["serviceArn"], tags=tags.small_pairs(lacking))


def _require_nodes(aws: AWS, p: Params) -> None:
    """Enough nodes in the cluster; the capacity provider, which brings them, where the service scales."""
    if p.scales:
        clusters = aws.ecs.describe_clusters(clusters=[p.cluster_name])["clusters"]
        if not any(p.capacity_provider_name in cluster.get("capacityProviders", []) for cluster in clusters):
            raise StepFailed(
                f"cluster {p.cluster_name} has no capacity provider {p.capacity_provider_name}; "
                "run notebook 02_create_a_task_definition first"
            )
        return
    joined = _joined(aws, p)
    if len(joined) < p.replicas:
        raise StepFailed(
            f"cluster {p.cluster_name}: {len(joined)} connected nodes, and {p.replicas} tasks with host port {p.port} "
            "need one each; run notebook 02_create_a_task_definition first"
        )


def _joined(aws: AWS, p: Params) -> set[str]:
    registered = instances.registrations(aws, p).items()
    return {node for node, registration in registered if instances.membership(p, registration) == p.cluster_name}


def _require_users(aws: AWS, p: Params, version: str | None) -> None:
    """The htpasswd lines where a task finds them: without, the registry would make some of its own, with a user
    `docker` and a random password in the log."""
    if p.htpasswd == "init-container":
        if version is None:
            raise StepFailed(
                f"secret {p.htpasswd_secret} has no htpasswd lines; run notebook 03_create_an_htpasswd_file first"
            )
        return
    joined, secret = _joined(aws, p), find_secret(aws, p, p.htpasswd_secret)
    version = secret["VersionId"] if secret else None
    delivered = {node.id for node in running_nodes(aws, p) if version and node.tags.get(p.htpasswd_tag) == version}
    if not joined <= delivered:
        raise StepFailed(
            f"the present htpasswd file is on {len(joined & delivered)} of the {len(joined)} nodes of cluster "
            f"{p.cluster_name}; run notebook 03_create_an_htpasswd_file first"
        )


def _create(aws: AWS, p: Params, newest: str, former: dict | None, version: str | None) -> None:
    """The token makes a retried call harmless; it differs for each service that the name has had, and AWS takes it
    for the same service only with the same request."""
    seed = f"{p.name} {newest} {version or ''} {former['createdAt'] if former and 'createdAt' in former else ''}"
    token = hashlib.sha256(seed.encode()).hexdigest()[:32]
    given = p.tags | ({p.htpasswd_tag: version} if version else {})
    request = want_service(p) | {"taskDefinition": newest, "clientToken": token}
    request["tags"] = tags.small_pairs(given)

    def create():
        try:
            aws.ecs.create_service(**request)
        except AwsError as error:
            # The role that ECS makes for itself at its first use in an account takes a while to be usable:
            # https://github.com/hashicorp/terraform-provider-aws/issues/15452
            if "service linked role" in error.message and error.code == "InvalidParameterException":
                return None, "ECS's own role is not usable yet"
            raise
        return True, "created"

    wait.wait(f"service {p.service_name}", create, timeout=120, every=2)


def _update(aws: AWS, p: Params, newest: str, service: dict, report: Report) -> set[str]:
    """Ids of the deployments that end with it, all of them where a new one is forced.

    ECS starts no more tasks in a FAILED deployment, reads no secret anew for a running task, and takes another
    capacity provider only with a new deployment:
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html
    """
    wrong = {check.name for check in report.checks if not check.ok}
    kept = {"serviceName", *_FIXED}
    kept |= set() if "capacityProviderStrategy" in wrong else {"capacityProviderStrategy"}
    kept |= set() if "desiredCount" in wrong else {"desiredCount"}
    wanted = {key: value for key, value in want_service(p).items() if key not in kept}
    if "desiredCount" in wrong:
        wanted["desiredCount"] = rollout.nearest(p, service["desiredCount"])
    if "Added.enableExecuteCommand" in wrong:
        wanted["enableExecuteCommand"] = False
    force = bool(wrong & {"deployment", "users", "capacityProviderStrategy"})
    wanted |= {"service": p.service_name, "taskDefinition": newest} | ({"forceNewDeployment": True} if force else {})
    aws.ecs.update_service(**wanted)
    return {each["id"] for each in rollout.deployments(service)} if force else set()

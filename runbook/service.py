"""The service: as many registries as wanted, kept running on the cluster's nodes by ECS."""

import hashlib
import itertools

from . import instances, revisions, wait
from .errors import AwsError, NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .running import running_nodes
from .secretsmanager import find_secret
from .session import AWS

START_TIMEOUT = 600  # seconds; on a new node most of it is the pull of the image
STOP_TIMEOUT = 300
_NO_CLUSTER = {"ClusterNotFoundException"}
_AT_ONCE = 100  # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
_FIXED = ("launchType", "schedulingStrategy")  # UpdateService cannot change them
# Stopped tasks after which waiting is given up: the least at which ECS's circuit breaker gives up too,
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
_FAILURES = 3
_FAILED = {"TaskFailedToStart", "EssentialContainerExited"}
_REMEDIES = (
    ("CannotPull", "name an image that the nodes can pull: `image` in {source}"),
    ("did not contain json key", "mend the key's secret: run notebook 01_enable_s3_and_authentication again"),
    ("ResourceInitializationError", "the task cannot have its secrets: run notebook 02_create_a_task_definition again"),
    ("htpasswd", "deliver the htpasswd file: run notebook 03_create_an_htpasswd_file"),
    ("s3aws", "the registry cannot use its bucket: run notebook 01_enable_s3_and_authentication again"),
)


def want_service(p: Params) -> Document:
    """The service, with the task definition by its family.

    No more tasks than `desiredCount` while a new revision rolls out, and none is kept: a new task needs host port
    5000, which the old one holds. With ECS's defaults (100 and 200 %) the rollout would wait for ever:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
    Nor can ECS move tasks between zones then; it is asked to unless told otherwise, and refuses with 100 %:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-rebalancing.html
    """
    return Document(
        serviceName=p.service_name,
        cluster=p.cluster_name,
        taskDefinition=p.family,
        desiredCount=p.replicas,
        launchType="EC2",
        schedulingStrategy="REPLICA",
        availabilityZoneRebalancing="DISABLED",
        deploymentConfiguration={
            "minimumHealthyPercent": 0,
            "maximumPercent": 100,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        enableECSManagedTags=True,
        propagateTags="SERVICE",
    )


def find_service(aws: AWS, p: Params) -> Document | None:
    """The ACTIVE service in the words of `want_service`; what the endpoint does not tell is left out."""
    return _in_words(p, _describe(aws, p), revisions.newest(aws, p))


def ensure_service(aws: AWS, p: Params) -> Changes:
    """Create the service or change it, and wait until its tasks run the newest revision.

    StepFailed when the nodes, the htpasswd file or the task definition are missing, or when the tasks cannot start.
    """
    newest = revisions.newest(aws, p)
    if newest is None:
        raise StepFailed(f"task definition {p.family} is not there; run notebook 02_create_a_task_definition first")
    service = _settled(aws, p)
    found = _in_words(p, service, newest)
    failed = {deployment["id"] for deployment in _deployments(service) if deployment.get("rolloutState") == "FAILED"}
    report = _compare(p, found)
    if failed:
        report = report.check("deployment", False, "COMPLETED", "FAILED")
    if not report:
        _require_nodes(aws, p)
        if found and any(found.get(key) != want_service(p)[key] for key in _FIXED):
            destroy_service(aws, p)
            found, service = None, _describe(aws, p)
        if found is None:
            _create(aws, p, newest, service)
        else:
            _update(aws, p, newest, force=bool(failed))
    _wait_until_steady(aws, p, newest, known_failures=failed)
    revisions.retire(aws, p)
    return report.changes.done


def verify_service(aws: AWS, p: Params) -> Report:
    """The comparison, the running count, one completed deployment, each task on a node of its own."""
    service = _describe(aws, p)
    report = _compare(p, _in_words(p, service, revisions.newest(aws, p)))
    if report.absent:
        return report
    running, states = service["runningCount"], [d.get("rolloutState", d["status"]) for d in _deployments(service)]
    nodes = [task["containerInstanceArn"] for task in _tasks(aws, p, "RUNNING") if task["lastStatus"] == "RUNNING"]
    report = report.check("tasks running", running == p.replicas, str(p.replicas), str(running))
    report = report.check("deployments", states == ["COMPLETED"], "COMPLETED", ", ".join(states))
    spread = f"{p.replicas} on {p.replicas}"
    seen = f"{len(nodes)} on {len(set(nodes))}"
    return report.check("tasks on nodes", seen == spread, spread, seen)


def destroy_service(aws: AWS, p: Params) -> Changes:
    """Stop all tasks and delete the service; returns when both are gone.

    ECS cannot stop a task whose node's agent is away; such tasks, and so the service, end with their node.
    """
    service = _describe(aws, p)
    existed = service is not None and service["status"] != "INACTIVE"
    if existed and service["status"] == "ACTIVE":
        if service["desiredCount"]:
            aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, desiredCount=0)
        aws.ecs.delete_service(cluster=p.cluster_name, service=p.service_name, force=True)
    if existed or (service and _living(aws, p)):
        wait.wait(f"end of service {p.service_name}", lambda: _ended(aws, p), timeout=STOP_TIMEOUT)
    return destroyed(f"service {p.service_name}", existed)


def _describe(aws: AWS, p: Params) -> dict | None:
    """As ECS describes it, ACTIVE, DRAINING or INACTIVE. NotOurs when a living one lacks our tag."""
    asked = {"cluster": p.cluster_name, "services": [p.service_name], "include": ["TAGS"]}
    services = (aws.ecs.find("describe_services", _NO_CLUSTER, **asked) or {"services": []})["services"]
    if not services:
        return None
    tag = {"key": "runbook:deployment", "value": p.name}
    if services[0]["status"] != "INACTIVE" and tag not in services[0].get("tags", []):
        raise NotOurs(f"service {p.service_name}", p)
    return services[0]


def _deployments(service: dict | None) -> list[dict]:
    return service.get("deployments", []) if service and service["status"] == "ACTIVE" else []


def _in_words(p: Params, service: dict | None, newest: str | None) -> Document | None:
    if service is None or service["status"] != "ACTIVE":
        return None
    family = service["taskDefinition"].rsplit("/")[-1].rsplit(":")[0]
    current = family if service["taskDefinition"] == newest else f"an older revision of {family}"
    found = {key: service[key] for key in want_service(p) if key in service}
    return Document(found | {"cluster": p.cluster_name, "taskDefinition": current})


def _compare(p: Params, found: Document | None) -> Report:
    """ECS always tells its deployment configuration; an endpoint that does not keep it cannot be compared."""
    wanted = want_service(p)
    for key in ("deploymentConfiguration", "enableECSManagedTags", "availabilityZoneRebalancing"):
        if found is not None and key not in found:
            del wanted[key]
    return compare(f"service {p.service_name}", wanted, found)


def _settled(aws: AWS, p: Params) -> dict | None:
    """The service, once a former one of the name has ended: ECS makes no service while one is DRAINING."""
    service = _describe(aws, p)
    if service and service["status"] == "DRAINING":
        wait.wait(f"end of the former service {p.service_name}", lambda: _gone(aws, p), timeout=STOP_TIMEOUT)
        service = _describe(aws, p)
    return service


def _require_nodes(aws: AWS, p: Params) -> None:
    """Enough nodes in the cluster, and the present htpasswd file on each: the registry would make one of its own,
    with a user `docker` and a random password in the log."""
    registered = instances.registrations(aws, p).items()
    joined = {node for node, registration in registered if instances.membership(p, registration) == p.cluster_name}
    if len(joined) < p.replicas:
        raise StepFailed(
            f"cluster {p.cluster_name}: {len(joined)} connected nodes, and {p.replicas} tasks with host port {p.port} "
            "need one each; run notebook 02_create_a_task_definition first"
        )
    secret = find_secret(aws, p, p.htpasswd_secret)
    version = secret["VersionId"] if secret else None
    delivered = {node.id for node in running_nodes(aws, p) if version and node.tags.get(p.htpasswd_tag) == version}
    if not joined <= delivered:
        raise StepFailed(
            f"the present htpasswd file is on {len(joined & delivered)} of the {len(joined)} nodes of cluster "
            f"{p.cluster_name}; run notebook 03_create_an_htpasswd_file first"
        )


def _create(aws: AWS, p: Params, newest: str, former: dict | None) -> None:
    """The token makes a retried call harmless; it differs for each service that the name has had."""
    seed = f"{p.name} {newest} {former['createdAt'] if former and 'createdAt' in former else ''}"
    token = hashlib.sha256(seed.encode()).hexdigest()[:32]
    tags = [{"key": key, "value": value} for key, value in p.tags.items()]

    def create():
        try:
            aws.ecs.create_service(**want_service(p) | {"taskDefinition": newest}, clientToken=token, tags=tags)
        except AwsError as error:
            # The role that ECS makes for itself at its first use in an account takes a while to be usable:
            # https://github.com/hashicorp/terraform-provider-aws/issues/15452
            if "service linked role" in error.message and error.code == "InvalidParameterException":
                return None, "ECS's own role is not usable yet"
            raise
        return True, "created"

    wait.wait(f"service {p.service_name}", create, timeout=120, every=2)


def _update(aws: AWS, p: Params, newest: str, *, force: bool) -> None:
    """ECS starts no more tasks in a FAILED deployment; `force` makes a new one."""
    wanted = {key: value for key, value in want_service(p).items() if key not in (*_FIXED, "serviceName")}
    wanted |= {"service": p.service_name, "taskDefinition": newest}
    aws.ecs.update_service(**wanted, **({"forceNewDeployment": True} if force else {}))


def _wait_until_steady(aws: AWS, p: Params, newest: str, *, known_failures: set[str]) -> None:
    """One completed deployment of the newest revision with all its tasks; StepFailed when that cannot come."""
    stopped_before = {task["taskArn"] for task in _tasks(aws, p, "STOPPED")}
    started = False

    def look():
        nonlocal started
        service = _describe(aws, p)
        if service is None or service["status"] != "ACTIVE":
            raise StepFailed(f"service {p.service_name} was deleted meanwhile; run this notebook again")
        deployments = _deployments(service)
        primary = next((d for d in deployments if d["status"] == "PRIMARY"), {})
        is_newest = primary.get("taskDefinition") == newest
        wanted = service["desiredCount"] == service["runningCount"] == p.replicas and not service["pendingCount"]
        if wanted and is_newest and len(deployments) == 1 and primary.get("rolloutState", "COMPLETED") == "COMPLETED":
            return True, _progress(service)
        stopped = [task for task in _tasks(aws, p, "STOPPED") if task["taskArn"] not in stopped_before]
        failures = [t for t in stopped if t["taskDefinitionArn"] == newest and t.get("stopCode") in _FAILED]
        broken = [
            d
            for d in deployments
            if d.get("rolloutState") == "FAILED" and d["id"] not in known_failures and d["taskDefinition"] == newest
        ]
        said = [d.get("rolloutStateReason", "") for d in broken]
        if started and not is_newest:
            said.append(f"ECS rolled back to {primary.get('taskDefinition', '').rsplit('/')[-1]}")
        if said or len(failures) >= _FAILURES:
            raise StepFailed(_diagnosis(aws, p, failures, said))
        started = started or is_newest
        return None, _progress(service)

    wait.wait(f"service {p.service_name}", look, timeout=START_TIMEOUT)


def _progress(service: dict) -> str:
    words = f"{service['runningCount']} of {service['desiredCount']} running"
    if service["pendingCount"]:
        words += f", {service['pendingCount']} pending"
    events = service.get("events", [])
    return f"{words}; {max(events, key=lambda event: event['createdAt'])['message']}" if events else words


def _diagnosis(aws: AWS, p: Params, failures: list[dict], said: list[str]) -> str:
    """What ECS says, what the last task said, and the notebook that mends it."""
    said = [f"service {p.service_name} does not start: {len(failures)} tasks stopped", *said]
    if failures:
        last = max(failures, key=lambda task: task.get("stoppedAt") or task["createdAt"])
        stopped = last.get("stoppedReason", "")
        said.append(stopped)
        for container in last.get("containers", []):
            code = f" (exit code {container['exitCode']})" if "exitCode" in container else ""
            reason = container.get("reason", "")
            words = f"container {container['name']}{code} {'' if reason in stopped else reason}".strip()
            said += [words] if code or reason not in stopped else []
        lines = _last_lines(aws, p, last)
        said += [f"its last log lines:\n  {lines}\n"] if lines else [f"no line in log group {p.log_group}"]
    text = "; ".join(words for words in said if words)
    remedy = next((words for sign, words in _REMEDIES if sign in text), "")
    return f"{text}; {remedy.format(source=p.source) or f'read the log group {p.log_group} and the service events'}"


def _last_lines(aws: AWS, p: Params, task: dict) -> str:
    """Of the stream PREFIX/CONTAINER/TASK-ID. A Go program that panics says why, and then prints its stacks:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html"""
    stream = f"{p.name}/{p.container_name}/{task['taskArn'].rsplit('/')[-1]}"
    asked = {"logGroupName": p.log_group, "logStreamName": stream, "limit": 200, "startFromHead": False}
    answer = aws.logs.find("get_log_events", {"ResourceNotFoundException"}, **asked) or {"events": []}
    lines = [event["message"] for event in answer["events"]]
    lines = list(itertools.takewhile(lambda line: not line.startswith("goroutine "), lines))
    return "\n  ".join(lines[-5:])


def _tasks(aws: AWS, p: Params, status: str) -> list[dict]:
    """The service's tasks whose desired status is RUNNING or STOPPED (ECS shows those for an hour)."""
    asked = {"cluster": p.cluster_name, "family": p.family, "desiredStatus": status}
    arns = aws.ecs.all("list_tasks", "taskArns", **asked)
    found = []
    for some in _chunks(arns):
        found += aws.ecs.describe_tasks(cluster=p.cluster_name, tasks=some)["tasks"]
    return [task for task in found if task.get("group") == f"service:{p.service_name}"]


def _gone(aws: AWS, p: Params):
    service = _describe(aws, p)
    status = service["status"] if service else "INACTIVE"
    living = len(_living(aws, p))
    gone = status == "INACTIVE" and not living
    return gone or None, f"{status}, {living} tasks left"


def _ended(aws: AWS, p: Params):
    """Gone, or all that is left are tasks on nodes whose agent is away."""
    gone, seen = _gone(aws, p)
    nodes = {task.get("containerInstanceArn") for task in _living(aws, p)}
    away = {r["containerInstanceArn"] for r in instances.registrations(aws, p).values() if not r["agentConnected"]}
    return gone or bool(nodes and nodes <= away) or None, seen


def _living(aws: AWS, p: Params) -> list[dict]:
    tasks = _tasks(aws, p, "RUNNING") + _tasks(aws, p, "STOPPED")
    return [task for task in tasks if task["lastStatus"] != "STOPPED"]


def _chunks(arns: list[str]) -> list[list[str]]:
    return [arns[start : start + _AT_ONCE] for start in range(0, len(arns), _AT_ONCE)]

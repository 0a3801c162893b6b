"""A deployment of the service on its way: its tasks, the wait until it is complete, and why it does not come."""

import itertools
import re

from . import instances, target_health, wait
from .errors import NotOurs, StepFailed
from .params import Params
from .session import AWS

START_TIMEOUT = 600  # seconds; on a new node most of it is the start of the node and the pull of the image
STOP_TIMEOUT = 300  # seconds, beside the balancer's deregistration delay
_EVENTS = 3  # the newest
_NO_CLUSTER = {"ClusterNotFoundException"}
_AT_ONCE = 100  # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
# Stopped tasks after which waiting is given up: the least at which ECS's circuit breaker gives up too,
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
_FAILURES = 3
_FAILED = {"TaskFailedToStart", "EssentialContainerExited"}
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
_UNHEALTHY = "failed ELB health checks"
_REMEDIES = (
    ("CannotPull", "name an image that the nodes can pull: `image` in {source}"),
    ("did not contain json key", "mend the key's secret: run notebook 01_enable_s3_and_authentication again"),
    ("AWSCURRENT", "the htpasswd secret has no lines yet: run notebook 03_create_an_htpasswd_file"),
    ("ResourceInitializationError", "the task cannot have its secrets: run notebook 02_create_a_task_definition again"),
    ("htpasswd", "deliver the htpasswd file: run notebook 03_create_an_htpasswd_file"),
    ("s3aws", "the registry cannot use its bucket: run notebook 01_enable_s3_and_authentication again"),
)


def describe(aws: AWS, p: Params) -> dict | None:
    """The service as ECS describes it, ACTIVE, DRAINING or INACTIVE. NotOurs when a living one lacks our tag."""
    asked = {"cluster": p.cluster_name, "services": [p.service_name], "include": ["TAGS"]}
    services = (aws.ecs.find("describe_services", _NO_CLUSTER, **asked) or {"services": []})["services"]
    if not services:
        return None
    tag = {"key": "runbook:deployment", "value": p.name}
    if services[0]["status"] != "INACTIVE" and tag not in services[0].get("tags", []):
        raise NotOurs(f"service {p.service_name}", p)
    return services[0]


def deployments(service: dict | None) -> list[dict]:
    return service.get("deployments", []) if service and service["status"] == "ACTIVE" else []


def within(p: Params, desired: int) -> bool:
    """Whether a desired count is one that the params allow: scaling moves it between the least and the most."""
    return nearest(p, desired) == desired


def nearest(p: Params, desired: int) -> int:
    """The desired count that the params allow and that is nearest to this one."""
    return min(max(desired, p.replicas), p.max_replicas if p.scales else p.replicas)


def tasks(aws: AWS, p: Params, status: str) -> list[dict]:
    """The service's tasks whose desired status is RUNNING or STOPPED (ECS shows those for an hour)."""
    asked = {"cluster": p.cluster_name, "family": p.family, "desiredStatus": status}
    arns = aws.ecs.all("list_tasks", "taskArns", **asked)
    found = []
    for start in range(0, len(arns), _AT_ONCE):
        some = arns[start : start + _AT_ONCE]
        found += aws.ecs.describe_tasks(cluster=p.cluster_name, tasks=some)["tasks"]
    return [task for task in found if task.get("group") == f"service:{p.service_name}"]


def wait_until_steady(aws: AWS, p: Params, revision: str, *, former: set[str]) -> None:
    """One completed deployment of the revision with all its tasks; StepFailed when that cannot come.

    A service that was just made may not be told yet: ECS is eventually consistent.

    `former` are the ids of deployments that are not the one to wait for. ECS stops the tasks before it only once
    their targets have left the balancer, which takes the deregistration delay.
    """
    stopped_before = {task["taskArn"] for task in tasks(aws, p, "STOPPED")}
    started = seen = False

    def look():
        nonlocal started, seen
        service = describe(aws, p)
        if service is None and not seen:
            return None, "not to be seen yet"
        seen = True
        if service is None or service["status"] != "ACTIVE":
            raise StepFailed(f"service {p.service_name} was deleted meanwhile; run this notebook again")
        present = deployments(service)
        primary = next((d for d in present if d["status"] == "PRIMARY"), {})
        awaited = primary.get("taskDefinition") == revision and primary["id"] not in former
        wanted = service["desiredCount"] == service["runningCount"] and not service["pendingCount"]
        wanted = wanted and within(p, service["desiredCount"])
        if wanted and awaited and len(present) == 1 and primary.get("rolloutState", "COMPLETED") == "COMPLETED":
            return True, _progress(aws, p, service)
        stopped = [task for task in tasks(aws, p, "STOPPED") if task["taskArn"] not in stopped_before]
        failures = [task for task in stopped if task["taskDefinitionArn"] == revision and _has_failed(task)]
        broken = [
            d
            for d in present
            if d.get("rolloutState") == "FAILED" and d["id"] not in former and d["taskDefinition"] == revision
        ]
        said = [d.get("rolloutStateReason", "") for d in broken]
        if started and not awaited:
            said.append(f"ECS rolled back to {primary.get('taskDefinition', '').rsplit('/')[-1]}")
        if said or len(failures) >= _FAILURES:
            raise StepFailed(_diagnosis(aws, p, service, failures, said))
        started = started or awaited
        return None, _progress(aws, p, service)

    delay = p.deregistration_delay if p.scales else 0
    wait.wait(f"service {p.service_name}", look, timeout=START_TIMEOUT + delay)


def settled(aws: AWS, p: Params) -> dict | None:
    """The service, once a former one of the name has ended: ECS makes no service while one is DRAINING."""
    service = describe(aws, p)
    if service and service["status"] == "DRAINING":
        wait.wait(f"end of the former service {p.service_name}", lambda: _gone(aws, p), timeout=stop_timeout(p))
        service = describe(aws, p)
    return service


def wait_until_ended(aws: AWS, p: Params) -> None:
    """Until service and tasks are gone, or all that is left are tasks on nodes whose agent is away."""
    wait.wait(f"end of service {p.service_name}", lambda: _ended(aws, p), timeout=stop_timeout(p))


def stop_timeout(p: Params) -> int:
    """Seconds in which tasks end."""
    return STOP_TIMEOUT + (p.deregistration_delay if p.scales else 0)


def living(aws: AWS, p: Params) -> list[dict]:
    """The service's tasks that have not stopped yet."""
    found = tasks(aws, p, "RUNNING") + tasks(aws, p, "STOPPED")
    return [task for task in found if task["lastStatus"] != "STOPPED"]


def _gone(aws: AWS, p: Params):
    service = describe(aws, p)
    status = service["status"] if service else "INACTIVE"
    left = len(living(aws, p))
    gone = status == "INACTIVE" and not left
    return gone or None, f"{status}, {left} tasks left"


def _ended(aws: AWS, p: Params):
    gone, seen = _gone(aws, p)
    nodes = {task.get("containerInstanceArn") for task in living(aws, p)}
    away = {r["containerInstanceArn"] for r in instances.registrations(aws, p).values() if not r["agentConnected"]}
    return gone or bool(nodes and nodes <= away) or None, seen


def _has_failed(task: dict) -> bool:
    return task.get("stopCode") in _FAILED or _UNHEALTHY in task.get("stoppedReason", "")


def _progress(aws: AWS, p: Params, service: dict) -> str:
    words = f"{service['runningCount']} of {service['desiredCount']} running"
    if service["pendingCount"]:
        words += f", {service['pendingCount']} pending"
    if service.get("loadBalancers"):
        words += f"; {target_health.words(p, target_health.health(aws, p))}"
    events = sorted(service.get("events", []), key=lambda event: event["createdAt"], reverse=True)
    said = [event["message"] for event in events[:_EVENTS]]
    return wait.Seen.of(f"{words}; {said[0]}", said[1:]) if said else words


def _diagnosis(aws: AWS, p: Params, service: dict, failures: list[dict], said: list[str]) -> str:
    """What ECS says, what the last task said, how the targets fare, and the notebook that mends it."""
    said = [f"service {p.service_name} does not start: {len(failures)} tasks stopped", *said]
    if failures:
        last = max(failures, key=lambda task: task.get("stoppedAt") or task["createdAt"])
        stopped = re.sub(r"arn:\S+:targetgroup/([^/\s]+)/\w+", r"\1", last.get("stoppedReason", ""))
        said.append(stopped)
        failed = _failed_container(p, last)
        for container in last.get("containers", []):
            if container.get("exitCode", 0) == 0 and container["name"] != failed and not container.get("reason"):
                continue
            code = f" (exit code {container['exitCode']})" if "exitCode" in container else ""
            reason = container.get("reason", "")
            words = f"container {container['name']}{code} {'' if reason in stopped else reason}".strip()
            said += [words] if code or reason not in stopped else []
        lines = _last_lines(aws, p, last, failed)
        said += [f"its last log lines:\n  {lines}\n"] if lines else [f"no line in log group {p.log_group}"]
    if service.get("loadBalancers"):
        said.append(target_health.words(p, target_health.health(aws, p)))
    text = "; ".join(words for words in said if words)
    remedy = next((words for sign, words in _REMEDIES if sign in text), "")
    return f"{text}; {remedy.format(source=p.source) or f'read the log group {p.log_group} and the service events'}"


def _failed_container(p: Params, task: dict) -> str:
    """Whose log tells the reason: the container that ended with another code than 0, an init container first."""
    failed = [c["name"] for c in task.get("containers", []) if c.get("exitCode")]
    return next((name for name in failed if name != p.container_name), p.container_name)


def _last_lines(aws: AWS, p: Params, task: dict, container: str) -> str:
    """Of the stream PREFIX/CONTAINER/TASK-ID. A Go program that panics says why, and then prints its stacks:
    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_awslogs.html"""
    stream = f"{p.name}/{container}/{task['taskArn'].rsplit('/')[-1]}"
    asked = {"logGroupName": p.log_group, "logStreamName": stream, "limit": 200, "startFromHead": False}
    answer = aws.logs.find("get_log_events", {"ResourceNotFoundException"}, **asked) or {"events": []}
    lines = [event["message"] for event in answer["events"]]
    lines = list(itertools.takewhile(lambda line: not line.startswith("goroutine "), lines))
    return "\n  ".join(lines[-5:])

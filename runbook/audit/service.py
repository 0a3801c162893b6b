"""The service, its cluster and its task definition as a whole."""

import math
from collections.abc import Iterator

from ..finding import Finding
from . import application, classic
from .deployment import Deployment
from .rules import found


def services(d: Deployment) -> dict[str, dict]:
    return {f"service {d.service['serviceName']}": d.service}


def clusters(d: Deployment) -> dict[str, dict]:
    described = d.aws.ecs.describe_clusters(clusters=[d.cluster], include=["SETTINGS"])["clusters"]
    return {f"cluster {each['clusterName']}": each for each in described}


def tasks(d: Deployment) -> dict[str, dict]:
    return {d.title: d.task}


def running(d: Deployment, where: str, service: dict) -> Iterator[Finding]:
    wanted, runs = service["desiredCount"], service["runningCount"]
    if runs < wanted or not wanted:
        yield found("registries-missing", where, running=runs, wanted=wanted)
    elif wanted == 1:
        yield found("one-registry", where)


def deployment(d: Deployment, where: str, service: dict) -> Iterator[Finding]:
    """With its defaults, where ECS does not tell them."""
    configured = service.get("deploymentConfiguration") or {}
    minimum, breaker = configured.get("minimumHealthyPercent", 100), configured.get("deploymentCircuitBreaker") or {}
    if not breaker.get("enable"):
        yield found("no-circuit-breaker", where)
    stays = math.ceil(service["desiredCount"] * minimum / 100)
    if d.fixed_port and stays >= service["desiredCount"] and len(d.container_instances) <= service["desiredCount"]:
        yield found("deployment-stuck", where, port=d.fixed_port, minimum=minimum)


def network(d: Deployment, where: str, service: dict) -> Iterator[Finding]:
    own = (service.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    if own.get("assignPublicIp") == "ENABLED":
        yield found("task-public-ip", where)


def balanced(d: Deployment, where: str, service: dict) -> Iterator[Finding]:
    if not classic.balancers(d) and not application.balancers(d):
        yield found("no-balancer", where)


def insights(d: Deployment, where: str, cluster: dict) -> Iterator[Finding]:
    settings = {each["name"]: each["value"] for each in cluster.get("settings") or []}
    if settings.get("containerInsights", "disabled") == "disabled":
        yield found("no-container-insights", where)


def providers(d: Deployment, where: str, cluster: dict) -> Iterator[Finding]:
    names = cluster.get("capacityProviders") or []
    if not names:
        return
    for each in d.aws.ecs.describe_capacity_providers(capacityProviders=names)["capacityProviders"]:
        group = each.get("autoScalingGroupProvider")
        if group and group.get("managedTerminationProtection") != "ENABLED":
            yield found("no-termination-protection", f"capacity provider {each['name']}")


def shared(d: Deployment, where: str, task: dict) -> Iterator[Finding]:
    """What the containers share with the node."""
    if task.get("networkMode") == "host":
        yield found("host-network", where)
    names = [name for key, name in (("pidMode", "processes"), ("ipcMode", "memory")) if task.get(key) == "host"]
    if names:
        yield found("host-namespaces", where, names=" and ".join(names))


CHECKS = (running, deployment, network)
OF_CLUSTER = (insights, providers)
OF_TASK = (shared,)

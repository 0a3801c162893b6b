"""What is read for the status of a deployment, part by part, in plain words and numbers; nothing waits."""

import datetime
import re
import socket

from . import hosted_zone, instances, registry_api, rollout, target_health
from .errors import CloudError
from .params import Params
from .secret import sealed
from .secretsmanager import read_secret
from .session import AWS

EVENTS = 5
_MINUTE = 60  # seconds: the shortest period in which a balancer is measured
# CloudWatch may have a minute's requests some minutes later.
_LOOKED_BACK = 5 * _MINUTE
_NO_BALANCER = {"LoadBalancerNotFound", "AccessPointNotFound"}


def name(aws: AWS, p: Params) -> dict:
    """Where the record of the domain leads to, and the address that a client on this computer finds."""
    zone = hosted_zone.find(aws, p)
    records = hosted_zone.records(aws, zone, name=p.domain) if zone else []
    target = next((_target(each) for each in records if each["Type"] in ("A", "CNAME")), None)
    return {"domain": p.domain, "leads_to": target, "address": _address(aws, p)}


def _target(record: dict) -> str:
    if alias := record.get("AliasTarget"):
        return alias["DNSName"].rstrip(".").removeprefix("dualstack.").lower()
    return record["ResourceRecords"][0]["Value"].rstrip(".").lower()


def _address(aws: AWS, p: Params) -> str | None:
    try:
        host, port = aws.locate(p.domain)
        return f"{socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0]}:{port}"
    except (CloudError, socket.gaierror):
        return None


def tls(aws: AWS, p: Params) -> dict:
    """Of the certificate that clients are shown: whole days left. No request is made, the handshake alone."""
    try:
        certificate = registry_api.served(aws, p)
    except registry_api.NoAnswer as error:
        return {"days_left": None, "why": str(error)}
    return {"days_left": (certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)).days, "why": None}


def balancer(aws: AWS, p: Params) -> dict | None:
    """The balancer, and the requests of the newest whole minute that CloudWatch has. None without a balancer."""
    kind = "application" if p.scales else "classic"
    if p.scales:
        found = aws.elbv2.find("describe_load_balancers", _NO_BALANCER, Names=[p.balancer_name])
        described = found["LoadBalancers"] if found else []
    else:
        found = aws.elb.find("describe_load_balancers", _NO_BALANCER, LoadBalancerNames=[p.balancer_name])
        described = found["LoadBalancerDescriptions"] if found else []
    if not described:
        return None
    one = described[0]
    measured = {"LoadBalancerName": p.balancer_name}
    if p.scales:
        measured = {"LoadBalancer": one["LoadBalancerArn"].partition(":loadbalancer/")[2]}
    return {
        "name": p.balancer_name,
        "kind": kind,
        "state": one["State"]["Code"] if p.scales else "active",
        "dns_name": one["DNSName"].lower(),
        "requests": _requests(aws, "AWS/ApplicationELB" if p.scales else "AWS/ELB", measured),
    }


def _requests(aws: AWS, namespace: str, dimensions: dict[str, str]) -> dict:
    """Without a datum no request has passed: https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-cloudwatch-metrics.html"""
    named = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    metric = {"Namespace": namespace, "MetricName": "RequestCount", "Dimensions": named}
    query = {"Id": "requests", "MetricStat": {"Metric": metric, "Period": _MINUTE, "Stat": "Sum"}}
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    begin = now - datetime.timedelta(seconds=_LOOKED_BACK)
    asked = {"MetricDataQueries": [query], "StartTime": begin, "EndTime": now, "ScanBy": "TimestampDescending"}
    found = aws.cloudwatch.get_metric_data(**asked)["MetricDataResults"][0]
    whole = now - datetime.timedelta(seconds=_MINUTE)
    for moment, count in zip(found["Timestamps"], found["Values"], strict=True):
        if moment <= whole:
            return {"per_second": count / _MINUTE, "minute": moment.astimezone(datetime.UTC)}
    return {"per_second": 0.0, "minute": None}


def targets(aws: AWS, p: Params) -> list[dict]:
    """Each registry that the balancer knows: the id of its node, its port, healthy or not, and why not."""
    if p.scales:
        return [
            {
                "node": each["Target"]["Id"],
                "port": each["Target"]["Port"],
                "state": each["TargetHealth"]["State"],
                "why": each["TargetHealth"].get("Description"),
            }
            for each in target_health.health(aws, p)
        ]
    found = aws.elb.find("describe_instance_health", _NO_BALANCER, LoadBalancerName=p.balancer_name)
    return [
        {
            "node": each["InstanceId"],
            "port": p.port,
            "state": "healthy" if each["State"] == "InService" else "unhealthy",
            "why": None if each["State"] == "InService" else each["Description"],
        }
        for each in (found["InstanceStates"] if found else [])
    ]


def nodes(aws: AWS, p: Params) -> list[dict]:
    """Each node that has not ended: zone, type, whether the cluster has it, and the room for tasks that is left."""
    if p.scales:
        live = [each for each in instances.of_group(aws, p) if instances.state(each) in instances.LIVE]
        named = instances.named_by_zone(p, live)
    else:
        found = instances.read(aws, p)
        named = {instances.name_of(each): each for each in (*found.surplus, *found.nodes.values())}
    registered = instances.registrations(aws, p)
    return [_node(p, called, each, registered.get(each["InstanceId"])) for called, each in sorted(named.items())]


def _node(p: Params, called: str, instance: dict, registration: dict | None) -> dict:
    member = instances.membership(p, registration)
    left = {each["name"]: each.get("integerValue") for each in (registration or {}).get("remainingResources", [])}
    return {
        "name": called,
        "id": instance["InstanceId"],
        "arn": (registration or {}).get("containerInstanceArn"),
        "zone": instance["Placement"]["AvailabilityZone"],
        "type": instance["InstanceType"],
        "state": instances.state(instance),
        "agent": "in the cluster" if member == p.cluster_name else member,
        "free_cpu": left.get("CPU"),
        "free_memory": left.get("MEMORY"),
    }


def service(aws: AWS, p: Params) -> dict | None:
    """How many tasks shall run and do, and the newest events, without the ids in them. None without a service."""
    found = rollout.describe(aws, p)
    if found is None:
        return None
    newest = sorted(found.get("events", []), key=lambda each: each["createdAt"], reverse=True)[:EVENTS]
    primary = next((each for each in rollout.deployments(found) if each["status"] == "PRIMARY"), {})
    return {
        "name": p.service_name,
        "status": found["status"],
        "desired": found["desiredCount"],
        "running": found["runningCount"],
        "pending": found["pendingCount"],
        "rollout": primary.get("rolloutState"),
        "events": [
            {"at": each["createdAt"].astimezone(datetime.UTC), "message": _without_ids(each["message"])}
            for each in newest
        ],
    }


def _without_ids(message: str) -> str:
    """An event in words: what AWS's ids stand for is said beside them."""
    message = re.sub(r"arn:\S+:targetgroup/([^/\s]+)/\w+", r"\1", message)
    return re.sub(r"\((task|task-set|instance|container-instance|deployment) [\w/-]+\)", r"(\1)", message)


def tasks(aws: AWS, p: Params) -> list[dict]:
    """Each task that shall run: revision, state, since when, and the ARN by which the cluster calls its node."""
    found = [
        {
            "revision": each["taskDefinitionArn"].rpartition("/")[2],
            "state": each["lastStatus"],
            "since": (each.get("startedAt") or each["createdAt"]).astimezone(datetime.UTC),
            "node": each.get("containerInstanceArn"),
        }
        for each in rollout.tasks(aws, p, "RUNNING")
    ]
    return sorted(found, key=lambda each: each["since"])


def users(aws: AWS, p: Params) -> list[str]:
    """Who has a line in the htpasswd secret."""
    content = read_secret(aws, p, p.htpasswd_secret)
    if content is None:
        return []
    with sealed():
        return sorted(line.partition(":")[0] for line in content.reveal().splitlines() if ":" in line)

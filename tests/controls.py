"""The controls of docs/controls.md, each as a question to what is wanted.

True: it is met; False: it is not; None: there is nothing that it would be about.
"""

import re

from runbook import (
    auto_scaling_group,
    balancer,
    cache,
    capacity_provider,
    certificate,
    cluster,
    config,
    identity,
    launching,
    log_group,
    network,
    nodes,
    storage,
    task,
    task_definition,
)

_ACCOUNT = "123456789012"
_TLS = "ELBSecurityPolicy-TLS(13-1-2|-1-2-2017-01)"  # that of the balancers' policies which take nothing older
CONTROLS = {}


def control(name):
    return lambda question: CONTROLS.setdefault(name, question)


def _all_containers(check):
    return lambda p: all(check(each) for each in task_definition.want_task(p)["containerDefinitions"])


def _inline(p):
    roles = identity.want_identity(p, account=_ACCOUNT), task.want_execution_role(p, _ACCOUNT)
    policies = [role.get("InlinePolicy") or role.get("Policy") for role in roles]
    return [statement for policy in policies for statement in policy["Statement"]]


def _rules(p, way):
    return [rule for group in network.want_groups(p).values() for rule in group[way]]


def _cache(key, right):
    def question(p):
        wanted = cache.want_cache(p)
        return wanted[key] == right if "ReplicationGroupId" in wanted else None

    return question


def _attribute(name, right):
    return lambda p: balancer.want_balancer(p)["Attributes"].get(name) == right if p.scales else None


@control("S3.8 block public access")
def _(p):
    return list(storage.want_bucket(p)["PublicAccessBlock"].values()) == [True] * 4


@control("S3.5 TLS only")
def _(p):
    [deny] = storage.want_bucket(p)["Policy"]["Statement"]
    tls = {"Bool": {"aws:SecureTransport": "false"}}
    return deny["Effect"] == "Deny" and deny["Action"] == "s3:*" and deny["Condition"] == tls


@control("S3.6 no grant to others")
def _(p):
    return all(each["Effect"] == "Deny" for each in storage.want_bucket(p)["Policy"]["Statement"])


CONTROLS |= {
    "S3.12 no access lists": lambda p: storage.want_bucket(p)["ObjectOwnership"] == "BucketOwnerEnforced",
    "S3 encryption at rest": lambda p: storage.want_bucket(p)["Encryption"]["SSEAlgorithm"] == "AES256",
    "S3.17 a KMS key of one's own": lambda p: "KMSMasterKeyID" in storage.want_bucket(p)["Encryption"],
    "S3.13 lifecycle": lambda p: bool(storage.want_bucket(p)["LifecycleRules"]),
    "S3.14 versioning": lambda p: "Versioning" in storage.want_bucket(p),
    "S3.9 server access logs": lambda p: "Logging" in storage.want_bucket(p),
    "IAM.1 no `*:*`": lambda p: not [each for each in _inline(p) if each["Action"] == "*" or "*" in each["Resource"]],
    "IAM.21 no service wildcard": lambda p: not [a for each in _inline(p) for a in each["Action"] if "*" in a],
    "IAM.2, IAM.3 no user, no key": lambda p: "UserName" not in identity.want_identity(p, account=_ACCOUNT),
    "Confused deputy of ECS": lambda p: (
        task.want_execution_role(p, _ACCOUNT)["Trust"]["Statement"][0]["Condition"]["StringEquals"]
        == {"aws:SourceAccount": _ACCOUNT}
    ),
    "ECS.3 no host namespaces": lambda p: not {"pidMode", "ipcMode"} & task_definition.want_task(p).keys(),
    "ECS.4 not privileged": _all_containers(lambda each: not each.get("privileged", False)),
    "ECS.5 read-only root": _all_containers(lambda each: each.get("readonlyRootFilesystem") is True),
    "ECS.8 no secret in the environment": _all_containers(
        lambda each: not [pair for pair in each["environment"] if re.search("SECRET|ACCESSKEY|PASSWORD", pair["name"])]
    ),
    "ECS.9 logs, without blocking": _all_containers(
        lambda each: each["logConfiguration"]["options"]["mode"] == "non-blocking"
    ),
    "ECS.12 Container Insights": lambda p: cluster.want_cluster(p).get("containerInsights") == "enabled",
    "ECS.17 no host network": lambda p: task_definition.want_task(p)["networkMode"] == "bridge",
    "ECS.20 the registry is not root": lambda p: (
        task_definition.want_task(p)["containerDefinitions"][0].get("user", "0").split(":")[0] not in ("0", "root")
    ),
    "No capabilities": _all_containers(lambda each: each.get("linuxParameters") == {"capabilities": {"drop": ["ALL"]}}),
    "ECS.19 termination protection": lambda p: (
        capacity_provider.want(p)["managed termination protection"] == "enabled"
        and auto_scaling_group.want(p)["new instances"] == "protected from scale-in"
        if p.scales
        else None
    ),
    "Image by digest": lambda p: "@sha256:" in p.image,
    "No SSH": lambda p: not [rule for rule in _rules(p, "ingress") if rule.startswith("tcp 22 ")],
    "EC2.13, EC2.14, EC2.19 the world reaches 443 and 80 alone": lambda p: (
        {rule.split(" from ")[0] for rule in _rules(p, "ingress") if " 0.0.0.0/0 " in rule} <= {"tcp 443", "tcp 80"}
    ),
    "Rules are described": lambda p: (
        not [rule for way in ("ingress", "egress") for rule in _rules(p, way) if "(no description)" in rule]
    ),
    "CKV_AWS_382 outgoing traffic is narrowed": lambda p: (
        not [rule for rule in _rules(p, "egress") if rule.startswith("all ")]
    ),
    "EC2.8 IMDSv2": lambda p: launching.metadata(p)["HttpTokens"] == "required",
    "No task obtains the nodes' role": lambda p: launching.metadata(p)["HttpPutResponseHopLimit"] == 1,
    "EC2.3 volumes are encrypted": lambda p: launching.VOLUME["Encrypted"],
    "EC2.9 no public IP": lambda p: bool(p.node_subnets),
    "AutoScaling.9 launch template": lambda p: "launch template" in nodes.want_nodes(p) if p.scales else None,
    "ELB.3 HTTPS": lambda p: balancer.want_balancer(p)["Listeners"]["443"]["Protocol"] == "HTTPS",
    "ELB.1 HTTP leads to HTTPS": lambda p: (
        balancer.want_balancer(p)["Listeners"]["80"]["DefaultActions"][0]["Type"] == "redirect" if p.scales else None
    ),
    "ELB.8, ELB.17 TLS 1.2 or newer": lambda p: bool(
        re.match(
            "ELBSecurityPolicy-TLS(13-1-2|-1-2-2017-01)", balancer.want_balancer(p)["Listeners"]["443"]["TlsPolicy"]
        )
    ),
    "ELB.4 invalid headers are dropped": _attribute("routing.http.drop_invalid_header_fields.enabled", "true"),
    "ELB.12 desync mitigation": _attribute("routing.http.desync_mitigation_mode", "defensive"),
    "ELB.6 deletion protection": _attribute("deletion_protection.enabled", "true"),
    "ELB.7 draining": lambda p: (
        p.deregistration_delay > 0
        if p.scales
        else balancer.want_balancer(p)["Attributes"]["ConnectionDraining"]["Enabled"]
    ),
    "ELB.5 access logs": lambda p: p.access_logs is not None,
    "ACM.1 renewal": lambda p: p.certificate == "request",
    "ACM.2 RSA 2048": lambda p: certificate.want_certificate(p)["Key"].startswith("RSA, 2048"),
    "ElastiCache.4 encrypted at rest": _cache("AtRestEncryptionEnabled", True),
    "ElastiCache.5 encrypted in transit": _cache("TransitEncryptionEnabled", True),
    "ElastiCache.2 minor versions": _cache("AutoMinorVersionUpgrade", True),
    "ElastiCache.3 failover": _cache("AutomaticFailover", "enabled"),
    "ElastiCache.1 backups": _cache("SnapshotRetentionLimit", 1),
    "ElastiCache.6 a token": lambda p: (
        any("password" in str(value) for value in config.environment(p).values()) if p.cache == "elasticache" else None
    ),
    "Logs are kept a year": lambda p: log_group.want_log_group(p)["retentionInDays"] >= 365,
}

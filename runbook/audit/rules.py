"""What the audit looks for: each rule's severity, words, remedy and notebook, the control behind it, and the failure
that it leads to.

error: somebody who should not may read images or keys, or clients fail. warning: the runbook's own production does
better. note: worth knowing; production does the same, and docs/controls.md has the reason.
"""

from typing import NamedTuple

from ..finding import Finding

_01, _02, _03 = "01_enable_s3_and_authentication", "02_create_a_task_definition", "03_create_an_htpasswd_file"
_04, _05, _11 = "04_launch_your_service", "05_configure_https_on_the_load_balancer", "11_rotate_secrets"


class Rule(NamedTuple):
    """`what` has places for what was seen, as str.format takes them."""

    name: str
    severity: str
    what: str
    remedy: str
    notebook: str | None = None
    row: int | None = None
    control: str = ""

    def at(self, where: str, **seen) -> Finding:
        remedy = f"{self.remedy} (notebook {self.notebook})" if self.notebook else self.remedy
        return Finding(self.severity, where, self.what.format(**seen), remedy, self.row)


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        # the service
        Rule("registries-missing", "error", "{running} of {wanted} registries run",
             "read the service's events and the stopped tasks' reasons", _04),
        Rule("one-registry", "note", "there is one registry: a deployment or a lost node is a pause",
             "two registries or more", _04),
        Rule("deployment-stuck", "warning",
             "a deployment has no node to put its new registry on: the host port {port} is taken on each, and at least "
             "{minimum} percent have to stay", "minimum 0 and maximum 100 percent, or dynamic ports behind an "
             "application load balancer", _04, row=20),
        Rule("no-circuit-breaker", "note", "a deployment that cannot succeed is tried for ever",
             "a deployment circuit breaker that rolls back", _04, row=22),
        Rule("task-public-ip", "warning", "each task gets a public address", "assignPublicIp: DISABLED", _04,
             control="ECS.2"),
        Rule("no-container-insights", "note", "Container Insights is off",
             "container_insights: true, which is paid by the metric", _02, control="ECS.12"),
        Rule("no-termination-protection", "warning",
             "nodes that run registries may be taken away when the group shrinks",
             "managed termination protection, and new instances protected from scale-in", _02, control="ECS.19"),
        # the task definition
        Rule("secret-in-environment", "error",
             "{names} in plain text: whoever may ecs:DescribeTaskDefinition reads it, for each revision that ever was",
             "put it into Secrets Manager, name it under `secrets`, and make the key or password anew", _02,
             control="ECS.8"),
        Rule("environment-file", "note", "variables come from a file in S3, which the audit does not read",
             "look for secrets in it; `python -m runbook lint` reads a copy of it"),
        Rule("image-moves", "warning", "the image {image} is another one whenever its tag is moved",
             "name a release: registry:3.1.1", _02),
        Rule("image-no-digest", "note", "the image {image} is named by its tag, which can be moved",
             "a digest, where releases are checked before they are taken", _02, control="image by digest"),
        Rule("host-network", "warning", "the containers are in the node's own network",
             "networkMode bridge or awsvpc", _02, control="ECS.17"),
        Rule("host-namespaces", "error", "the containers share {names} with the node", "no pidMode and no ipcMode", _02,
             control="ECS.3"),
        Rule("privileged", "error", "the container is privileged: it may do on its node what root may",
             "privileged: false", _02, control="ECS.4"),
        Rule("root-writable", "warning", "the container can write to its root file system",
             "readonlyRootFilesystem: true, as capacity: auto-scaling-group has it", _02, control="ECS.5"),
        Rule("root-user", "warning", "the container runs as root",
             "user: 1000:1000, as capacity: auto-scaling-group has it", _02, control="ECS.20"),
        Rule("capabilities", "warning", "the container keeps Linux capabilities that a registry does not need",
             "capabilities: drop ALL, as capacity: auto-scaling-group has it", _02, control="no capabilities"),
        Rule("no-log", "warning", "what the container prints stays on its node, and goes with it",
             "the log driver awslogs", _02, control="ECS.9"),
        Rule("log-blocks", "note", "the container stands still while its log cannot be written, unless the account's "
             "default says otherwise", "mode: non-blocking", _02, control="ECS.9"),
        Rule("log-group-absent", "warning", "the log group is not there: the container's log goes nowhere",
             "make it", _02),
        Rule("log-for-ever", "note", "the log is kept for ever, and paid for", "log_retention", _02,
             control="CKV_AWS_66"),
        Rule("log-short", "note", "the log is kept {days} days", "log_retention: 365, where an incident has to be "
             "followed back", _02, control="CKV_AWS_338"),
        # nodes
        Rule("agent-away", "warning", "the ECS agent is not connected: no task is started or stopped there",
             "replace the node", _02),
        Rule("one-zone", "note", "all nodes are in one availability zone ({zone})",
             "nodes in two zones or more", _02, control="AutoScaling.2"),
        Rule("imds-v1", "warning", "IMDSv1 answers: a request that a program is tricked into gets the node's role",
             "HttpTokens: required", _02, control="EC2.8"),
        Rule("hop-limit", "note", "a container gets the node's role: the hop limit is {hops}",
             "hop limit 1, with a role of the task and registry 3", _02, control="EC2.8"),
        Rule("node-public-ip", "note", "the nodes have public addresses",
             "private subnets with a NAT or endpoints: node_subnets", _02, control="EC2.9"),
        Rule("volume-plain", "warning", "volumes are not encrypted", "replace the nodes by encrypted ones", _02,
             control="EC2.3"),
        Rule("launch-configuration", "warning", "the nodes' group launches from a launch configuration, which AWS "
             "takes no new ones of", "a launch template", _02, control="AutoScaling.9"),
        # security groups
        Rule("world-to-registry", "error", "everybody reaches {ports}, and with it the registry without TLS: passwords "
             "are sent in the clear", "let only the balancer's security group in", _02, control="EC2.19"),
        Rule("world-to-ssh", "error", "everybody reaches {ports}", "ssh_from: [] or your own networks", _02,
             control="EC2.13, EC2.14"),
        Rule("world-to-ports", "warning", "everybody reaches {ports}",
             "no rule from 0.0.0.0/0 but for 443 (and 80, where it leads to 443)", _02, control="EC2.19"),
        Rule("rule-undescribed", "note", "a rule has no description", "say of each rule what it is for", _02,
             control="CKV_AWS_23"),
        Rule("egress-open", "note", "all outgoing traffic is allowed",
             "narrow it, where the addresses of images and AWS are known", _02, control="CKV_AWS_382"),
        # the balancer
        Rule("no-balancer", "warning", "the service has no load balancer, and none has its nodes: how clients reach "
             "the registry, and where TLS ends, is not known here", "a balancer with HTTPS", _05),
        Rule("clear-text", "error", "port {port} takes {protocol}: passwords and images are sent in the clear",
             "HTTPS on port 443; on port 80 nothing, or a redirect", _05, control="ELB.1, ELB.3"),
        Rule("bytes-not-http", "warning", "port {port} passes bytes ({protocol}) on, not HTTP",
             "use HTTPS to HTTP", _05, row=25),
        Rule("tls-old", "warning", "port {port} takes TLS older than 1.2 ({policy})",
             "a policy of TLS 1.2 and 1.3", _05, control="ELB.8, ELB.17"),
        Rule("idle-timeout", "warning", "the idle timeout is {seconds} s", "set it to 300 s or more", _05, row=4),
        Rule("check-tcp", "warning", "the health check {check} only opens a connection", "check HTTP:5000/", _05,
             row=7),
        Rule("check-401", "error", "the health check asks /v2/ and takes {matcher} for healthy; a registry answers 401",
             "check the path /, or expect 401 of /v2/; never switch off authentication", _05, row=6),
        Rule("targets-out", "error", "none of {count} targets is in service", "look at the health check and at the "
             "tasks' log", _05),
        Rule("targets-some-out", "warning", "{out} of {count} targets are not in service",
             "look at the health check and at the tasks' log", _05),
        Rule("no-draining", "warning", "a target that leaves cuts the uploads that it has",
             "connection draining, or a deregistration delay, of 300 s", _05, control="ELB.7"),
        Rule("one-zone-balancer", "note", "the balancer is in one availability zone", "subnets in two zones", _05,
             control="ELB.10, ELB.13"),
        Rule("no-cross-zone", "warning", "the balancer does not reach the nodes of other zones evenly",
             "cross-zone load balancing", _05, control="ELB.9"),
        Rule("desync", "warning", "desync mitigation only looks on ({mode})", "defensive or strictest", _05,
             control="ELB.12, ELB.14"),
        Rule("invalid-headers", "warning", "invalid header fields reach the registry",
             "routing.http.drop_invalid_header_fields.enabled", _05, control="ELB.4"),
        Rule("no-access-logs", "note", "the balancer keeps no access logs", "access_logs, with a bucket of yours", _05,
             control="ELB.5"),
        Rule("no-deletion-protection", "note", "the balancer can be deleted by mistake", "deletion_protection: true",
             _05, control="ELB.6"),
        Rule("network-balancer", "note", "a {kind} load balancer is looked at as far as its listeners and attributes "
             "are those of an application balancer", "an application load balancer, which passes HTTP", _05),
        # the certificate
        Rule("certificate-ended", "error", "it ended on {day}", "serve a new one with its chain", _05, row=23),
        Rule("certificate-ends", "warning", "it ends on {day}", "renew it: notebook 12_renew_certificate"),
        Rule("certificate-not-issued", "error", "its status is {status}", "serve one that is issued", _05, row=23),
        Rule("certificate-by-hand", "warning", "it is imported: nobody renews it before {day} unless you do",
             "certificate: request, which ACM renews", _05, control="ACM.1"),
        Rule("certificate-key", "warning", "its key is {key}", "RSA of 2048 bits or more, or an elliptic curve", _05,
             control="ACM.2"),
        # the bucket
        Rule("bucket-unknown", "note", "no variable and no policy names the registry's bucket: nothing of it was "
             "looked at", "REGISTRY_STORAGE_S3_BUCKET in the task definition", _02),
        Rule("bucket-absent", "error", "it is not there", "make it, or name the right one", _01, row=5),
        Rule("bucket-elsewhere", "error", "it is in {region}, and the registry is told {told}",
             "tell the registry the bucket's region", _02, row=5),
        Rule("bucket-public", "error", "everybody may {actions} ({way})",
             "take the grant away, and block public access", _01, control="S3.2, S3.3, S3.6"),
        Rule("bucket-other-accounts", "warning", "its policy lets others in: {who}",
             "take the grant away, unless you know them", _01, control="S3.6"),
        Rule("bucket-not-blocked", "warning", "public access is not blocked: {missing}", "switch all four blocks on",
             _01, control="S3.8"),
        Rule("bucket-no-tls-only", "warning", "it answers requests without TLS",
             "deny what is not aws:SecureTransport", _01, control="S3.5"),
        Rule("bucket-lists", "warning", "access lists of single objects count",
             "ObjectOwnership: BucketOwnerEnforced", _01, control="S3.12"),
        Rule("bucket-plain", "warning", "what is put into it is not encrypted by default", "default encryption", _01,
             control="S3 encryption at rest"),
        Rule("bucket-no-kms", "note", "S3's own keys encrypt it, not a key of yours",
             "a KMS key, where a rule asks for one", _01, control="S3.17"),
        Rule("bucket-uploads", "warning", "no lifecycle rule ends multipart uploads that nobody finishes",
             "AbortIncompleteMultipartUpload after 7 days", _01, row=29, control="S3.13"),
        Rule("bucket-expires", "error", "the lifecycle rule {rule} deletes images {after}",
             "take the rule away: a registry's blobs do not expire", _01),
        Rule("bucket-no-versions", "note", "a deletion cannot be undone: there are no versions",
             "versioning, where that is worth keeping each layer twice", _01, control="S3.14"),
        Rule("bucket-versions-stay", "note", "old versions are kept for ever, and paid for",
             "a lifecycle rule with NoncurrentVersionExpiration", _01, control="S3.10"),
        Rule("bucket-no-log", "note", "it has no server access log",
             "a log bucket, where the registry's own log is not enough", _01, control="S3.9"),
        # who may do what
        Rule("all-allowed", "error", "it allows everything, on everything",
             "allow what the registry needs, on its bucket", _01, control="IAM.1"),
        Rule("service-allowed", "warning", "it allows all actions of {services}", "name the actions", _01,
             control="IAM.21"),
        Rule("every-resource", "warning", "it allows actions of {services} on every resource", "name the resources",
             _01, control="IAM.21"),
        Rule("s3-actions-missing", "error", "it may not {actions} on bucket {bucket}",
             "write the policy that the runbook has", _01, row=8),
        Rule("s3-nothing-allowed", "error", "it may do nothing on bucket {bucket}, and it is who the registry is "
             "there", "write the policy that the runbook has", _01, row=5),
        Rule("node-role-s3", "warning", "every program on the nodes may {actions} on bucket {bucket}; the registry "
             "has credentials of its own", "take it from the nodes' role", _01, control="ECS best practice"),
        Rule("trust-open", "note", "ECS may take it for a task of anybody's account that ECS is confused about",
             "the conditions aws:SourceAccount and aws:SourceArn in its trust", _02, control="confused deputy"),
        Rule("role-absent", "error", "the task definition names it, and it is not there", "make it", _02, row=21),
        Rule("user-key", "warning", "the registry is an IAM user with a key that somebody has to guard and change",
             "a role: credentials: task-role with registry 3", _01, control="IAM.2"),
        Rule("key-old", "warning", "its access key is {days} days old", "make a new one", _11, control="IAM.3"),
        Rule("key-unknown", "warning", "IAM does not know the access key in the environment: it was deleted, or it is "
             "another account's", "a role, or a key of this account", _01, row=5),
        Rule("key-in-secret", "note", "the access key is in a secret, which the audit does not open: whose it is and "
             "how old was not looked at", "a role: credentials: task-role with registry 3", _01),
        # secrets
        Rule("no-execution-role", "error", "it has secrets and no execution role to read them with",
             "an execution role", _02, row=21),
        Rule("secret-absent", "error", "the task definition names it, and it is not there (or is to be deleted)",
             "make it, or restore it", _02, row=21),
        Rule("secret-denied", "error", "the execution role {role} may not read it",
             "mend the execution role's policy, then a new deployment", _02, row=21),
        Rule("secret-old", "note", "it was last changed {days} days ago", "make it anew", _11),
        Rule("parameter-plain", "warning", "it is a plain String of Parameter Store, not encrypted",
             "SecureString, or Secrets Manager", _02),
        # the cache
        Rule("cache-unknown", "note", "the cache {address} is none of ElastiCache's here: it was not looked at",
             "see that only the nodes reach it, and that it evicts by allkeys-lru"),
        Rule("cache-plain", "warning", "what it holds is not encrypted at rest", "replace it by one that is", _02,
             control="ElastiCache.4"),
        Rule("cache-no-tls", "warning", "the registry could speak TLS with it, and does not",
             "encryption in transit", _02, control="ElastiCache.5"),
        Rule("cache-no-tls-2", "note", "no TLS on the way to it, which registry 2 does not speak with a cache",
             "registry 3.1.1, and encryption in transit", _02, control="ElastiCache.5"),
        Rule("cache-tls-2", "error", "it wants TLS, which registry 2 does not speak with a cache",
             "registry 3.1.1, or a cache without encryption in transit", _02, row=27),
        Rule("cache-minor", "warning", "minor versions do not come by themselves", "AutoMinorVersionUpgrade", _02,
             control="ElastiCache.2"),
        Rule("cache-eviction", "warning", "when it is full it evicts by {policy}", "maxmemory-policy allkeys-lru", _02,
             row=26),
        Rule("cache-one-node", "note", "it is one node: registries go on with S3 while it is away",
             "automatic failover, where that is too slow", _02, control="ElastiCache.3"),
        Rule("cache-no-backups", "note", "it has no backups; what it holds is read from S3 again",
             "none is needed", control="ElastiCache.1"),
        Rule("cache-no-token", "note", "it asks for no password: who reaches it reads digests and sizes",
             "let only the nodes reach it", _02, control="ElastiCache.6"),
        # what could not be looked at
        Rule("not-read", "note", "it could not be looked at: {why}", "docs/audit.md has the permissions that it takes"),
    )
}  # fmt: skip


def found(name: str, where: str, **seen) -> Finding:
    """The finding of that rule."""
    return RULES[name].at(where, **seen)

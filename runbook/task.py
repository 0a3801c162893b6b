"""The task definition: the blog's JSON, and what it needs: the http secret, the execution role, the log group."""

import re

from . import config, revisions, roles, wait
from .errors import AwsError, NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .secret import generate
from .secretsmanager import destroy_secret, find_secret, write_secret
from .session import AWS

_ARN = re.compile(
    r"(?P<arn>arn:[^:]*:secretsmanager:[^:]*:\d+:secret:(?P<name>[^:]+)-[A-Za-z0-9]{6})(:(?P<key>[^:]*):.*)?"
)
_SECRET = re.compile(r"KEY|SECRET|PASSWORD|TOKEN")


def want_task(p: Params) -> Document:
    """The task definition. Secrets stand as `secretsmanager:NAME[:KEY]`, the execution role by its name."""
    container = {
        "volumesFrom": [],
        "portMappings": [{"hostPort": p.port, "containerPort": p.port, "protocol": "tcp"}],
        "command": ["/etc/docker/registry/config.yml"],
        "environment": [{"name": name, "value": value} for name, value in config.environment(p).items()],
        "secrets": [
            {"name": "REGISTRY_STORAGE_S3_ACCESSKEY", "valueFrom": f"secretsmanager:{p.key_secret}:accesskey"},
            {"name": "REGISTRY_STORAGE_S3_SECRETKEY", "valueFrom": f"secretsmanager:{p.key_secret}:secretkey"},
            {"name": "REGISTRY_HTTP_SECRET", "valueFrom": f"secretsmanager:{p.http_secret}"},
        ],
        "essential": True,
        "entryPoint": [],
        "links": [],
        "mountPoints": [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": True}],
        "memory": 1000,
        "name": p.container_name,
        "cpu": 1024,
        "image": p.image,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": p.log_group,
                "awslogs-region": p.region,
                "awslogs-stream-prefix": p.name,
                "mode": "non-blocking",
                "max-buffer-size": "25m",
            },
        },
    }
    return Document(
        containerDefinitions=[container],
        volumes=[{"host": {"sourcePath": p.auth_folder}, "name": "auth"}],
        family=p.family,
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        executionRoleArn=p.execution_role,
    )


def want_execution_role(p: Params, account: str) -> Document:
    """With this role ECS reads the two secrets and writes the log, and nothing else.

    Secrets Manager adds a hyphen and six random characters to a name to make the ARN:
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/getting-started.html
    """
    here = f"{p.region}:{account}"
    secrets = [f"arn:aws:secretsmanager:{here}:secret:{name}-*" for name in (p.key_secret, p.http_secret)]
    log = f"arn:aws:logs:{here}:log-group:{p.log_group}:*"
    return Document(
        RoleName=p.execution_role,
        Trust=roles.trust(
            "ecs-tasks.amazonaws.com",
            StringEquals={"aws:SourceAccount": account},
            ArnLike={"aws:SourceArn": f"arn:aws:ecs:{here}:*"},
        ),
        ManagedPolicies=[],
        InlinePolicy=roles.policy(
            roles.allow(["secretsmanager:GetSecretValue"], *secrets),
            roles.allow(["logs:CreateLogStream", "logs:PutLogEvents"], log),
        ),
    )


def want_log_group(p: Params) -> Document:
    return Document(logGroupName=p.log_group, retentionInDays=p.log_retention)


def find_task(aws: AWS, p: Params) -> Document | None:
    """The newest ACTIVE revision in the words of `want_task`. NotOurs when a revision lacks our tag."""
    active = revisions.find_active(aws, p)
    if not active:
        return None
    arns = _secret_arns(aws, p)
    words = {arn: word for word, arn in arns.items()}
    found = {key: active[0].get(key) for key in want_task(p)}
    found["executionRoleArn"] = (found["executionRoleArn"] or "none").rsplit("/")[-1]
    for container in found["containerDefinitions"]:
        for secret in container.get("secrets", []):
            secret["valueFrom"] = words.get(secret["valueFrom"]) or _former(secret["valueFrom"], arns)
    return Document(found)


def ensure_task(aws: AWS, p: Params) -> Changes:
    """The http secret (made once), the role, the log group, then a new revision if the newest one differs."""
    if find_secret(aws, p, p.key_secret) is None:
        raise StepFailed(
            f"secret {p.key_secret}, the registry's key for S3, is not there; "
            "run notebook 01_enable_s3_and_authentication first"
        )
    done = _ensure_http_secret(aws, p)
    done += roles.ensure_role(aws, p, want_execution_role(p, aws.account))
    done += _ensure_log_group(aws, p)
    report = _compare(p, find_task(aws, p))
    if not report:
        _register(aws, p)
    report = _no_surplus(aws, p, report)
    revisions.retire(aws, p)
    return done + report.changes.done


def verify_task(aws: AWS, p: Params) -> Report:
    """The comparison, no secret in plain sight, no revision left over, and the parts that the task needs."""
    found = find_task(aws, p)
    report = _compare(p, found)
    if found:
        pairs = [pair for container in found["containerDefinitions"] for pair in container.get("environment", [])]
        plain = ", ".join(pair["name"] for pair in pairs if _SECRET.search(pair["name"])) or "none"
        report = _no_surplus(aws, p, report.check("secrets in plain environment", plain == "none", "none", plain))
    wanted = {
        "http secret": {"Name": p.http_secret},
        "execution role": want_execution_role(p, aws.account),
        "log group": want_log_group(p),
    }
    parts = {
        "http secret": find_secret(aws, p, p.http_secret),
        "execution role": roles.find_role(aws, p, p.execution_role),
        "log group": find_log_group(aws, p),
    }
    return report + compare(report.title, wanted, parts)


def destroy_task(aws: AWS, p: Params) -> Changes:
    """All revisions of the family, the role, the log group with the logs, the http secret."""
    done = destroyed(f"task definition {p.family}", revisions.destroy(aws, p))
    done += roles.destroy_role(aws, p, p.execution_role)
    group = find_log_group(aws, p)
    if group:
        aws.logs.delete_log_group(logGroupName=p.log_group)
    done += destroyed(f"log group {p.log_group}", bool(group))
    return done + destroy_secret(aws, p, p.http_secret)


def find_log_group(aws: AWS, p: Params) -> Document | None:
    """Name and retention in days. NotOurs without our tag."""
    groups = aws.logs.all("describe_log_groups", "logGroups", logGroupNamePrefix=p.log_group)
    group = next((group for group in groups if group["logGroupName"] == p.log_group), None)
    if group is None:
        return None
    arn = group["arn"].removesuffix(":*")
    if aws.logs.list_tags_for_resource(resourceArn=arn)["tags"].get("runbook:deployment") != p.name:
        raise NotOurs(f"log group {p.log_group}", p)
    return Document(logGroupName=p.log_group, retentionInDays=group.get("retentionInDays"))


def _compare(p: Params, found: Document | None) -> Report:
    title, wanted = f"task definition {p.family}", _by_name(want_task(p))
    if found is None:
        return compare(title, wanted, None)
    seen = _by_name(found)
    for container in seen["container"].values():
        for kind in ("environment", "secrets"):
            own = wanted["container"][p.container_name][kind]
            own |= {name: None for name in container[kind] if name not in own}
    for kind in ("container", "volume"):
        wanted[kind] |= {name: None for name in seen[kind] if name not in wanted[kind]}
    return compare(title, wanted, seen)


def _by_name(task: Document) -> dict:
    """Containers, variables and volumes by name, so that a report names the one that differs.

    ECS leaves an empty list out of its answer, or fills it in.
    """
    by_name = {key: value for key, value in task.items() if key not in ("containerDefinitions", "volumes")}
    by_name["container"] = {}
    for container in task["containerDefinitions"]:
        by_name["container"][container["name"]] = {"volumesFrom": [], "entryPoint": [], "links": []} | container
        by_name["container"][container["name"]] |= {
            "environment": {pair["name"]: pair["value"] for pair in container.get("environment", [])},
            "secrets": {pair["name"]: pair["valueFrom"] for pair in container.get("secrets", [])},
        }
    return by_name | {"volume": {volume["name"]: volume.get("host") for volume in task["volumes"] or []}}


def _no_surplus(aws: AWS, p: Params, report: Report) -> Report:
    count = len(revisions.surplus(aws, p))
    return report.check("surplus ACTIVE revisions", count == 0, "0", str(count))


def _secret_arns(aws: AWS, p: Params) -> dict[str, str]:
    """`secretsmanager:NAME[:KEY]` → what `valueFrom` takes, for the secrets that are there.

    With its version: ECS reads a secret only when it starts a task, so a new version must be a new revision to reach
    the registry. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    """
    arns = {}
    for name, keys in ((p.key_secret, ("accesskey", "secretkey")), (p.http_secret, ("",))):
        secret = find_secret(aws, p, name)
        if secret:
            for key in keys:
                word = f"secretsmanager:{name}" + (f":{key}" if key else "")
                arns[word] = f"{secret['ARN']}:{key}::{secret['VersionId']}"
    return arns


def _former(reference: str, arns: dict[str, str]) -> str:
    """A reference that is not today's: an older version, or a secret that was deleted and made again."""
    match = _ARN.fullmatch(reference)
    if not match:
        return reference
    word = f"secretsmanager:{match['name']}" + (f":{match['key']}" if match["key"] else "")
    same = arns.get(word, "").startswith(match["arn"])
    return f"{word} ({'an older version' if same else 'a former secret of that name'})"


def _register(aws: AWS, p: Params) -> None:
    task, arns = want_task(p), _secret_arns(aws, p)
    for secret in task["containerDefinitions"][0]["secrets"]:
        secret["valueFrom"] = arns[secret["valueFrom"]]
    task["executionRoleArn"] = roles.find_role(aws, p, p.execution_role)["Arn"]
    task["tags"] = [{"key": key, "value": value} for key, value in p.tags.items()]
    wait.wait(f"task definition {p.family}", lambda: _registered(aws, task), timeout=60, every=2)


def _registered(aws: AWS, task: dict) -> tuple[bool | None, str]:
    """IAM spreads a new role within seconds; until then ECS calls it invalid, or its caller not allowed to pass it:
    https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/414"""
    try:
        aws.ecs.register_task_definition(**task)
    except AwsError as error:
        if "Role is not valid" in error.message or "iam:PassRole" in error.message:
            return None, f"ECS cannot use the execution role yet ({error.message})"
        raise
    return True, "registered"


def _ensure_http_secret(aws: AWS, p: Params) -> Changes:
    """Never made anew: an upload that one registry began could not go on at another one."""
    found = find_secret(aws, p, p.http_secret)
    if found is None or found["VersionId"] is None:
        write_secret(aws, p, p.http_secret, generate(), f"http.secret of the registries of deployment {p.name}")
    return compare(f"secret {p.http_secret}", {"Name": p.http_secret}, found).changes.done


def _ensure_log_group(aws: AWS, p: Params) -> Changes:
    found = find_log_group(aws, p)
    report = compare(f"log group {p.log_group}", want_log_group(p), found)
    if found is None:
        aws.logs.create_log_group(logGroupName=p.log_group, tags=p.tags)
    if not report:
        aws.logs.put_retention_policy(logGroupName=p.log_group, retentionInDays=p.log_retention)
    return report.changes.done

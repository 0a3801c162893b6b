"""The task definition with what it needs: the http secret, the execution role, the log group, and its real addresses.

ECS takes ARNs and host names; `want_task` has words for them. Here one is put for the other, in both directions.
"""

import re

from . import config, elasticache, lease, revisions, roles, tags, wait
from .errors import AwsError, StepFailed
from .log_group import destroy_log_group, ensure_log_group, find_log_group, want_log_group
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .secret import generate
from .secretsmanager import (
    bring_back,
    destroy_secret,
    ensure_empty,
    find_secret,
    find_tags,
    mend_tags,
    want_tags,
    write_secret,
)
from .session import AWS
from .task_definition import compare_task, secret_names, want_task

_ARN = re.compile(
    r"(?P<arn>arn:[^:]*:secretsmanager:[^:]*:\d+:secret:(?P<name>[^:]+)-[A-Za-z0-9]{6})(:(?P<key>[^:]*):.*)?"
)
_CACHE = re.compile(r"[A-Za-z0-9.-]+\.cache\.amazonaws\.com:\d+")
_SECRET = re.compile(r"KEY|SECRET|PASSWORD|TOKEN|PASSWD$")
_STATIC_KEY = re.compile(r"ACCESS_?KEY|SECRET_?(ACCESS_?)?KEY")


def want_execution_role(p: Params, account: str) -> Document:
    """With this role ECS reads the secrets of the task and writes its log, and nothing else.

    Secrets Manager adds a hyphen and six random characters to a name to make the ARN:
    https://docs.aws.amazon.com/secretsmanager/latest/userguide/getting-started.html
    """
    here = f"{p.region}:{account}"
    secrets = [f"arn:aws:secretsmanager:{here}:secret:{name}-*" for name in secret_names(p)]
    log = f"arn:aws:logs:{here}:log-group:{p.log_group}:*"
    return Document(
        RoleName=p.execution_role,
        Trust=roles.ecs_tasks_trust(p, account),
        ManagedPolicies=[],
        InlinePolicy=roles.policy(
            roles.allow(["secretsmanager:GetSecretValue"], *secrets),
            roles.allow(["logs:CreateLogStream", "logs:PutLogEvents"], log),
        ),
    )


def find_task(aws: AWS, p: Params) -> Document | None:
    """The newest ACTIVE revision in the words of `want_task`. NotOurs when a revision lacks our tag."""
    active = revisions.find_active(aws, p)
    if not active:
        return None
    arns, cache = _secret_arns(aws, p), _cache(aws, p)
    words = {arn: word for word, arn in arns.items()}
    found = {key: active[0].get(key) for key in want_task(p)} | tags.found(p, active[0]["tags"])
    if "taskRoleArn" in active[0]:
        found["taskRoleArn"] = active[0]["taskRoleArn"]
    for role in found.keys() & {"executionRoleArn", "taskRoleArn"}:
        found[role] = (found[role] or "none").rsplit("/")[-1]
    for container in found["containerDefinitions"]:
        for secret in container.get("secrets", []):
            secret["valueFrom"] = words.get(secret["valueFrom"]) or _other(p, secret["valueFrom"], arns)
        for pair in container.get("environment", []):
            pair["value"] = _CACHE.sub(lambda match: _cache_word(p, match[0], cache), pair["value"])
    return Document(found)


@lease.exclusive
def ensure_task(aws: AWS, p: Params) -> Changes:
    """The http secret (made once), an empty htpasswd secret if a container takes it, the execution role, the log
    group, then a new revision if the newest one differs. StepFailed when what an earlier step makes is missing."""
    _require(aws, p)
    done = _ensure_http_secret(aws, p)
    if p.htpasswd == "init-container":
        done += _ensure_htpasswd_secret(aws, p)
    done += roles.ensure_role(aws, p, want_execution_role(p, aws.account))
    done += ensure_log_group(aws, p)
    mend_tags(aws, p, _secrets(p))
    report = compare_task(p, find_task(aws, p))
    wrong = {check.name.partition(".")[0] for check in report.checks if not check.ok}
    if wrong == {"Tags"}:
        aws.ecs.tag_resource(resourceArn=revisions.newest(aws, p), tags=tags.small_pairs(p.extra_tags))
    elif wrong:
        _register(aws, p)
    report = _no_surplus(aws, p, report)
    revisions.retire(aws, p)
    return done + report.changes.done


def verify_task(aws: AWS, p: Params) -> Report:
    """The comparison, no secret in plain sight, no revision left over, and the parts that the task needs."""
    found = find_task(aws, p)
    report = compare_task(p, found)
    if found:
        containers = found["containerDefinitions"]
        names = [pair["name"] for container in containers for pair in container.get("environment", [])]
        report = _none(report, "secrets in plain environment", [name for name in names if _SECRET.search(name)])
        if p.credentials != "access-key":
            names += [secret["name"] for container in containers for secret in container.get("secrets", [])]
            report = _none(report, "static keys", [name for name in names if _STATIC_KEY.search(name)])
        report = _no_surplus(aws, p, report)
    wanted = {
        "http secret": {"Name": p.http_secret},
        "execution role": want_execution_role(p, aws.account) | tags.want(p),
        "log group": want_log_group(p),
        **want_tags(p, _secrets(p)),
    }
    parts = {
        "http secret": find_secret(aws, p, p.http_secret),
        "execution role": roles.find_role(aws, p, p.execution_role),
        "log group": find_log_group(aws, p),
        **find_tags(aws, p, _secrets(p)),
    }
    if p.htpasswd == "init-container":
        wanted["htpasswd secret"] = {"Name": p.htpasswd_secret}
        parts["htpasswd secret"] = find_secret(aws, p, p.htpasswd_secret)
    return report + compare(report.title, wanted, parts)


@lease.exclusive
def destroy_task(aws: AWS, p: Params) -> Changes:
    """All revisions of the family, the role, the log group with the logs, the http secret. The htpasswd secret, empty
    or not, goes with the users."""
    done = destroyed(f"task definition {p.family}", revisions.destroy(aws, p))
    done += roles.destroy_role(aws, p, p.execution_role)
    done += destroy_log_group(aws, p)
    return done + destroy_secret(aws, p, p.http_secret)


def _none(report: Report, title: str, names: list[str]) -> Report:
    return report.check(title, not names, "none", ", ".join(names) or "none")


def _no_surplus(aws: AWS, p: Params, report: Report) -> Report:
    count = len(revisions.surplus(aws, p))
    return report.check("surplus ACTIVE revisions", count == 0, "0", str(count))


def _secrets(p: Params) -> list[str]:
    """Those that this step makes."""
    return [p.http_secret, *([p.htpasswd_secret] if p.htpasswd == "init-container" else [])]


def _require(aws: AWS, p: Params) -> None:
    """What notebook 01 and the earlier steps of 02 make."""
    if p.credentials == "access-key" and find_secret(aws, p, p.key_secret) is None:
        raise StepFailed(
            f"secret {p.key_secret}, the registry's key for S3, is not there; "
            "run notebook 01_enable_s3_and_authentication first"
        )
    if p.credentials == "task-role" and roles.find_role(aws, p, p.task_role) is None:
        raise StepFailed(
            f"IAM role {p.task_role}, the registry's own for S3, is not there; "
            "run notebook 01_enable_s3_and_authentication first"
        )
    if p.cache == "elasticache" and _cache(aws, p) is None:
        raise StepFailed(
            f"the cache {p.cache_name} is not there, or has no address yet; "
            "run notebook 02_create_a_task_definition from its start"
        )


def _secret_arns(aws: AWS, p: Params) -> dict[str, str]:
    """`secretsmanager:NAME[:KEY]` → what `valueFrom` takes, for the secrets that are there.

    With its version: ECS reads a secret only when it starts a task, so a new version must be a new revision to reach
    the registry. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
    The htpasswd lines are without one: users change more often than task definitions, and the service knows which
    version its tasks were started with.
    """
    arns = {}
    for name, keys in ((p.key_secret, ("accesskey", "secretkey")), (p.http_secret, ("",)), (p.htpasswd_secret, ())):
        secret = find_secret(aws, p, name) if name in secret_names(p) else None
        if secret and not keys:
            arns[f"secretsmanager:{name}"] = secret["ARN"]
        for key in keys if secret else ():
            word = f"secretsmanager:{name}" + (f":{key}" if key else "")
            arns[word] = f"{secret['ARN']}:{key}::{secret['VersionId']}"
    return arns


def _other(p: Params, reference: str, arns: dict[str, str]) -> str:
    """A reference that is not today's: an older version, a secret that was deleted and made again, or one that the
    task needs no longer."""
    match = _ARN.fullmatch(reference)
    if not match:
        return reference
    word = f"secretsmanager:{match['name']}" + (f":{match['key']}" if match["key"] else "")
    if match["name"] not in secret_names(p):
        return word
    same = arns.get(word, "").startswith(match["arn"])
    return f"{word} ({'an older version' if same else 'a former secret of that name'})"


def _cache(aws: AWS, p: Params) -> str | None:
    return elasticache.endpoint(elasticache.describe(aws, p)) if p.cache == "elasticache" else None


def _cache_word(p: Params, address: str, cache: str | None) -> str:
    word = config.cache_word(p)
    return word if address == cache else f"{word} (a former cache of that name)"


def _register(aws: AWS, p: Params) -> None:
    task, arns, cache = want_task(p), _secret_arns(aws, p), _cache(aws, p)
    for container in task["containerDefinitions"]:
        for secret in container["secrets"]:
            secret["valueFrom"] = arns[secret["valueFrom"]]
        for pair in container["environment"] if cache else ():
            pair["value"] = pair["value"].replace(config.cache_word(p), cache)
    for role in task.keys() & {"executionRoleArn", "taskRoleArn"}:
        task[role] = roles.find_role(aws, p, task[role])["Arn"]
    task["tags"] = tags.small_pairs(p.tags)
    wait.wait(f"task definition {p.family}", lambda: _registered(aws, task), timeout=60, every=2)


def _registered(aws: AWS, task: dict) -> tuple[bool | None, str]:
    """IAM spreads a new role within seconds; until then ECS calls it invalid, or its caller not allowed to pass it:
    https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/414"""
    try:
        aws.ecs.register_task_definition(**task)
    except AwsError as error:
        if "Role is not valid" in error.message or "iam:PassRole" in error.message:
            return None, f"ECS cannot use the task's roles yet ({error.message})"
        raise
    return True, "registered"


def _ensure_http_secret(aws: AWS, p: Params) -> Changes:
    """Never made anew: an upload that one registry began could not go on at another one."""
    found = find_secret(aws, p, p.http_secret)
    there = found or bring_back(aws, p, p.http_secret)
    if there is None or there["VersionId"] is None:
        write_secret(aws, p, p.http_secret, generate(), f"http.secret of the registries of deployment {p.name}")
    return compare(f"secret {p.http_secret}", {"Name": p.http_secret}, found).changes.done


def _ensure_htpasswd_secret(aws: AWS, p: Params) -> Changes:
    """Without users, which notebook 03 writes: the task definition names it by its ARN."""
    found = find_secret(aws, p, p.htpasswd_secret)
    if found is None:
        ensure_empty(aws, p, p.htpasswd_secret, f"htpasswd of deployment {p.name}")
    return compare(f"secret {p.htpasswd_secret}", {"Name": p.htpasswd_secret}, found).changes.done

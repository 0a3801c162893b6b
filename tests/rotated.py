"""What the tests of rotation share: a deployment of moto's that runs, and a registry that takes what its tasks have."""

import datetime
import json
import time
import types

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ecs.models import EC2ContainerServiceBackend
from moto.iam.models import IAMBackend, iam_backends
from moto.secretsmanager.models import secretsmanager_backends
from passlib.hash import bcrypt
from services import Scheduler, add_node, keep_all

from runbook import htpasswd, identity, key_rotation, password_rotation, rollout, service, task, turnover, wait
from runbook.errors import StepFailed
from runbook.secret import Secret
from runbook.secretsmanager import find_secret, write_secret

OLD = datetime.timedelta(days=100, minutes=1)


def install(monkeypatch, p):
    """A scheduler that does a round at each sleep, and the registry's answers; IAM keys that tasks have must stay."""
    scheduler = Scheduler(p.region)
    monkeypatch.setattr(wait, "time", types.SimpleNamespace(sleep=scheduler.sleep, monotonic=time.monotonic))
    monkeypatch.setattr(key_rotation, "FOLLOWED", 0)
    monkeypatch.setattr(turnover, "prove", prove)
    monkeypatch.setattr(key_rotation, "prove", prove)
    monkeypatch.setattr(password_rotation, "_answer", answer)
    if p.scales:
        keep_all(monkeypatch)
    _begin_at_once(monkeypatch)
    for name in ("delete_access_key", "update_access_key"):
        monkeypatch.setattr(IAMBackend, name, _unless_in_use(getattr(IAMBackend, name), scheduler))
    return scheduler


def _begin_at_once(monkeypatch):
    plain = EC2ContainerServiceBackend.update_service

    def update(self, service_properties):
        made = plain(self, service_properties)
        made.deployments[0]["rolloutState"] = "IN_PROGRESS"
        return made

    monkeypatch.setattr(EC2ContainerServiceBackend, "update_service", update)


def _unless_in_use(plain, scheduler):
    """No key that a running task has may go."""

    def change(self, *args, **kwargs):
        asked = {*args, *kwargs.values()}
        running = {task for tasks in scheduler.backend.tasks.values() for task in tasks.values()}
        for each in running:
            if each.last_status == "RUNNING" and "Active" not in asked:
                assert _key_of(scheduler.backend.describe_task_definition(each.task_definition_arn)) not in asked
        return plain(self, *args, **kwargs)

    return change


def _key_of(definition):
    """Id of the key that a container of this revision gets."""
    for secret in definition.container_definitions[0]["secrets"]:
        if secret["name"].endswith("ACCESSKEY"):
            arn, version = secret["valueFrom"].split(":accesskey::")
            kept = next(each for each in _secrets(arn.split(":")[3]) if each.arn == arn)
            return json.loads(kept.versions[version]["secret_string"])["accesskey"]
    return None


def _secrets(region):
    return [each for each in secretsmanager_backends[ACCOUNT][region].secrets.values() if hasattr(each, "versions")]


def prepare(aws, p):
    """What the notebooks have made, long ago."""
    aws.s3.create_bucket(Bucket=p.bucket, CreateBucketConfiguration={"LocationConstraint": p.region})
    identity.ensure_identity(aws, p)
    providers = {"capacityProviders": [p.capacity_provider_name]} if p.scales else {}
    aws.ecs.create_cluster(clusterName=p.cluster_name, **providers)
    if p.scales:
        htpasswd.ensure_users(aws, p)
    else:
        write_secret(aws, p, p.htpasswd_secret, Secret("testuser:$2y$"), "htpasswd")
    task.ensure_task(aws, p)
    version = find_secret(aws, p, p.htpasswd_secret)["VersionId"]
    for number in range(1, p.nodes + 1):
        add_node(aws, p, number, version)
    service.ensure_service(aws, p)
    age(p)


def age(p):
    """All keys and secrets of the account become a hundred days older."""
    for user in iam_backends[ACCOUNT]["aws"].users.values():
        for key in user.access_keys:
            key.create_date -= OLD
    for secret in _secrets(p.region):
        for version in secret.versions.values():
            version["createdate"] -= int(OLD.total_seconds())


def prove(aws, p):
    """A push works when the key that the tasks have is active."""
    definition = rollout.describe(aws, p)["taskDefinition"]
    described = aws.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    key = _key_of(types.SimpleNamespace(container_definitions=described["containerDefinitions"]))
    if key is None:
        return
    active = [
        each["AccessKeyId"]
        for each in aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name)
        if each["Status"] == "Active"
    ]
    if key not in active:
        raise StepFailed("the registry has no key that works")


def answer(aws, p, login):
    """What a registry says whose tasks were started with the users that the service's tag names."""
    version = next(t["value"] for t in rollout.describe(aws, p)["tags"] if t["key"] == p.htpasswd_tag)
    text = aws.secretsmanager.get_secret_value(SecretId=p.htpasswd_secret, VersionId=version)["SecretString"]
    line = dict(line.split(":", 1) for line in text.splitlines()).get(login.user)
    ok = line and bcrypt.verify(login.password.reveal(), line)
    return "200 {}" if ok else "401 UNAUTHORIZED"

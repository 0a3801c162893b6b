"""Tasks of several containers in the embedded cloud: their order, what they share, and what reaches which of them."""

import json
import os
import signal
import time
from pathlib import Path

import boto3
import pytest
from refusals import TRUST
from scheduled import CLUSTER, REGION, SERVICE, answers, until

pytestmark = pytest.mark.embedded

LINE = "someone:$2y$05$C.NotAHashOfAnyPassword.ThatAnybodyHas.OrEverWillHaveX"
DYNAMIC = [{"containerPort": 5000, "hostPort": 0}]
AUTH = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "ours"}
AUTH["REGISTRY_AUTH_HTPASSWD_PATH"] = "/auth/htpasswd"
WRITE = 'umask 077; printf "%s\\n" "$HTPASSWD" > /auth/htpasswd'


@pytest.fixture
def cloud(services):
    return services


@pytest.fixture
def node(cloud):
    return cloud.machines.add()


@pytest.fixture
def role(cloud):
    """An execution role that may read every secret."""
    iam = boto3.client("iam", region_name=REGION)
    made = iam.create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="execution", PolicyName="read", PolicyDocument=policy)
    return made


def container(name, script, **fields):
    """A container that runs a shell script in the place of the registry."""
    shell = {"name": name, "image": "registry:2.8.3", "memory": 64, "stopTimeout": 2, "entryPoint": ["/bin/sh", "-c"]}
    return shell | {"command": [script]} | fields


def define(cloud, *containers, **task):
    answer = cloud.ecs.register_task_definition(family="registry", containerDefinitions=containers, **task)
    return answer["taskDefinition"]["taskDefinitionArn"]


def with_init(cloud, role, secret, script=WRITE):
    """A registry whose users an init container writes from a secret."""
    init = container("htpasswd", script, essential=False, secrets=[{"name": "HTPASSWD", "valueFrom": secret}])
    init["mountPoints"] = [{"sourceVolume": "auth", "containerPath": "/auth"}]
    registry = {
        "name": "registry",
        "image": "registry:2.8.3",
        "memory": 128,
        "user": "1000:1000",
        "readonlyRootFilesystem": True,
        "privileged": False,
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}, "initProcessEnabled": True},
        "portMappings": DYNAMIC,
        "environment": [{"name": name, "value": value} for name, value in AUTH.items()],
        "mountPoints": [{"sourceVolume": "auth", "containerPath": "/auth", "readOnly": True}],
        "dependsOn": [{"containerName": "htpasswd", "condition": "SUCCESS"}],
    }
    volume = {"name": "auth", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}}
    return define(cloud, init, registry, volumes=[volume], executionRoleArn=role)


def shown(task):
    return {one["name"]: one for one in task["containers"]}


def run(cloud, definition):
    """Run a task; its ARN."""
    return cloud.ecs.run_task(cluster=CLUSTER, taskDefinition=definition)["tasks"][0]["taskArn"]


def described(cloud, arn):
    return cloud.ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]


def ended(cloud, arn):
    return until(lambda: (task := described(cloud, arn))["lastStatus"] == "STOPPED" and task)


def environments(word):
    """Of the processes with this word in their environment: (number, what they run, the environment)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables = (folder / "environ").read_bytes()
            if word in variables:
                found.append((int(folder.name), (folder / "cmdline").read_bytes(), variables))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def test_an_init_container_writes_the_users_that_the_registry_reads(cloud, node, role):
    secret = cloud.secrets.create_secret(Name="registry/htpasswd", SecretString=LINE)["ARN"]
    cloud.create(with_init(cloud, role, secret))
    task = cloud.steady()
    containers = shown(task)
    assert (containers["htpasswd"]["lastStatus"], containers["htpasswd"]["exitCode"]) == ("STOPPED", 0)
    port = containers["registry"]["networkBindings"][0]["hostPort"]
    refused = until(lambda: [answer] if (answer := answers(f"{node.address}:{port}")) is not None else [])[0]
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="ours"')

    serving = environments(f"REGISTRY_HTTP_ADDR={node.address}:{port}".encode())
    assert any(b"registry\0serve" in line for _, line, _ in serving)
    assert not [line for _, line, variables in serving if b"HTPASSWD=" in variables.replace(b"AUTH_HTPASSWD", b"")]
    assert not environments(LINE.encode())
    [folder] = cloud.place.folder("volumes").iterdir()
    assert (folder / "auth/htpasswd").read_text() == f"{LINE}\n"
    cloud.update(desiredCount=0)
    until(lambda: not any(cloud.place.folder("volumes").iterdir()))


def test_a_failed_init_container_stops_the_task_in_the_agents_words(cloud, node, role):
    secret = cloud.secrets.create_secret(Name="registry/htpasswd", SecretString=LINE)["ARN"]
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}
    cloud.create(with_init(cloud, role, secret, "echo no disk; exit 3"), deploymentConfiguration=breaker)
    until(lambda: cloud.service()["deployments"][0]["rolloutState"] == "FAILED")
    task = cloud.tasks("STOPPED")[0]
    assert (task["stoppedReason"], task["stopCode"]) == ("Task failed to start", "TaskFailedToStart")
    containers = shown(task)
    assert containers["htpasswd"]["exitCode"] == 3 and containers["registry"]["exitCode"] == 143
    assert containers["registry"]["reason"].startswith("CannotStartContainerError: dependency graph: failed to resolve")
    assert containers["registry"]["reason"].endswith("as dependency did not exit successfully.")
    assert "startedAt" not in task and LINE not in json.dumps(task, default=str)


def test_a_secret_without_a_version_is_the_reason(cloud, node, role):
    secret = cloud.secrets.create_secret(Name="registry/htpasswd")["ARN"]
    task = ended(cloud, run(cloud, with_init(cloud, role, secret)))
    assert task["stoppedReason"].startswith("ResourceInitializationError: unable to pull secrets or registry auth: ")
    assert "ResourceNotFoundException" in task["stoppedReason"]


def test_containers_start_in_order_and_stop_in_the_reverse(cloud, node):
    log = "trap 'echo NAME ends >> /log/order; exit 0' TERM; echo NAME >> /log/order; while :; do sleep 0.1; done"
    point = {"mountPoints": [{"sourceVolume": "log", "containerPath": "/log"}]}
    first = container("first", "sleep 0.5; echo first >> /log/order; exit 7", essential=False, **point)
    after = [{"containerName": "first", "condition": "COMPLETE"}]
    second = container("second", log.replace("NAME", "second"), dependsOn=after, **point)
    after = [{"containerName": "second", "condition": "START"}]
    third = container("third", "sleep 0.3; " + log.replace("NAME", "third"), dependsOn=after, **point)
    definition = define(cloud, third, second, first, volumes=[{"name": "log", "host": {"sourcePath": "/srv/log"}}])
    arn = run(cloud, definition)
    until(lambda: described(cloud, arn)["lastStatus"] == "RUNNING")
    order = node.root / "srv/log/order"
    until(lambda: "third" in order.read_text())
    assert shown(described(cloud, arn))["first"]["exitCode"] == 7
    cloud.ecs.stop_task(cluster=CLUSTER, task=arn)
    ended(cloud, arn)
    assert order.read_text().split("\n") == ["first", "second", "third", "third ends", "second ends", ""]


def test_a_task_runs_only_when_nothing_waits(cloud, node):
    wait = container("wait", "while [ ! -e /log/go ]; do sleep 0.05; done", essential=False)
    wait["mountPoints"] = [{"sourceVolume": "log", "containerPath": "/log"}]
    after = [{"containerName": "wait", "condition": "SUCCESS"}]
    main = container("main", "while :; do sleep 0.1; done", dependsOn=after)
    arn = run(cloud, define(cloud, wait, main, volumes=[{"name": "log", "host": {"sourcePath": "/srv/log"}}]))
    until(lambda: shown(described(cloud, arn))["wait"]["lastStatus"] == "RUNNING")
    assert described(cloud, arn)["lastStatus"] == "PENDING"
    (node.root / "srv/log/go").touch()
    until(lambda: described(cloud, arn)["lastStatus"] == "RUNNING")


def test_one_that_takes_longer_than_its_start_timeout_and_what_waits_for_the_waiting(cloud, node):
    slow = container("slow", "sleep 60", essential=False, startTimeout=2)
    after = [{"containerName": "slow", "condition": "SUCCESS"}]
    middle = container("middle", "sleep 60", essential=False, dependsOn=after)
    last = container("last", "sleep 60", dependsOn=[{"containerName": "middle", "condition": "START"}])
    begun = time.monotonic()
    task = ended(cloud, run(cloud, define(cloud, slow, middle, last)))
    assert time.monotonic() - begun >= 2
    containers = shown(task)
    assert containers["middle"]["reason"].endswith("has timed out.")
    assert "middle, which will never start" in containers["last"]["reason"]
    assert task["stoppedReason"] == "Task failed to start"


class Surroundings:
    """What other parts of the cloud would give."""

    def __init__(self):
        self.asked, self.forgotten = [], []

    def environment(self, node, task_definition, task_id):
        self.asked.append((node.instance_id, getattr(task_definition, "task_role_arn", None), task_id))
        return {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:9/"}

    def hosts(self):
        return "127.0.0.1 localhost\n127.0.0.9 cache.example\n"

    def forget(self, task_id):
        self.forgotten.append(task_id)


def test_surroundings_reach_every_container(cloud, node, monkeypatch):
    monkeypatch.setattr(cloud.scheduler._tasks, "_surroundings", given := Surroundings())
    (cloud.place.home / "ca.pem").write_text("of the cloud's authority\n")
    look = "cat /etc/hosts; env; tail -n 1 /etc/ssl/certs/ca-certificates.crt; touch /etc/hosts || echo fixed"
    options = {"awslogs-group": "seen", "awslogs-region": REGION, "awslogs-create-group": "true"}
    logs = {"logConfiguration": {"logDriver": "awslogs", "options": options | {"awslogs-stream-prefix": "ecs"}}}
    arn = run(cloud, define(cloud, container("main", look, **logs), taskRoleArn="arn:aws:iam::123456789012:role/x"))
    ended(cloud, arn)
    identity = arn.split("/")[-1]
    events = cloud.logs.get_log_events(logGroupName="seen", logStreamName=f"ecs/main/{identity}")["events"]
    lines = [event["message"] for event in events]
    assert "127.0.0.9 cache.example" in lines and "of the cloud's authority" in lines and "fixed" in lines
    assert "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9/" in lines
    assert not [line for line in lines if line.startswith("AWS_EC2_METADATA_DISABLED")]
    assert given.asked == [(node.instance_id, "arn:aws:iam::123456789012:role/x", identity)]
    assert given.forgotten == [identity]


def test_what_a_service_uses_of_the_processor(cloud, node):
    busy = container("busy", "i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); done & wait; sleep 60", cpu=256)
    cloud.create(define(cloud, busy))
    until(lambda: cloud.service()["runningCount"] == 1)
    [usage] = cloud.scheduler.usage()
    key = usage["region"], usage["cluster"], usage["service"], usage["reserved_cpu"]
    assert key == (REGION, CLUSTER, SERVICE, 256)
    more = until(lambda: (now := cloud.scheduler.usage()[0]["cpu_seconds"]) > usage["cpu_seconds"] + 0.2 and now)
    cloud.update(desiredCount=0)
    until(lambda: cloud.service()["runningCount"] == 0)
    [usage] = cloud.scheduler.usage()
    assert usage["cpu_seconds"] >= more and usage["reserved_cpu"] == 0


def test_dynamic_ports_are_each_tasks_own(cloud, node):
    cloud.create(cloud.define(portMappings=DYNAMIC, cpu=64), count=4)
    cloud.steady()
    ports = [shown(task)["registry"]["networkBindings"][0]["hostPort"] for task in cloud.tasks()]
    assert len(set(ports)) == 4
    for port in ports:
        assert until(lambda port=port: answers(f"{node.address}:{port}")).status_code == 200
    running = environments(f"REGISTRY_HTTP_ADDR={node.address}:{ports[0]}".encode())
    os.kill(next(pid for pid, line, _ in running if b"registry\0serve" in line), signal.SIGKILL)
    until(lambda: cloud.tasks("STOPPED"))
    cloud.steady()
    later = [shown(task)["registry"]["networkBindings"][0]["hostPort"] for task in cloud.tasks()]
    assert set(later) - set(ports) and ports[0] not in later

"""Containers of the embedded cloud: the real registry program, with exactly what its task definition gives it."""

import hashlib
import json
import os
import signal
import socket
import time
from pathlib import Path

import boto3
import pytest
import requests
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ecs.models import ecs_backends
from moto.server import ThreadedMotoServer
from refusals import TRUST

from runbook.local import containers, images, ports
from runbook.local.containers import ContainerError
from runbook.local.nodes import Node
from runbook.local.state import Place

pytestmark = pytest.mark.embedded

REGION = "eu-central-1"
TASK = "0123456789abcdef"
HTPASSWD = "someone:$2y$05$C.NotAHashOfAnyPassword.ThatAnybodyHas.OrEverWillHaveX\n"
PORT = {"containerPort": 5000, "hostPort": 5000}


class Host:
    """One node in a place of its own, and what was started on it."""

    def __init__(self, home, block):
        self.place = Place(home, block)
        folder = self.place.folder("nodes", "i-1")
        (folder / "root").mkdir()
        self.node = Node("i-1", REGION, 1, self.place.node_address(1), folder, running=True)
        self.started = []

    def start(self, task=None, override=None, **fields):
        container = {"name": "registry", "image": "registry:2.8.3", "cpu": 1, "memory": 128, "portMappings": [PORT]}
        backend = ecs_backends[DEFAULT_ACCOUNT_ID][REGION]
        definition = backend.register_task_definition("registry", [container | fields], **(task or {}))
        full = definition.container_definitions[0]
        one = containers.start(self.place, self.node, full, definition, TASK, region=REGION, override=override)
        self.started.append(one)
        return one

    def shell(self, script, **fields):
        """Run a script in the place of the registry; (exit code, what it printed)."""
        script = f"{script}\nexit 0" if "exit" not in script else script
        one = self.start(**{"entryPoint": ["sh", "-c"]} | fields, command=[script], portMappings=[])
        one.process.wait(20)
        text = one.log.path.read_text()
        one.step()
        return one.exit_code, text

    def get(self, path="/v2/", port=5000):
        """The registry's answer, once it has one."""
        return until(lambda: answer(f"http://{self.node.address}:{port}{path}"))

    def end(self):
        for one in self.started:
            one.stop(1)
            until(lambda one=one: one.step() or one.exit_code is not None)


def until(condition, seconds=20):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return value


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.text = response.status_code, response.headers, response.text


def answer(url):
    try:
        return Answer(requests.get(url, timeout=5))
    except requests.ConnectionError:
        return None


def program(container):
    """The process id of the program in the sandbox, once it has become the registry."""
    pid = container.process.pid

    def started():
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        found = [int(child) for child in children if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes()]
        return found[0] if found else None

    return until(started)


def role(*actions):
    """An execution role that may do `actions`."""
    iam = boto3.client("iam", region_name=REGION)
    made = iam.create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}],
    }
    iam.put_role_policy(RoleName="execution", PolicyName="read", PolicyDocument=json.dumps(policy))
    return made


@pytest.fixture
def host(tmp_path, block, account):
    with mock_aws(config={"core": {"passthrough": {"urls": [r"^http://127\."]}}}):
        one = Host(tmp_path, block)
        yield one
        one.end()


def test_environment_and_secrets_reach_the_program_and_no_process_list(host, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", "/of/the/caller.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://of.the.caller.invalid")
    secret = os.urandom(8).hex()
    secrets = boto3.client("secretsmanager", region_name=REGION)
    plain = secrets.create_secret(Name="http", SecretString=secret)["ARN"]
    keyed = secrets.create_secret(Name="user", SecretString=json.dumps({"key": f"{secret}-key"}))["ARN"]
    one = host.start(
        task={"execution_role_arn": role("secretsmanager:GetSecretValue")},
        environment=[{"name": "REGISTRY_HTTP_HEADERS", "value": "{X-Runbook: [seen]}"}],
        secrets=[
            {"name": "REGISTRY_HTTP_SECRET", "valueFrom": plain},
            {"name": "OF_A_KEY", "valueFrom": f"{keyed}:key:AWSCURRENT:"},
        ],
    )
    assert host.get().headers["X-Runbook"] == "seen"
    one.step()
    assert "No HTTP secret provided" not in one.log.path.read_text()

    variables = Path(f"/proc/{program(one)}/environ").read_bytes().decode().strip("\0").split("\0")
    env = dict(variable.split("=", 1) for variable in variables)
    assert (env["REGISTRY_HTTP_SECRET"], env["OF_A_KEY"]) == (secret, f"{secret}-key")
    expected = {"PATH", "HOME", "PWD", "AWS_EC2_METADATA_DISABLED", "REGISTRY_HTTP_ADDR", "OF_A_KEY"}
    assert env.keys() - expected == {"REGISTRY_HTTP_SECRET", "REGISTRY_HTTP_HEADERS"}
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert any(b"registry\0serve" in line for line in lines)
    assert not [line for line in lines if secret.encode() in line]


def test_the_mounted_htpasswd_is_used_and_cannot_be_written(host):
    auth = host.node.root / "home/ec2-user/auth"
    auth.mkdir(parents=True)
    (auth / "htpasswd").write_text(HTPASSWD)
    told = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "ours"}
    told["REGISTRY_AUTH_HTPASSWD_PATH"] = "/auth/htpasswd"
    mounted = {
        "task": {"volumes": [{"name": "auth", "host": {"sourcePath": "/home/ec2-user/auth"}}]},
        "mountPoints": [{"sourceVolume": "auth", "containerPath": "/auth", "readOnly": True}],
    }
    host.start(environment=[{"name": name, "value": value} for name, value in told.items()], **mounted)
    refused = host.get()
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="ours"')
    code, text = host.shell("cat /auth/htpasswd; touch /auth/new || exit 7", **mounted)
    assert code == 7 and HTPASSWD in text and "Read-only file system" in text


def test_a_host_folder_is_made_as_docker_does_and_stays_on_the_node(host):
    volumes = [{"name": "data", "host": {"sourcePath": "/srv/data"}}, {"name": "of-the-task"}]
    points = [{"sourceVolume": v["name"], "containerPath": f"/{v['name']}"} for v in volumes]
    code, _ = host.shell("touch /data/one /of-the-task/two", task={"volumes": volumes}, mountPoints=points)
    assert code == 0 and (host.node.root / "srv/data/one").exists()

    (host.node.root / "srv/out").symlink_to("/etc")
    volumes[0]["host"] = {"sourcePath": "/srv/out"}
    with pytest.raises(ContainerError, match="leads out of the node"):
        host.start(task={"volumes": volumes}, mountPoints=points)


def test_the_rest_is_a_layer_of_its_own(host):
    write = "cat /etc/docker/registry/config.yml > /dev/null && touch /new /var/lib/registry/blob && id -u || exit 7"
    assert host.shell(write) == (0, "0\n")
    code, text = host.shell(write, readonlyRootFilesystem=True, user="1000:1000")
    assert code == 7 and "touch: cannot touch '/new': Read-only file system" in text
    assert host.shell("touch /var/lib/registry/blob && id -u", readonlyRootFilesystem=True, user="1000") == (
        0,
        "1000\n",
    )
    assert not any(host.place.folder("containers").iterdir())


def test_its_path_and_its_configurations_place_are_the_containers_own(host):
    path = [{"name": "PATH", "value": "/nowhere"}]
    assert host.shell("echo $PATH", entryPoint=["/bin/sh", "-c"], environment=path) == (0, "/nowhere\n")
    host.start(command=["config.yml"], workingDirectory="/etc/docker/registry")
    assert host.get().status == 200


def test_a_wrong_container_port_is_unreachable(host):
    one = host.start(portMappings=[{"containerPort": 8080, "hostPort": 5000}])
    until(lambda: "listening on 127." in one.log.path.read_text())
    assert answer(f"http://{host.node.address}:5000/v2/") is None


def test_a_host_port_that_is_taken_and_one_that_is_chosen(host):
    with socket.create_server((host.node.address, 5000)):
        with pytest.raises(ContainerError, match="^CannotStartContainerError: .*5000 failed: port is already alloc"):
            host.start()
        one = host.start(portMappings=[{"containerPort": 5000}])
        port = one.bindings[0]["hostPort"]
        assert port in ports.EPHEMERAL
        assert host.get(port=port).status == 200


def test_a_port_that_was_given_is_not_given_again_before_it_is_released(host):
    given = ports.Ports()
    definition = {"name": "registry", "portMappings": [{"containerPort": 5000}, {"containerPort": 5001}]}
    first, second = given.bind(host.node, definition), given.bind(host.node, definition)
    numbers = [binding["hostPort"] for binding in first + second]
    assert len(set(numbers)) == 4
    fixed = {"name": "registry", "portMappings": [{"containerPort": 80}, {"containerPort": 1, "hostPort": numbers[3]}]}
    with pytest.raises(ContainerError, match="port is already allocated"):
        given.bind(host.node, fixed)
    given.release(second)
    assert given.bind(host.node, fixed)[1]["hostPort"] == numbers[3]
    assert given.bind(host.node, definition)[0]["hostPort"] > numbers[3]


def test_an_init_process_of_its_own(host):
    one = host.start(
        entryPoint=["sh", "-c"],
        command=["trap 'echo asked; exit 5' TERM; cat /proc/1/comm; echo ready; while :; do sleep 0.1; done"],
        linuxParameters={"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}},
        portMappings=[],
    )
    until(lambda: "ready" in one.log.path.read_text())
    assert one.log.path.read_text().startswith("bwrap\n")
    one.stop()
    until(lambda: "asked" in one.log.path.read_text())
    until(lambda: one.step() or one.exit_code is not None)
    assert one.exit_code == 5


def test_stopping_asks_first(host):
    one = host.start()
    host.get()
    one.stop()
    until(lambda: one.step() or one.exit_code is not None)
    assert one.exit_code == 2  # what Docker shows for a stopped registry too: Go's runtime, as process 1
    assert not one.folder.exists()

    deaf = ["trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done"]
    one = host.start(entryPoint=["sh", "-c"], command=deaf, stopTimeout=2, portMappings=[])
    until(lambda: "ready" in one.log.path.read_text())
    begun = time.monotonic()
    one.stop()
    until(lambda: "asked" in one.log.path.read_text())
    until(lambda: one.step() or one.exit_code is not None)
    assert one.exit_code == 128 + signal.SIGKILL and time.monotonic() - begun >= 2


def test_one_that_is_stopped_while_it_starts_leaves_no_process(host):
    for number in range(60):
        container = host.start(portMappings=[])
        time.sleep(number / 2000)  # each a little later in its start
        container.stop(0)
        until(lambda one=container: one.step() or one.exit_code is not None)
    home = str(host.place.home).encode()
    until(lambda: not [pid for pid in Path("/proc").glob("[0-9]*") if home in command_line(pid)])


def command_line(process):
    try:
        return (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def messages(group, stream):
    logs = boto3.client("logs", region_name=REGION)
    return [e["message"] for e in logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]]


def test_what_it_prints_goes_to_cloudwatch(host):
    options = {"awslogs-group": "registry", "awslogs-region": REGION, "awslogs-stream-prefix": "ecs"}
    configuration = {"logDriver": "awslogs", "options": options}
    with pytest.raises(ContainerError, match="^CannotStartContainerError.*The specified log group does not exist"):
        host.start(logConfiguration=configuration)
    assert not any(host.place.folder("containers").iterdir())

    options["awslogs-create-group"] = "true"
    one = host.start(logConfiguration=configuration)
    stream = f"ecs/registry/{TASK}"
    until(lambda: one.step() or any("listening on" in line for line in messages("registry", stream)))
    assert stat_mode(one.log.path) == 0o600

    code, _ = host.shell("printf 'first\\nsecond\\nno end'; exit 3", logConfiguration=configuration)
    assert code == 3 and messages("registry", stream)[-3:] == ["first", "second", "no end"]


def stat_mode(path):
    return path.stat().st_mode & 0o777


def test_a_log_that_grows_is_cut(host, monkeypatch):
    monkeypatch.setattr("runbook.local.logs.KEPT", 1000)
    script = "i=0; while [ $i -lt 200 ]; do echo line-$i-of-many; i=$((i+1)); done; sleep 60"
    options = {"awslogs-group": "long", "awslogs-region": REGION, "awslogs-create-group": "true"}
    one = host.start(
        entryPoint=["sh", "-c"],
        command=[script],
        portMappings=[],
        logConfiguration={"logDriver": "awslogs", "options": options},
    )
    stream = f"{TASK}-registry"
    until(lambda: one.step() or len(messages("long", stream)) == 200)
    assert messages("long", stream) == [f"line-{i}-of-many" for i in range(200)]
    until(lambda: one.step() or one.log.path.stat().st_size == 0)


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"image": "nginx:1"}, "^CannotPullContainerError: .*pull access denied for nginx:1"),
        ({"healthCheck": {"command": ["CMD", "true"]}, "links": ["db"]}, "asks for: healthCheck, links$"),
        ({"task": {"network_mode": "awsvpc"}}, "asks for: networkMode awsvpc$"),
        ({"task": {"volumes": [{"name": "v", "efsVolumeConfiguration": {}}]}}, "volumes.efsVolumeConfiguration"),
        ({"override": {"name": "registry", "memory": 1}}, "overrides.memory"),
        ({"user": "nobody"}, "user 'nobody'"),
        ({"privileged": True}, "asks for: privileged$"),
        ({"dependsOn": [{"containerName": "other", "condition": "HEALTHY"}]}, "asks for: dependsOn HEALTHY$"),
        ({"linuxParameters": {"capabilities": {"add": ["NET_ADMIN"]}}}, "linuxParameters.capabilities.add$"),
        ({"linuxParameters": {"devices": [{"hostPath": "/dev/kvm"}]}}, "linuxParameters.devices$"),
        (
            {"task": {"volumes": [{"name": "v", "dockerVolumeConfiguration": {"scope": "shared"}}]}},
            "dockerVolumeConfiguration.scope shared$",
        ),
        ({"logConfiguration": {"logDriver": "splunk"}}, "logConfiguration: splunk"),
        (
            {"secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"}]},
            "^ResourceInitializationError: .*no executionRoleArn",
        ),
    ],
)
def test_what_cannot_be_done_is_a_reason_and_never_ignored(host, fields, reason):
    with pytest.raises(ContainerError, match=reason):
        host.start(**fields)
    assert not any(host.place.folder("containers").iterdir())


def test_a_secret_that_cannot_be_had(host):
    secrets = boto3.client("secretsmanager", region_name=REGION)
    there = secrets.create_secret(Name="there", SecretString="not-a-mapping")["ARN"]
    binary = secrets.create_secret(Name="binary", SecretBinary=b"\0")["ARN"]
    allowed = role("secretsmanager:GetSecretValue")

    def reason(value_from, role_arn=allowed):
        with pytest.raises(ContainerError) as caught:
            host.start(task={"execution_role_arn": role_arn}, secrets=[{"name": "REGISTRY_X", "valueFrom": value_from}])
        text = str(caught.value)
        assert text.startswith("ResourceInitializationError: unable to pull secrets or registry auth: ")
        assert "not-a-mapping" not in text
        return text

    assert "ResourceNotFoundException: Secrets Manager can't find the specified secret" in reason(f"{there}-not")
    assert "did not contain json key user" in reason(f"{there}:user::")
    assert "is binary" in reason(binary)
    assert "invalid ssm parameters" not in reason("a-name")  # the role may not read parameters at all
    assert "unable to assume the role" in reason(there, f"{allowed}-gone")
    iam = boto3.client("iam", region_name=REGION)
    for trusted, seen in (("ec2.amazonaws.com", "unable to assume the role"), ("ecs-tasks.amazonaws.com", "is binary")):
        document = json.dumps(TRUST).replace("ecs-tasks.amazonaws.com", trusted)
        iam.update_assume_role_policy(RoleName="execution", PolicyDocument=document)
        assert seen in reason(binary)
    iam.delete_role_policy(RoleName="execution", PolicyName="read")
    assert "is not authorized to perform: secretsmanager:GetSecretValue" in reason(there)


def test_a_parameter_can_be_a_secret_too(host):
    boto3.client("ssm", region_name=REGION).put_parameter(Name="/registry/x", Value="v", Type="SecureString")
    code, text = host.shell(
        "echo $X; exit 0",
        task={"execution_role_arn": role("ssm:GetParameters")},
        secrets=[{"name": "X", "valueFrom": "/registry/x"}],
    )
    assert (code, text) == (0, "v\n")


def test_the_two_line_dockerfile_runs(host, tmp_path):
    folder = tmp_path / "image"
    folder.mkdir()
    config = images.CONFIG.replace("[nosniff]", "[nosniff]\n    X-Made-By: [Dockerfile]")
    (folder / "config.yml").write_text(config)
    (folder / "Dockerfile").write_text("FROM registry:2\nCOPY config.yml /etc/docker/registry/config.yml\n")
    images.build(host.place.home, folder, "registry-ecs:1")
    host.start(image="registry-ecs:1", command=["/etc/docker/registry/config.yml"], entryPoint=[])
    assert host.get().headers["X-Made-By"] == "Dockerfile"


def test_it_stores_in_the_clouds_own_s3(tmp_path, block, account):
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        host = Host(tmp_path, block)
        endpoint = f"http://127.0.0.1:{port}"
        host.place = LocalPlace(host.place.home, host.place.block, port)
        s3 = boto3.client("s3", region_name=REGION, endpoint_url=endpoint)
        s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION})
        told = {
            "REGISTRY_STORAGE": "s3",
            "REGISTRY_STORAGE_S3_BUCKET": "images",
            "REGISTRY_STORAGE_S3_REGION": REGION,
            "REGISTRY_STORAGE_S3_ACCESSKEY": "testing",
            "REGISTRY_STORAGE_S3_SECRETKEY": "testing",
        }
        host.start(environment=[{"name": name, "value": value} for name, value in told.items()])
        host.get()
        blob = os.urandom(1000)
        digest = hashlib.sha256(blob).hexdigest()
        begun = requests.post(f"http://{host.node.address}:5000/v2/team/app/blobs/uploads/", timeout=20)
        place, _, query = begun.headers["Location"].partition("?")
        done = requests.put(f"{place}?{query}&digest=sha256:{digest}", data=blob, timeout=20)
        assert done.status_code == 201
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket="images")["Contents"]]
        [data] = [key for key in keys if key.endswith(f"blobs/sha256/{digest[:2]}/{digest}/data")]
        assert s3.get_object(Bucket="images", Key=data)["Body"].read() == blob
        host.end()
    finally:
        server.stop()


class LocalPlace(Place):
    """The endpoint of a server that the test itself runs."""

    @property
    def address(self):
        return "127.0.0.1"

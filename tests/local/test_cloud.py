"""The embedded cloud's process: up, again, after a kill, down; and who may speak to it."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from runbook import local
from runbook.local import haproxy, server, state
from runbook.local.state import CloudError, Place

pytestmark = pytest.mark.embedded

SLEEPER = "#!/bin/bash\nexec sleep 600\n"


def get(url: str, **headers: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers=headers, timeout=10)


def test_up_again_gives_the_one_that_runs(cloud):
    again = cloud.up()
    assert again == cloud.running
    assert cloud.status()["pid"] == again.pid
    assert again.endpoint == cloud.status()["endpoint"]
    assert again.endpoint.startswith("http://127.")


def test_its_folders_are_for_its_owner_only(tmp_path):
    place = Place(tmp_path / "home", 20)
    for made in (place.folder("nodes", "i-1", "commands"), place.folder("balancers/1")):
        below = [made, *made.parents][: len(made.relative_to(place.home).parts)]
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in below] == [0o700] * len(below)


def test_its_files_are_for_its_owner_only(cloud):
    assert stat.S_IMODE(cloud.home.stat().st_mode) == 0o700
    for name in ("cloud.json", "cloud.log"):
        assert stat.S_IMODE((cloud.home / name).stat().st_mode) == 0o600


def test_two_ups_at_once_start_one(own_cloud):
    program = "from runbook import local; print(local.up().pid)"
    environment = os.environ | {"RUNBOOK_HOME": str(own_cloud.home)}
    both = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert said[0] == said[1]
    assert int(said[0]) == own_cloud.up().pid


def test_down_leaves_no_process_and_no_files(own_cloud):
    pid = own_cloud.up().pid
    own_cloud.everything()
    assert own_cloud.down() is True
    assert own_cloud.processes(pid) == {}
    assert not (own_cloud.home / "cloud.json").exists()
    assert not (own_cloud.home / "data").exists()
    assert own_cloud.down() is False
    with own_cloud.chosen(), pytest.raises(CloudError, match="cloud up"):
        local.running()


def test_a_killed_cloud_leaves_no_process_and_the_next_one_is_empty(own_cloud):
    first = own_cloud.up()
    instance = own_cloud.everything()
    os.kill(first.pid, signal.SIGKILL)
    own_cloud.until(lambda: own_cloud.processes(first.pid) == {})
    assert own_cloud.root(instance).is_dir()
    second = own_cloud.up()
    assert second.pid != first.pid
    assert not own_cloud.root(instance).exists()
    assert own_cloud.status()["nodes"] == []
    assert own_cloud.client("ec2").describe_instances()["Reservations"] == []


def test_a_cloud_json_of_a_dead_or_another_process_is_removed(tmp_path):
    of_another = {"endpoint": "http://127.20.0.1:1", "ca": "", "pid": os.getpid(), "started": 1}
    for text in (json.dumps(of_another), json.dumps(of_another | {"pid": 2**22 + 1}), "{half a file", "[]", "{}"):
        (tmp_path / "cloud.json").write_text(text)
        assert state.read(tmp_path) is None
        assert not (tmp_path / "cloud.json").exists()


def test_a_second_cloud_takes_another_block(cloud, own_cloud):
    other = own_cloud.up()
    assert other.endpoint != cloud.running.endpoint
    assert get(f"{cloud.running.endpoint}/_runbook/status").json()["pid"] == cloud.running.pid


def test_a_port_in_use_is_named(own_cloud):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 (a listener on every address is what is to be met; it says nothing)
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CloudError, match=f"^port {port} is in use"):
            own_cloud.up(port)
    assert own_cloud.up(port).endpoint.endswith(f":{port}")


@pytest.mark.parametrize("whose", ["balancer", "node"])
def test_a_port_that_each_cloud_needs_and_is_in_use_is_named(tmp_path, monkeypatch, whose):
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 (as above)
        taken.listen()
        free.bind(("127.0.0.1", 0))
        needed, port = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        if whose == "balancer":
            monkeypatch.setattr(haproxy, "bound_port", {443: needed}.get)
        else:
            monkeypatch.setattr(server, "PORTS", (needed,))
        with pytest.raises(CloudError, match=f"^port {needed} is in use"):
            server.listen(tmp_path, port)
        taken.close()
        place, *sockets = server.listen(tmp_path, port)
        assert place.port == port
        for each in sockets:
            each.close()


def test_a_missing_program_is_named_with_its_package(own_cloud, monkeypatch):
    monkeypatch.setenv("PATH", str(own_cloud.home))
    with pytest.raises(CloudError, match="bwrap is missing.*apt-get install bubblewrap"):
        own_cloud.up()


def test_elsewhere_than_on_linux_one_sentence_says_so(own_cloud, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(CloudError, match="Linux"):
        own_cloud.up()


@pytest.mark.parametrize("blocked", ["home", "home/cloud.lock"])
def test_a_folder_that_cannot_be_used_is_named(tmp_path, monkeypatch, blocked):
    monkeypatch.setenv("RUNBOOK_HOME", str(tmp_path / "home"))
    if blocked == "home":
        (tmp_path / blocked).write_text("a file stands in its place")
    else:
        (tmp_path / blocked).mkdir(parents=True)
    with pytest.raises(CloudError, match=f"{tmp_path}/home .*RUNBOOK_HOME"):
        local.up()


def test_after_an_up_that_was_killed_the_next_one_finds_its_cloud(own_cloud):
    environment = os.environ | {"RUNBOOK_HOME": str(own_cloud.home)}
    caller = subprocess.Popen([sys.executable, "-c", "from runbook import local; local.up()"], env=environment)
    own_cloud.until(lambda: clouds(own_cloud.home))
    caller.kill()
    caller.wait()
    (begun,) = clouds(own_cloud.home)
    assert own_cloud.up().pid == begun
    assert clouds(own_cloud.home) == [begun]
    assert own_cloud.client("s3").list_buckets()["Buckets"] == []
    assert own_cloud.down() is True
    assert clouds(own_cloud.home) == []


def clouds(home: Path) -> list[int]:
    """The processes that are a cloud of this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and state.started(int(entry.name)):
            with contextlib.suppress(OSError):  # it ended while we looked
                ours = f"RUNBOOK_HOME={home}".encode() in (entry / "environ").read_bytes().split(b"\0")
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if ours and words[0] != b"setsid" and b"runbook.local" in words:
                    found.append(int(entry.name))
    return found


def test_the_callers_settings_do_not_reach_it(own_cloud, monkeypatch):
    names = ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    names += ("http_proxy", "HTTPS_PROXY", "ALL_PROXY", "OF_THE_CALLER")
    with monkeypatch.context() as caller:
        for name in names:
            caller.setenv(name, "http://127.0.0.1:1/of-the-caller")
        own_cloud.up()
    instance = own_cloud.instance("#!/bin/bash\nenv > /opt/env\n")
    own_cloud.until(lambda: own_cloud.node(instance)["state"] == "running")
    for seen in (
        Path(f"/proc/{own_cloud.running.pid}/environ").read_bytes(),
        (own_cloud.root(instance) / "opt/env").read_bytes(),
    ):
        assert b"PATH=" in seen
        assert b"of-the-caller" not in seen


def test_one_that_cannot_say_that_it_is_up_ends(own_cloud):
    (own_cloud.home / "cloud.json.draft").mkdir()
    with pytest.raises(CloudError, match="ended while it started"):
        own_cloud.up()
    own_cloud.until(lambda: clouds(own_cloud.home) == [])
    (own_cloud.home / "cloud.json.draft").rmdir()
    own_cloud.up()


def test_a_service_that_is_created_again_with_its_token_is_that_service(cloud):
    ecs, container = cloud.client("ecs"), {"name": "registry", "image": "registry:2.8.3", "memory": 128}
    ecs.register_task_definition(family="with-a-token", containerDefinitions=[container])
    service = {"cluster": cloud.cluster(), "serviceName": "registry", "taskDefinition": "with-a-token"}
    first, again = (ecs.create_service(**service, desiredCount=0, clientToken="one")["service"] for _ in range(2))
    assert first["serviceArn"] == again["serviceArn"]
    with pytest.raises(ecs.exceptions.InvalidParameterException, match="not idempotent"):
        ecs.create_service(**service, desiredCount=0, clientToken="two")
    ecs.delete_service(cluster=service["cluster"], service="registry")


SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/eu-central-1/s3/aws4_request, SignedHeaders=host, Signature=0"


def test_a_request_that_names_another_host_is_refused(cloud):
    for path in ("/", "/_runbook/status"):
        url = cloud.running.endpoint + path
        assert get(url, Authorization=SIGNED).status_code == 200
        assert get(url, Host="registry.example.com").status_code == 403
        assert get(url, Host="localhost:4566").status_code == 403
        assert get(url, Origin="https://example.com").status_code == 403


def test_no_answer_invites_a_web_page(cloud):
    buckets = get(cloud.running.endpoint, Authorization=SIGNED)
    assert "ListAllMyBucketsResult" in buckets.text
    assert "Access-Control-Allow-Origin" not in buckets.headers


def test_what_needs_no_name_resolves_nothing(cloud):
    answer = get(f"{cloud.running.endpoint}/_runbook/resolve?name=nowhere.example.com&port=443")
    assert answer.status_code == 404
    assert "nowhere.example.com" in answer.json()["error"]


def test_it_knows_amis_types_and_managed_policies(cloud):
    ec2, iam = cloud.client("ec2"), cloud.client("iam")
    assert iam.get_policy(PolicyArn=cloud.ssm_policy)["Policy"]["PolicyName"] == "AmazonSSMManagedInstanceCore"
    for wrong, code in (
        ({"ImageId": "ami-00000000", "InstanceType": "t3.small"}, "InvalidAMIID.NotFound"),
        ({"ImageId": ami(cloud), "InstanceType": "t3.tiny"}, "InvalidInstanceType"),
        ({"ImageId": ami(cloud), "InstanceType": "t3.small", "KeyName": "none"}, "InvalidKeyPair.NotFound"),
    ):
        with pytest.raises(ec2.exceptions.ClientError) as refused:
            ec2.run_instances(MinCount=1, MaxCount=1, **wrong)
        assert code in refused.value.response["Error"]["Code"]


def ami(cloud) -> str:
    name = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    return cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]


def test_a_cloud_that_no_longer_answers_is_replaced(own_cloud, monkeypatch):
    monkeypatch.setattr(local, "STOP_SECONDS", 1)
    monkeypatch.setattr(local, "ANSWER_SECONDS", 1)
    first = own_cloud.up()
    os.kill(first.pid, signal.SIGSTOP)
    try:
        assert own_cloud.up().pid != first.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first.pid, signal.SIGCONT)
    assert own_cloud.processes(first.pid) == {}


@pytest.mark.parametrize("times", [2, pytest.param(10, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_after_a_kill_at_any_moment_nothing_is_left_and_the_next_one_has_the_same_address(own_cloud, times, figure):
    """It is killed while it starts nodes and containers, each time a little later, and brought up again at once."""
    endpoints = set()
    for number in range(times):
        cloud = own_cloud.up()
        endpoints.add(cloud.endpoint)
        own_cloud.instance(SLEEPER)
        cluster = own_cloud.cluster()
        own_cloud.member(cluster)
        ecs, container = own_cloud.client("ecs"), {"name": "registry", "image": "registry:2.8.3", "memory": 64}
        ecs.register_task_definition(family="registry", containerDefinitions=[container])
        before = len(own_cloud.processes())
        ecs.run_task(cluster=cluster, taskDefinition="registry", count=4)
        own_cloud.until(lambda before=before, more=number: len(own_cloud.processes()) > before + more)
        os.kill(cloud.pid, signal.SIGKILL)
        own_cloud.until(lambda pid=cloud.pid: own_cloud.processes(pid) == {}, seconds=60)
    figure("clouds killed and brought up again", times)
    assert len(endpoints) == 1
    assert own_cloud.up().endpoint in endpoints
    assert own_cloud.status()["nodes"] == own_cloud.status()["tasks"] == []

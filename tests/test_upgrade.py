"""The blog's deployment becomes the production one in place, and then lives through a day: on the embedded cloud."""

import os
import signal
import subprocess
import threading
import time

import deployer
import pytest
from account import dump
from programs import listeners, members, registries
from storm import CLIENTS, TAGS, Storm

from runbook import (
    acceptance_images,
    clients,
    dns,
    due,
    former,
    htpasswd,
    http_secret_rotation,
    image,
    load,
    local,
    plan,
    registry,
    service,
    task,
    traffic,
    wait,
)
from runbook.errors import StepFailed
from runbook.local import images

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module", autouse=True)
def resolvers():
    """The upgrade waits no minute for resolvers that nobody asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dns, "TTL", 1)
        yield


@pytest.fixture(scope="module")
def blog(home):
    return load("blog")


@pytest.fixture(scope="module")
def p(home):
    return load("production")


@pytest.fixture(scope="module")
def upgraded(blog, p):
    """What became of the blog's deployment, with an image in it, by the steps of production.

    Both are set up by logins that have the published policy alone.
    """
    aws = plan.start(blog)
    empty = dump(aws)
    of_blog = deployer.login(aws, blog, "of-blog")
    for step in plan.STEPS:
        step.ensure(of_blog, blog)
    login = htpasswd.logins(aws, blog)[0]
    assert registry.verify_registry(aws, blog, logins=[login]).require()
    plan.start(p)
    planned = plan.changes(aws, p)
    of_production = deployer.login(aws, p, "of-production")
    with traffic.watch(aws, blog, login) as seen:
        for step in plan.STEPS:
            step.ensure(of_production, p)
    for name in ("of-blog", "of-production"):
        deployer.logout(aws, name)
    return {"aws": aws, "empty": empty, "planned": planned, "seen": seen.report, "pulled": pulled(aws, p, login)}


def pulled(aws, p, login):
    """The digest of the image that was pushed before the upgrade, as its bytes come now."""
    answer = aws.http().get(
        f"{p.url}/v2/{image.REPOSITORY}/manifests/{acceptance_images.TAG}",
        auth=(login.user, login.password.reveal()),
        headers={"Accept": image.MANIFEST_TYPE},
    )
    return image.digest(answer.content)


@pytest.fixture
def aws(upgraded, p):
    """The upgraded deployment, complete; what a test changed is mended here for the next one."""
    for step in plan.STEPS:
        step.ensure(upgraded["aws"], p)
    return upgraded["aws"]


def tasks(aws, p):
    arns = aws.ecs.all("list_tasks", "taskArns", cluster=p.cluster_name, serviceName=p.service_name)
    found = aws.ecs.describe_tasks(cluster=p.cluster_name, tasks=arns)["tasks"] if arns else []
    return [task for task in found if task["lastStatus"] == "RUNNING"]


def test_the_upgrade_was_planned_lost_no_request_and_keeps_every_image(upgraded, aws, p):
    changes = {row.title: row.mark for row in upgraded["planned"].rows if row}
    assert changes[f"task definition {p.family}"] == "~"
    assert changes["load balancer registry"] == "-"
    assert upgraded["seen"].require()
    assert upgraded["pulled"] == image.make().digest


def test_the_old_pieces_are_gone(aws, blog, p):
    assert former.verify_former(aws, p).require()
    found = dump(aws)
    assert found["users"] == found["balancers"] == []
    assert not any(blog.node_role in found[kind] for kind in ("roles", "profiles", "groups"))
    assert p.key_secret not in found["secrets"]


def test_nothing_is_left_to_change_and_nothing_is_written(aws, p):
    assert not plan.changes(aws, p)
    assert plan.verify(aws, p).require()
    reader = aws.read_only()
    for step in plan.STEPS:
        assert not step.ensure(reader, p), step.thing


def test_two_registries_on_two_nodes_in_two_zones_as_their_clients_see_them(aws, p):
    running = tasks(aws, p)
    assert len({task["containerInstanceArn"] for task in running}) >= 2
    assert len({task["availabilityZone"] for task in running}) >= 2
    logins = htpasswd.logins(aws, p)
    assert registry.verify_registry(aws, p, logins=logins).require()
    assert clients.docker_login(aws, p, logins[0]).require()


def test_everything_listens_on_loopback_alone(aws, p):
    found = listeners(members(local.running().pid))
    assert {"haproxy", "redis-server", "registry"} <= {each.program for each in found}
    assert [each for each in found if not each.is_private] == []


def test_no_static_key_and_no_secret_in_sight(aws, p):
    assert dump(aws)["users"] == []
    secrets = [htpasswd.password(aws, p, user).reveal() for user in p.users]
    for name in (p.http_secret, p.htpasswd_secret):
        secrets += aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"].splitlines()
    definition = repr(aws.ecs.describe_task_definition(taskDefinition=p.family))
    shown = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    logs = repr(log_lines(aws, p))
    assert "registry" in shown
    assert "response completed" in logs or "listening on" in logs
    for secret in secrets:
        assert secret not in definition
        assert secret not in shown
        assert secret not in logs
    for environment in registries().values():
        assert "ACCESSKEY" not in environment
        assert "HTPASSWD=" not in environment


def log_lines(aws, p):
    streams = aws.logs.all("describe_log_streams", "logStreams", logGroupName=p.log_group)
    return [
        event["message"]
        for stream in streams
        for event in aws.logs.get_log_events(logGroupName=p.log_group, logStreamName=stream["logStreamName"])["events"]
    ]


def test_a_large_image_survives_a_killed_registry_and_a_terminated_node(aws, p):
    """200 MB: a layer is pushed while a registry is killed, and a node is terminated before it is pulled."""
    login, outcome = htpasswd.logins(aws, p)[0], []

    def push_and_pull():
        # Docker tries a push five times; Debian's skopeo gives up at once when it cannot write on.
        for _ in range(5):
            outcome.append(clients.skopeo_round_trip(aws, p, login, size=67 * 1024 * 1024))
            if outcome[-1]:
                break

    work = threading.Thread(target=push_and_pull)
    work.start()
    wait.wait("the push", lambda: (uploading(aws, p) or None, "not begun"), timeout=60, every=0.1)
    os.kill(next(iter(registries())), signal.SIGKILL)
    wait.wait("a new registry", lambda: (len(tasks(aws, p)) >= 2 or None, "one"), timeout=60, every=0.2)
    node = tasks(aws, p)[0]["containerInstanceArn"]
    instance = aws.ecs.describe_container_instances(cluster=p.cluster_name, containerInstances=[node])
    aws.ec2.terminate_instances(InstanceIds=[instance["containerInstances"][0]["ec2InstanceId"]])
    work.join(timeout=300)
    assert outcome, "the round trip has not ended"
    assert outcome[-1].require()
    wait.wait("a new node", lambda: (service.verify_service(aws, p) or None, "not yet"), timeout=120, every=0.5)


def test_what_is_acknowledged_while_registries_are_killed_is_neither_lost_nor_corrupt(aws, p, figure):
    """A sample of test_storm.py, and that a loss and a corruption would be seen."""
    login = htpasswd.logins(aws, p)[0]
    storm = Storm(aws, p, login, largest=256 * 1024, every=3, alive=2)
    storm.run(10, kills=2, pushes=CLIENTS // 2)
    wait.wait("the service", lambda: (service.verify_service(aws, p) or None, "not yet"), timeout=120, every=0.5)
    storm.judge()
    storm.tell(figure, "a sample")
    assert storm.lost == storm.corrupt == []
    one = next(each for each in storm.acknowledged if each.tag not in TAGS)
    stored, digest = "docker/registry/v2", one.layers[0].removeprefix("sha256:")
    link = f"{stored}/repositories/{image.REPOSITORY}/_manifests/tags/{one.tag}/current/link"
    aws.s3.delete_object(Bucket=p.bucket, Key=link)
    blob = {"Bucket": p.bucket, "Key": f"{stored}/blobs/sha256/{digest[:2]}/{digest}/data"}
    aws.s3.put_object(**blob, Body=bytes(aws.s3.head_object(**blob)["ContentLength"]))
    storm.judge()
    assert [each.partition(":")[0] for each in storm.lost] == [f"manifests/{one.tag}"]
    assert [each.partition(": ")[0] for each in storm.corrupt] == [f"blobs/{one.layers[0]}"]


def uploading(aws, p):
    return aws.s3.list_multipart_uploads(Bucket=p.bucket).get("Uploads")


def test_users_come_change_and_go_and_no_request_fails(aws, p, monkeypatch):
    monkeypatch.setenv("NEW_PASSWORD", "first-password")
    more = load({**p.model_dump(), "users": {**p.users, "newcomer": "env:NEW_PASSWORD"}})
    login = htpasswd.logins(aws, p)[0]
    assert status(aws, p, "newcomer", "first-password") == 401
    for params, password, expected in (
        (more, "first-password", 200),
        (more, "second-password", 200),
        (p, "second-password", 401),
    ):
        monkeypatch.setenv("NEW_PASSWORD", password)
        htpasswd.ensure_users(aws, params)
        with traffic.watch(aws, params, login) as seen:
            service.ensure_service(aws, params)
        assert seen.report.require()
        assert status(aws, p, "newcomer", password) == expected


def status(aws, p, user, password):
    return aws.http().get(f"{p.url}/v2/", auth=(user, password)).status_code


def test_the_http_secret_is_rotated_and_no_request_fails(aws, p):
    since, login = due.now(aws), htpasswd.logins(aws, p)[0]
    with traffic.watch(aws, p, login) as seen:
        assert http_secret_rotation.ensure_http_secret(aws, p, since=since)
    assert seen.report.require()
    assert http_secret_rotation.verify_http_secret(aws, p, since=since).require()


@pytest.mark.timeout(1000)
def test_a_load_makes_the_service_grow_and_its_end_makes_it_shrink(aws, p):
    busy = load({**p.model_dump(), "target_requests": 60, "max_replicas": 3})
    for step in plan.STEPS:
        if step.thing == "scaling":
            step.ensure(aws, busy)
    ended = threading.Event()

    def ask():
        with aws.http() as http:
            while not ended.is_set():
                http.get(f"{p.url}/")
                time.sleep(0.02)

    load_of = threading.Thread(target=ask)
    load_of.start()
    try:
        wait.wait("growth", lambda: (desired(aws, p) > p.replicas or None, scales(aws, p)), timeout=200, every=0.5)
    finally:
        ended.set()
        load_of.join()
    # Forty compressed minutes; each is longer where two cores have much else to do.
    wait.wait("shrinking", lambda: (desired(aws, p) == p.replicas or None, scales(aws, p)), timeout=600, every=0.5)


def scales(aws, p):
    """What the scaling goes by."""
    (found,) = aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"]
    rollout = [(each["rolloutState"], each["runningCount"], each["desiredCount"]) for each in found["deployments"]]
    alarms = aws.cloudwatch.all("describe_alarms", "MetricAlarms", AlarmNamePrefix="TargetTracking-")
    return f"{rollout}; {[(each['MetricName'], each['StateValue'], each['StateReason']) for each in alarms]}"


def desired(aws, p):
    return aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"][0]["desiredCount"]


def test_a_revision_that_cannot_start_is_rolled_back_with_the_reason(aws, p, home, tmp_path):
    (tmp_path / "Dockerfile").write_text(f"FROM {p.image}\nCOPY config.yml /etc/docker/registry/config.yml\n")
    (tmp_path / "config.yml").write_text("version: 9.9\n")
    images.build(home, tmp_path, "registry-broken:1")
    broken = load({**p.model_dump(), "image": "registry-broken:1", "configured_by": "image"})
    login = htpasswd.logins(aws, p)[0]
    task.ensure_task(aws, broken)
    with traffic.watch(aws, p, login) as seen:
        with pytest.raises(StepFailed) as error:
            service.ensure_service(aws, broken)
        wait.wait("rollback", lambda: ("rolling back" in events(aws, p) or None, "not yet"), timeout=60, every=0.2)
    assert "unsupported version" in str(error.value)
    assert seen.report.require()


def events(aws, p):
    found = aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"][0]
    return " ".join(event["message"] for event in found["events"][:10])


def test_destruction_leaves_the_account_as_it_was_found(upgraded, aws, p):
    plan.destroy(aws, p, images=True)
    assert dump(aws) == upgraded["empty"]

"""The service: what it shall be, what it waits for and when it gives up. A small scheduler stands for ECS's own."""

import time
import types

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ecs.models import ecs_backends
from services import NOW, Scheduler, add_revision, ours, prepare

import runbook
from runbook import revisions, rollout, secretsmanager, service, wait
from runbook.errors import NotOurs, StepFailed, TimedOut
from runbook.secret import Secret


@pytest.fixture
def scheduler(p, monkeypatch):
    made = Scheduler(p.region)
    monkeypatch.setattr(wait, "time", types.SimpleNamespace(sleep=made.sleep, monotonic=time.monotonic))
    return made


@pytest.fixture
def ready(aws, p, scheduler):
    prepare(aws, p)
    scheduler.aws = aws

    def begin(**_):
        """A deployment that is asked for begins at once; moto only gives it another id."""
        for one in scheduler.backend.services.values():
            one.deployments[0]["rolloutState"] = "IN_PROGRESS"

    aws.ecs._client.meta.events.register("after-call.ecs.UpdateService", begin)
    return scheduler


def wrong(report):
    return [check.name for check in report.checks if not check.ok]


def described(aws, p):
    return aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"][0]


@pytest.mark.pure
def test_a_fixed_host_port_leaves_no_room_for_a_second_task(p):
    configuration = service.want_service(p)["deploymentConfiguration"]
    assert (configuration["minimumHealthyPercent"], configuration["maximumPercent"]) == (0, 100)


@pytest.mark.pure
def test_the_number_of_tasks_is_the_deployments(p):
    p = runbook.load(p.model_dump() | {"nodes": 3, "replicas": 2})
    assert service.want_service(p)["desiredCount"] == 2
    assert "loadBalancers" not in service.want_service(p)


@pytest.mark.moto
def test_from_nothing_to_steady_and_then_nothing_to_change(aws, p, ready, capsys):
    assert service.verify_service(aws.read_only(), p).absent
    assert repr(service.ensure_service(aws, p)) == "+ service registry: created"
    assert "1 of 1 running; (service registry) has started 1 tasks: (task" in capsys.readouterr().err
    assert not service.ensure_service(aws.read_only(), p)
    report = service.verify_service(aws.read_only(), p).require()
    assert "(task" not in repr(report) and "arn:" not in repr(report)


@pytest.mark.moto
def test_a_new_service_that_is_not_told_at_once_is_waited_for(aws, p, ready, monkeypatch):
    real, asked = rollout.describe, []

    def describe(aws, p):
        asked.append(real(aws, p))
        return None if asked[-1] and sum(map(bool, asked)) <= 2 else asked[-1]

    monkeypatch.setattr(rollout, "describe", describe)
    service.ensure_service(aws, p)
    assert asked[0] is None and service.verify_service(aws, p).require()

    def delete(_seconds):
        aws.ecs.delete_service(cluster=p.cluster_name, service=p.service_name, force=True)

    monkeypatch.setattr(wait, "time", types.SimpleNamespace(sleep=delete, monotonic=time.monotonic))
    one = next(iter(ready.backend.services.values()))
    one.running_count = 0
    with pytest.raises(StepFailed, match="was deleted meanwhile"):
        rollout.wait_until_steady(aws, p, revisions.newest(aws, p), former=set())


@pytest.mark.moto
def test_what_is_sent_is_what_is_wanted(aws, p, ready):
    """moto forgets part of it, so it is looked at on its way."""
    sent = []
    aws.ecs._client.meta.events.register(
        "before-parameter-build.ecs.CreateService", lambda params, **_: sent.append(params)
    )
    service.ensure_service(aws, p)
    (request,) = sent
    token = request.pop("clientToken")
    assert token.isascii() and 0 < len(token) <= 36
    assert request == service.want_service(p) | {"taskDefinition": revisions.newest(aws, p), "tags": ours(p)}


@pytest.mark.moto
def test_several_tasks_stand_on_nodes_of_their_own(p, account, scheduler):
    p = runbook.load(p.model_dump() | {"nodes": 3, "replicas": 3})
    from moto import mock_aws

    with mock_aws():
        aws = runbook.connect(p)
        prepare(aws, p)
        service.ensure_service(aws, p)
        service.verify_service(aws, p).require()
        tasks = scheduler.backend.tasks[p.cluster_name].values()
        for task in tasks:
            task.container_instance_arn = next(iter(tasks)).container_instance_arn
        assert wrong(service.verify_service(aws, p)) == ["tasks on nodes"]


def scale(aws, p):
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, desiredCount=0)


def untag_tasks(aws, p):
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, propagateTags="NONE")


def narrow(aws, p):
    options = {"minimumHealthyPercent": 100, "maximumPercent": 200}
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, deploymentConfiguration=options)


DRIFTS = [
    ("desiredCount", scale),
    ("propagateTags", untag_tasks),
    ("deploymentConfiguration.maximumPercent", narrow),
    ("taskDefinition", lambda aws, p: add_revision(aws, p, "registry:2.8.2")),
]


@pytest.mark.moto
def test_drift_is_named_and_mended(aws, p, ready):
    service.ensure_service(aws, p)
    for name, drift in DRIFTS:
        drift(aws, p)
        assert name in wrong(service.verify_service(aws, p))
        changes = repr(service.ensure_service(aws, p))
        assert changes.startswith("~ service registry: changed") and name in changes
        service.verify_service(aws, p).require()
        assert not service.ensure_service(aws.read_only(), p)


@pytest.mark.moto
def test_after_a_rollout_the_older_revision_is_deregistered(aws, p, ready):
    service.ensure_service(aws, p)
    newest = add_revision(aws, p, "registry:2.8.2")
    service.ensure_service(aws, p)
    assert [r["taskDefinitionArn"] for r in revisions.find_active(aws, p)] == [newest]
    assert described(aws, p)["taskDefinition"] == newest


@pytest.mark.moto
def test_what_ecs_cannot_change_is_made_anew(aws, p, ready):
    service.ensure_service(aws, p)
    ready.backend.services[f"{p.cluster_name}:{p.service_name}"].launch_type = "FARGATE"
    assert "launchType" in wrong(service.verify_service(aws, p))
    service.ensure_service(aws, p)
    service.verify_service(aws, p).require()


@pytest.mark.moto
def test_a_service_made_again_has_another_token(aws, p, ready):
    tokens = []
    handler = lambda params, **_: tokens.append(params["clientToken"])  # noqa: E731
    aws.ecs._client.meta.events.register("before-parameter-build.ecs.CreateService", handler)
    service.ensure_service(aws, p)
    former = ready.backend.services[f"{p.cluster_name}:{p.service_name}"]
    former.created_at = NOW
    service.destroy_service(aws, p)
    service.ensure_service(aws, p)
    assert len(set(tokens)) == 2


@pytest.mark.moto
def test_a_draining_service_is_waited_for_and_made_again(aws, p, ready):
    service.ensure_service(aws, p)
    ready.backend.services[f"{p.cluster_name}:{p.service_name}"].status = "DRAINING"
    assert service.find_service(aws, p) is None
    assert repr(service.ensure_service(aws, p)) == "+ service registry: created"
    service.verify_service(aws, p).require()


@pytest.mark.moto
def test_ecs_own_role_may_take_a_while_at_first_use(aws, p, ready, monkeypatch):
    from botocore.exceptions import ClientError

    message = "Unable to assume the service linked role. Please verify that the ECS service linked role exists."
    error = {"Error": {"Code": "InvalidParameterException", "Message": message}}
    create, tries = aws.ecs._client.create_service, []

    def refuse_once(**options):
        tries.append(options)
        if len(tries) == 1:
            raise ClientError(error, "CreateService")
        return create(**options)

    monkeypatch.setattr(aws.ecs._client, "create_service", refuse_once)
    service.ensure_service(aws, p)
    assert len(tries) == 2 and tries[0] == tries[1]


def no_revision(aws, p):
    aws.ecs.deregister_task_definition(taskDefinition=revisions.newest(aws, p))


def no_cluster(aws, p):
    backend = ecs_backends[ACCOUNT][p.region]
    del backend.clusters[p.cluster_name], backend.container_instances[p.cluster_name]


def lost_agent(aws, p):
    for node in ecs_backends[ACCOUNT][p.region].container_instances[p.cluster_name].values():
        node.agent_connected = False


def no_htpasswd(aws, p):
    secretsmanager.destroy_secret(aws, p, p.htpasswd_secret)


def old_htpasswd(aws, p):
    secretsmanager.write_secret(aws, p, p.htpasswd_secret, Secret("testuser:$2y$ changed"), "htpasswd")


@pytest.mark.moto
@pytest.mark.parametrize(
    ("lack", "notebook"),
    [
        (no_revision, "02_create_a_task_definition"),
        (no_cluster, "02_create_a_task_definition"),
        (lost_agent, "02_create_a_task_definition"),
        (no_htpasswd, "03_create_an_htpasswd_file"),
        (old_htpasswd, "03_create_an_htpasswd_file"),
    ],
    ids=lambda value: getattr(value, "__name__", "in"),
)
def test_what_is_missing_is_said_with_its_notebook_before_anything_is_written(aws, p, ready, lack, notebook):
    lack(aws, p)
    with pytest.raises(StepFailed, match=notebook):
        service.ensure_service(aws.read_only(), p)


@pytest.mark.moto
def test_a_running_service_does_not_mind_a_file_that_is_not_delivered_yet(aws, p, ready):
    service.ensure_service(aws, p)
    old_htpasswd(aws, p)
    assert not service.ensure_service(aws.read_only(), p)


REASONS = [
    ("CannotPullContainerError: pull access denied", [], "`image` in the params"),
    ("ResourceInitializationError: AccessDeniedException", [], "02_create_a_task_definition"),
    (
        "Essential container in task exited",
        ["panic: failed to open htpasswd path", "goroutine 1 [running]:", *["main.main()"] * 6],
        "03_create_an_htpasswd_file",
    ),
    ("Essential container in task exited", ["panic: s3aws: NoSuchBucket"], "01_enable_s3_and_authentication"),
    ("Essential container in task exited", ["something else"], "read the log group /ecs/registry"),
]


@pytest.mark.moto
def test_tasks_that_stop_again_and_again_end_the_wait_with_their_reason_and_log(aws, p, ready):
    for reason, log, remedy in REASONS:
        ready.reason, ready.log, ready.exit_code, ready.rounds = reason, log, 2, 0
        with pytest.raises(StepFailed) as caught:
            service.ensure_service(aws, p)
        assert ready.rounds == 3
        for words in (reason, remedy, "exit code 2", *log[:1]):
            assert words in str(caught.value)
        assert "goroutine" not in str(caught.value)
        ready.reason = None
        service.ensure_service(aws, p)
        service.verify_service(aws, p).require()
        service.destroy_service(aws, p)


@pytest.mark.moto
def test_a_failed_deployment_ends_the_wait_and_the_next_run_forces_another(aws, p, ready):
    ready.reason, ready.breaks = "Essential container in task exited", True
    with pytest.raises(StepFailed, match="circuit breaker"):
        service.ensure_service(aws, p)
    assert ready.rounds == 1
    assert "deployments" in wrong(service.verify_service(aws, p))
    ready.reason = None
    assert "deployment: FAILED → COMPLETED" in repr(service.ensure_service(aws, p))
    service.verify_service(aws, p).require()


@pytest.mark.moto
def test_a_rollback_to_the_older_revision_is_a_failure(aws, p, ready, monkeypatch):
    service.ensure_service(aws, p)
    older = described(aws, p)["taskDefinition"]
    add_revision(aws, p, "registry:2.8.2")

    def roll_back(_seconds):
        one = ready.backend.services[f"{p.cluster_name}:{p.service_name}"]
        ready.rounds += 1
        one.deployments[0] |= {"taskDefinition": one.task_definition if ready.rounds < 3 else older}

    monkeypatch.setattr(wait.time, "sleep", roll_back)
    ready.rounds = 0
    with pytest.raises(StepFailed, match="rolled back"):
        service.ensure_service(aws, p)
    assert ready.rounds == 3


@pytest.mark.moto
def test_the_timeout_carries_the_last_event(aws, p, ready, monkeypatch):
    def full(_seconds):
        one = ready.backend.services[f"{p.cluster_name}:{p.service_name}"]
        one.running_count, one.pending_count = 0, 0
        ready.rounds += 1
        ready._event(one, "was unable to place a task")

    monkeypatch.setattr(wait, "time", types.SimpleNamespace(monotonic=lambda: ready.rounds, sleep=full))
    monkeypatch.setattr(rollout, "START_TIMEOUT", 2)
    with pytest.raises(TimedOut, match="0 of 1 running.*was unable to place a task"):
        service.ensure_service(aws, p)


@pytest.mark.moto
def test_a_foreign_service_is_left_alone(aws, p, ready):
    options = {"taskDefinition": revisions.newest(aws, p), "desiredCount": 1}
    aws.ecs.create_service(cluster=p.cluster_name, serviceName=p.service_name, **options)
    for verb in (service.find_service, service.ensure_service, service.verify_service, service.destroy_service):
        with pytest.raises(NotOurs, match="service registry"):
            verb(aws, p)
    assert described(aws, p)["desiredCount"] == 1


@pytest.mark.moto
def test_destroy_ends_the_tasks_too_and_is_done_once(aws, p, ready):
    service.ensure_service(aws, p)
    assert repr(service.destroy_service(aws, p)) == "- service registry: destroyed"
    gone(aws, p)
    assert not service.destroy_service(aws.read_only(), p)


@pytest.mark.moto
def test_without_a_cluster_there_is_no_service(aws, p):
    assert service.find_service(aws, p) is None
    assert repr(service.destroy_service(aws, p)) == "= service registry: absent"


def gone(aws, p):
    assert service.find_service(aws, p) is None
    assert described(aws, p)["status"] == "INACTIVE"
    tasks = ecs_backends[ACCOUNT][p.region].tasks[p.cluster_name].values()
    assert all(task.last_status == "STOPPED" for task in tasks)


def is_ok(aws, p):
    service.verify_service(aws, p).require()
    assert len(revisions.find_active(aws, p)) == 1


@pytest.mark.moto
def test_a_killed_start_is_completed(crash_everywhere, scheduler):
    writes = crash_everywhere(service.ensure_service, is_ok, prepare=prepare)
    assert writes == ["ecs CreateService"]


def with_two_revisions(aws, p):
    prepare(aws, p)
    service.ensure_service(aws, p)
    add_revision(aws, p, "registry:2.8.2")


@pytest.mark.moto
def test_a_killed_rollout_is_completed(crash_everywhere, scheduler):
    writes = crash_everywhere(service.ensure_service, is_ok, prepare=with_two_revisions)
    assert writes == ["ecs UpdateService", "ecs DeregisterTaskDefinition"]


def with_service(aws, p):
    prepare(aws, p)
    service.ensure_service(aws, p)


@pytest.mark.moto
def test_a_killed_destroy_is_completed(crash_everywhere, scheduler):
    writes = crash_everywhere(service.destroy_service, gone, prepare=with_service)
    assert writes == ["ecs UpdateService", "ecs DeleteService"]


@pytest.mark.pure
def test_no_rebalancing_which_ecs_refuses_where_a_service_may_not_exceed_its_count(p):
    assert service.want_service(p)["availabilityZoneRebalancing"] == "DISABLED"


@pytest.mark.moto
def test_destroy_does_not_wait_for_tasks_of_a_node_that_is_lost(aws, p, ready, monkeypatch):
    """ECS cannot stop a task whose agent is away, such as on a stopped instance: the nodes' tear-down ends it."""
    service.ensure_service(aws, p)
    for node in ready.backend.container_instances[p.cluster_name].values():
        node.agent_connected = False
    aws.ecs._client.meta.events.register(
        "after-call.ecs.DeleteService", lambda **_: setattr(one(ready), "status", "DRAINING")
    )
    naps = []
    monkeypatch.setattr(wait.time, "sleep", naps.append)
    assert repr(service.destroy_service(aws, p)) == "- service registry: destroyed"
    assert described(aws, p)["status"] == "DRAINING" and not naps


def one(scheduler):
    return next(iter(scheduler.backend.services.values()))

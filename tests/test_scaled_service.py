"""The service on an Auto Scaling group: spread, scaled within its bounds, and deployed anew for new users."""

import time
import types

import pytest
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ecs.models import ecs_backends
from services import Scheduler, add_revision, keep_all, prepare, production

import runbook
from runbook import revisions, secretsmanager, service, wait
from runbook.errors import StepFailed
from runbook.secret import Secret

pytestmark = pytest.mark.moto


@pytest.fixture
def p():
    return production()


@pytest.fixture
def scheduler(p, monkeypatch):
    keep_all(monkeypatch)
    made = Scheduler(p.region)
    monkeypatch.setattr(wait, "time", types.SimpleNamespace(sleep=made.sleep, monotonic=time.monotonic))
    return made


@pytest.fixture
def ready(aws, p, scheduler):
    prepare(aws, p)
    scheduler.aws = aws
    return scheduler


def wrong(report):
    return [check.name for check in report.checks if not check.ok]


def described(aws, p):
    asked = {"cluster": p.cluster_name, "services": [p.service_name], "include": ["TAGS"]}
    return aws.ecs.describe_services(**asked)["services"][0]


def calls(aws, operation):
    seen = []
    aws.ecs._client.meta.events.register(
        f"before-parameter-build.ecs.{operation}", lambda params, **_: seen.append(params)
    )
    return seen


@pytest.mark.pure
def test_what_is_wanted_by_the_capacity(p):
    wanted = service.want_service(p)
    assert wanted["capacityProviderStrategy"] == [{"capacityProvider": "runbook-registry", "weight": 1, "base": 0}]
    assert [each["field"] for each in wanted["placementStrategy"]] == ["attribute:ecs.availability-zone", "instanceId"]
    percent = wanted["deploymentConfiguration"]
    assert (percent["minimumHealthyPercent"], percent["maximumPercent"]) == (100, 200)
    assert "launchType" not in wanted and "loadBalancers" not in wanted
    assert (wanted["serviceName"], wanted["desiredCount"]) == ("registry-scaled", 2)


def test_from_nothing_to_steady_and_then_nothing_to_change(aws, p, ready):
    created = calls(aws, "CreateService")
    assert repr(service.ensure_service(aws, p)) == "+ service registry-scaled: created"
    assert created[0]["capacityProviderStrategy"][0]["capacityProvider"] == p.capacity_provider_name
    assert not service.ensure_service(aws.read_only(), p)
    report = service.verify_service(aws.read_only(), p).require()
    assert {check.name: check.found for check in report.checks[-4:]} == {
        "tasks running": "all, 2 to 6",
        "deployments": "COMPLETED",
        "users": "the current version",
        "tasks on": "at least 2 nodes, 2 zones",
    }


def scale(aws, p, desired):
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, desiredCount=desired)


def test_what_scaling_made_of_the_count_is_left_to_it(aws, p, ready):
    service.ensure_service(aws, p)
    scale(aws, p, 5)
    ready.sleep()
    assert not service.ensure_service(aws.read_only(), p)
    service.verify_service(aws, p).require()
    updated = calls(aws, "UpdateService")
    add_revision(aws, p, "registry:3.1.2")
    service.ensure_service(aws, p)
    assert len(updated) == 1 and not {"desiredCount", "capacityProviderStrategy"} & updated[0].keys()
    assert described(aws, p)["desiredCount"] == 5


@pytest.mark.parametrize(("desired", "mended"), [(0, 2), (7, 6)])
def test_a_count_out_of_the_bounds_is_mended(aws, p, ready, desired, mended):
    service.ensure_service(aws, p)
    scale(aws, p, desired)
    ready.sleep()
    assert {"desiredCount", "tasks running"} <= set(wrong(service.verify_service(aws, p)))
    service.ensure_service(aws, p)
    assert described(aws, p)["desiredCount"] == mended
    service.verify_service(aws, p).require()


def new_users(aws, p):
    return secretsmanager.write_secret(aws, p, p.htpasswd_secret, Secret("builder:$2y$"), "htpasswd")


def living(scheduler):
    return {
        task.id
        for tasks in scheduler.backend.tasks.values()
        for task in tasks.values()
        if task.last_status == "RUNNING"
    }


def test_new_users_reach_the_tasks_by_a_new_deployment_once(aws, p, ready):
    service.ensure_service(aws, p)
    before, version = living(ready), new_users(aws, p)
    assert wrong(service.verify_service(aws.read_only(), p)) == ["users"]
    updated = calls(aws, "UpdateService")
    assert "users: an older version → the current version" in repr(service.ensure_service(aws, p))
    assert [each["forceNewDeployment"] for each in updated] == [True]
    assert not living(ready) & before
    assert {"key": p.htpasswd_tag, "value": version} in described(aws, p)["tags"]
    service.verify_service(aws, p).require()
    assert not service.ensure_service(aws.read_only(), p)


def test_an_older_deployment_is_not_taken_for_the_new_one(aws, p, ready, monkeypatch):
    """ECS may show the former deployment, COMPLETED, for a while after UpdateService."""
    service.ensure_service(aws, p)
    new_users(aws, p)
    former = described(aws, p)["deployments"][0]["id"]
    one = next(iter(ready.backend.services.values()))
    looks = []

    def late(**_):
        looks.append(one.deployments[0]["id"])
        one.deployments[0]["id"] = former if len(looks) < 3 else "ecs-svc/new"

    aws.ecs._client.meta.events.register("after-call.ecs.UpdateService", late)
    aws.ecs._client.meta.events.register("before-call.ecs.ListTasks", lambda **_: looks and late())
    service.ensure_service(aws, p)
    assert len(looks) >= 3 and one.deployments[0]["id"] == "ecs-svc/new"


def no_provider(aws, p):
    asked = {"capacityProviders": [], "defaultCapacityProviderStrategy": []}
    aws.ecs.put_cluster_capacity_providers(cluster=p.cluster_name, **asked)


def no_users(aws, p):
    secretsmanager.destroy_secret(aws, p, p.htpasswd_secret)


@pytest.mark.parametrize(("lack", "notebook"), [(no_provider, "02_create"), (no_users, "03_create")])
def test_what_is_missing_is_said_before_anything_is_written(aws, p, ready, lack, notebook):
    lack(aws, p)
    with pytest.raises(StepFailed, match=notebook):
        service.ensure_service(aws.read_only(), p)


def test_all_on_one_node_is_seen(aws, p, ready):
    service.ensure_service(aws, p)
    tasks = list(ready.backend.tasks[p.cluster_name].values())
    tasks[0].container_instance_arn = tasks[1].container_instance_arn
    report = service.verify_service(aws, p)
    assert [(check.name, check.found) for check in report.checks if not check.ok] == [("tasks on", "1 nodes, 1 zones")]


def test_one_node_is_enough_where_there_is_one(aws, scheduler):
    p = production(nodes=1)
    prepare(aws, p)
    service.ensure_service(aws, p)
    assert "at least 1 nodes, 1 zones" in repr(service.verify_service(aws, p).require())


def test_the_log_of_the_init_container_is_the_reason(aws, p, ready):
    ready.reason, ready.log, ready.exit_code = "Task failed to start", ["sh: can't create /auth/htpasswd"], 1
    ready.init = "htpasswd"
    with pytest.raises(StepFailed) as caught:
        service.ensure_service(aws, p)
    for words in ("container htpasswd (exit code 1)", "can't create /auth/htpasswd"):
        assert words in str(caught.value)
    assert "container registry (exit" not in str(caught.value)


def test_a_task_that_fails_the_balancers_checks_is_a_failure(aws, p, ready):
    arn = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/registry-targets/73e2d6bc24d8a067"
    ready.reason, ready.stop_code = (
        f"Task failed ELB health checks in (target-group {arn})",
        "ServiceSchedulerInitiated",
    )
    ready.log = ["s3aws: AccessDenied"]
    with pytest.raises(StepFailed) as caught:
        service.ensure_service(aws, p)
    for words in ("(target-group registry-targets)", "s3aws: AccessDenied", "01_enable_s3_and_authentication"):
        assert words in str(caught.value)


def with_both_services(aws, p):
    prepare(aws, p)
    service.ensure_service(aws, p)
    former = {"taskDefinition": revisions.newest(aws, p), "desiredCount": 1}
    aws.ecs.create_service(cluster=p.cluster_name, serviceName=p.name, **former)
    add_revision(aws, p, "registry:3.1.2")


def test_the_revision_of_the_former_service_is_kept(aws, p, scheduler):
    with_both_services(aws, p)
    service.ensure_service(aws, p)
    assert not revisions.surplus(aws, p) and len(revisions.find_active(aws, p)) == 2
    aws.ecs.delete_service(cluster=p.cluster_name, service=p.name, force=True)
    assert len(revisions.surplus(aws, p)) == 1


def with_new_users(aws, p):
    prepare(aws, p)
    service.ensure_service(aws, p)
    new_users(aws, p)


def is_ok(aws, p):
    service.verify_service(aws, p).require()


def test_a_killed_start_is_completed(crash_everywhere, scheduler):
    assert crash_everywhere(service.ensure_service, is_ok, prepare=prepare) == ["ecs CreateService"]


def test_a_killed_deployment_for_new_users_is_completed(crash_everywhere, scheduler):
    writes = crash_everywhere(service.ensure_service, is_ok, prepare=with_new_users)
    assert writes == ["ecs UpdateService", "ecs TagResource"]


def test_with_fixed_nodes_and_an_init_container_users_are_redeployed_too(account, scheduler):
    p = runbook.load({**runbook.load("blog").model_dump(), "cloud": "aws", "htpasswd": "init-container"})
    with mock_aws():
        aws = runbook.connect(p)
        prepare(aws, p)
        service.ensure_service(aws, p)
        new_users(aws, p)
        assert wrong(service.verify_service(aws, p)) == ["users"]
        service.ensure_service(aws, p)
        service.verify_service(aws, p).require()
        assert p.region in ecs_backends[ACCOUNT]


def by_launch_type(aws, p, one):
    one.capacity_provider_strategy, one.launch_type = None, "EC2"


def binpacked(aws, p, one):
    one.placement_strategy = [{"type": "binpack", "field": "memory"}]


def unbalanced(aws, p, one):
    one.availability_zone_rebalancing = "DISABLED"


DRIFTS = [
    ("capacityProviderStrategy", by_launch_type),
    ("placementStrategy", binpacked),
    ("availabilityZoneRebalancing", unbalanced),
]


def test_drift_is_named_and_mended(aws, p, ready):
    service.ensure_service(aws, p)
    updated = calls(aws, "UpdateService")
    for name, drift in DRIFTS:
        drift(aws, p, next(iter(ready.backend.services.values())))
        assert wrong(service.verify_service(aws, p)) == [name]
        service.ensure_service(aws, p)
        service.verify_service(aws, p).require()
        assert ("forceNewDeployment" in updated[-1]) == (name == "capacityProviderStrategy")

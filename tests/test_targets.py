"""The targets: attached to a balanced group, healthy, the service's own, and gone with their reasons in words."""

import time
import types

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.elbv2.models import elbv2_backends
from services import Scheduler, balanced, keep_all, prepare, production

from runbook import rollout, service, target_health, targets, wait
from runbook.errors import NotOurs, StepFailed, TimedOut

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


def with_service(aws, p):
    prepare(aws, p)
    service.ensure_service(aws, p)
    balanced(aws, p)


@pytest.fixture
def ready(aws, p, scheduler):
    with_service(aws, p)
    return scheduler


def wrong(report):
    return {check.name: check.found for check in report.checks if not check.ok}


def group(p):
    (one,) = elbv2_backends[ACCOUNT][p.region].target_groups.values()
    return one


def one(scheduler):
    return next(iter(scheduler.backend.services.values()))


@pytest.mark.pure
def test_what_is_wanted_by_the_capacity(p):
    (attached,) = targets.want_targets(p)["loadBalancers"]
    assert attached == {"targetGroupArn": "registry-targets", "containerName": "registry", "containerPort": 5000}


def test_attached_healthy_and_then_nothing_to_change(aws, p, ready):
    assert targets.verify_targets(aws.read_only(), p).absent
    assert repr(targets.ensure_targets(aws, p)) == "+ targets of registry-alb: created"
    assert not targets.ensure_targets(aws.read_only(), p)
    report = targets.verify_targets(aws.read_only(), p).require()
    assert "arn:" not in repr(report) and "i-" not in repr(report)
    service.verify_service(aws, p).require()
    assert not service.ensure_service(aws.read_only(), p)


def test_with_fixed_nodes_there_is_nothing_to_do(aws, p):
    blog = production(capacity="instances", max_nodes=None, max_replicas=None, alarms=False)
    reader = aws.read_only()
    assert repr(targets.ensure_targets(reader, blog)) == "= targets: nothing to change".replace(
        "nothing to change", "unchanged"
    )
    assert targets.want_targets(blog) == targets.find_targets(reader, blog)
    assert "the classic balancer sends to the nodes" in repr(targets.verify_targets(reader, blog).require())
    assert not targets.destroy_targets(reader, blog)


def no_service(aws, p):
    service.destroy_service(aws, p)


def no_listener(aws, p):
    for listener in aws.elbv2.describe_listeners(LoadBalancerArn=group(p).load_balancer_arns[0])["Listeners"]:
        aws.elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    group(p).load_balancer_arns.clear()


def no_group(aws, p):
    no_listener(aws, p)
    aws.elbv2.delete_target_group(TargetGroupArn=group(p).arn)


@pytest.mark.parametrize(
    ("lack", "notebook"), [(no_service, "04_launch"), (no_listener, "no listener.*05_"), (no_group, "not there.*05_")]
)
def test_what_is_missing_is_said_before_anything_is_written(aws, p, ready, lack, notebook):
    lack(aws, p)
    with pytest.raises(StepFailed, match=notebook):
        targets.ensure_targets(aws.read_only(), p)


def test_a_former_group_of_the_name_and_another_grace_are_mended(aws, p, ready):
    targets.ensure_targets(aws, p)
    attached = one(ready).load_balancers
    former = attached[0]["targetGroupArn"].rsplit("/")[0] + "/0123456789abcdef"
    one(ready).load_balancers = [attached[0] | {"targetGroupArn": former}]
    assert "another group" in wrong(targets.verify_targets(aws, p))["loadBalancers"]
    targets.ensure_targets(aws, p)
    assert one(ready).load_balancers == attached
    one(ready).health_check_grace_period_seconds = 0
    assert wrong(targets.verify_targets(aws, p)) == {"healthCheckGracePeriodSeconds": "0"}
    targets.ensure_targets(aws, p)
    targets.verify_targets(aws, p).require()


def test_a_listener_that_ecs_does_not_know_yet_is_waited_for(aws, p, ready, monkeypatch):
    from botocore.exceptions import ClientError

    message = "The target group with targetGroupArn arn does not have an associated load balancer."
    update, tries = aws.ecs._client.update_service, []

    def refuse_once(**options):
        tries.append(options)
        if len(tries) == 1:
            raise ClientError({"Error": {"Code": "InvalidParameterException", "Message": message}}, "UpdateService")
        return update(**options)

    monkeypatch.setattr(aws.ecs._client, "update_service", refuse_once)
    targets.ensure_targets(aws, p)
    assert len(tries) == 3


def test_the_grace_period_comes_after_the_group_that_it_needs(aws, p, ready, monkeypatch):
    from botocore.exceptions import ClientError

    message = "Health check grace period is only valid for services configured to use load balancers"
    update, tries = aws.ecs._client.update_service, []

    def refuse(**options):
        tries.append(set(options) - {"cluster", "service"})
        if "healthCheckGracePeriodSeconds" in options and (len(tries) < 3 or "loadBalancers" in options):
            raise ClientError({"Error": {"Code": "InvalidParameterException", "Message": message}}, "UpdateService")
        return update(**options)

    monkeypatch.setattr(aws.ecs._client, "update_service", refuse)
    targets.ensure_targets(aws, p)
    assert tries == [{"loadBalancers"}, {"healthCheckGracePeriodSeconds"}, {"healthCheckGracePeriodSeconds"}]
    targets.verify_targets(aws, p).require()


def health(state, reason="", description=""):
    return [
        {
            "Target": {"Id": "i-1", "Port": 32768},
            "TargetHealth": {"State": state, "Reason": reason, "Description": description},
        }
    ]


REASONS = [
    ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [401]", "matcher"),
    ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]", "01_enable_s3"),
    ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [500]", "/ecs/registry"),
    ("unhealthy", "Target.Timeout", "Request timed out", "group registry-asg must admit group registry-alb"),
    ("unhealthy", "Target.FailedHealthChecks", "Health checks failed", "nothing listens"),
    ("unused", "Target.NotInUse", "Target group is not configured", "no listener"),
    ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress", "initial (Initial"),
]


@pytest.mark.parametrize(("state", "reason", "description", "remedy"), REASONS)
def test_the_error_says_what_the_balancer_sees_and_what_mends_it(
    aws, p, ready, monkeypatch, state, reason, description, remedy
):
    targets.ensure_targets(aws, p)
    monkeypatch.setattr(target_health, "health", lambda aws, p: health(state, reason, description))
    monkeypatch.setattr(targets, "_HEALTHY_WITHIN", 0)
    with pytest.raises(TimedOut) as caught:
        targets.ensure_targets(aws, p)
    assert description in str(caught.value) and remedy in str(caught.value)
    assert description in wrong(targets.verify_targets(aws, p))["healthy targets"]


def test_a_rollout_that_waits_for_healthy_targets_says_so_live(aws, p, ready, monkeypatch, capsys):
    targets.ensure_targets(aws, p)
    monkeypatch.setattr(
        target_health, "health", lambda aws, p: health("unhealthy", "Target.Timeout", "Request timed out")
    )
    monkeypatch.setattr(rollout, "START_TIMEOUT", -p.deregistration_delay)
    one(ready).running_count = 0
    with pytest.raises(TimedOut, match="Request timed out"):
        service.ensure_service(aws, p)
    assert "0 of 1 targets healthy; 1 unhealthy (Request timed out)" in capsys.readouterr().err


def test_a_target_that_is_no_task_of_the_service_is_seen(aws, p, ready):
    targets.ensure_targets(aws, p)
    taken = next(iter(group(p).targets.values()))
    taken["Port"] = 80
    assert wrong(targets.verify_targets(aws, p)) == {"targets of others": "1"}


def test_a_foreign_group_is_left_alone(aws, p, ready):
    aws.elbv2.remove_tags(ResourceArns=[group(p).arn], TagKeys=["runbook:deployment"])
    for verb in (targets.ensure_targets, targets.verify_targets):
        with pytest.raises(NotOurs, match="target group registry-targets"):
            verb(aws.read_only(), p)


def gone(aws, p):
    assert not target_health.health(aws, p)
    assert not targets.destroy_targets(aws.read_only(), p)


def test_destroy_takes_the_targets_out_once(aws, p, ready):
    targets.ensure_targets(aws, p)
    assert repr(targets.destroy_targets(aws, p)) == "- targets of registry-alb: destroyed"
    gone(aws, p)
    assert one(ready).desired_count == 0
    assert not targets.destroy_targets(aws.read_only(), p)
    service.destroy_service(aws, p)
    no_group(aws, p)
    assert not targets.destroy_targets(aws.read_only(), p)


def attached(aws, p):
    with_service(aws, p)
    targets.ensure_targets(aws, p)


def is_ok(aws, p):
    targets.verify_targets(aws, p).require()


def test_a_killed_attachment_is_completed(crash_everywhere, scheduler):
    assert crash_everywhere(targets.ensure_targets, is_ok, prepare=with_service) == ["ecs UpdateService"] * 2


def test_a_killed_destroy_is_completed(crash_everywhere, scheduler):
    assert crash_everywhere(targets.destroy_targets, gone, prepare=attached) == ["ecs UpdateService"]

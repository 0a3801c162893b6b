"""Service auto scaling: bounds and policies, what differs mended alone, and nothing left over."""

import time
import types

import pytest
from services import Scheduler, balanced, keep_all, prepare, production

from runbook import scaling, service, wait
from runbook.errors import NotOurs, StepFailed
from runbook.local.inside import scaling as inside_scaling

pytestmark = pytest.mark.moto


@pytest.fixture
def p():
    return production()


@pytest.fixture
def scheduler(p, account, monkeypatch):
    inside_scaling.install()
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


def writes(aws):
    seen = []
    for name in ("RegisterScalableTarget", "PutScalingPolicy", "DeleteScalingPolicy"):
        aws.application_autoscaling._client.meta.events.register(
            f"before-parameter-build.application-auto-scaling.{name}",
            lambda params, model, **_: seen.append((model.name, params)),
        )
    return seen


def which(p):
    resource = f"service/{p.cluster_name}/{p.service_name}"
    return {"ServiceNamespace": "ecs", "ResourceId": resource, "ScalableDimension": "ecs:service:DesiredCount"}


def wrong(report):
    return [check.name for check in report.checks if not check.ok]


@pytest.mark.pure
def test_what_is_wanted_holds_no_ids(p):
    wanted = scaling.want_scaling(p)
    assert (wanted["MinCapacity"], wanted["MaxCapacity"]) == (2, 6)
    policies = wanted["Policies"]
    assert policies["registry-cpu"]["TargetValue"] == 60 and policies["registry-requests"]["TargetValue"] == 600
    label = policies["registry-requests"]["PredefinedMetricSpecification"]["ResourceLabel"]
    assert label == "app/registry-alb/targetgroup/registry-targets"
    assert {(each["ScaleOutCooldown"], each["ScaleInCooldown"]) for each in policies.values()} == {(60, 300)}


def test_registered_with_two_policies_and_then_nothing_to_change(aws, p, ready):
    assert scaling.verify_scaling(aws.read_only(), p).absent
    sent = writes(aws)
    assert repr(scaling.ensure_scaling(aws, p)) == "+ scaling of registry-scaled: created"
    assert not scaling.ensure_scaling(aws.read_only(), p)
    assert "arn:" not in repr(scaling.verify_scaling(aws.read_only(), p).require())
    (_, registered), *policies = sent
    assert registered["Tags"] == p.tags
    metric = policies[1][1]["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"]
    group = aws.elbv2.describe_target_groups(Names=[p.target_group_name])["TargetGroups"][0]
    balancer, target_group = group["LoadBalancerArns"][0], group["TargetGroupArn"]
    assert metric["ResourceLabel"] == "/".join(
        [balancer.partition("loadbalancer/")[2], "targetgroup", *target_group.split("/")[1:]]
    )


def other_bounds(aws, p):
    aws.application_autoscaling.register_scalable_target(**which(p), MinCapacity=1, MaxCapacity=50)


def suspended(aws, p):
    state = {"DynamicScalingInSuspended": True}
    aws.application_autoscaling.register_scalable_target(**which(p), SuspendedState=state)


def put(aws, p, name, metric, target):
    tracking = {"PredefinedMetricSpecification": metric, "TargetValue": target}
    tracking |= {"ScaleOutCooldown": 60, "ScaleInCooldown": 300}
    policy = {"PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": tracking}
    aws.application_autoscaling.put_scaling_policy(**which(p), PolicyName=name, **policy)


def other_target(aws, p):
    put(aws, p, "registry-cpu", {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}, 95)


def other_label(aws, p):
    label = "app/another/50dc6c495c0c9188/targetgroup/registry-targets/943f017f100becff"
    metric = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}
    put(aws, p, "registry-requests", metric, 600)


def one_more(aws, p):
    put(aws, p, "by hand", {"PredefinedMetricType": "ECSServiceAverageMemoryUtilization"}, 50)


def one_less(aws, p):
    aws.application_autoscaling.delete_scaling_policy(**which(p), PolicyName="registry-cpu")


REQUESTS = "Policies.registry-requests.PredefinedMetricSpecification.ResourceLabel"
DRIFTS = [
    (other_bounds, "MaxCapacity", "RegisterScalableTarget"),
    (suspended, "Suspended", "RegisterScalableTarget"),
    (other_target, "Policies.registry-cpu.TargetValue", "PutScalingPolicy"),
    (other_label, REQUESTS, "PutScalingPolicy"),
    (one_more, "Policies.by hand", "DeleteScalingPolicy"),
    (one_less, "Policies.registry-cpu.TargetValue", "PutScalingPolicy"),
]


def test_drift_is_named_and_mended_alone(aws, p, ready):
    scaling.ensure_scaling(aws, p)
    sent = writes(aws)
    for drift, name, operation in DRIFTS:
        drift(aws, p)
        assert name in wrong(scaling.verify_scaling(aws.read_only(), p))
        sent.clear()
        scaling.ensure_scaling(aws, p)
        assert [each for each, _ in sent] == [operation]
        assert "Tags" not in sent[0][1]
        scaling.verify_scaling(aws, p).require()


def test_with_fixed_nodes_there_is_nothing_to_do(aws):
    blog, reader = production(capacity="instances", max_nodes=None, max_replicas=None, alarms=False), aws.read_only()
    assert repr(scaling.ensure_scaling(reader, blog)) == "= scaling: unchanged"
    assert scaling.want_scaling(blog) == scaling.find_scaling(reader, blog)
    assert "fixed" in repr(scaling.verify_scaling(reader, blog).require())
    assert not scaling.destroy_scaling(reader, blog)


def test_without_a_service_or_a_balancer_the_notebook_is_named(aws, p, scheduler):
    prepare(aws, p)
    with pytest.raises(StepFailed, match="04_launch_your_service"):
        scaling.ensure_scaling(aws.read_only(), p)
    service.ensure_service(aws, p)
    with pytest.raises(StepFailed, match="05_configure_https"):
        scaling.ensure_scaling(aws.read_only(), p)


def test_a_role_that_is_new_is_waited_for(aws, p, ready, monkeypatch):
    from botocore.exceptions import ClientError

    client = aws.application_autoscaling._client
    put_policy, tries = client.put_scaling_policy, []

    def refuse_once(**options):
        tries.append(options["PolicyName"])
        if len(tries) == 1:
            error = {"Code": "FailedResourceAccessException", "Message": "Unable to retrieve capacity"}
            raise ClientError({"Error": error}, "PutScalingPolicy")
        return put_policy(**options)

    monkeypatch.setattr(client, "put_scaling_policy", refuse_once)
    scaling.ensure_scaling(aws, p)
    assert tries == ["registry-cpu", "registry-cpu", "registry-requests"]


def test_the_scaling_of_a_foreign_service_is_left_alone(aws, p, ready):
    scaling.ensure_scaling(aws, p)
    arn = aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"][0]["serviceArn"]
    aws.ecs.untag_resource(resourceArn=arn, tagKeys=["runbook:deployment"])
    for verb in (scaling.ensure_scaling, scaling.destroy_scaling):
        with pytest.raises(NotOurs, match="service registry-scaled"):
            verb(aws.read_only(), p)


def gone(aws, p):
    assert scaling.find_scaling(aws, p) is None
    assert not aws.application_autoscaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    assert not aws.cloudwatch.describe_alarms()["MetricAlarms"]


def test_destroy_leaves_nothing_and_is_done_once(aws, p, ready):
    scaling.ensure_scaling(aws, p)
    assert repr(scaling.destroy_scaling(aws, p)) == "- scaling of registry-scaled: destroyed"
    gone(aws, p)
    assert not scaling.destroy_scaling(aws.read_only(), p)


def with_scaling(aws, p):
    with_service(aws, p)
    scaling.ensure_scaling(aws, p)


def is_ok(aws, p):
    scaling.verify_scaling(aws, p).require()


def test_a_killed_registration_is_completed(crash_everywhere, scheduler):
    made = crash_everywhere(scaling.ensure_scaling, is_ok, prepare=with_service)
    assert [each.split()[1] for each in made] == ["RegisterScalableTarget", "PutScalingPolicy", "PutScalingPolicy"]


def test_a_killed_destroy_is_completed(crash_everywhere, scheduler):
    made = crash_everywhere(scaling.destroy_scaling, gone, prepare=with_scaling)
    assert [each.split()[1] for each in made] == ["DeleteScalingPolicy"] * 2 + ["DeregisterScalableTarget"]

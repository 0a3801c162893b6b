"""The ECS cluster: made once, made again after it was deleted, deleted once it is empty."""

import pytest

from runbook import cluster
from runbook.errors import AwsError, Denied, NotOurs, TimedOut

pytestmark = pytest.mark.moto


def test_made_once(aws, p):
    assert cluster.find_cluster(aws, p) is None
    assert cluster.verify_cluster(aws, p).absent
    assert cluster.ensure_cluster(aws, p)
    assert cluster.want_cluster(p) == {"clusterName": "registry", "status": "ACTIVE"}
    assert cluster.find_cluster(aws, p) == cluster.want_cluster(p) | {"containerInsights": "disabled"}
    assert cluster.verify_cluster(aws.read_only(), p).require()
    assert not cluster.ensure_cluster(aws.read_only(), p)


def test_the_role_of_the_first_use_of_ecs(aws, p):
    cluster.ensure_cluster(aws, p)
    roles = [role for role in aws.iam.all("list_roles", "Roles") if role["Path"].startswith("/aws-service-role/ecs.")]
    assert len(roles) == 1


@pytest.mark.parametrize(
    "code, message",
    [
        ("InvalidInput", "Service role name AWSServiceRoleForECS has been taken in this account"),
        ("EntityAlreadyExists", "Role with name AWSServiceRoleForECS already exists."),
    ],
)
def test_another_cluster_has_used_ecs_before(aws, p, monkeypatch, code, message):
    _answer(monkeypatch, aws.iam, "create_service_linked_role", [AwsError("iam", "op", code, message)])
    assert cluster.ensure_cluster(aws, p)


def test_another_error_of_the_role_is_not_ignored(aws, p, monkeypatch):
    _answer(monkeypatch, aws.iam, "create_service_linked_role", [AwsError("iam", "op", "InvalidInput", "no")])
    with pytest.raises(AwsError, match="InvalidInput: no"):
        cluster.ensure_cluster(aws, p)
    assert cluster.find_cluster(aws, p) is None


def test_waits_until_ecs_can_use_the_role(aws, p, monkeypatch):
    message = "Unable to assume the service linked role. Please verify that the ECS service linked role exists."
    _answer(monkeypatch, aws.ecs, "create_cluster", [AwsError("ecs", "op", "InvalidParameterException", message)] * 2)
    slept = []
    monkeypatch.setattr("runbook.wait.time.sleep", slept.append)
    cluster.ensure_cluster(aws, p)
    assert len(slept) == 2
    assert cluster.verify_cluster(aws, p).require()


def test_killed_anywhere(crash_everywhere):
    def check(aws, p):
        assert cluster.verify_cluster(aws, p).require()

    assert "ecs CreateCluster" in crash_everywhere(cluster.ensure_cluster, check)


def test_a_foreign_cluster_is_left_alone(aws, p):
    aws.ecs.create_cluster(clusterName="registry")
    for verb in (cluster.find_cluster, cluster.ensure_cluster, cluster.destroy_cluster):
        with pytest.raises(NotOurs, match="ECS cluster registry"):
            verb(aws.read_only(), p)


def test_destroyed_and_made_again(aws, p):
    cluster.ensure_cluster(aws, p)
    assert cluster.destroy_cluster(aws, p)
    assert cluster.find_cluster(aws, p) is None
    assert not cluster.destroy_cluster(aws.read_only(), p)
    assert cluster.ensure_cluster(aws, p)
    assert cluster.verify_cluster(aws, p).require()


def test_destroy_waits_for_what_is_going_away(aws, p, monkeypatch):
    cluster.ensure_cluster(aws, p)
    refusals = ["ClusterContainsServicesException", "ClusterContainsContainerInstancesException"]
    _answer(monkeypatch, aws.ecs, "delete_cluster", [AwsError("ecs", "op", code, "not empty") for code in refusals])
    slept = []
    monkeypatch.setattr("runbook.wait.time.sleep", slept.append)
    assert cluster.destroy_cluster(aws, p)
    assert len(slept) == 2
    assert cluster.find_cluster(aws, p) is None


def test_destroy_says_what_is_left(aws, p, monkeypatch):
    cluster.ensure_cluster(aws, p)
    refusal = AwsError("ecs", "op", "ClusterContainsTasksException", "not empty")
    _answer(monkeypatch, aws.ecs, "delete_cluster", [refusal] * 99)
    monkeypatch.setattr("runbook.wait.time.sleep", lambda _: None)
    monkeypatch.setattr("runbook.cluster._SETTLE_SECONDS", 0)
    with pytest.raises(TimedOut, match="still holds tasks"):
        cluster.destroy_cluster(aws, p)


def _answer(monkeypatch, client, operation, errors):
    """The first calls of an operation answer with these errors, the later ones really."""
    real, left = getattr(client, operation), list(errors)

    def call(**parameters):
        if left:
            raise left.pop(0)
        return real(**parameters)

    monkeypatch.setattr(client, operation, call, raising=False)


def test_a_role_that_ecs_has_already_is_not_asked_for(aws, p, monkeypatch):
    """Whoever may make clusters often may not make roles. (moto gives the role another name than AWS does.)"""
    path = "/aws-service-role/ecs.amazonaws.com/"
    aws.iam.create_role(Path=path, RoleName="AWSServiceRoleForECS", AssumeRolePolicyDocument="{}")

    def refuse(**_):
        raise Denied("iam", "CreateServiceLinkedRole", "AccessDenied", "no")

    monkeypatch.setattr(aws.iam, "create_service_linked_role", refuse, raising=False)
    cluster.ensure_cluster(aws, p)
    assert cluster.verify_cluster(aws, p).require()


def test_insights_are_said_where_the_cluster_scales(aws, p, scaling):
    """Not for the blog's cluster, which is upgraded by saying so."""
    cluster.ensure_cluster(aws, p.model_copy(update={"container_insights": True}))
    assert cluster.find_cluster(aws, p)["containerInsights"] == "disabled"
    insights = scaling.model_copy(update={"container_insights": True})
    assert "containerInsights: disabled → enabled" in repr(cluster.verify_cluster(aws, insights).changes)
    for wanted, value in ((insights, "enabled"), (scaling, "disabled")):
        cluster.ensure_cluster(aws, wanted)
        assert cluster.find_cluster(aws, p)["containerInsights"] == value
        assert not cluster.ensure_cluster(aws.read_only(), wanted)
    assert cluster.destroy_cluster(aws, scaling)


def test_made_with_insights(aws, scaling):
    scaling = scaling.model_copy(update={"container_insights": True})
    cluster.ensure_cluster(aws, scaling)
    assert cluster.verify_cluster(aws, scaling).require()

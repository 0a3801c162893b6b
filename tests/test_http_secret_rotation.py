"""A new http.secret: when there is one, that all tasks have it, and that a kill at any write is completed."""

import pytest
import rotated
from services import production

import runbook
from runbook import due, http_secret_rotation, rollout, secretsmanager
from runbook.errors import StepFailed

pytestmark = [
    pytest.mark.moto,
    pytest.mark.parametrize(
        "p",
        [
            pytest.param(None, id="blog"),
            pytest.param(production(bcrypt_cost=5), id="production", marks=pytest.mark.long),
        ],
        indirect=True,
    ),
]


@pytest.fixture
def p(request):
    return request.param or runbook.load({**runbook.load("blog").model_dump(), "cloud": "aws"})


@pytest.fixture(autouse=True)
def scheduler(p, monkeypatch):
    return rotated.install(monkeypatch, p)


def prepare(aws, p):
    if p.cache == "elasticache":
        tags = [{"Key": k, "Value": v} for k, v in p.tags.items()]
        asked = {"ReplicationGroupDescription": "test", "CacheNodeType": p.cache_node_type, "Engine": "redis"}
        aws.elasticache.create_replication_group(ReplicationGroupId=p.cache_name, Tags=tags, **asked)
    rotated.prepare(aws, p)


def given(aws, p):
    """The version of the secret that the service's tasks get, and the present one."""
    revision = rollout.describe(aws, p)["taskDefinition"]
    container = aws.ecs.describe_task_definition(taskDefinition=revision)["taskDefinition"]["containerDefinitions"][0]
    arn = next(each["valueFrom"] for each in container["secrets"] if each["name"] == "REGISTRY_HTTP_SECRET")
    return arn.rsplit(":")[-1], secretsmanager.find_secret(aws, p, p.http_secret)["VersionId"]


def test_an_old_secret_is_replaced_and_a_young_one_stays(aws, p):
    prepare(aws, p)
    before = secretsmanager.read_secret(aws, p, p.http_secret)
    assert "Made: wanted within 90 days" in http_secret_rotation.verify_http_secret(aws.read_only(), p).failures()
    since = due.now(aws)
    assert http_secret_rotation.ensure_http_secret(aws, p, since=since)
    assert secretsmanager.read_secret(aws, p, p.http_secret) != before
    assert len(set(given(aws, p))) == 1
    http_secret_rotation.verify_http_secret(aws.read_only(), p, since=since).require()
    assert not http_secret_rotation.ensure_http_secret(aws.read_only(), p, since=since)


def test_a_kill_at_any_write_is_completed_as_the_same_rotation(crash_everywhere, p, figure):
    made = []

    def check(aws, p):
        assert len(set(given(aws, p))) == 1
        http_secret_rotation.verify_http_secret(aws, p).require()
        versions = aws.secretsmanager.describe_secret(SecretId=p.http_secret)["VersionIdsToStages"]
        assert len(versions) == 2
        made.append(None)

    assert crash_everywhere(http_secret_rotation.ensure_http_secret, check, prepare=prepare) == [
        "secretsmanager PutSecretValue",
        "ecs RegisterTaskDefinition",
        "ecs UpdateService",
        "ecs DeregisterTaskDefinition",
    ]
    figure(f"rotation of the http secret ({p.capacity}): points killed, all converged", len(made))


def test_without_a_service_nothing_is_written(aws, p):
    with pytest.raises(StepFailed, match="run notebook 04_launch_your_service first"):
        http_secret_rotation.ensure_http_secret(aws.read_only(), p)
    assert http_secret_rotation.verify_http_secret(aws.read_only(), p).absent

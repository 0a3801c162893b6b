"""The task definition from the params alone: the blog's JSON field by field, and production's choices."""

import copy
import subprocess

import pytest

import runbook
from runbook import task_definition

pytestmark = pytest.mark.pure

BLOG = {
    "containerDefinitions": [
        {
            "volumesFrom": [],
            "portMappings": [{"hostPort": 5000, "containerPort": 5000, "protocol": "tcp"}],
            "command": ["/etc/docker/registry/config.yml"],
            "environment": [
                {"name": "REGISTRY_AUTH_HTPASSWD_REALM", "value": "elastic.io private registry"},
                {"name": "REGISTRY_STORAGE_S3_REGION", "value": "eu-central-1"},
                {"name": "REGISTRY_STORAGE_S3_BUCKET", "value": "elastic-io-registry"},
                {"name": "REGISTRY_AUTH_HTPASSWD_PATH", "value": "/auth/htpasswd"},
            ],
            "essential": True,
            "entryPoint": [],
            "links": [],
            "mountPoints": [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": True}],
            "memory": 1000,
            "name": "registry",
            "cpu": 1024,
            "image": "elasticio/docker-registry-ecs:latest",
        }
    ],
    "volumes": [{"host": {"sourcePath": "/home/ec2-user/auth"}, "name": "auth"}],
    "family": "registry",
}
SECRETS = ["REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY", "REGISTRY_HTTP_SECRET"]


def production(**changes):
    own = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **changes}
    return runbook.load({**runbook.load("production").model_dump(), **own})


def containers(p):
    return {container["name"]: container for container in task_definition.want_task(p)["containerDefinitions"]}


def inside(definition):
    return definition["containerDefinitions"][0]


def test_a_container_that_only_one_side_has_is_one_difference(p):
    scaled = production(image="registry:2.8.3", credentials="access-key", extra_tags={})
    wanted, without = task_definition.want_task(scaled), task_definition.want_task(scaled)
    [init] = [each for each in without["containerDefinitions"] if each["name"] == "htpasswd"]
    without["containerDefinitions"].remove(init)
    told = [str(check) for check in task_definition.compare_task(scaled, without).checks if not check.ok]
    assert told == ["container.htpasswd: wanted there, found absent"]
    wanted["containerDefinitions"].append(init | {"name": "sidecar"})
    told = [str(check) for check in task_definition.compare_task(scaled, wanted).checks if not check.ok]
    assert told == ["container.sidecar: wanted absent, found there"]


@pytest.mark.parametrize("configured_by", ["environment", "image"])
def test_every_field_of_the_blog_is_there(p, configured_by):
    p = runbook.load(p.model_dump() | {"configured_by": configured_by, "image": "registry:2.8.3"})
    wanted = task_definition.want_task(p)
    blog = copy.deepcopy(BLOG)
    blog_environment = {(pair["name"], pair["value"]) for pair in inside(blog).pop("environment")}
    found = {(pair["name"], pair["value"].strip('"')) for pair in inside(wanted)["environment"]}
    assert blog_environment <= found
    assert inside(blog).pop("image") != inside(wanted)["image"] == "registry:2.8.3"
    assert inside(blog).items() <= inside(wanted).items()
    assert wanted["volumes"] == blog["volumes"] and wanted["family"] == blog["family"]


def test_secrets_are_references_and_none_is_in_the_environment(p):
    container = inside(task_definition.want_task(p))
    assert [secret["name"] for secret in container["secrets"]] == SECRETS
    assert [secret["valueFrom"] for secret in container["secrets"]] == [
        "secretsmanager:registry/s3-key:accesskey",
        "secretsmanager:registry/s3-key:secretkey",
        "secretsmanager:registry/http-secret",
    ]
    assert not {pair["name"] for pair in container["environment"]} & set(SECRETS)


def test_the_log_goes_to_the_group_without_blocking_the_registry(p):
    configuration = inside(task_definition.want_task(p))["logConfiguration"]
    assert configuration["logDriver"] == "awslogs"
    assert configuration["options"]["awslogs-group"] == "/ecs/registry"
    assert configuration["options"]["awslogs-region"] == "eu-central-1"
    assert configuration["options"]["mode"] == "non-blocking"


@pytest.mark.parametrize(
    ("image", "credentials", "command"),
    [
        ("registry:3.1.1", "task-role", "/etc/distribution/config.yml"),
        ("registry:3.2.0", "access-key", "/etc/distribution/config.yml"),
        ("registry:2.8.3", "access-key", "/etc/docker/registry/config.yml"),
    ],
)
def test_the_command_is_the_path_in_the_image(image, credentials, command):
    p = production(image=image, credentials=credentials)
    assert containers(p)["registry"]["command"] == [command]
    assert {container["image"] for container in containers(p).values()} == {image}


@pytest.mark.parametrize(
    ("credentials", "role", "secrets"),
    [
        ("task-role", "registry-task", ["REGISTRY_HTTP_SECRET"]),
        ("access-key", None, SECRETS),
    ],
)
def test_a_role_takes_the_place_of_the_key(credentials, role, secrets):
    p = production(credentials=credentials)
    assert task_definition.want_task(p).get("taskRoleArn") == role
    assert [secret["name"] for secret in containers(p)["registry"]["secrets"]] == secrets


def test_each_container_gets_its_own_secrets_alone():
    assert {name: [s["name"] for s in c["secrets"]] for name, c in containers(production()).items()} == {
        "registry": ["REGISTRY_HTTP_SECRET"],
        "htpasswd": ["HTPASSWD"],
    }
    assert task_definition.secret_names(production()) == ["registry/http-secret", "registry/htpasswd"]


def test_the_registry_starts_after_the_init_container_and_reads_what_it_wrote():
    both = containers(production())
    registry, init = both["registry"], both["htpasswd"]
    assert registry["dependsOn"] == [{"containerName": "htpasswd", "condition": "SUCCESS"}]
    assert (registry["essential"], init["essential"]) == (True, False)
    assert registry["mountPoints"] == [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": True}]
    assert init["mountPoints"] == [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": False}]
    volume = {"name": "auth", "dockerVolumeConfiguration": {"scope": "task", "driver": "local"}}
    assert task_definition.want_task(production())["volumes"] == [volume]


def test_the_init_container_writes_the_lines_for_another_user_to_read(tmp_path):
    init = containers(production())["htpasswd"]
    lines = "a:$2y$05$x\\n'\"$HOME\nb:$2y$05$y"
    command = [*init["entryPoint"], init["command"][0].replace("/auth/", f"{tmp_path}/")]
    subprocess.run(command, env={"HTPASSWD": lines}, check=True, umask=0o077)
    assert (tmp_path / "htpasswd").read_text() == lines + "\n"
    assert (tmp_path / "htpasswd").stat().st_mode & 0o777 == 0o644


def test_an_init_container_without_its_secret_fails(tmp_path):
    init = containers(production())["htpasswd"]
    command = [*init["entryPoint"], init["command"][0].replace("/auth/", f"{tmp_path}/")]
    assert subprocess.run(command, env={}, capture_output=True, check=False).returncode != 0


def test_every_container_of_production_is_hardened():
    for container in containers(production()).values():
        assert container["readonlyRootFilesystem"] is True
        assert container["privileged"] is False
        assert container["linuxParameters"] == {"capabilities": {"drop": ["ALL"]}}
    assert containers(production())["registry"]["user"] == "1000:1000"


def test_the_registry_drains_before_it_is_killed():
    registry = containers(production())["registry"]
    (drain,) = [pair["value"] for pair in registry["environment"] if pair["name"] == "REGISTRY_HTTP_DRAINTIMEOUT"]
    assert int(drain.strip('"s')) < registry["stopTimeout"] <= 120


def test_many_tasks_fit_a_node():
    port = containers(production())["registry"]["portMappings"]
    assert port == [{"hostPort": 0, "containerPort": 5000, "protocol": "tcp"}]
    size = [(c["cpu"], c.get("memoryReservation", c["memory"]), c["memory"]) for c in containers(production()).values()]
    assert size == [(256, 256, 512), (32, 32, 32)]


def test_the_address_of_the_cache_is_a_word_until_the_cache_is_there():
    values = {pair["name"]: pair["value"] for pair in containers(production())["registry"]["environment"]}
    assert '"elasticache:registry-cache"' in values["REGISTRY_REDIS"]
    assert "REGISTRY_REDIS" not in str(task_definition.want_task(production(cache="memory")))


def test_an_init_container_goes_with_fixed_nodes_too(p):
    p = runbook.load(p.model_dump() | {"htpasswd": "init-container"})
    registry = containers(p)["registry"]
    assert list(containers(p)) == ["registry", "htpasswd"]
    assert (registry["portMappings"][0]["hostPort"], registry["cpu"], registry["memory"]) == (5000, 1024, 1000)
    assert "user" not in registry


def test_defaults_that_ecs_leaves_out_are_no_difference():
    p = production(extra_tags={})
    found = copy.deepcopy(task_definition.want_task(p))
    registry, init = found["containerDefinitions"]
    del init["mountPoints"][0]["readOnly"], registry["privileged"], registry["links"]
    assert task_definition.compare_task(p, found)
    del registry["mountPoints"][0]["readOnly"]
    assert not task_definition.compare_task(p, found)

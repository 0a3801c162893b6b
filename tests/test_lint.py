"""What the lint says of files, variables and task definitions, before anything starts."""

import json

import pytest
import yaml
from blog_texts import CONFIG, TASK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import runbook
from runbook import config, lint, lint_keys, task_definition
from runbook.__main__ import main
from runbook.config import CONFIG_PATHS
from runbook.local import images

pytestmark = pytest.mark.pure

BCRYPT = "$2y$05$" + "a" * 53
S3 = {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_REGION": "eu-central-1", "REGISTRY_STORAGE_S3_BUCKET": "images"}
REST = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "test",
    "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
}
GOOD = S3 | REST
SECRET = "REGISTRY_HTTP_SECRET"
REDIS = {"REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis"}
ENDPOINT = {"REGISTRY_STORAGE_S3_REGIONENDPOINT": "https://minio.example.com"}


def container(variables=GOOD, **changes):
    return {
        "name": "registry",
        "image": "registry:3.1.1",
        "environment": [{"name": name, "value": value} for name, value in variables.items()],
        "secrets": [{"name": SECRET, "valueFrom": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:x"}],
        "mountPoints": [{"containerPath": "/auth", "sourceVolume": "auth"}],
        "portMappings": [{"containerPort": 5000, "hostPort": 0}],
        "logConfiguration": {"logDriver": "awslogs"},
        "memory": 512,
        **changes,
    }


def task(*containers, **changes):
    return {"family": "registry", "containerDefinitions": list(containers), **changes}


def worst(findings):
    return [each for each in findings if each.severity != "note"]


def production(**values):
    own = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **values}
    return runbook.load({**runbook.load("production").model_dump(), **own})


# Each failure of FAILURES that a lint can foresee: row, severity, where; of variables over the stock image.
ROWS = {
    "different http secrets": (1, "error", "http.secret", (3, 1, 1), GOOD, {"replicas": 2}),
    "one registry without an http secret": (1, "note", "http.secret", (3, 1, 1), GOOD, {}),
    "files and two registries": (2, "error", "storage.filesystem", (3, 1, 1), REST, {"replicas": 2}),
    "files": (2, "warning", "storage.filesystem", (3, 1, 1), REST, {}),
    "http.host is http": (3, "error", "REGISTRY_HTTP_HOST", None,
                          GOOD | {"REGISTRY_HTTP_HOST": "http://registry.example.com"}, {}),
    "http.host is no address": (3, "error", "REGISTRY_HTTP_HOST", None,
                                GOOD | {"REGISTRY_HTTP_HOST": "registry.example.com"}, {}),
    "an unknown region": (11, "error", "REGISTRY_STORAGE_S3_REGION", (2, 8, 3),
                          GOOD | {"REGISTRY_STORAGE_S3_REGION": "eu-south-2"}, {}),
    "an endpoint": (12, "error", "REGISTRY_STORAGE_S3_REGIONENDPOINT", (3, 1, 1), GOOD | ENDPOINT, {}),
    "two drivers": (13, "error", "REGISTRY_STORAGE_S3_BUCKET", (3, 1, 1),
                    REST | {name: S3[name] for name in S3 if name != "REGISTRY_STORAGE"}, {}),
    "a misspelt variable": (14, "error", "REGISTRY_STORAGE_S3_BUKET", (3, 1, 1),
                            GOOD | {"REGISTRY_STORAGE_S3_BUKET": "x"}, {}),
    "content for a path": (16, "error", "REGISTRY_AUTH_HTPASSWD_PATH", (3, 1, 1),
                           GOOD | {"REGISTRY_AUTH_HTPASSWD_PATH": f"user:{BCRYPT}"}, {}),
    "a redirect": (19, "note", "storage.redirect.disable", (3, 1, 1), GOOD, {}),
    "no redis": (26, "error", "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", (3, 1, 1), GOOD | REDIS, {}),
    "version 2's addr in 3": (26, "error", "REGISTRY_REDIS_ADDR", (3, 1, 1),
                              GOOD | {"REGISTRY_REDIS_ADDR": "cache:6379"}, {}),
    "version 3's addrs in 2": (26, "error", "REGISTRY_REDIS", (2, 8, 3),
                               GOOD | REDIS | {"REGISTRY_REDIS": "{addrs: [cache:6379]}"}, {}),
    "addrs by itself in 3.0": (26, "error", "REGISTRY_REDIS_ADDRS", (3, 0, 1),
                               GOOD | {"REGISTRY_REDIS_ADDRS": "[cache:6379]"}, {}),
    "TLS in 2": (27, "error", "REGISTRY_REDIS", (2, 8, 3),
                 GOOD | REDIS | {"REGISTRY_REDIS": "{addr: 'rediss://cache:6379'}"}, {}),
    "TLS in 3.0": (27, "error", "REGISTRY_REDIS", (3, 0, 1),
                   GOOD | REDIS | {"REGISTRY_REDIS": "{addrs: ['cache:6379'], tls: {clientcas: [/ca.pem]}}"}, {}),
    "caches in memory": (28, "warning", "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", (3, 1, 1),
                         GOOD | {"REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory",
                                 "REGISTRY_STORAGE_DELETE_ENABLED": "true"}, {"replicas": 2}),
    "traces": (31, "warning", "version", (3, 0, 0), GOOD, {}),
    "known holes of 3.0": (33, "warning", "version", (3, 0, 1), GOOD, {}),
    "known holes of 3.1.0": (33, "warning", "version", (3, 1, 0), GOOD, {}),
}  # fmt: skip


@pytest.mark.parametrize("case", ROWS)
def test_a_row_of_the_failures_is_foreseen(case):
    row, severity, where, version, environment, more = ROWS[case]
    findings = lint.lint_environment(version, environment, **more)
    assert any(each.row == row and each.severity == severity and where in each.where for each in findings), findings


@pytest.mark.parametrize(
    ("row", "version", "environment", "more"),
    [
        (1, (3, 1, 1), GOOD | {SECRET: "x"}, {"replicas": 2}),
        (1, (3, 1, 1), GOOD, {"replicas": 2, "secrets": [SECRET]}),
        (2, (3, 1, 1), GOOD, {"replicas": 2}),
        (3, (3, 1, 1), GOOD | {"REGISTRY_HTTP_HOST": "https://registry.example.com"}, {}),
        (11, (3, 1, 1), GOOD | {"REGISTRY_STORAGE_S3_REGION": "eu-south-2"}, {}),
        (11, (2, 8, 3), GOOD, {}),
        (12, (3, 1, 1), GOOD | ENDPOINT | {"REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true"}, {}),
        (12, (2, 8, 3), GOOD | ENDPOINT, {}),
        (14, (3, 1, 1), GOOD, {}),
        (14, (3, 1, 1), GOOD | {"REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME": "x"}, {}),
        (19, (3, 1, 1), GOOD | {"REGISTRY_STORAGE_REDIRECT_DISABLE": "true"}, {}),
        (26, (3, 1, 1), GOOD | REDIS | {"REGISTRY_REDIS_ADDRS": "[cache:6379]"}, {}),
        (26, (2, 8, 3), GOOD | REDIS | {"REGISTRY_REDIS_ADDR": "cache:6379"}, {}),
        (26, (2, 8, 3), GOOD | REDIS, {"secrets": ["REGISTRY_REDIS"]}),
        (27, (3, 1, 1), GOOD | REDIS | {"REGISTRY_REDIS": "{addrs: ['cache:6379'], tls: {rootcas: [/ca.pem]}}"}, {}),
        (31, (3, 0, 0), GOOD | {"OTEL_TRACES_EXPORTER": "none"}, {}),
        (33, (3, 1, 1), GOOD, {}),
    ],
)
def test_and_not_where_it_is_right(row, version, environment, more):
    assert not [each for each in lint.lint_environment(version, environment, **more) if each.row == row]


# Those of a task definition: what is changed in one that is right, in it or in its container.
AROUND = {
    "a role of the task in 2": (9, "error", {"image": "registry:2.8.3"}, {"taskRoleArn": "arn:aws:iam::1:role/x"}),
    "Fargate in 2": (9, "error", {"image": "registry:2.8.3"}, {"requiresCompatibilities": ["FARGATE"]}),
    "the node's role in 2": (10, "note", {"image": "registry:2.8.3"}, {}),
    "version 2's path in 3": (15, "error", {"command": [CONFIG_PATHS[2]]}, {}),
    "version 3's path in 2": (15, "error", {"image": "registry:2", "command": [CONFIG_PATHS[3]]}, {}),
    "nothing mounted": (17, "warning", {"mountPoints": []}, {}),
    "htpasswd as entry point": (18, "error", {"entryPoint": ["htpasswd"], "command": ["-Bbn"]}, {}),
    "htpasswd in a shell": (18, "error", {"command": ["sh", "-c", "htpasswd -Bbn $USER $PASSWORD > /auth/h"]}, {}),
    "no log": (22, "warning", {"logConfiguration": None}, {}),
    "no memory": (None, "warning", {"memory": None}, {}),
    "latest": (None, "warning", {"image": "registry:latest"}, {}),
    "no tag": (None, "warning", {"image": "registry"}, {}),
    "another port": (None, "error", {"portMappings": [{"containerPort": 5001}]}, {}),
    "a secret in the open": (
        None, "warning", {"environment": [{"name": SECRET, "value": "hidden"}]}, {}),
    "half a key": (
        None, "error", {"secrets": [{"name": "REGISTRY_STORAGE_S3_ACCESSKEY", "valueFrom": "x"}]}, {}),
}  # fmt: skip


def test_a_task_definition_that_is_right_has_notes_only():
    inside = container()
    assert not lint.lint_container(inside, task=task(inside, taskRoleArn="arn:aws:iam::1:role/x"), replicas=3)


@pytest.mark.parametrize("case", AROUND)
def test_what_stands_around_the_registry(case):
    row, severity, changes, of_task = AROUND[case]
    inside = container(**changes)
    findings = lint.lint_container(inside, task=task(inside, **of_task))
    assert any(each.row == row and each.severity == severity for each in findings), findings


def test_which_setting_wins_is_told():
    config = {"version": 0.1, "storage": {"filesystem": {}, "delete": {"enabled": True}}, "auth": {"htpasswd": {}}}
    findings = lint.lint_environment((3, 1, 1), GOOD | {SECRET: "x"}, config=config | {"http": {"secret": "y"}})
    told = {each.where: each.what for each in findings if each.severity == "note"}
    assert told["REGISTRY_STORAGE"] == "it takes the place of the whole section: gone are delete, driver filesystem"
    assert told[SECRET] == "it wins over http.secret in config.yml"
    assert not [each for each in findings if each.row in (2, 13)]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REGISTRY_STORAGE_S3_BUKET", "REGISTRY_STORAGE_S3_BUCKET"),
        ("REGISTRY_STORAGE_S3_ACCESS_KEY", "REGISTRY_STORAGE_S3_ACCESSKEY"),
        ("REGISTRY_HTTP_RELATIVE_URLS", "REGISTRY_HTTP_RELATIVEURLS"),
        ("REGISTRY_HTPP_SECRET", "REGISTRY_HTTP_SECRET"),
        ("REGISTRY_HTTPSECRET", "REGISTRY_HTTP_SECRET"),
        ("REGISTRY_HEALTH_STORAGE_DRIVER_ENABLED", "REGISTRY_HEALTH_STORAGEDRIVER_ENABLED"),
        ("REGISTRY_AUTH_HTPASSWD_REALMS", "REGISTRY_AUTH_HTPASSWD_REALM"),
        ("STORAGE_S3_BUCKET", "REGISTRY_STORAGE_S3_BUCKET"),
        ("registry_http_secret", "REGISTRY_HTTP_SECRET"),
        ("REGSITRY_HTTP_SECRET", "REGISTRY_HTTP_SECRET"),
    ],
)
def test_did_you_mean(name, meant):
    findings = lint.lint_environment((3, 1, 1), GOOD | {name: "x"})
    [finding] = [each for each in findings if each.row == 14]
    assert (finding.severity, finding.where, finding.remedy) == ("error", name, f"did you mean {meant}?")


def test_other_programs_variables_are_left_alone():
    others = {"AWS_REGION": "eu-central-1", "PATH": "/bin", "OTEL_TRACES_EXPORTER": "none", "HTTP_PROXY": "http://p:1"}
    assert lint.lint_environment((3, 1, 1), GOOD | others) == lint.lint_environment((3, 1, 1), GOOD)


# The blog's own texts, and ours.


def told(findings):
    return {(each.severity, each.where.removeprefix("config.yml: "), each.row) for each in findings}


def test_the_blogs_config():
    """https://gist.github.com/zubairov/850319bf24d6cea23d3c, where its region is still to be set."""
    assert told(lint.lint({"config.yml": CONFIG}, (2, 8, 3))) == {
        ("error", "storage.s3.region", 11),
        ("note", "storage.cache.layerinfo", None),
        ("note", "http.secret", 1),
        ("note", "health.storagedriver.enabled", 5),
        ("note", "storage.redirect.disable", 19),
        ("note", "storage.s3", None),
    }


def test_the_blogs_config_and_task_definition():
    filled = TASK.replace("PLACE-YOUR-S3-BUCKET-REGION-HERE", "eu-central-1").replace(
        "PLACE-YOUR-S3-BUCKET-NAME-HERE", "elastic-io-registry"
    )
    findings = lint.lint({"config.yml": CONFIG, "task.json": filled})
    assert told(worst(findings)) == {
        ("warning", "image elasticio/docker-registry-ecs:latest", None),
        ("warning", "logConfiguration", 22),
        ("warning", "REGISTRY_STORAGE_S3_ACCESSKEY", None),
        ("warning", "REGISTRY_STORAGE_S3_SECRETKEY", None),
    }
    notes = {each.where.removeprefix("config.yml: ") for each in findings if each.severity == "note"}
    assert {"storage.cache.layerinfo", "http.secret", "health.storagedriver.enabled"} <= notes
    assert {each.row for each in lint.lint({"config.yml": CONFIG, "task.json": filled}, replicas=2)} >= {1}


def test_the_blogs_placeholders_are_errors():
    errors = [each.where for each in lint.lint({"task.json": TASK}) if each.severity == "error"]
    assert errors == ["REGISTRY_STORAGE_S3_REGION", "REGISTRY_STORAGE_S3_BUCKET"]


@pytest.mark.parametrize("text", [CONFIG.replace("    ", ""), CONFIG])
def test_the_blogs_config_with_its_indentation_lost(text):
    """As it stands at the blog's end: sections without content, and their keys at the top."""
    errors = {each.where for each in lint.lint({"config.yml": text}, (2, 8, 3)) if each.severity == "error"}
    if text != CONFIG:
        assert any(where.startswith("config.yml: storage") for where in errors)


def test_the_blogs_task_definition_with_version_3_has_the_wrong_path():
    moved = TASK.replace("elasticio/docker-registry-ecs:latest", "registry:3.1.1")
    [finding] = [each for each in lint.lint({"task.json": moved}) if each.row == 15]
    assert (finding.severity, finding.where) == ("error", "command")


OURS = {
    "production": lambda: runbook.load("production"),
    "production, registry 3": production,
    "production, registry 3 with a cache in memory": lambda: production(cache="memory"),
    "blog": lambda: runbook.load("blog"),
    "blog, registry 3": lambda: runbook.load({**runbook.load("blog").model_dump(), "image": "registry:3.1.1"}),
}


@pytest.mark.parametrize("kind", OURS)
def test_our_own_task_definitions_have_notes_only(kind):
    p = OURS[kind]()
    definition = task_definition.want_task(p)
    [inside] = lint.registries(definition)
    assert inside["name"] == p.container_name
    assert not lint.lint_container(inside, task=definition, replicas=p.replicas)


def test_our_own_image():
    p = runbook.load({**runbook.load("blog").model_dump(), "image": "own:1", "configured_by": "image"})
    texts = {"config.yml": str(config.config_yml(p)), "task.json": json.dumps(dict(task_definition.want_task(p)))}
    assert not lint.lint(texts)


# What the lint never does: show a secret, or fail.


HIDDEN = "hunter2-and-its-friends"


@pytest.mark.parametrize("version", [None, (2, 8, 3), (3, 0, 0), (3, 1, 1)])
@pytest.mark.parametrize("shape", ["{}", "a: {}", "[{}", "%{}", "http://{}", "'{}", "{}:$2y$"])
def test_no_value_of_a_variable_is_shown(version, shape):
    names = [*S3, *REST, SECRET, *REDIS, *ENDPOINT, "REGISTRY_REDIS_PASSWORD", "REGISTRY_STORAGE_S3_SECRETKEY",
             "REGISTRY_HTTP_HOST", "REGISTRY_HTTP_ADDR", "REGISTRY_LOG_LEVEL", "REGISTRY_HTTP_SEKRET",
             "REGISTRY_PROXY_PASSWORD"]  # fmt: skip
    for name in names:
        if name in ("REGISTRY_STORAGE", "REGISTRY_AUTH", "REGISTRY_STORAGE_S3_REGION"):
            continue  # their values are the names of things, which a finding has to name
        value = shape.format(HIDDEN)
        assert HIDDEN not in repr(lint.lint_environment(version, GOOD | {name: value}, replicas=2)), name


def test_no_line_of_an_htpasswd_file_is_shown():
    for line in (f"user:{HIDDEN}", HIDDEN, f"user:$apr1${HIDDEN}", f"docker:{HIDDEN}"):
        assert HIDDEN not in repr(lint.lint_files.lint_htpasswd("htpasswd", line))


def test_a_text_that_cannot_be_read_is_not_quoted():
    with pytest.raises(lint.LintError) as raised:
        lint.lint({"config.yml": f"version: 0.1\nhttp: {{secret: '{HIDDEN}\n"})
    assert HIDDEN not in str(raised.value) and "YAML cannot be read" in str(raised.value)
    assert raised.value.__suppress_context__


KEYS = st.sampled_from(["version", "storage", "s3", "region", "regionendpoint", "cache", "blobdescriptor", "layerinfo",
                        "filesystem", "http", "secret", "host", "addr", "headers", "auth", "htpasswd", "realm", "path",
                        "redis", "addrs", "tls", "pool", "health", "storagedriver", "enabled", "maintenance", "log",
                        "uploadpurging", "readonly", "redirect", "disable", "delete", "level", "debug", "notifications",
                        "endpoints", "chunksize", "v4auth", "secure", "S3", "", "tag"])  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["s3", "redis", "inmemory", "rediss://x", "http://[", "https://x", ":5000", "10s", "htpasswd"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
NAMES = st.lists(KEYS.map(str.upper) | st.sampled_from(["0", "7", "FILECHECKERS", "X"]), min_size=1, max_size=4).map(
    lambda parts: "_".join(["REGISTRY", *parts])
)
VERSIONS = st.sampled_from([None, (2,), (2, 8, 3), (3,), (3, 0), (3, 0, 0), (3, 1, 1)])
CALM = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@CALM
@given(
    st.dictionaries(KEYS, VALUES, max_size=5),
    st.dictionaries(NAMES, VALUES.map(yaml.safe_dump) | st.text(), max_size=5),
    VERSIONS,
    st.lists(NAMES, max_size=3),
    st.sampled_from([1, 3]),
)
def test_no_configuration_makes_it_fail(config, environment, version, secrets, replicas):
    findings = lint.lint_environment(version, environment, config=config, secrets=secrets, replicas=replicas)
    assert repr(findings) and findings._repr_html_() is not None


WORDS = st.sampled_from(["name", "image", "environment", "secrets", "value", "valueFrom", "command", "entryPoint",
                         "mountPoints", "portMappings", "containerPort", "memory", "logConfiguration"])  # fmt: skip


@CALM
@given(st.dictionaries(WORDS, VALUES | st.lists(st.dictionaries(WORDS, VALUES)), max_size=8), VALUES)
def test_no_container_makes_it_fail(inside, volumes):
    assert repr(lint.lint_container(inside, task={"containerDefinitions": [inside], "taskRoleArn": volumes}))
    lint.registries({"containerDefinitions": volumes})


@CALM
@given(st.binary(max_size=200) | st.text(max_size=200) | VALUES.map(yaml.safe_dump) | VALUES.map(json.dumps))
def test_no_file_makes_it_fail(content):
    try:
        assert repr(lint.lint({"x": content}))
    except lint.LintError as error:
        assert str(error).startswith(("x: ", "the task definition"))


# Files.

ENV = "# of the registry\n" + "".join(f"{name}={value}\n" for name, value in GOOD.items())
BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
NOT_UNDERSTOOD = {
    "a picture": (b"\x89PNG\r\n\x1a\n\xff", "a binary file"),
    "nulls": (b"a\0b", "a binary file"),
    "nothing": (b"", "it is empty"),
    "comments": (b"# nothing\n\n", "it is empty"),
    "a list": (b"- a\n- b\n", "a list"),
    "a JSON list": (b"[1, 2]", "a JSON list"),
    "other JSON": (b'{"a": 1}', "JSON without containerDefinitions"),
    "other YAML": (b"apiVersion: v1\nkind: Pod\n", "YAML without any key of the registry"),
    "Compose": (b"services:\n  registry:\n    image: registry:2\n", "a Compose file"),
    "prose": (b"Dear reader, this is a letter.\n", "a text"),
    "a bomb": (("version: 0.1\n" + BOMB).encode(), "too large or too deep"),
    "a snake": (b"version: 0.1\nstorage: &a\n  s3: *a\n", "too large or too deep"),
    "a shaft": (b"version: 0.1\nstorage: " + b"[" * 100_000, "YAML cannot be read"),
    "a wrong tag": (b"version: !!bool x\nstorage: {}\n", "YAML cannot be read"),
    "a program": (b"version: 0.1\nstorage: !!python/object/apply:os.system [id]\n", "YAML cannot be read"),
}


@pytest.mark.parametrize("kind", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_said(kind, tmp_path, capsys):
    content, said = NOT_UNDERSTOOD[kind]
    file = tmp_path / "file"
    file.write_bytes(content)
    assert main(["lint", str(file)]) == 2
    assert said in (error := capsys.readouterr().err) and str(file) in error and "Traceback" not in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.yml"], "missing.yml: cannot be read: No such file or directory"),
        (["."], ".: cannot be read: Is a directory"),
        (["registry:7"], "registry:7: no such file; for a task definition of that name say --region"),
        (["a\0b"], "cannot be read"),
        (["--version", "latest", "missing.yml"], "--version latest: a version of the registry is expected"),
        (["--version", "7.0", "missing.yml"], "--version 7.0"),
    ],
)
def test_what_cannot_be_read_is_said(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["lint", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "arguments", "status", "said"),
    [
        ({"config.yml": CONFIG}, ["--version", "2.8.3"], 1, "config.yml: storage.s3.region"),
        ({"config.yml": CONFIG, ".env": ENV}, ["--version", "2.8.3"], 0, "REGISTRY_STORAGE_S3_REGION: it wins over"),
        ({"config.yml": CONFIG, ".env": ENV}, ["--version", "2.8.3", "--replicas", "2"], 1, "failure 1:"),
        ({"task.json": TASK}, [], 1, "REGISTRY_STORAGE_S3_BUCKET"),
        ({".env": ENV}, [], 0, "say --version"),
        ({"htpasswd": f"testuser:{BCRYPT}\n"}, [], 0, "nothing found"),
        ({"htpasswd": "testuser:$apr1$abc$def\n"}, [], 1, "htpasswd: line 1: the hash is not bcrypt"),
        ({"described.json": json.dumps({"taskDefinition": json.loads(TASK), "tags": []})}, [], 1, "logConfiguration"),
    ],
)
def test_the_command(files, arguments, status, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert main(["lint", *files, *arguments]) == status
    assert said in capsys.readouterr().out


def test_two_of_a_kind_are_refused():
    for texts in ({"a.yml": CONFIG, "b.yml": CONFIG}, {"a.json": TASK, "b.json": TASK}):
        with pytest.raises(lint.LintError, match="already; give the files of one registry"):
            lint.lint(texts)


def test_the_tasks_variables_win_over_the_env_files():
    """https://docs.aws.amazon.com/AmazonECS/latest/developerguide/use-environment-file.html"""
    inside = container(REST | {"REGISTRY_HTTP_HOST": "https://registry.example.com"})
    env = ENV + "REGISTRY_HTTP_HOST=http://registry.example.com\n"
    findings = lint.lint({"task.json": json.dumps(task(inside)), ".env": env})
    assert not worst(findings)


def test_a_task_without_a_registry_is_not_understood():
    others = [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "redis:7"}]
    with pytest.raises(lint.LintError, match="no container that runs a registry"):
        lint.lint({"task.json": json.dumps(task(*others))})


HTPASSWD = {
    f"a:{BCRYPT}": None,
    f"a:{BCRYPT.replace('$2y$', '$2b$')}": None,
    f"# said by hand\n\n a:{BCRYPT} \n": None,
    "a:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/": ("error", "the hash is not bcrypt"),
    "a:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=": ("error", "the hash is not bcrypt"),
    "a:" + "y" + "a" * 53: ("error", "a shell has eaten"),
    "a:" + BCRYPT.replace("$", "$$"): ("error", "each $ of the hash is there twice"),
    "a:" + BCRYPT[:-4]: ("error", "no whole bcrypt hash"),
    f"a:{BCRYPT}\nwithout-a-colon": ("error", "the registry then takes nobody's password"),
    f"a:{BCRYPT}\na:{BCRYPT}": ("note", "the last line counts"),
    f"docker:{BCRYPT}": ("warning", "user docker"),
    "a:" + BCRYPT.replace("$05$", "$15$"): ("warning", "paid on every request"),
    "# nobody": ("warning", "nobody can log in"),
}


@pytest.mark.parametrize("text", HTPASSWD)
def test_an_htpasswd_file(text):
    found = lint.lint_files.lint_htpasswd("htpasswd", text)
    expected = HTPASSWD[text]
    assert len(found) == (expected is not None)
    for finding in found:
        assert finding.severity == expected[0] and expected[1] in finding.what


# The facts that the lint stands on.


def test_the_stock_files_are_those_of_the_embedded_clouds_images():
    assert yaml.safe_load(images.CONFIG) == lint_keys.STOCK[2]
    assert yaml.safe_load(images.CONFIG_3) == lint_keys.STOCK[3]


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("registry:2", (2,)),
        ("registry:2.8.3", (2, 8, 3)),
        ("docker.io/library/registry:3.1.1", (3, 1, 1)),
        ("public.ecr.aws/docker/library/registry:3.0", (3, 0)),
        ("ghcr.io/distribution/distribution:v3.1.0", (3, 1, 0)),
        ("distribution/distribution:3.0.0-rc.1", (3, 0, 0)),
        (f"registry:2.8.3@sha256:{'0' * 64}", (2, 8, 3)),
        ("registry", None),
        ("registry:latest", None),
        ("example.com/registry:2.8.3", None),
        ("elasticio/docker-registry-ecs:latest", None),
    ],
)
def test_the_version_of_an_image(image, version):
    assert lint.image_version(image) == version

import hashlib
import re
import shutil
import socket
import subprocess
import time

import bcrypt
import boto3
import pytest
import requests
import yaml
from moto.server import ThreadedMotoServer

import runbook
from runbook import config
from runbook.errors import ParamsError
from runbook.local import images

PROGRAM = shutil.which("docker-registry")


def changed(p, **values):
    return runbook.load({**p.model_dump(), **values})


# What the notebooks show.


@pytest.mark.pure
def test_every_key_of_the_blog_is_there_with_the_blogs_value(p):
    blogs = {
        "version": 0.1,
        "log.fields.service": "registry",
        "auth.htpasswd.path": "/auth/htpasswd",
        "http.addr": ":5000",
        "http.headers.X-Content-Type-Options": ["nosniff"],
        "storage.s3.encrypt": True,
        "storage.s3.secure": True,
        "storage.s3.v4auth": True,
        "storage.s3.chunksize": 5242880,
        "storage.s3.rootdirectory": "/",
        # set by variables in the blog
        "auth.htpasswd.realm": "elastic.io private registry",
        "storage.s3.region": "eu-central-1",
        "storage.s3.bucket": "elastic-io-registry",
        # `layerinfo` in the blog
        "storage.cache.blobdescriptor": "inmemory",
        # not in the blog
        "health.storagedriver.enabled": True,
        "health.storagedriver.interval": "10s",
        "health.storagedriver.threshold": 3,
    }
    assert dict(leaves(config.want_config(p))) == blogs


def leaves(value, path=""):
    for key, item in value.items():
        name = f"{path}.{key}".lstrip(".")
        yield from leaves(item, name) if isinstance(item, dict) else [(name, item)]


def production(**values):
    """Production's params, for AWS with registry 3 unless told otherwise."""
    own = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", **values}
    return changed(runbook.load("production"), **own)


VERSION_2 = {"cloud": "embedded", "image": "registry:2.8.3", "credentials": "instance-role"}
KINDS = {
    "blog": lambda p: p,
    "blog, version 3": lambda p: changed(p, image="registry:3.1.1"),
    "production": lambda p: production(),
    "production, version 2": lambda p: production(**VERSION_2),
}

# What registry:3 brings: config-example.yml of distribution-library-image.
STOCK_3 = """\
version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
  tag:
    concurrencylimit: 5
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


@pytest.mark.pure
def test_what_production_adds_for_version_3():
    wanted = dict(leaves(config.want_config(production())))
    assert "storage.s3.v4auth" not in wanted and "http.host" not in wanted and "http.relativeurls" not in wanted
    assert {name: value for name, value in wanted.items() if name.startswith(("http.d", "redis", "log.level"))} == {
        "log.level": "info",
        "http.draintimeout": "110s",
        "http.debug.addr": "localhost:5001",
        "http.debug.prometheus.enabled": True,
        "http.debug.prometheus.path": "/metrics",
        "redis.addrs": ["elasticache:registry-cache"],
        "redis.tls.rootcas": ["/etc/ssl/certs/ca-certificates.crt"],
        "redis.dialtimeout": "500ms",
        "redis.readtimeout": "250ms",
        "redis.writetimeout": "250ms",
        "redis.maxidleconns": 16,
        "redis.poolsize": 64,
        "redis.connmaxidletime": "300s",
    }
    assert wanted["storage.cache.blobdescriptor"] == "redis"


@pytest.mark.pure
def test_version_2_has_one_address_its_own_pool_and_no_tls():
    wanted = dict(leaves(config.want_config(production(**VERSION_2))))
    assert {name: value for name, value in wanted.items() if name.startswith("redis")} == {
        "redis.addr": "elasticache:registry-cache",
        "redis.dialtimeout": "500ms",
        "redis.readtimeout": "250ms",
        "redis.writetimeout": "250ms",
        "redis.pool.maxidle": 16,
        "redis.pool.maxactive": 64,
        "redis.pool.idletimeout": "300s",
    }
    assert wanted["storage.s3.v4auth"] is True


@pytest.mark.pure
@pytest.mark.parametrize(
    ("values", "tls"),
    [
        ({}, True),
        ({"image": "registry:3.1.2"}, True),
        ({"image": "registry:4.0", "configured_by": "image"}, None),
        (VERSION_2, False),
        ({"image": "registry-ecs:1", "configured_by": "image", "credentials": "access-key"}, False),
    ],
)
def test_tls_to_the_cache_where_the_version_can(values, tls):
    if tls is None:
        with pytest.raises(ParamsError):
            production(**values)
    else:
        assert config.cache_tls(production(**values)) is tls


@pytest.mark.pure
def test_with_the_cache_in_memory_no_redis_is_named():
    p = production(cache="memory")
    assert "redis" not in config.config_yml(p) + repr(config.environment(p)).lower()


@pytest.mark.pure
@pytest.mark.parametrize("kind", KINDS)
def test_no_secret_has_a_place(p, kind):
    p = KINDS[kind](p)
    everything = config.config_yml(p) + " ".join(config.environment(p)) + config.dockerfile(p)
    assert not re.search("secret|accesskey|password", everything, re.IGNORECASE)


@pytest.mark.pure
@pytest.mark.parametrize("kind", KINDS)
def test_the_file_says_what_is_wanted_but_the_address_of_the_cache(p, kind):
    p = KINDS[kind](p)
    wanted = {key: value for key, value in config.want_config(p).items() if key != "redis"}
    assert yaml.safe_load(config.config_yml(p)) == wanted
    assert config.config_yml(p).startswith("version: 0.1\nlog:\n")


@pytest.mark.pure
@pytest.mark.parametrize("kind", KINDS)
def test_the_variables_over_the_stock_image_mean_the_same_configuration(p, kind):
    p = KINDS[kind](p)
    effective = yaml.safe_load(STOCK_3 if p.major_version == 3 else images.CONFIG)
    variables = dict(config.environment(p))
    assert variables.pop("OTEL_TRACES_EXPORTER", None) == ("none" if p.major_version == 3 else None)
    for name, text in sorted(variables.items()):
        *path, last = name.lower().split("_")[1:]
        section = effective
        for key in path:
            section = section.setdefault(key, {})
        value = yaml.safe_load(text)
        section[last] = {value: {}} if name == "REGISTRY_STORAGE" else value
    assert effective == config.want_config(p)


@pytest.mark.pure
def test_over_an_image_of_ones_own_only_the_blogs_variables_are_set(p):
    own = changed(p, image="example/docker-registry-ecs:1.0", configured_by="image")
    assert config.environment(own) == {
        "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "elastic.io private registry",
        "REGISTRY_STORAGE_S3_BUCKET": "elastic-io-registry",
        "REGISTRY_STORAGE_S3_REGION": "eu-central-1",
    }


@pytest.mark.pure
def test_over_an_image_of_ones_own_the_cache_is_named_too():
    own = production(image="example/docker-registry-ecs:1.0", configured_by="image", credentials="instance-role")
    assert list(config.environment(own))[4:] == ["REGISTRY_REDIS"]
    assert yaml.safe_load(config.environment(own)["REGISTRY_REDIS"]) == config.want_config(own)["redis"]


@pytest.mark.pure
def test_the_image_of_version_3_has_the_file_where_version_3_looks():
    assert config.dockerfile(production()) == ("FROM registry:3.1.1\nCOPY config.yml /etc/distribution/config.yml\n")


@pytest.mark.pure
@pytest.mark.parametrize(
    "realm", ["y", "no", "12", "0x1f", "1e3", "null", "~", "a: b", "a #b", "- a", "@a", "*a", "{a}", " a ", "é", "a'b"]
)
def test_a_realm_that_yaml_could_misread_is_quoted_in_both_forms(p, realm):
    p = changed(p, realm=realm)
    assert yaml.safe_load(config.config_yml(p))["auth"]["htpasswd"]["realm"] == realm
    text = config.environment(p)["REGISTRY_AUTH_HTPASSWD_REALM"]
    assert yaml.safe_load(text) == realm
    assert text[0] in "\"'" and "\n" not in text


@pytest.mark.pure
def test_a_bucket_of_digits_stays_a_text(p):
    assert config.environment(changed(p, bucket="123e4"))["REGISTRY_STORAGE_S3_BUCKET"] == '"123e4"'


@pytest.mark.pure
def test_the_image_is_the_blogs_two_lines_and_the_file(p, tmp_path):
    folder = config.write_image(p, tmp_path / "new" / "image")
    assert sorted(file.name for file in folder.iterdir()) == ["Dockerfile", "config.yml"]
    assert (folder / "Dockerfile").read_text() == (
        "FROM registry:2.8.3\nCOPY config.yml /etc/docker/registry/config.yml\n"
    )
    assert (folder / "config.yml").read_text() == config.config_yml(p)
    assert (folder / "config.yml").stat().st_mode & 0o444 == 0o444
    config.write_image(changed(p, realm="another"), folder)
    assert "realm: another\n" in (folder / "config.yml").read_text()


# The same with the real program, on loopback, over moto's S3.

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def s3():
    """moto's S3 on a loopback port: its endpoint and a client."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    try:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-central-1"}
        yield endpoint, boto3.client("s3", endpoint_url=endpoint, **keys)
    finally:
        server.stop()


@pytest.fixture
def registry(tmp_path, s3):
    """`registry(yml, variables)`: Distribution's own program; gives its URL and the file of its log."""
    endpoint, _ = s3
    processes = []
    (tmp_path / "htpasswd").write_bytes(b"testuser:" + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5)) + b"\n")

    def start(yml, variables, inside=(), **more):
        address = free_address()
        number = len(processes)
        file, log = tmp_path / f"config{number}.yml", tmp_path / f"log{number}"
        file.write_text(yml)
        here = {
            "REGISTRY_HTTP_ADDR": address,
            "REGISTRY_HTTP_SECRET": "testing",
            "REGISTRY_AUTH_HTPASSWD_PATH": str(tmp_path / "htpasswd"),
            "REGISTRY_STORAGE_S3_ACCESSKEY": "testing",
            "REGISTRY_STORAGE_S3_SECRETKEY": "testing",
            "REGISTRY_STORAGE_S3_REGIONENDPOINT": endpoint,
            "REGISTRY_STORAGE_S3_SECURE": "false",
            "REGISTRY_HEALTH_STORAGEDRIVER_INTERVAL": "100ms",
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [PROGRAM, "serve", file],
                env=variables | here | more,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        processes.append(process)
        return f"http://{address}", log, process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def answer(url, status, log):
    """The first answer of /v2/ with that status, within 30 s."""
    until, seen = time.monotonic() + 30, "no answer"
    while time.monotonic() < until:
        try:
            response = requests.get(f"{url}/v2/", timeout=5)
            if response.status_code == status:
                return response
            seen = response.status_code
        except requests.ConnectionError:
            pass
        time.sleep(0.05)
    pytest.fail(f"wanted {status}, seen {seen}; the log ends with {log.read_text()[-2000:]}")


def forms(p):
    own = changed(p, image="example/docker-registry-ecs:1.0", configured_by="image")
    generic = config.config_yml(changed(p, realm="basic-realm", bucket="set-via-env-vars", region="us-east-1"))
    return {
        "environment": (images.CONFIG, config.environment(p)),
        "image": (config.config_yml(p), {}),
        "image and variables": (generic, config.environment(own)),
    }


@pytest.mark.embedded
@pytest.mark.parametrize("form", ["environment", "image", "image and variables"])
def test_the_real_registry_is_the_same_however_it_is_configured(p, s3, registry, form):
    _, client = s3
    p = changed(p, bucket="registry-" + form.replace(" ", "-"), realm="private: #1")
    url, log, _ = registry(*forms(p)[form])

    answer(url, 503, log)  # no bucket: its health check is on
    client.create_bucket(Bucket=p.bucket, CreateBucketConfiguration={"LocationConstraint": p.region})
    refused = answer(url, 401, log)  # an empty bucket is healthy
    assert refused.headers["Www-Authenticate"] == 'Basic realm="private: #1"'
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert refused.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert refused.json()["errors"][0]["code"] == "UNAUTHORIZED"

    with requests.Session() as session:
        session.auth = ("testuser", PASSWORD)
        assert session.get(f"{url}/v2/").json() == {}
        blob = b"a layer"
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        upload = session.post(f"{url}/v2/team/app/blobs/uploads/").headers["Location"]
        assert session.put(upload, params={"digest": digest}, data=blob).status_code == 201

    hexadecimal = digest.removeprefix("sha256:")
    stored = client.head_object(
        Bucket=p.bucket, Key=f"docker/registry/v2/blobs/sha256/{hexadecimal[:2]}/{hexadecimal}/data"
    )
    assert stored["ServerSideEncryption"] == "AES256"
    assert "using inmemory blob descriptor cache" in log.read_text()
    assert "service=registry" in log.read_text()


@pytest.mark.embedded
def test_without_registry_storage_the_stock_image_does_not_start(p, registry):
    variables = config.environment(p)
    del variables["REGISTRY_STORAGE"]
    _, log, process = registry(images.CONFIG, variables)
    assert process.wait(30) != 0
    assert "multiple storage drivers specified" in log.read_text()


@pytest.fixture
def cache(tmp_path):
    """A real Redis server on loopback: its "host:port", and the process."""
    address = free_address()
    host, port = address.split(":")
    command = ["redis-server", "--bind", host, "--port", port, "--save", "", "--dir", tmp_path]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield address, process
    finally:
        process.kill()
        process.wait()


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "{}:{}".format(*probe.getsockname())


def keys(address):
    """What Redis has of blobs."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"KEYS blobs::*\r\n")
        return connection.recv(65536).count(b"blobs::sha256")


@pytest.mark.embedded
def test_the_real_registry_shares_its_cache_tells_its_metrics_apart_and_drains(s3, registry, cache):
    _, client = s3
    address, redis = cache
    p = production(bucket="registry-with-a-cache", **VERSION_2)
    client.create_bucket(Bucket=p.bucket, CreateBucketConfiguration={"LocationConstraint": p.region})
    debug = free_address()
    wanted = dict(config.environment(p))
    wanted["REGISTRY_REDIS"] = wanted["REGISTRY_REDIS"].replace(config.cache_word(p), address)
    url, log, process = registry(images.CONFIG, wanted, REGISTRY_HTTP_DEBUG_ADDR=debug)
    answer(url, 401, log)

    with requests.Session() as session:
        session.auth = ("testuser", PASSWORD)
        blob = b"a layer"
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        upload = session.post(f"{url}/v2/team/app/blobs/uploads/").headers["Location"]
        assert session.put(upload, params={"digest": digest}, data=blob).status_code == 201
        assert session.head(f"{url}/v2/team/app/blobs/{digest}", allow_redirects=False).status_code in (200, 307)
        assert keys(address) > 0
        redis.kill()
        redis.wait()
        answered = session.head(f"{url}/v2/team/app/blobs/{digest}", allow_redirects=False)
        assert answered.status_code in (200, 307)  # from S3
        assert session.get(f"{url}/metrics").status_code == session.get(f"{url}/debug/health").status_code == 404

    assert "registry_storage_cache_total" in requests.get(f"http://{debug}/metrics", timeout=5).text
    process.terminate()
    assert process.wait(30) == 0
    said = log.read_text()
    assert "using redis blob descriptor cache" in said and "stopping server gracefully" in said
    assert "unrecognized" not in said


# As the task definition has it: a file system to read alone, another user than root, no capability.
BARE = ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--unshare-pid", "--unshare-user", "--uid", "1000",
        "--gid", "1000", "--cap-drop", "ALL", "--die-with-parent"]  # fmt: skip


@pytest.mark.embedded
def test_the_real_registry_needs_no_root_and_no_file_to_write(s3, registry):
    _, client = s3
    p = production(bucket="registry-that-is-bare", cache="memory", **VERSION_2)
    client.create_bucket(Bucket=p.bucket, CreateBucketConfiguration={"LocationConstraint": p.region})
    url, log, _ = registry(images.CONFIG, config.environment(p), inside=BARE, REGISTRY_HTTP_DEBUG_ADDR=free_address())
    answer(url, 401, log)
    with requests.Session() as session:
        session.auth = ("testuser", PASSWORD)
        blob = b"0123456789abcdef" * 400_000  # more than one chunk
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        upload = session.post(f"{url}/v2/team/app/blobs/uploads/").headers["Location"]
        upload = session.patch(upload, data=blob[:3_000_000]).headers["Location"]
        upload = session.patch(upload, data=blob[3_000_000:]).headers["Location"]
        assert session.put(upload, params={"digest": digest}).status_code == 201
        assert hashlib.sha256(session.get(f"{url}/v2/team/app/blobs/{digest}").content).hexdigest() in digest

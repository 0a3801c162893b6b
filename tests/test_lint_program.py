"""The lint's claims beside what the real registry program does with the same file and variables."""

import re
import subprocess
import threading

import pytest
import yaml
from registries import free_port

from runbook import lint

pytestmark = pytest.mark.embedded

VERSION = (2, 8, 2)  # of Debian's package
NOWHERE = "http://127.0.0.1:9"
FILES = {"filesystem": {"rootdirectory": "data"}}
S3 = {"s3": {"region": "eu-central-1", "bucket": "images", "regionendpoint": NOWHERE}}
TO_S3 = {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_REGION": "eu-central-1", "REGISTRY_STORAGE_S3_BUCKET": "images"}
LOGIN = {"htpasswd": {"realm": "test", "path": "htpasswd"}}
REALM = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM": "test"}


def over(settings=None, **variables):
    """A case: what the file has beside version, http and files for a storage; and the variables."""
    return {"storage": FILES, **(settings or {})}, {f"REGISTRY_{name}": value for name, value in variables.items()}


# What the program says, and what the lint has to foresee of it. `None`: it starts.
CASES = {
    "nothing wrong": (over(), None),
    "a variable of another name than the key": (over(HEALTH_FILECHECKERS="[]", HEALTH_FILE="[]"), None),
    "a misspelt variable": (over(HTTP_ADR="127.0.0.1:1"), None),
    "a misspelt section": (over(HTPP_ADDR="127.0.0.1:1"), None),
    "a variable in small letters": (over(http_host="https://registry.example.com"), None),
    "redis' addrs in version 2": (over(REDIS_ADDRS="[127.0.0.1:9]"), None),
    "redis' tls in version 2": (over(REDIS_TLS_ENABLED="true"), None),
    "what came with version 3": (over(HTTP_H2C_ENABLED="true", LOG_REPORTCALLER="true", PROXY_TTL="1h"), None),
    "a variable deeper than its key": (over(HTTP_ADDR_X="1"), None),
    "a misspelt key of a map": (over(STORAGE_FILESYSTEM_ROTDIRECTORY="elsewhere"), None),
    "an unknown key in the file": (over({"htpp": {"addr": ":1"}}), None),
    "a map in a map of the file": (
        over({"storage": {**FILES, "maintenance": {"readonly": {"enabled": False}}}},
             STORAGE_MAINTENANCE_READONLY_ENABLED="true"), None),
    "read-only as a whole section": (over(STORAGE_MAINTENANCE_READONLY="{enabled: true}"), None),
    "read-only by a variable of its own": (
        over(STORAGE_MAINTENANCE_READONLY_ENABLED="true"), "readonly config key must contain additional keys"),
    "purging by a variable of its own": (
        over(STORAGE_MAINTENANCE_UPLOADPURGING_ENABLED="false"), "uploadpurging config key must contain"),
    "purging with nothing in it": (
        over({"storage": {**FILES, "maintenance": {"uploadpurging": None}}}), "uploadpurging config key must contain"),
    "two drivers in the file": (over({"storage": {**FILES, **S3}}), "must provide exactly one storage type"),
    "two drivers, one by a variable": (over(STORAGE_S3_BUCKET="images"), "multiple storage drivers specified"),
    "version 3's tag in version 2": (
        over({"storage": {**FILES, "tag": {"concurrencylimit": 5}}}), "must provide exactly one storage type"),
    "no driver": (over({"storage": {"cache": {"blobdescriptor": "inmemory"}}}), "no storage configuration provided"),
    "s3 takes the place of files": (
        (over()[0], {**TO_S3, "REGISTRY_STORAGE_S3_REGIONENDPOINT": NOWHERE}), None),
    "s3 in the file": (over({"storage": S3}), None),
    "no region": (over(STORAGE="s3"), "no region parameter provided"),
    "an empty region": ((over()[0], TO_S3 | {"REGISTRY_STORAGE_S3_REGION": ""}), "no region parameter provided"),
    "no region to an endpoint": (over({"storage": {"s3": {"bucket": "b", "regionendpoint": NOWHERE}}}),
                                 "no region parameter provided"),
    "the blog's region": (
        (over()[0], TO_S3 | {"REGISTRY_STORAGE_S3_REGION": "set-via-env-vars"}), "invalid region provided"),
    "no bucket": (over(STORAGE="s3", STORAGE_S3_REGION="eu-central-1"), "no bucket parameter provided"),
    "small parts": ((over()[0], TO_S3 | {"REGISTRY_STORAGE_S3_CHUNKSIZE": "5"}), "the chunksize 5 parameter"),
    "neither true nor false": (
        (over()[0], TO_S3 | {"REGISTRY_STORAGE_S3_SECURE": "perhaps"}), "the secure parameter should be a boolean"),
    "old signatures": ((over()[0], TO_S3 | {"REGISTRY_STORAGE_S3_V4AUTH": "false"}), "only be used with v4"),
    "no such driver": (over(STORAGE="s4"), "StorageDriver not registered: s4"),
    "a driver in capitals": (over(STORAGE="S3"), "StorageDriver not registered: S3"),
    "no version": (over({"version": None}), "nsupported version"),
    "another version": (over({"version": 0.2}), "nsupported version"),
    "htpasswd": (over({"auth": LOGIN}), None),
    "no realm": (over(AUTH="htpasswd", AUTH_HTPASSWD_PATH="htpasswd"), '"realm" must be set'),
    "a realm that is a number": (
        (over()[0], REALM | {"REGISTRY_AUTH_HTPASSWD_REALM": "12", "REGISTRY_AUTH_HTPASSWD_PATH": "h"}),
        '"realm" must be set'),
    "no path": ((over()[0], REALM), '"path" must be set'),
    "two kinds of authentication": (
        over({"auth": {**LOGIN, "silly": {"realm": "a", "service": "b"}}}), "must provide exactly one type"),
    "no such authentication": (over({"auth": {"htpaswd": LOGIN["htpasswd"]}}), "no access controller registered"),
    "a redis cache without redis": (over(STORAGE_CACHE_BLOBDESCRIPTOR="redis"), "redis configuration required"),
    "a redis cache under the old name": (
        over({"storage": {**FILES, "cache": {"layerinfo": "redis"}}}), "redis configuration required"),
    "a redis cache with version 3's addrs": (
        over({"storage": {**FILES, "cache": {"blobdescriptor": "redis"}}, "redis": {"addrs": ["127.0.0.1:9"]}}),
        "redis configuration required"),
    "a redis cache": (over(STORAGE_CACHE_BLOBDESCRIPTOR="redis", REDIS_ADDR="127.0.0.1:9"), None),
    "the cache's old name": (over({"storage": {**FILES, "cache": {"layerinfo": "inmemory"}}}), None),
    "no such cache": (over(STORAGE_CACHE_BLOBDESCRIPTOR="memcached"), None),
    "no truth": (over(HTTP_RELATIVEURLS="perhaps"), "cannot unmarshal"),
    "a map for a text": (over(HTTP_SECRET="a: b"), "cannot unmarshal"),
    "no YAML": (over(HTTP_SECRET="%abc"), "unknown directive"),
    "a number for a duration": (over(HTTP_DRAINTIMEOUT="10"), None),
    "no duration": (over(HTTP_DRAINTIMEOUT="10 s"), "cannot unmarshal"),
    "no level": (over(LOG_LEVEL="loud"), "invalid loglevel"),
    "a level in capitals": (over(LOG_LEVEL="INFO"), None),
    "a text for a list": (over({"http": {}}, **{"HTTP_HEADERS_X-A": "b"}), "cannot unmarshal"),
    "a text for a section in the file": (over({"health": "on"}), "cannot unmarshal"),
    "redirect, neither on nor off": (over(STORAGE_REDIRECT_DISABLE="maybe"), "invalid type for redirect config"),
}  # fmt: skip
IGNORED = re.compile(r"Ignoring (?:unrecognized )?environment variable (\S+?)(?:\"| involving)")


def run(folder, content, variables):
    """Start the program, until it listens or ends. Its log, and whether it listens."""
    (folder / "config.yml").write_text(yaml.safe_dump(content))
    process = subprocess.Popen(
        ["docker-registry", "serve", "config.yml"],
        cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    end = threading.Timer(30, process.kill)
    end.start()
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "listening on" in line:
                return "".join(lines), True
        return "".join(lines), False
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        end.cancel()


@pytest.mark.parametrize("case", CASES)
def test_the_program_does_what_the_lint_says(case, tmp_path):
    (settings, variables), said = CASES[case]
    http = {"addr": f"127.0.0.1:{free_port()}", "secret": "of this test", **settings.get("http", {})}
    content = {"version": 0.1, "log": {"accesslog": {"disabled": True}}, **settings, "http": http}
    content = {key: value for key, value in content.items() if value is not None}
    log, listens = run(tmp_path, content, variables)
    findings = lint.lint_environment(VERSION, variables, config=content)
    assert listens == (said is None), log
    assert said is None or said in log
    assert any("will not start" in each.what for each in findings) == (not listens), findings
    if listens:
        told = {each.where for each in findings if each.row in (14, 26) and "without a word" not in each.what}
        assert told == set(IGNORED.findall(log)), findings


SILENT = {
    "a variable deeper than its key": "REGISTRY_HTTP_ADDR_X",
    "a misspelt key of a map": "REGISTRY_STORAGE_FILESYSTEM_ROTDIRECTORY",
    "an unknown key in the file": "config.yml: htpp",
}


@pytest.mark.parametrize("case", SILENT)
def test_what_the_program_ignores_without_a_word_the_lint_tells(case, tmp_path):
    (settings, variables), _ = CASES[case]
    content = {"version": 0.1, "http": {"addr": f"127.0.0.1:{free_port()}", "secret": "of this test"}, **settings}
    log, listens = run(tmp_path, content, variables)
    assert listens and "gnoring" not in log and "elsewhere" not in log
    findings = lint.lint_environment(VERSION, variables, config=content)
    assert SILENT[case] in {each.where for each in findings if each.row == 14}


def test_content_for_a_path_starts_with_a_user_that_nobody_made(tmp_path):
    """Failures 16 and 17: the lint calls it an error, and the program provisions a user by itself."""
    (settings, _), _ = CASES["nothing wrong"]
    variables = REALM | {"REGISTRY_AUTH_HTPASSWD_PATH": "testuser:$2y$05$abc"}
    content = {"version": 0.1, "http": {"addr": f"127.0.0.1:{free_port()}", "secret": "of this test"}, **settings}
    log, listens = run(tmp_path, content, variables)
    assert listens and "htpasswd is missing, provisioning with default user" in log
    [finding] = [each for each in lint.lint_environment(VERSION, variables, config=content) if each.row == 16]
    assert (finding.severity, finding.where) == ("error", "REGISTRY_AUTH_HTPASSWD_PATH")

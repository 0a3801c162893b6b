"""What a registry is told about its address and its storage: configuration and environment in, variables out."""

import pytest

from runbook.local.distribution import additions

pytestmark = pytest.mark.pure

S3 = "storage: {s3: {accesskey: , bucket: b, secure: true}}"
FILES = "storage: {filesystem: {rootdirectory: /x}, cache: {blobdescriptor: inmemory}}"
NODE, NOWHERE = "127.9.1.1:5000", "127.9.3.1:0"


def added(config="", **env):
    ports = {5000: NODE, 5001: "127.9.1.1:7001"}
    return additions(config, env, endpoint="http://127.9.0.1:4566", ports=ports, nowhere=NOWHERE)


@pytest.mark.parametrize(
    "config, env, address",
    [
        ("", {}, NODE),
        ("http: {addr: ':5000'}", {}, NODE),
        ("http: {addr: '0.0.0.0:5000'}", {}, NODE),
        ("http: {addr: '127.0.0.1:5000'}", {}, NOWHERE),
        ("http: {addr: 'localhost:5000'}", {}, NOWHERE),
        ("http: {addr: ':8080'}", {}, NOWHERE),
        ("http: {addr: ':8080'}", {"REGISTRY_HTTP_ADDR": ":5000"}, NODE),
        ("http: {addr: ':5000'}", {"REGISTRY_HTTP_ADDR": ":5002"}, NOWHERE),
        ("http: {addr: ':5000'}", {"REGISTRY_HTTP": "{addr: ':5002'}"}, NOWHERE),
        ("{ not yaml", {}, NODE),
    ],
)
def test_it_listens_only_where_a_mapping_leads(config, env, address):
    assert added(config, **env)["REGISTRY_HTTP_ADDR"] == address


def test_the_debug_address_is_told_only_if_there_is_one():
    assert "REGISTRY_HTTP_DEBUG_ADDR" not in added(FILES)
    assert added("http: {debug: {addr: ':5001'}}")["REGISTRY_HTTP_DEBUG_ADDR"] == "127.9.1.1:7001"
    assert added(REGISTRY_HTTP_DEBUG_ADDR="localhost:5001")["REGISTRY_HTTP_DEBUG_ADDR"] == NOWHERE


@pytest.mark.parametrize(
    "config, env, told",
    [
        (S3, {}, True),
        (FILES, {}, False),
        (FILES, {"REGISTRY_STORAGE": "s3"}, True),
        (FILES, {"REGISTRY_STORAGE": "s3", "REGISTRY_STORAGE_S3_BUCKET": "b"}, True),
        (S3, {"REGISTRY_STORAGE": "filesystem"}, False),
        (S3, {"REGISTRY_STORAGE_S3_REGIONENDPOINT": "http://127.0.0.1:9000"}, False),
        ("storage: {s3: {regionendpoint: 'http://127.0.0.1:9000'}}", {}, False),
    ],
)
def test_s3_is_the_clouds_own_unless_the_registry_names_another(config, env, told):
    s3 = {name: value for name, value in added(config, **env).items() if "S3" in name}
    assert s3 == (
        {
            "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true",
            "REGISTRY_STORAGE_S3_REGIONENDPOINT": "http://127.9.0.1:4566",
            "REGISTRY_STORAGE_S3_SECURE": "false",
        }
        if told
        else {}
    )


@pytest.mark.parametrize("region, told", [("eu-central-1", True), ("mx-central-1", True), ("eu-central-1x", False)])
def test_a_region_that_aws_does_not_have_gets_no_endpoint_that_would_hide_it(region, told):
    assert ("REGISTRY_STORAGE_S3_REGIONENDPOINT" in added(S3, REGISTRY_STORAGE_S3_REGION=region)) == told


def test_version_3_does_not_look_at_the_region():
    given = {"endpoint": "http://127.9.0.1:4566", "ports": {}, "nowhere": NOWHERE, "major": 3}
    told = additions(S3, {"REGISTRY_STORAGE_S3_REGION": "eu-central-1x"}, **given)
    assert "REGISTRY_STORAGE_S3_REGIONENDPOINT" in told

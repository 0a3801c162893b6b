import copy

import pytest
import yaml

from runbook import load, paths
from runbook.errors import ParamsError

pytestmark = pytest.mark.pure

GOOD = yaml.safe_load((paths.PARAMS / "blog.yml").read_text())["params"]


def changed(**fields):
    return {**copy.deepcopy(GOOD), **fields}


def test_a_name_a_path_and_a_mapping_give_the_same_params():
    by_name = load("blog")
    assert by_name.model_dump() == load(paths.PARAMS / "blog.yml").model_dump()
    assert by_name.model_dump() == load(GOOD).model_dump() == load({"params": GOOD}).model_dump()
    assert by_name.source == "params/blog.yml"


def test_what_papermill_records_loads_again():
    dumped = load("blog").model_dump(mode="json")
    assert load(dumped).model_dump() == load("blog").model_dump()


def test_params_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load("blog").region = "eu-west-1"


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "region": ["", "us-east-9x", "US-EAST-1", "eu-central-1\n", "us-gov-west-1", 1],
        "name": ["", "a" * 25, "internal-x", "-a", "a-", "ünicode", "a b", ";rm -rf", "a--b", "Registry", False, 1e3],
        "bucket": ["Upper", "a..b", "192.168.1.1", "ab", "a" * 64, "b/../c", "trailing.", "${x}", "under_score"],
        "domain": ["nodot", "registry.elastic.io.", "*.elastic.io", "elastic.io", f"{'a' * 64}.elastic.io",
                   "registry.example.com", "REGISTRY.elastic.io", "régistry.elastic.io"],
        "image": ["registry:latest", "registry", "registry:2.8.3@sha256:abc", "http://registry:2", "registry:3.1.1"],
        "users": [{}, {"a:b": "generate"}, {"a\r\nb": "generate"}, {"a\0": "generate"}, {"#a": "generate"},
                  {"a ": "generate"}, {"a" * 300: "generate"}, {"a": "hunter2"}, {"a": ""}, ["a"]],
        "nodes": [0, -1, 21, "1", 1.0, True],
        "replicas": [0, -1, 2, 1000],
        "instance_type": ["", "t3", "t3.small;"],
        "client_networks": [[], ["10.0.0.1/8"], ["anything"], "0.0.0.0/0"],
        "ssh_from": [["10.0.0.1/8"], ["everywhere"], ["0.0.0.0/0"], ["::/0"]],
        "idle_timeout": [0, 59, 4001, "300"],
        "bcrypt_cost": [4, 15, "10"],
        "configured_by": ["env", None],
        "certificate": ["arn:aws:iam::123456789012:server-certificate/x", 5],
        "realm": ["", 'a"b', "a\nb"],
        "cloud": ["gcp", None],
        "log_retention": [3, 0],
    }.items(),
)  # fmt: skip
def test_a_bad_value_is_refused_by_the_name_of_its_key(field, values):
    for value in values:
        with pytest.raises(ParamsError, match=field) as error:
            load(changed(**{field: value}))
        assert "hunter2" not in str(error.value)


def test_a_misspelt_key_is_told_with_the_right_one():
    with pytest.raises(ParamsError, match=r"unknown key `regoin`; did you mean `region`\?"):
        load(changed(regoin="eu-west-1"))


def test_a_missing_key_says_what_it_is_for():
    fields = copy.deepcopy(GOOD)
    del fields["bucket"]
    with pytest.raises(ParamsError, match="`bucket` is missing .S3 bucket"):
        load(fields)


def test_a_low_bcrypt_cost_needs_generated_passwords():
    assert load(changed(bcrypt_cost=5)).bcrypt_cost == 5
    with pytest.raises(ParamsError, match="bcrypt_cost"):
        load(changed(bcrypt_cost=5, users={"a": "env:A"}))


def test_an_own_image_needs_its_own_configuration():
    assert load(changed(image="registry-ecs:1", configured_by="image")).major_version is None
    with pytest.raises(ParamsError, match="configured_by"):
        load(changed(image="registry-ecs:1"))


def test_derived_names_fit_a_load_balancer():
    p = load(changed(name="a" * 24))
    for name in (p.balancer_name, p.balancer_group, p.node_group, p.node_role):
        assert len(name) <= 32 or name == p.balancer_group


def test_the_certificate_folder_is_below_the_home_unless_absolute(monkeypatch, tmp_path):
    monkeypatch.setenv("RUNBOOK_HOME", str(tmp_path))
    assert load("blog").certificate_folder == tmp_path / "live/registry.elastic.io"
    assert str(load(changed(certificate="/etc/x")).certificate_folder) == "/etc/x"
    arn = "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b"
    assert load(changed(certificate=arn)).certificate_folder is None


def test_a_region_that_the_registrys_s3_driver_does_not_know():
    with pytest.raises(ParamsError, match="region.*af-south-1.*registry:2.8.3.*eu-central-1.*configured_by: image"):
        load(changed(region="af-south-1"))
    own = {"image": "example/registry:1", "configured_by": "image"}
    assert load(changed(region="af-south-1", **own)).region == "af-south-1"


def test_a_yaml_error_names_the_line_and_shows_nothing_of_it(tmp_path):
    file = tmp_path / "x.yml"
    file.write_text("params:\n  users:\n    builder: 'hunter2\n  nodes: 1\n")
    with pytest.raises(ParamsError, match=r"x.yml: not valid YAML: .*, line \d") as caught:
        load(file)
    assert "hunter2" not in str(caught.value)

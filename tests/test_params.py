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
        "name": ["", "a" * 25, "internal-x", "sg", "sg-x", "-a", "a-", "ünicode", "a b", ";rm -rf", "a--b", "Registry",
                 False, 1e3],
        "bucket": ["Upper", "a..b", "192.168.1.1", "ab", "a" * 64, "b/../c", "trailing.", "${x}", "under_score"],
        "domain": ["nodot", "registry.elastic.io.", "*.elastic.io", "elastic.io", f"{'a' * 64}.elastic.io",
                   "registry.example.com", "REGISTRY.elastic.io", "régistry.elastic.io"],
        "image": ["registry:latest", "registry", "registry:2.8.3@sha256:abc", "http://registry:2", "registry:3",
                  "registry:3.0.0", "registry:3.1.0", "registry:4.0.0"],
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


def test_derived_names_fit_the_limits_of_aws():
    for p in (load(changed(name="a" * 24)), load({**load("production").model_dump(), "name": "a" * 24})):
        assert len(p.balancer_name) <= 32
        assert len(p.target_group_name) <= 32
        assert len(p.cache_name) <= 40
        assert max(map(len, (p.node_role, p.execution_role, p.task_role, p.user_name))) <= 64
        assert not p.capacity_provider_name.startswith(("aws", "ecs", "fargate"))


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


def scaled(**fields):
    return {**load("production").model_dump(), **fields}


def test_production_is_a_deployment_of_the_same_name_with_other_pieces():
    blog, production = load("blog"), load("production")
    assert (blog.name, blog.bucket, blog.domain) == (production.name, production.bucket, production.domain)
    for piece in ("service_name", "balancer_name", "balancer_group", "node_group", "node_role"):
        assert getattr(blog, piece) != getattr(production, piece), piece
    for piece in ("family", "cluster_name", "log_group", "http_secret", "htpasswd_secret"):
        assert getattr(blog, piece) == getattr(production, piece), piece


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("max_nodes", {"max_nodes": None}),
        ("max_nodes", {"max_nodes": 1}),
        ("max_replicas", {"max_replicas": 1}),
        ("htpasswd", {"htpasswd": "node-folder"}),
        ("alarms_to", {"alarms": False, "alarms_to": "arn:aws:sns:eu-central-1:123456789012:ops"}),
        ("credentials", {"credentials": "task-role"}),
        ("credentials", {"cloud": "aws"}),
        ("max_nodes", {"capacity": "instances"}),
        ("tag", {"extra_tags": {"runbook:x": "y"}}),
        ("tag", {"extra_tags": {"aws:x": "y"}}),
        ("node_subnets", {"node_subnets": ["subnet-0123456789abcdef0"] * 2}),
        ("vpc", {"vpc": "vpc-xyz"}),
    ],
)
def test_what_is_impossible_together_is_refused_with_its_reason(field, fields):
    with pytest.raises(ParamsError, match=field):
        load(scaled(**fields))


def test_a_task_role_needs_registry_3_and_registry_3_may_be_anywhere():
    assert load(scaled(image="registry:3.1.1", credentials="task-role", region="af-south-1", cloud="aws"))
    with pytest.raises(ParamsError, match="never asks the endpoint"):
        load(scaled(credentials="task-role"))


def test_an_alias_can_stand_at_the_zones_apex_and_a_cname_cannot():
    assert load(scaled(domain="elastic.io")).url == "https://elastic.io"
    with pytest.raises(ParamsError, match="apex"):
        load(changed(domain="elastic.io"))


def test_in_a_notebook_they_are_folded():
    shown = load("blog")._repr_html_()
    assert shown.startswith("<details><summary>deployment registry (embedded, eu-central-1): ")
    assert "elastic-io-registry" in shown

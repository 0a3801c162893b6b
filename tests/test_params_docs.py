"""What editors and readers are told of a params file is what the model says today."""

import copy
import json

import jsonschema
import pytest
import yaml

from runbook import params_docs, paths
from runbook.params import Params
from runbook.params_file import SCHEMA_LINE, names

pytestmark = pytest.mark.pure

SCHEMA = json.loads(params_docs.schema())


def file(name="blog"):
    return yaml.safe_load((paths.PARAMS / f"{name}.yml").read_text())


def test_the_schema_and_the_page_are_fresh():
    again = "python -m runbook params"
    assert (paths.PARAMS / "schema.json").read_text() == params_docs.schema(), f"{again} --schema > params/schema.json"
    assert (paths.PROJECT / "docs/params.md").read_text() == params_docs.page(), f"{again} --page > docs/params.md"


@pytest.mark.parametrize("name", ["blog", "production"])
def test_the_templates_name_the_schema_and_keep_to_it(name):
    assert (paths.PARAMS / f"{name}.yml").read_text().splitlines()[0] == SCHEMA_LINE
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(file(name), SCHEMA)


@pytest.mark.parametrize(
    ("key", "value"),
    [("regoin", "eu-central-1"), ("region", "moon"), ("name", "Upper"), ("nodes", "1"), ("nodes", 21), ("cloud", "x"),
     ("bucket", "A"), ("ssh_from", "all"), ("log_retention", 3), ("users", {}), ("name", "a" * 25)],
)  # fmt: skip
def test_an_editor_marks_what_the_model_refuses(key, value):
    content = copy.deepcopy(file())
    content["params"][key] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def test_every_key_has_a_description_in_all_three():
    for shown in (params_docs.keys(), params_docs.page()):
        assert all(key in shown and field.description in shown for key, field in Params.model_fields.items())
    properties = SCHEMA["properties"]["params"]["properties"]
    assert {key: each["description"] for key, each in properties.items()} == {
        key: field.description for key, field in Params.model_fields.items()
    }


def test_params_files_are_found_by_name():
    assert {"blog", "production"} <= set(names())

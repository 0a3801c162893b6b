"""A task definition that the lint is given by its name."""

import json

import pytest
from blog_texts import TASK

from runbook.__main__ import main

pytestmark = pytest.mark.moto


@pytest.fixture
def registered(aws):
    return aws.ecs.register_task_definition(**json.loads(TASK))["taskDefinition"]["taskDefinitionArn"]


def test_by_its_arn_and_by_its_revision_it_is_the_file(registered, tmp_path, capsys):
    file = tmp_path / "task.json"
    file.write_text(TASK)
    said = []
    for arguments in ([str(file)], [registered], ["registry:1", "--region", "eu-central-1"]):
        assert main(["lint", *arguments]) == 1
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] == said[2] and "REGISTRY_STORAGE_S3_BUCKET" in said[0]


def test_one_that_is_not_there_is_said(registered, capsys):
    assert main(["lint", registered.replace(":1", ":7")]) == 2
    assert "eu-central-1 has no such task definition" in capsys.readouterr().err

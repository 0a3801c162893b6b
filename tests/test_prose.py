"""What the notebooks say follows the params, and quotes the blog where the deployment differs."""

import inspect

import pytest

from runbook import load, prose
from runbook.report import Prose

pytestmark = pytest.mark.pure
TEXTS = [function for name, function in inspect.getmembers(prose, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("text", TEXTS, ids=lambda function: function.__name__)
def test_the_production_choice_is_told_and_the_blogs_is_quoted(text):
    blog, production = text(load("blog")), text(load("production"))
    assert isinstance(production, Prose)
    assert production != blog
    if text not in (prose.picture, prose.todos):
        assert "In the blog" in production


def test_no_choice_is_left_without_words():
    fields = load("production").model_dump()
    for image, credentials in (("registry:2.8.3", "instance-role"), ("registry:3.1.1", "task-role")):
        p = load({**fields, "image": image, "credentials": credentials})
        assert "No key exists" in prose.identity(p)
    assert "encrypted" in prose.cache(load({**fields, "image": "registry:3.1.1", "credentials": "task-role"}))
    assert "plain text" in prose.cache(load(fields))


def test_what_is_said_holds_for_mixed_choices():
    fields = load("blog").model_dump()
    mixed = {"htpasswd": "init-container", "credentials": "instance-role", "cache": "elasticache"}
    p = load({**fields, **mixed})
    assert "init container" in prose.picture(p) and "file on the node" not in prose.picture(p)
    assert "role, no key" in prose.picture(p) and "there is no access key" in prose.task(p)
    assert "Only the nodes reach the cache" in prose.groups(p)
    assert "some seconds without a registry" in prose.users(p)
    plain = load({**load("production").model_dump(), "cache": "memory", "credentials": "access-key", "alarms": False})
    assert "access key" in prose.picture(plain) and "no key" not in prose.picture(plain)
    assert not any(word in prose.picture(plain) for word in ("ElastiCache", "alarms", "share a cache"))


def test_the_todos_say_how_to_close_what_is_open():
    assert prose.todos(load("blog")).count("Closed by") == 4
    assert prose.todos(load("production")).count("closed:") == 4

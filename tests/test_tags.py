"""Tags in whichever shape a service has them: ours are kept as wanted, those of others are not looked at."""

import pytest

import runbook
from runbook import tags

pytestmark = pytest.mark.pure
SHAPES = {
    "a list": [{"Key": "team", "Value": "platform"}, {"Key": "theirs", "Value": ""}],
    "a list in small letters": [{"key": "team", "value": "platform"}, {"key": "theirs", "value": ""}],
    "a mapping": {"team": "platform", "theirs": ""},
}


def tagged(**extra_tags):
    return runbook.load({**runbook.load("blog").model_dump(), "extra_tags": extra_tags})


@pytest.mark.parametrize("seen", SHAPES.values(), ids=SHAPES)
def test_each_shape_is_read_and_tags_of_others_are_no_difference(seen):
    assert tags.read(seen) == {"team": "platform", "theirs": ""}
    p = tagged(team="platform")
    assert tags.found(p, seen) == tags.want(p) == {"Tags": {"team": "platform"}}
    assert not tags.differ(p, tags.found(p, seen))


@pytest.mark.parametrize("seen", [None, [], {}, {"team": "other"}, {"Team": "platform"}])
def test_one_that_is_missing_or_has_another_value_differs(seen):
    p = tagged(team="platform")
    assert tags.differ(p, tags.found(p, seen))


def test_without_extra_tags_nothing_is_said():
    p = tagged()
    assert tags.want(p) == tags.found(p, {"theirs": "1"}) == {}
    assert not tags.differ(p, {})


def test_both_ways_to_write_them():
    assert tags.pairs({"a": "b"}) == [{"Key": "a", "Value": "b"}]
    assert tags.small_pairs({"a": "b"}) == [{"key": "a", "value": "b"}]
    assert tags.read(tags.small_pairs({"a": "b"})) == tags.read(tags.pairs({"a": "b"})) == {"a": "b"}

"""The deployment drawn from the params alone: every thing of the plan has its box, and the lit ones a word."""

from xml.etree import ElementTree

import pytest

from runbook import load, picture, plan

pytestmark = pytest.mark.pure
SVG = "{http://www.w3.org/2000/svg}"
UNDRAWN = {"former pieces"}


def drawn(p, lit=()):
    """The SVG, parsed: it is well-formed XML, which inline SVG need not be."""
    return ElementTree.fromstring(picture.picture(p, lit)._repr_html_())


def texts(svg):
    return [text.text for text in svg.iter(f"{SVG}text")]


@pytest.mark.parametrize("name", ["blog", "production"])
def test_it_is_a_picture_for_those_who_cannot_see_it(name):
    svg = drawn(load(name))
    assert svg.get("role") == "img"
    assert svg.find(f"{SVG}title").text == load(name).title
    assert load(name).bucket in svg.find(f"{SVG}desc").text


@pytest.mark.parametrize("step", plan.STEPS, ids=lambda step: step.thing)
def test_a_lit_thing_is_told_by_outline_and_word(step):
    p = load("production")
    plain, lit = drawn(p), drawn(p, {step.thing})
    outlined = [box for box in lit.iter(f"{SVG}rect") if "stroke-width:3" in box.get("style")]
    assert len(outlined) == (step.thing not in UNDRAWN)
    assert "this step" not in texts(plain)
    assert ("this step" in texts(lit)) == (step.thing not in UNDRAWN)
    assert repr(picture.picture(p, {step.thing})).count("(this step)") == (step.thing not in UNDRAWN)


def test_what_the_params_do_not_ask_for_is_not_drawn():
    blog = repr(picture.picture(load("blog"), {"cache", "alarms", "targets", "scaling"}))
    assert "ElastiCache" not in blog and "alarms" not in blog and "this step" not in blog
    assert "ElastiCache" in repr(picture.picture(load("production")))


def test_boxes_do_not_overlap_and_stay_inside():
    for name in ("blog", "production"):
        shown = picture.picture(load(name))
        width, height = map(float, drawn(load(name)).get("viewBox").split()[2:])
        spots = {(piece.left, piece.top) for piece in shown.pieces}
        assert len(spots) == len(shown.pieces)
        assert all(piece.right <= width and piece.top + 52 <= height for piece in shown.pieces)


def test_a_long_name_is_cut_in_its_box_and_whole_in_words():
    fields = load("blog").model_dump()
    p = load({**fields, "bucket": "b" * 63})
    assert "b" * 63 in repr(picture.picture(p))
    assert any(text.endswith("b…") for text in texts(drawn(p)))
    assert "b" * 63 not in texts(drawn(p))


def test_the_text_form_is_the_same_each_time():
    assert repr(picture.picture(load("blog"), ["task", "nodes"])) == repr(
        picture.picture(load("blog"), {"nodes", "task"})
    )

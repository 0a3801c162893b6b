from dataclasses import replace

import pytest

from runbook.errors import VerificationFailed
from runbook.report import Change, Changes, Document, Report, Text, added, compare, destroyed, kept, words
from runbook.secret import Secret

pytestmark = pytest.mark.pure

WANTED = {"Region": "eu-central-1", "Encryption": {"Algorithm": "AES256", "Key": None}, "Rules": [{"a": 1}]}


def test_equal_is_ok_and_changes_nothing():
    report = compare("bucket x", WANTED, {**WANTED, "CreatedByAws": "later"})
    assert report
    assert report.require() is report
    assert not report.changes
    assert repr(report.changes) == "= bucket x: nothing to change"
    assert repr(report.changes.done) == "= bucket x: unchanged"


def test_absent_is_one_check_and_a_creation():
    report = compare("bucket x", WANTED, None)
    assert not report
    assert repr(report) == "bucket x: NOT OK\n  differs exists  wanted present, found absent"
    assert repr(report.changes) == "+ bucket x: create"
    assert repr(report.changes.done) == "+ bucket x: created"


def test_each_difference_is_named_once_and_alone():
    found = {**WANTED, "Encryption": {"Algorithm": "aws:kms", "Key": None}}
    report = compare("bucket x", WANTED, found)
    assert repr(report.changes) == "~ bucket x: change\n    Encryption.Algorithm: aws:kms → AES256"
    with pytest.raises(VerificationFailed, match="bucket x: Encryption.Algorithm: wanted AES256, found aws:kms"):
        report.require()


def test_none_wanted_and_a_missing_parent_are_compared():
    assert not compare("x", {"Policy": None}, {"Policy": "open"})
    assert not compare("x", {"A": {"B": 1}}, {"A": None})


def test_what_somebody_added_is_a_difference_wherever_it_stands():
    found = {**WANTED, "Listeners": {"443": added({"rule": "there"})}, **added({"policy": "there"})}
    wrong = [str(check) for check in compare("bucket x", WANTED, found).checks if not check.ok]
    assert wrong == [
        "Listeners.443.Added.rule: wanted absent, found there",
        "Added.policy: wanted absent, found there",
    ]
    assert added({}) == {} and compare("bucket x", WANTED, {**WANTED, **added({})})


def test_one_wrong_part_makes_the_sum_wrong():
    good, bad = compare("x", {"a": 1}, {"a": 1}), Report("x").check("port", False, "open", "closed")
    assert not good + bad
    assert good.changes + bad.changes
    assert repr(bad.changes) == "~ x: change\n    port: closed → open"


def test_html_escapes_and_has_words_and_headers():
    html = Report("<b>").check("<i>", False, "<u>", "&")._repr_html_()
    assert "<b>" not in html
    assert "&lt;i&gt;" in html
    assert "differs" in html
    assert html.count('scope="col"') == 3
    assert "&lt;b&gt;" in Report("<b>").check("a", False, 1, 2).changes._repr_html_()


def test_destroyed_says_what_was_there():
    shown = repr(destroyed("a", True) + destroyed("b", False) + kept("c", "it is not ours"))
    assert shown.startswith("- a: destroyed\n= b: absent\n! c: kept\n    it is not ours\n")


def test_documents_and_texts_show_themselves():
    assert repr(Document(b=1, a="ü")) == '{\n  "b": 1,\n  "a": "ü"\n}'
    assert Document(a=1) == {"a": 1}
    assert repr(Text("FROM x\n")) == "FROM x"
    assert repr(Changes()) == "nothing to change"


def test_long_names_may_break_and_a_report_without_checks_is_a_line():
    html = Report("x").check("container.registry", True, 1, "arn:aws:s3:::bucket/*")._repr_html_()
    assert "container.<wbr>registry" in html
    assert "arn:<wbr>aws:<wbr>s3:::<wbr>bucket/*" in html
    assert Report("nothing <b>")._repr_html_() == "<p><b>nothing &lt;b&gt;: ok</b></p>"


def test_a_plan_of_several_ends_with_what_it_comes_to():
    plan = compare("a", WANTED, None).changes + Report("b").check("port", False, "open", "closed").changes
    assert repr(plan).endswith("Plan: 1 to create, 1 to change, 0 to destroy")
    assert repr(plan.done).endswith("Done: 1 created, 1 changed, 0 destroyed")
    same = compare("a", {}, {}).changes + compare("b", {}, {}).changes
    assert repr(same).endswith("Plan: nothing to change") and repr(same.done).endswith("Done: nothing to change")


def test_a_plan_says_which_notebook_and_what_it_costs():
    row = Change("nodes", "+", "create", notebook="02_create_a_task_definition", cost="about $24.03 a month")
    plan = Changes((row, replace(row, mark="=", word="nothing to change")), where="deployment x", cost="on AWS $62")
    assert repr(plan).splitlines() == [
        "deployment x",
        "+ nodes: create (notebook 02, about $24.03 a month)",
        "= nodes: nothing to change",
        "Plan: 1 to create, 0 to change, 0 to destroy",
        "All of it: on AWS $62",
    ]
    html = plan._repr_html_()
    assert '<a href="02_create_a_task_definition.ipynb">02</a>' in html and ">a month</th>" in html


def test_a_changed_field_is_now_and_wanted_and_those_of_a_new_thing_are_folded():
    changed = compare("x", {"a": 1, "b": 2}, {"a": 3, "b": 4}).changes._repr_html_()
    assert 'rowspan="2"' in changed and all(f">{name}</th>" in changed for name in ("field", "now", "wanted"))
    made = compare("x", {"a": 1, "b": 2}, None).changes._repr_html_()
    assert "<details><summary>2 fields</summary>" in made


def test_a_secret_is_told_as_sensitive():
    report = compare("x", {"Password": Secret("hunter2")}, {"Password": "old"})
    assert repr(report.changes) == "~ x: change\n    Password: old → (sensitive)"
    assert words({"Password": Secret("hunter2")}) == '{"Password": "(sensitive)"}'

import json
import re

import pytest

from runbook import as_json, paths
from runbook.doctor.diagnosis import Cause, Diagnosis
from runbook.finding import Finding, Findings
from runbook.plan import Reports
from runbook.report import Changes, Document, Report, compare

pytestmark = pytest.mark.pure

ABSENT = compare("bucket b", {"a": 1}, None)
DIFFERS = compare("task t", {"cpu": 1, "memory": 2}, {"cpu": 1, "memory": 3})
OK = compare("user u", {"a": 1}, {"a": 1})
FINDINGS = Findings([Finding("warning", "a.yml: log", "loud", "hush"), Finding("error", "b", "bad", "mend", 4)])
CAUSE = Diagnosis("deployment d", ("dns",), Cause.of(3, "seen", "seen too"))


def document(*found, **more):
    return json.loads(as_json.document("plan", "blog", 3, *found, **more))


def states(*found):
    return [(row["thing"], row["state"]) for row in document(*found)["rows"]]


def test_a_plan():
    changes = Reports((ABSENT, DIFFERS, OK)).changes
    assert states(changes) == [("bucket b", "create"), ("task t", "change"), ("user u", "nothing to change")]
    assert [row["details"] for row in document(changes)["rows"]] == [[], ["memory: 3 → 2"], []]
    assert document(Changes())["rows"] == []


def test_reports():
    found = document(Reports((ABSENT, DIFFERS)))["rows"]
    assert [(row["thing"], row["state"], row["check"]) for row in found] == [
        ("bucket b", "absent", "exists"),
        ("task t", "ok", "cpu"),
        ("task t", "differs", "memory"),
    ]
    assert (found[2]["wanted"], found[2]["found"]) == ("2", "3")
    assert states(Report("nothing to look at")) == [("nothing to look at", "ok")]


def test_a_failure_is_named_by_its_number_where_a_check_failed():
    report = Report("x").check("a", False, "1", "2", row=4).check("b", True, "1", "1", row=5)
    assert [row["failure"] for row in document(report)["rows"]] == [4, None]


def test_findings_the_worst_first():
    assert states(FINDINGS) == [("b", "error"), ("a.yml: log", "warning")]
    assert document(FINDINGS)["rows"][0]["failure"] == 4


def test_a_diagnosis():
    (row,) = document(CAUSE)["rows"]
    assert (row["state"], row["failure"], row["details"]) == ("differs", 3, ["seen", "seen too"])
    assert row["found"] and row["remedy"] and row["notebook"]
    assert states(Diagnosis("deployment d", ("dns",), None)) == [("deployment d", "ok")]


def test_a_document_has_a_row_a_key():
    rows = document(Document({"nodes": [1], "endpoint": "e"}))["rows"]
    assert [(row["thing"], row["found"]) for row in rows] == [("endpoint", "e"), ("nodes", [1])]


def test_every_document_has_the_same_keys_in_the_same_order_and_the_page_has_them():
    page = (paths.PROJECT / "docs/json.md").read_text()
    tables = [re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) for table in page.split("| key of a row |")]
    for found in (ABSENT, DIFFERS.changes, FINDINGS, CAUSE, Document(a=1)):
        shown = document(found, error="why")
        assert list(shown) == list(as_json.KEYS) and sorted(shown) == sorted(tables[0])
        assert all(list(row) == list(as_json.ROW_KEYS) == tables[1] for row in shown["rows"])


def test_what_has_no_rows_is_an_error_of_the_program():
    with pytest.raises(TypeError, match="int"):
        as_json.rows(1)

"""The box of an error: its sentence taken apart, the notebook that mends it, a traceback without values."""

import pytest

from runbook import errors
from runbook.error_box import box, headline
from runbook.errors import AwsError, CloudError, Denied, ParamsError, StepFailed, TimedOut, VerificationFailed
from runbook.report import Report

pytestmark = pytest.mark.pure


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "tried", "seen", "to_do"),
    [
        (StepFailed("bucket x: 403, another's; choose another name"), "bucket x", "403, another's", "choose"),
        (CloudError("the cloud is down; start it, or: python -m runbook"), "this cell", "the cloud is down", "start"),
        (Denied("s3", "PutObject", "AccessDenied", "no"), "s3 PutObject", "AccessDenied: no", "the caller needs"),
        (AwsError("s3", "PutObject", "SlowDown", "wait"), "s3 PutObject", "SlowDown: wait", "mend"),
        (TimedOut("service x: not within 9 s; last seen: 0 of 1"), "service x", "seen: 0 of 1", "run the cell again"),
        (ParamsError("params/x.yml: name: a; b"), "params/x.yml", "name: a; b", "correct the params"),
        (KeyError("x"), "this cell", "KeyError: 'x'", "run the cell again"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)  # fmt: skip
def test_a_sentence_is_taken_apart(error, tried, seen, to_do):
    made = box(raised(error))
    assert made.tried == tried
    assert seen in made.seen[0]
    assert to_do in made.to_do


def test_a_failed_check_names_the_notebook_that_mends_it():
    named = Report("before").check("users", False, "ok", "absent: run notebook 03_create_an_htpasswd_file")
    made = box(raised(VerificationFailed(named)))
    assert made.notebooks == ("03_create_an_htpasswd_file",)
    assert '<a href="03_create_an_htpasswd_file.ipynb">' in made._repr_html_()
    assert made.to_do == "run notebook 03 first, then this one again from the top"


def test_a_failed_check_that_points_to_a_failure_names_its_notebook():
    report = Report("registry").check("push", False, "201", "404 BLOB_UPLOAD_INVALID", row=1)
    assert box(raised(VerificationFailed(report))).notebooks == ("02_create_a_task_definition",)


def test_the_traceback_is_folded_and_has_no_words_of_what_it_came_from():
    def call():
        secret = "hunter2-hunter2"  # noqa: S105
        try:
            raise ValueError(f"refused: {secret}")
        except ValueError as error:
            raise StepFailed("login: refused; log in again") from error

    with pytest.raises(StepFailed) as caught:
        call()
    html = box(caught.value)._repr_html_()
    folded = html[html.index("<details>") :]
    assert "from ValueError" in folded and "test_error_box.py" in folded
    assert "hunter2" not in html


def test_html_is_escaped_and_rows_have_headers():
    html = box(raised(StepFailed("<b>: <i>; <u>")))._repr_html_()
    assert "<i>" not in html and "&lt;i&gt;" in html
    assert html.count('scope="row"') == 3 and 'role="alert"' in html


def test_what_stands_below_the_box_is_one_line():
    long = VerificationFailed(Report("users").check("a", False, 1, 2).check("b", False, 1, 2))
    assert headline(long) == "VerificationFailed: users: a: wanted 1, found 2 (and 1 more)"
    assert headline(errors.StepFailed("one\ntwo")) == "StepFailed: one"

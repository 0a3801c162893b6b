"""What is due: the moments that are understood, by AWS's clock."""

import datetime

import pytest

import runbook
from runbook import due
from runbook.errors import ParamsError

pytestmark = pytest.mark.moto


def test_without_a_moment_it_is_so_many_days_ago(aws, p):
    asked = due.since(aws, runbook.load({**p.model_dump(), "rotate_after": 30}))
    assert asked.words == "within 30 days"
    assert datetime.timedelta(days=30) <= due.now(aws) - asked.moment < datetime.timedelta(days=30, minutes=1)


@pytest.mark.parametrize(
    "given",
    [
        "2026-01-02T03:04:05Z",
        "2026-01-02T04:04:05+01:00",
        datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        due.Since(datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "since 2026-01-02 03:04:05 UTC"),
    ],
    ids=["Z", "offset", "datetime", "Since"],
)
def test_one_moment_in_every_form(aws, p, given):
    asked = due.since(aws, p, given)
    assert asked == (datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC), "since 2026-01-02 03:04:05 UTC")
    assert due.told(asked.moment, asked) == asked.words
    assert due.told(asked.moment - datetime.timedelta(seconds=1), asked) == "before, 2026-01-02"
    assert due.told(None, asked) == "absent"


@pytest.mark.parametrize(
    "given, says",
    [
        ("yesterday", "'yesterday' is no time"),
        ("2026-01-02", "has no zone"),
        (datetime.datetime(2026, 1, 2), "has no zone"),
        ("2999-01-01T00:00:00Z", "is still to come"),
    ],
)
def test_moments_that_cannot_be_meant(aws, p, given, says):
    with pytest.raises(ParamsError, match=says):
        due.since(aws, p, given)


def test_the_clock_is_that_of_aws(aws, monkeypatch):
    """This computer's may be wrong."""

    def later(parsed, **_):
        parsed["ResponseMetadata"]["HTTPHeaders"]["date"] = "Thu, 01 Jan 2032 00:00:00 GMT"

    aws.sts._client.meta.events.register("after-call.sts.GetCallerIdentity", later)
    assert due.now(aws) == datetime.datetime(2032, 1, 1, tzinfo=datetime.UTC)

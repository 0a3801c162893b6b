"""How old everything is, and what of it is due."""

import pytest
import rotated

from runbook import due, rotation

pytestmark = pytest.mark.moto


@pytest.fixture(autouse=True)
def scheduler(p, monkeypatch):
    return rotated.install(monkeypatch, p)


def ages(report):
    return {check.name: (check.ok, check.found) for check in report.checks}


def test_what_is_due_is_named_with_its_days(aws, p):
    assert set(ages(rotation.verify_ages(aws.read_only(), p)).values()) == {(False, "absent")}
    rotated.prepare(aws, p)
    report = rotation.verify_ages(aws.read_only(), p)
    assert ages(report)["S3 key"] == ages(report)["http secret"] == (False, "100 days old")
    assert "S3 key: wanted at most 90 days old, found 100 days old" in report.failures()
    since = due.now(aws)
    for thing in ("key", "http-secret"):
        rotation.STEPS[thing](aws, p, since=since)
    report = rotation.verify_ages(aws.read_only(), p)
    assert ages(report)["S3 key"] == ages(report)["http secret"] == (True, "0 days old")


def test_the_limit_is_the_params(aws, p):
    rotated.prepare(aws, p)
    patient = p.model_copy(update={"rotate_after": 100})
    assert ages(rotation.verify_ages(aws, patient))["S3 key"] == (True, "100 days old")
    hasty = p.model_copy(update={"rotate_after": 99})
    assert ages(rotation.verify_ages(aws, hasty))["S3 key"] == (False, "100 days old")


@pytest.mark.parametrize("left, ok", [(31, True), (30, False), (0, False), (-5, False), (None, False)])
def test_a_certificate_is_due_before_it_ends(aws, p, monkeypatch, left, ok):
    monkeypatch.setattr("runbook.certificate_renewal.days_left", lambda aws, p: left)
    found = ages(rotation.verify_ages(aws, p))["certificate"]
    assert found == (ok, "absent" if left is None else f"{left} days left")

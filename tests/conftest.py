"""What all rings share: params for a test, and AWS as moto plays it in the test's own process."""

import pytest
from moto import mock_aws

import runbook


@pytest.fixture
def p():
    """The blog's params, for AWS (which moto then plays)."""
    return runbook.load({**runbook.load("blog").model_dump(), "cloud": "aws"})


@pytest.fixture
def aws(p, monkeypatch):
    """A connection to moto; the caller's own AWS settings do not reach it."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    with mock_aws():
        yield runbook.connect(p)

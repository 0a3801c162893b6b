"""What the audit says of the blog's deployment as a stranger made it in 2015."""

import re

import pytest
import stranger
import world
from moto import mock_aws

import runbook
from runbook.audit import audit

pytestmark = pytest.mark.moto


@pytest.fixture
def made(p, account, monkeypatch, tmp_path):
    world.install(monkeypatch, p.region)
    world.write(tmp_path / "live")
    pem = [(tmp_path / "live" / name).read_text() for name in ("cert.pem", "privkey.pem")]
    with mock_aws():
        aws = runbook.connect(p)
        yield aws, *stranger.make(aws, pem)


def told(aws):
    text = repr(audit(aws, stranger.SERVICE, stranger.CLUSTER))
    return re.sub(r"\bi-[0-9a-f]+", "i-1", re.sub(r"\d{4}-\d\d-\d\d", "DAY", text))


def test_the_blog(made):
    aws, *_ = made
    print(told(aws))
    assert 0

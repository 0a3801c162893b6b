"""What the audit says of the blog's deployment as a stranger made it in 2015, and of it with one flaw more, or less."""

from pathlib import Path

import flaws
import pytest
import rules_told
import stranger
import world
from forked import forked
from moto import mock_aws

import runbook
from runbook.audit.rules import RULES
from runbook.session import AWS

pytestmark = pytest.mark.moto
SNAPSHOT = Path(__file__).parent / "blog_of_2015.txt"


@pytest.fixture
def made(p, account, monkeypatch, tmp_path):
    world.install(monkeypatch, p.region)
    world.write(tmp_path / "live")
    pem = [(tmp_path / "live" / name).read_bytes() for name in ("cert.pem", "privkey.pem", "chain.pem")]
    readers, read_only = {}, AWS.read_only  # one reader for all, whose clients take long to make
    monkeypatch.setattr(AWS, "read_only", lambda aws: readers.setdefault(id(aws), read_only(aws)))
    with mock_aws():
        aws = runbook.connect(p)
        yield aws, *stranger.make(aws, pem)


def told(aws):
    return rules_told.told(aws, stranger.SERVICE, stranger.CLUSTER)


def test_the_blog(made):
    aws, *secrets = made
    text = rules_told.text(aws, stranger.SERVICE, stranger.CLUSTER)
    assert text == SNAPSHOT.read_text().strip()
    assert len(secrets) == 2
    assert not [each for each in secrets if each in text]


@pytest.mark.pure
def test_every_rule_is_tried():
    """What the cache's TLS and a denied read say is in test_audit.py."""
    elsewhere = {"cache-no-tls", "cache-no-tls-2", "cache-tls-2", "not-read"}
    tried = {name for flaw in (*flaws.OF_STRANGER, *flaws.OF_PRODUCTION) for name, _ in (*flaw.new, *flaw.gone)}
    tried |= {name for name, _ in flaws.NOTES_OF_PRODUCTION} | rules_told.named(SNAPSHOT.read_text())
    assert RULES.keys() - tried == elsewhere


def test_each_flaw_is_one_finding_more(made):
    aws, *secrets = made
    before, wrong = told(aws), {}
    for flaw in flaws.OF_STRANGER:
        wrong |= rules_told.wrong(flaw, before, forked(lambda flaw=flaw: (flaw.change(aws), told(aws))[1]))
    assert not wrong, "\n".join(f"{name}: {each}" for name, each in wrong.items())

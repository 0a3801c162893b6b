"""What the audit says of production as the runbook makes it: nothing above a note; and of it with one flaw more."""

import flaws
import pytest
import rules_told
import world
from forked import forked

from runbook.audit import audit
from runbook.session import AWS

pytestmark = pytest.mark.moto


@pytest.fixture
def deployed(account, monkeypatch, tmp_path):
    """Its nodes are as its launch template says, which moto's instances of a group are not."""
    p = world.production()
    readers, read_only = {}, AWS.read_only  # one reader for all, whose clients take long to make
    monkeypatch.setattr(AWS, "read_only", lambda aws: readers.setdefault(id(aws), read_only(aws)))
    with world.account(p, monkeypatch, tmp_path / "node") as aws:
        world.deploy(aws, p)
        flaws.metadata("required", 1)(aws)
        flaws.volumes(True)(aws)
        for each in flaws.instances(aws):
            aws.ec2.associate_iam_instance_profile(InstanceId=each.id, IamInstanceProfile={"Name": p.node_role})
        yield aws, p


def test_production_gets_notes_alone(deployed):
    aws, p = deployed
    found = audit(aws, p.service_name, p.cluster_name)
    assert not found, found
    told = set(rules_told.told(aws, p.service_name, p.cluster_name).values())
    assert {each for each in told if each[0] != "lint"} == flaws.NOTES_OF_PRODUCTION


def test_each_flaw_is_one_finding_more(deployed):
    aws, p = deployed
    names = p.service_name, p.cluster_name
    before, wrong = rules_told.told(aws, *names), {}
    for flaw in flaws.OF_PRODUCTION:
        after = forked(lambda flaw=flaw: (flaw.change(aws), rules_told.told(aws, *names))[1])
        wrong |= rules_told.wrong(flaw, before, after)
    assert not wrong, "\n".join(f"{name}: {each}" for name, each in wrong.items())

"""A deployment among others: a tear-down leaves a full account byte for byte, and two deployments do not meet."""

import json
import re

import crowd
import pytest
import world
from forked import forked
from inventory import difference, inventory
from moto.backends import get_backend
from test_htpasswd import Nodes
from test_imported_certificate import leaf, pem, write

import runbook
from runbook import load, plan

pytestmark = pytest.mark.moto
LONG = [pytest.mark.long, pytest.mark.timeout(0)]

FILES = {"blog": world.blog, "production": lambda _, **changes: world.production(**changes)}
# Equal in their first 21 characters.
NAMES = "registry-of-the-team-a", "registry-of-the-team-b"


def same(before, after, p):
    """Equal, but for what moto remembers of things of `p` that are gone: their tags, a request, an order."""
    ours = json.dumps({"runbook:deployment": p.name})[1:-1]
    kept = re.compile(rf"\+ .*( / tags / .*{ours}| / _idempotency_tokens / | / launch_template_insert_order: )")
    found = [line for line in difference(before, after) if not kept.match(line)]
    assert not found, "\n".join(found)


def deploy(aws, p):
    for step in plan.STEPS:
        step.ensure(aws, p)


def destroy(aws, p):
    plan.destroy(aws, p, confirm=p.name, images=True)


def lived(aws, p):
    """A deployment from its begin over a change to its end."""
    deploy(aws, p)
    changed = load({**p.model_dump(), "idle_timeout": 400, "extra_tags": {"more": "tags"}})
    deploy(aws, changed)
    destroy(aws, changed)


def held(aws):
    """The inventory without the tags, which moto keeps, of instances, volumes and groups that are gone."""
    ec2 = get_backend("ec2")[aws.account][aws.region]
    there = {each.id for each in ec2.all_instances() if each.state != "terminated"} | set(ec2.volumes)
    there |= {group for groups in ec2.groups.values() for group in groups}
    for gone in [each for each in ec2.tags if each.startswith(("i-", "vol-", "sg-")) and each not in there]:
        del ec2.tags[gone]
    return inventory()


@pytest.mark.parametrize("which", ["production", pytest.param("blog", marks=LONG)])
def test_a_tear_down_leaves_an_account_full_of_other_things_as_it_was(account, monkeypatch, tmp_path, which, figure):
    p = FILES[which](tmp_path)
    with world.account(p, monkeypatch, tmp_path / "node") as aws:
        crowd.fill(aws, p)
        lived(
            aws, p
        )  # with the first one moto makes what an account has by itself, and keeps some words of what is gone
        before = held(aws)
        deploy(aws, p)
        assert plan.verify(aws, p).require()
        assert difference(before, held(aws))
        lived(aws, p)
        same(before, held(aws), p)
        figure("things of others in the account", sum(map(count, before.values())))


def count(backend):
    """The entries of a backend's collections."""
    return sum(len(part) for part in backend.values() if isinstance(part, (dict, list)))


def team(which, folder, letter):
    folder = folder / letter
    folder.mkdir(exist_ok=True)
    domain = f"team-{letter}.elastic.io"
    given = {"name": NAMES["ab".index(letter)], "bucket": f"elastic-io-{letter}", "domain": domain}
    p = FILES[which](folder, **given)
    if which == "blog":
        write(folder / "live", cert=pem(leaf(names=(domain,))))
    return p


def connected(p, folder):
    return Nodes(folder, connection := runbook.connect(p), p).play(connection)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("of_a, of_b", [("blog", "blog"), ("production", "production"), ("blog", "production")])
def test_two_deployments_of_one_account_zone_and_network_do_not_meet(account, monkeypatch, tmp_path, of_a, of_b):
    a, b = team(of_a, tmp_path, "a"), team(of_b, tmp_path, "b")
    with world.account(a, monkeypatch, tmp_path / "node-a") as aws_a:
        aws_b = connected(b, tmp_path / "node-b")
        aws_a.iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")

        def b_alone():
            deploy(aws_b, b)
            return held(aws_b)

        alone = forked(b_alone)
        deploy(aws_a, a)
        deploy(aws_b, b)
        with_a = held(aws_b)
        changed = load({**a.model_dump(), "idle_timeout": 400, "log_retention": 7, "extra_tags": {"more": "tags"}})
        deploy(aws_a, changed)
        assert not plan.changes(aws_b, b)
        assert [line for line in difference(with_a, held(aws_b)) if NAMES[1] in line.partition(": ")[0]] == []
        destroy(aws_a, changed)
        same(alone, held(aws_b), a)
        assert plan.verify(aws_b, b).require()

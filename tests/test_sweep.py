"""Killed before and after every write of a deployment, a change, an upgrade and a tear-down, a second run ends where
an undisturbed one does: nothing is there twice, nothing is left over. The whole account is compared."""

import itertools
import os
import random
import shutil
from collections.abc import Callable
from typing import NamedTuple

import pytest
import world
from inventory import difference, inventory
from kills import Kills, Point

from runbook import plan
from runbook.params import Params

pytestmark = pytest.mark.moto

BLOG_CHANGED = {
    "image": "registry:2.8.2",
    "realm": "another realm",
    "nodes": 2,
    "replicas": 2,
    "ssh_from": ["192.0.2.0/24"],
    "users": {"testuser": "generate", "newcomer": "generate"},
    "client_networks": ["192.0.2.0/24"],
    "idle_timeout": 400,
    "container_insights": True,
    "log_retention": 90,
}
PRODUCTION_CHANGED = BLOG_CHANGED | {
    "image": "registry:3.1.2",
    "nodes": 3,
    "replicas": 3,
    "max_replicas": 7,
    "instance_type": "t3.medium",
    "cache_node_type": "cache.t4g.small",
    "target_cpu": 50,
    "deregistration_delay": 100,
    "deletion_protection": True,
}


class Phase(NamedTuple):
    """A run, and the params that it follows. One that is not swept only leads to the next."""

    name: str
    p: Params
    run: Callable
    swept: bool = True


def push(aws, p):
    aws.s3.put_object(Bucket=p.bucket, Key="docker/registry/v2/one", Body=b"x")


def destroy(aws, p):
    plan.destroy(aws, p, confirm=p.name, images=True)


def chains(folder):
    """Runs that follow one another in one account."""
    blog, changed = world.blog(folder), world.blog(folder, **BLOG_CHANGED)
    production, larger = world.production(), world.production(**PRODUCTION_CHANGED)
    return {
        "blog": [
            Phase("blog", blog, world.deploy),
            Phase("push", blog, push, swept=False),
            Phase("blog changed", changed, world.deploy),
            Phase("blog destroyed", changed, destroy),
        ],
        "production": [
            Phase("production", production, world.deploy),
            Phase("push", production, push, swept=False),
            Phase("production changed", larger, world.deploy),
            Phase("production destroyed", larger, destroy),
            Phase("blog", blog, world.deploy, swept=False),
            Phase("push", blog, push, swept=False),
            Phase("blog to production", production, world.deploy),
        ],
    }


class Sweep:
    """The runs of a chain, killed at those points for which `chosen()` is true.

    `second()` is asked for each of them at which point the second run is killed as well; 0 is never.
    """

    def __init__(self, phases, folder, chosen, second):
        self.phases, self.folder, self.chosen, self.second = phases, folder, chosen, second
        self.writes, self.killed, self.wrong = {}, [], {}

    def run(self):
        first = self.phases[0].p
        self.running, self.again = (world.connect(first, self.folder) for _ in range(2))
        with Kills(self.running.aws, self._is_chosen, self._kill) as kills:
            for phase in self.phases:
                self.phase = phase
                self.phase.run(self.running.aws, self.phase.p)
                kills.reap()
                undisturbed = inventory()
                for point in kills.points:
                    self._judge(point, undisturbed)
                if self.phase.swept:
                    self.writes[self.phase.name] = kills.writes
                kills.points, kills.writes = [], []
        return self

    def _is_chosen(self):
        for service in self.running.aws._clients.keys() - self.again.aws._clients.keys():
            getattr(self.again.aws, service)  # making clients takes longest: here it is done for all forks
        return self.phase.swept and self.chosen()

    def _kill(self):
        """In the fork: what the account holds after a second run, and after a third where the second is killed."""
        number = self.second()
        if not number:
            return [Point("", self._complete(self.again), None)]
        at, second = itertools.count(1), world.connect(self.phases[0].p, self.folder)
        with Kills(second.aws, lambda: next(at) == number, lambda: self._complete(self.again)) as kills:
            told = self._complete(second)
        return [Point("", told, None), *kills.points]

    def _complete(self, nodes):
        nodes.move_to(self.folder.with_name(f"{self.folder.name}-{os.getpid()}"))
        self.phase.run(nodes.aws, self.phase.p)
        shutil.rmtree(nodes.folder)
        return inventory()

    def _judge(self, point, undisturbed):
        first = f"{self.phase.name}, {point.place}"
        for place, told, error in point.told or [point]:
            where = f"{first}, then {place}" if place and point.told else first
            self.killed.append(where)
            if lines := [error] if error else difference(undisturbed, told):
                self.wrong[where] = lines


@pytest.fixture(params=["blog", "production"])
def sweep(request, account, monkeypatch, tmp_path):
    """`sweep(chosen, second)`: the sweep of a chain, in an account of its own."""
    phases = chains(tmp_path)[request.param]
    with world.account(phases[0].p, monkeypatch, tmp_path / "node"):
        yield lambda chosen, second: Sweep(phases, tmp_path / "node", chosen, second).run()


def report(swept):
    """What did not converge, in words."""
    return "\n\n".join("\n".join((where, *lines[:20])) for where, lines in swept.wrong.items())


def test_a_run_that_was_killed_at_some_writes_is_completed_by_the_next(sweep, figure):
    every = 45
    at = itertools.count(random.randrange(every))
    swept = sweep(lambda: next(at) % every == 0, lambda: random.choice((0, 0, random.randrange(1, 30))))
    assert not swept.wrong, report(swept)
    assert len(swept.killed) >= 3
    figure("points killed, a sample", len(swept.killed))


@pytest.mark.long
def test_a_run_that_was_killed_at_any_write_is_completed_by_the_next(sweep, figure):
    swept = sweep(lambda: True, lambda: random.choice((0, 0, 0, random.randrange(1, 30))))
    points = 2 * sum(map(len, swept.writes.values()))
    for name, writes in swept.writes.items():
        figure(f"writes of {name}", len(writes))
    figure("points killed", points)
    figure("killed once more in the second run", len(swept.killed) - points)
    figure("converged", len(swept.killed) - len(swept.wrong))
    assert len({where.partition(", then ")[0] for where in swept.killed}) == points
    assert not swept.wrong, report(swept)

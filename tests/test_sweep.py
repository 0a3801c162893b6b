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

from runbook import lease, plan, wait
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

    `second()` is asked for each of them at which point the second run is killed as well; 0 is never. A point whose
    world is that of the point before it (the run neither waited nor changed anything in between) counts as `same`.
    """

    def __init__(self, phases, folder, chosen, second):
        self.phases, self.folder, self.chosen, self.second = phases, folder, chosen, second
        self.writes, self.killed, self.wrong, self.same = {}, [], {}, 0
        self.naps, self._world = 0, None

    def run(self):
        first, nap = self.phases[0].p, wait.time.sleep

        def sleep(seconds):
            self.naps += 1
            nap(seconds)

        wait.time.sleep = sleep
        self.running, self.again = (world.connect(first, self.folder) for _ in range(2))
        with Kills(self.running.aws, self._is_chosen, self._kill) as kills:
            for phase in self.phases:
                self.phase = phase
                self.phase.run(self.running.aws, self.phase.p)
                kills.reap()
                self._judge(kills.points)
                if self.phase.swept:
                    self.writes[self.phase.name] = kills.writes
                kills.points, kills.writes = [], []
        return self

    def _is_chosen(self, before):
        if not self.phase.swept or not self.chosen():
            self._world = None
            return False
        was, self._world = self._world, (self.naps, inventory())
        if before and was == self._world:
            self.same += 1
            return False
        for service in self.running.aws._clients.keys() - self.again.aws._clients.keys():
            getattr(self.again.aws, service)  # making clients takes longest: here it is done for all forks
        self.number = self.second()
        return True

    def _kill(self):
        """In the fork: what the account holds after a second run, and after a third where the second is killed."""
        if not self.number:
            return [Point("", self._complete(self.again), None)]
        at, second = itertools.count(1), world.connect(self.phases[0].p, self.folder)
        third = Kills(second.aws, lambda before: next(at) == self.number, lambda: self._complete(self.again))
        with third:
            told = self._complete(second)
        return [Point("", told, None), *third.points]

    def _complete(self, nodes):
        nodes.move_to(self.folder.with_name(f"{self.folder.name}-{os.getpid()}"))
        self.phase.run(nodes.aws, self.phase.p)
        shutil.rmtree(nodes.folder)
        return inventory()

    def _judge(self, points):
        undisturbed, before = inventory(), len(self.wrong)
        for point in points:
            first = f"{self.phase.name}, {point.place}"
            for place, told, error in point.told or [point]:
                where = f"{first}, then {place}" if place and point.told else first
                self.killed.append(where)
                if lines := [error] if error else difference(undisturbed, told):
                    self.wrong[where] = lines
                    print(where, *lines[:20], sep="\n")
        print(f"{self.phase.name}: {len(points)} points, {len(self.wrong) - before} did not converge")


@pytest.fixture
def dead(monkeypatch):
    """A run's lease names a process of this computer that has ended: the killed run itself lives on, in the test."""
    plain = lease._process
    ended = " ".join([*plain(os.getpid()).split()[:2], "4194305", "1"])  # Linux numbers no process so high, proc(5)
    monkeypatch.setattr(lease, "_process", lambda pid: ended if pid == os.getpid() else plain(pid))
    monkeypatch.setattr(lease, "SECONDS", 100_000)  # so that no lease is taken over because it is old
    monkeypatch.setattr(lease, "_RENEW_SECONDS", 10_000)
    monkeypatch.setattr(lease, "_RELEASE_SECONDS", None)  # giving it back has points, too, whose forks take longer


@pytest.fixture(params=["blog", "production"])
def sweep(request, account, dead, monkeypatch, tmp_path):
    """`sweep(chosen, second)`: the sweep of a chain, in an account of its own."""
    phases = chains(tmp_path)[request.param]
    with world.account(phases[0].p, monkeypatch, tmp_path / "node"):
        yield lambda chosen, second: Sweep(phases, tmp_path / "node", chosen, second).run()


CONTAINER = {"name": "one", "image": "one", "memory": 100}


def careless(aws, _):
    aws.ecs.register_task_definition(family="one", containerDefinitions=[CONTAINER])
    aws.ecs.create_cluster(clusterName="one")


def stubborn(aws, _):
    assert not aws.ecs.all("list_clusters", "clusterArns"), "half of it is there"
    aws.ecs.create_cluster(clusterName="one")
    aws.ecs.create_cluster(clusterName="two")


def careful(aws, _):
    if not aws.ecs.all("list_task_definitions", "taskDefinitionArns"):
        aws.ecs.register_task_definition(family="one", containerDefinitions=[CONTAINER])
    aws.ecs.create_cluster(clusterName="one")


@pytest.mark.parametrize("run, found", [(careless, "+ ecs"), (stubborn, "half of it is there"), (careful, None)])
def test_a_run_that_does_not_complete_what_it_finds_is_told(account, dead, monkeypatch, tmp_path, run, found):
    p = world.production()
    with world.account(p, monkeypatch, tmp_path / "node"):
        swept = Sweep([Phase("it", p, run)], tmp_path / "node", lambda: True, lambda: 0).run()
    assert (len(swept.killed), swept.same) == (3, 1)
    assert set(swept.wrong) == ({where for where in swept.killed if "after" in where} if found else set())
    assert all(found in "".join(lines) for lines in swept.wrong.values())


def test_a_run_that_was_killed_at_some_writes_is_completed_by_the_next(sweep, figure):
    every = 80
    at = itertools.count(random.randrange(every))
    swept = sweep(lambda: next(at) % every == 0, lambda: random.choice((0, 0, random.randrange(1, 30))))
    assert not swept.wrong
    assert len(swept.killed) >= 2
    figure("points killed, a sample", len(swept.killed))


@pytest.mark.long
def test_a_run_that_was_killed_at_any_write_is_completed_by_the_next(sweep, figure):
    swept = sweep(lambda: True, lambda: random.choice((0, 0, 0, random.randrange(1, 30))))
    first = [where for where in swept.killed if ", then " not in where]
    for name, writes in swept.writes.items():
        figure(f"writes of {name}", len(writes))
    figure("points killed", len(first) + swept.same)
    figure("of these in the same world as the point before", swept.same)
    figure("second runs killed, too", len(swept.killed) - len(first))
    figure("did not converge", len(swept.wrong))
    assert len(first) + swept.same == 2 * sum(map(len, swept.writes.values()))
    assert not swept.wrong

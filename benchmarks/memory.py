"""Memory of the embedded cloud while a client pushes 1 GB, beside what it has when idle.

Resident memory of the cloud's process, sampled every tenth of a second, and beside it that of all the programs which
it started (HAProxy, the registry, its sandbox). Each round has a new cloud with the blog's deployment.
"""

import sys
import threading
from statistics import median
from typing import NamedTuple

import psutil
import tables
from clouds import cloud, deploy
from pushing import MB, Client, Layer
from tables import Row

from runbook import connect, load

PARAMS, SIZE, MOST = "blog", 1000 * MB, 200
EVERY = 0.1  # seconds


class Memory(NamedTuple):
    """In MB."""

    cloud: float
    programs: float


def measure(rounds: int) -> list[Row]:
    found = [pushed(count, rounds) for count in range(rounds)]
    names = ("idle", "most during the push", "after it")
    middle = [Memory(*(median(each) for each in zip(*moment, strict=True))) for moment in zip(*found, strict=True)]
    lines = [(name, *(f"{each:.0f}" for each in memory)) for name, memory in zip(names, middle, strict=True)]
    print(tables.table(("MB", "the cloud's process", "the programs in it"), lines) + "\n")
    idle, most, _ = middle
    more = most.cloud - idle.cloud
    return [Row("memory during a 1 GB push", f"{more:.0f} MB above idle", f"≤ {MOST} MB", more <= MOST)]


def pushed(count: int, rounds: int) -> tuple[Memory, Memory, Memory]:
    """Idle, the most of each during the push, and after it."""
    tables.say(f"memory: round {count + 1} of {rounds}")
    with cloud() as there:
        deploy(PARAMS)
        p = load(PARAMS)
        aws, layer = connect(p), Layer(SIZE)
        idle, samples, over = memory(there.pid), [], threading.Event()

        def sample() -> None:
            while not over.wait(EVERY):
                samples.append(memory(there.pid))

        watching = threading.Thread(target=sample)
        watching.start()
        try:
            with aws.http() as session:
                Client(session, aws, p, p.url).push(layer)
        finally:
            over.set()
            watching.join()
        return idle, Memory(*map(max, zip(*samples, strict=True))), memory(there.pid)


def memory(pid: int) -> Memory:
    process = psutil.Process(pid)
    programs = 0
    for child in process.children(recursive=True):
        try:
            programs += child.memory_info().rss
        except psutil.NoSuchProcess:  # it has just ended
            continue
    return Memory(process.memory_info().rss / MB, programs / MB)


if __name__ == "__main__":
    sys.exit(tables.main(measure, __doc__))

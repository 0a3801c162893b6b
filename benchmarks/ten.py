"""Ten deployments in one account together, each by a process of its own, beside one alone.

Each is the blog's with a name, a bucket and a domain of its own. One alone is measured in a new cloud, the ten in
another; what they need of the cloud (certificate files, the zone) is there before.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import tables
import yaml
from clouds import cloud, deploy
from tables import Row

from runbook import load
from runbook.local.furnish import furnish

COUNT, MOST = 10, 4


def measure(rounds: int) -> list[Row]:
    one, ten = [], []
    for count in range(rounds):
        tables.say(f"ten: round {count + 1} of {rounds}")
        one.append(together(1))
        ten.append(together(COUNT))
    each, all_of_them = median(one), median(ten)
    print(tables.table(("deployments together", "s"), [(1, f"{each:.1f}"), (COUNT, f"{all_of_them:.1f}")]) + "\n")
    return [tables.at_most(f"{COUNT} deployments together", all_of_them / each, MOST, relation=" × one")]


def together(count: int) -> float:
    with cloud() as there:
        files = [write(there.home, number) for number in range(1, count + 1)]
        for file in files:
            furnish(load(file))
        begun = time.monotonic()
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(deploy, files))
        return time.monotonic() - begun


def write(home: Path, number: int) -> Path:
    blog = load("blog")
    domain = f"registry{number}.{blog.zone}"
    own = {"name": f"registry{number}", "bucket": f"{blog.bucket}-{number}", "domain": domain}
    file = home / f"registry{number}.yml"
    file.write_text(yaml.safe_dump({"params": {**blog.model_dump(), **own, "certificate": f"live/{domain}"}}))
    return file


if __name__ == "__main__":
    sys.exit(tables.main(measure, __doc__))

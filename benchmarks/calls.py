"""The blog's deployment by the runbook and by others: seconds, and calls counted at the embedded cloud.

Each round has a new cloud with an empty account for the boto3 script, for Ansible, for the runbook's steps and for a
run of its notebooks; once as it is and once with DELAY seconds added to each call, a realistic distance to AWS. A
program's seconds are those of its whole process. What is made is known everywhere at once in these clouds
(RUNBOOK_SETTLING_SECONDS=0), since a script without any check cannot wait for it.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple
from unittest.mock import patch

import tables
from clouds import OURS, Cloud, cloud
from tables import Row

from runbook import connect, load
from runbook.local.furnish import furnish
from runbook.paths import PROJECT

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from wanted import wanted  # noqa: E402

PARAMS = "blog"
DELAY = 0.08
DELAYS = (0.0, DELAY)
HERE = Path(__file__).parent
ANSIBLE = PROJECT / ".bench" / "ansible" / "bin"

SCRIPT, STEPS, RUN, PLAYBOOK = "boto3 script", "the runbook's steps", "`runbook run`, all notebooks", "Ansible"
SERIAL, THREADS = "describe once, serial", "describe once, threads"
PLAN, LOOK = "`runbook plan`, whole process", "the plan within a process"
COLD = (SCRIPT, STEPS, RUN, PLAYBOOK)
AGAIN = (SERIAL, THREADS, LOOK, PLAN, RUN, PLAYBOOK)
Key = tuple[str, str, float]
"""Cold or again, who, seconds added to each call."""


class Measured(NamedTuple):
    seconds: float
    calls: Counter
    steps: dict[str, float]


def measure(rounds: int) -> list[Row]:
    found: dict[Key, list[Measured]] = {}
    with patch.dict(os.environ, {"RUNBOOK_SETTLING_SECONDS": "0"}):
        for count in range(rounds):
            for delay in DELAYS:
                tables.say(f"calls: round {count + 1} of {rounds}, {delay * 1000:g} ms a call")
                for (when, who), measured in one_round(delay):
                    found.setdefault((when, who, delay), []).append(measured)
    middle = {key: Measured(median(m.seconds for m in ms), sorted(ms, key=total)[len(ms) // 2].calls,
                            {step: median(m.steps[step] for m in ms) for step in ms[0].steps})
              for key, ms in found.items()}  # fmt: skip
    print("### Cold\n\n" + peers("cold", COLD, SCRIPT, middle))
    print("\n### Again, with nothing to change\n\n" + peers("again", AGAIN, SERIAL, middle))
    print("\n### The calls that the steps make cold and the script does not\n")
    print(surplus(middle["cold", SCRIPT, 0.0].calls, middle["cold", STEPS, 0.0].calls))
    print("\n### The calls that the plan makes and the reads do not\n")
    print(surplus(middle["again", SERIAL, 0.0].calls, middle["again", PLAN, 0.0].calls))
    print("\n### Seconds of each step, cold\n")
    print(steps_table(middle) + "\n")
    return rows(middle)


def total(measured: Measured) -> int:
    return measured.calls.total()


def one_round(delay: float) -> Iterator[tuple[tuple[str, str], Measured]]:
    with furnished() as (there, file):
        for when, who, task in (("cold", SCRIPT, "cold"), ("again", SERIAL, "describe"), ("again", THREADS, "threads")):
            command = [sys.executable, str(HERE / "peers" / "straight.py"), task, str(file)]
            yield (when, who), timed(there, delay, command)
    if ANSIBLE.is_dir():
        with furnished() as (there, file):
            for when in ("cold", "again"):
                yield (when, PLAYBOOK), timed(there, delay, *playbook(there, file), changed=when == "cold")
    with furnished() as (there, _):
        ours = [sys.executable, str(OURS)]
        yield ("cold", STEPS), timed(there, delay, [*ours, "deploy", PARAMS])
        yield ("again", PLAN), timed(there, delay, [sys.executable, "-m", "runbook", "plan", PARAMS])
        looked = timed(there, delay, [*ours, "plan", PARAMS])
        half = Counter({name: count // 2 for name, count in looked.calls.items()})
        yield ("again", LOOK), Measured(looked.steps["plan"], half, {})
    with cloud() as there:
        for when in ("cold", "again"):
            yield (when, RUN), timed(there, delay, [sys.executable, "-m", "runbook", "run", PARAMS])


@contextmanager
def furnished() -> Iterator[tuple[Cloud, Path]]:
    """A cloud with the zone and the certificate's files, and what the peers read of what is wanted."""
    with cloud() as there:
        p = load(PARAMS)
        furnish(p)
        file = there.home / "wanted.json"
        file.touch(0o600)  # the certificate's key is in it
        file.write_text(wanted(p, account=connect(p).account, endpoint=there.counted.endpoint))
        yield there, file


def timed(
    there: Cloud, delay: float, command: list[str], environment: dict[str, str] | None = None, *, changed: bool = False
) -> Measured:
    there.counted.reset(delay=delay)
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=PROJECT)
    seconds, calls = time.monotonic() - begun, there.counted.calls()
    there.counted.reset()
    if done.returncode:
        said = done.stdout[-3000:] + done.stderr[-3000:]
        raise RuntimeError(f"{' '.join(command[-3:])}: exit {done.returncode}\n{said}")
    if environment and not changed and "changed=0 " not in done.stdout:
        raise RuntimeError(f"the playbook changed something again\n{done.stdout[-6000:]}")
    steps = json.loads(done.stdout.splitlines()[-1]) if command[1] == str(OURS) else {}
    return Measured(seconds, calls, steps)


def playbook(there: Cloud, file: Path) -> tuple[list[str], dict[str, str]]:
    """The command and its whole environment: nothing of the caller's Ansible or AWS settings reaches it."""
    p = load(PARAMS)
    environment = {
        "PATH": os.pathsep.join([str(ANSIBLE), os.defpath]),
        "HOME": str(there.home),
        "LANG": "C.UTF-8",
        "AWS_ENDPOINT_URL": there.counted.endpoint,
        "AWS_REGION": p.region,
        "AWS_DEFAULT_REGION": p.region,  # the route53 module asks boto3, which knows no other
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    python = f"ansible_python_interpreter={ANSIBLE / 'python'}"
    command = [str(ANSIBLE / "ansible-playbook"), "--inventory", "localhost,", "--extra-vars", python]
    return [*command, "--extra-vars", f"@{file}", str(HERE / "peers" / "playbook.yml")], environment


def peers(when: str, who: tuple[str, ...], floor: str, middle: dict[Key, Measured]) -> str:
    lines = []
    least = {delay: middle[when, floor, delay] for delay in DELAYS}
    for each in who:
        if (when, each, 0.0) not in middle:
            lines.append((each, "not measured: " + NO_ANSIBLE, *[""] * 5))
            continue
        near, far = (middle[when, each, delay] for delay in DELAYS)
        lines.append((
            each, near.calls.total(), f"{near.calls.total() / least[0.0].calls.total():.2f}",
            f"{near.seconds:.1f}", f"{near.seconds / least[0.0].seconds:.1f}",
            f"{far.seconds:.1f}", f"{far.seconds / least[DELAY].seconds:.1f}",
        ))  # fmt: skip
    far = f"{DELAY * 1000:g} ms a call"
    return tables.table(("who", "calls", "of the floor", "s", "of the floor", f"s, {far}", "of the floor"), lines)


NO_ANSIBLE = "no .bench/ansible; `make bench` makes it"


def surplus(floor: Counter, ours: Counter) -> str:
    names = sorted(ours | floor, key=lambda name: (floor[name] - ours[name], name))
    lines = [(name, floor[name], ours[name]) for name in names if ours[name] > floor[name]]
    one = [name for name, of_floor, of_ours in lines if of_ours - of_floor == 1]
    lines = [line for line in lines if line[0] not in one]
    return tables.table(("operation", "floor", "ours"), lines) + f"\n\nOne more each: {', '.join(one)}."


def steps_table(middle: dict[Key, Measured]) -> str:
    near, far = (middle["cold", STEPS, delay].steps for delay in DELAYS)
    lines = [(step, f"{near[step]:.1f}", f"{far[step]:.1f}") for step in near if max(near[step], far[step]) >= 0.05]
    return tables.table(("step", "s", f"s, {DELAY * 1000:g} ms a call"), lines)


def rows(middle: dict[Key, Measured]) -> list[Row]:
    def calls(when: str, who: str) -> int:
        return middle[when, who, 0.0].calls.total()

    def seconds(when: str, who: str, delay: float = 0.0) -> float:
        return middle[when, who, delay].seconds

    cold, again = calls("cold", STEPS), calls("again", PLAN)
    found = [
        tables.at_most("calls of a cold deployment", cold / calls("cold", SCRIPT), 1.5, relation=" × the script's"),
        tables.at_most("calls of a plan", again / calls("again", SERIAL), 1.25, relation=" × describe once"),
        tables.at_most(
            "plan, whole process, 80 ms a call",
            seconds("again", PLAN, DELAY) / seconds("again", THREADS, DELAY),
            1.5,
            relation=" × describe once in threads",
        ),
    ]
    for delay in DELAYS:
        at = f", {delay * 1000:g} ms a call"
        above = seconds("again", RUN, delay) - seconds("again", PLAN, delay)
        found.append(
            tables.at_most(f"`run` with nothing to change{at}", above, 5, unit=" s", relation=" above the plan")
        )
        for when, what, limit in (("again", "`run` with nothing to change", 1 / 3), ("cold", "cold `run`", 1)):
            if (when, PLAYBOOK, delay) in middle:
                ratio = seconds(when, RUN, delay) / seconds(when, PLAYBOOK, delay)
                row = tables.at_most(f"{what}{at}", ratio, round(limit, 2), relation=" × Ansible")
            else:
                row = Row(f"{what}{at}", NO_ANSIBLE, f"≤ {limit:.2g} × Ansible", None)
            found.append(row)
    return found


if __name__ == "__main__":
    sys.exit(tables.main(measure, __doc__))

"""The runbook's own steps, timed within the process: `python ours.py deploy|plan PARAMS`. Prints seconds as JSON.

`deploy` takes every step in order under one lease, in a cloud that is up and furnished, and prints the seconds of
each; `plan` those of one plan, after a first one for the clients and the imports.
"""

import json
import sys
import time

from runbook import connect, lease, load, plan
from runbook.params import Params


def deploy(p: Params) -> dict[str, float]:
    aws, seconds = connect(p), {}
    with lease.hold(aws, p):
        for step in plan.STEPS:
            begun = time.monotonic()
            step.ensure(aws, p)
            seconds[step.thing] = time.monotonic() - begun
    return seconds


def look(p: Params) -> dict[str, float]:
    aws = connect(p, read_only=True)
    plan.verify(aws, p)
    begun = time.monotonic()
    plan.verify(aws, p)
    return {"plan": time.monotonic() - begun}


if __name__ == "__main__":
    measured = {"deploy": deploy, "plan": look}[sys.argv[1]](load(sys.argv[2]))
    print(json.dumps(measured))

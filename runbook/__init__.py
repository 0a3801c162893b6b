"""A runbook for a private Docker registry on AWS: step functions, one module per thing, five verbs per thing.

`load` a params file, `connect`, then `want_x`, `find_x`, `ensure_x`, `verify_x`, `destroy_x` of each step's module.
`plan.STEPS` has the steps in their order.
"""

from pathlib import Path
from typing import Any

from . import params_file, session
from .at_failure import attend, explain
from .params import Params
from .session import AWS


def load(params: str | Path | dict[str, Any]) -> Params:
    """Params from a name, a path or a mapping; in a notebook errors are boxes from now on. See params_file.load."""
    explain()
    return params_file.load(params)


def connect(p: Params, *, read_only: bool = False) -> AWS:
    """Clients for the deployment's region; in a notebook the doctor attends from now on. Errors: session.connect."""
    aws = session.connect(p, read_only=read_only)
    attend(aws, p)
    return aws


__all__ = ["AWS", "Params", "connect", "load"]

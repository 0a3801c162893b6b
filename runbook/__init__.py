"""A runbook for a private Docker registry on AWS: step functions, one module per thing, five verbs per thing.

`load` a params file, `connect`, then `want_x`, `find_x`, `ensure_x`, `verify_x`, `destroy_x` of each step's module.
`plan.STEPS` has the steps in their order.
"""

from . import session
from .at_failure import attend
from .params import Params
from .params_file import load
from .session import AWS


def connect(p: Params, *, read_only: bool = False) -> AWS:
    """Clients for the deployment's region; in a notebook the doctor attends from now on. Errors: session.connect."""
    aws = session.connect(p, read_only=read_only)
    attend(aws, p)
    return aws


__all__ = ["AWS", "Params", "connect", "load"]

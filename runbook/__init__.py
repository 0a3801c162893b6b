"""A runbook for a private Docker registry on AWS: step functions, one module per thing, five verbs per thing.

`load` a params file, `connect`, then `want_x`, `find_x`, `ensure_x`, `verify_x`, `destroy_x` of each step's module.
`plan.STEPS` has the steps in their order.
"""

from .params import Params
from .params_file import load
from .session import AWS, connect

__all__ = ["AWS", "Params", "connect", "load"]

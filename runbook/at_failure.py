"""In a notebook: under a cell that ended with an error of the runbook, the doctor says what is wrong."""

import sys
from typing import Any

from .errors import ParamsError, RunbookError
from .params import Params
from .report import Text
from .session import AWS

_ATTENDED: list[tuple[AWS, Params]] = []  # the newest connection of this kernel


def attend(aws: AWS, p: Params) -> None:
    """From now on in this kernel; elsewhere nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if not shell:
        return
    if not _ATTENDED:
        shell.events.register("post_run_cell", _after)
    _ATTENDED[:] = [(aws, p)]


def _after(result: Any) -> None:
    error = result.error_in_exec
    if not isinstance(error, RunbookError) or isinstance(error, ParamsError):
        return
    from IPython.display import display

    from . import doctor

    aws, p = _ATTENDED[-1]
    try:
        display(doctor.diagnose(aws, p))
    except RunbookError as blind:
        display(Text(f"the doctor could not look: {blind}"))

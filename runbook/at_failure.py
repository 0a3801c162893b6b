"""In a notebook: a cell that ends with an error shows a box, and the doctor says below it what is wrong."""

import sys
from typing import Any

from .error_box import box, headline
from .errors import ParamsError, RunbookError
from .params import Params
from .report import Text
from .session import AWS

_ATTENDED: list[tuple[AWS, Params]] = []  # the newest connection of this kernel


def explain() -> None:
    """From now on in this kernel an error is a box with its traceback folded; elsewhere nothing."""
    if shell := _kernel_shell():
        shell.set_custom_exc((Exception,), _show)


def attend(aws: AWS, p: Params) -> None:
    """From now on in this kernel the doctor looks after an error of the runbook; elsewhere nothing."""
    shell = _kernel_shell()
    if not shell:
        return
    explain()
    if not _ATTENDED:
        shell.events.register("post_run_cell", _after)
    _ATTENDED[:] = [(aws, p)]


def _kernel_shell() -> Any:
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return shell if hasattr(shell, "kernel") else None


def _show(shell: Any, kind: type, error: BaseException, traceback: Any, tb_offset: int | None = None) -> None:
    """The box, and the error itself in one line, from which papermill and nbval know that the cell failed."""
    from IPython.display import display

    if isinstance(error, SyntaxError):
        shell.showsyntaxerror()
        return
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, traceback  # for %tb and %debug
    display(box(error))
    shell._showtraceback(kind, error, [headline(error)])


def _after(result: Any) -> None:
    error = result.error_in_exec
    if not isinstance(error, RunbookError) or isinstance(error, ParamsError):
        return
    from IPython.display import display

    from . import doctor

    aws, p = _ATTENDED[-1]
    shown = display(Text("the doctor looks for the cause …"), display_id=True)
    try:
        shown.update(doctor.diagnose(aws, p))
    except RunbookError as blind:
        shown.update(Text(f"the doctor could not look: {blind}"))

"""The notebooks run by papermill without a person: one line a notebook, a verdict of our own, a report."""

import re
import sys
import time
from pathlib import Path

from . import engine, executed, lease, paths, run_log, run_report
from .errors import ParamsError, StepFailed
from .params import Params
from .run_result import Result, Run

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
CELL_TIMEOUT = 1800  # seconds; the steps' own waits end long before


def notebooks(*, start: str | None = None, only: str | None = None) -> list[Path]:
    """The set-up's notebooks in their order: 00 to 07, not the tear-down and not the day-two ones. With `start` from
    that one on, with `only` that one; two digits are enough. Those before it are not trusted: each notebook verifies
    them itself."""
    found = sorted(paths.NOTEBOOKS.glob("0[0-9]_*.ipynb"))
    if not (asked := only or start):
        return found
    at = next((at for at, path in enumerate(found) if asked in (path.stem, path.stem[:2], path.stem[1])), None)
    if at is None:
        raise ParamsError(f"no notebook {asked}; there are {', '.join(path.stem for path in found)}")
    return found[at : at + 1] if only else found[at:]


def run(
    p: Params,
    log: run_log.Lines | run_log.JsonLines | None = None,
    *,
    chosen: list[Path] | None = None,
    note: str = "",
    held: lease.Held | None = None,
) -> Run:
    """Execute each notebook in turn (all of the set-up's, or those that are `chosen`) until one is not ok.

    `note` is a sentence for the report on what was emulated. The notebooks work under the lease `held`, if given.
    An interruption (Ctrl-C, SIGTERM) is a verdict, no exception. The run's folder holds the executed notebooks, the
    one that failed as far as it came, and the report in its forms (`run_report`).
    """
    log, chosen = log or run_log.Lines(sys.stdout), notebooks() if chosen is None else chosen
    folder, started = _folder(p), run_log.now()
    results: list[Result] = []
    try:
        with engine.Interruption() as interruption, engine.kernels(held, interruption):
            for notebook in chosen:
                results.append(_one(notebook, folder / notebook.name, p, log, interruption))
                if not results[-1].ok:
                    break
    finally:
        done = Run(folder, started, tuple(path.stem for path in chosen), tuple(results), note)
        run_report.write(done, p)
    return done


def _folder(p: Params) -> Path:
    folder = paths.runs() / f"{time.strftime('%Y%m%dT%H%M%S')}-{p.name}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise StepFailed(
            f"the run's folder {folder} cannot be made ({error.strerror}); name another in RUNBOOK_RUNS"
        ) from error
    return folder


def _one(notebook: Path, output: Path, p: Params, log, interruption: engine.Interruption) -> Result:
    log.begin(notebook.stem)
    begun = time.monotonic()
    verdict, why = ("interrupted", "before it began") if interruption.asked else _execute(notebook, output, p, log)
    if interruption.asked and verdict != "ok":
        verdict = "interrupted"
    if verdict == "ok" and (why := executed.unfinished(output)):
        verdict = "failed"
    why = " ".join(_ANSI.sub("", why).split())
    executed.mark(output, verdict, why)
    diagnosis = executed.diagnosis(output) if verdict != "ok" else ""
    result = Result(notebook.stem, verdict, round(time.monotonic() - begun, 1), why, diagnosis)
    log.end(result)
    return result


def _execute(notebook: Path, output: Path, p: Params, log) -> tuple[str, str]:
    """The verdict as far as an exception tells it, and why."""
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    try:
        papermill.execute_notebook(
            notebook,
            output,
            parameters={"params": p.model_dump(mode="json")},
            engine_name=engine.NAME,
            on_message=log.show,
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT,
        )
    except papermill.PapermillExecutionError as error:
        verdict = "timed out" if error.ename == "TimedOut" else "failed"
        return verdict, f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    except CellTimeoutError:
        return "timed out", f"a cell did not end within {CELL_TIMEOUT} s"
    except DeadKernelError as error:
        return "failed", f"{type(error).__name__}: {error}".strip().splitlines()[0]
    except KeyboardInterrupt:
        return "interrupted", "the cell that ran was not waited for"
    return "ok", ""

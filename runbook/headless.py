"""The notebooks run by papermill without a person: one line a notebook, a verdict of our own, a report."""

import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from . import lease, paths
from .errors import StepFailed
from .params import Params

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
CELL_TIMEOUT = 1800  # seconds; the steps' own waits end long before


@dataclass(frozen=True)
class Result:
    """What came of one notebook. `seconds` is wall time; `why` is empty when it is ok, and so is the `diagnosis`."""

    notebook: str
    ok: bool
    seconds: float
    why: str = ""
    diagnosis: str = ""


def notebooks() -> list[Path]:
    """The set-up's notebooks in their order: 00 to 07, not the tear-down and not the day-two ones."""
    return sorted(paths.NOTEBOOKS.glob("0[0-9]_*.ipynb"))


def run(p: Params, stream=None, *, note: str = "", held: lease.Held | None = None) -> tuple[Path, list[Result]]:
    """Execute every notebook in turn until one fails. Returns the run's folder and the results so far.

    `note` is a sentence for the report on what was emulated. The notebooks work under the lease `held`, if given.

    The folder holds the executed notebooks (the failed one too, as far as it came), report.md and report.json.
    """
    stream = stream or sys.stdout
    folder = paths.runs() / f"{time.strftime('%Y%m%dT%H%M%S')}-{p.name}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise StepFailed(
            f"the run's folder {folder} cannot be made ({error.strerror}); name another in RUNBOOK_RUNS"
        ) from error
    results: list[Result] = []
    try:
        with _of_kernels(held) as sockets:
            _register_engine(sockets)
            for notebook in notebooks():
                results.append(_one(notebook, folder / notebook.name, p, stream))
                if not results[-1].ok:
                    break
    finally:
        _report(folder, p, results, note)
    return folder, results


@contextmanager
def _of_kernels(held: lease.Held | None) -> Iterator[str]:
    """A folder for the kernels' sockets and for what IPython writes; no start-up file of the caller's reaches them."""
    before = dict(os.environ)
    # Short: a socket's path has at most 107 characters (unix(7)).
    with tempfile.TemporaryDirectory(prefix="runbook-", ignore_cleanup_errors=True) as folder:
        os.environ["IPYTHONDIR"] = folder
        if held:
            os.environ[lease.INHERITED] = held.id
        try:
            yield folder
        finally:
            _end_kernels(folder)
            for name in ("IPYTHONDIR", lease.INHERITED):
                os.environ.pop(name, None)
                if name in before:
                    os.environ[name] = before[name]


def _end_kernels(folder: str) -> None:
    """nbclient leaves a kernel behind that was starting at an interrupt; its command line names its connection file."""
    for child in psutil.Process().children():
        try:
            if any(part.startswith(folder) for part in child.cmdline()):
                child.kill()
                child.wait()
        except psutil.NoSuchProcess:  # it has just ended
            continue


def _one(notebook: Path, output: Path, p: Params, stream) -> Result:
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    line, started, why = _Line(notebook.stem, stream), time.monotonic(), ""
    try:
        papermill.execute_notebook(
            notebook,
            output,
            parameters={"params": p.model_dump(mode="json")},
            engine_name="runbook",
            on_message=line.show,
            progress_bar=False,
            execution_timeout=CELL_TIMEOUT,
        )
    except papermill.PapermillExecutionError as error:
        why = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    except (CellTimeoutError, DeadKernelError) as error:
        why = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    except KeyboardInterrupt:
        line.end("interrupted", time.monotonic() - started)
        raise
    why = " ".join(_ANSI.sub("", why or _unfinished(output)).split())
    seconds = time.monotonic() - started
    line.end(f"FAILED: {why}" if why else "ok", seconds)
    return Result(notebook.stem, not why, round(seconds, 1), why, _diagnosis(output) if why else "")


def _diagnosis(output: Path) -> str:
    """What is shown below the error of the cell that failed."""
    for cell in json.loads(output.read_text())["cells"]:
        shown = cell.get("outputs", [])
        failed = [at for at, each in enumerate(shown) if each["output_type"] == "error"]
        if failed:
            below = [each["data"].get("text/plain", "") for each in shown[failed[0] :] if "data" in each]
            return "\n".join("".join(text) for text in below)
    return ""


def _unfinished(output: Path) -> str:
    """papermill calls a notebook complete after a dead kernel or a time-out; its cells tell the truth."""
    for cell in json.loads(output.read_text())["cells"]:
        if cell["cell_type"] != "code":
            continue
        errors = [o for o in cell["outputs"] if o["output_type"] == "error"]
        if errors:
            return f"{errors[0]['ename']}: {errors[0]['evalue']}"
        if cell["execution_count"] is None:
            return "not every cell was run"
    return ""


def _register_engine(sockets: str) -> None:
    from jupyter_client.manager import AsyncKernelManager
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets import default

    class Kernel(AsyncKernelManager):
        """A kernel on Unix sockets: nothing of it crosses the loopback network in plain text, no port to race for."""

        @default("transport")
        def _ipc(self):
            return "ipc"

        @default("ip")
        def _socket(self):
            return f"{sockets}/kernel"

        @default("connection_file")
        def _in_the_folder(self):
            """Which a signal takes away, too; the file has the key that the kernel obeys."""
            return f"{sockets}/kernel.json"

    class Client(PapermillNotebookClient):
        """papermill's client, which also passes on what a cell shows while it runs."""

        on_message = None

        def process_message(self, msg, cell, cell_index):
            content = msg.get("content", {})
            shown = content.get("data", {}).get("text/plain") or content.get("text")
            if shown and msg["msg_type"] in ("display_data", "update_display_data", "stream"):
                self.on_message(shown)
            return super().process_message(msg, cell, cell_index)

    class Engine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, *, on_message, execution_timeout, **options):
            client = Client(
                nb_man,
                kernel_name=kernel_name,
                kernel_manager_class=Kernel,
                timeout=execution_timeout,
                shutdown_kernel="immediate",
            )
            client.on_message = on_message
            client.execute()

    papermill_engines.register("runbook", Engine)


class _Line:
    """One line for a notebook: rewritten in a terminal as the notebook goes on, else written at its end."""

    def __init__(self, name: str, stream):
        self._name, self._stream, self._started = name, stream, time.monotonic()
        if stream.isatty():
            self._write("…")

    def show(self, text: str) -> None:
        if self._stream.isatty():
            self._write(text.strip().splitlines()[-1][:100] if text.strip() else "…")

    def end(self, verdict: str, seconds: float) -> None:
        start = "\r\x1b[2K" if self._stream.isatty() else ""
        self._stream.write(f"{start}{self._name:42} {seconds:6.1f} s  {verdict}\n")
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[2K{self._name:42} {time.monotonic() - self._started:6.0f} s  {text}")
        self._stream.flush()


def _report(folder: Path, p: Params, results: list[Result], note: str) -> None:
    """report.json for programs, report.md for people; both without secrets, as the params hold only references."""
    content = {"deployment": p.name, "params": p.model_dump(mode="json"), "results": [asdict(r) for r in results]}
    content |= {"emulated": p.cloud == "embedded", "note": note}
    (folder / "report.json").write_text(json.dumps(content, indent=2) + "\n")
    rows = [
        f"| [{r.notebook}]({r.notebook}.ipynb) | {'ok' if r.ok else 'failed'} | {r.seconds} | {_in_table(r.why)} |"
        for r in results
    ]
    where = (
        "the embedded cloud (emulated: what this proves and what not is in the README)"
        if p.cloud == "embedded"
        else "AWS"
    )
    text = [
        f"# Run of {p.source} on {where}",
        "",
        *([note, ""] if note else []),
        "| notebook | result | seconds | why |",
        "|---|---|---|---|",
        *rows,
        *(line for r in results if r.diagnosis for line in ("", "```", r.diagnosis, "```")),
    ]
    (folder / "report.md").write_text("\n".join(text) + "\n")


def _in_table(text: str) -> str:
    """In Markdown a bar ends a table's cell."""
    return text.replace("|", "\\|")

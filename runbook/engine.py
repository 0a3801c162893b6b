"""How papermill runs a notebook here: a kernel on Unix sockets, an interruption that the running cell sees first."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from . import lease

NAME = "runbook"
GRACE = 5.0  # seconds that an interrupted cell may take to end


class Interruption:
    """Ctrl-C or SIGTERM. The first interrupts the cell that runs, and `asked` is true; a second one, or a cell that
    takes more than GRACE seconds to end, raises KeyboardInterrupt, as does the first before any cell runs."""

    def __init__(self):
        self.asked = False
        self._kernel: int | None = None  # its process, once it gets a cell to run
        self._running = False
        self._before: dict[int, Any] = {}
        self._patience: threading.Timer | None = None

    def __enter__(self) -> "Interruption":
        # Python lets the main thread alone handle signals.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        if self._patience:
            self._patience.cancel()
        for number, before in self._before.items():
            signal.signal(number, before)

    def sent(self, kernel: int) -> None:
        """A cell is on its way to this process."""
        self._kernel = kernel

    def began(self) -> None:
        """The cell runs. Before that the kernel ignores SIGINT."""
        self._running = True
        if self.asked:
            os.kill(self._kernel, signal.SIGINT)

    def ended(self, *, kernel: bool = False) -> None:
        """The cell, or with `kernel` the whole notebook."""
        self._running = False
        if kernel:
            self._kernel = None

    def _signalled(self, *_: Any) -> None:
        if self.asked or self._kernel is None:
            self.asked = True
            raise KeyboardInterrupt
        self.asked = True
        if self._running:
            os.kill(self._kernel, signal.SIGINT)
        self._patience = threading.Timer(GRACE, os.kill, (os.getpid(), signal.SIGINT))
        self._patience.daemon = True
        self._patience.start()


@contextmanager
def kernels(held: lease.Held | None, interruption: Interruption) -> Iterator[None]:
    """A folder for the kernels' sockets and for what IPython writes; no start-up file of the caller's reaches them."""
    before = dict(os.environ)
    # Short: a socket's path has at most 107 characters (unix(7)).
    with tempfile.TemporaryDirectory(prefix="runbook-", ignore_cleanup_errors=True) as folder:
        os.environ["IPYTHONDIR"] = folder
        if held:
            os.environ[lease.INHERITED] = held.id
        _register(folder, interruption)
        try:
            yield
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


def _register(sockets: str, interruption: Interruption) -> None:
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
        """papermill's client, which also passes on what a cell shows while it runs, and when a cell runs at all."""

        on_message = None

        def process_message(self, msg, cell, cell_index):
            content, kind = msg.get("content", {}), msg["msg_type"]
            if kind == "status" and content["execution_state"] == "idle":
                interruption.ended()
            shown = content.get("data", {}).get("text/plain") or content.get("text")
            if shown and kind in ("display_data", "update_display_data", "stream"):
                self.on_message(shown)
            output = super().process_message(msg, cell, cell_index)
            if kind == "execute_input":  # only now does the saved notebook say that it ran, whatever comes
                interruption.began()
            return output

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
            client.on_cell_execute = lambda **_: interruption.sent(client.km.provisioner.pid)
            try:
                client.execute()
            finally:
                interruption.ended(kernel=True)

    papermill_engines.register(NAME, Engine)

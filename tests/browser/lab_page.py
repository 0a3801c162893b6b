"""JupyterLab as `make lab` starts it, and a page of it in Chromium that reaches loopback alone."""

import contextlib
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import nbformat
from playwright.sync_api import Page, Route, TimeoutError, expect, sync_playwright

from runbook import paths

__all__ = ["CHROMIUM", "Lab", "copied", "expect", "opened", "running"]

CHROMIUM = shutil.which("chromium")
START_SECONDS = 60
RUN_SECONDS = 120
DRAW_SECONDS = 10
WIDE, NARROW, HIGH = 1280, 900, 1000
ELSEWHERE = re.compile(r"^(?!(https?|wss?)://127\.0\.0\.1[:/])")
# What JupyterLab's own parts take of a window's height.
FRAME = 200
# Chromium's largest texture: what is taller is drawn wrongly, or not at all.
TALLEST = 16_000


def command() -> list[str]:
    """The arguments with which `make lab` starts JupyterLab."""
    asked = ["make", "-n", "--no-print-directory", "lab"]  # which a make that runs the tests would have printed
    said = subprocess.run(asked, cwd=paths.PROJECT, capture_output=True, text=True, check=True).stdout
    line = said.replace("\\\n", " ").strip().splitlines()[-1]
    return shlex.split(line.partition("jupyter lab ")[2])


def copied(folder: Path) -> Path:
    """A copy of the notebooks in that folder, without their outputs, so that what is seen has been run."""
    (folder / "notebooks").mkdir()
    for notebook in sorted(paths.NOTEBOOKS.glob("*.ipynb")):
        content = nbformat.read(notebook, as_version=4)
        for cell in content.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(content, folder / "notebooks" / notebook.name)
    return folder


@contextlib.contextmanager
def running(folder: Path):
    """The address of a JupyterLab in that folder, with its token, and with settings of its own."""
    places = ("config", "data", "runtime", "lab_settings", "lab_workspaces", "ipython")
    for place in places:
        (folder / ".jupyter" / place).mkdir(parents=True)
    names = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR", "LAB_SETTINGS_DIR", "LAB_WORKSPACES_DIR")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "JUPYTER", "PYTEST_"))}
    environment |= {
        f"JUPYTER{'' if name.startswith('LAB') else '_'}{name}": str(folder / ".jupyter" / place)
        for name, place in zip(names, places[:-1], strict=True)
    }
    environment["IPYTHONDIR"] = str(folder / ".jupyter" / "ipython")
    environment["JUPYTER_TOKEN"] = secrets.token_hex()
    line = [sys.executable, "-m", "jupyter", "lab", *command(), "--no-browser", "--LabApp.expose_app_in_browser=True"]
    with open(folder / ".jupyter" / "log", "w") as log:
        server = subprocess.Popen(line, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = _answering(folder, server)
        yield f"{url}lab/tree/00_start_here.ipynb?token={environment['JUPYTER_TOKEN']}&reset"
    finally:
        server.terminate()
        server.wait(START_SECONDS)


def _answering(folder: Path, server: subprocess.Popen) -> str:
    file, deadline = folder / ".jupyter" / "runtime" / f"jpserver-{server.pid}.json", time.monotonic() + START_SECONDS
    while not file.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"JupyterLab did not start:\n{(folder / '.jupyter' / 'log').read_text()}")
        time.sleep(0.1)
    return json.loads(file.read_text())["url"]


@contextlib.contextmanager
def opened(url: str):
    """A `Lab` at that address, which has come up."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        context = browser.new_context(viewport={"width": WIDE, "height": HIGH})
        context.set_default_timeout(START_SECONDS * 1000)
        context.add_init_script(path=Path(__file__).with_suffix(".js"))
        lab = Lab(context.new_page())
        context.route(ELSEWHERE, lab._refuse)
        lab.page.goto(url)
        lab.page.wait_for_function("window.jupyterapp?.shell.currentWidget?.context?.isReady")
        lab.command("application:toggle-left-area")
        yield lab
        browser.close()


@dataclass
class Lab:
    """A page of JupyterLab. `refused`: what it asked of other computers, and did not get."""

    page: Page
    refused: list[str] = field(default_factory=list)

    def _refuse(self, route: Route) -> None:
        self.refused.append(route.request.url)
        route.abort()

    def command(self, name: str, **arguments) -> None:
        """One of JupyterLab's own commands, as its menus call them."""
        self.page.evaluate("([name, args]) => void window.jupyterapp.commands.execute(name, args)", [name, arguments])

    def open(self, notebook: str) -> None:
        """Bring a notebook to the front, with its kernel ready."""
        self.command("docmanager:open", path=notebook)
        self.page.wait_for_function("path => lab.ready(path)", arg=notebook)

    def run_all(self) -> None:
        """Run → Run All Cells, until each has run, or one has failed."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        try:
            self.page.wait_for_function("() => lab.ended()", timeout=RUN_SECONDS * 1000, polling=100)
        except TimeoutError as error:
            error.add_note(f"{self.page.evaluate('lab.path()')}: {self.page.evaluate('lab.where()')}")
            raise

    def look(self, name: str, pictures: Path) -> SimpleNamespace:
        """What is seen of the notebook in front, all of it at once; pictures of it in both themes, and narrow."""
        self._fit(WIDE)
        with contextlib.suppress(TimeoutError):  # what is missing then, `seen` tells
            self.page.wait_for_function("() => lab.rendered()", timeout=DRAW_SECONDS * 1000, polling=100)
        seen = SimpleNamespace(**self.page.evaluate("lab.seen()"))
        seen.faint = {}
        for theme in ("Dark", "Light"):
            self._theme(f"JupyterLab {theme}")
            self._fit(WIDE)
            seen.faint[theme] = self.page.evaluate("lab.faint()")
            self._picture(pictures / f"{name}.{theme.lower()}.png")
        self._fit(NARROW)
        seen.wide = self.page.evaluate("lab.wide()")
        self._picture(pictures / f"{name}.{NARROW}.png")
        self.page.set_viewport_size({"width": WIDE, "height": HIGH})
        return seen

    def close(self) -> None:
        """Save the notebook in front, end its kernel, and close it."""
        self.page.evaluate("lab.shutDown()")

    def _theme(self, name: str) -> None:
        self.command("apputils:change-theme", theme=name)
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def _fit(self, width: int) -> None:
        """A window as high as the notebook, so that no cell is out of sight; what comes into sight may be higher."""
        height = HIGH
        for _ in range(3):
            self.page.set_viewport_size({"width": width, "height": height})
            height = min(TALLEST, self.page.evaluate("lab.height()") + FRAME)

    def _picture(self, file: Path) -> None:
        self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-inner").screenshot(path=file)

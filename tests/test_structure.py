"""The shape of the package: imports point one way, conda and pip name the same packages."""

import ast
import graphlib
import re
import tomllib

import pytest
import yaml

from runbook import paths

pytestmark = pytest.mark.pure

STEPS = {"storage", "identity", "network", "cluster", "nodes", "cache", "task", "htpasswd", "service", "certificate",
         "balancer", "targets", "scaling", "dns", "alarms", "registry"}  # fmt: skip
ROTATION = {"turnover", "key_rotation", "http_secret_rotation", "password_rotation", "certificate_renewal", "rotation"}
ABOVE = {
    "former",
    "steps",
    "progress",
    "plan",
    "preflight",
    "headless",
    "doctor",
    "audit",
    "local",
    "__main__",
    *ROTATION,
}
PACKAGE = paths.PROJECT / "runbook"
MODULES = {file.stem for file in PACKAGE.glob("*.py")}


def imports(file):
    """Names of the modules of this package (relative ones), and of other packages, that a file imports."""
    ours, theirs = set(), set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            ours |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            theirs.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            theirs |= {alias.name.split(".")[0] for alias in node.names}
    return ours, theirs


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_knows_neither_another_step_nor_what_is_above(name):
    ours, _ = imports(PACKAGE / f"{name}.py")
    assert not ours & (STEPS - {name})
    assert not ours & ABOVE


def test_only_what_puts_steps_together_knows_steps():
    """The modules below the steps serve them, and know none of them; each imports only what stands below it."""
    graph = {file.stem: imports(file)[0] & MODULES for file in PACKAGE.glob("*.py")}
    for name, ours in graph.items():
        if name not in STEPS | {
            "former",
            "steps",
            "progress",
            "plan",
            "preflight",
            "audit",
            "at_failure",
            "__main__",
            *ROTATION,
        }:
            assert not ours & (STEPS | ABOVE), name
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)


def test_only_the_session_imports_boto3_and_only_errors_knows_botocore_exceptions():
    for file in PACKAGE.glob("*.py"):
        text = file.read_text()
        _, theirs = imports(file)
        assert ("boto3" in theirs) == (file.stem == "session"), file.name
        assert ("botocore.exceptions" in text) == (file.stem == "errors"), file.name
        assert "moto" not in theirs, file.name


def test_only_the_inside_of_the_embedded_cloud_touches_moto():
    for file in (PACKAGE / "local").glob("*.py"):
        _, theirs = imports(file)
        assert "moto" not in theirs or file.stem == "server", file.name


def test_only_plan_headless_session_and_the_command_line_know_the_embedded_cloud():
    for file in PACKAGE.glob("*.py"):
        ours, _ = imports(file)
        assert "local" not in ours or file.stem in {"plan", "session", "__main__"}, file.name


def names(specs):
    return {re.match(r"[A-Za-z0-9_-]+", spec)[0].lower(): spec.split("[")[0] and spec for spec in specs}


def test_conda_and_pip_ask_for_the_same():
    project = tomllib.loads((paths.PROJECT / "pyproject.toml").read_text())["project"]
    pip = names([*project["dependencies"], *(s for extra in project["optional-dependencies"].values() for s in extra)])
    listed = yaml.safe_load((paths.PROJECT / "environment.yml").read_text())["dependencies"]
    by_pip = next(item["pip"] for item in listed if isinstance(item, dict))
    conda = names([item for item in listed if isinstance(item, str) and item not in ("pip",)])
    conda |= names([spec for spec in by_pip if not spec.startswith("--editable")])
    python = conda.pop("python")
    assert python == "python" + project["requires-python"]
    assert {k.lower(): v.lower() for k, v in pip.items()} == {k: v.lower() for k, v in conda.items()}


def test_every_line_of_the_conda_environment_has_a_reason():
    lines = (paths.PROJECT / "environment.yml").read_text().splitlines()
    for line in lines:
        if re.match(r"\s+- (?!pip:|conda-forge)", line):
            assert re.search(r"# .{10,}", line), line

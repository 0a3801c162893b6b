"""The page of AWS's rules names functions and tests that exist, and every module of rules has its place on it."""

import ast
import re

import pytest

from runbook import paths

pytestmark = pytest.mark.pure

PAGE = (paths.PROJECT / "docs" / "aws_rules.md").read_text()
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| AWS |")]


def functions(file):
    """Names of all functions of a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, kinds)}


@pytest.mark.parametrize("row", ROWS, ids=[row[0].removeprefix("| ") for row in ROWS])
def test_what_a_row_names_exists(row):
    _, here, tests = row
    named = re.findall(r"`([\w/]+\.py)(?::(\w+))?`", here)
    assert named or "moto" in here or "played" in here or "left" in here or "tests" in here
    for path, function in named:
        file = paths.PROJECT / path if path.startswith("runbook/") else paths.PROJECT / "runbook" / "local" / path
        assert not function or function in functions(file), f"{path}:{function}"
        assert file.exists(), path
    proven = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert proven or "not played" in here or "tests" in here or "left" in here
    for path, test in proven:
        assert test in functions(paths.PROJECT / "tests" / path), f"{path}::{test}"


def test_no_module_of_rules_is_left_out():
    modules = {file.name for file in (paths.PROJECT / "runbook" / "local" / "rules").glob("*.py")} - {"__init__.py"}
    assert len(ROWS) > 70
    assert {name for name in modules if f"rules/{name}" not in PAGE} == set()

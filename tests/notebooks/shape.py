"""The form of a notebook: what each one keeps to. As a program: shape.py NOTEBOOK… prints what does not, and fails."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat

LINES = 5  # of a code cell, at most
PARAMETERS = 'params = "blog"'
SECRETS = (r"AKIA[0-9A-Z]{16}", r"\$2[aby]\$\d\d\$", r"PRIVATE KEY")
PLACES = (r"/home/(?!ec2-user)", r"/root/", r"/Users/", r"/tmp/", r"\bi-[0-9a-f]{8,}", r"\bsg-[0-9a-f]{8,}")
METADATA = {"kernelspec", "language_info"}
TAGS = {"parameters", "nbval-ignore-output"}
NOT_CALLS = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Lambda, ast.Dict)

Notebook = nbformat.NotebookNode
RULES: list[Callable[[Notebook, Path], Iterator[str]]] = []


def rule(look: Callable[[Notebook, Path], Iterator[str]]) -> Callable[[Notebook, Path], Iterator[str]]:
    RULES.append(look)
    return look


def findings(notebook: Notebook, path: Path) -> list[str]:
    """What does not keep to the form, each in a sentence."""
    return [finding for look in RULES for finding in look(notebook, path)]


def code(notebook: Notebook) -> list[Notebook]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: Notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


@rule
def one_parameters_cell(notebook: Notebook, path: Path) -> Iterator[str]:
    tagged = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if tagged != [PARAMETERS]:
        yield f"one cell is tagged parameters, and it is the line {PARAMETERS}; found: {tagged}"


@rule
def code_is_a_few_calls(notebook: Notebook, path: Path) -> Iterator[str]:
    for cell in code(notebook):
        first = cell.source.partition("\n")[0]
        if len(cell.source.splitlines()) > LINES:
            yield f"more than {LINES} lines of code: {first}"
        if any(isinstance(node, NOT_CALLS) for node in ast.walk(ast.parse(cell.source))):
            yield f"code that is more than calls: {first}"


@rule
def a_sentence_before_each_code_cell(notebook: Notebook, path: Path) -> Iterator[str]:
    before = None
    for cell in notebook.cells:
        if cell.cell_type == "code" and (before is None or before.cell_type != "markdown"):
            yield f"no sentence before: {cell.source.partition(chr(10))[0]}"
        before = cell


@rule
def headings_go_down_one_at_a_time(notebook: Notebook, path: Path) -> Iterator[str]:
    levels = [len(found[1]) for text in prose(notebook) for found in re.finditer(r"^(#+) ", text, re.M)]
    if levels[:1] != [1] or levels.count(1) != 1:
        yield "one heading of the first level, and it comes first"
    if any(later > earlier + 1 for earlier, later in zip(levels, levels[1:], strict=False)):
        yield f"a level of headings is left out: {levels}"


@rule
def links_resolve(notebook: Notebook, path: Path) -> Iterator[str]:
    for text in prose(notebook):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", text):
            if not (path.parent / target).exists():
                yield f"a link leads nowhere: {target}"


@rule
def outputs_are_there(notebook: Notebook, path: Path) -> Iterator[str]:
    if not any(cell.outputs for cell in code(notebook)):
        yield "no outputs: make notebooks"
    counts = [cell.execution_count for cell in code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not run from top to bottom in one go: {counts}"
    if any(output.output_type == "error" for cell in code(notebook) for output in cell.outputs):
        yield "an error among the outputs"


@rule
def no_path_no_id_no_secret(notebook: Notebook, path: Path) -> Iterator[str]:
    text = nbformat.writes(notebook)
    for kind, patterns in (("a secret", SECRETS), ("a path or an id", PLACES)):
        for pattern in patterns:
            if re.search(pattern, text):
                yield f"{kind}: {pattern}"


@rule
def metadata_is_what_is_needed(notebook: Notebook, path: Path) -> Iterator[str]:
    if more := notebook.metadata.keys() - METADATA:
        yield f"metadata of the notebook: {sorted(more)}"
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    keys = {key for cell in notebook.cells for key in cell.metadata} - {"tags"}
    if more := (tags - TAGS) | keys:
        yield f"metadata of a cell: {sorted(more)}"


def main(names: list[str]) -> int:
    found = [
        f"{name}: {finding}" for name in names for finding in findings(nbformat.read(name, as_version=4), Path(name))
    ]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

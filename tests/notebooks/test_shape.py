"""The notebooks keep to their form, and a notebook that does not is told."""

import copy
import re

import nbformat
import pytest
import shape

from runbook import paths

pytestmark = pytest.mark.pure

DOCUMENTS = ["README.md", "CHANGELOG.md", *(f"docs/{found.name}" for found in paths.PROJECT.glob("docs/*.md"))]
NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_keeps_to_its_form(path):
    assert shape.findings(nbformat.read(path, as_version=4), path) == []


def test_the_notebooks_are_all_there():
    found = [path.stem[:2] for path in NOTEBOOKS]
    assert found == ["00", "01", "02", "03", "04", "05", "06", "07", "10", "11", "12", "13", "14", "99"]


def last(notebook):
    return shape.code(notebook)[-1]


def _no_parameters(notebook):
    for cell in notebook.cells:
        cell.metadata.pop("tags", None)


def _two_in_a_row(notebook):
    notebook.cells.append(copy.deepcopy(last(notebook)))
    notebook.cells.append(copy.deepcopy(last(notebook)))


def _a_loop(notebook):
    last(notebook).source = "for x in (1, 2): print(x)"


def _six_lines(notebook):
    last(notebook).source = "\n".join("abcdef")


def _a_level_left_out(notebook):
    notebook.cells.append(nbformat.v4.new_markdown_cell("# again"))


def _nowhere(notebook):
    notebook.cells[0].source += "\n[x](98_nowhere.ipynb)"


def _not_in_order(notebook):
    last(notebook).execution_count = 1


def _without_outputs(notebook):
    for cell in shape.code(notebook):
        cell.outputs = []


def _an_error(notebook):
    last(notebook).outputs.append(nbformat.v4.new_output("error", ename="E", evalue="v", traceback=[]))


def _a_key(notebook):
    last(notebook).outputs.append(nbformat.v4.new_output("stream", text="AKIA" + "A" * 16))


def _a_path(notebook):
    last(notebook).outputs.append(nbformat.v4.new_output("stream", text="/home/" + "somebody/x"))


def _a_tag(notebook):
    last(notebook).metadata["tags"] = ["raises-exception"]


def _collapsed(notebook):
    last(notebook).metadata["collapsed"] = True


def _metadata(notebook):
    notebook.metadata["papermill"] = {}


@pytest.mark.parametrize(
    ("change", "told"),
    (
        (_no_parameters, "one cell is tagged parameters"),
        (_two_in_a_row, "no sentence before"),
        (_a_loop, "more than calls"),
        (_six_lines, "more than 5 lines"),
        (_a_level_left_out, "one heading of the first level"),
        (_nowhere, "leads nowhere"),
        (_not_in_order, "from top to bottom"),
        (_without_outputs, "no outputs"),
        (_an_error, "an error among"),
        (_a_key, "a secret"),
        (_a_path, "a path"),
        (_a_tag, "metadata of a cell"),
        (_collapsed, "metadata of a cell"),
        (_metadata, "metadata of the notebook"),
    ),
)
def test_what_does_not_is_told(change, told, tmp_path, capsys):
    path = paths.NOTEBOOKS / "07_summary.ipynb"
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    assert any(told in finding for finding in shape.findings(notebook, path))
    nbformat.write(notebook, tmp_path / path.name)
    assert shape.main([str(tmp_path / path.name)]) == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_of_the_documents_resolve(document):
    file = paths.PROJECT / document
    anchors = {f"#{heading.lower().replace(' ', '-')}" for heading in re.findall(r"^#+ (.+)$", file.read_text(), re.M)}
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", file.read_text()):
        assert target in anchors or (file.parent / target.partition("#")[0]).exists(), target

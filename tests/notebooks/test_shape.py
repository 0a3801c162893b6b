"""The notebooks keep to their rhythm: one parameters cell, short cells, a sentence before each, links that resolve."""

import ast
import re

import nbformat
import pytest

from runbook import paths

pytestmark = pytest.mark.pure

NOTEBOOKS = sorted(paths.NOTEBOOKS.glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_the_notebooks_are_all_there():
    found = [path.stem[:2] for path in NOTEBOOKS]
    assert found == ["00", "01", "02", "03", "04", "05", "06", "07", "10", "11", "12", "13", "14", "99"]


def test_one_parameters_cell_that_names_the_blog(notebook):
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in tagged] == ['params = "blog"']


def test_code_is_a_few_calls(notebook):
    for cell in code(notebook):
        assert len(cell.source.splitlines()) <= 5, cell.source
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.FunctionDef | ast.For | ast.While | ast.Lambda | ast.Dict), cell.source


def test_a_sentence_before_each_code_cell(notebook):
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.cell_type == "code":
            assert before.cell_type == "markdown", cell.source


def test_headings_go_down_one_at_a_time(notebook):
    levels = [
        len(m[1]) for c in notebook.cells if c.cell_type == "markdown" for m in re.finditer(r"^(#+) ", c.source, re.M)
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in zip(levels, levels[1:], strict=False))


def test_links_between_notebooks_resolve(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+\.ipynb)\)", cell.source):
                assert (paths.NOTEBOOKS / target).exists(), target


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md", "docs/cache.md"])
def test_links_of_the_documents_resolve(document):
    file = paths.PROJECT / document
    anchors = {f"#{heading.lower().replace(' ', '-')}" for heading in re.findall(r"^#+ (.+)$", file.read_text(), re.M)}
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", file.read_text()):
        assert target in anchors or (file.parent / target).exists(), target


def test_outputs_are_there_and_hold_no_path_no_id_and_no_secret(notebook):
    text = nbformat.writes(notebook)
    assert any(cell.outputs for cell in code(notebook))
    secrets = (r"AKIA[0-9A-Z]{16}", r"\$2[aby]\$\d\d\$", r"PRIVATE KEY")
    places = (r"/home/(?!ec2-user)", re.escape(str(paths.PROJECT)), r"\bi-[0-9a-f]{8,}", r"\bsg-[0-9a-f]{8,}")
    for pattern in (*secrets, *places, r"\"output_type\": \"error\""):
        assert not re.search(pattern, text), pattern

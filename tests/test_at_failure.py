"""In a real kernel: an error is a box, and what papermill reads of it stays whole."""

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.notebooks


@pytest.fixture(scope="module")
def run():
    """The outputs of each cell, run one after the other in one kernel."""

    def run(*sources):
        made = nbformat.v4.new_notebook()
        made.cells = [nbformat.v4.new_code_cell(source) for source in ("from runbook import load, wait", *sources)]
        NotebookClient(made, timeout=60, kernel_name="python3", allow_errors=True).execute()
        return [cell.outputs for cell in made.cells[1:]]

    return run


def test_an_error_is_a_box_and_one_line(run):
    ((shown, error), (other, unexpected), (syntax,)) = run("load('nothing')", "{}['b']", "def f(:")
    assert 'role="alert"' in shown.data["text/html"] and "params/ has: blog, production" in shown.data["text/plain"]
    assert error.ename == "ParamsError" and "no such params file" in error.evalue
    assert len(error.traceback) == 1
    assert "KeyError: 'b'" in other.data["text/plain"] and "the cell:1" in other.data["text/html"]
    assert (unexpected.ename, unexpected.evalue) == ("KeyError", "'b'")
    assert syntax.ename == "SyntaxError"


def test_a_botocore_error_is_short(run):
    code = "from botocore.exceptions import ClientError\nload('blog')\n"
    code += "raise ClientError({'Error': {'Code': 'Odd', 'Message': 'no'}}, 'PutObject')"
    ((shown, error),) = run(code)
    assert "(Odd)" in shown.data["text/plain"]
    assert "<details>" in shown.data["text/html"]
    assert len(error.traceback) == 1 and "\n" not in error.traceback[0]


def test_progress_that_passes_leaves_an_empty_output(run):
    code = "with wait.Live(passing=True) as live:\n    live.show('half', share=0.5)"
    ((left,),) = run(code)
    assert left.data == {"text/plain": "", "text/html": ""}


def test_a_wait_leaves_its_last_words_without_a_bar(run):
    seen = "wait.Seen.of('1 of 1 running; steady', ['started'])"
    (shown, _) = run(f"wait.wait('service', lambda: (1, {seen}), timeout=5)")[0]
    assert shown.data["text/plain"] == "service: 1 of 1 running; steady"
    assert "<progress" not in shown.data["text/html"] and "1 of 1 running; steady" in shown.data["text/html"]

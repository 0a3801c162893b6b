"""A run's report in its four forms, and two of them compared."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import nbformat
import pytest

from runbook import __main__, github, junit, load, run_comparison, run_page, run_report
from runbook.report import Change, Changes, Report
from runbook.run_log import JsonLines, Lines
from runbook.run_result import Result, Run

pytestmark = pytest.mark.pure
WHY = "cell 3: StepFailed: <b>100 %</b>, a | b"
PLAN = Changes((Change("bucket x", "+", "create"),))
DONE = Changes((Change("bucket x", "+", "created"),))


def notebook(path, *shown):
    """An executed notebook whose cells showed these objects, as IPython keeps them."""
    cells = []
    for each in shown:
        cell = nbformat.v4.new_code_cell("x", execution_count=1)
        data = {"text/plain": repr(each)}
        metadata = each._repr_mimebundle_()[1]
        cell.outputs = [nbformat.v4.new_output("execute_result", data, metadata=metadata, execution_count=1)]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def a_run(folder, *, found="200 {}", why=WHY, verdict="failed"):
    folder.mkdir()
    checked = Report("registry https://x").check("GET /v2/, as x", found == "200 {}", "200 {}", found)
    notebook(folder / "01_one.ipynb", PLAN, DONE, Report("bucket x").check("exists", True, "yes", "yes"))
    notebook(folder / "06_test_your_setup.ipynb", checked)
    results = (Result("01_one", "ok", 1.5), Result("06_test_your_setup", verdict, 2.0, why, "the doctor\x1b says"))
    return Run(folder, "2026-11-24T02:00:00Z", ("01_one", "06_test_your_setup", "07_summary"), results, "played")


@pytest.fixture
def run(tmp_path):
    run = a_run(tmp_path / "20261124T020000-registry")
    run_report.write(run, load("blog"))
    return run


@pytest.fixture
def content(run):
    return json.loads((run.folder / "report.json").read_text())


class Page(HTMLParser):
    """What a page would fetch or run, and the order of its headings."""

    def __init__(self, text):
        super().__init__()
        self.wanted, self.headings, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "link", "img", "iframe", "object") or any(name.startswith("on") for name, _ in attrs):
            self.wanted.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.links += [value for name, value in attrs if name in ("href", "src")]


def test_what_notebooks_showed_is_in_the_report(content):
    first, tested = content["results"]
    assert [row["word"] for row in first["plan"]] == ["create"]
    assert [row["word"] for row in first["done"]] == ["created"]
    assert tested["reports"][0]["checks"][0]["found"] == "200 {}"
    assert (content["result"], content["seconds"], content["not run"]) == ("failed", 3.5, ["07_summary"])
    assert content["params"]["name"] == "registry"
    assert content["costs"]["total"] > 0


def test_the_page_needs_nothing_beside_it(run):
    text = (run.folder / "report.html").read_text()
    page = Page(text)
    assert page.wanted == [] and "url(" not in text and "@import" not in text
    assert set(page.links) == {"01_one.ipynb", "06_test_your_setup.ipynb"}
    assert page.headings[0] == 1 and all(b <= a + 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    assert "prefers-color-scheme: dark" in text and "@media print" in text


def test_the_page_tells_picture_costs_plan_acceptance_and_diagnosis(run):
    text = (run.folder / "report.html").read_text()
    for told in ('role="img"', "a month on AWS", "+ create", "GET /v2/, as x", "the doctor", "not run", "played"):
        assert re.sub("(?=[/,])", "", told) in text.replace("<wbr>", ""), told
    assert "<b>100" not in text and "&lt;b&gt;100 %" in text


def test_an_unfinished_notebook_is_no_matter(tmp_path):
    run = Run(tmp_path, "2026-11-24T02:00:00Z", ("00_x",), (Result("00_x", "interrupted", 0.0, "before it began"),))
    told = run_report.want_report(run, load("production"))
    assert told["results"][0]["reports"] == []
    assert "interrupted" in run_page.page(told, load("production"))


def test_junit_counts_and_is_well_formed(run):
    (suite,) = ElementTree.parse(run.folder / "junit.xml").getroot()
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "1", "errors": "0", "skipped": "1",
    }  # fmt: skip
    assert [case.get("name") for case in suite] == ["01_one", "06_test_your_setup", "07_summary"]
    (failure,) = suite.iter("failure")
    assert (failure.get("message"), failure.text) == (WHY, "the doctor? says")


@pytest.mark.parametrize("verdict", ["timed out", "interrupted"])
def test_to_junit_what_did_not_end_is_an_error(content, verdict):
    content["results"][1]["result"] = verdict
    (suite,) = ElementTree.fromstring(junit.junit(content))
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")
    assert next(suite.iter("error")).get("type") == verdict


def test_the_summary_is_one_table(run):
    lines = (run.folder / "summary.md").read_text().splitlines()
    (row,) = [line for line in lines if line.startswith("| 06")]
    assert row.replace("\\|", "").count("|") == 5
    assert "| 07_summary | not run | | |" in lines
    assert "]( " not in "".join(lines) and ".ipynb" not in "".join(lines)


@pytest.mark.parametrize(("verdict", "status"), [("ok", 0), ("failed", 1), ("interrupted", 4), ("timed out", 5)])
def test_each_verdict_has_an_exit_status(tmp_path, verdict, status):
    run = Run(tmp_path, "", ("00_x", "01_y"), (Result("00_x", "ok", 1.0), Result("01_y", verdict, 1.0)))
    assert run.exit_status == status


def test_a_price_that_is_not_known_is_said_to_be_missing(content):
    assert "by the assumptions in report.html.\n" in run_report.summary(content)
    content["costs"]["rows"][0] |= {"what": "1 node", "dollars": None}
    assert "and without 1 node, whose price is not known here" in run_report.summary(content)


def test_github_gets_the_summary_and_the_error(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    (tmp_path / "summary").write_text("before\n")
    github.tell(run)
    assert (tmp_path / "summary").read_text() == "before\n" + (run.folder / "summary.md").read_text()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "::error file=notebooks/06_test_your_setup.ipynb,title=06_test_your_setup%3A failed::"
        "cell 3: StepFailed: <b>100 %25</b>, a | b\n"
    )


def test_a_workflow_command_is_one_line(monkeypatch):
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    assert github.error("01_x", "failed", "a\r\nb").endswith("::a%0D%0Ab")


def test_elsewhere_github_hears_nothing(run, monkeypatch, capsys):
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    github.tell(run)
    assert capsys.readouterr() == ("", "")


def test_two_runs_compared(content, tmp_path):
    run = a_run(tmp_path / "second", found="503", why="", verdict="ok")
    other = run_report.want_report(run, load({**load("blog").model_dump(), "idle_timeout": 400}))
    compared = run_comparison.compare(content, other)
    assert compared
    assert compared.notebooks[1] == ("06_test_your_setup", "failed, 2.0 s", "ok, 2.0 s")
    assert compared.params == (("idle_timeout", "300", "400"),)
    assert compared.checks == (("06 registry https://x, GET /v2/, as x", "ok, 200 {}", "differs, 503"),)
    assert "  idle_timeout  300 → 400" in repr(compared).splitlines()


def test_a_run_is_the_same_as_itself_and_what_was_not_reached_is_no_difference(content):
    assert not run_comparison.compare(content, content)
    short = content | {"results": content["results"][:1]}
    compared = run_comparison.compare(content, short)
    assert compared and not compared.checks
    assert compared.notebooks[1] == ("06_test_your_setup", "failed, 2.0 s", "-")


def test_report_names_runs_and_compares_them_by_name_or_folder(run, monkeypatch, capsys):
    monkeypatch.setenv("RUNBOOK_RUNS", str(run.folder.parent))
    assert __main__.main(["report"]) == 0
    assert capsys.readouterr().out == f"{run.folder.name}\n"
    assert __main__.main(["report", run.folder.name, str(run.folder)]) == 0
    assert "params that differ: none" in capsys.readouterr().out
    assert __main__.main(["report", run.folder.name]) == 2
    assert __main__.main(["report", run.folder.name, "nothing"]) == 2
    assert "no run nothing" in capsys.readouterr().err
    (run.folder / "report.json").write_text("{")
    assert __main__.main(["report", run.folder.name, run.folder.name]) == 2
    assert "is no report of a run" in capsys.readouterr().err


TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_a_line_has_its_time_and_a_terminal_its_progress(tmp_path):
    class Terminal(list):
        write = list.append

        def isatty(self):
            return self.live

        def flush(self):
            pass

    for live in (False, True):
        stream = Terminal()
        stream.live = live
        log = Lines(stream)
        log.begin("01_one")
        log.show("first\nnodes: 1 of 2\n")
        log.end(Result("01_one", "failed", 1.5, WHY))
        assert ("nodes: 1 of 2" in "".join(stream)) == live
        line = stream[-1].removeprefix("\r\x1b[2K")
        assert re.fullmatch(rf"({TIME}  )?01_one +1\.5 s  FAILED: {re.escape(WHY)}\n", line)
        assert bool(re.match(TIME, line)) != live


def test_json_lines_are_one_event_each(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        log = JsonLines(stream)
        log.begin("01_one")
        log.show("progress")
        log.end(Result("01_one", "timed out", 1.5, "a\nb"))
    started, ended = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert re.fullmatch(TIME, started.pop("time")) and re.fullmatch(TIME, ended.pop("time"))
    assert started == {"event": "started", "notebook": "01_one"}
    assert ended == {"event": "ended", "notebook": "01_one", "result": "timed out", "seconds": 1.5, "why": "a\nb"}

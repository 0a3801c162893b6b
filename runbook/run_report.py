"""The report of a run: report.json for programs, report.html for people, junit.xml and summary.md for a CI job.

None has a secret: params hold references only, and the rest is what the notebooks show.
"""

import json
from dataclasses import asdict
from typing import Any

from . import costs, executed, junit, run_page
from .params import Params
from .run_result import Run

DONE = {"created", "changed", "unchanged", "destroyed", "absent", "kept"}  # the words of what was done, not of a plan


def write(run: Run, p: Params) -> None:
    """All four, into the run's folder."""
    content = want_report(run, p)
    (run.folder / "report.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    (run.folder / "report.html").write_text(run_page.page(content, p))
    (run.folder / "junit.xml").write_text(junit.junit(content))
    (run.folder / "summary.md").write_text(summary(content))


def want_report(run: Run, p: Params) -> dict[str, Any]:
    """The content of report.json, of which the other forms are made. Times in seconds, costs in US dollars a month."""
    priced = costs.want_costs(p)
    return {
        "run": run.folder.name,
        "deployment": p.name,
        "source": p.source,
        "result": run.verdict,
        "started": run.started,
        "seconds": run.seconds,
        "emulated": p.cloud == "embedded",
        "note": run.note,
        "params": p.model_dump(mode="json"),
        "costs": {
            "total": priced.total,
            "rows": [
                {"thing": row.thing, "what": row.what, "dollars": row.dollars, "assumption": row.assumption}
                for row in priced.rows
            ],
        },
        "results": [_result(run, asdict(result) | {"ok": result.ok}) for result in run.results],
        "not run": list(run.left),
    }


def _result(run: Run, told: dict[str, Any]) -> dict[str, Any]:
    told["result"] = told.pop("verdict")
    shown = executed.recorded(run.folder / f"{told['notebook']}.ipynb")
    rows = [row for each in shown if each["kind"] == "Changes" for row in each["rows"]]
    reports = {each["title"]: each for each in shown if each["kind"] == "Report"}  # the last of each title
    return told | {
        "plan": [row for row in rows if row["word"] not in DONE],
        "done": [row for row in rows if row["word"] in DONE],
        "reports": [{"title": title, "checks": each["checks"]} for title, each in reports.items()],
    }


def where(content: dict[str, Any]) -> str:
    """The cloud of the run, in words."""
    return (
        "the embedded cloud (emulated: the README says what this proves and what not)" if content["emulated"] else "AWS"
    )


def summary(content: dict[str, Any]) -> str:
    """In Markdown: the result of each notebook, and the diagnosis of the one that was not ok."""
    rows = [
        f"| {each['notebook']} | {each['result']} | {each['seconds']} | {_in_table(each['why'])} |"
        for each in content["results"]
    ]
    text = [
        f"# {content['deployment']}: {content['result']}",
        "",
        f"Run of {content['source']} on {where(content)}, {content['started']}, {content['seconds']} s.",
        *(["", content["note"]] if content["note"] else []),
        "",
        "| notebook | result | seconds | why |",
        "|---|---|---:|---|",
        *rows,
        *(f"| {notebook} | not run | | |" for notebook in content["not run"]),
        *(line for each in content["results"] if each["diagnosis"] for line in ("", "```", each["diagnosis"], "```")),
        "",
        _costs(content["costs"]),
    ]
    return "\n".join(text) + "\n"


def _costs(told: dict[str, Any]) -> str:
    unknown = ", ".join(row["what"] for row in told["rows"] if row["dollars"] is None)
    without = f" and without {unknown}, whose price is not known here" if unknown else ""
    return f"About {told['total']:.0f} US dollars a month on AWS, by the assumptions in report.html{without}."


def _in_table(text: str) -> str:
    """In Markdown a bar ends a table's cell."""
    return text.replace("|", "\\|")

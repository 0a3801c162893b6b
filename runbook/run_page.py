"""The report of a run as one page of HTML that needs nothing beside it: no script, no font, no address."""

import json
from html import escape
from typing import Any

from . import costs, picture
from .params import Params
from .report import Change, Changes, Check, Field, Report

ACCEPTANCE = "06_test_your_setup"
# JupyterLab's names of colours, so that what notebooks show looks the same here.
_STYLE = """
:root { color-scheme: light dark; --jp-ui-font-color1: #212121; --jp-ui-font-color2: #616161;
  --jp-border-color2: #bdbdbd; --jp-layout-color1: #ffffff; --jp-layout-color2: #eeeeee;
  --jp-brand-color1: #1565c0; --jp-success-color1: #2e7d32;
  --jp-error-color1: #c62828; --jp-warn-color1: #8a5300; --jp-content-link-color: #1565c0; }
@media (prefers-color-scheme: dark) { :root { --jp-ui-font-color1: #eeeeee; --jp-ui-font-color2: #bdbdbd;
  --jp-border-color2: #616161; --jp-layout-color1: #181818; --jp-layout-color2: #2a2a2a; --jp-brand-color1: #64b5f6;
  --jp-success-color1: #81c784; --jp-error-color1: #ef9a9a; --jp-warn-color1: #ffb74d;
  --jp-content-link-color: #90caf9; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em;
  color: var(--jp-ui-font-color1); background: var(--jp-layout-color1); overflow-wrap: anywhere; }
a { color: var(--jp-content-link-color); }
table { border-collapse: collapse; margin: .6em 0 1.2em; }
th, td { border: 1px solid var(--jp-border-color2); padding: .25em .6em; text-align: left; vertical-align: top; }
th { background: var(--jp-layout-color2); overflow-wrap: normal; }
td.number { text-align: right; white-space: nowrap; }
pre { background: var(--jp-layout-color2); padding: .6em; white-space: pre-wrap; }
summary { cursor: pointer; }
.ok { color: var(--jp-success-color1); } .failed { color: var(--jp-error-color1); }
.interrupted, .timed { color: var(--jp-warn-color1); }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } tr, svg { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; } }
"""


def page(content: dict[str, Any], p: Params) -> str:
    """Of the content of report.json."""
    title = f"{content['deployment']}: {content['result']}"
    params = json.dumps(content["params"], indent=2)
    place = "the embedded cloud (emulated)" if content["emulated"] else "AWS"
    parts = [
        f"<h1>{escape(content['deployment'])}: {_verdict(content['result'])}</h1>",
        f"<p>Run of {escape(content['source'])} on {place}, {content['started']}, {content['seconds']} s.</p>",
        f"<p>{escape(content['note'])}</p>" if content["note"] else "",
        _overview(content),
        f"<h2>The deployment</h2>{picture.picture(p)._repr_html_()}",
        f"<h2>What it costs a month on AWS</h2>{costs.want_costs(p)._repr_html_()}",
        *_acceptance(content),
        "<h2>The notebooks</h2>",
        *(_notebook(each) for each in content["results"]),
        "<h2>The params</h2>",
        f"<details><summary>as they were</summary><pre>{escape(params)}</pre></details>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _verdict(verdict: str) -> str:
    return f'<span class="{verdict}">{verdict}</span>'


def _overview(content: dict[str, Any]) -> str:
    rows = [
        f'<tr><th scope="row"><a href="{escape(each["notebook"])}.ipynb">{escape(each["notebook"])}</a></th>'
        f'<td>{_verdict(each["result"])}</td><td class="number">{each["seconds"]}</td>'
        f"<td>{escape(each['why'])}</td></tr>"
        for each in content["results"]
    ]
    rows += [
        f'<tr><th scope="row">{escape(notebook)}</th><td>not run</td><td></td><td></td></tr>'
        for notebook in content["not run"]
    ]
    head = "".join(f'<th scope="col">{column}</th>' for column in ("notebook", "result", "seconds", "why"))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _acceptance(content: dict[str, Any]) -> list[str]:
    """The registry as its clients see it, once more in full: it is what a reader of the report asks for first."""
    tested = [each for each in content["results"] if each["notebook"] == ACCEPTANCE]
    tables = [_report(told) for each in tested for told in each["reports"] if not told["title"].startswith("before")]
    return ["<h2>The acceptance test</h2>", *tables] if tables else []


def _notebook(each: dict[str, Any]) -> str:
    name = escape(each["notebook"])
    parts = [f'<h3><a href="{name}.ipynb">{name}</a>: {_verdict(each["result"])}, {each["seconds"]} s</h3>']
    if each["why"]:
        parts.append(f"<p>{escape(each['why'])}</p>")
    if each["diagnosis"]:
        parts.append(f"<pre>{escape(each['diagnosis'])}</pre>")
    if each["plan"]:
        parts.append(f"<h4>The plan</h4>{_changes(each['plan'])}")
    if each["done"]:
        parts.append(f"<h4>Done</h4>{_changes(each['done'])}")
    checks = [check for told in each["reports"] for check in told["checks"]]
    if checks and each["notebook"] != ACCEPTANCE:
        good = sum(check["ok"] for check in checks)
        tables = "".join(_report(told) for told in each["reports"])
        parts.append(f"<details><summary>checks: {good} of {len(checks)} ok</summary>{tables}</details>")
    return "\n".join(parts)


def _report(told: dict[str, Any]) -> str:
    return Report(told["title"], tuple(Check(**check) for check in told["checks"]))._repr_html_()


def _changes(rows: list[dict[str, Any]]) -> str:
    told = ({**row, "details": tuple(row["details"]), "fields": tuple(map(_field, row["fields"]))} for row in rows)
    return Changes(tuple(Change(**row) for row in told))._repr_html_()


def _field(told: dict[str, str]) -> Field:
    return Field(**told)

"""The report of a run as JUnit's XML, which CI systems read: a test case for each notebook."""

import re
from typing import Any
from xml.etree import ElementTree

# What XML 1.0 has no place for: https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(content: dict[str, Any]) -> str:
    """Of the content of report.json. Failed is a failure, interrupted and timed out are errors, not run is skipped."""
    results, left = content["results"], content["not run"]
    failures = sum(each["result"] == "failed" for each in results)
    errors = sum(each["result"] in ("interrupted", "timed out") for each in results)
    suite = ElementTree.Element(
        "testsuite",
        name=f"runbook {content['deployment']}",
        tests=str(len(results) + len(left)),
        failures=str(failures),
        errors=str(errors),
        skipped=str(len(left)),
        time=str(content["seconds"]),
        timestamp=content["started"].rstrip("Z"),
    )
    for each in results:
        case = _case(suite, content, each["notebook"], each["seconds"])
        if each["result"] != "ok":
            kind = "failure" if each["result"] == "failed" else "error"
            told = ElementTree.SubElement(case, kind, type=each["result"], message=_clean(each["why"]))
            told.text = _clean(each["diagnosis"] or each["why"])
    for notebook in left:
        ElementTree.SubElement(_case(suite, content, notebook, 0), "skipped", message="the run ended before")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: ElementTree.Element, content: dict[str, Any], notebook: str, seconds: float) -> ElementTree.Element:
    named = {"classname": f"runbook.{content['deployment']}", "name": notebook, "time": str(seconds)}
    return ElementTree.SubElement(suite, "testcase", named)


def _clean(text: str) -> str:
    return _NO_XML.sub("?", text)

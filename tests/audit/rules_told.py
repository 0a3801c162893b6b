"""Findings as the tests compare them: without ids and days, each as (rule, where)."""

import re

from runbook.audit import audit
from runbook.audit.rules import RULES
from runbook.finding import Findings

_WHAT = {
    name: re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(rule.what)), re.DOTALL) for name, rule in RULES.items()
}


def text(aws, service, cluster):
    """Of what the audit finds itself; the lint's words have tests of their own."""
    found = audit(aws, service, cluster)
    return _steady(repr(Findings(each for each in found if _rule(each) != "lint")))


def told(aws, service, cluster):
    """Every finding in words, with (rule, where); the lint's have no rule."""
    return {_steady(str(each)): (_rule(each), _steady(each.where)) for each in audit(aws, service, cluster)}


def wrong(flaw, before, after):
    """What is not as the flaw says, by its name."""
    new = {after[each] for each in after.keys() - before.keys()}
    gone = {before[each] for each in before.keys() - after.keys()}
    if (new, gone) == (set(flaw.new), set(flaw.gone)):
        return {}
    return {flaw.name: f"new {sorted(new)}, gone {sorted(gone)}"}


def named(text):
    """The rules whose words a text has."""
    return {name for name, what in _WHAT.items() if re.search(f": {what.pattern}$", text, re.MULTILINE)}


def _rule(finding):
    for name, rule in RULES.items():
        if (rule.severity, rule.row) == (finding.severity, finding.row) and _WHAT[name].fullmatch(finding.what):
            return name
    return "lint"


def _steady(words):
    words = re.sub(r"\bi-[0-9a-f]{8,}(; instance i-[0-9a-f]{8,})*", "i-1", words)
    return re.sub(r"\d{4}-\d\d-\d\d", "DAY", re.sub(r"((?:of|definition) registry):\d+", r"\1:N", words))

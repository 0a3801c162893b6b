"""`figure("points killed", 412)`: what a test counted, printed at the end of the run, with the test that counted it."""

import pytest


@pytest.fixture
def figure(record_property):
    return lambda what, value: record_property("figure", f"{what}: {value}")


def pytest_terminal_summary(terminalreporter):
    reports = [
        each for group in terminalreporter.stats.values() for each in group if isinstance(each, pytest.TestReport)
    ]
    shown = {
        (report.nodeid, text)
        for report in reports
        if getattr(report, "when", None) == "call"  # what was left out has no phase
        for name, text in report.user_properties
        if name == "figure"
    }
    if shown:
        terminalreporter.section("figures")
        for test, text in sorted(shown):
            terminalreporter.line(f"{text}  ({test.rpartition('::')[2]})")

import io

import pytest

from runbook import wait as wait_module
from runbook.errors import StepFailed, TimedOut
from runbook.wait import Live, wait

pytestmark = pytest.mark.pure


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_it_returns_the_first_result(capsys):
    answers = iter([(None, "0 of 1 running"), (None, "0 of 1 running"), ("up", "1 of 1 running")])
    assert wait("service x", lambda: next(answers), timeout=5, every=0) == "up"
    assert capsys.readouterr().err == "service x: 0 of 1 running\nservice x: 1 of 1 running\n"


def test_the_last_thing_seen_is_in_the_error():
    with pytest.raises(TimedOut, match="service x: not within 0 s; last seen: port 5000 is in use"):
        wait("service x", lambda: (None, "port 5000 is in use"), timeout=0, every=0)


def test_hopeless_ends_at_once():
    def look():
        raise StepFailed("the image cannot be pulled")

    with pytest.raises(StepFailed):
        wait("service x", look, timeout=60)


def test_false_is_a_result():
    assert wait("x", lambda: (False, "no"), timeout=0) is False


def test_a_terminal_has_one_line_rewritten():
    stream = Terminal()
    with Live(stream) as live:
        live.show("one", 1)
        live.show("two", 2)
    assert stream.getvalue() == "\r\x1b[2Kone (1 s)\r\x1b[2Ktwo (2 s)\n"


def test_what_passes_leaves_nothing_in_a_terminal_and_is_not_told_elsewhere():
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        with Live(stream, passing=True) as live:
            live.show("one")
    assert terminal.getvalue() == "\r\x1b[2Kone\r\x1b[2K"
    assert file.getvalue() == ""


def test_what_is_not_shown_is_told_nowhere():
    terminal = Terminal()
    with Live(terminal, shown=False) as live:
        live.show("one")
    assert terminal.getvalue() == ""


def test_the_bar_is_the_share_that_is_done_or_the_time_passed(monkeypatch):
    shown = []
    monkeypatch.setattr(wait_module, "_in_kernel", lambda: True)
    monkeypatch.setattr(Live, "_publish", lambda self, text, html: shown.append(html))
    with Live(timeout=60) as live:
        live.show("a <thing>", 12, events=["an <event>"])
    with Live() as live:
        live.show("another", share=0.25)
    assert '<progress max="60" value="12" aria-label="time passed, of at most 60 s">' in shown[0]
    assert "a &lt;thing&gt; (12 s)<ul><li>an &lt;event&gt;</li></ul>" in shown[0]
    assert shown[1] == "<small>a &lt;thing&gt; (12 s)</small>"
    assert '<progress max="1" value="0.25"' in shown[2]

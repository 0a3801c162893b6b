import io

import pytest

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

import copy
import json
import pickle

import pytest

from runbook import secret
from runbook.errors import SecretError
from runbook.secret import Secret, sealed

pytestmark = pytest.mark.pure

TEXT = "correct horse battery"


def test_nothing_shows_it_but_reveal():
    held = Secret(TEXT)
    shown = [repr(held), str(held), f"{held}", f"{held!r}", "%s" % held, repr([held]), repr({"a": held})]  # noqa: UP031
    assert not any(TEXT in text for text in shown)
    assert held.reveal() == TEXT


def test_what_is_raised_in_a_sealed_block_has_no_frame_of_it():
    def inner(text):
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError(len(text))  # noqa: B904 (the context is what is looked at)

    def outer(held):
        with sealed():
            return inner(held.reveal())

    with pytest.raises(ValueError) as raised:
        outer(Secret(TEXT))
    assert [entry.name for entry in raised.traceback] == ["test_what_is_raised_in_a_sealed_block_has_no_frame_of_it"]
    assert raised.value.__context__.__traceback__ is None
    (note,) = raised.value.__notes__
    assert "test_secret.py" in note and "inner" in note and TEXT not in note
    with sealed():
        assert outer != inner  # and a block that goes well is not touched


def test_an_error_of_ours_gets_no_note():
    with pytest.raises(SecretError) as raised, sealed():
        raise SecretError("a sentence")
    assert not hasattr(raised.value, "__notes__")


def test_it_is_not_pickled_nor_serialised():
    for copier in (pickle.dumps, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            copier(Secret(TEXT))


def test_equal_secrets_are_equal():
    assert Secret(TEXT) == Secret(TEXT) != Secret("other")
    assert Secret(TEXT) != TEXT


def test_generated_secrets_differ_and_are_long():
    one, other = secret.generate().reveal(), secret.generate().reveal()
    assert one != other
    assert len(one) >= 32


def test_the_environment_is_read_or_named(monkeypatch):
    monkeypatch.setenv("A_PASSWORD", TEXT)
    assert secret.from_environment("A_PASSWORD").reveal() == TEXT
    monkeypatch.setenv("A_PASSWORD", "")
    with pytest.raises(SecretError, match="A_PASSWORD is not set"):
        secret.from_environment("A_PASSWORD")


def test_with_nobody_to_ask_the_error_says_what_to_use(monkeypatch):
    def nobody(_):
        raise EOFError

    monkeypatch.setattr("getpass.getpass", nobody)
    with pytest.raises(SecretError, match="env:NAME, secretsmanager:NAME or generate"):
        secret.from_prompt("password of testuser")

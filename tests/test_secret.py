import copy
import json
import pickle

import pytest

from runbook import secret
from runbook.errors import SecretError
from runbook.secret import Secret

pytestmark = pytest.mark.pure

TEXT = "correct horse battery"


def test_nothing_shows_it_but_reveal():
    held = Secret(TEXT)
    shown = [repr(held), str(held), f"{held}", f"{held!r}", "%s" % held, repr([held]), repr({"a": held})]  # noqa: UP031
    assert not any(TEXT in text for text in shown)
    assert held.reveal() == TEXT


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

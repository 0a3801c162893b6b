import re
from html import unescape

import pytest
from IPython.core.interactiveshell import InteractiveShell

from runbook import load, new, paths
from runbook.errors import ParamsError
from runbook.form import form

pytestmark = pytest.mark.pure


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for like in new.TEMPLATES:
        (tmp_path / f"{like}.yml").write_bytes((paths.PARAMS / f"{like}.yml").read_bytes())
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    return tmp_path


@pytest.fixture
def new_one(folder):
    """The form, with "a new one" chosen and nothing typed."""
    made = form("blog")
    made._choice.value = "a new one"
    return made


def words(widget):
    return unescape(re.sub(r"<[^>]*>", "", widget.value))


def test_untouched_it_goes_on_with_what_it_was_given(folder):
    assert form("blog").params == "blog"
    mapping = load("production").model_dump(mode="json")
    assert form(mapping).params is mapping
    assert sorted(file.name for file in folder.iterdir()) == ["blog.yml", "production.yml"]


def test_its_text_is_the_same_every_time():
    text = repr(form("blog"))
    assert text == repr(form("blog"))
    assert text.splitlines()[0] == (
        'params = "blog": deployment registry (embedded, eu-central-1), https://registry.elastic.io'
    )
    assert "python -m runbook new" in text


def test_a_notebook_shows_widgets_and_has_the_text_beside_them():
    made = form("blog")
    data, _ = InteractiveShell.instance().display_formatter.format(made)
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == made._box.model_id
    assert data["text/plain"] == repr(made)


def test_wrong_params_are_refused_as_everywhere():
    with pytest.raises(ParamsError, match="no such params file"):
        form("nothing")


def test_another_file_is_chosen(folder):
    made = form("blog")
    assert made._questions.layout.display == "none"
    made._choice.value = "production"
    assert made.params == "production"
    assert 'params = "production"' in words(made._result)
    assert "auto-scaling-group" in words(made._preview)


def test_a_file_that_does_not_load_is_told_and_not_taken(folder):
    (folder / "broken.yml").write_text("params:\n  regoin: x\n")
    made = form("blog")
    made._choice.value = "broken"
    assert "did you mean `region`?" in words(made._result)
    assert made.params == "blog"


def test_what_is_typed_is_checked_at_once_beside_its_field(new_one):
    assert {words(said) for said in new_one._said.values()} == {"✔ ok"}
    assert not new_one._write.disabled
    new_one._fields["name"].value = "Upper <b>"
    assert "1 to 24 lower-case letters" in words(new_one._said["name"])
    assert new_one._write.disabled
    assert new_one._preview.value == ""
    new_one._fields["name"].value = "images"
    new_one._fields["cloud"].value = "aws"
    assert "registry.example.com" in words(new_one._said["domain"])
    new_one._fields["domain"].value = "images.example.com"
    assert new_one._fields["zone"].placeholder == "example.com"
    assert new_one._fields["bucket"].placeholder == "example-com-images"
    assert not new_one._write.disabled
    assert "domain: images.example.com" in words(new_one._preview)


def test_what_is_wrong_is_escaped(new_one):
    new_one._file.value = "<script>"
    assert "<script>" not in new_one._said["file"].value
    assert "<script>" in words(new_one._said["file"])


def test_the_button_writes_the_file_and_the_notebook_goes_on_with_it(new_one, folder):
    new_one._file.value = "team"
    new_one._fields["like"].value = "production"
    new_one._fields["cloud"].value = "aws"
    new_one._fields["domain"].value = "registry.example.com"
    preview = words(new_one._preview)
    new_one._write.click()
    assert new_one.params == "team"
    assert load(new_one.params).domain == "registry.example.com"
    assert (folder / "team.yml").read_text() in preview
    assert new_one._choice.value == "team"
    assert 'params = "team"' in words(new_one._result)
    assert repr(new_one).startswith('params = "team": deployment team (aws, eu-central-1)')


def test_a_file_that_is_there_is_replaced_only_when_told(new_one, folder):
    new_one._write.click()
    again = form("blog")
    again._choice.value = "a new one"
    assert "there already" in words(again._said["file"])
    assert again._write.disabled
    again._fields["name"].value = "other"
    again._replace.value = True
    again._write.click()
    assert load("mine").name == "other"
    again._choice.value = "a new one"
    again._file.value = "blog"
    assert "template" in words(again._said["file"])


def test_a_file_that_cannot_be_written_is_told(new_one, folder):
    (folder / "mine.part").mkdir()
    new_one._replace.value = True
    new_one._write.click()
    assert "mine.part" in words(new_one._result)
    assert new_one.params == "blog"


def test_no_secret_can_be_given():
    assert not {question.key for question in new.QUESTIONS} & {"users", "password"}

import pytest

from runbook import load, paths
from runbook.errors import ParamsError

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "exactly one key at the top"),
        ("- a\n", "exactly one key at the top"),
        ("params: []\n", "must be a mapping"),
        ("params:\n  name: a\n  name: b\n", "`name` stands twice, line 3"),
        ("params:\n\tname: a\n", "not valid YAML"),
        ("params: &a\n  x: *a\n", "aliases"),
        ("params: !!python/object:os.system {}\n", "not valid YAML"),
        ("params:\n  name: no\n  cloud: oops\n", "line 3: `cloud`"),
        ("params: {}\nother: 1\n", "exactly one key"),
        ("params:\n  ? [a, b]\n  : c\n", "a plain word, line 2"),
    ],
)
def test_a_bad_file_is_told_with_its_name(tmp_path, text, message):
    file = tmp_path / "x.yml"
    file.write_text(text)
    with pytest.raises(ParamsError, match=message) as error:
        load(file)
    assert str(file) in str(error.value)


def test_yaml_words_and_numbers_keep_their_type(tmp_path):
    text = (paths.PARAMS / "blog.yml").read_text()
    file = tmp_path / "x.yml"
    file.write_text("\ufeff" + text.replace("name: registry", "name: no").replace("\n", "\r\n"))
    assert load(file).name == "no"  # YAML 1.1 would read False
    file.write_text(text.replace("nodes: 1", "nodes: 0o7"))
    with pytest.raises(ParamsError, match="nodes"):
        load(file)


def test_a_file_that_is_not_there_names_those_that_are():
    with pytest.raises(ParamsError, match="params/nothing.yml: no such params file; params/ has: .*blog"):
        load("nothing")

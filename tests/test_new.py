import itertools

import pytest

from runbook import load, new, paths
from runbook.errors import ParamsError
from runbook.params_file import SCHEMA_LINE

pytestmark = pytest.mark.pure

GIVEN = {"domain": "images.example.com", "name": "images"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A params folder of its own, with the two templates."""
    for like in new.TEMPLATES:
        (tmp_path / f"{like}.yml").write_bytes((paths.PARAMS / f"{like}.yml").read_bytes())
    monkeypatch.setattr(paths, "PARAMS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("like", "cloud"), list(itertools.product(new.TEMPLATES, ("embedded", "aws"))))
def test_what_is_written_loads_with_the_answers_in_it(folder, like, cloud):
    given = {"like": like, "cloud": cloud, **GIVEN, "region": "us-east-1", "bucket": "example-images"}
    new.write("mine", new.answers("mine", given))
    p = load("mine")
    assert (p.cloud, p.name, p.domain, p.zone) == (cloud, "images", "images.example.com", "example.com")
    assert (p.region, p.bucket, p.realm) == ("us-east-1", "example-images", "example.com private registry")
    assert p.users == load(like).users
    changed = {"cloud", "name", "domain", "zone", "region", "bucket", "realm", "certificate", "image", "credentials"}
    assert p.model_dump(exclude=changed) == load(like).model_dump(exclude=changed)


def test_on_aws_the_production_template_takes_registry_3(folder):
    new.write("mine", new.answers("mine", {"like": "production", "cloud": "aws", **GIVEN}))
    assert (load("mine").image, load("mine").credentials) == ("registry:3.1.1", "task-role")


@pytest.mark.parametrize("like", new.TEMPLATES)
def test_the_comments_of_the_keys_stay(folder, like):
    new.write("mine", new.answers("mine", {"like": like, **GIVEN}))
    template, made = ((folder / f"{name}.yml").read_text().partition("\nparams:\n")[2] for name in (like, "mine"))
    assert [line.partition("# ")[2] for line in made.splitlines()] == [
        line.partition("# ")[2] for line in template.splitlines()
    ]
    assert (folder / "mine.yml").read_text().startswith(f"{SCHEMA_LINE}\n# Made from params/{like}.yml.")


def test_with_no_answer_it_is_the_templates_under_the_files_name(folder):
    answered = new.answers("team_a", {})
    assert answered["name"] == "team-a"
    assert (answered["domain"], answered["zone"]) == ("registry.elastic.io", "elastic.io")
    assert answered["bucket"] == "elastic-io-team-a"
    assert answered["certificate"] == "live/registry.elastic.io"
    assert load(new.write("team_a", answered)).name == "team-a"


def test_a_value_that_yaml_would_read_otherwise_is_quoted(folder):
    new.write("mine", new.answers("mine", {"name": "no", "domain": "registry.example.com"}))
    assert load("mine").name == "no"


def test_a_key_that_the_template_leaves_to_its_default_is_written(folder):
    text = (folder / "production.yml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("  image:")]
    (folder / "production.yml").write_text("\n".join(lines) + "\n")
    new.write("mine", new.answers("mine", {"like": "production", "cloud": "aws", **GIVEN}))
    assert load("mine").image == "registry:3.1.1"


def test_a_template_in_another_form_is_not_mangled(folder):
    text = (folder / "blog.yml").read_text().replace("  zone: elastic.io ", "  zone:\n    elastic.io ")
    (folder / "blog.yml").write_text(text)
    with pytest.raises(ParamsError):
        new.write("mine", new.answers("mine", GIVEN))
    assert not (folder / "mine.yml").exists()


@pytest.mark.parametrize(
    ("given", "key", "said"),
    [
        ({"name": "Upper"}, "name", "lower-case letters"),
        ({"name": "internal-x"}, "name", "internal-"),
        ({"domain": "nodot"}, "domain", "registry.example.com"),
        ({"zone": "example.org"}, "domain", "a name in the zone example.org"),
        ({"region": "moon"}, "region", "eu-central-1"),
        ({"region": "eu-north-1"}, "region", "S3 driver"),
        ({"bucket": "A"}, "bucket", "hyphens"),
        ({"certificate": "arn:x"}, "certificate", "certbot"),
        ({"cloud": "gcp"}, "cloud", "embedded"),
    ],
)
def test_a_wrong_answer_is_told_by_the_model_and_its_key(folder, given, key, said):
    answered = new.answers("mine", GIVEN | given)
    assert said in new.wrong("mine", answered)[key]
    with pytest.raises(ParamsError, match=key):
        new.write("mine", answered)
    assert not (folder / "mine.yml").exists()


def test_on_aws_the_domain_is_needed(folder):
    assert new.wrong("mine", new.answers("mine", {"cloud": "aws"})).keys() >= {"domain"}


@pytest.mark.parametrize("file", ["", ".", "../x", "a b", "a/b", "-x", "x.yml", "a" * 65, "a\n"])
def test_a_name_that_is_no_files_is_refused(folder, file):
    with pytest.raises(ParamsError, match="params file"):
        new.free(file)
    assert "file" in new.wrong(file, new.answers("mine", {}))


def test_a_file_is_replaced_only_when_told_and_a_template_never(folder):
    new.write("mine", new.answers("mine", GIVEN))
    before = (folder / "mine.yml").read_text()
    with pytest.raises(ParamsError, match="there already"):
        new.write("mine", new.answers("mine", GIVEN | {"name": "other"}))
    assert (folder / "mine.yml").read_text() == before
    new.write("mine", new.answers("mine", GIVEN | {"name": "other"}), replace=True)
    assert load("mine").name == "other"
    for replace in (False, True):
        with pytest.raises(ParamsError, match="template"):
            new.write("blog", new.answers("blog", GIVEN), replace=replace)
    assert sorted(file.name for file in folder.iterdir()) == ["blog.yml", "mine.yml", "production.yml"]


def test_a_person_is_asked_what_is_not_given_and_again_what_is_wrong(folder):
    replies = iter(["neither", "production", "Images", "images", "images.example.com", "", "", "", ""])
    asked, told = [], []

    def answer(question):
        asked.append(question)
        return next(replies)

    answered = new.ask("mine", {"cloud": "aws"}, answer, told.append)
    assert list(replies) == []
    assert answered == new.answers("mine", {"like": "production", "cloud": "aws", **GIVEN})
    assert not any(question.startswith("cloud") for question in asked)
    assert any("[example-com-images]" in question for question in asked)
    assert [line.strip()[:20] for line in told] == ["one of blog, product", "1 to 24 lower-case l"]


def test_the_question_for_a_domain_has_no_default_on_aws(folder):
    replies = iter(["", "", "", "registry.example.com", "", "", "", ""])
    told = []
    answered = new.ask("mine", {"cloud": "aws"}, lambda _: next(replies), told.append)
    assert told == ["  needed"]
    assert answered["domain"] == "registry.example.com"
    assert new.wrong("mine", answered) == {}

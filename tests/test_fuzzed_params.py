"""Random mutations of both params files: each is refused by the name of a key, or every name made of it is AWS's."""

import os
import re

import hypothesis
import pytest
import services
import yaml
from hypothesis import strategies as st

from runbook import access_key, config, dns, load, network, params_file, paths, storage, task_definition
from runbook.errors import ParamsError
from runbook.names import Names
from runbook.params import Params

pytestmark = pytest.mark.pure

GOOD = [load("blog").model_dump(mode="json"), services.production().model_dump(mode="json")]
TEXTS = [(paths.PARAMS / f"{name}.yml").read_text() for name in ("blog", "production")]
# The name of a property: what AWS takes, by the service's API reference.
LIMITS = {
    "cluster_name": r"[A-Za-z0-9_-]{1,255}",  # ECS
    "family": r"[A-Za-z0-9_-]{1,255}",
    "service_name": r"[A-Za-z0-9_-]{1,255}",
    "container_name": r"[A-Za-z0-9_-]{1,255}",
    "capacity_provider_name": r"(?!aws|ecs|fargate)[A-Za-z0-9_-]{1,255}",
    "balancer_name": r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)",  # Elastic Load Balancing
    "target_group_name": r"(?!-)[A-Za-z0-9-]{1,32}(?<!-)",
    "scaling_group_name": r"[A-Za-z0-9().\-/_]{3,128}",  # a launch template's, of which an Auto Scaling group takes all
    "cache_name": r"[a-z](?!.*--)[a-z0-9-]{0,39}(?<!-)",  # a replication group's, the strictest in ElastiCache
    "task_role": r"[\w+=,.@-]{1,64}",  # IAM
    "node_role": r"[\w+=,.@-]{1,64}",
    "execution_role": r"[\w+=,.@-]{1,64}",
    "user_name": r"[\w+=,.@-]{1,64}",
    "balancer_group": r"(?!sg-)[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}",  # EC2
    "node_group": r"(?!sg-)[A-Za-z0-9 ._:/()#,@\[\]+=&;{}!$*-]{1,255}",
    "log_group": r"(?!aws/)[A-Za-z0-9_/.#-]{1,512}",  # CloudWatch Logs
    "key_secret": r"[A-Za-z0-9/_+=.@-]{1,512}",  # Secrets Manager
    "http_secret": r"[A-Za-z0-9/_+=.@-]{1,512}",
    "htpasswd_secret": r"[A-Za-z0-9/_+=.@-]{1,512}",
    "htpasswd_tag": r"(?!aws:)[\w .:/=+@-]{1,128}",
}
# What Names has beside names: no thing of AWS's is called by these.
NOT_NAMES = {
    *(
        "tags",
        "scales",
        "source",
        "title",
        "major_version",
        "version",
        "auth_folder",
        "port",
        "certificate_folder",
        "url",
    ),
    "password_secret",
}
WORDS = st.sampled_from(
    ["", " ", "a", "-", "--", ".", "..", "/", "\n", "\0", "é", "\u2028", "\ud800", "*", "null", "no", "1e3", "=", ":",
     "%", "x" * 24, "x" * 25, "x" * 64, "x" * 256, "arn:aws:", "internal-", "sg-", "default", "generate", "env:",
     "${x}", "{{", "0"]
)  # fmt: skip
NUMBERS = st.one_of(st.integers(-2, 70), st.sampled_from([2**31, 2**63, 10**30, 100_000, 4000]), st.floats())
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=40))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=9), inner, max_size=3)
)


@st.composite
def edited(draw, text):
    """The text with a piece of it taken out, doubled or replaced."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 8)))
    return text[:start] + draw(st.one_of(WORDS, st.text(max_size=4), st.just(text[start:end] * 2))) + text[end:]


@st.composite
def value_like(draw, value):
    """Something that may stand for the value: of its kind with a small change, or of any kind."""
    if draw(st.integers(0, 3)) == 0:
        return draw(VALUES)
    if isinstance(value, str):
        return draw(edited(value))
    if isinstance(value, bool) or value is None:
        return draw(SCALARS)
    if isinstance(value, int):
        return draw(st.one_of(st.integers(value - 2, value * 2 + 2), NUMBERS))
    if isinstance(value, list):
        return draw(st.lists(st.one_of(*map(edited, value or [""]), SCALARS), max_size=4))
    return {draw(edited(key)): draw(value_like(each)) for key, each in value.items()}


@st.composite
def mappings(draw):
    """A right mapping with one to four keys changed, left out or made up."""
    made = dict(draw(st.sampled_from(GOOD)))
    for key in draw(st.lists(st.sampled_from(sorted(made)), min_size=1, max_size=4, unique=True)):
        kind = draw(st.integers(0, 9))
        value = made.pop(key)
        if kind == 0:
            made[draw(edited(key))] = value
        elif kind > 1:
            made[key] = draw(value_like(value))
    return made


def tried(mapping):
    """Whether the mapping is refused by the name of a key; if not, all that is made of it is right."""
    try:
        p = load(mapping)
    except ParamsError as error:
        keys = "|".join(map(re.escape, {*Params.model_fields, *map(repr, mapping), *(f"`{key}`" for key in mapping)}))
        assert re.search(keys, str(error)), error
        return True
    check(p)
    return False


def check(p):
    for name, pattern in LIMITS.items():
        assert re.fullmatch(pattern, getattr(p, name), re.ASCII), (name, getattr(p, name))
    for user in p.users:
        assert re.fullmatch(LIMITS["http_secret"], p.password_secret(user)), user
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", p.bucket)
    assert len(dns._mark_name(p)) <= 255
    assert len(p.tags) <= 47  # 50 a thing, of which Name, the htpasswd's and one of Auto Scaling's are others
    assert all(re.fullmatch(r"[\w .:/=+@-]{1,128}", key) and len(value) <= 256 for key, value in p.tags.items())
    lines = sum(len(f"{user}:") + 61 for user in p.users)
    assert lines <= 65_536  # bytes of a secret
    made = yaml.safe_dump([dict(each) for each in wanted(p)])  # each of them is text that a file takes
    assert made.encode()
    assert len(str(task_definition.want_task(p))) < 65_536
    assert repr(p).encode()
    assert load(p.model_dump(mode="json")).model_dump() == p.model_dump()


def wanted(p):
    yield storage.want_bucket(p)
    yield access_key.want_user(p)
    yield network.want_groups(p)
    yield task_definition.want_task(p)
    yield dns.want_record(p)
    yield config.environment(p)


def test_every_name_has_a_limit():
    names = {name for name, value in vars(Names).items() if isinstance(value, property) or callable(value)}
    assert set(LIMITS) == names - NOT_NAMES


@pytest.mark.parametrize("number", [0, 1])
def test_the_right_ones_are_right(number):
    assert not tried(GOOD[number])


def settings(examples):
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )


def fuzz(examples, figure):
    """Mutate mappings and texts, half of the examples each; prints how many were tried, and how many were refused."""
    counts = {"fuzzed": 0, "refused": 0}

    @settings(examples // 2)
    @hypothesis.given(mappings())
    def mapping(given):
        counts["refused"] += tried(given)
        counts["fuzzed"] += 1

    @settings(examples - examples // 2)
    @hypothesis.given(st.sampled_from(TEXTS).flatmap(lambda text: edited(text).flatmap(edited)))
    def text(given):
        counts["fuzzed"] += 1
        try:
            content = params_file.parse(given, "x.yml")
        except ParamsError as error:
            assert str(error).startswith("x.yml: ")
            counts["refused"] += 1
            return
        counts["refused"] += tried(content)

    mapping()
    text()
    figure("inputs fuzzed", counts["fuzzed"])
    figure("of them refused", counts["refused"])
    assert 0 < counts["refused"] < counts["fuzzed"]


def test_a_mutation_is_refused_by_a_key_or_makes_right_names(figure):
    fuzz(400, figure)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_many_mutations(figure):
    fuzz(int(os.environ.get("RUNBOOK_FUZZED", 100_000)), figure)

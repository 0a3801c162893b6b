"""What all rings share: params for a test, AWS as moto plays it in the test's own process, and a session that dies."""

import copy
import functools
import itertools
import json

import botocore.loaders
import botocore.session
import pytest
from figures import figure, pytest_terminal_summary  # noqa: F401 (a fixture and a hook)
from moto import mock_aws
from moto.core.models import MockAWS
from moto.ec2.models import amis, ec2_backends
from moto.iam.aws_managed_policies import aws_managed_policies_data
from unmended import unmended  # noqa: F401 (a fixture)
from victim import Victim, is_killed

import runbook
from runbook import launching, local
from runbook.local.inside import s3

# moto makes AWS's own policies (1,400), ECS's parameters (5,500) and images (1,300) anew for every account, which takes
# longer than most tests: an account here has those that are asked for.
_NAMES = (
    *("AmazonSSMManagedInstanceCore", "CloudWatchAgentServerPolicy", "AmazonEC2ContainerServiceforEC2Role"),
    "AmazonEC2FullAccess",
)
_POLICIES = json.dumps(
    {name: document for name, document in json.loads(aws_managed_policies_data).items() if name in _NAMES}
)
# boto3 reads its models of the services from disk anew for each session; a test has a session of its own.
_loader = functools.cache(botocore.loaders.create_loader)
_load = functools.cache(amis.load_resource)
_ECS_PARAMETERS = "ssm/resources/ecs/optimized_amis/"


def _parameters(resource):
    """Of ECS's parameters the one that names the recommended image."""
    if not resource.startswith(_ECS_PARAMETERS):
        return _load(resource)
    return _only(_load(resource), launching.AMI_PARAMETER.strip("/").split("/"))


def _only(tree, path):
    return {path[0]: _only(tree[path[0]], path[1:])} if path else tree


def _images(resource):
    """Of ECS's images the recommended one."""
    parameters = json.dumps(_parameters(_ECS_PARAMETERS + resource.rsplit("/", 1)[1]))
    return [copy.deepcopy(image) for image in _load(resource) if image["ami_id"] in parameters]


# They take longest, mostly by waiting: begun last they would keep one worker alone at the end.
_FIRST = ("test_notebooks.py", "test_upgrade.py", "test_nbval.py", "test_production.py", "test_plan.py", "test_main.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in _FIRST)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A runbook home of this module's own, and no embedded cloud left behind in it."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_HOME", str(folder))
        yield folder
        local.down()


@pytest.fixture
def p():
    """The blog's params, for AWS (which moto then plays)."""
    return runbook.load({**runbook.load("blog").model_dump(), "cloud": "aws"})


@pytest.fixture
def scaling():
    """The params for production, for AWS: an Auto Scaling group, registry 3 with a role of its own."""
    changed = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role"}
    return runbook.load({**runbook.load("production").model_dump(), **changed})


@pytest.fixture
def account(monkeypatch, unmended):  # noqa: F811
    """The environment of moto's account; the caller's own AWS settings do not reach it."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")
    monkeypatch.setattr("moto.iam.models.aws_managed_policies_data", _POLICIES)
    monkeypatch.setattr(botocore.session, "create_loader", _loader)
    monkeypatch.setattr(amis, "AMIS", [])
    monkeypatch.setattr(amis, "load_resource", _images)
    monkeypatch.setattr("moto.ssm.models.load_resource", _parameters)
    s3.install()
    yield
    ec2_backends.clear()  # where Auto Scaling was used, moto's own clearing makes one more, with the images of here


@pytest.fixture
def aws(p, account):
    """A connection to moto, whose account is empty."""
    with mock_aws():
        yield runbook.connect(p)


@pytest.fixture
def crash_everywhere(p, account, monkeypatch):
    """`crash_everywhere(ensure, check, prepare=None)`: `ensure` completes whatever a kill left behind.

    For every write that `ensure(aws, p)` makes in a clean account, kill it just after that write, and once more just
    before the next one if it waited in between; run it again undisturbed; call `check(aws, p)`; and a third run must
    write nothing. `prepare(aws, p)` makes what `ensure` needs of earlier steps. Gives the writes of an undisturbed
    run. Do not use it beside `aws`.
    """

    def crash(ensure, check, prepare=None):
        assert not MockAWS._mocks_active, "the fixture `aws` is in use: the account would never be clean"
        aws, victim = runbook.connect(p), Victim(p)  # their clients are kept: making them is most of the time
        victim.waits(monkeypatch)
        again = aws.read_only()

        def complete(event, n):
            with mock_aws():
                if prepare:
                    prepare(aws, p)
                victim.dies_at(event, n)
                killed = is_killed(ensure, victim.aws, p)
                try:
                    ensure(aws, p)
                    check(aws, p)
                    ensure(again, p)
                except Exception as error:
                    error.add_note(f"after a kill at {event} {n}: {victim.writes[-1:]}")
                    raise
            return killed

        after = itertools.count(1)
        while complete("after-call", next(after)):
            pass
        assert victim.writes, "ensure wrote nothing: nothing was tried"
        undisturbed, waited = victim.writes, victim.waited
        for n in waited:
            complete("before-call", n)
        return undisturbed

    return crash

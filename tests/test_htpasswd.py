"""The users' lines, their passwords' sources, and the script that puts the file on a node, run by a real shell."""

import json
import os
import re
import shutil
import subprocess

import pytest
from passlib.hash import bcrypt

import runbook
from runbook import htpasswd
from runbook.errors import NotOurs, SecretError, StepFailed
from runbook.instances import node_name
from runbook.secret import Login, Secret, generate
from runbook.secretsmanager import ensure_empty, find_secret, read_secret, write_secret

pytestmark = pytest.mark.moto

AWS_CLI = """#!/bin/sh
echo "$@" >> {folder}/calls
while [ "$1" != --version-id ]; do shift; done
exec cat {folder}/secrets/"$2"
"""


class Nodes:
    """Systems Manager, with one folder for all nodes: it runs the script that it is sent with the system's shell."""

    def __init__(self, folder, aws, p):
        self.folder, self.aws, self.p, self.scripts = folder, aws, p, []
        self.auth = folder / "auth"
        (folder / "secrets").mkdir(parents=True, exist_ok=True)
        (folder / "aws").write_text(AWS_CLI.format(folder=folder))
        (folder / "aws").chmod(0o755)

    def move_to(self, folder):
        shutil.copytree(self.folder, folder)
        self.__init__(folder, self.aws, self.p)

    def play(self, aws):
        answers = {
            "DescribeInstanceInformation": self.information,
            "SendCommand": self.send,
            "GetCommandInvocation": self.invocation,
        }

        def answer(model, params, **_):
            return (_Answer, answers[model.name](params)) if model.name in answers else None

        aws._session.events.register_last("before-call", answer)
        return aws

    def information(self, _):
        found = self.aws.ec2.all("describe_instances", "Reservations")
        ids = [each["InstanceId"] for reservation in found for each in reservation["Instances"]]
        return {"InstanceInformationList": [{"InstanceId": each, "PingStatus": "Online"} for each in ids]}

    def send(self, params):
        body = json.loads(params["body"])
        script = "\n".join(body["Parameters"]["commands"])
        self.scripts.append(script)
        version = re.search(r"--version-id (\S+)", script)[1]
        value = self.aws.secretsmanager.get_secret_value(SecretId=self.p.htpasswd_secret, VersionId=version)
        (self.folder / "secrets" / version).write_text(value["SecretString"] + "\n")
        self.result = self.run(script)
        return {"Command": {"CommandId": "0" * 36}}

    def run(self, script):
        here = script.replace(self.p.auth_folder, str(self.auth))
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        return subprocess.run(["sh", "-c", here], env=environment, capture_output=True, text=True, check=False)

    def invocation(self, _):
        status = "Success" if self.result.returncode == 0 else "Failed"
        return {
            "Status": status,
            "StatusDetails": status,
            "StandardOutputContent": self.result.stdout,
            "StandardErrorContent": self.result.stderr,
        }

    @property
    def file(self):
        return self.auth / "htpasswd"

    @property
    def users(self):
        return dict(line.split(":", 1) for line in self.file.read_text().splitlines())


class _Answer:
    status_code, headers = 200, {}


def params(**changes):
    return runbook.load({**runbook.load("blog").model_dump(), "cloud": "aws", "bcrypt_cost": 5, **changes})


def start_node(aws, p, index=1):
    tags = {**p.tags, "Name": node_name(p, index)}
    specification = {"ResourceType": "instance", "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}
    aws.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=[specification])


@pytest.fixture
def p():
    return params()


@pytest.fixture
def nodes(aws, p, tmp_path):
    made = Nodes(tmp_path / "node", aws, p)
    made.play(aws)
    start_node(aws, p)
    return made


@pytest.mark.pure
def test_want_names_sources_and_nothing_secret(p):
    assert htpasswd.want_users(p, nodes=("registry-node-1",)) == {
        "File": "/home/ec2-user/auth/htpasswd",
        "UserNames": ["builder", "testuser"],
        "Users": {
            "builder": {"Password": "generate", "Cost": 5},
            "testuser": {"Password": "generate", "Cost": 5},
        },
        "Generated": ["builder", "testuser"],
        "Nodes": {"registry-node-1": "current"},
    }


def test_from_nothing_then_nothing_to_write(aws, p, nodes, caplog, capfd):
    done = htpasswd.ensure_users(aws, p)
    assert repr(done) == "+ users: created"
    assert sorted(nodes.users) == ["builder", "testuser"]
    for user, line in nodes.users.items():
        assert line.startswith("$2y$05$")
        assert bcrypt.verify(htpasswd.password(aws, p, user).reveal(), line)
    assert nodes.file.stat().st_mode & 0o777 == 0o600
    assert nodes.auth.stat().st_mode & 0o777 == 0o700
    assert htpasswd.verify_users(aws.read_only(), p).require()
    assert not htpasswd.ensure_users(aws.read_only(), p)
    assert len(nodes.scripts) == 1
    shown = repr(htpasswd.find_users(aws, p)) + caplog.text + "".join(capfd.readouterr()) + nodes.scripts[0]
    for secret in [*nodes.users.values(), *(htpasswd.password(aws, p, user).reveal() for user in p.users)]:
        assert secret not in shown


def test_a_kill_anywhere_is_completed(crash_everywhere, p, tmp_path):
    runs = iter(range(1000))

    def ensure(aws, p):
        htpasswd.ensure_users(Nodes(tmp_path / str(next(runs)), aws, p).play(aws), p)

    def check(aws, p):
        assert htpasswd.verify_users(aws, p).require()

    writes = crash_everywhere(ensure, check, prepare=start_node)
    assert writes == ["secretsmanager CreateSecret"] * 3 + ["ssm SendCommand", "ec2 CreateTags"]


def test_users_come_change_and_go(aws, p, nodes, monkeypatch):
    htpasswd.ensure_users(aws, p)
    first = nodes.users
    monkeypatch.setenv("DEPLOYER_PASSWORD", "first of two: with a colon")
    p = params(users={"testuser": "generate", "deployer": "env:DEPLOYER_PASSWORD"}, bcrypt_cost=8)
    report = htpasswd.verify_users(aws, p)
    assert not report
    assert "UserNames: wanted" in report.failures() and "Cost: wanted 8, found 5" in report.failures()
    htpasswd.ensure_users(aws, p)
    second = nodes.users
    assert sorted(second) == ["deployer", "testuser"]
    assert second["testuser"] != first["testuser"]
    assert bcrypt.verify(htpasswd.password(aws, p, "testuser").reveal(), second["testuser"])
    assert bcrypt.verify("first of two: with a colon", second["deployer"])
    assert find_secret(aws, p, p.password_secret("builder")) is None
    monkeypatch.setenv("DEPLOYER_PASSWORD", "the second")
    assert "deployer.Password: wanted env:DEPLOYER_PASSWORD, found another password" in (
        htpasswd.verify_users(aws, p).failures()
    )
    htpasswd.ensure_users(aws, p)
    assert bcrypt.verify("the second", nodes.users["deployer"])
    assert nodes.users["testuser"] == second["testuser"]
    assert htpasswd.verify_users(aws, p)


def test_a_generated_password_is_never_made_anew(aws, p, nodes):
    write_secret(aws, p, p.password_secret("testuser"), Secret("kept-from-before"), "x")
    htpasswd.ensure_users(aws, p)
    assert bcrypt.verify("kept-from-before", nodes.users["testuser"])
    aws.secretsmanager.delete_secret(SecretId=p.htpasswd_secret, ForceDeleteWithoutRecovery=True)
    htpasswd.ensure_users(aws, p)
    assert htpasswd.password(aws, p, "testuser") == Secret("kept-from-before")


@pytest.mark.parametrize("content", ["testuser", "testuser:$apr1$x$y", "someone:$2y$05$x"])
def test_a_damaged_secret_is_seen_and_mended(aws, p, nodes, content):
    htpasswd.ensure_users(aws, p)
    whole = read_secret(aws, p, p.htpasswd_secret).reveal()
    damaged = "\n".join([*(line for line in whole.splitlines() if not line.startswith("testuser")), content])
    write_secret(aws, p, p.htpasswd_secret, Secret(damaged), "x")
    assert "testuser" in htpasswd.verify_users(aws, p).failures()
    htpasswd.ensure_users(aws, p)
    assert htpasswd.verify_users(aws, p).require()
    assert bcrypt.verify(htpasswd.password(aws, p, "testuser").reveal(), nodes.users["testuser"])


def test_a_node_that_joins_later_lacks_the_file(aws, p, nodes):
    htpasswd.ensure_users(aws, p)
    p = params(nodes=2)
    start_node(aws, p, 2)
    report = htpasswd.verify_users(aws, p)
    assert report.failures() == "users: Nodes.registry-node-2: wanted current, found missing"
    htpasswd.ensure_users(aws, p)
    assert htpasswd.verify_users(aws, p).require()
    write_secret(aws, p, p.htpasswd_secret, read_secret(aws, p, p.htpasswd_secret), "the same again")
    assert "registry-node-1: wanted current, found older version" in htpasswd.verify_users(aws, p).failures()


def test_a_script_that_fails_is_told_and_leaves_the_old_file(aws, p, nodes):
    htpasswd.ensure_users(aws, p)
    before = nodes.users
    (nodes.folder / "aws").write_text("#!/bin/sh\necho 'AccessDeniedException: not authorized' >&2\nexit 254\n")
    p = params(users={"testuser": "generate"})
    with pytest.raises(StepFailed, match=r"node registry-node-1: Failed, AccessDeniedException: not authorized; run"):
        htpasswd.ensure_users(aws, p)
    assert nodes.users == before
    assert [each.name for each in nodes.auth.iterdir()] == ["htpasswd"]
    assert "registry-node-1: wanted current, found older version" in htpasswd.verify_users(aws, p).failures()
    (nodes.folder / "aws").write_text(AWS_CLI.format(folder=nodes.folder))
    htpasswd.ensure_users(aws, p)
    assert sorted(nodes.users) == ["testuser"]


def test_success_alone_is_no_proof(aws, p, nodes):
    nodes.run = lambda script: subprocess.CompletedProcess([], 0, "", "")
    with pytest.raises(StepFailed, match="no lines instead of 2"):
        htpasswd.ensure_users(aws, p)
    assert htpasswd.find_users(aws, p)["Nodes"] == {"registry-node-1": "missing"}


def test_a_cli_is_installed_where_there_is_none(nodes, p, tmp_path):
    (nodes.folder / "aws").rename(nodes.folder / "cli")
    (nodes.folder / "dnf").write_text(f'#!/bin/sh\necho "$@"; cp {nodes.folder}/cli {nodes.folder}/aws\n')
    (nodes.folder / "dnf").chmod(0o755)
    (nodes.folder / "secrets" / "v1").write_text("a:x\nb:y\n")
    result = nodes.run("\n".join(htpasswd.delivery(p, version="v1")))
    assert (result.returncode, result.stdout, result.stderr) == (0, "2\n", "")
    assert nodes.file.read_text() == "a:x\nb:y\n"


def test_the_file_is_replaced_not_written_into(nodes, p):
    for version, content in (("v1", "a:x\n"), ("v2", "a:z\n")):
        (nodes.folder / "secrets" / version).write_text(content)
    nodes.run("\n".join(htpasswd.delivery(p, version="v1")))
    with nodes.file.open() as reader:
        nodes.run("\n".join(htpasswd.delivery(p, version="v2")))
        assert reader.read() == "a:x\n"
    assert nodes.file.read_text() == "a:z\n"
    assert (nodes.folder / "calls").read_text().splitlines()[1] == (
        "secretsmanager get-secret-value --region eu-central-1 --secret-id registry/htpasswd --version-id v2 "
        "--query SecretString --output text"
    )


def test_no_node_names_the_notebook(aws, p):
    with pytest.raises(StepFailed, match="run notebook 02_create_a_task_definition first"):
        htpasswd.ensure_users(aws, p)
    assert find_secret(aws, p, p.htpasswd_secret) is None


def test_a_password_that_is_not_utf_8_is_refused(aws, monkeypatch):
    monkeypatch.setenv("GIVEN", os.fsdecode(b"caf\xe9 au lait"))
    p = params(users={"deployer": "env:GIVEN"}, bcrypt_cost=8)
    with pytest.raises(SecretError, match="bytes in it that are not UTF-8") as raised:
        htpasswd.password(aws, p, "deployer")
    assert raised.value.__context__ is None


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("x" * 73, "more than 72 bytes"),
        ("ü" * 37, "more than 72 bytes"),
        ("with\nbreak", "line break or a NUL"),
        ("with\rreturn", "line break or a NUL"),
        ("with\0nul", "line break or a NUL"),
        ("deployer", "is the user's name"),
        ("", "is empty"),
    ],
)
def test_passwords_that_cannot_be_used(aws, p, bad, says):
    p = params(users={"deployer": "secretsmanager:given"}, bcrypt_cost=8)
    aws.secretsmanager.create_secret(Name="given", SecretString=bad or "x")
    if not bad:  # the API takes no empty text; what lies there may still be one
        import moto.secretsmanager.models as models

        secret = models.secretsmanager_backends["123456789012"]["eu-central-1"].secrets["given"]
        for version in secret.versions.values():
            version["secret_string"] = ""
    with pytest.raises(SecretError, match=says) as caught:
        htpasswd.password(aws, p, "deployer")
    assert bad in ("", "deployer") or bad not in str(caught.value)


@pytest.mark.parametrize("good", ["x" * 72, "ü" * 36, "a:b:c", " spaces $`'\"\\ ", "p"])
def test_passwords_of_every_kind_come_through(aws, p, nodes, good, monkeypatch):
    p = params(users={"deployer": "secretsmanager:given"}, bcrypt_cost=8)
    aws.secretsmanager.create_secret(Name="given", SecretString=good)
    htpasswd.ensure_users(aws, p)
    assert bcrypt.verify(good, nodes.users["deployer"])
    assert htpasswd.logins(aws, p) == [Login("deployer", Secret(good))]
    assert htpasswd.verify_users(aws.read_only(), p).require()


def test_sources_that_have_nothing(aws, p, monkeypatch):
    monkeypatch.delenv("NOT_SET", raising=False)
    with pytest.raises(SecretError, match="env:NOT_SET"):
        htpasswd.password(aws, params(users={"a": "env:NOT_SET"}, bcrypt_cost=8), "a")
    with pytest.raises(SecretError, match="secretsmanager:nowhere: no such secret"):
        htpasswd.password(aws, params(users={"a": "secretsmanager:nowhere"}, bcrypt_cost=8), "a")
    with pytest.raises(SecretError, match="run notebook 03_create_an_htpasswd_file"):
        htpasswd.password(aws, p, "testuser")
    with pytest.raises(SecretError, match="no user nobody in .*; its users are testuser, builder"):
        htpasswd.password(aws, p, "nobody")


def test_a_source_that_is_not_here_is_drift_for_a_reader_and_an_error_for_a_writer(aws, p, nodes, monkeypatch):
    p = params(users={"deployer": "env:DEPLOYER_PASSWORD"}, bcrypt_cost=8)
    monkeypatch.setenv("DEPLOYER_PASSWORD", "given")
    htpasswd.ensure_users(aws, p)
    monkeypatch.delenv("DEPLOYER_PASSWORD")
    assert "found cannot be compared here" in htpasswd.verify_users(aws, p).failures()
    with pytest.raises(SecretError, match="env:DEPLOYER_PASSWORD"):
        htpasswd.ensure_users(aws, p)
    assert bcrypt.verify("given", nodes.users["deployer"])


def test_a_prompt_is_asked_once_and_again_when_told(aws, p, nodes, monkeypatch):
    p = params(users={"person": "prompt"}, bcrypt_cost=8)
    answers = iter(["typed first", "typed second"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    htpasswd.ensure_users(aws, p)
    assert bcrypt.verify("typed first", nodes.users["person"])
    assert not htpasswd.ensure_users(aws.read_only(), p)
    assert htpasswd.verify_users(aws, p).require()
    assert htpasswd.logins(aws, p) == []
    htpasswd.ensure_users(aws, p, ask=True)
    assert bcrypt.verify("typed second", nodes.users["person"])


def test_a_prompt_where_nobody_is(aws, p, nodes, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda prompt: (_ for _ in ()).throw(EOFError()))
    with pytest.raises(SecretError, match="use env:NAME, secretsmanager:NAME or generate"):
        htpasswd.ensure_users(aws, params(users={"person": "prompt"}, bcrypt_cost=8))


def test_another_deployments_secret_is_left_alone(aws, p, nodes):
    aws.secretsmanager.create_secret(Name=p.htpasswd_secret, SecretString="theirs")
    for verb in (htpasswd.ensure_users, htpasswd.find_users, htpasswd.destroy_users):
        with pytest.raises(NotOurs, match="secret registry/htpasswd"):
            verb(aws, p)
    assert aws.secretsmanager.get_secret_value(SecretId=p.htpasswd_secret)["SecretString"] == "theirs"


def test_destroy_leaves_nothing_and_can_be_repeated(aws, p, nodes):
    htpasswd.ensure_users(aws, p)
    write_secret(aws, p, p.password_secret("earlier"), generate(), "of a user who is gone")
    aws.secretsmanager.create_secret(Name="registry/users/theirs", SecretString="x")
    aws.secretsmanager.create_secret(Name="registry-two/users/other", SecretString="x")
    assert repr(htpasswd.destroy_users(aws, p)) == "- users: destroyed"
    left = [each["Name"] for each in aws.secretsmanager.all("list_secrets", "SecretList")]
    assert sorted(left) == ["registry-two/users/other", "registry/users/theirs"]
    assert repr(htpasswd.destroy_users(aws, p)) == "= users: absent"


# With an init container: no node takes part.


def careful(**changes):
    own = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role", "bcrypt_cost": 5, **changes}
    return runbook.load({**runbook.load("production").model_dump(), **own})


INIT = pytest.mark.parametrize("p", [careful()], ids=["init-container"])


def lines(aws, p):
    return dict(line.split(":", 1) for line in read_secret(aws, p, p.htpasswd_secret).reveal().splitlines())


@pytest.mark.pure
def test_with_an_init_container_nothing_is_said_of_nodes():
    wanted = htpasswd.want_users(careful())
    assert wanted["File"] == "/auth/htpasswd in each task" and "Nodes" not in wanted


@INIT
def test_with_an_init_container_no_node_is_needed(aws, p):
    ensure_empty(aws, p, p.htpasswd_secret, "by the task definition")
    assert htpasswd.find_users(aws, p) is None
    assert htpasswd.verify_users(aws, p).absent
    assert repr(htpasswd.ensure_users(aws, p)) == "+ users: created"
    for user, line in lines(aws, p).items():
        assert bcrypt.verify(htpasswd.password(aws, p, user).reveal(), line)
    assert htpasswd.find_users(aws, p) == htpasswd.want_users(p)
    htpasswd.verify_users(aws.read_only(), p).require()
    assert not htpasswd.ensure_users(aws.read_only(), p)


@INIT
def test_with_an_init_container_users_come_and_go_by_versions_of_the_secret(aws, p):
    htpasswd.ensure_users(aws, p)
    first, version = lines(aws, p), find_secret(aws, p, p.htpasswd_secret)["VersionId"]
    htpasswd.ensure_users(aws, p)
    assert find_secret(aws, p, p.htpasswd_secret)["VersionId"] == version
    p = careful(users={"testuser": "generate", "deployer": "generate"})
    assert "UserNames: wanted" in htpasswd.verify_users(aws, p).failures()
    htpasswd.ensure_users(aws, p)
    assert sorted(lines(aws, p)) == ["deployer", "testuser"]
    assert lines(aws, p)["testuser"] == first["testuser"]
    assert find_secret(aws, p, p.htpasswd_secret)["VersionId"] != version
    assert find_secret(aws, p, p.password_secret("builder")) is None


@INIT
def test_with_an_init_container_a_kill_anywhere_is_completed(crash_everywhere, p):
    def prepare(aws, p):
        ensure_empty(aws, p, p.htpasswd_secret, "by the task definition")

    def check(aws, p):
        htpasswd.verify_users(aws, p).require()

    writes = crash_everywhere(htpasswd.ensure_users, check, prepare=prepare)
    assert writes == ["secretsmanager CreateSecret"] * 2 + ["secretsmanager PutSecretValue"]


@INIT
def test_an_empty_secret_goes_with_the_users(aws, p):
    ensure_empty(aws, p, p.htpasswd_secret, "by the task definition")
    assert repr(htpasswd.destroy_users(aws, p)) == "- users: destroyed"
    assert aws.secretsmanager.all("list_secrets", "SecretList") == []
    assert repr(htpasswd.destroy_users(aws.read_only(), p)) == "= users: absent"


def test_the_blogs_users_stay_when_an_init_container_takes_over(aws, p, nodes):
    htpasswd.ensure_users(aws, p)
    htpasswd.verify_users(aws, careful(extra_tags={})).require()
    assert not htpasswd.ensure_users(aws.read_only(), careful(extra_tags={}))


@pytest.mark.pure
def test_the_self_test_names_the_fix(monkeypatch):
    class Broken:
        """As passlib 1.7.4 behaves with bcrypt 5."""

        def using(self, **_):
            return self

        def hash(self, text):
            raise ValueError("password cannot be longer than 72 bytes, truncate manually if necessary")

    monkeypatch.setattr(htpasswd, "bcrypt", Broken())
    htpasswd._self_test.cache_clear()
    with pytest.raises(StepFailed, match="must be libpass 1.9.4 or newer, not passlib 1.7.4"):
        htpasswd._self_test()
    htpasswd._self_test.cache_clear()


@pytest.mark.pure
def test_the_self_test_passes_here():
    htpasswd._self_test.cache_clear()
    htpasswd._self_test()

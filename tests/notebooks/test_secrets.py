"""Secrets come in by every way there is, and whatever a life of a deployment leaves or shows holds none of them.

The life: every write of every step fails in three ways, under IPython's most talkative tracebacks, by a caller who logs
at DEBUG; a person types a password into a real kernel; the command line runs, fails, plans, verifies and destroys.
"""

import base64
import contextlib
import io
import itertools
import json
import logging
import os
import re
import secrets as random
import subprocess
import sys
import urllib.request
from collections import Counter
from types import SimpleNamespace

import leaks
import nbformat
import pytest
import yaml
from botocore.awsrequest import AWSResponse
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from traitlets.config import Config

from runbook import clients, connect, headless, htpasswd, lease, load, local, paths, plan, registry
from runbook.local.furnish import furnish
from runbook.local.metadata import NODE_PORT
from runbook.session import _READS

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(900)]

SIGNS = '"\\<b>&+/ü%'
# Where a secret may be, by the path below the runbook's home, and why.
FILES = {
    r"ca\.key": "the embedded cloud's certificate authority signs with it",
    r"live/[^/]+/privkey\.pem": "the certificate that a person brings, as certbot keeps it",
    r"data/balancers/\d+/\w+\.pem": "HAProxy reads certificate and key from a file, as a load balancer has them",
    r"data/nodes/i-\w+/root/home/ec2-user/auth/htpasswd": "the file that notebook 03 delivers to the node",
}
# Programs whose environment may hold one: readable by the same user and root alone (proc(5)).
PROGRAMS = {
    "python": "the command that the caller gave env:NAME and AWS_*, and the kernels it starts",
    "registry": "what ECS gives a container as `secrets`, its program has in its environment",
    "docker-registry": "the same program, by Debian's name",
    "bwrap": "the sandbox that becomes the registry's parent",
    "setpriv": "becomes the sandbox a moment later",
    "sh": "becomes the sandbox a moment later",
}


# Writes with a secret in scope.
SENSITIVE = {"CreateAccessKey", "CreateSecret", "PutSecretValue", "ImportCertificate", "RegisterTaskDefinition"}


def planted(length=18):
    return random.token_urlsafe(length)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("secrets")
    for name in ("home", "tmp", "user", "ipython"):
        (made / name).mkdir(mode=0o700)
    return made


@pytest.fixture(scope="module")
def ways():
    """The secrets that are planted from outside, by the way that they come in."""
    return {
        "password by env:NAME": planted() + SIGNS,
        "password by prompt": planted() + SIGNS,
        "password by secretsmanager:NAME": planted() + SIGNS,
        "the caller's AWS_SECRET_ACCESS_KEY": planted(26) + "+/x=",
        "the caller's AWS_SESSION_TOKEN": base64.b64encode(random.token_bytes(180)).decode(),
    }


@pytest.fixture(scope="module")
def environment(folder, ways):
    """The caller's: a login for AWS, a password, homes and folders of this test's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNBOOK_", "AWS_", "JUPYTER_", "IPYTHON"))}
    return kept | {
        "RUNBOOK_HOME": str(folder / "home"),
        "RUNBOOK_RUNS": str(folder / "runs"),
        "HOME": str(folder / "user"),
        "TMPDIR": str(folder / "tmp"),
        "IPYTHONDIR": str(folder / "ipython"),
        "AWS_ACCESS_KEY_ID": "planted",  # no id of AWS's form, which the embedded cloud would look up
        "AWS_SECRET_ACCESS_KEY": ways["the caller's AWS_SECRET_ACCESS_KEY"],
        "AWS_SESSION_TOKEN": ways["the caller's AWS_SESSION_TOKEN"],
        "PLANTED_PASSWORD": ways["password by env:NAME"],
    }


@pytest.fixture(scope="module")
def params(folder):
    """The blog's, whose users' passwords come from everywhere."""
    users = {"by-env": "env:PLANTED_PASSWORD", "by-prompt": "prompt"}
    users |= {"by-secret": "secretsmanager:planted/password", "generated": "generate"}
    path = folder / "secrets.yml"
    path.write_text(yaml.safe_dump({"params": {**load("blog").model_dump(), "users": users}}))
    return path


@pytest.fixture(scope="module")
def shown():
    """Place → what was shown there."""
    return {}


@pytest.fixture(scope="module")
def command(folder, environment, shown):
    def run(*arguments, **more):
        line = [sys.executable, "-m", "runbook", *map(str, arguments)]
        done = subprocess.run(
            line, cwd=folder, env={**environment, **more}, capture_output=True, text=True, timeout=600
        )
        shown[f"runbook {' '.join(map(str, arguments))} #{len(shown)}"] = done.stdout + done.stderr
        return done

    return run


class Failing:
    """Each write of a connection fails before it is let through, one that handles secrets in three ways. It is known
    by its step, by AWS's name for it, and by the name of the secret that it is about."""

    def __init__(self, aws):
        aws._session.events.register_first("before-send", self._at)
        self.step, self.failed, self._tried = "", Counter(), Counter()
        self._ways = itertools.cycle((self._refused, self._bug, self._interrupt))

    def _at(self, event_name, request, **_):
        _, service, operation = event_name.split(".")
        if operation.startswith(_READS) or operation in ("PutParameter", "DeleteParameter"):  # the lease's
            return None
        secret = re.search(rb'"(?:Name|SecretId)": "([^"]*)"', request.body or b"") if "Secret" in operation else None
        write = self.step, operation, secret and secret[1]
        if self._tried[write] == (3 if operation in SENSITIVE else 1):
            return None
        self._tried[write] += 1
        way = next(self._ways)
        self.failed[way.__name__, operation] += 1
        return way(service, request)

    def _bug(self, *_):
        raise RuntimeError("forced: a bug below the runbook")

    def _interrupt(self, *_):
        raise KeyboardInterrupt

    def _refused(self, service, request):
        """As AWS words it, with the values that it was sent. Of bytes (a private key) it says no value."""
        body = request.body or b""
        text = body.decode() if isinstance(body, bytes) else str(body)
        quoted = " ".join(re.findall(r'": ?"((?:[^"\\]|\\.)*)"', re.sub(r'"PrivateKey": ?"[^"]*"', "", text)))
        with contextlib.suppress(ValueError):
            given = json.loads(text)
            quoted = " ".join(str(value) for key, value in given.items() if key != "PrivateKey")
        message = f"1 validation error detected: Value '{quoted}' at 'x' failed to satisfy constraint"
        error = f"<Error><Code>ValidationError</Code>{_message(text)}</Error>"
        content = {
            "ec2": f"<Response><Errors>{error}</Errors></Response>",
            "s3": error,
        }.get(service, f"<ErrorResponse>{error}</ErrorResponse>")
        if text.startswith("{"):
            content = json.dumps({"__type": "ValidationException", "message": message})
        return AWSResponse(request.url, 400, {"content-type": "text/xml"}, _Raw(content.encode()))


def _message(text):
    plain = re.sub(r"[^A-Za-z0-9=.:/ -]", " ", text)
    return f"<Message>Value {plain} is not valid</Message>"


class _Raw(io.BytesIO):
    def stream(self, **_):
        yield self.read()


@pytest.fixture(scope="module")
def lived(folder, environment, ways, params, shown, command):
    """The whole life; what there is to be searched is in `shown`, in files, and in what this gives."""
    p = load(str(params))
    with pytest.MonkeyPatch.context() as patch, leaks.Processes(every=0.2) as seen:
        for name in [name for name in os.environ if name.startswith(("AWS_", "RUNBOOK_"))]:
            patch.delenv(name)
        for name in environment.keys() - {"PATH", "TMPDIR"}:
            patch.setenv(name, environment[name])
        cloud = local.up()
        try:
            furnish(p)
            aws = connect(p)
            password = ways["password by secretsmanager:NAME"]
            aws.secretsmanager.create_secret(Name="planted/password", SecretString=password)
            patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint)
            failing = fail_everywhere(load({**p.model_dump(), "cloud": "aws"}), ways, shown)
            patch.delenv("AWS_ENDPOINT_URL")
            fail_beside_aws(aws, p, ways, shown)
            typed = type_into_a_kernel(folder, environment, params, ways)
            run, plan_, verify = (command(verb, params) for verb in ("run", "plan", "verify"))
            command("verify", params, PLANTED_PASSWORD="")
            at_aws = folder / "aws.yml"
            at_aws.write_text(yaml.safe_dump({"params": {**p.model_dump(), "cloud": "aws"}}))
            command("plan", at_aws, AWS_ENDPOINT_URL=cloud.endpoint)
            secrets = ways | made_on_the_way(aws, p, folder)
            held = {path: path.read_bytes() for path in leaks.files(folder / "home")}
            modes = {path: leaks.open_to_others(path, folder / "home") for path in held}
            account = told_by_the_account(aws, p)
            destroy = command("destroy", params, "--images")
        finally:
            local.down()
    return SimpleNamespace(
        secrets=secrets, seen=seen, failing=failing, typed=typed, run=run, plan=plan_, verify=verify,
        destroy=destroy, held=held, modes=modes, account=account,
    )  # fmt: skip


def in_a_shell(shell, code):
    """What IPython shows of a cell, at its most talkative; and whether it went well."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        result = shell.run_cell(code)
    return out.getvalue(), result.success


def talkative_shell(**names):
    """Without a history: a kernel has none on disk either, and JupyterLab's is searched below."""
    shell = InteractiveShell(user_ns=names, config=Config({"HistoryManager": {"enabled": False}}))
    shell.InteractiveTB.set_mode(mode="Verbose")
    return shell


def fail_everywhere(p, ways, shown):
    """Every step, as a caller on AWS: an answer that refuses and quotes, a bug, Ctrl-C, at each of its writes."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root, level = logging.getLogger(), logging.getLogger().level
    aws = connect(p)
    failing, shell = Failing(aws), talkative_shell(aws=aws, p=p)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with pytest.MonkeyPatch.context() as patch, lease.hold(aws, p):
            patch.setattr("getpass.getpass", lambda _: ways["password by prompt"])
            for step in plan.STEPS:
                shell.user_ns["step"] = step
                for attempt in itertools.count():
                    before, failing.step = failing.failed.total(), step.thing
                    text, done = in_a_shell(shell, "step.ensure(aws, p)")
                    shown[f"{step.thing}, attempt {attempt}"] = text
                    if done:
                        break
                    assert failing.failed.total() > before, text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    shown["the caller's log at DEBUG"] = log.getvalue()
    return failing


def fail_beside_aws(aws, p, ways, shown):
    """The same where no call to AWS is made: a hash, a request to the registry, a program that is started."""

    def bug(*_, **__):
        raise RuntimeError("forced: a bug below the runbook")

    names = {"aws": aws, "p": p, "htpasswd": htpasswd, "registry": registry, "clients": clients}
    names["login"] = htpasswd.logins(aws, p)[0]
    for target, code in (
        ("bcrypt.hashpw", "htpasswd.ensure_users(aws, p, ask=True)"),
        ("urllib3.connectionpool.HTTPConnectionPool.urlopen", "registry.ask(aws, p, login=login)"),
        ("subprocess.Popen.communicate", "clients.docker_login(aws, p, login)"),
        ("subprocess.Popen.communicate", "clients.skopeo_round_trip(aws, p, login)"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("getpass.getpass", lambda _: ways["password by prompt"])
            patch.setattr(target, bug)
            text, done = in_a_shell(talkative_shell(**names), code)
        assert "a bug below" in text or "not installed" in text, text
        shown[f"{code} with a bug in {target}"] = text


def type_into_a_kernel(folder, environment, params, ways):
    """A person changes the password that is typed: the notebook as JupyterLab would save it; how often it was asked."""
    cells = [
        f"params = {str(params)!r}",
        "from runbook import connect, htpasswd, load\n\np = load(params)\naws = connect(p)",
        "%xmode Verbose",
        "htpasswd.ensure_users(aws, p, ask=True)",
        "htpasswd.verify_users(aws, p).require()",
        "htpasswd.password(aws, p, 'by-prompt')",
        "htpasswd.password(aws, p, 'by-env'), htpasswd.logins(aws, p)",
        "import bcrypt\nbcrypt.hashpw = None\nhtpasswd.ensure_users(aws, p, ask=True)",
    ]
    notebook, asked = nbformat.v4.new_notebook(), []
    manager, client = start_new_kernel(env=environment, cwd=str(folder))
    try:

        def answer(message):
            asked.append(message["content"]["prompt"])
            client.input(ways["password by prompt"])

        for source in cells:
            cell = nbformat.v4.new_code_cell(source)
            notebook.cells.append(cell)

            def keep(message, cell=cell):
                kind = message["msg_type"]
                if kind in ("stream", "display_data", "execute_result", "error"):
                    cell.outputs.append(nbformat.v4.output_from_msg(message))

            client.execute_interactive(
                source, allow_stdin=True, stdin_hook=answer, output_hook=keep, timeout=120, store_history=True
            )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    nbformat.write(notebook, folder / "typed.ipynb")
    return SimpleNamespace(notebook=notebook, asked=asked)


def made_on_the_way(aws, p, folder):
    """The secrets that the runbook, the embedded cloud and the registry have among themselves."""

    def value(name):
        return aws.secretsmanager.get_secret_value(SecretId=name)["SecretString"]

    found = {"http.secret": value(p.http_secret), "the generated password": value(p.password_secret("generated"))}
    found["the IAM user's secret key"] = json.loads(value(p.key_secret))["secretkey"]
    for line in value(p.htpasswd_secret).splitlines():
        user, _, hashed = line.partition(":")
        found[f"the hash of {user}"] = hashed.rsplit("$", 1)[1]
    found |= private_parts("the certificate's key", p.certificate_folder / "privkey.pem")
    found |= private_parts("the CA's key", folder / "home" / "ca.key")
    for node in local.status()["nodes"]:
        lent = json.loads(_metadata(node["address"]))
        found |= {"the node role's secret key": lent["SecretAccessKey"], "the node role's token": lent["Token"]}
    return found


def private_parts(name, file):
    """Of a key in PEM form: its numbers, and the lines in which nothing stands that the certificate tells, too."""
    content = file.read_bytes()
    key = serialization.load_pem_private_key(content, password=None)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        value = key.private_numbers().private_value.to_bytes(32)
        # In PKCS 8 it begins 36 bytes in: 12 of its bytes are in the first line of 48, the others in the second.
        return {name: value, f"{name}, first line": value[:12], f"{name}, second line": value[12:]}
    numbers = key.private_numbers()
    parts = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
    found = {f"{name}, {part}": number.to_bytes(-(-number.bit_length() // 8)) for part, number in parts.items()}
    lines = content.decode().splitlines()[1:-1]
    modulus = key.public_key().public_numbers().n.bit_length() // 8
    private = lines[(modulus + 60) // 48 + 1 : -1]
    return found | {f"{name}, line {number}": line for number, line in enumerate(private)}


def _metadata(address):
    """The credentials of a node's role, as a program on it asks for them (IMDSv2)."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    where = f"http://{address}:{NODE_PORT}/latest"
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = direct.open(urllib.request.Request(f"{where}/api/token", method="PUT", headers=ttl)).read().decode()

    def get(path):
        request = urllib.request.Request(where + path, headers={"X-aws-ec2-metadata-token": token})
        return direct.open(request).read().decode()

    folder = "/meta-data/iam/security-credentials/"
    return get(folder + get(folder))


def told_by_the_account(aws, p):
    """What the account tells whoever may only look: everything but the values in Secrets Manager."""
    tasks = aws.ecs.all("list_task_definitions", "taskDefinitionArns")
    arns = aws.ecs.all("list_tasks", "taskArns", cluster=p.cluster_name)
    instances = [i for r in aws.ec2.all("describe_instances", "Reservations") for i in r["Instances"]]
    streams = aws.logs.all("describe_log_streams", "logStreams", logGroupName=p.log_group)
    balancers = aws.elb.all("describe_load_balancers", "LoadBalancerDescriptions")
    zones = aws.route53.all("list_hosted_zones", "HostedZones")
    certificates = aws.acm.all("list_certificates", "CertificateSummaryList")
    commands = aws.ssm.all("list_commands", "Commands")
    found = {
        "task definitions": [aws.ecs.describe_task_definition(taskDefinition=t, include=["TAGS"]) for t in tasks],
        "tasks": aws.ecs.describe_tasks(cluster=p.cluster_name, tasks=arns),
        "services": aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name], include=["TAGS"]),
        "instances": instances,
        "user data": [_user_data(aws, instance["InstanceId"]) for instance in instances],
        "tags": aws.ec2.all("describe_tags", "Tags"),
        "security groups": aws.ec2.all("describe_security_groups", "SecurityGroups"),
        "commands": commands,
        "invocations": [
            aws.ssm.find("get_command_invocation", set(), CommandId=c["CommandId"], InstanceId=i)
            for c in commands
            for i in c["InstanceIds"]
        ],
        "secrets": aws.secretsmanager.all("list_secrets", "SecretList"),
        "container logs": [
            aws.logs.get_log_events(logGroupName=p.log_group, logStreamName=s["logStreamName"]) for s in streams
        ],
        "users": aws.iam.all("list_users", "Users"),
        "keys": aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=p.user_name),
        "policies": aws.iam.get_account_authorization_details(),
        "balancers": balancers,
        "balancers' tags": [aws.elb.describe_tags(LoadBalancerNames=[b["LoadBalancerName"]]) for b in balancers],
        "records": [aws.route53.list_resource_record_sets(HostedZoneId=zone["Id"]) for zone in zones],
        "certificates": [aws.acm.describe_certificate(CertificateArn=c["CertificateArn"]) for c in certificates],
        "certificates' tags": [
            aws.acm.list_tags_for_certificate(CertificateArn=c["CertificateArn"]) for c in certificates
        ],
        "objects": aws.s3.all("list_objects_v2", "Contents", Bucket=p.bucket),
    }
    assert all(found.values()), [name for name, each in found.items() if not each]
    return {name: json.dumps(each, default=str) for name, each in found.items()}


def _user_data(aws, instance):
    told = aws.ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")
    return base64.b64decode(told["UserData"].get("Value", "")).decode()


def test_the_life_was_lived(lived, shown):
    assert lived.run.returncode == 0, lived.run.stdout + lived.run.stderr
    assert lived.plan.returncode == 0, lived.plan.stdout + lived.plan.stderr
    assert lived.verify.returncode == 0, lived.verify.stdout + lived.verify.stderr
    assert lived.destroy.returncode == 0, lived.destroy.stderr
    assert lived.typed.asked == ["password of by-prompt: "] * 2
    errors = [output.ename for cell in lived.typed.notebook.cells for output in cell.outputs if "ename" in output]
    assert errors == ["TypeError"]
    assert "env:PLANTED_PASSWORD" in next(text for text in reversed(shown.values()) if "PLANTED" in text)


def test_every_write_failed_and_those_with_secrets_in_every_way(lived, figure):
    ways = {kind for kind, _ in lived.failing.failed}
    assert len(ways) == 3
    for operation in SENSITIVE - {"PutSecretValue"}:
        assert {kind for kind, failed in lived.failing.failed if failed == operation} == ways, operation
    failed = {operation for _, operation in lived.failing.failed}
    assert {"CreateBucket", "RunInstances", "SendCommand", "CreateService", "CreateLoadBalancer"} <= failed
    figure("forced failures", lived.failing.failed.total())


def test_nothing_shows_a_secret(lived, shown, folder, figure):
    search = leaks.Search(lived.secrets)
    for place, text in (shown | lived.account).items():
        search.look(place, text)
    search.look("the process list", lived.seen.text())
    for words in (["diff", "HEAD"], ["status", "--porcelain"]):
        done = subprocess.run(["git", *words], cwd=paths.PROJECT, capture_output=True, check=False)
        search.look(f"git {words[0]}", done.stdout)
    for below in ("runs", "tmp", "user", "ipython"):
        search.files(folder / below)
    for file in (folder / "typed.ipynb", folder / "secrets.yml", folder / "aws.yml"):
        search.look(str(file), file.read_bytes())
    for path, content in lived.held.items():
        where = str(path.relative_to(folder / "home"))
        if not any(re.fullmatch(known, where) for known in FILES):
            search.look(where, content)
    figure("secrets planted", len(lived.secrets))
    figure("places searched", search.places)
    figure("processes seen", len(lived.seen.lines))
    figure("hits", len(search.hits))
    assert not search.hits, search.told()


def test_the_files_that_hold_one_are_private_and_known(lived, folder):
    search, used = leaks.Search(lived.secrets), set()
    for path, content in lived.held.items():
        if search.look(str(path), content):
            where = str(path.relative_to(folder / "home"))
            used |= {known for known in FILES if re.fullmatch(known, where)}
            assert lived.modes[path] == "", lived.modes[path]
    assert used == FILES.keys()


def test_the_programs_whose_environment_holds_one_are_known(lived):
    search = leaks.Search(lived.secrets)
    found = {name.rstrip("0123456789.") for name, text in lived.seen.environments if search.look(name, text)}
    assert found <= PROGRAMS.keys()
    assert {"python", "registry"} <= {name.replace("docker-registry", "registry") for name in found}


def test_all_kinds_of_programs_were_seen(lived):
    seen = lived.seen.text().decode(errors="replace")
    for program in ("haproxy", "registry serve", "ipykernel", "runbook.local", "skopeo", "runbook run"):
        assert program in seen, program


def test_each_notebook_left_a_document(lived, folder):
    documents = {path.stem for path in (folder / "runs").rglob("*.ipynb")}
    assert {notebook.stem for notebook in headless.notebooks()} <= documents
    assert list((folder / "runs").rglob("report.json"))


def test_the_tracebacks_would_have_shown_one(ways):
    """Verbose tracebacks tell the values of variables, and the search finds them: it is not blind."""
    code = "def send(password):\n    raise RuntimeError('forced')\n\nsend(text)"
    text, _ = in_a_shell(talkative_shell(text=ways["password by env:NAME"]), code)
    assert leaks.Search(ways).look("a traceback", text)


def test_nothing_of_the_life_is_left(lived, folder):
    assert [path for path in (folder / "tmp").rglob("*") if path.is_file()] == []
    assert not (folder / "home" / "data").exists()

"""The users: bcrypt lines made with passlib and kept in Secrets Manager. From there they come to the registry by SSM
Run Command, into a file on every node (node-folder), or by the init container of each task (init-container).

The registry takes no hash but bcrypt and computes it on every request, without a cache: cost 12 is about 240 ms of
CPU a request, cost 5 about 3 ms, and a push makes dozens of requests. Cost 10 (60 ms) is the default. A lower one is
safe only for passwords that nobody chose: guessing one of 192 random bits is hopeless at any cost, guessing a person's
is not. https://github.com/distribution/distribution/issues/3017

The registry reads the file again when its time of change differs, so with the file on the nodes users come and go
without a restart. An init container writes it once: there, new tasks bring new users, and the service step starts them.
"""

import functools
import shlex
from collections.abc import Mapping

from passlib.hash import bcrypt

from . import config, lease, secret, ssm
from .errors import SecretError, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .running import Node, running_nodes
from .secret import Login, Secret, sealed
from .secretsmanager import destroy_secret, find_secret, find_tags, mend_tags, read_secret, want_tags, write_secret
from .session import AWS
from .wait import wait

TITLE = "users"
LONGEST = 72  # bytes of a password that bcrypt looks at; a longer one would be cut silently
_NO_USER = "(a line without a user)"  # the registry answers every request with 400 while there is one
_VECTOR = "$2y$04$bKZWdrxxNAUopDEfEP0XfuLxGGYxwykNlh0sFnV0nVdqCVPEAl3c2"


def password(aws: AWS, p: Params, user: str) -> Secret:
    """The user's password, from where the params say. SecretError when it is not there, or cannot be used."""
    source = p.users.get(user)
    if source is None:
        raise SecretError(f"there is no user {user} in {p.source}; its users are {', '.join(p.users)}")
    kind, _, name = source.partition(":")
    if kind == "generate":
        found = read_secret(aws, p, p.password_secret(user))
        if found is None:
            raise SecretError(f"user {user}: no password is generated yet; run notebook 03_create_an_htpasswd_file")
    elif kind == "secretsmanager":
        found = _from_secrets_manager(aws, name)
    else:
        found = secret.from_environment(name) if kind == "env" else secret.from_prompt(f"password of {user}")
    return _usable(user, found)


def logins(aws: AWS, p: Params) -> list[Login]:
    """Users and passwords for a test of the registry, in the params' order, without those who type theirs."""
    return [Login(user, password(aws, p, user)) for user, source in p.users.items() if source != "prompt"]


def want_users(p: Params, *, nodes: tuple[str, ...] = ()) -> Document:
    """The users, where each password comes from, the cost of its line, and the file on each of `nodes` (names), or
    inside each task."""
    return Document(
        File=_file(p),
        UserNames=sorted(p.users),
        Users={user: {"Password": source, "Cost": p.bcrypt_cost} for user, source in sorted(p.users.items())},
        Generated=sorted(user for user, source in p.users.items() if source == "generate"),
        **({"Nodes": dict.fromkeys(nodes, "current")} if _on_nodes(p) else {}),
        **want_tags(p, _secrets(p)),
    )


def find_users(aws: AWS, p: Params) -> Document | None:
    """The same of what is: a password is told by its source when the user's line is made from it.

    What a node has is told by the tag that its delivery left; the file itself is tested by a request to the registry.
    What the tasks have is told by the service. None, too, while the secret has no value yet.
    """
    found = find_secret(aws, p, p.htpasswd_secret)
    if found is None or found["VersionId"] is None:
        return None
    lines = _lines(aws, p)
    users = Document(
        File=_file(p),
        UserNames=sorted(lines),
        Users={user: _seen(aws, p, user, line) for user, line in sorted(lines.items())},
        Generated=_generated(aws, p, lines),
        **find_tags(aws, p, _secrets(p)),
    )
    if _on_nodes(p):
        users["Nodes"] = {node.name: _state(p, node, found["VersionId"]) for node in running_nodes(aws, p)}
    return users


@lease.exclusive
def ensure_users(aws: AWS, p: Params, *, ask: bool = False, passwords: Mapping[str, Secret] | None = None) -> Changes:
    """Make the lines that are missing or wrong, drop those of users who are gone, and deliver the file to the nodes.

    A line is kept while it fits its password and the cost. One from a `prompt` is kept unasked, unless `ask`. Some
    users' `passwords` may be others than their sources have: a rotation tries them before it stores them there.
    With an init container no node is needed; running tasks keep their users until the service step replaces them.
    """
    _self_test()
    nodes = _nodes(aws, p)
    if _on_nodes(p) and not nodes:
        raise StepFailed(
            f"no running node of deployment {p.name} is there to take the htpasswd file; "
            "run notebook 02_create_a_task_definition first"
        )
    wanted, found = want_users(p, nodes=nodes), find_users(aws, p)
    report = compare(TITLE, wanted, found)
    asked = {user for user, source in p.users.items() if ask and source == "prompt"}
    given = {user: _usable(user, text) for user, text in (passwords or {}).items()}
    if report and not asked and not given:
        return report.changes.done
    old = _lines(aws, p) if found else {}
    kept = {user for user in old if found["Users"][user] == wanted["Users"].get(user)} - asked - given.keys()
    kept |= {user for user, text in given.items() if user in old and _fits(p, text, old[user])}
    for user in sorted(set(wanted["Generated"]) - set(found["Generated"] if found else _generated(aws, p, old))):
        write_secret(aws, p, p.password_secret(user), secret.generate(), f"password of registry user {user}")
    made = {user: _hash(p, given.get(user) or password(aws, p, user)) for user in p.users if user not in kept}
    new = {user: made.get(user) or old[user] for user in sorted(p.users)}
    if new != old:
        content = Secret("\n".join(f"{user}:{line.reveal()}" for user, line in new.items()))
        version = write_secret(aws, p, p.htpasswd_secret, content, f"htpasswd of deployment {p.name}")
    else:
        version = find_secret(aws, p, p.htpasswd_secret)["VersionId"]
    if _on_nodes(p):
        _deliver(aws, p, version, len(new))
    for user in set(_generated(aws, p, old)) - set(wanted["Generated"]):
        destroy_secret(aws, p, p.password_secret(user))
    mend_tags(aws, p, _secrets(p))
    return report.changes.done


def verify_users(aws: AWS, p: Params) -> Report:
    """Wanted against found, on every running node. That a user gets in is tested by the registry's own suite."""
    return compare(TITLE, want_users(p, nodes=_nodes(aws, p)), find_users(aws, p))


@lease.exclusive
def destroy_users(aws: AWS, p: Params) -> Changes:
    """Delete the lines and every generated password; the files go with the nodes, or with the tasks."""
    generated = _generated(aws, p, _lines(aws, p))
    for user in generated:
        destroy_secret(aws, p, p.password_secret(user))
    return destroyed(TITLE, bool(destroy_secret(aws, p, p.htpasswd_secret)) or bool(generated))


def delivery(p: Params, *, version: str) -> list[str]:
    """The script that a node runs, line by line. It names the secret and holds no hash; its last line is a count.

    The file is replaced as a whole: the registry could read a half-written one. Only root may read it, which is who
    the stock image's registry is.
    """
    folder = shlex.quote(p.auth_folder)
    return [
        "set -eu",
        "umask 077",
        # The ECS-optimized AMI is made from al2023-ami-minimal, which has no AWS CLI:
        # https://github.com/aws/amazon-ecs-ami/blob/main/al2023.pkr.hcl
        "command -v aws >/dev/null || dnf install -y -q awscli-2 >/dev/null",
        f"install -d -m 0700 {folder}",
        f"draft=$(mktemp {folder}/.htpasswd.XXXXXXXX)",
        "trap 'rm -f \"$draft\"' EXIT",
        f"aws secretsmanager get-secret-value --region {p.region} --secret-id {shlex.quote(p.htpasswd_secret)} "
        f'--version-id {shlex.quote(version)} --query SecretString --output text > "$draft"',
        f'mv -f "$draft" {folder}/htpasswd',
        f"grep -c : {folder}/htpasswd",
    ]


def _on_nodes(p: Params) -> bool:
    return p.htpasswd == "node-folder"


def _secrets(p: Params) -> list[str]:
    """Those that this step makes: the lines, unless the task step did, and each generated password."""
    generated = [p.password_secret(user) for user, source in sorted(p.users.items()) if source == "generate"]
    return [*([p.htpasswd_secret] if _on_nodes(p) else []), *generated]


def _nodes(aws: AWS, p: Params) -> tuple[str, ...]:
    """Names of the nodes that take the file."""
    return tuple(node.name for node in running_nodes(aws, p)) if _on_nodes(p) else ()


def _file(p: Params) -> str:
    return f"{p.auth_folder}/htpasswd" if _on_nodes(p) else f"{config.HTPASSWD_PATH} in each task"


def _deliver(aws: AWS, p: Params, version: str, count: int) -> None:
    """Send the file to the nodes that lack this version, and mark those that have it. StepFailed if one has not."""
    lacking = [node for node in running_nodes(aws, p) if _state(p, node, version) != "current"]
    if not lacking:
        return
    outputs = ssm.run(aws, "htpasswd file", {n.name: n.id for n in lacking}, delivery(p, version=version))
    right = [node for node in lacking if outputs[node.name].ok and outputs[node.name].last_line == str(count)]
    if right:
        aws.ec2.create_tags(Resources=[node.id for node in right], Tags=[{"Key": p.htpasswd_tag, "Value": version}])
        wait("htpasswd file", lambda: _marked(aws, p, {node.id for node in right}, version), timeout=60, every=1)
    if wrong := [_sentence(node, outputs[node.name], count) for node in lacking if node not in right]:
        raise StepFailed(f"htpasswd file: {'; '.join(wrong)}; run the same step again when that is mended")


def _sentence(node: Node, said: ssm.Output, count: int) -> str:
    seen = f"{said.last_line or 'no'} lines instead of {count}" if said.ok else said.error
    return f"on node {node.name}: {seen}"


def _marked(aws: AWS, p: Params, ids: set[str], version: str) -> tuple[bool | None, str]:
    """EC2 shows a new tag after a moment: https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""
    seen = {node.id for node in running_nodes(aws, p) if _state(p, node, version) == "current"}
    return (True if ids <= seen else None), f"{len(ids & seen)} of {len(ids)} nodes have it"


def _state(p: Params, node: Node, version: str | None) -> str:
    delivered = node.tags.get(p.htpasswd_tag)
    return "missing" if delivered is None else "current" if delivered == version else "older version"


def _lines(aws: AWS, p: Params) -> dict[str, Secret]:
    """User → hash, which is a secret, too: whoever has it can guess at it."""
    content = read_secret(aws, p, p.htpasswd_secret)
    if content is None:
        return {}
    parts = [line.partition(":") for line in content.reveal().splitlines()]
    return {user if colon else _NO_USER: Secret(rest) for user, colon, rest in parts}


def _seen(aws: AWS, p: Params, user: str, line: Secret) -> dict[str, object]:
    """Of one line: the source of its password, and the cost."""
    try:
        with sealed():
            cost = bcrypt.from_string(line.reveal()).rounds
    except ValueError:
        return {"Password": "not a bcrypt line", "Cost": None}
    return {"Password": _source(aws, p, user, line), "Cost": cost}


def _source(aws: AWS, p: Params, user: str, line: Secret) -> str:
    source = p.users.get(user, "no longer a user")
    if user not in p.users or source == "prompt":
        return source
    try:
        known = password(aws, p, user)
    except SecretError:
        return "cannot be compared here"
    with sealed():
        return source if bcrypt.verify(known.reveal(), line.reveal()) else "another password"


def _fits(p: Params, text: Secret, line: Secret) -> bool:
    try:
        with sealed():
            return bcrypt.from_string(line.reveal()).rounds == p.bcrypt_cost and bcrypt.verify(
                text.reveal(), line.reveal()
            )
    except ValueError:
        return False


def _generated(aws: AWS, p: Params, lines: dict[str, Secret]) -> list[str]:
    """Users who have a generated password, also those who are users no longer.

    The list of secrets may lag behind by minutes, so each name is looked at by itself:
    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
    """
    prefix = p.password_secret("")
    listed = aws.secretsmanager.all("list_secrets", "SecretList", Filters=[{"Key": "name", "Values": [prefix]}])
    ours = {"Key": "runbook:deployment", "Value": p.name}
    users = {each["Name"].removeprefix(prefix) for each in listed if ours in each.get("Tags", [])}
    users |= set(p.users) | set(lines) - {_NO_USER}
    return sorted(user for user in users if find_secret(aws, p, p.password_secret(user)))


def _from_secrets_manager(aws: AWS, name: str) -> Secret:
    value = aws.secretsmanager.find("get_secret_value", {"ResourceNotFoundException"}, SecretId=name)
    if not value or "SecretString" not in value:
        raise SecretError(f"secretsmanager:{name}: no such secret with a text in {aws.region}; make it and run again")
    return Secret(value["SecretString"])


def _usable(user: str, found: Secret) -> Secret:
    """The password, if the registry and its clients can use it; a SecretError says why not, never what it is."""
    text = found.reveal()
    wrong = (
        "is empty"
        if not text
        else "has bytes in it that are not UTF-8"
        if any("\ud800" <= letter <= "\udfff" for letter in text)  # what Python makes of those in the environment
        else f"has more than {LONGEST} bytes, of which bcrypt would look at the first {LONGEST} only"
        if len(text.encode()) > LONGEST
        else "has a line break or a NUL in it (a file's last line break, perhaps)"
        if set(text) & set("\r\n\0")
        else "is the user's name"
        if text == user
        else None
    )
    if wrong:
        raise SecretError(f"user {user}: the password {wrong}; give another one")
    return found


def _hash(p: Params, text: Secret) -> Secret:
    with sealed():
        return Secret(bcrypt.using(ident="2y", rounds=p.bcrypt_cost, truncate_error=True).hash(text.reveal()))


@functools.cache
def _self_test() -> None:
    """One hash and one known line. passlib 1.7.4 fails at every hash with bcrypt 5, whatever the password:
    https://github.com/pyca/bcrypt/issues/1079"""
    try:
        made = bcrypt.using(ident="2y", rounds=4, truncate_error=True).hash("self-test")
        works = made.startswith("$2y$04$") and bcrypt.verify("self-test", made) and bcrypt.verify("self-test", _VECTOR)
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        works, seen = False, f"{type(error).__name__}: {error}"
    else:
        seen = "a known line is not recognised"
    if not works:
        raise StepFailed(
            f"passlib cannot make bcrypt lines here ({seen}); it must be libpass 1.9.4 or newer, not passlib 1.7.4: "
            "pip uninstall -y passlib && pip install --force-reinstall libpass bcrypt"
        )

"""Who the registry is there: roles of the task and of the nodes, or a user by a key in its environment."""

from collections.abc import Iterable, Iterator

from ..errors import AwsError
from ..finding import Finding
from ..secret import Secret
from . import policies as said
from .deployment import Deployment
from .rules import found

_KEY_IDS = ("REGISTRY_STORAGE_S3_ACCESSKEY", "AWS_ACCESS_KEY_ID")
_ABSENT = {"NoSuchEntity"}
_LONGEST = 90  # days


def key_name(d: Deployment) -> str | None:
    """The variable that has the id of the registry's key, if it has one."""
    return next((name for name in _KEY_IDS if d.environment.get(name) or name in d.from_secrets), None)


def users(d: Deployment) -> dict[str, str | None]:
    """The name of the key's owner: None where it is not known. Empty where the registry has no key."""
    name = key_name(d)
    if name is None:
        return {}
    owner = _owner(d) if d.environment.get(name) else None
    return {f"user {owner}" if owner else f"the key in {name}": owner}


def key(d: Deployment, where: str, owner: str | None) -> Iterator[Finding]:
    yield found("user-key", where)
    key_id = Secret(d.environment.get(key_name(d), ""))
    if owner is None:
        yield found("key-unknown" if key_id.reveal() else "key-in-secret", where)
        return
    for each in d.aws.iam.all("list_access_keys", "AccessKeyMetadata", UserName=owner):
        if each["AccessKeyId"] == key_id.reveal() and (days := d.age(each["CreateDate"])) > _LONGEST:
            yield found("key-old", where, days=days)


def roles(d: Deployment) -> dict[str, str]:
    """Those that the task definition names."""
    arns = {d.task.get("taskRoleArn"), d.task.get("executionRoleArn")} - {None}
    return {f"role {name}": name for name in sorted(map(_name, arns))}


def trust(d: Deployment, where: str, name: str) -> Iterator[Finding]:
    told = d.aws.iam.find("get_role", _ABSENT, RoleName=name)
    if told is None:
        yield found("role-absent", where)
        return
    for each in said.statements(told["Role"]["AssumeRolePolicyDocument"]):
        services = said.many((each.get("Principal") or {}).get("Service", []))
        keys = {key.lower() for pairs in each.get("Condition", {}).values() for key in pairs}
        if "ecs-tasks.amazonaws.com" in services and not keys & {"aws:sourceaccount", "aws:sourcearn"}:
            yield found("trust-open", where)


def owners(d: Deployment) -> dict[str, tuple[str, str]]:
    return _labelled(("user", owner) for owner in users(d).values() if owner)


def of_tasks(d: Deployment) -> dict[str, tuple[str, str]]:
    return _labelled(("role", name) for name in roles(d).values())


def of_nodes(d: Deployment) -> dict[str, tuple[str, str]]:
    return _labelled(("role", name) for name in _node_roles(d))


def width(d: Deployment, where: str, who: tuple[str, str]) -> Iterator[Finding]:
    for label, policy in of(d, *who).items():
        everything, wide, everywhere = said.width(*policy)
        if everything:
            yield found("all-allowed", label)
        if wide:
            yield found("service-allowed", label, services=", ".join(wide))
        if everywhere:
            yield found("every-resource", label, services=", ".join(everywhere))


def storing(d: Deployment) -> list[tuple[str, str]]:
    """Who the registry is to S3: its key first, then the task's role, which registry 2 cannot be, then the nodes'.

    Empty where that is not known.
    """
    if key_name(d):
        return [("user", owner) for owner in users(d).values() if owner]
    if (arn := d.task.get("taskRoleArn")) and d.major != 2:
        return [("role", _name(arn))]
    return [("role", name) for name in _node_roles(d)]


def has_its_own(d: Deployment) -> bool:
    """Whether the registry is somebody else to S3 than its node."""
    return bool(key_name(d)) or bool(d.task.get("taskRoleArn") and d.major != 2)


def documents(d: Deployment, kind: str, name: str) -> list[dict]:
    return [document for _, document in of(d, kind, name).values()]


def of(d: Deployment, kind: str, name: str) -> dict[str, tuple[str | None, dict]]:
    """A role's or a user's policies: inline, attached, and those of a user's groups."""
    return d.once(("policies", kind, name), lambda: dict(_of(d, kind, name)))


def _of(d: Deployment, kind: str, name: str) -> Iterator[tuple[str, tuple[str | None, dict]]]:
    iam, owner = d.aws.iam, {f"{kind.title()}Name": name}
    try:
        inline = iam.all(f"list_{kind}_policies", "PolicyNames", **owner)
    except AwsError as error:
        if error.code in _ABSENT:
            return
        raise
    for each in inline:
        document = getattr(iam, f"get_{kind}_policy")(PolicyName=each, **owner)["PolicyDocument"]
        yield f"policy {each} of {kind} {name}", (None, document)
    for each in iam.all(f"list_attached_{kind}_policies", "AttachedPolicies", **owner):
        arn = each["PolicyArn"]
        yield (
            f"policy {each['PolicyName']} of {kind} {name}",
            (arn, d.once(("policy", arn), lambda at=arn: _read(d, at))),
        )
    if kind == "user":
        for each in iam.all("list_groups_for_user", "Groups", UserName=name):
            yield from _of(d, "group", each["GroupName"])


def _read(d: Deployment, arn: str) -> dict:
    version = d.aws.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return d.aws.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


def _owner(d: Deployment) -> str | None:
    key_id = Secret(d.environment[key_name(d)])
    told = d.once(("owner",), lambda: d.aws.iam.find("get_access_key_last_used", _ABSENT, AccessKeyId=key_id))
    return told and told.get("UserName")


def _node_roles(d: Deployment) -> list[str]:
    profiles = sorted({_name(each["IamInstanceProfile"]["Arn"]) for each in d.nodes if each.get("IamInstanceProfile")})
    return d.once(("node roles",), lambda: [name for profile in profiles for name in _roles_of(d, profile)])


def _roles_of(d: Deployment, profile: str) -> list[str]:
    told = d.aws.iam.find("get_instance_profile", _ABSENT, InstanceProfileName=profile)
    return [each["RoleName"] for each in told["InstanceProfile"]["Roles"]] if told else []


def _labelled(who: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {f"{kind} {name}": (kind, name) for kind, name in who}


def _name(arn: str) -> str:
    return arn.rsplit("/")[-1]


OF_USER = (key,)
OF_ROLE = (trust,)
OF_WHO = (width,)

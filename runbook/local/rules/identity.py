"""What IAM refuses."""

import json
import re

from ..inside import account
from ..inside.dispatch import Refused

LONGEST_NAME = 64
ACTION = re.compile(r"[a-z0-9-]+:[A-Za-z0-9*?]+")
SERVICE = re.compile(r"[a-z0-9][a-z0-9.-]*\.amazonaws\.com")


def create_role(params: dict, region: str) -> None:
    """CreateRole: a role name of at most 64 characters, and a trust policy."""
    name = params.get("RoleName", "")
    if len(name) > LONGEST_NAME:
        raise Refused(
            "ValidationError",
            f"1 validation error detected: Value '{name}' at 'roleName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {LONGEST_NAME}",
        )
    _trust(params.get("AssumeRolePolicyDocument"))


def update_assume_role_policy(params: dict, region: str) -> None:
    """UpdateAssumeRolePolicy: a trust policy."""
    _trust(params.get("PolicyDocument"))


def _trust(text: str | None) -> None:
    """ "IAM JSON policy elements": a trust policy names a principal and an action, and no resource."""
    for statement in _statements(text):
        if "Resource" in statement or "NotResource" in statement:
            raise _malformed("Has prohibited field Resource")
        if "Principal" not in statement:
            raise _malformed("Missing required field Principal")
        _principal(statement["Principal"])


def _principal(principal: str | dict) -> None:
    """ "AWS JSON policy elements: Principal": services of AWS, and users and roles that exist."""
    if not isinstance(principal, dict):
        return
    for kind, named in principal.items():
        for each in named if isinstance(named, list) else [named]:
            unknown = kind == "Service" and not SERVICE.fullmatch(each)
            if unknown or (kind == "AWS" and each.startswith("arn:") and not account.principal_exists(each)):
                raise _malformed(f'Invalid principal in policy: "{kind.upper()}":"{each}"')


def put_policy(params: dict, region: str) -> None:
    """PutRolePolicy, PutUserPolicy, CreatePolicy: a permissions policy names a resource and no principal."""
    for statement in _statements(params.get("PolicyDocument")):
        if "Principal" in statement:
            raise _malformed("Policy document should not specify a principal.")
        if "Resource" not in statement and "NotResource" not in statement:
            raise _malformed("Policy statement must contain resources.")


def _statements(text: str | None) -> list[dict]:
    try:
        document = json.loads(text or "")
        statements = document["Statement"]
    except (ValueError, KeyError, TypeError):
        raise _malformed("This policy contains invalid Json") from None
    statements = statements if isinstance(statements, list) else [statements]
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise _malformed("Syntax errors in policy.")
        if "Action" not in statement and "NotAction" not in statement:
            raise _malformed("Policy statement must contain actions.")
        actions = statement.get("Action", statement.get("NotAction"))
        for action in actions if isinstance(actions, list) else [actions]:
            if action != "*" and not ACTION.fullmatch(str(action)):
                raise _malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
    return statements


def delete_user(params: dict, region: str) -> None:
    """DeleteUser, DeleteConflict: not while it has access keys."""
    if account.has_access_keys(params.get("UserName", "")):
        raise Refused("DeleteConflict", "Cannot delete entity, must delete access keys first.", 409)


def delete_role(params: dict, region: str) -> None:
    """DeleteRole, DeleteConflict: not while managed policies are attached."""
    if account.role_has_attached_policies(params.get("RoleName", "")):
        raise Refused("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409)


def delete_policy(params: dict, region: str) -> None:
    """DeletePolicy, DeleteConflict: not while it is attached."""
    if account.policy_is_attached(params["PolicyArn"]):
        raise Refused("DeleteConflict", "Cannot delete a policy attached to entities.", 409)


def _malformed(message: str) -> Refused:
    return Refused("MalformedPolicyDocument", message)


RULES = {
    ("iam", "CreatePolicy"): put_policy,
    ("iam", "CreateRole"): create_role,
    ("iam", "DeletePolicy"): delete_policy,
    ("iam", "DeleteRole"): delete_role,
    ("iam", "DeleteUser"): delete_user,
    ("iam", "PutRolePolicy"): put_policy,
    ("iam", "PutUserPolicy"): put_policy,
    ("iam", "UpdateAssumeRolePolicy"): update_assume_role_policy,
}

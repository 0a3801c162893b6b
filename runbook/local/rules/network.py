"""What EC2 refuses: instances and security groups."""

from ..inside import account
from ..inside.dispatch import Refused


def run_instances(params: dict, region: str):
    """RunInstances, "Ensuring idempotency": a token that was used gives the instances that it made then."""
    token = params.get("ClientToken")
    if token and (made := account.reservation(region, token)) is not None:
        return made
    image = params.get("ImageId")
    if image and not image.startswith("resolve:") and not account.image_exists(region, image):
        raise Refused("InvalidAMIID.NotFound", f"The image id '[{image}]' does not exist")
    profile = params.get("IamInstanceProfile") or {}
    name, arn = profile.get("Name"), profile.get("Arn")
    if (name or arn) and not account.instance_profile_exists(name, arn):
        kind = "name" if name else "arn"
        raise Refused(
            "InvalidParameterValue",
            f"Value ({name or arn}) for parameter iamInstanceProfile.{kind} is invalid. "
            f"Invalid IAM Instance Profile {'name' if name else 'ARN'}",
        )
    return None


def delete_security_group(params: dict, region: str) -> None:
    """DeleteSecurityGroup: not while an instance, a balancer or a rule of another group refers to it."""
    group_id = params.get("GroupId")
    if group_id and next(account.group_users(region, group_id), None):
        raise Refused("DependencyViolation", f"resource {group_id} has a dependent object")


def delete_subnet(params: dict, region: str) -> None:
    """DeleteSubnet: "You must terminate all running instances in the subnet before you can delete the subnet"."""
    if next(account.subnet_users(region, params["SubnetId"]), None):
        raise Refused(
            "DependencyViolation",
            f"The subnet '{params['SubnetId']}' has dependencies and cannot be deleted.",
        )


def authorize(params: dict, region: str) -> None:
    """AuthorizeSecurityGroupIngress and Egress, IpPermission: ports, and characters of a description."""
    for permission in params.get("IpPermissions", []):
        lowest, highest = permission.get("FromPort"), permission.get("ToPort")
        if str(permission.get("IpProtocol")) in ("tcp", "6", "udp", "17"):
            if lowest is None or highest is None:
                raise Refused("MissingParameter", "The request must contain the parameters fromPort and toPort")
            if not 0 <= lowest <= highest <= 65535:
                protocol = str(permission["IpProtocol"]).upper()
                raise Refused("InvalidParameterValue", f"Invalid {protocol} port range ({lowest}, {highest})")
        ranges = [*permission.get("IpRanges", []), *permission.get("UserIdGroupPairs", [])]
        for each in ranges:
            if not each.get("Description", "").isascii():
                raise Refused("InvalidParameterValue", "Invalid rule description. Use ASCII characters only.")


RULES = {
    ("ec2", "RunInstances"): run_instances,
    ("ec2", "DeleteSecurityGroup"): delete_security_group,
    ("ec2", "DeleteSubnet"): delete_subnet,
    ("ec2", "AuthorizeSecurityGroupIngress"): authorize,
    ("ec2", "AuthorizeSecurityGroupEgress"): authorize,
}

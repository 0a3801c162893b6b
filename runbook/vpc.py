"""Where everything stands: the region's default VPC, one default subnet per zone, and a security group by its name."""

from .errors import NotOurs, StepFailed
from .params import Params
from .session import AWS


def default_vpc(aws: AWS) -> str:
    """Id of the default VPC. StepFailed when the region has none."""
    vpc = _default_vpc(aws)
    if vpc is None:
        raise StepFailed(
            f"region {aws.region} has no default VPC, in which the nodes and the balancer stand; "
            "make one with: aws ec2 create-default-vpc"
        )
    return vpc


def subnets(aws: AWS) -> list[str]:
    """Ids of the default subnets, one per availability zone, sorted by the zone's name."""
    return list(zones(aws).values())


def zones(aws: AWS) -> dict[str, str]:
    """Each availability zone's default subnet, sorted by the zone's name.

    AWS keeps at most one default subnet per zone:
    https://docs.aws.amazon.com/vpc/latest/userguide/default-subnet.html
    """
    filters = [_is("vpc-id", default_vpc(aws)), _is("default-for-az", "true")]
    found = aws.ec2.all("describe_subnets", "Subnets", Filters=filters)
    if not found:
        raise StepFailed(
            f"the default VPC of region {aws.region} has no default subnet; "
            "make one with: aws ec2 create-default-subnet --availability-zone ZONE"
        )
    by_zone = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in found}
    return dict(sorted(by_zone.items()))


def find_group(aws: AWS, p: Params, name: str) -> dict | None:
    """The security group of that name in the default VPC, as EC2 describes it. NotOurs without our tag."""
    vpc = _default_vpc(aws)
    if vpc is None:
        return None
    filters = [_is("vpc-id", vpc), _is("group-name", name)]
    found = aws.ec2.all("describe_security_groups", "SecurityGroups", Filters=filters)
    if not found:
        return None
    if {"Key": "runbook:deployment", "Value": p.name} not in found[0].get("Tags", []):
        raise NotOurs(f"security group {name}", p)
    return found[0]


def group_id(aws: AWS, p: Params, name: str) -> str | None:
    """Id of our security group of that name; None when absent, NotOurs when it does not carry our tag."""
    group = find_group(aws, p, name)
    return group["GroupId"] if group else None


def _default_vpc(aws: AWS) -> str | None:
    found = aws.ec2.all("describe_vpcs", "Vpcs", Filters=[_is("is-default", "true")])
    return found[0]["VpcId"] if found else None


def _is(name: str, value: str) -> dict:
    return {"Name": name, "Values": [value]}


def vpc_id(aws: AWS, p: Params) -> str:
    """Id of the VPC in which the deployment stands."""
    return default_vpc(aws)


def node_subnets(aws: AWS, p: Params) -> dict[str, str]:
    """Each zone's subnet for the nodes and the cache."""
    return zones(aws)


def balancer_subnets(aws: AWS, p: Params) -> dict[str, str]:
    """Each zone's subnet for the balancer."""
    return zones(aws)

"""Where everything stands: the VPC, a subnet per zone for nodes and balancer, a security group by its name."""

from .errors import NotOurs, StepFailed
from .params import Params
from .session import AWS


def vpc_id(aws: AWS, p: Params) -> str:
    """Id of the VPC that the params name: the default one, an id, or the only one with a tag. Else StepFailed."""
    found = _find_vpc(aws, p)
    if found:
        return found
    if p.vpc == "default":
        raise StepFailed(
            f"region {aws.region} has no default VPC, in which the nodes and the balancer stand; "
            "make one with: aws ec2 create-default-vpc, or name another one (vpc) in " + p.source
        )
    raise StepFailed(f"no VPC in region {aws.region} is {_named(p.vpc)}; change vpc in {p.source}")


def node_subnets(aws: AWS, p: Params) -> dict[str, str]:
    """The subnet of the nodes and the cache in each zone, by the zone's name and sorted by it."""
    return _subnets(aws, p, "node_subnets")


def balancer_subnets(aws: AWS, p: Params) -> dict[str, str]:
    """The balancer's subnet in each zone, by the zone's name and sorted by it; an application one needs two zones.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-subnets.html
    """
    found = _subnets(aws, p, "balancer_subnets")
    if p.scales and len(found) < 2:
        raise StepFailed(
            "an application load balancer needs subnets in at least two availability zones, found "
            f"{', '.join(found)} alone; name others (balancer_subnets) in {p.source}"
        )
    return found


def find_group(aws: AWS, p: Params, name: str) -> dict | None:
    """The security group of that name in the VPC, as EC2 describes it. NotOurs without our tag."""
    vpc = _find_vpc(aws, p)
    found = [group for group in _groups(aws, vpc) if group["GroupName"] == name] if vpc else []
    if not found:
        return None
    if {"Key": "runbook:deployment", "Value": p.name} not in found[0].get("Tags", []):
        raise NotOurs(f"security group {name}", p)
    return found[0]


def group_id(aws: AWS, p: Params, name: str) -> str | None:
    """Id of our security group of that name; None when absent, NotOurs when it does not carry our tag."""
    group = find_group(aws, p, name)
    return group["GroupId"] if group else None


def groups_of(aws: AWS, p: Params, ids: list[str]) -> list[dict]:
    """The security groups of these ids, as EC2 describes them, in the VPC or in another one; not one that is gone."""
    vpc = _find_vpc(aws, p)
    found = [group for group in _groups(aws, vpc) if group["GroupId"] in ids] if vpc else []
    if others := sorted(set(ids) - {group["GroupId"] for group in found}):
        filters = [{"Name": "group-id", "Values": others}]
        found += aws.ec2.all("describe_security_groups", "SecurityGroups", Filters=filters)
    return found


def group_names(aws: AWS, p: Params, ids: list[str]) -> list[str]:
    """Their names, sorted."""
    return sorted(group["GroupName"] for group in groups_of(aws, p, ids))


def _groups(aws: AWS, vpc: str) -> list[dict]:
    return aws.ec2.all("describe_security_groups", "SecurityGroups", Filters=[_is("vpc-id", vpc)])


def _find_vpc(aws: AWS, p: Params) -> str | None:
    filters = [_is("is-default", "true")] if p.vpc == "default" else [_chosen(p.vpc, "vpc-id")]
    found = aws.ec2.all("describe_vpcs", "Vpcs", Filters=filters)
    if len(found) > 1:
        raise StepFailed(
            f"{len(found)} VPCs in region {aws.region} are {_named(p.vpc)}, and one is needed; "
            f"name it by its id (vpc) in {p.source}"
        )
    return found[0]["VpcId"] if found else None


def _subnets(aws: AWS, p: Params, field: str) -> dict[str, str]:
    vpc, names = vpc_id(aws, p), getattr(p, field)
    if not names and p.vpc == "default":
        return _by_zone(_default_subnets(aws, vpc), "the default VPC")
    here = [_is("vpc-id", vpc)]
    if not names:
        found = aws.ec2.all("describe_subnets", "Subnets", Filters=here)
        if not found:
            raise StepFailed(f"the VPC that is {_named(p.vpc)} has no subnet; make one in each zone")
        return _by_zone(found, f"the VPC that is {_named(p.vpc)}", advice=f"name one a zone ({field}) in {p.source}")
    found = []
    for name in names:
        matches = aws.ec2.all("describe_subnets", "Subnets", Filters=[*here, _chosen(name, "subnet-id")])
        if not matches:
            raise StepFailed(f"no subnet of the VPC is {_named(name)}; change {field} in {p.source}")
        found += [subnet for subnet in matches if subnet not in found]
    return _by_zone(found, field, advice=f"name one a zone in {p.source}")


def _default_subnets(aws: AWS, vpc: str) -> list[dict]:
    """AWS keeps at most one default subnet per zone:
    https://docs.aws.amazon.com/vpc/latest/userguide/default-subnet.html
    """
    filters = [_is("vpc-id", vpc), _is("default-for-az", "true")]
    found = aws.ec2.all("describe_subnets", "Subnets", Filters=filters)
    if not found:
        raise StepFailed(
            f"the default VPC of region {aws.region} has no default subnet; "
            "make one with: aws ec2 create-default-subnet --availability-zone ZONE"
        )
    return found


def _by_zone(subnets: list[dict], where: str, advice: str = "") -> dict[str, str]:
    by_zone: dict[str, str] = {}
    for subnet in subnets:
        zone = subnet["AvailabilityZone"]
        if zone in by_zone:
            raise StepFailed(f"{where}: more than one subnet in zone {zone}; {advice}")
        by_zone[zone] = subnet["SubnetId"]
    return dict(sorted(by_zone.items()))


def _chosen(name: str, id_filter: str) -> dict:
    """The filter for an id, or for a tag as Key=Value."""
    key, equals, value = name.partition("=")
    return _is(f"tag:{key}", value) if equals else _is(id_filter, name)


def _named(name: str) -> str:
    return f"tagged {name}" if "=" in name else name


def _is(name: str, value: str) -> dict:
    return {"Name": name, "Values": [value]}

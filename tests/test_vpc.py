"""The VPC and its subnets: the default ones, by id, by tag; what cannot be told is an error that says what to do."""

import pytest

from runbook import network, vpc
from runbook.errors import StepFailed

pytestmark = pytest.mark.moto


def _tags(kind, **tags):
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]


@pytest.fixture
def own(aws):
    """A VPC tagged net=docker, with a private subnet in zones a and b and a public one (tier=public) in zone a."""
    made = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=_tags("vpc", net="docker"))["Vpc"]["VpcId"]
    ids = {}
    for number, (zone, tier) in enumerate([("b", "private"), ("a", "private"), ("a", "public")]):
        ids[zone, tier] = aws.ec2.create_subnet(
            VpcId=made,
            CidrBlock=f"10.9.{number}.0/24",
            AvailabilityZone=f"eu-central-1{zone}",
            TagSpecifications=_tags("subnet", tier=tier),
        )["Subnet"]["SubnetId"]
    return made, ids


def test_the_default_vpc_and_its_subnets(aws, p):
    [default] = aws.ec2.all("describe_vpcs", "Vpcs")
    assert vpc.vpc_id(aws, p) == default["VpcId"]
    found = vpc.node_subnets(aws, p)
    assert found == vpc.balancer_subnets(aws, p)
    assert list(found) == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
    zones = {s["AvailabilityZone"]: s["SubnetId"] for s in aws.ec2.all("describe_subnets", "Subnets")}
    assert found == zones


def test_by_id_and_by_tag(aws, p, own):
    made, ids = own
    for name in (made, "net=docker"):
        p = p.model_copy(update={"vpc": name, "node_subnets": ["tier=private"]})
        assert vpc.vpc_id(aws, p) == made
        assert vpc.node_subnets(aws, p) == {
            "eu-central-1a": ids["a", "private"],
            "eu-central-1b": ids["b", "private"],
        }
        p = p.model_copy(update={"balancer_subnets": [ids["b", "private"], "tier=public"]})
        assert list(vpc.balancer_subnets(aws, p).items()) == [
            ("eu-central-1a", ids["a", "public"]),
            ("eu-central-1b", ids["b", "private"]),
        ]


def test_a_subnet_that_is_named_twice_is_one(aws, p, own):
    made, ids = own
    p = p.model_copy(update={"vpc": made, "node_subnets": ["tier=public", ids["a", "public"]]})
    assert vpc.node_subnets(aws, p) == {"eu-central-1a": ids["a", "public"]}


def test_the_groups_stand_in_that_vpc(aws, p, own):
    made, _ = own
    theirs = p.model_copy(update={"vpc": "net=docker"})
    network.ensure_groups(aws, theirs)
    assert vpc.find_group(aws, theirs, p.node_group)["VpcId"] == made
    assert vpc.find_group(aws, p, p.node_group) is None
    assert not network.ensure_groups(aws.read_only(), theirs)
    assert network.destroy_groups(aws, theirs)


@pytest.mark.parametrize(
    "changed, said",
    [
        ({"vpc": "vpc-0123456789abcdef0"}, "no VPC in region eu-central-1 is vpc-0123456789abcdef0; change vpc in"),
        ({"vpc": "net=nowhere"}, "no VPC in region eu-central-1 is tagged net=nowhere; change vpc in"),
        ({"vpc": "net=docker"}, r"more than one subnet in zone eu-central-1a; name one a zone \(node_subnets\) in"),
        ({"vpc": "net=docker", "node_subnets": ["tier=none"]}, "no subnet of the VPC is tagged tier=none; change node"),
        ({"node_subnets": ["tier=public"]}, "no subnet of the VPC is tagged tier=public"),
        ({"vpc": "net=docker", "node_subnets": ["tier=private", "tier=public"]}, "node_subnets: more than one subnet"),
    ],
)
def test_what_cannot_be_told(aws, p, own, changed, said):
    with pytest.raises(StepFailed, match=said):
        vpc.node_subnets(aws, p.model_copy(update=changed))


def test_two_vpcs_of_one_tag(aws, p, own):
    aws.ec2.create_vpc(CidrBlock="10.8.0.0/16", TagSpecifications=_tags("vpc", net="docker"))
    with pytest.raises(StepFailed, match="2 VPCs in region eu-central-1 are tagged net=docker, and one is needed"):
        vpc.vpc_id(aws, p.model_copy(update={"vpc": "net=docker"}))


def test_a_vpc_without_subnets(aws, p):
    aws.ec2.create_vpc(CidrBlock="10.8.0.0/16", TagSpecifications=_tags("vpc", net="empty"))
    with pytest.raises(StepFailed, match="tagged net=empty has no subnet"):
        vpc.node_subnets(aws, p.model_copy(update={"vpc": "net=empty"}))


def test_one_zone_is_too_few_for_an_application_balancer(aws, p, scaling, own):
    here = {"vpc": "net=docker", "balancer_subnets": ["tier=public"]}
    assert list(vpc.balancer_subnets(aws, p.model_copy(update=here))) == ["eu-central-1a"]
    with pytest.raises(StepFailed, match="at least two availability zones, found eu-central-1a alone"):
        vpc.balancer_subnets(aws, scaling.model_copy(update=here))


def test_no_default_subnet_and_no_default_vpc(aws, p):
    for subnet in vpc.node_subnets(aws, p).values():
        aws.ec2.delete_subnet(SubnetId=subnet)
    with pytest.raises(StepFailed, match="create-default-subnet"):
        vpc.balancer_subnets(aws, p)
    aws.ec2.delete_vpc(VpcId=vpc.vpc_id(aws, p))
    with pytest.raises(StepFailed, match="aws ec2 create-default-vpc"):
        vpc.vpc_id(aws, p)
    assert vpc.group_id(aws, p, p.node_group) is None

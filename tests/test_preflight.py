"""What a person brings, wrong in each way: told by the key that names it, before the first write."""

import datetime

import pytest
import world
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from test_imported_certificate import CHAIN, KEY, NOW, leaf, pem, private, write

import runbook
from runbook import __main__, plan, preflight
from runbook.errors import ReadOnly

pytestmark = pytest.mark.moto

FILES = {"blog": world.blog, "production": lambda _, **changes: world.production(**changes)}


@pytest.fixture
def aws(account, monkeypatch, tmp_path):
    with world.account(world.production(), monkeypatch, tmp_path / "node") as connection:
        yield connection


def test_an_account_with_what_is_needed_passes_and_nothing_is_written(aws, tmp_path):
    for make in FILES.values():
        assert preflight.preflight(aws.read_only(), make(tmp_path)).require()


def ssh_topic(region="eu-central-1"):
    return f"arn:aws:sns:{region}:123456789012:ops"


def no_zone(aws, p):
    for zone in aws.route53.list_hosted_zones()["HostedZones"]:
        aws.route53.delete_hosted_zone(Id=zone["Id"])


def private_zone(aws, p):
    no_zone(aws, p)
    vpc = {"VPCRegion": p.region, "VPCId": aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]}
    aws.route53.create_hosted_zone(Name=p.zone, CallerReference="y", VPC=vpc, HostedZoneConfig={"PrivateZone": True})


def second_zone(aws, p):
    aws.route53.create_hosted_zone(Name=p.zone, CallerReference="y")


def no_default_vpc(aws, p):
    for subnet in aws.ec2.describe_subnets()["Subnets"]:
        aws.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for vpc in aws.ec2.describe_vpcs()["Vpcs"]:
        aws.ec2.delete_vpc(VpcId=vpc["VpcId"])


def tagged(aws, vpc, network, zone, role):
    """A subnet of the VPC, tagged role=ROLE."""
    made = aws.ec2.create_subnet(VpcId=vpc, CidrBlock=network, AvailabilityZone=zone)["Subnet"]["SubnetId"]
    aws.ec2.create_tags(Resources=[made], Tags=[{"Key": "role", "Value": role}])


def one_subnet(aws, p):
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    tagged(aws, vpc, "172.31.128.0/24", "eu-central-1a", "registry")


def two_in_one_zone(aws, p):
    one_subnet(aws, p)
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    tagged(aws, vpc, "172.31.129.0/24", "eu-central-1a", "registry")


def of_another_vpc(aws, p):
    vpc = aws.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    for number, zone in enumerate("ab"):
        tagged(aws, vpc, f"10.9.{number}.0/24", f"eu-central-1{zone}", "registry")


def two_vpcs(aws, p):
    for network in ("10.8.0.0/16", "10.9.0.0/16"):
        made = aws.ec2.create_vpc(CidrBlock=network)["Vpc"]["VpcId"]
        aws.ec2.create_tags(Resources=[made], Tags=[{"Key": "role", "Value": "registry"}])


def bucket_elsewhere(aws, p):
    where = {"LocationConstraint": "eu-west-1"}
    aws.s3.create_bucket(Bucket=p.bucket, CreateBucketConfiguration=where)
    tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
    aws.s3.put_bucket_tagging(Bucket=p.bucket, Tagging={"TagSet": tags})


def logs_elsewhere(aws, p):
    aws.s3.create_bucket(Bucket="their-logs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


def nothing(aws, p):
    pass


def role_of_others(aws, p):
    aws.iam.create_role(RoleName=p.execution_role, AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')


def record_of_others(aws, p):
    zone = aws.route53.list_hosted_zones()["HostedZones"][0]["Id"]
    record = {"Name": p.domain, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


BROUGHT = {
    "no zone": ("blog", {}, no_zone, "zone: .*no public hosted zone elastic.io.*name another"),
    "a private zone": ("production", {}, private_zone, "zone: .*no public hosted zone elastic.io"),
    "two zones of the name": ("blog", {}, second_zone, "zone: .*2 public hosted zones"),
    "no default VPC": ("blog", {}, no_default_vpc, "subnets: .*no default VPC.*name another one .vpc."),
    "a VPC that is not there": ("blog", {"vpc": "vpc-0123456789abcdef0"}, nothing, "subnets: .*change vpc"),
    "two VPCs of the tag": ("blog", {"vpc": "role=registry"}, two_vpcs, "subnets: .*2 VPCs.*by its id .vpc."),
    "a subnet that is not there": ("blog", {"node_subnets": ["role=registry"]}, nothing, "change node_subnets"),
    "subnets of another VPC": (
        *("production", {"balancer_subnets": ["role=registry"]}, of_another_vpc),
        "no subnet of the VPC is tagged role=registry; change balancer_subnets",
    ),
    "one subnet": (
        *("production", {"balancer_subnets": ["role=registry"]}, one_subnet),
        "at least two availability zones.*name others .balancer_subnets.",
    ),
    "two subnets in one zone": (
        *("production", {"node_subnets": ["role=registry"]}, two_in_one_zone),
        "node_subnets: more than one subnet in zone eu-central-1a",
    ),
    "an instance type that is not there": ("blog", {"instance_type": "t3.smal"}, nothing, "change instance_type"),
    "one of another architecture": (
        *("production", {"instance_type": "t4g.small"}, nothing),
        "t4g.small is arm64, the nodes' image x86_64; change instance_type",
    ),
    "one that is too small": ("blog", {"instance_type": "t3.micro"}, nothing, "1024 MiB.*task of 1000 MiB"),
    "a bucket in another region": ("blog", {}, bucket_elsewhere, "bucket: .*is in eu-west-1.*change region or bucket"),
    "a bucket of others": (
        *("blog", {}, lambda aws, p: bucket_elsewhere(aws, world.production(name="other"))),
        "bucket elastic-io-registry exists and does not belong to deployment registry",
    ),
    "no topic": ("production", {"alarms_to": ssh_topic()}, nothing, r"alarms_to: .*is not there: create it"),
    "a topic elsewhere": ("production", {"alarms_to": ssh_topic("eu-west-1")}, nothing, "alarms_to: .*eu-west-1"),
    "no bucket for the logs": ("production", {"access_logs": "their-logs"}, nothing, "access_logs: .*is absent"),
    "logs elsewhere": ("production", {"access_logs": "their-logs"}, logs_elsewhere, "access_logs: .*in eu-west-1"),
    "a password that is not in the environment": ("blog", {"users": {"a": "env:NO_SUCH"}}, nothing, "env:NO_SUCH"),
    "a password that is not in a secret": (
        *("blog", {"users": {"a": "secretsmanager:no/such"}}, nothing),
        "passwords: .*secretsmanager:no/such: no such secret",
    ),
    "a role of others": ("production", {}, role_of_others, "IAM role registry-scaled-execution exists"),
    "a record of others": ("blog", {}, record_of_others, "DNS record registry.elastic.io exists"),
}


@pytest.mark.parametrize("which, changes, spoil, said", BROUGHT.values(), ids=BROUGHT)
def test_what_is_wrong_is_told_by_its_key_and_nothing_is_written(aws, tmp_path, which, changes, spoil, said):
    p = FILES[which](tmp_path, **changes)
    spoil(aws, p)
    report = preflight.preflight(aws.read_only(), p)
    assert not report
    assert any(said == f"{check.name}: {check.found}" or matches(said, check) for check in report.checks), report


def matches(said, check):
    import re

    return not check.ok and re.search(said, f"{check.name}: {check.found}", re.DOTALL)

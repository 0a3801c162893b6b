"""What a person brings, wrong in each way: told by the key that names it, before the first write."""

import datetime
import re
from types import SimpleNamespace

import pytest
import world
import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from forked import forked
from test_imported_certificate import CHAIN, KEY, leaf, pem, private, write

import runbook
from runbook import __main__, acm, preflight
from runbook.session import _READS

pytestmark = pytest.mark.moto

FILES = {"blog": world.blog, "production": lambda _, **changes: world.production(**changes)}


@pytest.fixture
def aws(account, monkeypatch, tmp_path):
    with world.account(world.production(), monkeypatch, tmp_path / "node") as connection:
        yield connection


def test_an_account_with_what_is_needed_passes_and_nothing_is_written(aws, tmp_path):
    for make in FILES.values():
        assert preflight.preflight(aws.read_only(), make(tmp_path)).require()


def topic(region="eu-central-1"):
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


def bucket_elsewhere(aws, p, bucket=None):
    """In eu-west-1, with the tag of the deployment."""
    there = runbook.connect(world.production(region="eu-west-1"))
    where, tags = {"LocationConstraint": "eu-west-1"}, [{"Key": k, "Value": v} for k, v in p.tags.items()]
    there.s3.create_bucket(Bucket=bucket or p.bucket, CreateBucketConfiguration=where)
    there.s3.put_bucket_tagging(Bucket=bucket or p.bucket, Tagging={"TagSet": tags})


def logs_elsewhere(aws, p):
    bucket_elsewhere(aws, p, "their-logs")


def nothing(aws, p):
    pass


def role_of_others(aws, p):
    aws.iam.create_role(
        RoleName=p.execution_role, AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}'
    )


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
    "no topic": ("production", {"alarms_to": topic()}, nothing, r"alarms_to: .*is not there: create it"),
    "a topic elsewhere": ("production", {"alarms_to": topic("eu-west-1")}, nothing, "alarms_to: .*eu-west-1"),
    "no bucket for the logs": ("production", {"access_logs": "their-logs"}, nothing, "access_logs: .*is absent"),
    "logs elsewhere": ("production", {"access_logs": "their-logs"}, logs_elsewhere, "access_logs: .*in eu-west-1"),
    "a password that is not in the environment": (
        "blog",
        {"users": {"a": "env:NO_SUCH"}, "bcrypt_cost": 10},
        nothing,
        "env:NO_SUCH",
    ),
    "a password that is not in a secret": (
        *("blog", {"users": {"a": "secretsmanager:no/such"}, "bcrypt_cost": 10}, nothing),
        "passwords: .*secretsmanager:no/such: no such secret",
    ),
    "a role of others": ("production", {}, role_of_others, "IAM role registry-scaled-execution exists"),
    "a record of others": ("blog", {}, record_of_others, "DNS record registry.elastic.io exists"),
}


def refused(aws, p, said):
    """Whether a check that is not ok says so; each look is in a process of its own, with a copy of the account."""
    report = preflight.preflight(aws, p)
    wrong = [f"{check.name}: {check.found}" for check in report.checks if not check.ok]
    return None if any(re.search(said, each, re.DOTALL) for each in wrong) else f"{said!r} not in {wrong}"


def test_what_is_wrong_is_told_by_its_key(aws, tmp_path):
    reader = aws.read_only()
    assert preflight.preflight(reader, world.production()).require()  # with it the clients are made, once for all

    def look(which, changes, spoil, said):
        p = FILES[which](tmp_path, **changes)
        spoil(aws, p)
        return refused(reader, p, said)

    found = {row: forked(lambda row=row: look(*BROUGHT[row])) for row in BROUGHT}
    assert {row: why for row, why in found.items() if why} == {}


EC_KEY = ec.generate_private_key(ec.SECP256R1())
CERTIFICATES = {
    "of another domain": ({"cert": pem(leaf(names=("other.elastic.io",)))}, "other.elastic.io"),
    "that ended": ({"cert": pem(leaf(days=-1))}, "ended on"),
    "with an elliptic key": ({"cert": pem(leaf(EC_KEY)), "key": private(EC_KEY)}, "RSA"),
}


def test_a_certificate_in_a_folder_that_cannot_serve(aws, tmp_path):
    p = world.blog(tmp_path)
    for files, said in CERTIFICATES.values():
        write(tmp_path / "live", **files)
        assert not refused(aws, p, f"certificate: .*cert.pem.*{said}")
    nowhere = world.blog(tmp_path, certificate=str(tmp_path / "none"))
    assert not refused(aws, nowhere, "certificate: .*cert.pem: is not there")


@pytest.mark.parametrize("which", FILES)
def test_a_certificate_of_acm_that_cannot_serve(aws, tmp_path, which, monkeypatch):
    def imported(cert=None, key=None):
        content = {"Certificate": cert or pem(leaf()), "PrivateKey": key or private(KEY), "CertificateChain": CHAIN}
        return FILES[which](tmp_path, certificate=aws.acm.import_certificate(**content)["CertificateArn"])

    for row in ("of another domain", "with an elliptic key"):
        files, said = CERTIFICATES[row]
        assert not refused(aws, imported(**files), f"certificate: .*{said}.*`certificate` in the params")
    good = imported()
    later = SimpleNamespace(now=lambda zone: datetime.datetime.now(zone) + datetime.timedelta(days=365))
    clock = SimpleNamespace(datetime=later, UTC=datetime.UTC, timedelta=datetime.timedelta)
    monkeypatch.setattr(acm, "datetime", clock)
    assert not refused(aws, good, "certificate: .*Valid: wanted at least 14 days, found ended")


def test_a_certificate_that_is_not_issued_yet(aws, tmp_path, monkeypatch):
    monkeypatch.setattr("moto.settings.ACM_VALIDATION_WAIT", 3600)
    arn = aws.acm.request_certificate(DomainName="registry.elastic.io", ValidationMethod="DNS")["CertificateArn"]
    said = "certificate: .*wanted ISSUED, found PENDING_VALIDATION"
    assert not refused(aws, world.blog(tmp_path, certificate=arn), said)


def test_a_certificate_that_is_not_there_or_in_another_region(aws, tmp_path):
    arn = "arn:aws:acm:{}:123456789012:certificate/0a1b"
    assert not refused(aws, world.blog(tmp_path, certificate=arn.format("eu-central-1")), "certificate: .*found absent")
    assert not refused(aws, world.blog(tmp_path, certificate=arn.format("us-east-1")), "certificate: .*us-east-1")


def test_nobody_can_be_asked_in_a_headless_run_and_a_known_line_is_enough(aws, tmp_path):
    p = world.blog(tmp_path, users={"typist": "prompt"}, bcrypt_cost=10)
    assert preflight.preflight(aws, p).require()
    report = preflight.preflight(aws, p, headless=True)
    assert "typist would have to type a password" in report.failures()
    lines = "typist:$2y$10$bKZWdrxxNAUopDEfEP0XfuLxGGYxwykNlh0sFnV0nVdqCVPEAl3c2"
    tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
    aws.secretsmanager.create_secret(Name=p.htpasswd_secret, SecretString=lines, Tags=tags)
    assert preflight.preflight(aws, p, headless=True).require()


@pytest.fixture
def writes(monkeypatch):
    """Every write that leaves a client of this process."""
    import botocore.client

    seen, plain = [], botocore.client.BaseClient._make_api_call

    def call(self, operation, parameters):
        if not operation.startswith(_READS):
            seen.append(operation)
        return plain(self, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)
    return seen


@pytest.mark.parametrize("which", FILES)
def test_a_run_ends_before_its_first_write_and_a_plan_says_the_same(aws, tmp_path, which, writes, capsys, monkeypatch):
    monkeypatch.setenv("RUNBOOK_RUNS", str(tmp_path / "runs"))
    p = FILES[which](tmp_path, instance_type="t3.smal")
    file = tmp_path / "x.yml"
    file.write_text(yaml.safe_dump({"params": p.model_dump(mode="json")}))
    for command in ("run", "plan"):
        assert __main__.main([command, str(file)]) == 1
        said = capsys.readouterr().err
        assert "change instance_type in" in said
        assert "Traceback" not in said
    assert not writes
    assert not (tmp_path / "runs").exists()

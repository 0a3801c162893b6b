"""What AWS refuses of application load balancers: AWS's error code, and that the right call passes."""

import json

import pytest
from refusals import REGION, refused, run

from runbook.local.authority import Authority
from runbook.local.inside import elbv2, elbv2_api

pytestmark = pytest.mark.moto

TAGS = [{"Key": "runbook:deployment", "Value": "registry"}]
POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"


def subnets(aws, count=2):
    found = {each["AvailabilityZone"]: each["SubnetId"] for each in aws.ec2.describe_subnets()["Subnets"]}
    return [found[zone] for zone in sorted(found)[:count]]


def balancer(aws, **changes):
    params = {"Name": "registry-alb", "Subnets": subnets(aws), "Tags": TAGS} | changes
    return aws.elbv2.create_load_balancer(**params)["LoadBalancers"][0]


def group(aws, **changes):
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    params = {"Name": "targets", "Protocol": "HTTP", "Port": 5000, "VpcId": vpc, "Tags": TAGS} | changes
    return aws.elbv2.create_target_group(**params)["TargetGroups"][0]


def listen(aws, balancer, *actions, **changes):
    params = {"Protocol": "HTTP", "Port": 80, "DefaultActions": list(actions) or [fixed("200")]}
    made = aws.elbv2.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], **params | changes)
    return made["Listeners"][0]


def fixed(status):
    return {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status}}


def forward(group):
    return {"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}


@pytest.fixture
def certificate(aws, tmp_path):
    folder = Authority(tmp_path).issue(["registry.example.com"])
    return aws.acm.import_certificate(
        Certificate=(folder / "cert.pem").read_bytes(), PrivateKey=(folder / "privkey.pem").read_bytes()
    )["CertificateArn"]


@pytest.mark.parametrize("name", ["a" * 33, "bad_name", "-edge", "edge-", "internal-x"])
def test_a_wrong_name(aws, name):
    refused("ValidationError", balancer, aws, Name=name)


def test_the_subnets_are_of_two_zones(aws):
    first, second = subnets(aws)
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    zone = aws.ec2.describe_subnets(SubnetIds=[first])["Subnets"][0]["AvailabilityZone"]
    beside = aws.ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.200.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
    refused("ValidationError", balancer, aws, Subnets=[first])
    refused("InvalidConfigurationRequest", balancer, aws, Subnets=[first, beside])
    refused("SubnetNotFound", balancer, aws, Subnets=[first, "subnet-00000000000000000"])
    refused("InvalidSecurityGroup", balancer, aws, SecurityGroups=["sg-00000000000000000"])
    made = balancer(aws)
    refused("ValidationError", aws.elbv2.set_subnets, LoadBalancerArn=made["LoadBalancerArn"], Subnets=[second])


def test_the_same_again_is_the_same_and_another_is_refused(aws):
    first = balancer(aws)
    assert balancer(aws)["LoadBalancerArn"] == first["LoadBalancerArn"]
    refused("DuplicateLoadBalancerName", balancer, aws, Scheme="internal")
    assert len(aws.elbv2.describe_load_balancers()["LoadBalancers"]) == 1
    check = {"HealthCheckPath": "/v2/", "Matcher": {"HttpCode": "200,401"}, "HealthCheckIntervalSeconds": 10}
    one = group(aws, **check)
    assert group(aws, **check)["TargetGroupArn"] == one["TargetGroupArn"]
    refused("DuplicateTargetGroupName", group, aws, **check | {"HealthCheckPath": "/"})
    assert one["Matcher"] == {"HttpCode": "200,401"}


def test_a_balancer_as_aws_shows_it(aws, monkeypatch):
    made = balancer(aws)
    assert made["State"]["Code"] == "provisioning"
    assert made["CanonicalHostedZoneId"] == "Z215JYRZR1TBD5"
    assert made["DNSName"].startswith("registry-alb-") and made["DNSName"].endswith(f".{REGION}.elb.amazonaws.com")
    assert len(made["SecurityGroups"]) == 1
    monkeypatch.setattr(elbv2_api, "PROVISIONING_SECONDS", 0)
    found = aws.elbv2.describe_load_balancers(Names=["registry-alb"])["LoadBalancers"][0]
    assert found["State"]["Code"] == "active"
    attributes = attributes_of(aws, made)
    assert attributes["idle_timeout.timeout_seconds"] == "60"
    assert attributes["deletion_protection.enabled"] == "false"
    assert balancer(aws, Name="inside", Scheme="internal")["DNSName"].startswith("internal-inside-")


def attributes_of(aws, made):
    found = aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=made["LoadBalancerArn"])["Attributes"]
    return {each["Key"]: each["Value"] for each in found}


def change(aws, made, **attributes):
    sent = [{"Key": key.replace("__", "."), "Value": value} for key, value in attributes.items()]
    aws.elbv2.modify_load_balancer_attributes(LoadBalancerArn=made["LoadBalancerArn"], Attributes=sent)


def test_deletion_protection(aws):
    made = balancer(aws)
    change(aws, made, deletion_protection__enabled="true")
    delete = aws.elbv2.delete_load_balancer
    refused("OperationNotPermitted", delete, LoadBalancerArn=made["LoadBalancerArn"])
    change(aws, made, deletion_protection__enabled="false")
    delete(LoadBalancerArn=made["LoadBalancerArn"])
    delete(LoadBalancerArn=made["LoadBalancerArn"])


def test_the_attributes_of_a_balancer(aws):
    made = balancer(aws)
    refused("ValidationError", change, aws, made, idle_timeout__timeout_seconds="4001")
    refused("ValidationError", change, aws, made, nonsense="1")
    refused("InvalidConfigurationRequest", change, aws, made, routing__http__xff_header_processing__mode="remove")
    change(aws, made, idle_timeout__timeout_seconds="4000")
    assert attributes_of(aws, made)["idle_timeout.timeout_seconds"] == "4000"


def test_access_logs_need_a_bucket_that_takes_them(aws):
    made = balancer(aws)
    logs = {"access_logs__s3__enabled": "true", "access_logs__s3__bucket": "registry-access"}
    refused("InvalidConfigurationRequest", change, aws, made, **logs)
    aws.s3.create_bucket(Bucket="registry-access", CreateBucketConfiguration={"LocationConstraint": REGION})
    refused("InvalidConfigurationRequest", change, aws, made, **logs)
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::054676820928:root"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::registry-access/AWSLogs/123456789012/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    aws.s3.put_bucket_policy(Bucket="registry-access", Policy=policy)
    refused("InvalidConfigurationRequest", change, aws, made, **logs, access_logs__s3__prefix="elsewhere")
    change(aws, made, **logs)


@pytest.mark.parametrize(
    "changes",
    [
        {"HealthCheckTimeoutSeconds": 30},
        {"HealthCheckIntervalSeconds": 301},
        {"HealthyThresholdCount": 11},
        {"UnhealthyThresholdCount": 11},
        {"HealthCheckPath": "v2"},
        {"HealthCheckPort": "0"},
        {"Matcher": {"HttpCode": "500"}},
        {"Matcher": {"HttpCode": "200-"}},
    ],
)
def test_a_wrong_health_check(aws, changes):
    refused("ValidationError", group, aws, **changes)
    made = group(aws)
    refused("ValidationError", aws.elbv2.modify_target_group, TargetGroupArn=made["TargetGroupArn"], **changes)
    modify = aws.elbv2.modify_target_group
    found = modify(TargetGroupArn=made["TargetGroupArn"], HealthCheckPath="/v2/", Matcher={"HttpCode": "200,401"})
    assert found["TargetGroups"][0]["Matcher"] == {"HttpCode": "200,401"}


@pytest.mark.parametrize("changes", [{"TargetType": "ip"}, {"Protocol": "TCP"}, {"ProtocolVersion": "GRPC"}])
def test_what_is_not_played_says_so(aws, changes):
    answer = refused("InvalidConfigurationRequest", group, aws, **changes)
    assert "does not play" in answer["Error"]["Message"]


@pytest.mark.parametrize(
    ("key", "wrong", "right"),
    [
        ("deregistration_delay.timeout_seconds", "3601", "3600"),
        ("slow_start.duration_seconds", "29", "30"),
        ("nonsense", "1", None),
    ],
)
def test_the_attributes_of_a_target_group(aws, key, wrong, right):
    arn = group(aws)["TargetGroupArn"]
    modify = aws.elbv2.modify_target_group_attributes
    refused("ValidationError", modify, TargetGroupArn=arn, Attributes=[{"Key": key, "Value": wrong}])
    if right:
        modify(TargetGroupArn=arn, Attributes=[{"Key": key, "Value": right}])
        found = aws.elbv2.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]
        assert {each["Key"]: each["Value"] for each in found}[key] == right


def test_a_listener_of_its_port_certificate_and_policy(aws, certificate):
    made = balancer(aws)
    listen(aws, made)
    refused("DuplicateListener", listen, aws, made)
    https = {"Protocol": "HTTPS", "Port": 443, "SslPolicy": POLICY}
    refused("ValidationError", listen, aws, made, **https)
    absent = certificate[:-1] + ("0" if certificate[-1] != "0" else "1")
    refused("CertificateNotFound", listen, aws, made, **https, Certificates=[{"CertificateArn": absent}])
    waiting = aws.acm.request_certificate(DomainName="a.example.com", ValidationMethod="DNS")["CertificateArn"]
    refused("UnsupportedCertificate", listen, aws, made, **https, Certificates=[{"CertificateArn": waiting}])
    of = {"Certificates": [{"CertificateArn": certificate}]}
    refused("SSLPolicyNotFound", listen, aws, made, **https | {"SslPolicy": "ELBSecurityPolicy-none"}, **of)
    listener = listen(aws, made, **https, **of)
    assert (listener["SslPolicy"], listener["Certificates"]) == (POLICY, of["Certificates"])
    modify = aws.elbv2.modify_listener
    refused("SSLPolicyNotFound", modify, ListenerArn=listener["ListenerArn"], SslPolicy="ELBSecurityPolicy-none")
    refused("DuplicateListener", modify, ListenerArn=listener["ListenerArn"], Port=80)
    refused("ResourceInUseException", aws.acm.delete_certificate, CertificateArn=certificate)
    aws.elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    aws.acm.delete_certificate(CertificateArn=certificate)


def test_a_target_group_is_of_one_balancer_and_not_deleted_in_use(aws):
    first, second, targets = balancer(aws), balancer(aws, Name="second"), group(aws)
    listener = listen(aws, first, forward(targets))
    refused("TargetGroupAssociationLimit", listen, aws, second, forward(targets))
    delete, arn = aws.elbv2.delete_target_group, targets["TargetGroupArn"]
    refused("ResourceInUse", delete, TargetGroupArn=arn)
    assert aws.elbv2.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"][0]["LoadBalancerArns"]
    aws.elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
    delete(TargetGroupArn=arn)
    refused("TargetGroupNotFound", listen, aws, second, forward(targets))


def test_the_actions_and_conditions_of_rules(aws):
    made, targets = balancer(aws), group(aws)
    loop = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}
    refused("InvalidLoadBalancerAction", listen, aws, made, loop)
    weighted = {"Type": "forward", "ForwardConfig": {"TargetGroups": [forward(targets), forward(targets)]}}
    for each in weighted["ForwardConfig"]["TargetGroups"]:
        del each["Type"]
    refused("InvalidConfigurationRequest", listen, aws, made, weighted)
    arn = listen(aws, made)["ListenerArn"]
    create, rule = aws.elbv2.create_rule, {"ListenerArn": arn, "Actions": [forward(targets)]}
    path = [{"Field": "path-pattern", "Values": ["/v2/*"]}]
    query = [{"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": "x"}]}}]
    refused("InvalidConfigurationRequest", create, **rule, Priority=1, Conditions=query)
    refused("ValidationError", create, **rule, Priority=50_001, Conditions=path)
    inside = [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1/8"]}}]
    refused("ValidationError", create, **rule, Priority=1, Conditions=inside)
    create(**rule, Priority=1, Conditions=path)
    refused("PriorityInUse", create, **rule, Priority=1, Conditions=path)
    default = aws.elbv2.describe_rules(ListenerArn=arn)["Rules"][-1]
    assert default["IsDefault"]
    refused("OperationNotPermitted", aws.elbv2.delete_rule, RuleArn=default["RuleArn"])
    refused("OperationNotPermitted", aws.elbv2.modify_rule, RuleArn=default["RuleArn"], Actions=[fixed("404")])
    assert elbv2.attached(REGION, targets["TargetGroupArn"])


def test_targets(aws):
    arn, instance = group(aws)["TargetGroupArn"], run(aws)[0]["InstanceId"]
    register, deregister = aws.elbv2.register_targets, aws.elbv2.deregister_targets
    refused("InvalidTarget", register, TargetGroupArn=arn, Targets=[{"Id": "i-00000000000000000"}])
    register(TargetGroupArn=arn, Targets=[{"Id": instance}, {"Id": instance, "Port": 32768}])
    elbv2.register_target(REGION, arn, instance, 32769)
    assert elbv2.target_health(REGION, arn) == {(instance, port): "unused" for port in (5000, 32768, 32769)}
    seen = aws.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    assert [each["Target"]["Port"] for each in seen] == [5000, 32768, 32769]
    assert {each["TargetHealth"]["Reason"] for each in seen} == {"Target.NotInUse"}
    deregister(TargetGroupArn=arn, Targets=[{"Id": instance}, {"Id": instance, "Port": 1}])
    elbv2.deregister_target(REGION, arn, instance, 32769)
    assert list(elbv2.target_health(REGION, arn)) == [(instance, 32768)]
    aws.ec2.stop_instances(InstanceIds=[instance])
    refused("InvalidTarget", register, TargetGroupArn=arn, Targets=[{"Id": instance}])


def test_tags(aws):
    made, targets = balancer(aws), group(aws)
    listener = listen(aws, made, Tags=TAGS)
    arns = [made["LoadBalancerArn"], targets["TargetGroupArn"], listener["ListenerArn"]]
    found = aws.elbv2.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert {each["ResourceArn"]: each["Tags"] for each in found} == dict.fromkeys(arns, TAGS)
    many = [{"Key": f"k{number}", "Value": "v"} for number in range(49)]
    aws.elbv2.add_tags(ResourceArns=arns[:1], Tags=many)
    refused("TooManyTags", aws.elbv2.add_tags, ResourceArns=arns[:1], Tags=[{"Key": "k49", "Value": "v"}])
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arns[0])
    refused("LoadBalancerNotFound", aws.elbv2.describe_tags, ResourceArns=arns[:1])
    refused("ListenerNotFound", aws.elbv2.describe_tags, ResourceArns=arns[2:])


def test_a_security_group_of_a_balancer_is_not_deleted(aws):
    sg = aws.ec2.create_security_group(GroupName="alb", Description="x")["GroupId"]
    made = balancer(aws, SecurityGroups=[sg])
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=sg)
    aws.elbv2.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    aws.ec2.delete_security_group(GroupId=sg)

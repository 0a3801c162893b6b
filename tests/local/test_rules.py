"""What AWS refuses: for each rule AWS's error code, and that the right call passes."""

import datetime
import json
from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.handlers import validate_bucket_name
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from moto import mock_aws
from unmended import unmended  # noqa: F401 (a fixture)

from runbook.local import rules
from runbook.local.authority import Authority
from runbook.local.inside import acm, elb

pytestmark = pytest.mark.moto

REGION = "eu-central-1"
IMAGE = "ami-12c6146b"  # one of those that moto's account begins with
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALLOW = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


@pytest.fixture(scope="module")
def clients():
    """They are made once, while moto listens: making them takes longer than a test."""
    services = ("acm", "ec2", "ecs", "elb", "iam", "route53", "s3", "secretsmanager")
    keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "x")
    with mock_aws():
        session = boto3.Session(region_name=REGION, **keys)
        # botocore's own look at bucket names would keep some wrong ones from being sent.
        session.events.unregister("before-parameter-build.s3", validate_bucket_name)
        return SimpleNamespace(**{each: session.client(each) for each in services})


@pytest.fixture
def aws(clients, unmended, monkeypatch):  # noqa: F811
    """moto's account, with the rules in force."""
    monkeypatch.setenv("MOTO_IAM_LOAD_MANAGED_POLICIES", "false")
    with mock_aws():
        rules.install()
        rules.install()
        elb.install()
        acm.install()
        yield clients


def refused(code, call, /, **params):
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


# ECS


def task_definition(**changes):
    container = {"name": "registry", "image": "registry:2.8.3", "memory": 512, "essential": True}
    container |= {"portMappings": [{"containerPort": 5000, "hostPort": 5000}]} | changes.pop("container", {})
    return {"family": "registry", "containerDefinitions": [container], **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"family": "bad name"},
        {"family": "f" * 256},
        {"container": {"essential": False}},
        {"container": {"mountPoints": [{"sourceVolume": "auth", "containerPath": "/auth"}]}},
        {"container": {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-region": REGION}}}},
        {"container": {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/g"}}}},
        {"container": {"secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:::secret:a"}]}},
        {"container": {"memoryReservation": 1024}},
        {"container": {"portMappings": [{"containerPort": 70000}]}},
        {"container": {"portMappings": [{"containerPort": 1, "hostPort": 2}]}, "networkMode": "host"},
        {"taskRoleArn": "nonsense"},
        {"executionRoleArn": "arn:aws:iam::123456789012:role/absent"},
    ],
)
def test_a_wrong_task_definition(aws, changes):
    refused("ClientException", aws.ecs.register_task_definition, **task_definition(**changes))
    assert aws.ecs.list_task_definitions()["taskDefinitionArns"] == []


def test_a_right_task_definition(aws):
    role = aws.iam.create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    container = {
        "memoryReservation": 256,
        "mountPoints": [{"sourceVolume": "auth", "containerPath": "/auth", "readOnly": True}],
        "secrets": [{"name": "A", "valueFrom": "arn:aws:secretsmanager:::secret:a"}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {"awslogs-region": REGION, "awslogs-group": "/g"},
        },
    }
    volumes = [{"name": "auth", "host": {"sourcePath": "/home/ec2-user/auth"}}]
    definition = task_definition(container=container, volumes=volumes, executionRoleArn=role)
    made = aws.ecs.register_task_definition(**definition)["taskDefinition"]
    assert made["revision"] == 1


@pytest.fixture
def cluster(aws):
    aws.ecs.create_cluster(clusterName="registry")
    aws.ecs.register_task_definition(**task_definition())
    return {
        "cluster": "registry",
        "serviceName": "registry",
        "taskDefinition": "registry",
        "desiredCount": 1,
        "launchType": "EC2",
    }


@pytest.mark.parametrize(
    "change",
    [{"containerName": "other"}, {"containerPort": 80}, {"loadBalancerName": "absent"}],
)
def test_a_service_behind_what_is_not_there(aws, cluster, change):
    balancer(aws)
    right = {"loadBalancerName": "registry", "containerName": "registry", "containerPort": 5000}
    wrong = dict(cluster, loadBalancers=[right | change])
    refused("InvalidParameterException", aws.ecs.create_service, **wrong)
    aws.ecs.create_service(**dict(cluster, loadBalancers=[right]))


def test_ten_services_are_described_at_once(aws, cluster):
    names = [f"service-{n}" for n in range(11)]
    refused("InvalidParameterException", aws.ecs.describe_services, cluster="registry", services=names)
    assert len(aws.ecs.describe_services(cluster="registry", services=names[:10])["failures"]) == 10


# EC2


def run(aws, **more):
    return aws.ec2.run_instances(**{"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1} | more)["Instances"]


def test_a_client_token_gives_the_same_instance(aws):
    first, again, other = (run(aws, ClientToken=token)[0]["InstanceId"] for token in ("a", "a", "b"))
    assert first == again != other
    reservations = aws.ec2.describe_instances()["Reservations"]
    assert len(reservations) == 2


def test_an_image_and_a_profile_that_do_not_exist(aws):
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        run(aws, ImageId="ami-00000000000000000")
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        run(aws, IamInstanceProfile={"Name": "absent"})
    aws.iam.create_instance_profile(InstanceProfileName="node")
    assert run(aws, IamInstanceProfile={"Name": "node"})


@pytest.fixture
def groups(aws):
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = [aws.ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc)["GroupId"] for name in ("a", "b")]
    return made


def from_group(group_id):
    return [{"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5000, "UserIdGroupPairs": [{"GroupId": group_id}]}]


def test_a_group_that_another_groups_rule_names(aws, groups):
    first, second = groups
    aws.ec2.authorize_security_group_ingress(GroupId=first, IpPermissions=from_group(second))
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=second)
    aws.ec2.revoke_security_group_ingress(GroupId=first, IpPermissions=from_group(second))
    aws.ec2.delete_security_group(GroupId=second)


def test_a_group_whose_own_rule_names_it(aws, groups):
    aws.ec2.authorize_security_group_ingress(GroupId=groups[0], IpPermissions=from_group(groups[0]))
    aws.ec2.delete_security_group(GroupId=groups[0])


def test_a_group_of_an_instance(aws, groups):
    instance = run(aws, SecurityGroupIds=[groups[0]])[0]["InstanceId"]
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=groups[0])
    aws.ec2.terminate_instances(InstanceIds=[instance])
    aws.ec2.delete_security_group(GroupId=groups[0])


def test_a_group_of_a_balancer(aws, groups):
    balancer(aws, SecurityGroups=[groups[0]])
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=groups[0])
    aws.elb.delete_load_balancer(LoadBalancerName="registry")
    aws.ec2.delete_security_group(GroupId=groups[0])


@pytest.mark.parametrize(
    "change", [{"FromPort": 90, "ToPort": 80}, {"IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "é"}]}]
)
def test_a_wrong_rule_of_a_group(aws, groups, change):
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    authorize = aws.ec2.authorize_security_group_ingress
    refused("InvalidParameterValue", authorize, GroupId=groups[0], IpPermissions=[rule | change])
    authorize(GroupId=groups[0], IpPermissions=[rule])
    refused("InvalidPermission.Duplicate", authorize, GroupId=groups[0], IpPermissions=[rule])


# Classic load balancers and certificates

HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 5000}


def balancer(aws, **changes):
    params = {"LoadBalancerName": "registry", "Listeners": [HTTP], "AvailabilityZones": [f"{REGION}a"]}
    return aws.elb.create_load_balancer(**params | changes)


@pytest.fixture
def certificate(aws, tmp_path):
    folder = Authority(tmp_path).issue(["registry.example.com"])
    return aws.acm.import_certificate(
        Certificate=(folder / "cert.pem").read_bytes(),
        PrivateKey=(folder / "privkey.pem").read_bytes(),
        CertificateChain=(folder / "chain.pem").read_bytes(),
    )["CertificateArn"]


def https(arn):
    return HTTP | {"Protocol": "HTTPS", "LoadBalancerPort": 443, "SSLCertificateId": arn}


@pytest.mark.parametrize(
    "changes",
    [
        {"LoadBalancerName": "a" * 33},
        {"LoadBalancerName": "bad_name"},
        {"LoadBalancerName": "-edge"},
        {"AvailabilityZones": []},
        {"Listeners": [HTTP | {"InstanceProtocol": "TCP"}]},
        {"Listeners": [HTTP | {"LoadBalancerPort": 0}]},
        {"Listeners": [HTTP | {"InstancePort": 65536}]},
        {"Listeners": [HTTP | {"Protocol": "HTTPS"}]},
    ],
)
def test_a_wrong_balancer(aws, changes):
    with pytest.raises(ClientError, match="ValidationError"):
        balancer(aws, **changes)
    balancer(aws)
    with pytest.raises(ClientError, match="DuplicateLoadBalancerName"):
        balancer(aws)


def test_the_certificate_of_a_listener(aws, certificate, tmp_path):
    absent = certificate[:-1] + ("0" if certificate[-1] != "0" else "1")
    with pytest.raises(ClientError, match="CertificateNotFound"):
        balancer(aws, Listeners=[https(absent)])
    with pytest.raises(ClientError, match="InvalidConfigurationRequest"):
        balancer(aws, Listeners=[https(elliptic(aws))])
    balancer(aws, Listeners=[https(certificate)])
    change = aws.elb.set_load_balancer_listener_ssl_certificate
    of = {"LoadBalancerName": "registry", "SSLCertificateId": certificate}
    refused("ListenerNotFound", change, **of, LoadBalancerPort=8443)
    refused("CertificateNotFound", change, **of | {"SSLCertificateId": absent}, LoadBalancerPort=443)
    change(**of, LoadBalancerPort=443)


def elliptic(aws):
    """A certificate with an EC key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry.example.com")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return aws.acm.import_certificate(Certificate=made.public_bytes(pem), PrivateKey=private)["CertificateArn"]


@pytest.mark.parametrize("wrong", ["other", "not PEM"])
def test_the_key_of_a_certificate_is_its_own(aws, tmp_path, wrong):
    authority = Authority(tmp_path)
    one, other = (authority.issue([name]) for name in ("a.example.com", "b.example.com"))
    parts = {"Certificate": (one / "cert.pem").read_bytes(), "PrivateKey": (one / "privkey.pem").read_bytes()}
    key = (other / "privkey.pem").read_bytes() if wrong == "other" else b"key"
    refused("ValidationException", aws.acm.import_certificate, **parts | {"PrivateKey": key})
    assert aws.acm.import_certificate(**parts)["CertificateArn"]


def test_a_certificate_in_use_is_not_deleted(aws, certificate):
    balancer(aws, Listeners=[https(certificate)])
    refused("ResourceInUseException", aws.acm.delete_certificate, CertificateArn=certificate)
    aws.elb.delete_load_balancer(LoadBalancerName="registry")
    aws.acm.delete_certificate(CertificateArn=certificate)


CHECK = {"Target": "TCP:5000", "Interval": 30, "Timeout": 5, "UnhealthyThreshold": 2, "HealthyThreshold": 10}


@pytest.mark.parametrize(
    "change",
    [
        {"Target": "TCP:5000/"},
        {"Target": "HTTP:5000"},
        {"Target": "TCP:0"},
        {"Target": "UDP:5000"},
        {"Timeout": 30},
        {"Interval": 301},
        {"HealthyThreshold": 11},
        {"UnhealthyThreshold": 11},
    ],
)
def test_a_wrong_health_check(aws, change):
    balancer(aws)
    configure = aws.elb.configure_health_check
    refused("ValidationError", configure, LoadBalancerName="registry", HealthCheck=CHECK | change)
    for target in ("TCP:5000", "SSL:5000", "HTTP:5000/", "HTTPS:5000/v2/?a=b"):
        configure(LoadBalancerName="registry", HealthCheck=CHECK | {"Target": target})


def test_a_balancer_that_does_not_exist(aws):
    gone = {"LoadBalancerName": "gone"}
    for call, more in (
        (aws.elb.describe_load_balancer_attributes, {}),
        (aws.elb.describe_instance_health, {}),
        (aws.elb.configure_health_check, {"HealthCheck": CHECK}),
        (aws.elb.create_load_balancer_listeners, {"Listeners": [HTTP]}),
        (aws.elb.deregister_instances_from_load_balancer, {"Instances": []}),
    ):
        refused("LoadBalancerNotFound", call, **gone, **more)
    aws.elb.delete_load_balancer(**gone)


def test_the_idle_timeout_has_limits(aws):
    balancer(aws)
    modify = aws.elb.modify_load_balancer_attributes
    attributes = {"ConnectionSettings": {"IdleTimeout": 4001}}
    wanted = {"LoadBalancerName": "registry", "LoadBalancerAttributes": attributes}
    with pytest.raises(ClientError, match="InvalidConfigurationRequest"):
        modify(**wanted)
    modify(LoadBalancerName="registry", LoadBalancerAttributes={"ConnectionSettings": {"IdleTimeout": 4000}})
    seen = aws.elb.describe_load_balancer_attributes(LoadBalancerName="registry")["LoadBalancerAttributes"]
    assert seen["ConnectionSettings"]["IdleTimeout"] == 4000


def test_an_instance_that_does_not_exist_is_not_registered(aws):
    balancer(aws)
    register = aws.elb.register_instances_with_load_balancer
    absent = [{"InstanceId": "i-00000000000000000"}]
    refused("InvalidInstance", register, LoadBalancerName="registry", Instances=absent)
    instances = [{"InstanceId": run(aws)[0]["InstanceId"]}]
    assert register(LoadBalancerName="registry", Instances=instances)["Instances"] == instances
    assert register(LoadBalancerName="registry", Instances=instances)["Instances"] == instances
    health = aws.elb.describe_instance_health
    refused("InvalidInstance", health, LoadBalancerName="registry", Instances=absent)
    assert health(LoadBalancerName="registry")["InstanceStates"][0]["State"] == "OutOfService"


def test_the_policies_of_a_listener(aws, certificate):
    balancer(aws, Listeners=[https(certificate)])
    of = {"LoadBalancerName": "registry", "PolicyName": "tls", "PolicyTypeName": "SSLNegotiationPolicyType"}

    def reference(name):
        return [{"AttributeName": "Reference-Security-Policy", "AttributeValue": name}]

    create, choose = aws.elb.create_load_balancer_policy, aws.elb.set_load_balancer_policies_of_listener
    refused("PolicyNotFound", create, **of, PolicyAttributes=reference("ELBSecurityPolicy-none"))
    create(**of, PolicyAttributes=reference("ELBSecurityPolicy-TLS-1-2-2017-01"))
    refused("DuplicatePolicyName", create, **of, PolicyAttributes=[])
    listener = {"LoadBalancerName": "registry", "LoadBalancerPort": 443}
    refused("PolicyNotFound", choose, **listener, PolicyNames=["absent"])
    refused("ListenerNotFound", choose, **listener | {"LoadBalancerPort": 80}, PolicyNames=["tls"])
    choose(**listener, PolicyNames=["tls"])


def test_what_moto_says_wrong_of_a_balancer_is_put_right(aws, certificate):
    subnet = aws.ec2.describe_subnets()["Subnets"][0]
    placed = {"AvailabilityZones": [], "Subnets": [subnet["SubnetId"]]}
    created = balancer(aws, Listeners=[HTTP, https(certificate)], **placed)
    seen = aws.elb.describe_load_balancers()["LoadBalancerDescriptions"][0]
    assert created["DNSName"] == seen["DNSName"]
    assert seen["DNSName"].startswith("registry-") and seen["DNSName"].endswith(f".{REGION}.elb.amazonaws.com")
    assert seen["HealthCheck"] == CHECK
    protocols = {
        each["Listener"]["LoadBalancerPort"]: each["Listener"]["InstanceProtocol"]
        for each in seen["ListenerDescriptions"]
    }
    assert protocols == {80: "HTTP", 443: "HTTP"}
    assert seen["AvailabilityZones"] == [subnet["AvailabilityZone"]]
    assert seen["CanonicalHostedZoneNameID"] == "Z215JYRZR1TBD5"
    group = aws.ec2.describe_security_groups(GroupIds=seen["SecurityGroups"])["SecurityGroups"][0]
    assert seen["SourceSecurityGroup"]["GroupName"] == group["GroupName"]
    aws.elb.delete_load_balancer_listeners(LoadBalancerName="registry", LoadBalancerPorts=[80, 443])
    assert aws.elb.describe_load_balancers()["LoadBalancerDescriptions"][0]["ListenerDescriptions"] == []


def test_the_chain_of_an_imported_certificate_is_the_imported_one(aws, certificate, tmp_path):
    chain = (tmp_path / "live" / "registry.example.com" / "chain.pem").read_text()
    assert aws.acm.get_certificate(CertificateArn=certificate)["CertificateChain"] == chain


# S3 and Secrets Manager


@pytest.mark.parametrize(
    "name", ["Upper-Case", "a..b", "192.168.1.1", "under_score", "-leading", "xn--bucket", "bucket-s3alias"]
)
def test_a_wrong_bucket_name(aws, name):
    here = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
    refused("InvalidBucketName", aws.s3.create_bucket, Bucket=name, **here)
    aws.s3.create_bucket(Bucket="registry-images", **here)


@pytest.fixture
def bucket(aws):
    aws.s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": REGION})
    return "images"


def bucket_policy(**changes):
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::images/*"}
    statement = {k: v for k, v in (deny | changes).items() if v is not None}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize(
    "policy",
    [
        "{not json",
        "{}",
        bucket_policy(Effect="Maybe"),
        bucket_policy(Principal=None),
        bucket_policy(Action=None),
        bucket_policy(Resource="arn:aws:s3:::other/*"),
    ],
)
def test_a_malformed_bucket_policy(aws, bucket, policy):
    refused("MalformedPolicy", aws.s3.put_bucket_policy, Bucket=bucket, Policy=policy)
    aws.s3.put_bucket_policy(Bucket=bucket, Policy=bucket_policy())


def test_the_name_of_a_secret_that_waits_for_its_deletion(aws):
    secret = {"Name": "registry/http-secret", "SecretString": "x"}
    aws.secretsmanager.create_secret(**secret)
    aws.secretsmanager.delete_secret(SecretId=secret["Name"], RecoveryWindowInDays=7)
    refused("InvalidRequestException", aws.secretsmanager.create_secret, **secret)
    aws.secretsmanager.delete_secret(SecretId=secret["Name"], ForceDeleteWithoutRecovery=True)
    aws.secretsmanager.create_secret(**secret)
    refused("ResourceExistsException", aws.secretsmanager.create_secret, **secret)


# Route 53


@pytest.fixture
def zone(aws):
    zone_id = aws.route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]

    def change(action, name, kind, value, ttl=60):
        record = {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": [{"Value": value}]}
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        return aws.route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=batch)

    return change


def no_change(zone, *change, **more):
    with pytest.raises(ClientError, match="InvalidChangeBatch"):
        zone(*change, **more)


def test_a_cname_stands_alone_and_not_at_the_apex(zone):
    no_change(zone, "CREATE", "example.com", "CNAME", "other.example.org")
    zone("CREATE", "a.example.com", "A", "127.0.0.1")
    no_change(zone, "UPSERT", "a.example.com.", "CNAME", "other.example.org")
    zone("CREATE", "b.example.com", "CNAME", "other.example.org")
    no_change(zone, "CREATE", "B.example.com", "A", "127.0.0.1")
    zone("UPSERT", "b.example.com", "CNAME", "another.example.org")


def test_a_record_is_created_once_and_deleted_as_it_is(zone):
    zone("CREATE", "a.example.com", "A", "127.0.0.1")
    no_change(zone, "CREATE", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.1", ttl=61)
    zone("UPSERT", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.1")
    zone("DELETE", "a.example.com", "A", "127.0.0.2")
    no_change(zone, "DELETE", "a.example.com", "A", "127.0.0.2")
    zone("CREATE", "a.example.com", "A", "127.0.0.2")


def test_an_address_is_an_address(zone):
    no_change(zone, "CREATE", "a.example.com", "A", "127.0.0.256")


def test_a_caller_reference_is_used_once(aws, zone):
    again = {"Name": "example.org", "CallerReference": "1"}
    response = refused("HostedZoneAlreadyExists", aws.route53.create_hosted_zone, **again)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 409
    aws.route53.create_hosted_zone(**again | {"CallerReference": "2"})


# IAM


@pytest.mark.parametrize(
    "document",
    [
        "{not json",
        json.dumps(ALLOW),
        json.dumps({"Statement": [TRUST["Statement"][0] | {"Resource": "*"}]}),
        json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*"}]}),
    ],
)
def test_a_malformed_trust_policy(aws, document):
    role = {"RoleName": "node", "AssumeRolePolicyDocument": document}
    refused("MalformedPolicyDocument", aws.iam.create_role, **role)
    aws.iam.create_role(**role | {"AssumeRolePolicyDocument": json.dumps(TRUST)})
    change = {"RoleName": "node", "PolicyDocument": document}
    refused("MalformedPolicyDocument", aws.iam.update_assume_role_policy, **change)


def test_the_name_of_a_role_has_64_characters(aws):
    trust = {"AssumeRolePolicyDocument": json.dumps(TRUST)}
    refused("ValidationError", aws.iam.create_role, RoleName="r" * 65, **trust)
    aws.iam.create_role(RoleName="r" * 64, **trust)


@pytest.mark.parametrize(
    "document", ["{not json", json.dumps(TRUST), json.dumps({"Statement": [{"Effect": "Allow", "Action": "*"}]})]
)
def test_a_malformed_permissions_policy(aws, document):
    aws.iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(TRUST))
    aws.iam.create_user(UserName="s3")
    of_role, of_user = {"RoleName": "node", "PolicyName": "p"}, {"UserName": "s3", "PolicyName": "p"}
    refused("MalformedPolicyDocument", aws.iam.put_role_policy, **of_role, PolicyDocument=document)
    refused("MalformedPolicyDocument", aws.iam.put_user_policy, **of_user, PolicyDocument=document)
    refused("MalformedPolicyDocument", aws.iam.create_policy, PolicyName="p", PolicyDocument=document)
    aws.iam.put_role_policy(**of_role, PolicyDocument=json.dumps(ALLOW))
    aws.iam.put_user_policy(**of_user, PolicyDocument=json.dumps(ALLOW))


def test_a_user_is_deleted_after_what_is_its_own(aws):
    aws.iam.create_user(UserName="s3")
    key = aws.iam.create_access_key(UserName="s3")["AccessKey"]["AccessKeyId"]
    refused("DeleteConflict", aws.iam.delete_user, UserName="s3")
    aws.iam.delete_access_key(UserName="s3", AccessKeyId=key)
    assert aws.iam.list_service_specific_credentials(UserName="s3")["ServiceSpecificCredentials"] == []
    refused("NoSuchEntity", aws.iam.list_service_specific_credentials, UserName="absent")
    aws.iam.put_user_policy(UserName="s3", PolicyName="p", PolicyDocument=json.dumps(ALLOW))
    refused("DeleteConflict", aws.iam.delete_user, UserName="s3")
    aws.iam.delete_user_policy(UserName="s3", PolicyName="p")
    aws.iam.delete_user(UserName="s3")


def test_a_role_is_deleted_after_its_policies_are_detached(aws):
    aws.iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(TRUST))
    made = aws.iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(ALLOW))["Policy"]["Arn"]
    aws.iam.attach_role_policy(RoleName="node", PolicyArn=made)
    refused("DeleteConflict", aws.iam.delete_role, RoleName="node")
    aws.iam.detach_role_policy(RoleName="node", PolicyArn=made)
    aws.iam.delete_role(RoleName="node")

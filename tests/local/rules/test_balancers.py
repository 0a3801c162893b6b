"""What AWS refuses of classic load balancers and certificates: AWS's error code, and that the right call passes."""

import datetime

import pytest
from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from refusals import HTTP, REGION, balancer, refused, run

from runbook.local.authority import Authority

pytestmark = pytest.mark.moto


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


def test_a_balancer_again_with_the_same_settings_is_the_one_that_is_there(aws):
    first = balancer(aws)
    assert balancer(aws)["DNSName"] == first["DNSName"]
    refused("DuplicateLoadBalancerName", balancer, aws, Listeners=[HTTP | {"LoadBalancerPort": 81}])


def test_access_logs_go_to_a_bucket_that_takes_them(aws):
    balancer(aws)
    logs = {"AccessLog": {"Enabled": True, "S3BucketName": "absent", "EmitInterval": 60}}
    refused(
        "InvalidConfigurationRequest",
        aws.elb.modify_load_balancer_attributes,
        LoadBalancerName="registry",
        LoadBalancerAttributes=logs,
    )

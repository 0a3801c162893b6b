"""The floor: the same stack by boto3 alone. `python straight.py cold|describe|threads FILE`, FILE as of wanted.py.

`cold` makes it in an account that has none of it: each call once, in order, no look before or after. `describe` reads
once, for each thing, what `cold` has set of it, with as few calls as the API allows without reading what is not ours;
it compares nothing. `threads` makes the same reads side by side, as far as one does not need another's answer.
"""

import json
import secrets
import sys
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from types import SimpleNamespace

import boto3
from botocore.config import Config

SERVICES = ("s3", "iam", "secretsmanager", "ec2", "ssm", "ecs", "logs", "acm", "elb", "route53")
TTL = 60
THREADS = 16


def main(task: str, file: str) -> None:
    want = json.loads(Path(file).read_text())["want"]
    aws = connect(want)
    if task == "cold":
        return cold(aws, want)
    first, second = reads(aws, want)
    if task == "describe":
        for read in first:
            read()
        for read in second:
            read()
        return None
    with ThreadPool(THREADS) as pool:
        pool.map(lambda read: read(), first, chunksize=1)
        pool.map(lambda read: read(), second, chunksize=1)
    return None


def connect(want: dict) -> SimpleNamespace:
    session = boto3.Session("embedded", "embedded", region_name=want["region"])
    config = Config(s3={"addressing_style": "path"}, max_pool_connections=THREADS, proxies={})
    options = {"endpoint_url": want["endpoint"], "config": config}
    return SimpleNamespace(**{service: session.client(service, **options) for service in SERVICES})


def cold(aws: SimpleNamespace, want: dict) -> None:
    tags = pairs(want["tags"])
    make_bucket(aws, want, tags)
    arns = make_user_and_secrets(aws, want, tags)
    role = make_roles(aws, want, tags)
    subnets = [each["SubnetId"] for each in default_subnets(aws)]
    groups = make_groups(aws, want, tags)

    aws.iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    aws.ecs.create_cluster(clusterName=want["cluster"], tags=small(want["tags"]))
    node = make_node(aws, want, groups["node"], subnets[0])
    aws.logs.create_log_group(logGroupName=want["log_group"], tags=want["tags"])
    aws.logs.put_retention_policy(logGroupName=want["log_group"], retentionInDays=want["log_retention"])
    task = json.loads(json.dumps(want["task"]))
    for container in task["containerDefinitions"]:
        for secret in container["secrets"]:
            name, _, key = secret["valueFrom"].removeprefix("secretsmanager:").partition(":")
            secret["valueFrom"] = f"{arns[name]}:{key}::" if key else arns[name]
    aws.ecs.register_task_definition(**task, executionRoleArn=role, tags=small(want["tags"]))
    aws.ecs.create_service(**want["service"], tags=small(want["tags"]))

    files = want["certificate"]
    certificate = aws.acm.import_certificate(
        Certificate=files["cert"], CertificateChain=files["chain"], PrivateKey=files["privkey"], Tags=tags
    )["CertificateArn"]
    host = make_balancer(aws, want, tags, certificate, groups["balancer"], subnets, node)
    zone = zone_id(aws, want)
    records = [
        {"Name": want["domain"], "Type": "CNAME", "TTL": TTL, "ResourceRecords": [{"Value": host}]},
        {"Name": mark(want), "Type": "TXT", "TTL": TTL, "ResourceRecords": [{"Value": want["mark"]}]},
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def make_bucket(aws: SimpleNamespace, want: dict, tags: list[dict]) -> None:
    bucket = want["bucket"]
    name = {"Bucket": bucket["Bucket"]}
    aws.s3.create_bucket(
        **name,
        ObjectOwnership=bucket["ObjectOwnership"],
        CreateBucketConfiguration={"LocationConstraint": want["region"]},
    )
    aws.s3.put_bucket_tagging(**name, Tagging={"TagSet": tags})
    aws.s3.put_public_access_block(**name, PublicAccessBlockConfiguration=bucket["PublicAccessBlock"])
    rules = [{"ApplyServerSideEncryptionByDefault": bucket["Encryption"]}]
    aws.s3.put_bucket_encryption(**name, ServerSideEncryptionConfiguration={"Rules": rules})
    aws.s3.put_bucket_policy(**name, Policy=json.dumps(bucket["Policy"]))
    lifecycle = {"Rules": bucket["LifecycleRules"]}
    aws.s3.put_bucket_lifecycle_configuration(**name, LifecycleConfiguration=lifecycle)


def make_user_and_secrets(aws: SimpleNamespace, want: dict, tags: list[dict]) -> dict[str, str]:
    """The secrets' ARNs by name."""
    user = {"UserName": want["user"]["name"]}
    aws.iam.create_user(**user, Tags=tags)
    aws.iam.put_user_policy(**user, PolicyName=want["policy_name"], PolicyDocument=json.dumps(want["user"]["policy"]))
    key = aws.iam.create_access_key(**user)["AccessKey"]
    texts = {want["key_secret"]: json.dumps({"accesskey": key["AccessKeyId"], "secretkey": key["SecretAccessKey"]})}
    texts |= {name: secrets.token_urlsafe() for name in want["other_secrets"]}
    create = aws.secretsmanager.create_secret
    return {name: create(Name=name, SecretString=text, Tags=tags)["ARN"] for name, text in texts.items()}


def make_roles(aws: SimpleNamespace, want: dict, tags: list[dict]) -> str:
    """The execution role's ARN."""
    arns = {}
    for kind in ("node_role", "execution_role"):
        role = want[kind]
        name = {"RoleName": role["RoleName"]}
        made = aws.iam.create_role(**name, AssumeRolePolicyDocument=json.dumps(role["Trust"]), Tags=tags)
        arns[kind] = made["Role"]["Arn"]
        for arn in role["ManagedPolicies"]:
            aws.iam.attach_role_policy(**name, PolicyArn=arn)
        aws.iam.put_role_policy(**name, PolicyName=want["policy_name"], PolicyDocument=json.dumps(role["InlinePolicy"]))
    profile = {"InstanceProfileName": want["node_role"]["RoleName"]}
    aws.iam.create_instance_profile(**profile, Tags=tags)
    aws.iam.add_role_to_instance_profile(**profile, RoleName=want["node_role"]["RoleName"])
    return arns["execution_role"]


def make_groups(aws: SimpleNamespace, want: dict, tags: list[dict]) -> dict[str, str]:
    """Their ids. AWS gives each new group a rule that lets everything out."""
    ids = {}
    for kind in ("balancer", "node"):
        given = [{"ResourceType": "security-group", "Tags": tags}]
        name = want[f"{kind}_group"]
        made = aws.ec2.create_security_group(GroupName=name, Description=name, TagSpecifications=given)
        ids[kind] = made["GroupId"]
    everywhere = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    aws.ec2.revoke_security_group_egress(GroupId=ids["balancer"], IpPermissions=[everywhere])
    clients = [{"CidrIp": network, "Description": "docker clients"} for network in want["client_networks"]]
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": clients}
    aws.ec2.authorize_security_group_ingress(GroupId=ids["balancer"], IpPermissions=[https])
    registry = {"IpProtocol": "tcp", "FromPort": want["port"], "ToPort": want["port"]}
    for group, way, peer in (("balancer", "egress", "node"), ("node", "ingress", "balancer")):
        authorize = getattr(aws.ec2, f"authorize_security_group_{way}")
        permission = registry | {"UserIdGroupPairs": [{"GroupId": ids[peer]}]}
        authorize(GroupId=ids[group], IpPermissions=[permission])
    return ids


def make_node(aws: SimpleNamespace, want: dict, group: str, subnet: str) -> str:
    given = pairs({"Name": want["node"], **want["tags"]})
    made = aws.ec2.run_instances(
        MinCount=1,
        MaxCount=1,
        ImageId=aws.ssm.get_parameter(Name=want["ami_parameter"])["Parameter"]["Value"],
        InstanceType=want["instance_type"],
        IamInstanceProfile={"Name": want["node_role"]["RoleName"]},
        SecurityGroupIds=[group],
        SubnetId=subnet,
        UserData=want["user_data"],
        MetadataOptions=want["metadata"],
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": want["volume"]}],
        TagSpecifications=[{"ResourceType": kind, "Tags": given} for kind in ("instance", "volume")],
    )
    return made["Instances"][0]["InstanceId"]


def make_balancer(
    aws: SimpleNamespace, want: dict, tags: list[dict], certificate: str, group: str, subnets: list[str], node: str
) -> str:
    """Its host name."""
    name = {"LoadBalancerName": want["balancer"]["LoadBalancerName"]}
    listener = {
        "Protocol": "HTTPS",
        "LoadBalancerPort": 443,
        "InstanceProtocol": "HTTP",
        "InstancePort": want["port"],
        "SSLCertificateId": certificate,
    }
    host = aws.elb.create_load_balancer(
        **name, Listeners=[listener], Subnets=subnets, SecurityGroups=[group], Tags=tags
    )["DNSName"]
    aws.elb.create_load_balancer_policy(
        **name,
        PolicyName="tls",
        PolicyTypeName="SSLNegotiationPolicyType",
        PolicyAttributes=[{"AttributeName": "Reference-Security-Policy", "AttributeValue": want["tls_policy"]}],
    )
    aws.elb.set_load_balancer_policies_of_listener(**name, LoadBalancerPort=443, PolicyNames=["tls"])
    aws.elb.configure_health_check(**name, HealthCheck=want["balancer"]["HealthCheck"])
    aws.elb.modify_load_balancer_attributes(**name, LoadBalancerAttributes=want["balancer"]["Attributes"])
    aws.elb.register_instances_with_load_balancer(**name, Instances=[{"InstanceId": node}])
    return host


def reads(aws: SimpleNamespace, want: dict) -> tuple[list[Callable], list[Callable]]:
    """The calls, and those that need an answer of the first."""
    bucket, user = {"Bucket": want["bucket"]["Bucket"]}, {"UserName": want["user"]["name"]}
    balancer = {"LoadBalancerName": want["balancer"]["LoadBalancerName"]}
    node, profile = want["node_role"]["RoleName"], {"InstanceProfileName": want["node_role"]["RoleName"]}
    seen: dict[str, str] = {}

    def node_read() -> None:
        asked = [{"Name": "tag:Name", "Values": [want["node"]]}]
        (reservation,) = aws.ec2.describe_instances(Filters=asked)["Reservations"]
        (instance,) = reservation["Instances"]
        seen["instance"], seen["volume"] = instance["InstanceId"], instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]

    def certificate_read() -> None:
        found = aws.acm.list_certificates()["CertificateSummaryList"]
        (seen["certificate"],) = [each["CertificateArn"] for each in found if each["DomainName"] == want["domain"]]

    def log_read() -> None:
        (found,) = aws.logs.describe_log_groups(logGroupNamePrefix=want["log_group"])["logGroups"]
        seen["log"] = found["arn"].removesuffix(":*")

    def zone_read() -> None:
        seen["zone"] = zone_id(aws, want)

    names = [want["key_secret"], *want["other_secrets"]]
    groups = [{"Name": "group-name", "Values": [want["balancer_group"], want["node_group"]]}]
    first = [
        lambda: aws.s3.get_bucket_tagging(**bucket),
        lambda: aws.s3.get_bucket_ownership_controls(**bucket),
        lambda: aws.s3.get_public_access_block(**bucket),
        lambda: aws.s3.get_bucket_encryption(**bucket),
        lambda: aws.s3.get_bucket_policy(**bucket),
        lambda: aws.s3.get_bucket_lifecycle_configuration(**bucket),
        lambda: aws.iam.get_user(**user),
        lambda: aws.iam.get_user_policy(**user, PolicyName=want["policy_name"]),
        lambda: aws.iam.list_access_keys(**user),
        *[lambda name=name: aws.secretsmanager.describe_secret(SecretId=name) for name in names],
        lambda: aws.iam.get_role(RoleName=node),
        lambda: aws.iam.list_attached_role_policies(RoleName=node),
        lambda: aws.iam.get_role_policy(RoleName=node, PolicyName=want["policy_name"]),
        lambda: aws.iam.get_role(RoleName=want["execution_role"]["RoleName"]),
        lambda: aws.iam.get_role_policy(RoleName=want["execution_role"]["RoleName"], PolicyName=want["policy_name"]),
        lambda: aws.iam.get_instance_profile(**profile),
        lambda: default_subnets(aws),
        lambda: aws.ec2.describe_security_groups(Filters=groups),
        lambda: aws.ecs.describe_clusters(clusters=[want["cluster"]], include=["TAGS"]),
        node_read,
        log_read,
        lambda: aws.ecs.describe_task_definition(taskDefinition=want["task"]["family"], include=["TAGS"]),
        lambda: aws.ecs.describe_services(
            cluster=want["cluster"], services=[want["service"]["serviceName"]], include=["TAGS"]
        ),
        certificate_read,
        lambda: aws.elb.describe_load_balancers(LoadBalancerNames=[balancer["LoadBalancerName"]]),
        lambda: aws.elb.describe_tags(LoadBalancerNames=[balancer["LoadBalancerName"]]),
        lambda: aws.elb.describe_load_balancer_attributes(**balancer),
        lambda: aws.elb.describe_load_balancer_policies(**balancer),
        zone_read,
    ]
    second = [
        lambda: aws.ec2.describe_instance_attribute(InstanceId=seen["instance"], Attribute="userData"),
        lambda: aws.ec2.describe_volumes(VolumeIds=[seen["volume"]]),
        lambda: aws.logs.list_tags_for_resource(resourceArn=seen["log"]),
        lambda: aws.acm.describe_certificate(CertificateArn=seen["certificate"]),
        lambda: aws.acm.get_certificate(CertificateArn=seen["certificate"]),
        lambda: aws.acm.list_tags_for_certificate(CertificateArn=seen["certificate"]),
        lambda: aws.route53.list_resource_record_sets(HostedZoneId=seen["zone"], StartRecordName=mark(want)),
    ]
    return first, second


def default_subnets(aws: SimpleNamespace) -> list[dict]:
    return aws.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]


def zone_id(aws: SimpleNamespace, want: dict) -> str:
    return aws.route53.list_hosted_zones_by_name(DNSName=want["zone"], MaxItems="1")["HostedZones"][0]["Id"]


def mark(want: dict) -> str:
    return f"_runbook.{want['domain']}"


def pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def small(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


if __name__ == "__main__":
    main(*sys.argv[1:])

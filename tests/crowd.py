"""An account full of other people's things, by names like ours: what a tear-down must find again as it left it."""

from test_imported_certificate import CHAIN, KEY, leaf, pem, private

ENDS = ["2", "-2", "-old", "x", "-node-1", "-asg", "-scaled", "-targets", "-cache", "-s3", "-execution", "-task"]
_NOBODY = '{"Version": "2012-10-17", "Statement": []}'
_LIST = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}'
)
OTHER = [{"Key": "runbook:deployment", "Value": "registry2"}, {"Key": "team", "Value": "others"}]
_ALMOST = [{"Key": "runbook:Deployment", "Value": "registry"}, {"Key": "deployment", "Value": "registry"}]


def fill(aws, p):
    """A dozen of each kind, with no tag, with another deployment's, or with one that almost is ours."""
    vpc = aws.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = [each["SubnetId"] for each in aws.ec2.describe_subnets()["Subnets"]]
    aws.iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")  # the account's own, once for all
    for number, end in enumerate(ENDS):
        tags = ([], OTHER, _ALMOST)[number % 3]
        name = f"{p.name}{end}"
        for make in (_storage, _identities, _containers, _secrets, _names):
            make(aws, p, name, tags)
        _network(aws, p, f"{p.node_group}{end}x", tags, vpc)
        _balancers(aws, p, f"{name}-z", tags, vpc, subnets)
        _scaling(aws, p, f"{p.name}-asg{end}", tags, subnets)
    _instances(aws, p)
    _certificates(aws, p)


def _small(tags):
    return [{"key": tag["Key"], "value": tag["Value"]} for tag in tags]


def _storage(aws, p, name, tags):
    bucket = f"{p.bucket}-{name}"
    aws.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": p.region})
    aws.s3.put_object(Bucket=bucket, Key="docker/registry/v2/one", Body=b"theirs")
    aws.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags or [{"Key": "x", "Value": "y"}]})


def _identities(aws, p, name, tags):
    role, user = f"{name}-role", f"{name}-user"
    aws.iam.create_user(UserName=user, Tags=tags)
    aws.iam.create_access_key(UserName=user)
    aws.iam.create_role(RoleName=role, AssumeRolePolicyDocument=_NOBODY, Tags=tags)
    aws.iam.put_role_policy(RoleName=role, PolicyName="runbook", PolicyDocument=_LIST)
    aws.iam.create_instance_profile(InstanceProfileName=role, Tags=tags)
    aws.iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    aws.iam.create_policy(PolicyName=f"{name}-policy", PolicyDocument=_LIST, Tags=tags)


def _containers(aws, p, name, tags):
    """A cluster with a service of our service's name, whose tasks have a scaling of their own; a family; logs."""
    cluster = f"{name}-cluster"
    aws.ecs.create_cluster(clusterName=cluster, tags=_small(tags))
    container = {"name": p.container_name, "image": p.image, "memory": 100}
    for _ in range(2):
        aws.ecs.register_task_definition(family=cluster, containerDefinitions=[container], tags=_small(tags))
    aws.ecs.create_service(cluster=cluster, serviceName=p.service_name, taskDefinition=cluster, desiredCount=0)
    where = {
        "ServiceNamespace": "ecs",
        "ResourceId": f"service/{cluster}/{p.service_name}",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    aws.application_autoscaling.register_scalable_target(**where, MinCapacity=1, MaxCapacity=2)
    for group in (f"/ecs/{name}-logs", f"{p.log_group}/{name}"):
        aws.logs.create_log_group(logGroupName=group, tags={tag["Key"]: tag["Value"] for tag in tags})
    aws.cloudwatch.put_metric_alarm(
        **{"AlarmName": f"{name}-disk-x", "Namespace": "CWAgent", "MetricName": "disk_used_percent"},
        **{"Statistic": "Maximum", "Period": 300, "EvaluationPeriods": 1, "Threshold": 85},
        **{"ComparisonOperator": "GreaterThanOrEqualToThreshold", "Tags": tags},
    )


def _secrets(aws, p, name, tags):
    for secret in (f"{name}/http-secret", f"{p.name}foo/users/{name}", f"{p.name}/users2/{name}", f"{p.name}/{name}"):
        aws.secretsmanager.create_secret(Name=secret, SecretString="theirs", Tags=tags)


def _names(aws, p, name, tags):
    """Records beside ours, below ours, and one that has ours in it; a mark of another deployment."""
    zone = next(each["Id"] for each in aws.route53.list_hosted_zones()["HostedZones"] if each["Name"] == f"{p.zone}.")
    records = [
        {"Name": f"{name}-x.{p.zone}", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "example.com"}]},
        {"Name": f"{name}.{p.domain}", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]},
        {
            **{"Name": f"_runbook.{name}-x.{p.zone}", "Type": "TXT", "TTL": 60},
            "ResourceRecords": [{"Value": f'"runbook:deployment={name}"'}],
        },
    ]
    changes = [{"Action": "CREATE", "ResourceRecordSet": record} for record in records]
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


def _network(aws, p, name, tags, vpc):
    """A security group, which names itself; and one of our very name in another VPC."""
    given = {"TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}]} if tags else {}
    group = aws.ec2.create_security_group(GroupName=name, Description="theirs", VpcId=vpc, **given)["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5000, "UserIdGroupPairs": [{"GroupId": group}]}
    aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    elsewhere = aws.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for ours in (p.node_group, p.balancer_group):
        aws.ec2.create_security_group(GroupName=ours, Description="theirs", VpcId=elsewhere)


def _balancers(aws, p, name, tags, vpc, subnets):
    group = {"Protocol": "HTTP", "Port": p.port, "VpcId": vpc, **({"Tags": tags} if tags else {})}
    arn = aws.elbv2.create_target_group(Name=f"{name}t", **group)["TargetGroups"][0]["TargetGroupArn"]
    given = {"Tags": tags} if tags else {}
    balancer = aws.elbv2.create_load_balancer(Name=name, Subnets=subnets, **given)["LoadBalancers"][0]
    forward = [{"Type": "forward", "TargetGroupArn": arn}]
    listener = {"Protocol": "HTTP", "Port": 80, "DefaultActions": forward}
    aws.elbv2.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], **listener)
    classic = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": p.port}
    aws.elb.create_load_balancer(LoadBalancerName=name, Listeners=[classic], Subnets=subnets[:1], **given)


def _scaling(aws, p, name, tags, subnets):
    name = f"{name}-x"
    template = {"LaunchTemplateName": name, "LaunchTemplateData": {"InstanceType": "t3.small"}}
    given = [{"ResourceType": "launch-template", "Tags": tags}]
    aws.ec2.create_launch_template(**template, **({"TagSpecifications": given} if tags else {}))
    where = {"ResourceId": name, "ResourceType": "auto-scaling-group", "PropagateAtLaunch": True}
    version = {"LaunchTemplateName": name, "Version": "$Latest"}
    size = {"MinSize": 0, "MaxSize": 1, "DesiredCapacity": 0}
    aws.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate=version,
        VPCZoneIdentifier=subnets[0],
        **size,
        Tags=[tag | where for tag in tags],
    )
    group = aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
    provider = {"autoScalingGroupArn": group["AutoScalingGroupARN"]}
    made = {"name": f"runbook-{name}", "autoScalingGroupProvider": provider}
    aws.ecs.create_capacity_provider(**made, **({"tags": _small(tags)} if tags else {}))
    family = {"CacheParameterGroupFamily": "valkey8", "Description": "theirs", "Tags": tags}
    aws.elasticache.create_cache_parameter_group(CacheParameterGroupName=name, **family)
    within = {"CacheSubnetGroupDescription": "theirs", "SubnetIds": subnets, "Tags": tags}
    aws.elasticache.create_cache_subnet_group(CacheSubnetGroupName=name, **within)


def _instances(aws, p):
    """Instances called as our nodes are, without a tag, with another's, and with our tag under another name."""
    ours = [{"Key": "runbook:deployment", "Value": p.name}]
    for tags in ([], OTHER, _ALMOST):
        _run(aws, [{"Key": "Name", "Value": f"{p.name}-node-1"}, *tags])
    for name in (f"{p.name}-node-1-copy", f"my {p.name}-node-1", f"{p.name}-node-x"):
        _run(aws, [{"Key": "Name", "Value": name}, *ours])


def _run(aws, tags):
    given = [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")]
    aws.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=given)


def _certificates(aws, p):
    """Of our very domain and of others, imported and requested, without a tag and with another deployment's."""
    content = {"Certificate": pem(leaf()), "PrivateKey": private(KEY), "CertificateChain": CHAIN}
    for given in ({}, {"Tags": OTHER}, {"Tags": _ALMOST}):
        aws.acm.import_certificate(**content, **given)
        for domain in (p.domain, f"2.{p.domain}"):
            asked = aws.acm.request_certificate(DomainName=domain, ValidationMethod="DNS", **given)
            aws.acm.describe_certificate(CertificateArn=asked["CertificateArn"])  # with it moto issues it


def other(p, **changes):
    """Another deployment's changes to the params: all that must differ in one account and one zone."""
    return {"name": f"{p.name}2", "bucket": f"{p.bucket}2", "domain": f"registry2.{p.zone}", **changes}

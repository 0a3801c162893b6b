"""The blog's deployment as somebody made it by hand in 2015: other names, no tags, the console's own defaults."""

import json

import services

CLUSTER, SERVICE, BUCKET, USER = "default", "docker", "acme-docker-images", "docker-s3"
NODE_ROLE, BALANCER = "ecsInstanceRole", "EC2Contai-EcsElast-1ABCDEF"
ALL_OF_S3 = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
WORLD = [{"CidrIp": "0.0.0.0/0"}]


def task(key_id, key, image="elasticio/docker-registry-ecs:latest"):
    """The blog's own JSON."""
    variables = {
        "REGISTRY_AUTH_HTPASSWD_REALM": "elastic.io private registry",
        "REGISTRY_STORAGE_S3_ACCESSKEY": key_id,
        "REGISTRY_STORAGE_S3_SECRETKEY": key,
        "REGISTRY_STORAGE_S3_REGION": "eu-central-1",
        "REGISTRY_STORAGE_S3_BUCKET": BUCKET,
        "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
    }
    container = {
        "volumesFrom": [],
        "portMappings": [{"hostPort": 5000, "containerPort": 5000, "protocol": "tcp"}],
        "command": ["/etc/docker/registry/config.yml"],
        "environment": [{"name": name, "value": value} for name, value in variables.items()],
        "essential": True,
        "entryPoint": [],
        "links": [],
        "mountPoints": [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": True}],
        "memory": 1000,
        "name": "registry",
        "cpu": 1024,
        "image": image,
    }
    volumes = [{"host": {"sourcePath": "/home/ec2-user/auth"}, "name": "auth"}]
    return {"family": "registry", "containerDefinitions": [container], "volumes": volumes}


def make(aws, pem):
    """Everything, in the blog's order; gives the access key's id and the key. `pem` are certificate, key, chain."""
    where = {"LocationConstraint": aws.region}
    aws.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    aws.iam.create_user(UserName=USER)
    aws.iam.put_user_policy(UserName=USER, PolicyName="s3", PolicyDocument=json.dumps(ALL_OF_S3))
    made = aws.iam.create_access_key(UserName=USER)["AccessKey"]
    key_id, key = made["AccessKeyId"], made["SecretAccessKey"]
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    groups = {name: _group(aws, vpc, name, ports) for name, ports in (("ecs-node", (22, 5000)), ("ecs-elb", (443,)))}
    node = _node(aws, groups["ecs-node"])
    aws.ecs.create_cluster(clusterName=CLUSTER)
    document = json.dumps({"instanceId": node})
    aws.ecs.register_container_instance(cluster=CLUSTER, instanceIdentityDocument=document)
    aws.ecs.register_task_definition(**task(key_id, key))
    _balancer(aws, groups["ecs-elb"], node, pem)
    behind = {"loadBalancerName": BALANCER, "containerName": "registry", "containerPort": 5000}
    aws.ecs.create_service(
        cluster=CLUSTER, serviceName=SERVICE, taskDefinition="registry", desiredCount=1, loadBalancers=[behind]
    )
    services.Scheduler(aws.region).sleep()
    return key_id, key


def _group(aws, vpc, name, ports):
    group = aws.ec2.create_security_group(GroupName=name, Description=name, VpcId=vpc)["GroupId"]
    rules = [{"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": WORLD} for port in ports]
    aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
    return group


def _node(aws, group):
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    aws.iam.create_role(RoleName=NODE_ROLE, AssumeRolePolicyDocument=document)
    policy = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
    aws.iam.attach_role_policy(RoleName=NODE_ROLE, PolicyArn=policy)
    aws.iam.create_instance_profile(InstanceProfileName=NODE_ROLE)
    aws.iam.add_role_to_instance_profile(InstanceProfileName=NODE_ROLE, RoleName=NODE_ROLE)
    made = aws.ec2.run_instances(
        ImageId="ami-12c6146b",
        InstanceType="t2.micro",
        MinCount=1,
        MaxCount=1,
        SecurityGroupIds=[group],
        IamInstanceProfile={"Name": NODE_ROLE},
        Placement={"AvailabilityZone": f"{aws.region}a"},
    )
    return made["Instances"][0]["InstanceId"]


def _balancer(aws, group, node, pem):
    parts = dict(zip(("Certificate", "PrivateKey", "CertificateChain"), pem, strict=True))
    arn = aws.acm.import_certificate(**parts)["CertificateArn"]
    listener = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstanceProtocol": "HTTP", "InstancePort": 5000}
    subnets = [each["SubnetId"] for each in aws.ec2.describe_subnets()["Subnets"]][:2]
    name = {"LoadBalancerName": BALANCER}
    aws.elb.create_load_balancer(
        **name, Listeners=[listener | {"SSLCertificateId": arn}], Subnets=subnets, SecurityGroups=[group]
    )
    check = {"Target": "TCP:5000", "Interval": 30, "Timeout": 5, "HealthyThreshold": 10, "UnhealthyThreshold": 2}
    aws.elb.configure_health_check(**name, HealthCheck=check)
    aws.elb.register_instances_with_load_balancer(**name, Instances=[{"InstanceId": node}])

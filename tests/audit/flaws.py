"""Flaws to make in a deployment, one at a time, and what the audit then says more, or no more: (rule, where)."""

import datetime
import json
from typing import NamedTuple

import stranger
from moto.acm.models import acm_backends
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from moto.ecs.models import ecs_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.secretsmanager.models import secretsmanager_backends

from runbook.local.inside import elasticache

CONTAINER = "container registry of registry:N"
TASK = "task definition registry:N"


class Flaw(NamedTuple):
    name: str
    change: object
    new: set
    gone: set = frozenset()


def service(aws):
    """The one service of the account, as moto holds it."""
    [one] = [each for each in ecs_backends[ACCOUNT][aws.region].services.values() if each.status == "ACTIVE"]
    return one


def retask(aws, change):
    """A new revision after `change(task, registry)`, and the service with it."""
    one = service(aws)
    task = aws.ecs.describe_task_definition(taskDefinition=one.task_definition)["taskDefinition"]
    kept = ("family", "containerDefinitions", "volumes", "networkMode", "executionRoleArn", "taskRoleArn", "pidMode")
    given = {key: task[key] for key in kept if task.get(key)}
    change(given, given["containerDefinitions"][0])
    one.task_definition = aws.ecs.register_task_definition(**given)["taskDefinition"]["taskDefinitionArn"]


def with_registry(**changes):
    return lambda aws: retask(aws, lambda task, registry: registry.update(changes))


def with_task(**changes):
    return lambda aws: retask(aws, lambda task, registry: task.update(changes))


def without(key):
    return lambda aws: retask(aws, lambda task, registry: registry.pop(key))


def variable(name, value):
    def change(task, registry):
        others = [each for each in registry["environment"] if each["name"] != name]
        registry["environment"] = [*others, {"name": name, "value": value}]

    return lambda aws: retask(aws, change)


def logs(**options):
    given = {"awslogs-group": "/docker", "awslogs-region": "eu-central-1", **options}
    return with_registry(logConfiguration={"logDriver": "awslogs", "options": given})


def both(*changes):
    def change(aws):
        for each in changes:
            each(aws)

    return change


def opened(group, first, last=None, protocol="tcp"):
    def change(aws):
        there = {each["GroupName"]: each["GroupId"] for each in aws.ec2.describe_security_groups()["SecurityGroups"]}
        ports = {} if protocol == "-1" else {"FromPort": first, "ToPort": last or first}
        world = [{"CidrIp": "0.0.0.0/0", "Description": "a try"}]
        rule = {"IpProtocol": protocol, **ports, "IpRanges": world}
        aws.ec2.authorize_security_group_ingress(GroupId=there[group], IpPermissions=[rule])

    return change


def instances(aws):
    return [each for each in ec2_backends[ACCOUNT][aws.region].all_instances() if each.state == "running"]


def metadata(tokens, hops):
    def change(aws):
        for each in instances(aws):
            options = {"HttpTokens": tokens, "HttpPutResponseHopLimit": hops}
            aws.ec2.modify_instance_metadata_options(InstanceId=each.id, **options)

    return change


def volumes(encrypted):
    def change(aws):
        for volume in ec2_backends[ACCOUNT][aws.region].volumes.values():
            volume.encrypted = encrypted

    return change


def agents_away(aws):
    for cluster in ecs_backends[ACCOUNT][aws.region].container_instances.values():
        for each in cluster.values():
            each.agent_connected = False


def not_running(aws):
    service(aws).running_count = 0


def listener(protocol, port):
    def change(aws):
        name = {"LoadBalancerName": stranger.BALANCER}
        given = {"Protocol": protocol, "LoadBalancerPort": port, "InstanceProtocol": "TCP", "InstancePort": 5000}
        if protocol == "SSL":
            given["SSLCertificateId"] = aws.acm.list_certificates()["CertificateSummaryList"][0]["CertificateArn"]
        aws.elb.create_load_balancer_listeners(**name, Listeners=[given])

    return change


def check(target):
    settings = {"Target": target, "Interval": 30, "Timeout": 5, "HealthyThreshold": 10, "UnhealthyThreshold": 2}
    return lambda aws: aws.elb.configure_health_check(LoadBalancerName=stranger.BALANCER, HealthCheck=settings)


def classic_attributes(**changes):
    return lambda aws: aws.elb.modify_load_balancer_attributes(
        LoadBalancerName=stranger.BALANCER, LoadBalancerAttributes=changes
    )


def modern_tls(aws):
    name = {"LoadBalancerName": stranger.BALANCER, "PolicyName": "new"}
    reference = {"AttributeName": "Reference-Security-Policy", "AttributeValue": "ELBSecurityPolicy-TLS-1-2-2017-01"}
    aws.elb.create_load_balancer_policy(**name, PolicyTypeName="SSLNegotiationPolicyType", PolicyAttributes=[reference])
    aws.elb.set_load_balancer_policies_of_listener(
        LoadBalancerName=stranger.BALANCER, LoadBalancerPort=443, PolicyNames=["new"]
    )


def not_attached(aws):
    service(aws).load_balancers = []


def no_targets(aws):
    there = [{"InstanceId": each.id} for each in instances(aws)]
    aws.elb.deregister_instances_from_load_balancer(LoadBalancerName=stranger.BALANCER, Instances=there)


def one_subnet(aws):
    name = {"LoadBalancerName": stranger.BALANCER}
    there = aws.elb.describe_load_balancers(LoadBalancerNames=[stranger.BALANCER])
    subnets = there["LoadBalancerDescriptions"][0]["Subnets"]
    aws.elb.detach_load_balancer_from_subnets(**name, Subnets=subnets[1:])


def policy_of_bucket(principal, **more):
    def change(aws):
        bucket = bucket_of(aws)
        statement = {"Effect": "Allow", "Principal": principal, "Action": "s3:GetObject", **more}
        document = {"Version": "2012-10-17", "Statement": [statement | {"Resource": f"arn:aws:s3:::{bucket}/*"}]}
        aws.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    return change


def bucket_of(aws):
    return aws.s3.list_buckets()["Buckets"][0]["Name"]


def bucket(operation, **parameters):
    return lambda aws: getattr(aws.s3, operation)(Bucket=bucket_of(aws), **parameters)


def lifecycle(*rules):
    rules = [{"ID": f"rule-{n}", "Status": "Enabled", "Filter": {"Prefix": ""}, **each} for n, each in enumerate(rules)]
    return bucket("put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": rules})


def user_may(*actions, resources=(f"arn:aws:s3:::{stranger.BUCKET}", f"arn:aws:s3:::{stranger.BUCKET}/*")):
    return may("user", stranger.USER, "s3", *actions, resources=resources)


def may(kind, name, policy, *actions, resources):
    def change(aws):
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": list(resources)}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        put = getattr(aws.iam, f"put_{kind}_policy")
        put(**{f"{kind.title()}Name": name}, PolicyName=policy, PolicyDocument=document)

    return change


def old_key(aws):
    [key] = iam_backends[ACCOUNT]["aws"].users[stranger.USER].access_keys
    key.create_date -= datetime.timedelta(days=4000)


def no_key(aws):
    [key] = aws.iam.list_access_keys(UserName=stranger.USER)["AccessKeyMetadata"]
    aws.iam.delete_access_key(UserName=stranger.USER, AccessKeyId=key["AccessKeyId"])


def ends(moment):
    def change(aws):
        for each in acm_backends[ACCOUNT][aws.region]._certificates.values():
            each._not_valid_after = lambda _: moment

    return change


def shown(**changes):
    """What ACM tells of each certificate from now on."""

    def change(aws):
        client = aws.read_only().acm._client
        plain = client.describe_certificate
        client.describe_certificate = lambda **given: {"Certificate": plain(**given)["Certificate"] | changes}

    return change


def states(service, operation, key, answers):
    """What a balancer tells of its targets from now on."""
    return lambda aws: setattr(getattr(aws.read_only(), service)._client, operation, lambda **_: {key: answers})


def parameter_of_ssm(aws):
    aws.ssm.put_parameter(Name="/docker/secret", Value="x", Type="String")
    with_registry(secrets=[{"name": "REGISTRY_HTTP_SECRET", "valueFrom": "/docker/secret"}])(aws)


def key_from_ssm(aws):
    def change(task, registry):
        names = ("REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY")
        registry["environment"] = [each for each in registry["environment"] if each["name"] not in names]
        registry["secrets"] = [{"name": name, "valueFrom": "none"} for name in names]

    retask(aws, change)


def launched_of_old(aws):
    aws.autoscaling.create_launch_configuration(
        LaunchConfigurationName="old", ImageId="ami-12c6146b", InstanceType="t2.micro"
    )
    aws.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="ecs",
        LaunchConfigurationName="old",
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=0,
        AvailabilityZones=[f"{aws.region}a"],
    )
    there = [each.id for each in instances(aws)]
    aws.autoscaling.attach_instances(AutoScalingGroupName="ecs", InstanceIds=there)


def of_iam(aws):
    aws.iam.upload_server_certificate(
        ServerCertificateName="docker.acme.example", CertificateBody="moto ends it in 2012", PrivateKey="x"
    )
    arn = f"arn:aws:iam::{ACCOUNT}:server-certificate/docker.acme.example"
    aws.elb.set_load_balancer_listener_ssl_certificate(
        LoadBalancerName=stranger.BALANCER, LoadBalancerPort=443, SSLCertificateId=arn
    )


ELB = f"load balancer {stranger.BALANCER}"
SHOWN = f"certificate of {ELB}, port 443"
BUCKET = f"bucket {stranger.BUCKET}"
USER = f"user {stranger.USER}"
S3 = f"policy s3 of {USER}"
SERVICE = f"service {stranger.SERVICE}"
PAST, SOON = (datetime.datetime.now() + datetime.timedelta(days=days) for days in (-10, 10))
FROM_10 = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
DAYS_7 = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
WIDE = {("service-allowed", S3), ("every-resource", S3)}
PARTS = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")

OF_BUCKET = {"bucket-not-blocked", "bucket-lists", "bucket-no-tls-only", "bucket-plain", "bucket-uploads",
             "bucket-no-versions", "bucket-no-log"}  # fmt: skip
OF_ELB = {"check-tcp", "idle-timeout", "no-draining", "no-cross-zone", "no-access-logs", "tls-old"}
KEY = "the key in REGISTRY_STORAGE_S3_ACCESSKEY"
NOTES_OF_GROUPS = ("rule-undescribed", "egress-open")

OF_STRANGER = (
    Flaw("no balancer", both(not_attached, no_targets),
         {("no-balancer", SERVICE), *((name, "security group ecs-node") for name in NOTES_OF_GROUPS)},
         {("certificate-by-hand", SHOWN), *((name, ELB) for name in OF_ELB),
          *((name, "security group ecs-node; security group ecs-elb") for name in NOTES_OF_GROUPS)}),
    Flaw("no bucket", bucket("delete_bucket"), {("bucket-absent", BUCKET)}, {(name, BUCKET) for name in OF_BUCKET}),
    Flaw("a bucket that nobody names", variable("REGISTRY_STORAGE_S3_BUCKET", ""),
         {("bucket-unknown", SERVICE), ("lint", f"{CONTAINER}, REGISTRY_STORAGE_S3_BUCKET")},
         {(name, BUCKET) for name in OF_BUCKET}),
    Flaw("a bucket that the policy names", both(variable("REGISTRY_STORAGE_S3_BUCKET", ""), user_may("s3:*")),
         {("lint", f"{CONTAINER}, REGISTRY_STORAGE_S3_BUCKET")}, {("every-resource", S3)}),
    Flaw("a plain parameter", parameter_of_ssm,
         {("no-execution-role", "secret /docker/secret"), ("parameter-plain", "secret /docker/secret")}),
    Flaw("a key in a secret", key_from_ssm,
         {("user-key", KEY), ("key-in-secret", KEY), ("secret-absent", "secret none"),
          ("no-execution-role", "secret none")},
         {("user-key", USER), ("secret-in-environment", CONTAINER), *WIDE}),
    Flaw("a launch configuration", launched_of_old, {("launch-configuration", "Auto Scaling group ecs")}),
    Flaw("a short key", shown(KeyAlgorithm="RSA_1024"), {("certificate-key", SHOWN)}),
    Flaw("a revoked certificate", shown(Status="REVOKED"), {("certificate-not-issued", SHOWN)}),
    Flaw("some out of service", states("elb", "describe_instance_health", "InstanceStates",
         [{"State": "InService"}, {"State": "OutOfService"}]), {("targets-some-out", ELB)}),
    Flaw("desync", classic_attributes(AdditionalAttributes=[
         {"Key": "elb.http.desyncmitigationmode", "Value": "monitor"}]), {("desync", ELB)}),
    Flaw("nothing runs", not_running, {("registries-missing", SERVICE)}, {("one-registry", SERVICE)}),
    Flaw("privileged", with_registry(privileged=True), {("privileged", CONTAINER)}),
    Flaw("processes of the node", with_task(pidMode="host"), {("host-namespaces", TASK)}),
    Flaw("the node's network", with_task(networkMode="host"), {("host-network", TASK)}),
    Flaw("a file of variables", with_registry(environmentFiles=[{"value": "arn:aws:s3:::x/y", "type": "s3"}]),
         {("environment-file", CONTAINER)}),
    Flaw("a log group that is not there", logs(),
         {("log-group-absent", "log group /docker"), ("log-blocks", CONTAINER)}, {("no-log", CONTAINER)}),
    Flaw("a log without an end", both(logs(mode="non-blocking"), lambda aws: aws.logs.create_log_group(
         logGroupName="/docker")), {("log-for-ever", "log group /docker")}, {("no-log", CONTAINER)}),
    Flaw("a secret, no execution role", with_registry(secrets=[{"name": "REGISTRY_HTTP_SECRET", "valueFrom": "none"}]),
         {("no-execution-role", "secret none"), ("secret-absent", "secret none")}),
    Flaw("a password of redis", variable("REGISTRY_REDIS", "{addr: 'cache.acme.example:6379', password: pw}"),
         {("secret-in-environment", CONTAINER), ("cache-unknown", "cache cache.acme.example"),
          ("lint", f"{CONTAINER}, REGISTRY_REDIS")}, {("secret-in-environment", CONTAINER)}),
    Flaw("a misspelt variable", variable("REGISTRY_STORAGE_S3_BUKET", "x"),
         {("lint", f"{CONTAINER}, REGISTRY_STORAGE_S3_BUKET")}),
    Flaw("agents are away", agents_away, {("agent-away", "instance i-1")}),
    Flaw("IMDSv2, two hops", metadata("required", 2), {("hop-limit", "instance i-1")}, {("imds-v1", "instance i-1")}),
    Flaw("IMDSv2", metadata("required", 1), set(), {("imds-v1", "instance i-1")}),
    Flaw("a port of the node", opened("ecs-node", 8080), {("world-to-ports", "security group ecs-node")}),
    Flaw("a port of the balancer", opened("ecs-elb", 8080), {("world-to-ports", "security group ecs-elb")}),
    Flaw("an HTTP listener", listener("HTTP", 80), {("clear-text", ELB)}),
    Flaw("a TCP listener", listener("TCP", 5000), {("clear-text", ELB)}),
    Flaw("an SSL listener", listener("SSL", 8443), {("bytes-not-http", ELB), ("tls-old", ELB),
         ("certificate-by-hand", f"{SHOWN}; certificate of {ELB}, port 8443")}, {("certificate-by-hand", SHOWN)}),
    Flaw("a check of /", check("HTTP:5000/"), set(), {("check-tcp", ELB)}),
    Flaw("a check of /v2/", check("HTTP:5000/v2/"), {("check-401", ELB)}, {("check-tcp", ELB)}),
    Flaw("TLS 1.2", modern_tls, set(), {("tls-old", ELB)}),
    Flaw("300 s", classic_attributes(ConnectionSettings={"IdleTimeout": 300}), set(), {("idle-timeout", ELB)}),
    Flaw("draining", classic_attributes(ConnectionDraining={"Enabled": True, "Timeout": 300}), set(),
         {("no-draining", ELB)}),
    Flaw("one zone", one_subnet, {("one-zone-balancer", ELB)}, {("no-cross-zone", ELB)}),
    Flaw("a balancer by hand, not attached", not_attached, set()),
    Flaw("no targets", no_targets, {("targets-out", ELB)}),
    Flaw("a certificate of IAM's", of_iam, {("certificate-ended", SHOWN)}, {("certificate-by-hand", SHOWN)}),
    Flaw("a public list", bucket("put_bucket_acl", ACL="public-read"), {("bucket-public", BUCKET)}),
    Flaw("a public policy", policy_of_bucket("*"), {("bucket-public", BUCKET)}),
    Flaw("a public policy under a condition", policy_of_bucket("*", Condition=FROM_10), set()),
    Flaw("another account", policy_of_bucket({"AWS": "arn:aws:iam::210987654321:root"}),
         {("bucket-other-accounts", BUCKET)}),
    Flaw("images expire", lifecycle({"Expiration": {"Days": 30}}), {("bucket-expires", BUCKET)}),
    Flaw("uploads end", lifecycle(DAYS_7), set(), {("bucket-uploads", BUCKET)}),
    Flaw("versions", bucket("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}),
         {("bucket-versions-stay", BUCKET)}, {("bucket-no-versions", BUCKET)}),
    Flaw("another region", variable("REGISTRY_STORAGE_S3_REGION", "us-east-1"), {("bucket-elsewhere", BUCKET)}),
    Flaw("all is allowed", user_may("*", resources="*"), {("all-allowed", S3)}, WIDE),
    Flaw("all of S3, one bucket", user_may("s3:*"), set(), {("every-resource", S3)}),
    Flaw("five actions, every bucket", user_may("s3:Get*", "s3:Put*", "s3:List*", "s3:Delete*", "s3:Abort*",
         resources="*"), set(), {("service-allowed", S3)}),
    Flaw("no actions for parts of an upload", user_may(*PARTS), {("s3-actions-missing", USER)}, WIDE),
    Flaw("another bucket", user_may("s3:GetObject", resources=["arn:aws:s3:::other/*"]),
         {("s3-nothing-allowed", USER)}, WIDE),
    Flaw("nodes may, too", may("role", stranger.NODE_ROLE, "images", "s3:GetObject",
         resources=[f"arn:aws:s3:::{stranger.BUCKET}/*"]), {("node-role-s3", f"role {stranger.NODE_ROLE}")}),
    Flaw("an old key", old_key, {("key-old", USER)}),
    Flaw("no such key", no_key, {("user-key", "the key in REGISTRY_STORAGE_S3_ACCESSKEY"),
         ("key-unknown", "the key in REGISTRY_STORAGE_S3_ACCESSKEY")}, WIDE | {("user-key", USER)}),
)  # fmt: skip


ALB, GROUP, CACHE = "load balancer registry-alb", "target group registry-targets", "cache registry-cache"
IMAGES, NODES = "bucket elastic-io-registry", "security group registry-asg"
SECRETS = "secret registry/http-secret; secret registry/htpasswd"
ALB_SHOWN = f"certificate of {ALB}, port 443"
TASK_S3, NODE_S3 = "role registry-task", "role registry-asg"
BOTH = f"{CONTAINER}; container htpasswd of registry:N"


def of_balancer(operation, **parameters):
    def change(aws):
        arn = aws.elbv2.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
        getattr(aws.elbv2, operation)(LoadBalancerArn=arn, **parameters)

    return change


def attribute(key, value):
    return of_balancer("modify_load_balancer_attributes", Attributes=[{"Key": key, "Value": value}])


def of_group(operation, **parameters):
    def change(aws):
        arn = aws.elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
        getattr(aws.elbv2, operation)(TargetGroupArn=arn, **parameters)

    return change


def of_listener(port, **parameters):
    def change(aws):
        arn = aws.elbv2.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
        there = {each["Port"]: each for each in aws.elbv2.describe_listeners(LoadBalancerArn=arn)["Listeners"]}
        aws.elbv2.modify_listener(ListenerArn=there[port]["ListenerArn"], **parameters)

    return change


def forwarded(aws):
    group = aws.elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
    of_listener(80, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}])(aws)


def cached(**changes):
    def change(aws):
        for each in elasticache.groups(aws.region):
            vars(each).update(changes)

    return change


def parameter(name, value):
    given = [{"ParameterName": name, "ParameterValue": value}]
    return lambda aws: aws.elasticache.modify_cache_parameter_group(
        CacheParameterGroupName="registry-cache", ParameterNameValues=given
    )


def policy_deleted(role):
    def change(aws):
        for name in aws.iam.list_role_policies(RoleName=role)["PolicyNames"]:
            aws.iam.delete_role_policy(RoleName=role, PolicyName=name)

    return change


def trusted(aws):
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ecs-tasks.amazonaws.com"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.iam.update_assume_role_policy(RoleName="registry-task", PolicyDocument=document)


def role_deleted(aws):
    policy_deleted("registry-task")(aws)
    aws.iam.delete_role(RoleName="registry-task")


def secret_deleted(aws):
    aws.secretsmanager.delete_secret(SecretId="registry/http-secret")


def unprotected(aws):
    [provider] = ecs_backends[ACCOUNT][aws.region].capacity_providers.values()
    provider.auto_scaling_group_provider["managedTerminationProtection"] = "DISABLED"


def log_kept(days):
    return lambda aws: aws.logs.put_retention_policy(logGroupName="/ecs/registry", retentionInDays=days)


def alone(aws):
    one = service(aws)
    one.desired_count = one.running_count = 1


def public(aws):
    service(aws).network_configuration = {"awsvpcConfiguration": {"subnets": [], "assignPublicIp": "ENABLED"}}


def network_balancer(aws):
    for each in elbv2_backends[ACCOUNT][aws.region].load_balancers.values():
        each.type = "network"


def old_secret(aws):
    backend = secretsmanager_backends[ACCOUNT][aws.region]
    backend.secrets["registry/http-secret"].last_changed_date -= 100 * 24 * 3600


NOTES_OF_PRODUCTION = {
    ("no-container-insights", "cluster registry"),
    ("image-no-digest", BOTH),
    ("node-public-ip", "instance i-1"),
    ("egress-open", NODES),
    ("no-access-logs", ALB),
    ("no-deletion-protection", ALB),
    ("bucket-no-kms", IMAGES),
    ("bucket-no-versions", IMAGES),
    ("bucket-no-log", IMAGES),
    ("cache-no-backups", CACHE),
    ("cache-no-token", CACHE),
    ("cache-one-node", CACHE),
}

OF_PRODUCTION = (
    Flaw("public addresses", public, {("task-public-ip", "service registry-scaled")}),
    Flaw("a network balancer", network_balancer, {("network-balancer", ALB)}),
    Flaw("one target out", states("elbv2", "describe_target_health", "TargetHealthDescriptions",
         [{"TargetHealth": {"State": state}} for state in ("healthy", "unhealthy", "draining")]),
         {("targets-some-out", GROUP)}),
    Flaw("all targets out", states("elbv2", "describe_target_health", "TargetHealthDescriptions",
         [{"TargetHealth": {"State": "unhealthy"}}]), {("targets-out", GROUP)}),
    Flaw("an old secret", old_secret, {("secret-old", "secret registry/http-secret")}),
    Flaw("one registry", alone, {("one-registry", "service registry-scaled")}),
    Flaw("nodes may be taken", unprotected, {("no-termination-protection", "capacity provider runbook-registry")}),
    Flaw("root", without("user"), {("root-user", CONTAINER)}),
    Flaw("a root file system", with_registry(readonlyRootFilesystem=False), {("root-writable", CONTAINER)}),
    Flaw("capabilities", without("linuxParameters"), {("capabilities", CONTAINER)}),
    Flaw("no log", without("logConfiguration"), {("no-log", CONTAINER)}),
    Flaw("a log that blocks", logs(**{"awslogs-group": "/ecs/registry"}), {("log-blocks", CONTAINER)}),
    Flaw("a log of a week", log_kept(7), {("log-short", "log group /ecs/registry")}),
    Flaw("the newest image", with_registry(image="registry:latest"),
         {("image-moves", CONTAINER), ("image-no-digest", "container htpasswd of registry:N"),
          ("lint", f"{CONTAINER}, version")}, {("image-no-digest", BOTH)}),
    Flaw("a key", variable("AWS_SECRET_ACCESS_KEY", "x"), {("secret-in-environment", CONTAINER)}),
    Flaw("IMDSv1", metadata("optional", 1), {("imds-v1", "instance i-1")}),
    Flaw("two hops", metadata("required", 2), {("hop-limit", "instance i-1")}),
    Flaw("plain volumes", volumes(False), {("volume-plain", "instance i-1")}),
    Flaw("dynamic ports for everybody", opened("registry-asg", 32768, 65535), {("world-to-registry", NODES)}),
    Flaw("SSH for everybody", opened("registry-asg", 22), {("world-to-ssh", NODES)}),
    Flaw("all ports for everybody", opened("registry-asg", 0, protocol="-1"),
         {("world-to-registry", NODES), ("world-to-ssh", NODES)}),
    Flaw("HTTP", forwarded, {("clear-text", ALB)}),
    Flaw("TLS 1.0", of_listener(443, SslPolicy="ELBSecurityPolicy-2016-08"), {("tls-old", ALB)}),
    Flaw("60 s", attribute("idle_timeout.timeout_seconds", "60"), {("idle-timeout", ALB)}),
    Flaw("invalid headers", attribute("routing.http.drop_invalid_header_fields.enabled", "false"),
         {("invalid-headers", ALB)}),
    Flaw("desync", attribute("routing.http.desync_mitigation_mode", "monitor"), {("desync", ALB)}),
    Flaw("a check of /v2/", of_group("modify_target_group", HealthCheckPath="/v2/"), {("check-401", GROUP)}),
    Flaw("a check of /v2/ that knows 401", of_group("modify_target_group", HealthCheckPath="/v2/",
         Matcher={"HttpCode": "200,400-404"}), set()),
    Flaw("no draining", of_group("modify_target_group_attributes", Attributes=[
         {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}]), {("no-draining", GROUP)}),
    Flaw("a certificate that ended", ends(PAST), {("certificate-ended", ALB_SHOWN)}),
    Flaw("a certificate that ends", ends(SOON), {("certificate-ends", ALB_SHOWN)}),
    Flaw("no block", bucket("delete_public_access_block"), {("bucket-not-blocked", IMAGES)}),
    Flaw("no policy", bucket("delete_bucket_policy"), {("bucket-no-tls-only", IMAGES)}),
    Flaw("plain objects", bucket("delete_bucket_encryption"), {("bucket-plain", IMAGES)}, {("bucket-no-kms", IMAGES)}),
    Flaw("no lifecycle", bucket("delete_bucket_lifecycle"), {("bucket-uploads", IMAGES)}),
    Flaw("access lists", bucket("delete_bucket_ownership_controls"), {("bucket-lists", IMAGES)}),
    Flaw("no permission", policy_deleted("registry-task"), {("s3-nothing-allowed", TASK_S3)}),
    Flaw("nodes may, too", may("role", "registry-asg", "x", "s3:GetObject",
         resources=["arn:aws:s3:::elastic-io-registry/*"]), {("node-role-s3", NODE_S3)}),
    Flaw("no secrets for the role", policy_deleted("registry-scaled-execution"), {("secret-denied", SECRETS)}),
    Flaw("a secret that is gone", secret_deleted, {("secret-absent", "secret registry/http-secret")}),
    Flaw("trust without a condition", trusted, {("trust-open", TASK_S3)}),
    Flaw("no role", role_deleted, {("role-absent", TASK_S3), ("s3-nothing-allowed", TASK_S3)}),
    Flaw("a plain cache", cached(at_rest=False), {("cache-plain", CACHE)}),
    Flaw("an old cache", cached(auto_minor_version_upgrade=False), {("cache-minor", CACHE)}),
    Flaw("eviction", parameter("maxmemory-policy", "volatile-lru"), {("cache-eviction", CACHE)}),
)  # fmt: skip

"""Everything that a deployment calls by a name: how somebody else's tag comes on it, and where the inventory has it."""

from typing import NamedTuple

KEY = "runbook:deployment"


class Thing(NamedTuple):
    """`called` is what NotOurs says, `step` whose it is, `name` the property of Params; `at` finds it in the inventory.

    `tagged(aws, p, name, value)` gives it the tag of another deployment, or none.
    """

    called: str
    step: str
    name: str
    at: str
    tagged: object


def _pairs(value):
    return [{"Key": KEY, "Value": value}]


def _ecs(arn_of):
    def tagged(aws, p, name, value):
        arn = arn_of(aws, p, name)
        aws.ecs.untag_resource(resourceArn=arn, tagKeys=[KEY])
        if value:
            aws.ecs.tag_resource(resourceArn=arn, tags=[{"key": KEY, "value": value}])

    return tagged


def _cluster(aws, p, name):
    return aws.ecs.describe_clusters(clusters=[name])["clusters"][0]["clusterArn"]


def _service(aws, p, name):
    return aws.ecs.describe_services(cluster=p.cluster_name, services=[name])["services"][0]["serviceArn"]


def _provider(aws, p, name):
    return aws.ecs.describe_capacity_providers(capacityProviders=[name])["capacityProviders"][0]["capacityProviderArn"]


def _revision(aws, p, name):
    return aws.ecs.describe_task_definition(taskDefinition=name)["taskDefinition"]["taskDefinitionArn"]


def _bucket(aws, p, name, value):
    aws.s3.delete_bucket_tagging(Bucket=name)
    if value:
        aws.s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": _pairs(value)})


def _iam(kind, parameter):
    def tagged(aws, p, name, value):
        getattr(aws.iam, f"untag_{kind}")(**{parameter: name}, TagKeys=[KEY])
        if value:
            getattr(aws.iam, f"tag_{kind}")(**{parameter: name}, Tags=_pairs(value))

    return tagged


_ROLE, _USER = _iam("role", "RoleName"), _iam("user", "UserName")
_PROFILE = _iam("instance_profile", "InstanceProfileName")


def _ec2(aws, resource, value):
    aws.ec2.delete_tags(Resources=[resource], Tags=[{"Key": KEY}])
    if value:
        aws.ec2.create_tags(Resources=[resource], Tags=_pairs(value))


def _group(aws, p, name, value):
    filters = [{"Name": "group-name", "Values": [name]}]
    _ec2(aws, aws.ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"], value)


def _template(aws, p, name, value):
    found = aws.ec2.describe_launch_templates(LaunchTemplateNames=[name])["LaunchTemplates"][0]
    _ec2(aws, found["LaunchTemplateId"], value)


def _scaling_group(aws, p, name, value):
    where = {"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": KEY, "PropagateAtLaunch": True}
    aws.autoscaling.delete_tags(Tags=[where])
    if value:
        aws.autoscaling.create_or_update_tags(Tags=[where | {"Value": value}])


def _cache(describe):
    def tagged(aws, p, name, value):
        found = describe(aws, name)["ARN"]
        aws.elasticache.remove_tags_from_resource(ResourceName=found, TagKeys=[KEY])
        if value:
            aws.elasticache.add_tags_to_resource(ResourceName=found, Tags=_pairs(value))

    return tagged


def _replication_group(aws, name):
    return aws.elasticache.describe_replication_groups(ReplicationGroupId=name)["ReplicationGroups"][0]


def _parameter_group(aws, name):
    return aws.elasticache.describe_cache_parameter_groups(CacheParameterGroupName=name)["CacheParameterGroups"][0]


def _subnet_group(aws, name):
    return aws.elasticache.describe_cache_subnet_groups(CacheSubnetGroupName=name)["CacheSubnetGroups"][0]


def _logs(aws, p, name, value):
    found = aws.logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"][0]["arn"].removesuffix(":*")
    aws.logs.untag_resource(resourceArn=found, tagKeys=[KEY])
    if value:
        aws.logs.tag_resource(resourceArn=found, tags={KEY: value})


def _secret(aws, p, name, value):
    aws.secretsmanager.untag_resource(SecretId=name, TagKeys=[KEY])
    if value:
        aws.secretsmanager.tag_resource(SecretId=name, Tags=_pairs(value))


def _classic(aws, p, name, value):
    aws.elb.remove_tags(LoadBalancerNames=[name], Tags=[{"Key": KEY}])
    if value:
        aws.elb.add_tags(LoadBalancerNames=[name], Tags=_pairs(value))


def _elbv2(aws, arn, value):
    aws.elbv2.remove_tags(ResourceArns=[arn], TagKeys=[KEY])
    if value:
        aws.elbv2.add_tags(ResourceArns=[arn], Tags=_pairs(value))


def _application(aws, p, name, value):
    _elbv2(aws, aws.elbv2.describe_load_balancers(Names=[name])["LoadBalancers"][0]["LoadBalancerArn"], value)


def _targets(aws, p, name, value):
    _elbv2(aws, aws.elbv2.describe_target_groups(Names=[name])["TargetGroups"][0]["TargetGroupArn"], value)


def _alarm(end):
    def tagged(aws, p, name, value):
        found = aws.cloudwatch.describe_alarms(AlarmNames=[f"{name}-{end}"])["MetricAlarms"][0]["AlarmArn"]
        aws.cloudwatch.untag_resource(ResourceARN=found, TagKeys=[KEY])
        if value:
            aws.cloudwatch.tag_resource(ResourceARN=found, Tags=_pairs(value))

    return tagged


def _record(aws, p, name, value):
    zone = aws.route53.list_hosted_zones()["HostedZones"][0]["Id"]
    mark = {"Name": f"_runbook.{name}", "Type": "TXT", "TTL": 60}
    was = mark | {"ResourceRecords": [{"Value": f'"{KEY}={p.name}"'}]}
    changes = [{"Action": "DELETE", "ResourceRecordSet": was}]
    if value:
        now = mark | {"ResourceRecords": [{"Value": f'"{KEY}={value}"'}]}
        changes.append({"Action": "CREATE", "ResourceRecordSet": now})
    aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})


_BOTH = (
    Thing("bucket {}", "bucket", "bucket", "^. s3 .*{}", _bucket),
    Thing("security group {}", "groups", "balancer_group", "ec2 .* / groups / .*{}", _group),
    Thing("security group {}", "groups", "node_group", "ec2 .* / groups / .*{}", _group),
    Thing("ECS cluster {}", "cluster", "cluster_name", "ecs .* clusters / {}", _ecs(_cluster)),
    Thing("IAM role {}", "nodes", "node_role", "iam .* roles / {}", _ROLE),
    Thing("instance profile {}", "nodes", "node_role", "iam .* instance_profiles / {}", _PROFILE),
    Thing("task definition {}", "task", "family", "ecs .* task_definitions / {}", _ecs(_revision)),
    Thing("IAM role {}", "task", "execution_role", "iam .* roles / {}", _ROLE),
    Thing("log group {}", "task", "log_group", "logs .* groups / {}", _logs),
    Thing("secret {}", "task", "http_secret", "secretsmanager .*{}", _secret),
    Thing("secret {}", "users", "htpasswd_secret", "secretsmanager .*{}", _secret),
    Thing("service {}", "service", "service_name", "ecs .* services / .*{}", _ecs(_service)),
    Thing("DNS record {}", "record", "domain", "route53 .*{}", _record),
)
BLOG = (
    *_BOTH,
    Thing("IAM user {}", "identity", "user_name", "iam .* users / {}", _USER),
    Thing("secret {}", "identity", "key_secret", "secretsmanager .*{}", _secret),
    Thing("load balancer {}", "balancer", "balancer_name", "elb .* load_balancers / {}", _classic),
)
PRODUCTION = (
    *_BOTH,
    Thing("security group {}", "groups", "cache_name", "ec2 .* / groups / .*{}", _group),
    Thing("IAM role {}", "identity", "task_role", "iam .* roles / {}", _ROLE),
    Thing("launch template {}", "nodes", "scaling_group_name", "launch_templates.*{}", _template),
    Thing("Auto Scaling group {}", "nodes", "scaling_group_name", "autoscaling .*{}", _scaling_group),
    Thing("capacity provider {}", "nodes", "capacity_provider_name", "ecs .* capacity_providers / {}", _ecs(_provider)),
    Thing("cache {}", "cache", "cache_name", "elasticache .* replication_groups / {}", _cache(_replication_group)),
    Thing(
        "ElastiCache parameter group {}", "cache", "cache_name", "elasticache .*parameter.*{}", _cache(_parameter_group)
    ),
    Thing(
        "ElastiCache subnet group {}", "cache", "cache_name", "elasticache .*subnet_groups.*{}", _cache(_subnet_group)
    ),
    Thing("load balancer {}", "balancer", "balancer_name", "elbv2 .* load_balancers / .*{}", _application),
    Thing("target group {}", "balancer", "target_group_name", "elbv2 .* target_groups / .*{}", _targets),
    *(
        Thing(f"alarm {{}}-{end}", "alarms", "name", f"cloudwatch .* alarms / {{}}-{end}", _alarm(end))
        for end in ("unhealthy-targets", "5xx-targets", "5xx-balancer", "disk")
    ),
)

"""Everything that an account holds of what this runbook could make, as one comparable mapping of names."""


def dump(aws):
    """Names by kind. Terminated instances and inactive clusters are gone, as AWS shows them for a while."""
    instances = [
        instance["InstanceId"]
        for reservation in aws.ec2.all("describe_instances", "Reservations")
        for instance in reservation["Instances"]
        if instance["State"]["Name"] != "terminated"
    ]
    clusters = aws.ecs.all("list_clusters", "clusterArns")
    active = [
        c["clusterName"] for c in aws.ecs.describe_clusters(clusters=clusters)["clusters"] if c["status"] == "ACTIVE"
    ]
    zones = aws.route53.all("list_hosted_zones", "HostedZones")
    records = [
        (zone["Name"], record["Name"], record["Type"])
        for zone in zones
        for record in aws.route53.all("list_resource_record_sets", "ResourceRecordSets", HostedZoneId=zone["Id"])
    ]
    return {
        "buckets": [b["Name"] for b in aws.s3.list_buckets()["Buckets"]],
        "users": [u["UserName"] for u in aws.iam.all("list_users", "Users")],
        "roles": [
            r["RoleName"] for r in aws.iam.all("list_roles", "Roles") if not r["Path"].startswith("/aws-service-role")
        ],
        "profiles": [i["InstanceProfileName"] for i in aws.iam.all("list_instance_profiles", "InstanceProfiles")],
        "policies": [i["PolicyName"] for i in aws.iam.all("list_policies", "Policies", Scope="Local")],
        "secrets": [s["Name"] for s in aws.secretsmanager.all("list_secrets", "SecretList")],
        "instances": instances,
        "volumes": [v["VolumeId"] for v in aws.ec2.all("describe_volumes", "Volumes")],
        "groups": sorted(g["GroupName"] for g in aws.ec2.all("describe_security_groups", "SecurityGroups")),
        "clusters": active,
        "task definitions": aws.ecs.all("list_task_definitions", "taskDefinitionArns"),
        "inactive task definitions": aws.ecs.all("list_task_definitions", "taskDefinitionArns", status="INACTIVE"),
        "log groups": [g["logGroupName"] for g in aws.logs.all("describe_log_groups", "logGroups")],
        "balancers": [
            b["LoadBalancerName"] for b in aws.elb.all("describe_load_balancers", "LoadBalancerDescriptions")
        ],
        "application balancers": [
            b["LoadBalancerName"] for b in aws.elbv2.all("describe_load_balancers", "LoadBalancers")
        ],
        "target groups": [g["TargetGroupName"] for g in aws.elbv2.all("describe_target_groups", "TargetGroups")],
        "scaling groups": [
            g["AutoScalingGroupName"] for g in aws.autoscaling.all("describe_auto_scaling_groups", "AutoScalingGroups")
        ],
        "launch templates": [
            t["LaunchTemplateName"] for t in aws.ec2.all("describe_launch_templates", "LaunchTemplates")
        ],
        "capacity providers": sorted(
            c["name"]
            for c in aws.ecs.describe_capacity_providers()["capacityProviders"]
            if not c["name"].startswith("FARGATE")
        ),
        "scalable targets": [
            t["ResourceId"]
            for t in aws.application_autoscaling.all(
                "describe_scalable_targets", "ScalableTargets", ServiceNamespace="ecs"
            )
        ],
        "scaling policies": [
            t["PolicyName"]
            for t in aws.application_autoscaling.all(
                "describe_scaling_policies", "ScalingPolicies", ServiceNamespace="ecs"
            )
        ],
        "alarms": [a["AlarmName"] for a in aws.cloudwatch.all("describe_alarms", "MetricAlarms")],
        "caches": [
            c["ReplicationGroupId"] for c in aws.elasticache.all("describe_replication_groups", "ReplicationGroups")
        ],
        "cache subnet groups": [
            g["CacheSubnetGroupName"] for g in aws.elasticache.all("describe_cache_subnet_groups", "CacheSubnetGroups")
        ],
        "certificates": [c["DomainName"] for c in aws.acm.all("list_certificates", "CertificateSummaryList")],
        "records": records,
        "parameters": [
            each["Name"]
            for each in aws.ssm.all("describe_parameters", "Parameters")
            if not each["Name"].startswith("/aws/")  # AWS's own, which moto has from the first time they are asked for
        ],
    }


def by_name(aws):
    """The same; what AWS makes up the names of by its number."""
    made_up = {"instances", "volumes", "task definitions", "parameters"}
    found = {kind: len(held) if kind in made_up else sorted(map(str, held)) for kind, held in dump(aws).items()}
    found["alarms"] = [name for name in found["alarms"] if not name.startswith("TargetTracking-")]
    del found["inactive task definitions"]  # they stay, as AWS keeps them
    return found

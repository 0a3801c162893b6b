"""What production wants, as a CloudFormation template: the form in which scanners read it. Nothing is deployed from it.

Every value is a `want_x`'s; what stands here is only where CloudFormation has another word for it, and which resource
an id would be of.
"""

import json
import re

from runbook import (
    alarms,
    application_balancer,
    auto_scaling_group,
    cache,
    capacity_provider,
    certificate,
    cluster,
    dns,
    identity,
    launching,
    log_group,
    network,
    node_role,
    scaling,
    service,
    storage,
    task,
    task_definition,
    user_data,
)

ACCOUNT = "123456789012"
_VPC, _ZONE = "vpc-0123456789abcdef0", "Z0123456789ABCDEFGHIJ"
_SUBNETS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
_DIRECTIONS = {
    "ingress": ("SecurityGroupIngress", "CidrIp", "SourceSecurityGroupId"),
    "egress": ("SecurityGroupEgress", "CidrIp", "DestinationSecurityGroupId"),
}
_RULE = re.compile(r"(?P<traffic>.+) (?:from|to) (?P<peer>\S+) \((?P<description>.*)\)")


def template(p):
    """A template of all that `p` (an Auto Scaling group and what goes with it) wants."""
    parts = (_bucket, _roles, _groups, _nodes, _cluster, _cache, _task, _service, _balancer, _record, _alarms)
    resources = {name: resource for part in parts for name, resource in part(p).items()}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def _of(kind, properties, **more):
    return {"Type": f"AWS::{kind}", "Properties": {k: v for k, v in properties.items() if v is not None}, **more}


def _tags(p):
    return [{"Key": key, "Value": value} for key, value in p.tags.items()]


def _arn(name):
    return {"Fn::GetAtt": [name, "Arn"]}


def _bucket(p):
    wanted = storage.want_bucket(p)
    properties = {
        "BucketName": wanted["Bucket"],
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": wanted["Encryption"]}]
        },
        "PublicAccessBlockConfiguration": wanted["PublicAccessBlock"],
        "OwnershipControls": {"Rules": [{"ObjectOwnership": wanted["ObjectOwnership"]}]},
        "LifecycleConfiguration": {"Rules": [_lifecycle(rule) for rule in wanted["LifecycleRules"]]},
        "Tags": _tags(p),
    }
    policy = {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": wanted["Policy"]}
    return {
        "Bucket": _of("S3::Bucket", properties, DeletionPolicy="Retain", UpdateReplacePolicy="Retain"),
        "BucketPolicy": _of("S3::BucketPolicy", policy),
    }


def _lifecycle(rule):
    same = {key: value for key, value in rule.items() if key not in ("ID", "Filter")}
    return {"Id": rule["ID"], "Prefix": rule["Filter"]["Prefix"], **same}


def roles(p):
    """What each role of the deployment is: its trust and what it may do, by the role's name."""
    wanted = [
        node_role.want_node_role(p, account=ACCOUNT),
        task.want_execution_role(p, ACCOUNT),
        identity.want_identity(p, account=ACCOUNT),
    ]
    return {role["RoleName"]: role for role in wanted}


def _roles(p):
    names = {p.node_role: "NodeRole", p.execution_role: "ExecutionRole", p.task_role: "TaskRole"}
    found = {names[name]: _role(p, role) for name, role in roles(p).items()}
    profile = {"InstanceProfileName": p.node_role, "Roles": [{"Ref": "NodeRole"}]}
    return found | {"InstanceProfile": _of("IAM::InstanceProfile", profile)}


def _role(p, role):
    inline = role["InlinePolicy"]
    properties = {
        "RoleName": role["RoleName"],
        "AssumeRolePolicyDocument": role["Trust"],
        "ManagedPolicyArns": role["ManagedPolicies"],
        "Policies": [{"PolicyName": "runbook", "PolicyDocument": inline}] if inline else None,
        "Tags": _tags(p),
    }
    return _of("IAM::Role", properties)


def _groups(p):
    """Each rule is a resource of its own: the groups name each other."""
    wanted = network.want_groups(p)
    ids = {p.balancer_group: "BalancerGroup", p.node_group: "NodeGroup", p.cache_name: "CacheGroup"}
    found = {}
    for name, ways in wanted.items():
        rules = {way: [_rule(way, rule, ids) for rule in texts] for way, texts in ways.items()}
        inline = {_DIRECTIONS[way][0]: [each for each in rules[way] if "CidrIp" in each] for way in rules}
        properties = {"GroupName": name, "GroupDescription": name, "VpcId": _VPC, "Tags": _tags(p)}
        found[ids[name]] = _of("EC2::SecurityGroup", properties | {key: each for key, each in inline.items() if each})
        for way, each in rules.items():
            for number, rule in enumerate(rule for rule in each if "CidrIp" not in rule):
                kind = "EC2::" + _DIRECTIONS[way][0]
                found[f"{ids[name]}{way.title()}{number}"] = _of(kind, {"GroupId": _group(ids[name]), **rule})
    return found


def _group(name):
    return {"Fn::GetAtt": [name, "GroupId"]}


def _rule(way, text, ids):
    rule = _RULE.fullmatch(text)
    _, network_key, group_key = _DIRECTIONS[way]
    peer = {group_key: _group(ids[rule["peer"]])} if rule["peer"] in ids else {network_key: rule["peer"]}
    if rule["traffic"] == "all":
        return {"IpProtocol": "-1", "Description": rule["description"], **peer}
    protocol, ports = rule["traffic"].split()
    first, _, last = ports.partition("-")
    ports = {"FromPort": int(first), "ToPort": int(last or first)}
    return {"IpProtocol": protocol, **ports, "Description": rule["description"], **peer}


def _nodes(p):
    group = auto_scaling_group.want(p)
    tags = [{"Key": "Name", "Value": p.scaling_group_name}, *_tags(p)]
    data = {
        "ImageId": f"{{{{resolve:ssm:{launching.AMI_PARAMETER}}}}}",
        "InstanceType": p.instance_type,
        "UserData": {"Fn::Base64": str(user_data.user_data(p))},
        "IamInstanceProfile": {"Arn": _arn("InstanceProfile")},
        "SecurityGroupIds": [_group("NodeGroup")],
        "MetadataOptions": launching.metadata(p),
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": launching.VOLUME}],
        "Monitoring": {"Enabled": False},
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
    }
    least, _, most = group["size"].partition(" to ")
    scaled = {
        "AutoScalingGroupName": p.scaling_group_name,
        "MinSize": least,
        "MaxSize": most,
        "VPCZoneIdentifier": _SUBNETS,
        "LaunchTemplate": {
            "LaunchTemplateId": {"Ref": "LaunchTemplate"},
            "Version": {"Fn::GetAtt": ["LaunchTemplate", "LatestVersionNumber"]},
        },
        "HealthCheckType": group["health check"],
        "NewInstancesProtectedFromScaleIn": group["new instances"] == "protected from scale-in",
        "Tags": [tag | {"PropagateAtLaunch": True} for tag in tags],
    }
    return {
        "LaunchTemplate": _of(
            "EC2::LaunchTemplate", {"LaunchTemplateName": p.scaling_group_name, "LaunchTemplateData": data}
        ),
        "NodesGroup": _of("AutoScaling::AutoScalingGroup", scaled),
    }


def _cluster(p):
    wanted = cluster.want_cluster(p)
    settings = [{"Name": "containerInsights", "Value": wanted["containerInsights"]}]
    words = capacity_provider._SETTINGS
    provider = {
        "AutoScalingGroupArn": {"Ref": "NodesGroup"},
        "ManagedScaling": _capitals(words["managedScaling"]),
        **_capitals({key: value for key, value in words.items() if key != "managedScaling"}),
    }
    use = {
        "Cluster": {"Ref": "Cluster"},
        "CapacityProviders": [{"Ref": "CapacityProvider"}],
        "DefaultCapacityProviderStrategy": [{"CapacityProvider": {"Ref": "CapacityProvider"}, "Weight": 1}],
    }
    return {
        "Cluster": _of(
            "ECS::Cluster",
            {"ClusterName": wanted["clusterName"], "ClusterSettings": settings, "Tags": _tags(p)},
        ),
        "CapacityProvider": _of(
            "ECS::CapacityProvider",
            {"Name": p.capacity_provider_name, "AutoScalingGroupProvider": provider, "Tags": _tags(p)},
        ),
        "CapacityProviders": _of("ECS::ClusterCapacityProviderAssociations", use),
    }


def _cache(p):
    wanted = cache.want_cache(p)
    if "ReplicationGroupId" not in wanted:
        return {}
    same = "ReplicationGroupId Engine CacheNodeType TransitEncryptionEnabled AtRestEncryptionEnabled"
    same += " AutoMinorVersionUpgrade SnapshotRetentionLimit"
    properties = {key: wanted[key] for key in same.split()} | {
        "ReplicationGroupDescription": p.cache_name,
        "EngineVersion": cache._VERSION,
        "NumCacheClusters": wanted["Nodes"],
        "AutomaticFailoverEnabled": wanted["AutomaticFailover"] == "enabled",
        "SecurityGroupIds": [_group("CacheGroup")],
        "CacheParameterGroupName": {"Ref": "CacheParameters"},
        "CacheSubnetGroupName": {"Ref": "CacheSubnets"},
        "Tags": _tags(p),
    }
    parameters = {
        "CacheParameterGroupFamily": wanted["ParameterGroupFamily"],
        "Description": wanted["ParameterGroup"],
        "Properties": wanted["Parameters"],
    }
    subnets = {"CacheSubnetGroupName": wanted["SubnetGroup"], "Description": p.cache_name, "SubnetIds": _SUBNETS}
    return {
        "Cache": _of("ElastiCache::ReplicationGroup", properties),
        "CacheParameters": _of("ElastiCache::ParameterGroup", parameters),
        "CacheSubnets": _of("ElastiCache::SubnetGroup", subnets),
    }


def _task(p):
    wanted = json.loads(json.dumps(task_definition.want_task(p)))
    secrets = {name: f"Secret{number}" for number, name in enumerate(task_definition.secret_names(p))}
    for container in wanted["containerDefinitions"]:
        for secret in container["secrets"]:
            name, _, key = secret["valueFrom"].removeprefix("secretsmanager:").partition(":")
            arn = {"Ref": secrets[name]}
            secret["valueFrom"] = {"Fn::Join": ["", [arn, f":{key}::"]]} if key else arn
    properties = _capitals(wanted) | {"ExecutionRoleArn": _arn("ExecutionRole"), "Tags": _tags(p)}
    if "taskRoleArn" in wanted:
        properties["TaskRoleArn"] = _arn("TaskRole")
    log = log_group.want_log_group(p)
    log = {"LogGroupName": log["logGroupName"], "RetentionInDays": log["retentionInDays"], "Tags": _tags(p)}
    found = {"TaskDefinition": _of("ECS::TaskDefinition", properties), "Log": _of("Logs::LogGroup", log)}
    return found | {
        logical: _of("SecretsManager::Secret", {"Name": name, "Tags": _tags(p)}) for name, logical in secrets.items()
    }


def _capitals(value, parent=""):
    """CloudFormation's spelling of ECS's words; the driver's own options keep theirs."""
    if isinstance(value, list):
        return [_capitals(each) for each in value]
    if (
        not isinstance(value, dict)
        or parent == "options"
        or any(key.startswith("Fn::") or key == "Ref" for key in value)
    ):
        return value
    return {key[0].upper() + key[1:]: _capitals(each, key) for key, each in value.items()}


def _service(p):
    wanted = dict(service.want_service(p))
    left = {key: wanted.pop(key) for key in ("taskDefinition", "cluster", "placementStrategy", "enableECSManagedTags")}
    properties = _capitals(wanted) | {
        "Cluster": {"Ref": "Cluster"},
        "TaskDefinition": {"Ref": "TaskDefinition"},
        "EnableECSManagedTags": left["enableECSManagedTags"],
        "PlacementStrategies": _capitals(left["placementStrategy"]),
        "LoadBalancers": [
            {"TargetGroupArn": {"Ref": "TargetGroup"}, "ContainerName": p.container_name, "ContainerPort": p.port}
        ],
        "Tags": _tags(p),
    }
    bounds = scaling.want_scaling(p)
    target = {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": bounds["ResourceId"],
        "MinCapacity": bounds["MinCapacity"],
        "MaxCapacity": bounds["MaxCapacity"],
    }
    return {
        "Service": _of("ECS::Service", properties, DependsOn=["Listener443", "CapacityProviders"]),
        "Scaling": _of("ApplicationAutoScaling::ScalableTarget", target, DependsOn=["Service"]),
    }


def _balancer(p):
    wanted = application_balancer.want_balancer(p)
    group = wanted["TargetGroup"]
    properties = {
        "Name": wanted["LoadBalancerName"],
        "Type": wanted["Type"],
        "Scheme": wanted["Scheme"],
        "Subnets": _SUBNETS,
        "SecurityGroups": [_group("BalancerGroup")],
        "LoadBalancerAttributes": _pairs(wanted["Attributes"]),
        "Tags": _tags(p),
    }
    targets = {
        "Name": group["TargetGroupName"],
        "VpcId": _VPC,
        "TargetGroupAttributes": _pairs(group["Attributes"]),
        "Tags": _tags(p),
        **{key: group[key] for key in ("TargetType", "Protocol", "Port")},
        **group["HealthCheck"],
    }
    key = certificate.want_certificate(p)
    issued = {"DomainName": key["Domain"], "ValidationMethod": "DNS", "Tags": _tags(p)}
    found = {
        "Balancer": _of("ElasticLoadBalancingV2::LoadBalancer", properties),
        "TargetGroup": _of("ElasticLoadBalancingV2::TargetGroup", targets),
        "Certificate": _of("CertificateManager::Certificate", issued),
    }
    for port, listener in wanted["Listeners"].items():
        found[f"Listener{port}"] = _of("ElasticLoadBalancingV2::Listener", _listener(port, listener))
    return found


def _listener(port, wanted):
    encrypted = "Certificate" in wanted
    forward = {"Type": "forward", "TargetGroupArn": {"Ref": "TargetGroup"}}
    actions = [forward if each["Type"] == "forward" else each for each in wanted["DefaultActions"]]
    return {
        "LoadBalancerArn": {"Ref": "Balancer"},
        "Port": int(port),
        "Protocol": wanted["Protocol"],
        "DefaultActions": actions,
        "SslPolicy": wanted["TlsPolicy"] if encrypted else None,
        "Certificates": [{"CertificateArn": {"Ref": "Certificate"}}] if encrypted else None,
    }


def _pairs(attributes):
    return [{"Key": key, "Value": value} for key, value in attributes.items()]


def _record(p):
    wanted = dns.want_record(p)
    alias = {
        "DNSName": {"Fn::GetAtt": ["Balancer", "DNSName"]},
        "HostedZoneId": {"Fn::GetAtt": ["Balancer", "CanonicalHostedZoneID"]},
        "EvaluateTargetHealth": wanted["EvaluateTargetHealth"],
    }
    properties = {"HostedZoneId": _ZONE, "Name": wanted["Name"], "Type": wanted["Type"], "AliasTarget": alias}
    return {"Record": _of("Route53::RecordSet", properties)}


def _alarms(p):
    names = {
        f"load balancer {p.balancer_name}": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]},
        f"target group {p.target_group_name}": {"Fn::GetAtt": ["TargetGroup", "TargetGroupFullName"]},
        p.scaling_group_name: {"Ref": "NodesGroup"},
    }
    found = {}
    for number, (name, alarm) in enumerate(alarms.want_alarms(p).items()):
        dimensions = [{"Name": key, "Value": names[value]} for key, value in alarm["Dimensions"].items()]
        found[f"Alarm{number}"] = _of("CloudWatch::Alarm", alarm | {"AlarmName": name, "Dimensions": dimensions})
    return found

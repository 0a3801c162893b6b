"""What a request asks of IAM: which actions, on which resources, with which of the keys that conditions look at.

Source: the Service Authorization Reference, "Actions, resources, and condition keys for …". A resource that the call
is about to make has the id `new`.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from moto.acm.models import acm_backends
from moto.autoscaling.models import autoscaling_backends
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.responses import BaseResponse
from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from . import dispatch
from .policies import Context, many

PARTITION = "aws"
PREFIXES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}

# "Actions, resources, and condition keys for Amazon S3": where an action is not called like its operation.
S3_ACTIONS = {
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteObjects": "DeleteObject",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}

_ECS_CLUSTER = (("cluster", "cluster/{}"), ("clusterName", "cluster/{}"), ("clusters", "cluster/{}"))
# Of each service its parameters that name a resource, and the end of the ARN: the first that a call has counts.
NAMED: dict[str, tuple[tuple[str, str], ...]] = {
    "acm": (("CertificateArn", "{}"),),
    "autoscaling": (("AutoScalingGroupName", "autoScalingGroup:new:autoScalingGroupName/{}"),),
    "cloudwatch": (("AlarmName", "alarm:{}"), ("AlarmNames", "alarm:{}"), ("ResourceARN", "{}")),
    "ec2": (
        *(("GroupId", "security-group/{}"), ("InstanceId", "instance/{}"), ("InstanceIds", "instance/{}")),
        *(("LaunchTemplateName", "launch-template/{}"), ("LaunchTemplateId", "launch-template/{}")),
    ),
    "ecs": (
        *(("containerInstance", "container-instance/{cluster}/{}"),),
        *(("containerInstances", "container-instance/{cluster}/{}"),),
        *(("tasks", "task/{cluster}/{}"), ("taskDefinitions", "task-definition/{}")),
        *(("service", "service/{cluster}/{}"), ("services", "service/{cluster}/{}")),
        *(("serviceName", "service/{cluster}/{}"), ("capacityProvider", "capacity-provider/{}")),
        *(("resourceArn", "{}"), *_ECS_CLUSTER),
        *(("capacityProviders", "capacity-provider/{}"), ("name", "capacity-provider/{}")),
    ),
    "elasticache": (
        *(("ReplicationGroupId", "replicationgroup:{}"), ("CacheClusterId", "cluster:{}")),
        *(("CacheParameterGroupName", "parametergroup:{}"), ("CacheSubnetGroupName", "subnetgroup:{}")),
        ("ResourceName", "{}"),
    ),
    "elb": (("LoadBalancerName", "loadbalancer/{}"),),
    "elbv2": (
        *(("ListenerArn", "{}"), ("LoadBalancerArn", "{}"), ("TargetGroupArn", "{}"), ("RuleArn", "{}")),
        *(("ResourceArns", "{}"),),
    ),
    "iam": (
        *(("InstanceProfileName", "instance-profile/{}"), ("RoleName", "role/{}"), ("UserName", "user/{}")),
        *(("GroupName", "group/{}"), ("PolicyArn", "{}"), ("PolicyName", "policy/{}")),
    ),
    "logs": (("logGroupName", "log-group:{}"), ("resourceArn", "{}")),
    "route53": (("HostedZoneId", "hostedzone/{}"), ("Id", "change/{}")),
    "secretsmanager": (("SecretId", "secret:{}-new000"), ("Name", "secret:{}-new000")),
    "sns": (("TopicArn", "{}"), ("Name", "{}")),
    "ssm": (("Name", "parameter/{}"), ("Names", "parameter/{}"), ("Path", "parameter/{}")),
}
# Without a region in the ARN, and without an account.
GLOBAL = ("iam", "route53")
OF_NOBODY = ("route53",)
# Operations whose action AWS lets be given for all resources only, though a parameter names one.
WHOLE = {
    "acm": r"List(?!Tags)\w+|RequestCertificate",
    "application-autoscaling": r"Describe\w+",
    "autoscaling": r"Describe\w+",
    "cloudwatch": r"DescribeAlarms",
    "ec2": r"Describe\w+",
    "ecs": r"ListServices|ListTasks|ListTaskDefinitions|\w+TaskDefinition",
    "elb": r"Describe\w+",
    "elbv2": r"Describe\w+",
    "logs": r"DescribeLogGroups",
    "route53": r"ListHostedZonesByName|CreateHostedZone",
    "secretsmanager": r"ListSecrets",
    "ssm": r"DescribeInstanceInformation|\w+Invocations?",
}
# The action that a call with tags needs, too.
TAGGING = {
    "acm": "acm:AddTagsToCertificate",
    "application-autoscaling": "application-autoscaling:TagResource",
    "autoscaling": "autoscaling:CreateOrUpdateTags",
    "cloudwatch": "cloudwatch:TagResource",
    "ecs": "ecs:TagResource",
    "elasticache": "elasticache:AddTagsToResource",
    "elb": "elasticloadbalancing:AddTags",
    "elbv2": "elasticloadbalancing:AddTags",
    "logs": "logs:TagResource",
    "secretsmanager": "secretsmanager:TagResource",
    "ssm": "ssm:AddTagsToResource",
}
TAGGED_BY_IAM = {"instance-profile": "TagInstanceProfile", "policy": "TagPolicy", "role": "TagRole", "user": "TagUser"}


class Asked(NamedTuple):
    """One thing that must be allowed."""

    action: str
    resource: str
    context: Context


def asked(response: BaseResponse, request, operation: str | None) -> Iterator[Asked]:
    """All that a request needs; nothing for what needs no permission at all (sts:GetCallerIdentity)."""
    service = response.service_name
    if service == "s3":
        yield from _of_s3(response, request, operation)
        return
    if (service, operation) == ("sts", "GetCallerIdentity"):
        return
    prefix, region = PREFIXES.get(service, service), response.region
    if operation is None:
        yield Asked(f"{prefix}:*", "*", {})
        return
    params = dispatch.parameters(response, request, operation)
    tags = _tags(params)
    context = _request_tags(tags) | _keys(service, operation, params)
    if service == "ec2" and operation in ("RunInstances", "CreateTags", "CreateSecurityGroup", "CreateLaunchTemplate"):
        yield from _of_ec2(operation, params, region, context)
        return
    for resource in _resources(service, operation, params, region):
        yield Asked(f"{prefix}:{operation}", resource, context | _resource_tags(resource, region))
        if tags:
            kind = resource.rpartition(":")[2].partition("/")[0]
            action = f"iam:{TAGGED_BY_IAM.get(kind)}" if service == "iam" else TAGGING.get(service)
            if action:
                # A service's own keys are not known to its tagging actions.
                yield Asked(action, _new(service, operation, params, resource, region), _request_tags(tags))
    for role, to in _passed(service, operation, params, region):
        yield Asked("iam:PassRole", role, {"iam:passedtoservice": to})
    if service == "autoscaling" and params.get("LaunchTemplate"):
        yield from _launch(params["LaunchTemplate"], region)


def arn(service: str, region: str, end: str) -> str:
    """The ARN of this account's resource."""
    where = "" if service in GLOBAL else region
    return f"arn:{PARTITION}:{PREFIXES.get(service, service)}:{where}:{'' if service in OF_NOBODY else ACCOUNT}:{end}"


def _resources(service: str, operation: str, params: dict, region: str) -> list[str]:
    if re.fullmatch(WHOLE.get(service, ""), operation):
        return ["*"]
    if service == "application-autoscaling":
        return [arn(service, region, "scalable-target/new")]
    if (service, operation) == ("elbv2", "CreateLoadBalancer"):
        return [arn(service, region, f"loadbalancer/app/{params['Name']}/new")]
    if (service, operation) == ("elbv2", "CreateTargetGroup"):
        return [arn(service, region, f"targetgroup/{params['Name']}/new")]
    if (service, operation) == ("acm", "ImportCertificate"):
        return [params.get("CertificateArn") or arn(service, region, "certificate/new")]
    if (service, operation) == ("iam", "CreateServiceLinkedRole"):
        return [arn(service, region, f"role/aws-service-role/{params['AWSServiceName']}/new")]
    if (service, operation) == ("ssm", "SendCommand"):
        document = f"arn:{PARTITION}:ssm:{region}::document/{params['DocumentName']}"
        return [document, *(arn("ec2", region, f"instance/{each}") for each in params.get("InstanceIds", []))]
    if (service, operation) == ("logs", "GetLogEvents"):
        return [arn(service, region, f"log-group:{params['logGroupName']}:log-stream:{params['logStreamName']}")]
    if service == "autoscaling" and "AutoScalingGroupName" not in params:
        return [arn(service, region, f"autoScalingGroup:new:autoScalingGroupName/{_group(params, region)}")]
    if (service, operation) == ("ecs", "DeregisterContainerInstance"):
        return _named("ecs", _ECS_CLUSTER, params, region)
    if (service, operation) == ("ecs", "PutClusterCapacityProviders"):
        return _named("ecs", _ECS_CLUSTER, params, region)
    if (service, operation) in (("elasticache", "CreateReplicationGroup"), ("elasticache", "ModifyReplicationGroup")):
        each = [_named(service, (one,), params, region) for one in NAMED["elasticache"]]
        return [one for found in each for one in found if one != "*"]
    if (service, operation) == ("elb", "DescribeTags"):
        return ["*"]
    return _named(service, NAMED.get(service, ()), params, region)


def _new(service: str, operation: str, params: dict, resource: str, region: str) -> str:
    """What gets the tags of a call, where that is not the resource of the call."""
    if (service, operation) == ("elbv2", "CreateListener"):
        return resource.replace(":loadbalancer/", ":listener/") + "/new"
    if (service, operation) == ("ecs", "RegisterTaskDefinition"):
        return arn(service, region, f"task-definition/{params['family']}:new")
    if (service, operation) == ("acm", "RequestCertificate"):
        return arn(service, region, "certificate/new")
    return resource


def _named(service: str, names: tuple[tuple[str, str], ...], params: dict, region: str) -> list[str]:
    for name, end in names:
        if params.get(name):
            values = [str(each) for each in many(params[name])]
            return [_arn_of(service, end, value, params, region) for value in values]
    return ["*"]


def _arn_of(service: str, end: str, value: str, params: dict, region: str) -> str:
    if value.startswith("arn:"):
        return value
    if service == "elasticache":
        value = value.lower()
    if end.startswith("launch-template/"):
        template = ec2_backends[ACCOUNT][region].launch_template_name_to_ids
        value = template.get(value, value)
    if end == "role/{}":
        roles = list(iam_backends[ACCOUNT][PARTITION].roles.values())
        return next((role.arn for role in roles if role.name == value), arn(service, region, f"role/{value}"))
    value = value.split("/")[-1] if service in ("ecs", "route53") else value.removeprefix("/")
    if service == "logs":
        value = str(params["logGroupName"])
    cluster = str(params.get("cluster") or "default").split("/")[-1]
    return arn(service, region, end.replace("{cluster}", cluster).replace("{}", value))


def _group(params: dict, region: str) -> str:
    """The Auto Scaling group of a call that names an instance, or tags."""
    tags = params.get("Tags") or [{}]
    if "ResourceId" in tags[0]:
        return tags[0]["ResourceId"]
    for group in list(autoscaling_backends[ACCOUNT][region].autoscaling_groups.values()):
        if any(each.instance.id == params.get("InstanceId") for each in group.instance_states):
            return group.name
    return "none"


# the keys of conditions


def _tags(params: dict) -> dict[str, str]:
    given = params.get("Tags") or params.get("tags") or []
    if isinstance(given, dict):
        return given if all(isinstance(each, str) for each in given.values()) else {}
    pairs = [{key.lower(): value for key, value in each.items()} for each in given]
    return {each["key"]: each.get("value", "") for each in pairs if "key" in each}


def _request_tags(tags: dict[str, str]) -> dict:
    return {f"aws:requesttag/{key.lower()}": value for key, value in tags.items()}


def _resource_tags(resource: str, region: str) -> dict:
    """Where our policies look at them: EC2's things, and certificates."""
    name, tags = resource.rpartition("/")[2], {}
    if ":ec2:" in resource:
        tags = ec2_backends[ACCOUNT][region].tags.get(name, {})
    elif ":acm:" in resource and resource in acm_backends[ACCOUNT][region]._certificates:
        tags = acm_backends[ACCOUNT][region]._certificates[resource].tags
    found = {f"aws:resourcetag/{key.lower()}": value or "" for key, value in tags.items()}
    return found | {key.replace("aws:", "ssm:", 1): value for key, value in found.items()}


def _keys(service: str, operation: str, params: dict) -> dict:
    """Condition keys of one service."""
    if service == "iam" and "PolicyArn" in params:
        return {"iam:policyarn": params["PolicyArn"]}
    if service == "iam" and "AWSServiceName" in params:
        return {"iam:awsservicename": params["AWSServiceName"]}
    if service == "application-autoscaling":
        return {"application-autoscaling:service-namespace": params.get("ServiceNamespace", "")}
    if (service, operation) == ("route53", "ChangeResourceRecordSets"):
        names = [each["ResourceRecordSet"]["Name"] for each in params["ChangeBatch"]["Changes"]]
        plain = [name.lower().rstrip(".") for name in names]
        return {"route53:changeresourcerecordsetsnormalizedrecordnames": plain}
    return {}


# roles that a call hands to a service


def _passed(service: str, operation: str, params: dict, region: str) -> Iterator[tuple[str, str]]:
    """(role ARN, service): "Granting a user permissions to pass a role to an AWS service"."""
    if (service, operation) == ("ecs", "RegisterTaskDefinition"):
        for key in ("taskRoleArn", "executionRoleArn"):
            if role := params.get(key):
                yield role if role.startswith("arn:") else arn("iam", region, f"role/{role}"), "ecs-tasks.amazonaws.com"
    if (service, operation) == ("iam", "AddRoleToInstanceProfile"):
        yield arn("iam", region, f"role/{params['RoleName']}"), "ec2.amazonaws.com"
    if service == "ec2" and params.get("IamInstanceProfile"):
        yield from _of_profile(params["IamInstanceProfile"])


def _of_profile(named: dict) -> Iterator[tuple[str, str]]:
    for profile in list(iam_backends[ACCOUNT][PARTITION].instance_profiles.values()):
        if named.get("Name") == profile.name or named.get("Arn") == profile.arn:
            yield from ((role.arn, "ec2.amazonaws.com") for role in profile.roles)


def _launch(named: dict, region: str) -> Iterator[Asked]:
    """An Auto Scaling group of a launch template: its maker must be allowed to launch such instances.

    "Identity-based policies for Amazon EC2 Auto Scaling", "Launch template support".
    """
    backend = ec2_backends[ACCOUNT][region]
    found = named.get("LaunchTemplateId") or backend.launch_template_name_to_ids.get(named.get("LaunchTemplateName"))
    template = backend.launch_templates.get(found)
    if template is None:
        return
    data = dict(template.latest_version().data)
    asked = {"launch-template": template.id, "TagSpecification": data.get("TagSpecifications", [])}
    yield from _of_ec2("RunInstances", data | asked, region, {})


def _of_ec2(operation: str, params: dict, region: str, context: dict) -> Iterator[Asked]:
    """Operations on several kinds of things, with tags for each: "Grant permission to tag … during creation"."""
    specifications = params.get("TagSpecifications") or params.get("TagSpecification") or []
    tags = {each["ResourceType"]: _request_tags(_tags(each)) for each in many(specifications)}
    action = f"ec2:{operation}"
    for end in _ends(operation, params):
        resource = arn("ec2", region, end)
        if end.startswith("image/"):
            resource = f"arn:{PARTITION}:ec2:{region}::{end}"
        more = tags.get(end.partition("/")[0], {}) | _resource_tags(resource, region)
        yield Asked(action, resource, context | more)
    for kind, sent in tags.items():
        yield Asked("ec2:CreateTags", arn("ec2", region, f"{kind}/new"), {**sent, "ec2:createaction": operation})
    if operation == "RunInstances":
        for role, to in _of_profile(params.get("IamInstanceProfile") or {}):
            yield Asked("iam:PassRole", role, {"iam:passedtoservice": to})
        image = params.get("ImageId", "")
        if image.startswith("resolve:ssm:"):
            name = image.removeprefix("resolve:ssm:").lstrip("/")
            yield Asked("ssm:GetParameters", arn("ssm", region, f"parameter/{name}"), {})


# In the ARN of an EC2 thing, by how its id begins.
KINDS = {"i": "instance", "lt": "launch-template", "sg": "security-group", "subnet": "subnet", "vol": "volume"}


def _ends(operation: str, params: dict) -> Iterator[str]:
    if operation == "CreateTags":
        for each in params["Resources"]:
            yield f"{KINDS.get(each.partition('-')[0], 'other')}/{each}"
    elif operation == "CreateSecurityGroup":
        yield "security-group/new"
        yield f"vpc/{params.get('VpcId', 'default')}"
    elif operation == "CreateLaunchTemplate":
        yield "launch-template/new"
    else:
        yield from ("instance/new", "network-interface/new", "volume/new")
        yield f"image/{params.get('ImageId', 'new')}"
        yield from (f"security-group/{each}" for each in params.get("SecurityGroupIds", []))
        yield f"subnet/{params.get('SubnetId', 'new')}"
        if template := params.get("launch-template"):
            yield f"launch-template/{template}"


def _of_s3(response: BaseResponse, request, operation: str | None) -> Iterator[Asked]:
    if operation is None:
        yield Asked("s3:*", "*", {})
        return
    action = f"s3:{S3_ACTIONS.get(operation, operation)}"
    bucket, key = (response.uri_match.get(name) for name in ("Bucket", "Key"))
    here = f"arn:{PARTITION}:s3:::{bucket}" if bucket else "*"
    if operation == "DeleteObjects":
        sent = dispatch.parameters(response, request, operation)
        for each in sent["Delete"]["Objects"]:
            yield Asked("s3:DeleteObjectVersion" if "VersionId" in each else action, f"{here}/{each['Key']}", {})
        return
    if operation == "CreateBucket" and request.headers.get("x-amz-object-ownership"):
        yield Asked("s3:PutBucketOwnershipControls", here, {})
    source = request.headers.get("x-amz-copy-source")
    if source:
        yield Asked("s3:GetObject", f"arn:{PARTITION}:s3:::{unquote(source).lstrip('/').partition('?')[0]}", {})
    yield Asked(action, f"{here}/{key}" if key else here, {})

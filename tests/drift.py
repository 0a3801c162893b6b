"""What a person may change by hand of each managed setting, what the plan then says, and what a run writes to mend it.

A row says the deployments that have the setting; how a person changes it, with boto3's own calls; the difference that
the plan names, as `title | field: now → wanted` (or without what is now and wanted, where that is long); and the
operations that the next run may call. `{p.…}` are the params.
"""

import base64
import copy
import fnmatch
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from passlib.hash import bcrypt
from test_imported_certificate import write

from runbook import task_definition

BOTH, BLOG, PRODUCTION = ("blog", "production"), ("blog",), ("production",)
BUCKET = "bucket {p.bucket}"
USER = "IAM user {p.user_name}"
GROUPS = "security groups"
CLUSTER = "ECS cluster {p.cluster_name}"
CACHE = "cache {p.cache_name}"
TASK = "task definition {p.family}"
SERVICE = "service {p.service_name}"
CERTIFICATE = "certificate of {p.domain}"
BALANCER = "load balancer {p.balancer_name}"
TARGETS = "targets of {p.balancer_name}"
SCALING = "scaling of {p.service_name}"
RECORD = "DNS record {p.domain}"
TEAM = {"team": "someone else"}
TEAM_LIST, TEAM_SMALL = [{"Key": "team", "Value": "someone else"}], [{"key": "team", "value": "someone else"}]
OTHERS = [{"Key": "cost-center", "Value": "7"}]
_ROWS = []


class Row(NamedTuple):
    name: str
    of: tuple[str, ...]
    change: Callable
    named: tuple[str, ...]
    writes: tuple[str, ...]
    refused: str | None = None
    kept: Callable | None = None


def row(of, *named, writes="", refused=None, kept=None, name=None):
    """The function below it changes the setting."""

    def take(change):
        found = Row(name or change.__name__.strip("_").replace("_", " "), of, change, named, (), refused, kept)
        _ROWS.append(found._replace(writes=tuple(part.strip() for part in writes.split(",") if part.strip())))
        return change

    return take


def rows(which, p):
    """The rows of one deployment."""
    return [each for each in [*_ROWS, *_task_rows(p), *_alarm_rows(p)] if which in each.of]


def filled(named, p):
    return named.format(p=p)


def field(named):
    """Title and field."""
    title, _, rest = named.partition(" | ")
    return title, rest.partition(": ")[0]


def is_named(named, seen):
    title, _, wanted = named.partition(" | ")
    return title == seen[0] and (wanted == seen[1] or ("→" not in wanted and seen[1].startswith(f"{wanted}: ")))


def is_excepted(each, excepted):
    title, name = each
    return any(t in (title, "*") and fnmatch.fnmatchcase(name, f) for t, f in excepted)


# bucket


@row(BOTH, f"{BUCKET} | Encryption.SSEAlgorithm: aws:kms → AES256", writes="s3 PutBucketEncryption")
def bucket_encryption(aws, p):
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
    aws.s3.put_bucket_encryption(Bucket=p.bucket, ServerSideEncryptionConfiguration={"Rules": rules})


_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
for _block in _BLOCKS:

    @row(
        BOTH,
        f"{BUCKET} | PublicAccessBlock.{_block}: false → true",
        writes="s3 PutPublicAccessBlock",
        name=f"bucket {_block}",
    )
    def _(aws, p, block=_block):
        flags = dict.fromkeys(_BLOCKS, True) | {block: False}
        aws.s3.put_public_access_block(Bucket=p.bucket, PublicAccessBlockConfiguration=flags)


@row(
    BOTH,
    *(f"{BUCKET} | PublicAccessBlock.{block}: absent → true" for block in _BLOCKS),
    writes="s3 PutPublicAccessBlock",
)
def bucket_public_access_block_deleted(aws, p):
    aws.s3.delete_public_access_block(Bucket=p.bucket)


@row(
    BOTH,
    f"{BUCKET} | ObjectOwnership: ObjectWriter → BucketOwnerEnforced",
    writes="s3 PutBucketOwnershipControls",
)
def bucket_ownership(aws, p):
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    aws.s3.put_bucket_ownership_controls(Bucket=p.bucket, OwnershipControls=rules)


def _bucket_policy(aws, p, change):
    policy = json.loads(aws.s3.get_bucket_policy(Bucket=p.bucket)["Policy"])
    change(policy)
    aws.s3.put_bucket_policy(Bucket=p.bucket, Policy=json.dumps(policy))


@row(BOTH, f"{BUCKET} | Policy.Statement", writes="s3 PutBucketPolicy")
def bucket_policy_with_a_statement_more(aws, p):
    more = {
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{p.bucket}/*",
    }
    _bucket_policy(aws, p, lambda policy: policy["Statement"].append(more))


@row(BOTH, f"{BUCKET} | Policy.Version: 2008-10-17 → 2012-10-17", writes="s3 PutBucketPolicy")
def bucket_policy_version(aws, p):
    _bucket_policy(aws, p, lambda policy: policy.update(Version="2008-10-17"))


@row(BOTH, f"{BUCKET} | Policy.Version", f"{BUCKET} | Policy.Statement", writes="s3 PutBucketPolicy")
def bucket_policy_deleted(aws, p):
    aws.s3.delete_bucket_policy(Bucket=p.bucket)


@row(BOTH, f"{BUCKET} | LifecycleRules", writes="s3 PutBucketLifecycleConfiguration")
def bucket_lifecycle_rule_that_expires_images(aws, p):
    rules = aws.s3.get_bucket_lifecycle_configuration(Bucket=p.bucket)["Rules"]
    rules.append({"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}})
    aws.s3.put_bucket_lifecycle_configuration(Bucket=p.bucket, LifecycleConfiguration={"Rules": rules})


@row(BOTH, f"{BUCKET} | LifecycleRules", writes="s3 PutBucketLifecycleConfiguration")
def bucket_lifecycle_deleted(aws, p):
    aws.s3.delete_bucket_lifecycle(Bucket=p.bucket)


@row(BOTH, f"{BUCKET} | Tags.team: someone else → platform", writes="s3 PutBucketTagging")
def bucket_tag(aws, p):
    tags = [{"Key": "runbook:deployment", "Value": p.name}, *TEAM_LIST]
    aws.s3.put_bucket_tagging(Bucket=p.bucket, Tagging={"TagSet": tags})


def _bucket_tags(aws, p):
    return aws.s3.get_bucket_tagging(Bucket=p.bucket)["TagSet"]


@row(
    BOTH,
    f"{BUCKET} | Tags.team: absent → platform",
    writes="s3 PutBucketTagging",
    kept=lambda a, p: OTHERS[0] in _bucket_tags(a, p),
)
def bucket_tag_taken_away_and_one_of_theirs_added(aws, p):
    tags = [{"Key": "runbook:deployment", "Value": p.name}, *OTHERS]
    aws.s3.put_bucket_tagging(Bucket=p.bucket, Tagging={"TagSet": tags})


# user


_TO_THE_TASK = "ecs RegisterTaskDefinition, ecs UpdateService, ecs DeregisterTaskDefinition"


def _iam_policy(statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


_EVERYTHING = [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]


@row(BLOG, f"{USER} | Policy.Statement", writes="iam PutUserPolicy")
def user_policy(aws, p):
    aws.iam.put_user_policy(UserName=p.user_name, PolicyName="runbook", PolicyDocument=_iam_policy(_EVERYTHING))


@row(BLOG, f"{USER} | Policy.Version", f"{USER} | Policy.Statement", writes="iam PutUserPolicy")
def user_policy_deleted(aws, p):
    aws.iam.delete_user_policy(UserName=p.user_name, PolicyName="runbook")


@row(BLOG, f"{USER} | Added.inline policy theirs: there → absent", writes="iam DeleteUserPolicy")
def user_inline_policy_more(aws, p):
    aws.iam.put_user_policy(UserName=p.user_name, PolicyName="theirs", PolicyDocument=_iam_policy(_EVERYTHING))


_FULL = "arn:aws:iam::aws:policy/AmazonEC2FullAccess"


@row(BLOG, f"{USER} | Added.policy {_FULL}: attached → absent", writes="iam DetachUserPolicy")
def user_managed_policy_more(aws, p):
    aws.iam.attach_user_policy(UserName=p.user_name, PolicyArn=_FULL)


@row(BLOG, f"{USER} | Added.group theirs: a member → absent", refused="is in the IAM group theirs")
def user_in_a_group(aws, p):
    aws.iam.create_group(GroupName="theirs")
    aws.iam.add_user_to_group(GroupName="theirs", UserName=p.user_name)


_KEPT = "stored in secretsmanager:{p.key_secret}"


@row(BLOG, f"{USER} | AccessKey: {_KEPT}, and another key beside it → {_KEPT}", writes="iam DeleteAccessKey")
def user_key_more(aws, p):
    aws.iam.create_access_key(UserName=p.user_name)


def _key_id(aws, p):
    return aws.iam.list_access_keys(UserName=p.user_name)["AccessKeyMetadata"][0]["AccessKeyId"]


@row(
    BLOG,
    f"{USER} | AccessKey: not stored → {_KEPT}",
    writes=f"iam CreateAccessKey, secretsmanager PutSecretValue, {_TO_THE_TASK}",
)
def user_key_deleted(aws, p):
    aws.iam.delete_access_key(UserName=p.user_name, AccessKeyId=_key_id(aws, p))


@row(BLOG, f"{USER} | AccessKey: {_KEPT}, inactive → {_KEPT}", refused="its access key was made inactive")
def user_key_made_inactive(aws, p):
    aws.iam.update_access_key(UserName=p.user_name, AccessKeyId=_key_id(aws, p), Status="Inactive")


@row(BLOG, f"{USER} | Tags.team: someone else → platform", writes="iam TagUser")
def user_tag(aws, p):
    aws.iam.tag_user(UserName=p.user_name, Tags=TEAM_LIST)


@row(BOTH, kept=lambda aws, p: OTHERS[0] in aws.iam.list_role_tags(RoleName=p.execution_role)["Tags"])
def tag_of_theirs_on_a_role_is_left_alone(aws, p):
    aws.iam.tag_role(RoleName=p.execution_role, Tags=OTHERS)


# roles: of the task, of the nodes, of ECS itself


_ROLES = {
    "task_role": (PRODUCTION, "IAM role {p.task_role} | "),
    "node_role": (BOTH, "nodes | IAM role {p.node_role} "),
    "execution_role": (BOTH, f"{TASK} | execution role."),
}


def _trust(aws, name, change):
    trust = aws.iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    change(trust)
    aws.iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))


for _role, (_of, _where) in _ROLES.items():

    @row(_of, f"{_where}Trust.Statement", writes="iam UpdateAssumeRolePolicy", name=f"{_role} trust")
    def _(aws, p, role=_role):
        more = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        _trust(aws, getattr(p, role), lambda trust: trust["Statement"].append(more))

    @row(_of, f"{_where}ManagedPolicies", writes="iam DetachRolePolicy", name=f"{_role} managed policy more")
    def _(aws, p, role=_role):
        aws.iam.attach_role_policy(RoleName=getattr(p, role), PolicyArn=_FULL)

    @row(
        _of,
        f"{_where}Added.inline policy theirs: there → absent",
        writes="iam DeleteRolePolicy",
        name=f"{_role} inline policy more",
    )
    def _(aws, p, role=_role):
        document = _iam_policy(_EVERYTHING)
        aws.iam.put_role_policy(RoleName=getattr(p, role), PolicyName="theirs", PolicyDocument=document)

    @row(_of, f"{_where}Tags.team: someone else → platform", writes="iam TagRole", name=f"{_role} tag")
    def _(aws, p, role=_role):
        aws.iam.tag_role(RoleName=getattr(p, role), Tags=TEAM_LIST)


for _role, (_of, _where) in {**_ROLES, "node_role": (BLOG, _ROLES["node_role"][1])}.items():

    @row(_of, f"{_where}InlinePolicy.Statement", writes="iam PutRolePolicy", name=f"{_role} inline policy")
    def _(aws, p, role=_role):
        document = _iam_policy(_EVERYTHING)
        aws.iam.put_role_policy(RoleName=getattr(p, role), PolicyName="runbook", PolicyDocument=document)

    @row(
        _of,
        f"{_where}InlinePolicy.Version",
        f"{_where}InlinePolicy.Statement",
        writes="iam PutRolePolicy",
        name=f"{_role} inline policy deleted",
    )
    def _(aws, p, role=_role):
        aws.iam.delete_role_policy(RoleName=getattr(p, role), PolicyName="runbook")


@row(PRODUCTION, "nodes | IAM role {p.node_role} InlinePolicy", writes="iam DeleteRolePolicy")
def node_role_with_an_inline_policy_of_our_name(aws, p):
    aws.iam.put_role_policy(RoleName=p.node_role, PolicyName="runbook", PolicyDocument=_iam_policy(_EVERYTHING))


@row(BOTH, "nodes | IAM role {p.node_role} ManagedPolicies", writes="iam AttachRolePolicy")
def node_role_without_a_managed_policy(aws, p):
    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    aws.iam.detach_role_policy(RoleName=p.node_role, PolicyArn=arn)


@row(BOTH, "nodes | instance profile {p.node_role}", writes="iam AddRoleToInstanceProfile")
def instance_profile_without_its_role(aws, p):
    aws.iam.remove_role_from_instance_profile(InstanceProfileName=p.node_role, RoleName=p.node_role)


@row(
    BOTH,
    "nodes | instance profile {p.node_role}",
    writes="iam RemoveRoleFromInstanceProfile, iam AddRoleToInstanceProfile",
)
def instance_profile_with_another_role(aws, p):
    instance_profile_without_its_role(aws, p)
    aws.iam.add_role_to_instance_profile(InstanceProfileName=p.node_role, RoleName=p.execution_role)


@row(BOTH, "nodes | instance profile {p.node_role} Tags.team", writes="iam TagInstanceProfile")
def instance_profile_tag(aws, p):
    aws.iam.tag_instance_profile(InstanceProfileName=p.node_role, Tags=TEAM_LIST)


# security groups


def _group(aws, name):
    filters = [{"Name": "group-name", "Values": [name]}]
    return aws.ec2.describe_security_groups(Filters=filters)["SecurityGroups"][0]


_ANY = [{"IpProtocol": "tcp", "FromPort": 9999, "ToPort": 9999, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
for _name, _of in (("balancer_group", BOTH), ("node_group", BOTH), ("cache_name", PRODUCTION)):
    for _way in ("ingress", "egress"):

        @row(
            _of,
            f"{GROUPS} | {{p.{_name}}}.{_way}",
            writes=f"ec2 RevokeSecurityGroup{_way.title()}",
            name=f"{_name} {_way} rule more",
        )
        def _(aws, p, name=_name, way=_way):
            group = _group(aws, getattr(p, name))["GroupId"]
            getattr(aws.ec2, f"authorize_security_group_{way}")(GroupId=group, IpPermissions=_ANY)

        if (_name, _way) == ("cache_name", "egress"):
            continue  # it has none that could go

        @row(
            _of,
            f"{GROUPS} | {{p.{_name}}}.{_way}",
            writes=f"ec2 AuthorizeSecurityGroup{_way.title()}",
            name=f"{_name} {_way} rule less",
        )
        def _(aws, p, name=_name, way=_way):
            group = _group(aws, getattr(p, name))
            rule = group["IpPermissions" if way == "ingress" else "IpPermissionsEgress"][0]
            getattr(aws.ec2, f"revoke_security_group_{way}")(GroupId=group["GroupId"], IpPermissions=[rule])

    @row(
        _of,
        f"{GROUPS} | {{p.{_name}}}.Tags.team: someone else → platform",
        writes="ec2 CreateTags",
        name=f"{_name} tag",
    )
    def _(aws, p, name=_name):
        aws.ec2.create_tags(Resources=[_group(aws, getattr(p, name))["GroupId"]], Tags=TEAM_LIST)


@row(
    BOTH,
    f"{GROUPS} | {{p.node_group}}.ingress",
    "nodes | port 22: {p.node_group} → closed to the world",
    writes="ec2 RevokeSecurityGroupIngress",
)
def ssh_for_the_world(aws, p):
    rule = _ANY[0] | {"FromPort": 22, "ToPort": 22}
    aws.ec2.authorize_security_group_ingress(GroupId=_group(aws, p.node_group)["GroupId"], IpPermissions=[rule])


@row(
    BOTH,
    f"{GROUPS} | {{p.balancer_group}}.ingress",
    writes="ec2 RevokeSecurityGroupIngress, ec2 AuthorizeSecurityGroupIngress",
)
def description_of_a_rule(aws, p):
    group = _group(aws, p.balancer_group)
    rule = next(each for each in group["IpPermissions"] if each["FromPort"] == 443)
    aws.ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
    rule["IpRanges"][0]["Description"] = "someone's"
    aws.ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])


# cluster


def _cluster_arn(aws, p):
    return aws.ecs.describe_clusters(clusters=[p.cluster_name])["clusters"][0]["clusterArn"]


@row(PRODUCTION, f"{CLUSTER} | containerInsights: enabled → disabled", writes="ecs UpdateCluster")
def container_insights(aws, p):
    aws.ecs.update_cluster(cluster=p.cluster_name, settings=[{"name": "containerInsights", "value": "enabled"}])


@row(BOTH, f"{CLUSTER} | Tags.team: someone else → platform", writes="ecs TagResource")
def cluster_tag(aws, p):
    aws.ecs.tag_resource(resourceArn=_cluster_arn(aws, p), tags=TEAM_SMALL)


# nodes: a fixed number


def _node(aws, p):
    filters = [
        {"Name": "tag:runbook:deployment", "Values": [p.name]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    return aws.ec2.describe_instances(Filters=filters)["Reservations"][0]["Instances"][0]["InstanceId"]


@row(BLOG, "nodes | {p.name}-node-1.cluster: draining → {p.cluster_name}", writes="ecs UpdateContainerInstancesState")
def node_drained(aws, p):
    _drain_one(aws, p)


def _drain_one(aws, p):
    arns = aws.ecs.list_container_instances(cluster=p.cluster_name)["containerInstanceArns"][:1]
    aws.ecs.update_container_instances_state(cluster=p.cluster_name, containerInstances=arns, status="DRAINING")


@row(BLOG, "nodes | {p.name}-node-1.groups", writes="ec2 ModifyInstanceAttribute")
def node_in_another_group(aws, p):
    other = _group(aws, "default")["GroupId"]
    aws.ec2.modify_instance_attribute(InstanceId=_node(aws, p), Groups=[other])


@row(
    BLOG,
    "nodes | {p.name}-node-1.profile: absent → {p.node_role}",
    writes="ec2 AssociateIamInstanceProfile",
)
def node_without_its_profile(aws, p):
    found = aws.ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    aws.ec2.disassociate_iam_instance_profile(AssociationId=found[0]["AssociationId"])


@row(
    BLOG,
    "nodes | {p.name}-node-1.metadata: enabled, IMDSv1 too, hop limit 1 → enabled, IMDSv2 only, hop limit 1",
    writes="ec2 ModifyInstanceMetadataOptions",
)
def node_with_imdsv1(aws, p):
    options = {"HttpEndpoint": "enabled", "HttpTokens": "optional", "HttpPutResponseHopLimit": 1}
    aws.ec2.modify_instance_metadata_options(InstanceId=_node(aws, p), **options)


@row(BLOG, "nodes | {p.name}-node-1.Tags.team: someone else → platform", writes="ec2 CreateTags")
def node_tag(aws, p):
    aws.ec2.create_tags(Resources=[_node(aws, p)], Tags=TEAM_LIST)


_A_NEW_NODE = (
    "ecs UpdateContainerInstancesState, ec2 TerminateInstances, ec2 RunInstances, ssm SendCommand, "
    "ec2 CreateTags, elb RegisterInstancesWithLoadBalancer, elb DeregisterInstancesFromLoadBalancer"
)


def _stopped(aws, p, **attribute):
    node = _node(aws, p)
    aws.ec2.stop_instances(InstanceIds=[node])
    aws.ec2.modify_instance_attribute(InstanceId=node, **attribute)
    aws.ec2.start_instances(InstanceIds=[node])


@row(
    BLOG,
    "nodes | {p.name}-node-1.type: t3.large → {p.instance_type}",
    "nodes | {p.name}-node-1.instance",
    writes=_A_NEW_NODE,
)
def node_of_another_type(aws, p):
    _stopped(aws, p, InstanceType={"Value": "t3.large"})


@row(
    BLOG,
    "nodes | {p.name}-node-1.user data",
    "nodes | {p.name}-node-1.instance",
    writes=_A_NEW_NODE,
)
def node_of_other_user_data(aws, p):
    found = aws.ec2.describe_instance_attribute(InstanceId=_node(aws, p), Attribute="userData")["UserData"]["Value"]
    more = base64.b64decode(found) + b"echo theirs\n"
    _stopped(aws, p, UserData={"Value": base64.b64encode(more)})


@row(BLOG, 'nodes | surplus: ["{p.name}-node-7"] → []', writes="ec2 TerminateInstances")
def node_more(aws, p):
    tags = [{"Key": "runbook:deployment", "Value": p.name}, {"Key": "Name", "Value": f"{p.name}-node-7"}]
    image = aws.ec2.describe_instances(InstanceIds=[_node(aws, p)])["Reservations"][0]["Instances"][0]["ImageId"]
    specification = [{"ResourceType": "instance", "Tags": tags}]
    aws.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=specification)


# nodes: an Auto Scaling group


def _version(aws, p, change):
    asked = {"LaunchTemplateName": p.scaling_group_name}
    versions = aws.ec2.describe_launch_template_versions(**asked)["LaunchTemplateVersions"]
    data = copy.deepcopy(max(versions, key=lambda each: each["VersionNumber"])["LaunchTemplateData"])
    change(data)
    aws.ec2.create_launch_template_version(**asked, LaunchTemplateData=data)


def _tag_kind(data, kind, key):
    tags = next(each["Tags"] for each in data["TagSpecifications"] if each["ResourceType"] == kind)
    next(tag for tag in tags if tag["Key"] == key)["Value"] = "someone else"


_TEMPLATE = {
    "image": lambda data: data.update(ImageId="ami-12c6146b"),
    "type": lambda data: data.update(InstanceType="t3.large"),
    "user data": lambda data: data.update(UserData="IyEvYmluL3NoCg=="),
    "profile": lambda data: data.update(IamInstanceProfile={"Name": "theirs"}),
    "groups": lambda data: data.update(SecurityGroupIds=[]),
    "metadata": lambda data: data["MetadataOptions"].update(HttpTokens="optional"),
    "root volume": lambda data: data["BlockDeviceMappings"][0]["Ebs"].update(Encrypted=False),
    "key pair": lambda data: data.update(KeyName="theirs"),
    "detailed monitoring": lambda data: data.update(Monitoring={"Enabled": True}),
    **{
        f"tags.{kind}.{key}": lambda data, kind=kind, key=key: _tag_kind(data, kind, key)
        for kind in ("instance", "volume")
        for key in ("Name", "runbook:deployment", "team")
    },
}
for _field, _change in _TEMPLATE.items():

    @row(
        PRODUCTION,
        f"nodes | launch template.{_field}",
        writes="ec2 CreateLaunchTemplateVersion",
        name=f"launch template {_field}",
    )
    def _(aws, p, change=_change):
        _version(aws, p, change)


@row(PRODUCTION, "nodes | launch template.Tags.team: someone else → platform", writes="ec2 CreateTags")
def launch_template_tag(aws, p):
    found = aws.ec2.describe_launch_templates(LaunchTemplateNames=[p.scaling_group_name])["LaunchTemplates"][0]
    aws.ec2.create_tags(Resources=[found["LaunchTemplateId"]], Tags=TEAM_LIST)


_SCALING_GROUP = {
    "size": {"MinSize": 1},
    "size ": {"MaxSize": 9},
    "subnets": {},
    "health check": {"HealthCheckType": "ELB"},
    "new instances": {"NewInstancesProtectedFromScaleIn": False},
}
for _field, _change in _SCALING_GROUP.items():

    @row(
        PRODUCTION,
        f"nodes | group.{_field.strip()}",
        writes="autoscaling UpdateAutoScalingGroup",
        name=f"Auto Scaling group {_field} {''.join(_change)}",
    )
    def _(aws, p, change=_change):
        if not change:
            found = aws.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[p.scaling_group_name])
            change = {"VPCZoneIdentifier": found["AutoScalingGroups"][0]["VPCZoneIdentifier"].rpartition(",")[0]}
        aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=p.scaling_group_name, **change)


@row(PRODUCTION, "nodes | group.launches", writes="autoscaling UpdateAutoScalingGroup")
def auto_scaling_group_launches_an_older_version(aws, p):
    template = {"LaunchTemplateName": p.scaling_group_name, "Version": "1"}
    aws.autoscaling.update_auto_scaling_group(AutoScalingGroupName=p.scaling_group_name, LaunchTemplate=template)


for _key in ("Name", "team"):

    @row(
        PRODUCTION,
        f"nodes | group.tags.{_key}",
        writes="autoscaling CreateOrUpdateTags",
        name=f"Auto Scaling group tag {_key}",
    )
    def _(aws, p, key=_key):
        of = {"ResourceId": p.scaling_group_name, "ResourceType": "auto-scaling-group"}
        tag = {"Key": key, "Value": "someone else", "PropagateAtLaunch": True, **of}
        aws.autoscaling.create_or_update_tags(Tags=[tag])


_PROVIDER = {
    "managed scaling": {"managedScaling": {"status": "ENABLED", "targetCapacity": 50}},
    "managed termination protection": {"managedTerminationProtection": "DISABLED"},
    "managed draining": {"managedDraining": "DISABLED"},
}
for _field, _change in _PROVIDER.items():

    @row(
        PRODUCTION,
        f"nodes | capacity provider.{_field}",
        writes="ecs UpdateCapacityProvider",
        name=f"capacity provider {_field}",
    )
    def _(aws, p, change=_change):
        aws.ecs.update_capacity_provider(name=p.capacity_provider_name, autoScalingGroupProvider=change)


@row(PRODUCTION, "nodes | capacity provider.Tags.team: someone else → platform", writes="ecs TagResource")
def capacity_provider_tag(aws, p):
    found = aws.ecs.describe_capacity_providers(capacityProviders=[p.capacity_provider_name])["capacityProviders"]
    aws.ecs.tag_resource(resourceArn=found[0]["capacityProviderArn"], tags=TEAM_SMALL)


def _providers(aws, p, names, strategy):
    aws.ecs.put_cluster_capacity_providers(
        cluster=p.cluster_name,
        capacityProviders=names,
        defaultCapacityProviderStrategy=[{"capacityProvider": each, "weight": 1, "base": 0} for each in strategy],
    )


@row(PRODUCTION, "nodes | capacity provider.of the cluster", writes="ecs PutClusterCapacityProviders")
def capacity_provider_more_for_the_cluster(aws, p):
    _providers(aws, p, [p.capacity_provider_name, "FARGATE"], [p.capacity_provider_name])


@row(PRODUCTION, "nodes | capacity provider.default strategy", writes="ecs PutClusterCapacityProviders")
def capacity_provider_no_longer_the_default(aws, p):
    _providers(aws, p, [p.capacity_provider_name], [])


@row(PRODUCTION, "nodes | draining", "nodes | nodes", "nodes | zones", writes="ecs UpdateContainerInstancesState")
def scaling_node_drained(aws, p):
    _drain_one(aws, p)


# cache


def _cache(aws, p, **change):
    aws.elasticache.modify_replication_group(ReplicationGroupId=p.cache_name, ApplyImmediately=True, **change)


_CACHE = {
    "CacheNodeType": {"CacheNodeType": "cache.t4g.medium"},
    "AutoMinorVersionUpgrade": {"AutoMinorVersionUpgrade": False},
    "SnapshotRetentionLimit": {"SnapshotRetentionLimit": 5},
    "ParameterGroup": {"CacheParameterGroupName": "default.valkey8"},
}
for _field, _change in _CACHE.items():

    @row(
        PRODUCTION,
        f"{CACHE} | {_field}",
        writes="elasticache ModifyReplicationGroup",
        name=f"cache {_field}",
    )
    def _(aws, p, change=_change):
        _cache(aws, p, **change)


@row(PRODUCTION, f"{CACHE} | SecurityGroups", writes="elasticache ModifyReplicationGroup")
def cache_in_another_group(aws, p):
    _cache(aws, p, SecurityGroupIds=[_group(aws, "default")["GroupId"]])


@row(
    PRODUCTION,
    f"{CACHE} | Parameters.maxmemory-policy: noeviction → allkeys-lru",
    writes="elasticache ModifyCacheParameterGroup",
)
def cache_parameter(aws, p):
    pair = {"ParameterName": "maxmemory-policy", "ParameterValue": "noeviction"}
    aws.elasticache.modify_cache_parameter_group(CacheParameterGroupName=p.cache_name, ParameterNameValues=[pair])


@row(PRODUCTION, f"{CACHE} | Subnets: other subnets → those of the nodes", writes="elasticache ModifyCacheSubnetGroup")
def cache_subnets(aws, p):
    found = aws.elasticache.describe_cache_subnet_groups(CacheSubnetGroupName=p.cache_name)["CacheSubnetGroups"][0]
    fewer = [each["SubnetIdentifier"] for each in found["Subnets"]][:-1]
    aws.elasticache.modify_cache_subnet_group(CacheSubnetGroupName=p.cache_name, SubnetIds=fewer)


_CACHE_THINGS = {
    "Tags": ("describe_replication_groups", "ReplicationGroups", "ReplicationGroupId"),
    "GroupTags.parameter group.Tags": (
        "describe_cache_parameter_groups",
        "CacheParameterGroups",
        "CacheParameterGroupName",
    ),
    "GroupTags.subnet group.Tags": ("describe_cache_subnet_groups", "CacheSubnetGroups", "CacheSubnetGroupName"),
}
for _field, _change in _CACHE_THINGS.items():

    @row(
        PRODUCTION,
        f"{CACHE} | {_field}.team: someone else → platform",
        writes="elasticache AddTagsToResource",
        name=f"cache {_field}",
    )
    def _(aws, p, call=_change):
        operation, key, name = call
        arn = getattr(aws.elasticache, operation)(**{name: p.cache_name})[key][0]["ARN"]
        aws.elasticache.add_tags_to_resource(ResourceName=arn, Tags=TEAM_LIST)


# task: the secrets, the log group, the revisions


for _secret, _of, _where in (
    ("key_secret", BLOG, USER),
    ("http_secret", BOTH, TASK),
    ("htpasswd_secret", BLOG, "users"),
    ("htpasswd_secret ", PRODUCTION, TASK),
):

    @row(
        _of,
        f"{_where} | Secrets.{{p.{_secret.strip()}}}.Tags.team: someone else → platform",
        writes="secretsmanager TagResource",
        name=f"tag of {_secret}",
    )
    def _(aws, p, secret=_secret):
        aws.secretsmanager.tag_resource(SecretId=getattr(p, secret.strip()), Tags=TEAM_LIST)


for _user in ("testuser", "builder"):

    @row(
        BOTH,
        f"users | Secrets.{{p.name}}/users/{_user}.Tags.team: someone else → platform",
        writes="secretsmanager TagResource",
        name=f"tag of the password of {_user}",
    )
    def _(aws, p, user=_user):
        aws.secretsmanager.tag_resource(SecretId=p.password_secret(user), Tags=TEAM_LIST)


_HTTP = f"{TASK} | container.registry.secrets.REGISTRY_HTTP_SECRET"
_WORD = "secretsmanager:{p.http_secret}"


@row(
    BOTH,
    f"{TASK} | http secret.Name: absent → {{p.http_secret}}",
    f"{_HTTP}: {_WORD} (a former secret of that name) → {_WORD}",
    writes="secretsmanager RestoreSecret",
)
def http_secret_scheduled_for_deletion(aws, p):
    aws.secretsmanager.delete_secret(SecretId=p.http_secret)


@row(BOTH, f"{_HTTP}: {_WORD} (an older version) → {_WORD}", writes=_TO_THE_TASK)
def http_secret_of_someone(aws, p):
    aws.secretsmanager.put_secret_value(SecretId=p.http_secret, SecretString="someone's")


@row(BOTH, f"{TASK} | log group.retentionInDays: 3 → {{p.log_retention}}", writes="logs PutRetentionPolicy")
def log_retention(aws, p):
    aws.logs.put_retention_policy(logGroupName=p.log_group, retentionInDays=3)


@row(BOTH, f"{TASK} | log group.retentionInDays: absent → {{p.log_retention}}", writes="logs PutRetentionPolicy")
def log_retention_for_ever(aws, p):
    aws.logs.delete_retention_policy(logGroupName=p.log_group)


@row(BOTH, f"{TASK} | log group.Tags.team: someone else → platform", writes="logs TagResource")
def log_group_tag(aws, p):
    arn = aws.logs.describe_log_groups(logGroupNamePrefix=p.log_group)["logGroups"][0]["arn"].removesuffix(":*")
    aws.logs.tag_resource(resourceArn=arn, tags=TEAM)


def _revision(aws, p):
    arn = aws.ecs.list_task_definitions(familyPrefix=p.family, sort="DESC")["taskDefinitionArns"][0]
    found = aws.ecs.describe_task_definition(taskDefinition=arn, include=["TAGS"])
    return found["taskDefinition"], found["tags"]


def _register(aws, p, change):
    found, tags = _revision(aws, p)
    kept = ("family", "networkMode", "containerDefinitions", "volumes", "requiresCompatibilities", "executionRoleArn")
    task = {key: found[key] for key in (*kept, "taskRoleArn") if key in found}
    task = copy.deepcopy(task)
    change(task)
    return aws.ecs.register_task_definition(**task, tags=tags)["taskDefinition"]["taskDefinitionArn"]


@row(BOTH, f"{TASK} | Tags.team: someone else → platform", writes="ecs TagResource")
def task_definition_tag(aws, p):
    aws.ecs.tag_resource(resourceArn=_revision(aws, p)[0]["taskDefinitionArn"], tags=TEAM_SMALL)


_OLDER = f"{SERVICE} | taskDefinition: an older revision of {{p.family}} → {{p.family}}"


@row(BOTH, _OLDER, writes="ecs UpdateService, ecs DeregisterTaskDefinition")
def revision_more_of_the_same(aws, p):
    _register(aws, p, lambda task: task)


@row(
    BOTH,
    f"{TASK} | surplus ACTIVE revisions: 1 → 0",
    "former pieces | older revisions of the task definition: still there → absent",
    writes="ecs DeregisterTaskDefinition",
)
def revision_in_between(aws, p):
    """Registered by hand before the newest one, which is used."""
    arn = _register(aws, p, lambda task: task)
    newest = _register(aws, p, lambda task: task)
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, taskDefinition=newest)
    first = aws.ecs.list_task_definitions(familyPrefix=p.family)["taskDefinitionArns"][0]
    assert arn != first
    aws.ecs.deregister_task_definition(taskDefinition=first)


def _task_rows(p):
    """One for each leaf of the task definition that is wanted: somebody registers a revision with another value."""
    wanted = task_definition._by_name(task_definition.want_task(p))
    writes = ("ecs RegisterTaskDefinition", "ecs UpdateService", *["ecs DeregisterTaskDefinition"] * 2)
    for name, container in wanted["container"].items():
        for kind in ("environment", "secrets"):
            for variable in [*container[kind], "THEIRS"]:
                where = f"container.{name}.{kind}.{variable}"
                yield _task_row(where, writes, name, _variable(kind, variable))
        for where, value in _OF_CONTAINER(name, container):
            yield _task_row(f"container.{name}.{where}", writes, name, _replaced(where, value))
    yield _task_row("networkMode", writes, None, lambda task: task.update(networkMode="host"))
    yield _task_row("requiresCompatibilities", writes, None, lambda t: t.update(requiresCompatibilities=[]))
    for role in ("executionRoleArn", *(["taskRoleArn"] if p.credentials == "task-role" else [])):
        yield _task_row(role, writes, None, lambda t, role=role: t.update({role: "arn:aws:iam::123456789012:role/x"}))
    yield _task_row("volume.theirs", writes, None, lambda t: t["volumes"].append({"name": "theirs", "host": {}}))
    volume = wanted["volume"]["auth"]
    for key in volume:
        yield _task_row(f"volume.auth.{key}", writes, None, _volume(key))
    yield _task_row(
        "container.theirs",
        writes,
        None,
        lambda t: t["containerDefinitions"].append(
            {"name": "theirs", "image": "x", "memory": 9, "cpu": 1, "essential": False}
        ),
    )


def _task_row(where, writes, container, change):
    def register(aws, p):
        def changed(task):
            if container is None:
                change(task)
            else:
                change(next(each for each in task["containerDefinitions"] if each["name"] == container))

        _register(aws, p, changed)

    return Row(f"task definition {where}", BOTH, register, (f"{TASK} | {where}", _OLDER), writes)


def _variable(kind, name):
    value = "value" if kind == "environment" else "valueFrom"
    other = "someone's" if kind == "environment" else "arn:aws:ssm:eu-central-1:123456789012:parameter/theirs"

    def change(container):
        others = [each for each in container.get(kind, []) if each["name"] != name]
        container[kind] = [*others, {"name": name, value: other}]

    return change


def _volume(key):
    def change(task):
        (volume,) = task["volumes"]
        if key == "sourcePath":
            volume["host"] = {"sourcePath": "/tmp"}
        else:
            other = {"scope": "shared", "driver": "theirs"}[key]
            volume["dockerVolumeConfiguration"] = volume["dockerVolumeConfiguration"] | {key: other}

    return change


_OTHER = {str: "theirs", int: 77, bool: None, list: ["theirs"]}


def _OF_CONTAINER(name, container):
    """The other leaves, each with another value."""
    special = {
        "portMappings": [{"hostPort": 80, "containerPort": 80, "protocol": "tcp"}],
        "mountPoints": [{"containerPath": "/theirs", "sourceVolume": "auth", "readOnly": True}],
        "volumesFrom": [{"sourceContainer": name, "readOnly": True}],
        "dependsOn": [],
        "memory": 700,
        "memoryReservation": 99,
        "image": "registry:2.7",
    }
    for key, value in container.items():
        if key in ("environment", "secrets", "name"):
            continue
        if key == "logConfiguration":
            yield "logConfiguration.logDriver", "json-file"
            for option in value["options"]:
                yield f"logConfiguration.options.{option}", "theirs"
        elif key == "linuxParameters":
            yield "linuxParameters.capabilities.drop", []
        elif key in special:
            yield key, special[key]
        else:
            yield key, (not value) if isinstance(value, bool) else _OTHER[type(value)]


def _replaced(where, value):
    def change(container):
        *path, last = where.split(".", 1) if not where.startswith("logConfiguration.options") else where.split(".", 2)
        place = container
        for key in path:
            place = place[key]
        if last == "capabilities.drop":
            place["capabilities"] = {"drop": value}
        else:
            place[last] = value

    return change


# users


def _lines(aws, p, change):
    found = aws.secretsmanager.get_secret_value(SecretId=p.htpasswd_secret)["SecretString"]
    lines = dict(line.split(":", 1) for line in found.splitlines())
    change(lines)
    text = "\n".join(f"{user}:{line}" for user, line in lines.items())
    aws.secretsmanager.put_secret_value(SecretId=p.htpasswd_secret, SecretString=text)


_BY_NODES = ("users | Nodes.{p.name}-node-1: older version → current",)
_BY_TASKS = (f"{SERVICE} | users: an older version → the current version",)
_NODES_WRITE = "ssm SendCommand, ec2 CreateTags"
_TASKS_WRITE = "ecs UpdateService, ecs TagResource"
_OTHER_LINE = "$2y$05$bKZWdrxxNAUopDEfEP0XfuLxGGYxwykNlh0sFnV0nVdqCVPEAl3c2"
_LINES = {
    "more": (("users | UserNames",), lambda lines: lines.update(theirs=_OTHER_LINE)),
    "less": (
        ("users | UserNames", "users | Users.builder.Password", "users | Users.builder.Cost"),
        lambda lines: lines.pop("builder"),
    ),
    **{
        f"of {user} with another password": (
            (f"users | Users.{user}.Password: another password → generate",),
            lambda lines, user=user: lines.update({user: _OTHER_LINE}),
        )
        for user in ("testuser", "builder")
    },
}
for _name, (_named, _change) in _LINES.items():
    for _of, _where, _writes in ((BLOG, _BY_NODES, _NODES_WRITE), (PRODUCTION, _BY_TASKS, _TASKS_WRITE)):

        @row(_of, *_named, *_where, writes=f"secretsmanager PutSecretValue, {_writes}", name=f"htpasswd line {_name}")
        def _(aws, p, change=_change):
            _lines(aws, p, change)


for _user in ("testuser", "builder"):
    for _of, _where, _writes in ((BLOG, _BY_NODES, _NODES_WRITE), (PRODUCTION, _BY_TASKS, _TASKS_WRITE)):

        @row(
            _of,
            f"users | Users.{_user}.Cost: 6 → 5",
            *_where,
            writes=f"secretsmanager PutSecretValue, {_writes}",
            name=f"htpasswd line of {_user} with another cost",
        )
        def _(aws, p, user=_user):
            password = aws.secretsmanager.get_secret_value(SecretId=p.password_secret(user))["SecretString"]
            line = bcrypt.using(ident="2y", rounds=6).hash(password)
            _lines(aws, p, lambda lines: lines.update({user: line}))


for _of, _writes in ((BLOG, _NODES_WRITE), (PRODUCTION, _TASKS_WRITE)):

    @row(
        _of,
        "users | Users.testuser.Password: another password → generate",
        writes=f"secretsmanager PutSecretValue, {_writes}",
        name="password of someone",
    )
    def _(aws, p):
        aws.secretsmanager.put_secret_value(SecretId=p.password_secret("testuser"), SecretString="someone's own")

    @row(
        _of,
        'users | Generated: ["builder"] → ["builder", "testuser"]',
        "users | Users.testuser.Password: cannot be compared here → generate",
        writes=f"secretsmanager CreateSecret, secretsmanager PutSecretValue, {_writes}",
        name="password deleted",
    )
    def _(aws, p):
        aws.secretsmanager.delete_secret(SecretId=p.password_secret("testuser"), ForceDeleteWithoutRecovery=True)


@row(BLOG, "users | Nodes.{p.name}-node-1: missing → current", writes=_NODES_WRITE)
def mark_of_the_htpasswd_file_taken_off_the_node(aws, p):
    aws.ec2.delete_tags(Resources=[_node(aws, p)], Tags=[{"Key": p.htpasswd_tag}])


# service


def _service(aws, p):
    return aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name], include=["TAGS"])["services"][0]


def _update(aws, p, **change):
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, **change)


def _deployment(aws, p, **change):
    _update(aws, p, deploymentConfiguration=_service(aws, p)["deploymentConfiguration"] | change)


_BREAKER = {"enable": True, "rollback": True}
_SERVICE = {
    "deploymentConfiguration.minimumHealthyPercent": lambda a, p: _deployment(a, p, minimumHealthyPercent=50),
    "deploymentConfiguration.maximumPercent": lambda a, p: _deployment(a, p, maximumPercent=150),
    "deploymentConfiguration.deploymentCircuitBreaker.enable": lambda a, p: _deployment(
        a, p, deploymentCircuitBreaker=_BREAKER | {"enable": False}
    ),
    "deploymentConfiguration.deploymentCircuitBreaker.rollback": lambda a, p: _deployment(
        a, p, deploymentCircuitBreaker=_BREAKER | {"rollback": False}
    ),
    "enableECSManagedTags": lambda a, p: _update(a, p, enableECSManagedTags=False),
    "propagateTags": lambda a, p: _update(a, p, propagateTags="TASK_DEFINITION"),
    "Added.enableExecuteCommand": lambda a, p: _update(a, p, enableExecuteCommand=True),
    "availabilityZoneRebalancing": lambda a, p: _update(
        a, p, availabilityZoneRebalancing="DISABLED" if p.scales else "ENABLED"
    ),
}
for _field, _change in _SERVICE.items():
    row(BOTH, f"{SERVICE} | {_field}", writes="ecs UpdateService", name=f"service {_field}")(_change)


@row(PRODUCTION, f"{SERVICE} | placementStrategy", writes="ecs UpdateService")
def service_placement_strategy(aws, p):
    _update(aws, p, placementStrategy=[{"type": "binpack", "field": "memory"}])


@row(PRODUCTION, f"{SERVICE} | capacityProviderStrategy", writes="ecs UpdateService")
def service_capacity_provider_strategy(aws, p):
    strategy = [{"capacityProvider": p.capacity_provider_name, "weight": 9, "base": 1}]
    _update(aws, p, capacityProviderStrategy=strategy, forceNewDeployment=True)


@row(
    BLOG,
    f"{SERVICE} | desiredCount: 2 → 1",
    f"{SERVICE} | tasks running: 2 → 1",
    f"{SERVICE} | tasks on nodes: 2 on 1 → 1 on 1",
    writes="ecs UpdateService",
)
def service_desired_count(aws, p):
    _update(aws, p, desiredCount=2)


for _count, _wanted in ((9, "{p.max_replicas}"), (1, "{p.replicas}")):

    @row(
        PRODUCTION,
        f"{SERVICE} | desiredCount: {_count} → {_wanted}",
        f"{SERVICE} | tasks running",
        *([f"{TARGETS} | healthy targets", f"{SERVICE} | tasks on"] if _count == 1 else []),
        writes="ecs UpdateService",
        name=f"service desired count {_count}",
    )
    def _(aws, p, count=_count):
        _update(aws, p, desiredCount=count)


@row(BOTH, f"{SERVICE} | Tags.team: someone else → platform", writes="ecs TagResource")
def service_tag(aws, p):
    aws.ecs.tag_resource(resourceArn=_service(aws, p)["serviceArn"], tags=TEAM_SMALL)


@row(
    PRODUCTION,
    f"{SERVICE} | users: an older version → the current version",
    writes="ecs UpdateService, ecs TagResource",
)
def service_mark_of_its_users(aws, p):
    aws.ecs.untag_resource(resourceArn=_service(aws, p)["serviceArn"], tagKeys=[p.htpasswd_tag])


# certificate


def _certificate(aws, p):
    found = aws.acm.list_certificates()["CertificateSummaryList"]
    return next(each["CertificateArn"] for each in found if each["DomainName"] == p.domain)


@row(BOTH, f"{CERTIFICATE} | Tags.team: someone else → platform", writes="acm AddTagsToCertificate")
def certificate_tag(aws, p):
    aws.acm.add_tags_to_certificate(CertificateArn=_certificate(aws, p), Tags=TEAM_LIST)


def _imported(aws, p, **where):
    folder = Path(tempfile.mkdtemp(dir=p.certificate_folder.parent)) / p.domain
    write(folder.parent)
    files = {key: (folder.parent / name).read_bytes() for key, name in _FILES.items()}
    return aws.acm.import_certificate(**files, **where)["CertificateArn"]


_FILES = {"Certificate": "cert.pem", "PrivateKey": "privkey.pem", "CertificateChain": "chain.pem"}


@row(BLOG, f"{CERTIFICATE} | Content", writes="acm ImportCertificate")
def certificate_imported_over(aws, p):
    _imported(aws, p, CertificateArn=_certificate(aws, p))


def _records(aws, p, *kinds):
    zone = aws.route53.list_hosted_zones()["HostedZones"][0]["Id"]
    found = aws.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return zone, [each for each in found if each["Type"] in kinds]


def _change_record(aws, p, kind, change, action="UPSERT"):
    zone, found = _records(aws, p, kind)
    for record in found:
        if action == "UPSERT":
            change(record)
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


@row(PRODUCTION, f"{CERTIFICATE} | Validation", writes="route53 ChangeResourceRecordSets")
def certificate_validation_record_deleted(aws, p):
    _change_record(aws, p, "CNAME", None, action="DELETE")


@row(PRODUCTION, f"{CERTIFICATE} | Validation", writes="route53 ChangeResourceRecordSets")
def certificate_validation_record_with_another_value(aws, p):
    _change_record(aws, p, "CNAME", lambda each: each.update(ResourceRecords=[{"Value": "theirs.example."}]))


# classic balancer


@row(BLOG, f"{BALANCER} | Subnets", writes="elb AttachLoadBalancerToSubnets")
def classic_balancer_subnet_less(aws, p):
    found = aws.elb.describe_load_balancers(LoadBalancerNames=[p.balancer_name])["LoadBalancerDescriptions"][0]
    aws.elb.detach_load_balancer_from_subnets(LoadBalancerName=p.balancer_name, Subnets=found["Subnets"][:1])


@row(BLOG, f"{BALANCER} | SecurityGroups", writes="elb ApplySecurityGroupsToLoadBalancer")
def classic_balancer_security_group(aws, p):
    groups = [_group(aws, name)["GroupId"] for name in (p.balancer_group, "default")]
    aws.elb.apply_security_groups_to_load_balancer(LoadBalancerName=p.balancer_name, SecurityGroups=groups)


_CHECK = {
    "Target": "TCP:80",
    "Interval": 30,
    "Timeout": 4,
    "HealthyThreshold": 9,
    "UnhealthyThreshold": 9,
}
for _field, _value in _CHECK.items():

    @row(
        BLOG,
        f"{BALANCER} | HealthCheck.{_field}",
        writes="elb ConfigureHealthCheck",
        name=f"classic balancer health check {_field}",
    )
    def _(aws, p, key=_field, value=_value):
        found = aws.elb.describe_load_balancers(LoadBalancerNames=[p.balancer_name])["LoadBalancerDescriptions"][0]
        aws.elb.configure_health_check(
            LoadBalancerName=p.balancer_name, HealthCheck=found["HealthCheck"] | {key: value}
        )


_CLASSIC = {
    "CrossZoneLoadBalancing.Enabled": {"CrossZoneLoadBalancing": {"Enabled": False}},
    "ConnectionDraining.Enabled": {"ConnectionDraining": {"Enabled": False}},
    "ConnectionDraining.Timeout": {"ConnectionDraining": {"Enabled": True, "Timeout": 5}},
    "ConnectionSettings.IdleTimeout": {"ConnectionSettings": {"IdleTimeout": 60}},
}
for _field, _change in _CLASSIC.items():

    @row(
        BLOG,
        f"{BALANCER} | Attributes.{_field}",
        writes="elb ModifyLoadBalancerAttributes",
        name=f"classic balancer {_field}",
    )
    def _(aws, p, change=_change):
        aws.elb.modify_load_balancer_attributes(LoadBalancerName=p.balancer_name, LoadBalancerAttributes=change)


def _listener(aws, p, **change):
    name = {"LoadBalancerName": p.balancer_name}
    found = aws.elb.describe_load_balancers(LoadBalancerNames=[p.balancer_name])["LoadBalancerDescriptions"][0]
    listener = found["ListenerDescriptions"][0]["Listener"]
    listener["InstanceProtocol"] = "HTTP"
    aws.elb.delete_load_balancer_listeners(**name, LoadBalancerPorts=[443])
    aws.elb.create_load_balancer_listeners(**name, Listeners=[listener | change])
    if (listener | change)["Protocol"] == "HTTPS":
        policies = found["ListenerDescriptions"][0]["PolicyNames"]
        aws.elb.set_load_balancer_policies_of_listener(**name, LoadBalancerPort=443, PolicyNames=policies)


_A_NEW_LISTENER = (
    "elb DeleteLoadBalancerListeners, elb CreateLoadBalancerListeners, elb SetLoadBalancerPoliciesOfListener"
)


@row(BLOG, f"{BALANCER} | Listeners.443.InstancePort: 80 → {{p.port}}", writes=_A_NEW_LISTENER)
def classic_listener_instance_port(aws, p):
    _listener(aws, p, InstancePort=80)


@row(BLOG, f"{BALANCER} | Listeners.443.InstanceProtocol: HTTPS → HTTP", writes=_A_NEW_LISTENER)
def classic_listener_instance_protocol(aws, p):
    _listener(aws, p, InstanceProtocol="HTTPS")


@row(
    BLOG,
    f"{BALANCER} | Listeners.443.Protocol: SSL → HTTPS",
    f"{BALANCER} | Listeners.443.InstanceProtocol",
    f"{BALANCER} | Listeners.443.TlsPolicy",
    writes=_A_NEW_LISTENER,
)
def classic_listener_protocol(aws, p):
    _listener(aws, p, Protocol="SSL", InstanceProtocol="TCP")


@row(BLOG, f"{BALANCER} | Listeners.443.TlsPolicy", writes="elb SetLoadBalancerPoliciesOfListener")
def classic_listener_tls_policy(aws, p):
    name = {"LoadBalancerName": p.balancer_name}
    older = [{"AttributeName": "Reference-Security-Policy", "AttributeValue": "ELBSecurityPolicy-2016-08"}]
    kind = {"PolicyName": "theirs", "PolicyTypeName": "SSLNegotiationPolicyType"}
    aws.elb.create_load_balancer_policy(**name, **kind, PolicyAttributes=older)
    aws.elb.set_load_balancer_policies_of_listener(**name, LoadBalancerPort=443, PolicyNames=["theirs"])


@row(
    BLOG,
    f"{BALANCER} | Listeners.443.Added.policy sticky: there → absent",
    writes="elb SetLoadBalancerPoliciesOfListener",
)
def classic_listener_policy_more(aws, p):
    name = {"LoadBalancerName": p.balancer_name}
    found = aws.elb.describe_load_balancers(LoadBalancerNames=[p.balancer_name])["LoadBalancerDescriptions"][0]
    policies = [*found["ListenerDescriptions"][0]["PolicyNames"], "sticky"]
    aws.elb.create_lb_cookie_stickiness_policy(**name, PolicyName="sticky", CookieExpirationPeriod=60)
    aws.elb.set_load_balancer_policies_of_listener(**name, LoadBalancerPort=443, PolicyNames=policies)


@row(
    BLOG,
    f"{BALANCER} | Listeners.443.Certificate: another certificate → certificate of {{p.domain}}",
    writes="elb SetLoadBalancerListenerSSLCertificate",
)
def classic_listener_certificate(aws, p):
    arn = _imported(aws, p)
    aws.elb.set_load_balancer_listener_ssl_certificate(
        LoadBalancerName=p.balancer_name, LoadBalancerPort=443, SSLCertificateId=arn
    )


@row(BLOG, f"{BALANCER} | ListenerPorts: [80, 443] → [443]", writes="elb DeleteLoadBalancerListeners")
def classic_listener_more(aws, p):
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 5000}
    aws.elb.create_load_balancer_listeners(LoadBalancerName=p.balancer_name, Listeners=[listener])


@row(
    BLOG,
    f"{BALANCER} | Instances",
    f"{BALANCER} | nodes in service",
    writes="elb RegisterInstancesWithLoadBalancer",
)
def classic_balancer_instance_less(aws, p):
    instances = [{"InstanceId": _node(aws, p)}]
    aws.elb.deregister_instances_from_load_balancer(LoadBalancerName=p.balancer_name, Instances=instances)


@row(BLOG, f"{BALANCER} | Instances", writes="elb DeregisterInstancesFromLoadBalancer")
def classic_balancer_instance_more(aws, p):
    made = aws.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    instances = [{"InstanceId": made}]
    aws.elb.register_instances_with_load_balancer(LoadBalancerName=p.balancer_name, Instances=instances)


@row(BLOG, f"{BALANCER} | Tags.team: someone else → platform", writes="elb AddTags")
def classic_balancer_tag(aws, p):
    aws.elb.add_tags(LoadBalancerNames=[p.balancer_name], Tags=TEAM_LIST)


# application balancer


def _balancer(aws, p):
    return aws.elbv2.describe_load_balancers(Names=[p.balancer_name])["LoadBalancers"][0]


def _port(aws, p, port):
    found = aws.elbv2.describe_listeners(LoadBalancerArn=_balancer(aws, p)["LoadBalancerArn"])["Listeners"]
    return next(each for each in found if each["Port"] == port)


def _target_group(aws, p):
    return aws.elbv2.describe_target_groups(Names=[p.target_group_name])["TargetGroups"][0]["TargetGroupArn"]


_ATTRIBUTES = {
    "idle_timeout.timeout_seconds": "60",
    "deletion_protection.enabled": "true",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.desync_mitigation_mode": "monitor",
    "access_logs.s3.enabled": "true",
}
for _field, _value in _ATTRIBUTES.items():

    @row(
        PRODUCTION,
        f"{BALANCER} | Attributes.{_field}",
        writes="elbv2 ModifyLoadBalancerAttributes",
        name=f"application balancer {_field}",
    )
    def _(aws, p, key=_field, value=_value):
        pairs = [{"Key": key, "Value": value}]
        if key.startswith("access_logs"):
            aws.s3.create_bucket(Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": p.region})
            statement = {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::054676820928:root"},
                "Action": "s3:PutObject",
                "Resource": "arn:aws:s3:::theirs/*",
            }
            aws.s3.put_bucket_policy(Bucket="theirs", Policy=_iam_policy([statement]))
            pairs.append({"Key": "access_logs.s3.bucket", "Value": "theirs"})
        arn = _balancer(aws, p)["LoadBalancerArn"]
        aws.elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=pairs)


@row(PRODUCTION, f"{BALANCER} | Subnets", writes="elbv2 SetSubnets")
def application_balancer_subnet_less(aws, p):
    found = _balancer(aws, p)
    subnets = [zone["SubnetId"] for zone in found["AvailabilityZones"]][:2]
    aws.elbv2.set_subnets(LoadBalancerArn=found["LoadBalancerArn"], Subnets=subnets)


@row(PRODUCTION, f"{BALANCER} | SecurityGroups", writes="elbv2 SetSecurityGroups")
def application_balancer_security_group(aws, p):
    groups = [_group(aws, name)["GroupId"] for name in (p.balancer_group, "default")]
    aws.elbv2.set_security_groups(LoadBalancerArn=_balancer(aws, p)["LoadBalancerArn"], SecurityGroups=groups)


@row(PRODUCTION, f"{BALANCER} | Tags.team: someone else → platform", writes="elbv2 AddTags")
def application_balancer_tag(aws, p):
    aws.elbv2.add_tags(ResourceArns=[_balancer(aws, p)["LoadBalancerArn"]], Tags=TEAM_LIST)


for _number in (443, 80):

    @row(
        PRODUCTION,
        f"{BALANCER} | Listeners.{_number}.Tags.team: someone else → platform",
        writes="elbv2 AddTags",
        name=f"listener {_number} tag",
    )
    def _(aws, p, port=_number):
        aws.elbv2.add_tags(ResourceArns=[_port(aws, p, port)["ListenerArn"]], Tags=TEAM_LIST)

    @row(
        PRODUCTION,
        f"{BALANCER} | Listeners.{_number}.DefaultActions",
        writes="elbv2 ModifyListener",
        name=f"listener {_number} default action",
    )
    def _(aws, p, port=_number):
        fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        aws.elbv2.modify_listener(ListenerArn=_port(aws, p, port)["ListenerArn"], DefaultActions=[fixed])

    @row(
        PRODUCTION,
        f"{BALANCER} | Listeners.{_number}.Added.rule of priority 7: there → absent",
        writes="elbv2 DeleteRule",
        name=f"listener {_number} rule more",
    )
    def _(aws, p, port=_number):
        aws.elbv2.create_rule(
            ListenerArn=_port(aws, p, port)["ListenerArn"],
            Priority=7,
            Conditions=[{"Field": "path-pattern", "Values": ["/theirs"]}],
            Actions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
        )


@row(PRODUCTION, f"{BALANCER} | Listeners.443.TlsPolicy", writes="elbv2 ModifyListener")
def listener_tls_policy(aws, p):
    aws.elbv2.modify_listener(ListenerArn=_port(aws, p, 443)["ListenerArn"], SslPolicy="ELBSecurityPolicy-2016-08")


def _another_certificate(aws):
    return aws.acm.request_certificate(DomainName="theirs.example.com", ValidationMethod="DNS")["CertificateArn"]


@row(PRODUCTION, f"{BALANCER} | Listeners.443.Certificate", writes="elbv2 ModifyListener")
def listener_certificate(aws, p):
    certificates = [{"CertificateArn": _another_certificate(aws)}]
    aws.elbv2.modify_listener(ListenerArn=_port(aws, p, 443)["ListenerArn"], Certificates=certificates)


@row(
    PRODUCTION,
    f"{BALANCER} | Listeners.443.Added.certificate of theirs.example.com: there → absent",
    writes="elbv2 RemoveListenerCertificates",
)
def listener_certificate_more(aws, p):
    certificates = [{"CertificateArn": _another_certificate(aws)}]
    aws.elbv2.add_listener_certificates(ListenerArn=_port(aws, p, 443)["ListenerArn"], Certificates=certificates)


@row(
    PRODUCTION,
    f"{BALANCER} | Listeners.80.Protocol: HTTPS → HTTP",
    writes="elbv2 ModifyListener",
)
def listener_protocol(aws, p):
    arn = _port(aws, p, 443)["Certificates"][0]["CertificateArn"]
    aws.elbv2.modify_listener(
        ListenerArn=_port(aws, p, 80)["ListenerArn"],
        Protocol="HTTPS",
        SslPolicy="ELBSecurityPolicy-2016-08",
        Certificates=[{"CertificateArn": arn}],
    )


@row(
    PRODUCTION,
    f"{BALANCER} | Listeners.443.Protocol: HTTP → HTTPS",
    f"{BALANCER} | Listeners.443.Certificate",
    f"{BALANCER} | Listeners.443.TlsPolicy",
    writes="elbv2 ModifyListener",
)
def listener_in_the_clear(aws, p):
    aws.elbv2.modify_listener(ListenerArn=_port(aws, p, 443)["ListenerArn"], Protocol="HTTP")


@row(PRODUCTION, f"{BALANCER} | ListenerPorts: [80, 443, 8443] → [80, 443]", writes="elbv2 DeleteListener")
def listener_more(aws, p):
    fixed = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
    arn = _balancer(aws, p)["LoadBalancerArn"]
    aws.elbv2.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=8443, DefaultActions=[fixed])


_HEALTH = {
    "HealthCheckProtocol": {"HealthCheckProtocol": "HTTPS"},
    "HealthCheckPort": {"HealthCheckPort": "80"},
    "HealthCheckPath": {"HealthCheckPath": "/v2/"},
    "HealthCheckIntervalSeconds": {"HealthCheckIntervalSeconds": 30},
    "HealthCheckTimeoutSeconds": {"HealthCheckTimeoutSeconds": 4},
    "HealthyThresholdCount": {"HealthyThresholdCount": 5},
    "UnhealthyThresholdCount": {"UnhealthyThresholdCount": 5},
    "Matcher.HttpCode": {"Matcher": {"HttpCode": "200-499"}},
}
for _field, _change in _HEALTH.items():

    @row(
        PRODUCTION,
        f"{BALANCER} | TargetGroup.HealthCheck.{_field}",
        writes="elbv2 ModifyTargetGroup",
        name=f"target group {_field}",
    )
    def _(aws, p, change=_change):
        aws.elbv2.modify_target_group(TargetGroupArn=_target_group(aws, p), **change)


_OF_TARGETS = {
    "deregistration_delay.timeout_seconds": "5",
    "slow_start.duration_seconds": "60",
    "load_balancing.algorithm.type": "least_outstanding_requests",
}
for _field, _value in _OF_TARGETS.items():

    @row(
        PRODUCTION,
        f"{BALANCER} | TargetGroup.Attributes.{_field}",
        writes="elbv2 ModifyTargetGroupAttributes",
        name=f"target group {_field}",
    )
    def _(aws, p, key=_field, value=_value):
        pairs = [{"Key": key, "Value": value}]
        aws.elbv2.modify_target_group_attributes(TargetGroupArn=_target_group(aws, p), Attributes=pairs)


@row(PRODUCTION, f"{BALANCER} | TargetGroup.Tags.team: someone else → platform", writes="elbv2 AddTags")
def target_group_tag(aws, p):
    aws.elbv2.add_tags(ResourceArns=[_target_group(aws, p)], Tags=TEAM_LIST)


# targets and scaling


@row(PRODUCTION, f"{TARGETS} | targets of others: 1 → none", writes="elbv2 DeregisterTargets")
def target_of_someone(aws, p):
    made = aws.ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    aws.elbv2.register_targets(TargetGroupArn=_target_group(aws, p), Targets=[{"Id": made, "Port": 80}])


@row(PRODUCTION, f"{TARGETS} | healthCheckGracePeriodSeconds: 5 → 60", writes="ecs UpdateService")
def service_grace_period(aws, p):
    _update(aws, p, healthCheckGracePeriodSeconds=5)


@row(PRODUCTION, f"{TARGETS} | loadBalancers", f"{TARGETS} | healthy targets", writes="ecs UpdateService")
def service_of_another_target_group(aws, p):
    group = aws.elbv2.describe_target_groups(Names=[p.target_group_name])["TargetGroups"][0]
    other = aws.elbv2.create_target_group(Name="theirs", Protocol="HTTP", Port=80, VpcId=group["VpcId"])["TargetGroups"]
    attached = [{"targetGroupArn": other[0]["TargetGroupArn"], "containerName": "registry", "containerPort": 5000}]
    _update(aws, p, loadBalancers=attached)


def _scalable(p):
    return {
        "ServiceNamespace": "ecs",
        "ScalableDimension": "ecs:service:DesiredCount",
        "ResourceId": f"service/{p.cluster_name}/{p.service_name}",
    }


_BOUNDS = {
    "MinCapacity": {"MinCapacity": 1},
    "MaxCapacity": {"MaxCapacity": 99},
    "Suspended": {"SuspendedState": {"DynamicScalingInSuspended": True}},
}
for _field, _change in _BOUNDS.items():

    @row(
        PRODUCTION,
        f"{SCALING} | {_field}",
        writes="application-autoscaling RegisterScalableTarget",
        name=f"scaling {_field}",
    )
    def _(aws, p, change=_change):
        aws.application_autoscaling.register_scalable_target(**_scalable(p), **change)


def _policy(aws, p, name, change):
    found = aws.application_autoscaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    policy = next(each for each in found if each["PolicyName"] == name)
    tracking = policy["TargetTrackingScalingPolicyConfiguration"]
    change(tracking)
    aws.application_autoscaling.put_scaling_policy(
        **_scalable(p),
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )


for _kind in ("cpu", "requests"):
    for _key in ("TargetValue", "ScaleOutCooldown", "ScaleInCooldown"):

        @row(
            PRODUCTION,
            f"{SCALING} | Policies.{{p.name}}-{_kind}.{_key}",
            writes="application-autoscaling PutScalingPolicy",
            name=f"scaling by {_kind} {_key}",
        )
        def _(aws, p, kind=_kind, key=_key):
            _policy(aws, p, f"{p.name}-{kind}", lambda tracking: tracking.update({key: 7}))


@row(
    PRODUCTION,
    *(
        f"{SCALING} | Policies.{{p.name}}-requests.PredefinedMetricSpecification.{key}"
        for key in ("PredefinedMetricType", "ResourceLabel")
    ),
    writes="application-autoscaling PutScalingPolicy",
)
def scaling_by_another_metric_than_requests(aws, p):
    other = {"PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}}
    _policy(aws, p, f"{p.name}-requests", lambda tracking: tracking.update(other))


@row(
    PRODUCTION,
    f"{SCALING} | Policies.{{p.name}}-cpu.PredefinedMetricSpecification.PredefinedMetricType",
    writes="application-autoscaling PutScalingPolicy",
)
def scaling_by_another_metric_than_cpu(aws, p):
    found = aws.application_autoscaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    metrics = [each["TargetTrackingScalingPolicyConfiguration"]["PredefinedMetricSpecification"] for each in found]
    requests = next(each for each in metrics if "ResourceLabel" in each)
    _policy(aws, p, f"{p.name}-cpu", lambda tracking: tracking.update(PredefinedMetricSpecification=requests))


@row(PRODUCTION, f"{SCALING} | Policies.theirs", writes="application-autoscaling DeleteScalingPolicy")
def scaling_policy_more(aws, p):
    metric = {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    aws.application_autoscaling.put_scaling_policy(
        **_scalable(p),
        PolicyName="theirs",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"PredefinedMetricSpecification": metric, "TargetValue": 50},
    )


@row(
    PRODUCTION,
    f"{SCALING} | Added.scheduled action theirs: there → absent",
    writes="application-autoscaling DeleteScheduledAction",
)
def scaling_scheduled_action(aws, p):
    action = {"ScheduledActionName": "theirs", "Schedule": "cron(0 1 * * ? *)"}
    bounds = {"MinCapacity": 1, "MaxCapacity": 1}
    aws.application_autoscaling.put_scheduled_action(**_scalable(p), **action, ScalableTargetAction=bounds)


@row(PRODUCTION, f"{SCALING} | Tags.team: someone else → platform", writes="application-autoscaling TagResource")
def scaling_tag(aws, p):
    found = aws.application_autoscaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0]
    aws.application_autoscaling.tag_resource(ResourceARN=found["ScalableTargetARN"], Tags=TEAM)


# record


@row(BLOG, f"{RECORD} | TTL: 3600 → 60", writes="route53 ChangeResourceRecordSets")
def record_ttl(aws, p):
    _change_record(aws, p, "CNAME", lambda each: each.update(TTL=3600))


@row(BLOG, f"{RECORD} | Target: another host → {BALANCER}", writes="route53 ChangeResourceRecordSets")
def record_target(aws, p):
    _change_record(aws, p, "CNAME", lambda each: each.update(ResourceRecords=[{"Value": "theirs.example."}]))


@row(PRODUCTION, f"{RECORD} | Target: another host → {BALANCER}", writes="route53 ChangeResourceRecordSets")
def alias_target(aws, p):
    _change_record(aws, p, "A", lambda each: each["AliasTarget"].update(DNSName="theirs.example."))


@row(PRODUCTION, f"{RECORD} | EvaluateTargetHealth: true → false", writes="route53 ChangeResourceRecordSets")
def alias_evaluates_health(aws, p):
    _change_record(aws, p, "A", lambda each: each["AliasTarget"].update(EvaluateTargetHealth=True))


@row(
    BLOG,
    f"{RECORD} | Type: absent → CNAME",
    f"{RECORD} | TTL: absent → 60",
    f"{RECORD} | Target: absent → {BALANCER}",
    writes="route53 ChangeResourceRecordSets",
)
def record_deleted(aws, p):
    _change_record(aws, p, "CNAME", None, action="DELETE")


@row(
    PRODUCTION,
    f"{RECORD} | Type: absent → A",
    f"{RECORD} | EvaluateTargetHealth: absent → false",
    f"{RECORD} | Target: absent → {BALANCER}",
    writes="route53 ChangeResourceRecordSets",
)
def alias_deleted(aws, p):
    _change_record(aws, p, "A", None, action="DELETE")


@row(BOTH, f"{RECORD} | Mark: changed → runbook:deployment={{p.name}}", writes="route53 ChangeResourceRecordSets")
def mark_of_the_record(aws, p):
    _change_record(aws, p, "TXT", lambda each: each["ResourceRecords"].append({"Value": '"theirs"'}))


# alarms


def _alarm(aws, name, change):
    found = aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    kept = ("AlarmName", "AlarmDescription", "ActionsEnabled", "OKActions", "AlarmActions", "MetricName", "Namespace")
    kept += ("Statistic", "Dimensions", "Period", "EvaluationPeriods", "DatapointsToAlarm", "Threshold")
    kept += ("ComparisonOperator", "TreatMissingData")
    aws.cloudwatch.put_metric_alarm(**{key: found[key] for key in kept if key in found} | change(found))


_TOPIC = "arn:aws:sns:eu-central-1:123456789012:theirs"
_ALARM = {
    "Namespace": "Theirs",
    "MetricName": "RequestCount",
    "Statistic": "Minimum",
    "Period": 30,
    "EvaluationPeriods": 5,
    "DatapointsToAlarm": 2,
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": 77.0,
    "TreatMissingData": "ignore",
    "ActionsEnabled": False,
    "AlarmActions": [_TOPIC],
    "OKActions": [_TOPIC],
    "AlarmDescription": "theirs",
}


def _alarm_rows(p):
    put = ("cloudwatch PutMetricAlarm",)
    for kind, dimensions in {
        "unhealthy-targets": ("LoadBalancer", "TargetGroup"),
        "5xx-targets": ("LoadBalancer", "TargetGroup"),
        "5xx-balancer": ("LoadBalancer",),
        "disk": ("AutoScalingGroupName",),
    }.items():
        name, where = f"{p.name}-{kind}", f"alarms | {p.name}-{kind}."
        for key, value in _ALARM.items():
            yield _alarm_row(name, where + key, put, {key: value})
        for key in dimensions:
            yield _alarm_row(name, f"{where}Dimensions.{key}", put, lambda f, key=key: _dimension(f, key))
        more = {"Name": "Theirs", "Value": "x"}
        yield _alarm_row(
            name, f"{where}Added.dimension Theirs", put, lambda f, more=more: {"Dimensions": [*f["Dimensions"], more]}
        )
        yield _alarm_row(name, f"{where}Added.InsufficientDataActions", put, {"InsufficientDataActions": [_TOPIC]})

        def tag(aws, p, name=name):
            arn = aws.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["AlarmArn"]
            aws.cloudwatch.tag_resource(ResourceARN=arn, Tags=TEAM_LIST)

        tagged = f"{where}Tags.team: someone else → platform"
        yield Row(f"alarm {kind} tag", PRODUCTION, tag, (tagged,), ("cloudwatch TagResource",))


def _dimension(found, key):
    others = [each for each in found["Dimensions"] if each["Name"] != key]
    return {"Dimensions": [*others, {"Name": key, "Value": "theirs"}]}


def _alarm_row(name, named, writes, change):
    def put(aws, p):
        _alarm(aws, name, change if callable(change) else lambda found: change)

    return Row(named.partition(" | ")[2].replace(".", " "), PRODUCTION, put, (named,), writes)


# What nobody can change by hand on AWS, or is no setting, and why. `*` stands for all below a field, or every title.
_NAME = "a thing is found by its name: one of another name is another thing"
_BIRTH = "AWS takes it when the thing is made and never after"
_STATE = "no setting, but what runs: other tests stop it and look again"
_OURS = "without this tag the thing is not ours, and is refused: tests/test_ours.py"
UNCHANGEABLE = {
    (BUCKET, "Bucket"): _NAME,
    (BUCKET, "Region"): _BIRTH,
    ("*", "Tags.runbook:deployment"): _OURS,
    ("nodes", "group.tags.runbook:deployment"): _OURS,
    (USER, "UserName"): _NAME,
    ("*", "RoleName"): _NAME,
    ("*", "execution role.RoleName"): _NAME,
    ("*", "Trust.Version"): "moto's IAM takes no other version of the policy language",
    ("*", "execution role.Trust.Version"): "moto's IAM takes no other version of the policy language",
    ("nodes", "IAM role {p.node_role}"): "what this says in one line, rows change by its parts",
    (CLUSTER, "clusterName"): _NAME,
    (CLUSTER, "status"): _STATE,
    ("nodes", "{p.name}-node-1.state"): _STATE,
    ("nodes", "{p.name}-node-1.systems manager"): _STATE,
    ("nodes", "{p.name}-node-1.root volume"): "a volume is encrypted when it is made, or never",
    ("nodes", "capacity provider.group"): _BIRTH,
    ("nodes", "templates"): _STATE,
    (CACHE, "ReplicationGroupId"): _NAME,
    (CACHE, "Engine"): "AWS upgrades Redis to Valkey and nothing back",
    (CACHE, "EngineVersion"): "AWS upgrades to a newer major version, and there is none after 8",
    (CACHE, "Nodes"): "neither moto nor the embedded cloud knows IncreaseReplicaCount; tests/test_cache.py has it",
    (CACHE, "AutomaticFailover"): "needs a second node, of which the embedded cloud knows none",
    (
        CACHE,
        "TransitEncryptionEnabled",
    ): "the embedded cloud does not switch it; tests/test_cache.py has the replacement",
    (CACHE, "AtRestEncryptionEnabled"): _BIRTH,
    (CACHE, "ParameterGroupFamily"): _BIRTH,
    (CACHE, "SubnetGroup"): _BIRTH,
    (CACHE, "Status"): _STATE,
    (CACHE, "Endpoint"): _STATE,
    (TASK, "family"): _NAME,
    (TASK, "container.*.name"): _NAME,
    (TASK, "secrets in plain environment"): "no setting of its own: the variable that is wrong is named, too",
    (TASK, "container.htpasswd.environment"): "it is empty: a variable more is named by itself, and has a row",
    (TASK, "static keys"): "no setting of its own: the variable that is wrong is named, too",
    (TASK, "log group.logGroupName"): _NAME,
    (TASK, "htpasswd secret.Name"): "it is the users' secret, which has rows of its own",
    ("users", "File"): "what stands in the file only the node can tell, which a look that writes nothing may not ask",
    (SERVICE, "serviceName"): _NAME,
    (SERVICE, "cluster"): _BIRTH,
    (SERVICE, "launchType"): _BIRTH,
    (SERVICE, "schedulingStrategy"): _BIRTH,
    (SERVICE, "deployments"): _STATE,
    (CERTIFICATE, "Domain"): _BIRTH,
    (CERTIFICATE, "Key"): _BIRTH,
    (CERTIFICATE, "Status"): _STATE,
    (CERTIFICATE, "Valid"): _STATE,
    (CERTIFICATE, "Content"): "ACM issues it: only an imported one can be put in another's place",
    (BALANCER, "LoadBalancerName"): _NAME,
    (BALANCER, "Scheme"): _BIRTH,
    (BALANCER, "Type"): _BIRTH,
    (BALANCER, "State"): _STATE,
    (BALANCER, "TargetGroup.TargetGroupName"): _NAME,
    (BALANCER, "TargetGroup.TargetType"): _BIRTH,
    (BALANCER, "TargetGroup.Protocol"): _BIRTH,
    (BALANCER, "TargetGroup.Port"): _BIRTH,
    (BALANCER, "TargetGroup.Vpc"): _BIRTH,
    ("targets", "targets"): "says that there are none",
    (SCALING, "ResourceId"): _NAME,
    ("scaling", "scaling"): "says that there is none",
    (RECORD, "Name"): _NAME,
    (RECORD, "Type"): "a record of another type is another record",
    ("alarms", "Alarms"): "says that there are none",
    ("alarms", "* now"): _STATE,
    ("former pieces", "*"): "what another choice of the params has left: tests/test_former.py",
    ("cache", "Cache"): "says that there is none",
}

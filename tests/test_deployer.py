"""The runbook under the policies that it publishes, on the embedded cloud, which evaluates them at every call."""

import json
import re

import deployer
import pytest
from test_deployer_policy import IMPLIED

from runbook import dns, load, plan
from runbook.deployer_policy import want_policies
from runbook.errors import Denied
from runbook.local.inside import authorization

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def operator(home):
    return plan.start(load("blog"))


@pytest.fixture(scope="module")
def p(home):
    return load("blog")


@pytest.fixture(scope="module")
def aws(operator, p):
    return deployer.login(operator, p, "deployer")


def refused(action, call, **params):
    """The call is refused, and the error names the action that is missing."""
    with pytest.raises(Denied, match=f"needs the permission {re.escape(action)}"):
        call(**params)


TRUST = {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}


def test_what_is_outside_is_refused_and_named(aws, operator, p):
    refused("s3:ListAllMyBuckets", aws.s3.list_buckets)
    refused("s3:CreateBucket", aws.s3.create_bucket, Bucket="other-bucket")
    refused("iam:CreateRole", aws.iam.create_role, RoleName="admin", AssumeRolePolicyDocument=json.dumps(TRUST))
    role = {"RoleName": p.node_role, "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    refused("iam:AttachRolePolicy", aws.iam.attach_role_policy, **role)
    refused("ec2:CreateKeyPair", aws.ec2.create_key_pair, KeyName="k")
    refused("secretsmanager:CreateSecret", aws.secretsmanager.create_secret, Name="other/secret", SecretString="x")
    refused("ecs:CreateCluster", aws.ecs.create_cluster, clusterName="other")
    refused("logs:CreateLogGroup", aws.logs.create_log_group, logGroupName="/ecs/other")
    linked = aws.iam.create_service_linked_role
    refused("iam:CreateServiceLinkedRole", linked, AWSServiceName="elasticbeanstalk.amazonaws.com")
    assert aws.account == operator.account  # GetCallerIdentity needs no permission


def test_a_foreign_role_is_not_passed(aws, operator, p):
    foreign = operator.iam.create_role(RoleName="foreign", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    container = {"name": "registry", "image": "registry:2.8.3", "memory": 64, "essential": True}
    refused(
        f"iam:PassRole on {foreign}",
        aws.ecs.register_task_definition,
        family=p.family,
        containerDefinitions=[container],
        executionRoleArn=foreign,
    )
    operator.iam.delete_role(RoleName="foreign")


def test_tags_tell_whose_groups_and_instances_they_are(aws, operator, p):
    vpc = operator.ec2.all("describe_vpcs", "Vpcs")[0]["VpcId"]
    made = {"GroupName": "other", "Description": "x", "VpcId": vpc}
    refused("ec2:CreateSecurityGroup", aws.ec2.create_security_group, **made)
    foreign = operator.ec2.create_security_group(**made)["GroupId"]
    refused("ec2:DeleteSecurityGroup", aws.ec2.delete_security_group, GroupId=foreign)
    tags = [{"Key": key, "Value": value} for key, value in p.tags.items()]
    refused("ec2:CreateTags", aws.ec2.create_tags, Resources=[foreign], Tags=tags)
    operator.ec2.delete_security_group(GroupId=foreign)
    own = {"ResourceType": "security-group", "Tags": tags}
    group = aws.ec2.create_security_group(**made | {"GroupName": "own"}, TagSpecifications=[own])["GroupId"]
    aws.ec2.delete_security_group(GroupId=group)


def test_only_the_registrys_records_are_written(aws, p):
    zone = aws.route53.list_hosted_zones_by_name(DNSName=p.zone)["HostedZones"][0]["Id"]
    record = {"Name": f"www.{p.zone}", "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": '"x"'}]}
    change = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    written = aws.route53.change_resource_record_sets
    refused("route53:ChangeResourceRecordSets", written, HostedZoneId=zone, ChangeBatch=change)
    record["Name"] = f"_proof.{p.domain}"
    written(HostedZoneId=zone, ChangeBatch=change)
    change["Changes"][0]["Action"] = "DELETE"
    written(HostedZoneId=zone, ChangeBatch=change)


# Allowed and not called by a run in which nobody else touches anything: it mends what was changed by hand, lost or
# left half-made, or tells before the first write or afterwards why something fails.
MENDING = set(
    "ec2:DescribeInstanceTypes ecs:DeregisterContainerInstance ecs:UpdateCluster "
    "iam:DetachUserPolicy iam:UpdateAssumeRolePolicy logs:GetLogEvents s3:AbortMultipartUpload s3:DeleteObject "
    "secretsmanager:RestoreSecret".split()
)
SOMETIMES = {"ec2:DescribeNetworkInterfaces"}  # where a security group is still held when it is to go
# … what takes away pieces of the other choice, mends or rotates those of the own one, or AWS asks for besides.
ALONE = {
    "blog": set(
        "application-autoscaling:DeleteScalingPolicy application-autoscaling:DeregisterScalableTarget "
        "application-autoscaling:DescribeScalingPolicies application-autoscaling:DescribeScheduledActions "
        "autoscaling:DeleteAutoScalingGroup "
        "autoscaling:DescribeScalingActivities cloudwatch:DeleteAlarms cloudwatch:ListTagsForResource "
        "ec2:AssociateIamInstanceProfile ec2:DeleteLaunchTemplate ec2:DescribeLaunchTemplateVersions "
        "ec2:ModifyInstanceAttribute ec2:ModifyInstanceMetadataOptions ec2:ReplaceIamInstanceProfileAssociation "
        "ec2:StartInstances ecs:DeleteCapacityProvider ecs:ListServices "
        "ecs:PutClusterCapacityProviders "
        "elasticache:DeleteCacheParameterGroup elasticache:DeleteCacheSubnetGroup elasticache:DeleteReplicationGroup "
        "elasticache:DescribeCacheClusters elasticache:DescribeCacheParameters elasticache:ListTagsForResource "
        "elasticloadbalancing:ApplySecurityGroupsToLoadBalancer elasticloadbalancing:AttachLoadBalancerToSubnets "
        "elasticloadbalancing:CreateLoadBalancerListeners elasticloadbalancing:DeleteListener "
        "elasticloadbalancing:DeleteLoadBalancerListeners elasticloadbalancing:DeleteTargetGroup "
        "elasticloadbalancing:DeregisterInstancesFromLoadBalancer elasticloadbalancing:DescribeListenerCertificates "
        "elasticloadbalancing:DescribeListeners elasticloadbalancing:DescribeRules "
        "elasticloadbalancing:DescribeTargetGroupAttributes elasticloadbalancing:DescribeTargetHealth "
        "elasticloadbalancing:DetachLoadBalancerFromSubnets "
        "elasticloadbalancing:SetLoadBalancerListenerSSLCertificate "
        "ecs:TagResource iam:GetAccessKeyLastUsed iam:UpdateAccessKey secretsmanager:PutSecretValue".split()
    ),
    "production": set(
        "acm:GetCertificate application-autoscaling:DeleteScheduledAction "
        "elasticache:ModifyCacheSubnetGroup "
        "elasticloadbalancing:DeleteRule elasticloadbalancing:DeregisterTargets "
        "elasticloadbalancing:RemoveListenerCertificates "
        "autoscaling:CreateOrUpdateTags ec2:CreateTags ec2:RunInstances ecs:UpdateCapacityProvider "
        "ecs:UpdateContainerInstancesState elasticache:ModifyReplicationGroup elasticloadbalancing:ModifyListener "
        "elasticloadbalancing:ModifyTargetGroup elasticloadbalancing:ModifyTargetGroupAttributes "
        "elasticloadbalancing:SetSecurityGroups elasticloadbalancing:SetSubnets".split()
    ),
}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_whole_life_of_both_under_exactly_their_policies(operator, home, monkeypatch, figure):
    """Cold, destroyed, cold, changed, upgraded, changed, destroyed; what none of it called is told by name."""
    monkeypatch.setattr(dns, "TTL", 1)
    blog, production = load("blog"), load("production")
    wider = {"nodes": 2, "replicas": 2, "ssh_from": ["10.0.0.0/8"], "idle_timeout": 200, "instance_type": "t3.medium"}
    more = {"max_nodes": 5, "max_replicas": 5, "idle_timeout": 200, "realm": "x", "instance_type": "t3.medium"}
    changed = {"blog": load({**blog.model_dump(), **wider}), "production": load({**production.model_dump(), **more})}
    for name, life in (
        ("blog", (blog, None, blog, changed["blog"])),
        ("production", (production, changed["production"], None, production, None)),
    ):
        aws, before = deployer.login(operator, life[0], f"whole-{name}"), None
        called = record(aws)
        for p in life:
            if p is None:
                plan.destroy(aws, before, images=True)
                assert plan.verify_destroyed(aws, before).require()
                continue
            plan.start(p)
            for step in plan.STEPS:
                step.ensure(aws, p)
            assert plan.verify(aws, p).require()
            before = p
        granted = {
            action
            for policy in want_policies(life[0]).values()
            for statement in policy["Statement"]
            for action in statement["Action"]
        }
        never = granted - called - IMPLIED
        figure(f"actions of the policy of {name} that a run called", f"{len(granted - never)} of {len(granted)}")
        print(name, sorted(never))
        assert never - SOMETIMES == MENDING | ALONE[name]


def record(aws):
    """The actions that this login calls from now on."""
    called = set()
    aws._session.events.register_first("before-call", lambda model, **_: called.add(action(model)))
    return called


def action(model):
    service, name = model.service_model.service_name, model.name
    if service == "s3":
        return f"s3:{authorization.S3_ACTIONS.get(name, name)}"
    return f"{authorization.PREFIXES.get(service, service)}:{name}"

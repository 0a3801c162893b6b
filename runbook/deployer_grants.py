"""What each step's calls must be allowed: IAM statements, with the things' names as resources where AWS knows names.

Where an ARN has an id of AWS's choice, the deployment's tag stands for the name: on the request for what is made, on
the thing for what is changed. What a former choice of the params made may be taken away, not made.
Source: https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
"""

from collections.abc import Iterator

from . import launching, node_role
from .params import Params

_RECORDS = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
_ELB = "elasticloadbalancing"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html: made at a service's first use.
_LINKED = ("ecs.amazonaws.com", "elasticloadbalancing.amazonaws.com")
_LINKED_SCALES = ("autoscaling.amazonaws.com", "ecs.application-autoscaling.amazonaws.com", "elasticache.amazonaws.com")


class Grants:
    """The statements for one deployment; `account` is a number or *."""

    def __init__(self, p: Params, account: str):
        self.p, self.account = p, account
        choices = ("instances", "auto-scaling-group")
        self.fixed, self.scaled = (p.model_copy(update={"capacity": choice}) for choice in choices)
        self.made = {"StringEquals": {"aws:RequestTag/runbook:deployment": p.name}}
        self.ours = {"StringEquals": {"aws:ResourceTag/runbook:deployment": p.name}}
        self.node_roles = sorted((self.fixed.node_role, self.scaled.node_role))
        self.task_roles = sorted((self.fixed.execution_role, self.scaled.execution_role, p.task_role))

    def all(self) -> Iterator[dict]:
        for of_step in (
            *(self.lease, self.bucket, self.secrets, self.identity, self.roles, self.groups, self.cluster, self.nodes),
            *(self.scaling_nodes, self.cache, self.task, self.service, self.certificate, self.classic_balancer),
            *(self.application_balancer, self.scaling, self.record, self.alarms),
        ):
            yield from of_step()

    def here(self, service: str, *ends: str) -> list[str]:
        return [f"arn:aws:{service}:{self.p.region}:{self.account}:{end}" for end in ends]

    def iam(self, kind: str, *names: str) -> list[str]:
        return [f"arn:aws:iam::{self.account}:{kind}/{name}" for name in names]

    def lease(self) -> Iterator[dict]:
        path = f"parameter/runbook/{self.p.name}/lease"
        actions = "AddTagsToResource DeleteParameter GetParametersByPath PutParameter"
        yield _allow("Lease", "ssm", actions, self.here("ssm", path, f"{path}/*"))

    def bucket(self) -> Iterator[dict]:
        bucket = f"arn:aws:s3:::{self.p.bucket}"
        actions = (
            "CreateBucket DeleteBucket GetBucketOwnershipControls GetBucketPolicy GetBucketPublicAccessBlock "
            "GetBucketTagging GetEncryptionConfiguration GetLifecycleConfiguration ListBucket "
            "ListBucketMultipartUploads ListBucketVersions PutBucketOwnershipControls PutBucketPolicy "
            "PutBucketPublicAccessBlock PutBucketTagging PutEncryptionConfiguration PutLifecycleConfiguration"
        )
        yield _allow("Bucket", "s3", actions, [bucket])
        yield _allow("Images", "s3", "AbortMultipartUpload DeleteObject DeleteObjectVersion", [f"{bucket}/*"])

    def secrets(self) -> Iterator[dict]:
        actions = "CreateSecret DeleteSecret DescribeSecret GetSecretValue PutSecretValue RestoreSecret TagResource"
        yield _allow("Secrets", "secretsmanager", actions, self.here("secretsmanager", f"secret:{self.p.name}/*"))
        given = [source.partition(":")[2] for source in self.p.users.values() if source.startswith("secretsmanager:")]
        if given:
            named = self.here("secretsmanager", *(f"secret:{name}-??????" for name in given))
            yield _allow("Passwords", "secretsmanager", "GetSecretValue", named)

    def identity(self) -> Iterator[dict]:
        """The user with a key, or what is left of one."""
        actions = "DeleteAccessKey DeleteUser DeleteUserPolicy DetachUserPolicy GetUser GetUserPolicy ListAccessKeys "
        actions += "ListAttachedUserPolicies ListGroupsForUser ListUserPolicies"
        if self.p.credentials == "access-key":
            actions += " CreateAccessKey CreateUser GetAccessKeyLastUsed PutUserPolicy TagUser UpdateAccessKey"
        yield _allow("User", "iam", actions, self.iam("user", self.p.user_name))

    def roles(self) -> Iterator[dict]:
        nodes, tasks = self.iam("role", *self.node_roles), self.iam("role", *self.task_roles)
        actions = "CreateRole DeleteRole DeleteRolePolicy DetachRolePolicy GetRole GetRolePolicy "
        actions += "ListAttachedRolePolicies ListRolePolicies PutRolePolicy TagRole UpdateAssumeRolePolicy"
        yield _allow("Roles", "iam", actions, [*nodes, *tasks])
        managed = {"ArnEquals": {"iam:PolicyARN": [node_role.SSM, node_role.CLOUDWATCH_AGENT, node_role.ECS]}}
        yield _allow("ManagedPolicies", "iam", "AttachRolePolicy", nodes, managed)
        yield _allow("PassToNodes", "iam", "PassRole", nodes, _passed_to("ec2.amazonaws.com"))
        yield _allow("PassToTasks", "iam", "PassRole", tasks, _passed_to("ecs-tasks.amazonaws.com"))
        profile = "AddRoleToInstanceProfile CreateInstanceProfile DeleteInstanceProfile GetInstanceProfile "
        profile += "RemoveRoleFromInstanceProfile TagInstanceProfile"
        yield _allow("Profiles", "iam", profile, self.iam("instance-profile", *self.node_roles))
        services = [*_LINKED, *_LINKED_SCALES] if self.p.scales else list(_LINKED)
        linked = {"StringEquals": {"iam:AWSServiceName": services}}
        yield _allow("LinkedRoles", "iam", "CreateServiceLinkedRole", self.iam("role", "aws-service-role/*"), linked)
        # A role that is not there yet has no path.
        ecs = self.iam("role", "AWSServiceRoleForECS", "aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
        yield _allow("LinkedRole", "iam", "GetRole", ecs)

    def groups(self) -> Iterator[dict]:
        groups = self.here("ec2", "security-group/*")
        authorize = "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress"
        revoke = "DeleteSecurityGroup RevokeSecurityGroupEgress RevokeSecurityGroupIngress"
        yield _allow("MakeGroups", "ec2", "CreateSecurityGroup", groups, self.made)
        yield _allow("GroupsOfVpc", "ec2", "CreateSecurityGroup", self.here("ec2", "vpc/*"))
        yield _allow("Groups", "ec2", f"{authorize} CreateTags {revoke}", groups, self.ours)
        yield _allow("GroupRules", "ec2", authorize, self.here("ec2", "security-group-rule/*"))
        creating, kinds = ["CreateSecurityGroup", "RunInstances"], ["instance/*", "security-group/*", "volume/*"]
        if self.p.scales:
            creating.append("CreateLaunchTemplate")
            kinds.append("launch-template/*")
        condition = {"StringEquals": {"ec2:CreateAction": creating, **self.made["StringEquals"]}}
        yield _allow("TagNew", "ec2", "CreateTags", self.here("ec2", *kinds), condition)

    def cluster(self) -> Iterator[dict]:
        actions = "CreateCluster DeleteCluster DeregisterContainerInstance DescribeClusters ListContainerInstances "
        actions += "PutClusterCapacityProviders TagResource UpdateCluster"
        yield _allow("Cluster", "ecs", actions, self.here("ecs", f"cluster/{self.p.cluster_name}"))
        members = self.here("ecs", f"container-instance/{self.p.cluster_name}/*")
        actions = "DescribeContainerInstances UpdateContainerInstancesState"
        yield _allow("ContainerInstances", "ecs", actions, members)

    def nodes(self) -> Iterator[dict]:
        """Launching asks for everything that an instance is made of, and tags tell what is new."""
        kinds = ["network-interface/*", "security-group/*", "subnet/*", *(["launch-template/*"] * self.p.scales)]
        image = f"arn:aws:ec2:{self.p.region}::image/*"
        yield _allow("LaunchWith", "ec2", "RunInstances", [image, *self.here("ec2", *kinds)])
        yield _allow("Launch", "ec2", "RunInstances", self.here("ec2", "instance/*", "volume/*"), self.made)
        ami = f"parameter{launching.AMI_PARAMETER}"
        parameters = [f"arn:aws:ssm:{self.p.region}::{ami}", *self.here("ssm", ami)]
        yield _allow("RecommendedImage", "ssm", "GetParameter GetParameters", parameters)
        actions = "TerminateInstances"
        if not self.p.scales:
            actions += " AssociateIamInstanceProfile CreateTags ModifyInstanceAttribute ModifyInstanceMetadataOptions "
            actions += "ReplaceIamInstanceProfileAssociation StartInstances"
            look = "DescribeIamInstanceProfileAssociations DescribeInstanceAttribute DescribeVolumes"
            yield _allow("LookAtInstances", "ec2", look, ["*"])
        yield _allow("Instances", "ec2", actions, self.here("ec2", "instance/*"), self.ours)
        if self.p.htpasswd == "node-folder":
            script = f"arn:aws:ssm:{self.p.region}::document/AWS-RunShellScript"
            tagged = {"StringEquals": {"ssm:resourceTag/runbook:deployment": self.p.name}}
            yield _allow("LookAtCommands", "ssm", "GetCommandInvocation", ["*"])
            yield _allow("RunCommand", "ssm", "SendCommand", [script])
            yield _allow("RunOnNodes", "ssm", "SendCommand", self.here("ec2", "instance/*"), tagged)

    def scaling_nodes(self) -> Iterator[dict]:
        templates = self.here("ec2", "launch-template/*")
        group, template = "DeleteAutoScalingGroup", "DeleteLaunchTemplate"
        provider = "DeleteCapacityProvider DescribeCapacityProviders"
        if self.p.scales:
            yield _allow("MakeTemplate", "ec2", "CreateLaunchTemplate", templates, self.made)
            group += " CreateAutoScalingGroup CreateOrUpdateTags TerminateInstanceInAutoScalingGroup "
            group += "UpdateAutoScalingGroup"
            template += " CreateLaunchTemplateVersion CreateTags"
            provider += " CreateCapacityProvider TagResource UpdateCapacityProvider"
        yield _allow("Template", "ec2", template, templates, self.ours)
        name = f"autoScalingGroup:*:autoScalingGroupName/{self.scaled.scaling_group_name}"
        yield _allow("ScalingGroup", "autoscaling", group, self.here("autoscaling", name))
        providers = self.here("ecs", f"capacity-provider/{self.p.capacity_provider_name}")
        yield _allow("CapacityProvider", "ecs", provider, providers)

    def cache(self) -> Iterator[dict]:
        kinds = ("replicationgroup", "parametergroup", "subnetgroup")
        ends = [*(f"{kind}:{self.p.cache_name}" for kind in kinds), f"cluster:{self.p.cache_name}*"]
        actions = "DeleteCacheParameterGroup DeleteCacheSubnetGroup DeleteReplicationGroup DescribeCacheClusters "
        actions += "DescribeCacheParameterGroups DescribeCacheParameters DescribeCacheSubnetGroups "
        actions += "DescribeReplicationGroups ListTagsForResource"
        if self.p.cache == "elasticache":
            actions += " AddTagsToResource CreateCacheParameterGroup CreateCacheSubnetGroup CreateReplicationGroup "
            actions += "ModifyCacheParameterGroup ModifyCacheSubnetGroup ModifyReplicationGroup"
        yield _allow("Cache", "elasticache", actions, self.here("elasticache", *ends))

    def task(self) -> Iterator[dict]:
        # AWS's reference does not say plainly what it evaluates for these two: all resources.
        yield _allow("Revisions", "ecs", "DeregisterTaskDefinition RegisterTaskDefinition", ["*"])
        definitions = self.here("ecs", f"task-definition/{self.p.family}:*")
        yield _allow("TaskDefinition", "ecs", "DeleteTaskDefinitions TagResource", definitions)
        actions = "CreateLogGroup DeleteLogGroup GetLogEvents ListTagsForResource PutRetentionPolicy TagResource"
        name = f"log-group:{self.p.log_group}"
        yield _allow("Log", "logs", actions, self.here("logs", name, f"{name}:*"))

    def service(self) -> Iterator[dict]:
        names = [f"service/{self.p.cluster_name}/{each.service_name}" for each in (self.fixed, self.scaled)]
        actions = "CreateService DeleteService DescribeServices TagResource UpdateService"
        yield _allow("Service", "ecs", actions, self.here("ecs", *names))
        yield _allow("Tasks", "ecs", "DescribeTasks", self.here("ecs", f"task/{self.p.cluster_name}/*"))

    def certificate(self) -> Iterator[dict]:
        every = self.here("acm", "certificate/*")
        yield _allow("Certificates", "acm", "DescribeCertificate GetCertificate ListTagsForCertificate", every)
        yield _allow("DeleteCertificate", "acm", "DeleteCertificate", every, self.ours)
        if self.p.certificate == "request":
            yield _allow("RequestCertificate", "acm", "RequestCertificate", ["*"], self.made)
            yield _allow("TagCertificate", "acm", "AddTagsToCertificate", every, self.made)
        elif not self.p.certificate.startswith("arn:"):
            yield _allow("ImportCertificate", "acm", "AddTagsToCertificate ImportCertificate", every, self.made)
            yield _allow("ReimportCertificate", "acm", "ImportCertificate", every, self.ours)

    def classic_balancer(self) -> Iterator[dict]:
        actions = "DeleteLoadBalancer"
        if not self.p.scales:
            actions += (
                " AddTags ApplySecurityGroupsToLoadBalancer AttachLoadBalancerToSubnets ConfigureHealthCheck "
                "CreateLoadBalancer CreateLoadBalancerListeners CreateLoadBalancerPolicy DeleteLoadBalancerListeners "
                "DeregisterInstancesFromLoadBalancer DetachLoadBalancerFromSubnets ModifyLoadBalancerAttributes "
                "RegisterInstancesWithLoadBalancer SetLoadBalancerListenerSSLCertificate "
                "SetLoadBalancerPoliciesOfListener"
            )
            look = "DescribeInstanceHealth DescribeLoadBalancerPolicies"
            yield _allow("LookAtClassicBalancer", _ELB, look, ["*"])
        yield _allow("ClassicBalancer", _ELB, actions, self.here(_ELB, f"loadbalancer/{self.fixed.balancer_name}"))

    def application_balancer(self) -> Iterator[dict]:
        balancer, group = "DeleteListener DeleteLoadBalancer ModifyLoadBalancerAttributes", "DeleteTargetGroup"
        if self.p.scales:
            balancer += " AddTags CreateListener CreateLoadBalancer ModifyListener SetSecurityGroups SetSubnets"
            balancer += " RemoveListenerCertificates"
            group += " AddTags CreateTargetGroup DeregisterTargets ModifyTargetGroup ModifyTargetGroupAttributes"
            rules = self.here(_ELB, f"listener-rule/app/{self.scaled.balancer_name}/*")
            yield _allow("Rules", _ELB, "DeleteRule", rules)
        ends = [f"{kind}/app/{self.scaled.balancer_name}/*" for kind in ("loadbalancer", "listener")]
        yield _allow("ApplicationBalancer", _ELB, balancer, self.here(_ELB, *ends))
        yield _allow("TargetGroup", _ELB, group, self.here(_ELB, f"targetgroup/{self.p.target_group_name}/*"))

    def scaling(self) -> Iterator[dict]:
        actions = "DeleteScalingPolicy DeregisterScalableTarget"
        if self.p.scales:
            actions += " DeleteScheduledAction PutScalingPolicy RegisterScalableTarget"
        service = "application-autoscaling"
        targets = self.here(service, "scalable-target/*")
        of_ecs = {"StringEquals": {f"{service}:service-namespace": "ecs"}}
        yield _allow("Scaling", service, actions, targets, of_ecs)
        if self.p.scales:  # AWS tells the namespace of calls that name it, and tags go by ARN
            yield _allow("ScalingTags", service, "ListTagsForResource TagResource", targets)

    def record(self) -> Iterator[dict]:
        names = {"ForAllValues:StringLike": {_RECORDS: [self.p.domain, f"_*.{self.p.domain}"]}}
        zones, changes = "arn:aws:route53:::hostedzone/*", "arn:aws:route53:::change/*"
        yield _allow("Record", "route53", "ChangeResourceRecordSets", [zones], names)
        yield _allow("Zone", "route53", "GetChange ListResourceRecordSets", [zones, changes])

    def alarms(self) -> Iterator[dict]:
        actions = "DeleteAlarms ListTagsForResource" + " PutMetricAlarm TagResource" * self.p.alarms
        yield _allow("Alarms", "cloudwatch", actions, self.here("cloudwatch", f"alarm:{self.p.name}-*"))
        if self.p.alarms_to:
            yield _allow("Topic", "sns", "GetTopicAttributes", [self.p.alarms_to])


def _allow(sid: str, service: str, actions: str, resources: list[str], condition: dict | None = None) -> dict:
    named = [f"{service}:{each}" for each in sorted(actions.split())]
    statement = {"Sid": sid, "Effect": "Allow", "Action": named, "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def _passed_to(service: str) -> dict:
    return {"StringEquals": {"iam:PassedToService": service}}

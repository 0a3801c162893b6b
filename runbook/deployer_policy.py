"""The least that the login of a deployment must be allowed, as IAM policies."""

import json

from .deployer_grants import Grants
from .params import Params
from .report import Document

# Characters of a managed policy, white space not counted; ten are attached to a role at most:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
LONGEST = 6144
# Reads for which a call names no resource, or AWS evaluates none.
LOOK = {
    "acm": "ListCertificates",
    "application-autoscaling": "DescribeScalableTargets DescribeScalingPolicies DescribeScheduledActions",
    "autoscaling": "DescribeAutoScalingGroups DescribeScalingActivities",
    "cloudwatch": "DescribeAlarms GetMetricData",
    "ec2": "DescribeImages DescribeInstanceTypeOfferings DescribeInstanceTypes DescribeInstances "
    "DescribeLaunchTemplateVersions DescribeLaunchTemplates DescribeNetworkInterfaces DescribeSecurityGroups "
    "DescribeSubnets DescribeVpcs",
    "ecs": "DescribeTaskDefinition ListServices ListTaskDefinitions ListTasks",
    "elasticloadbalancing": "DescribeListenerCertificates DescribeListeners DescribeLoadBalancerAttributes "
    "DescribeLoadBalancers DescribeRules DescribeTags "
    "DescribeTargetGroupAttributes DescribeTargetGroups DescribeTargetHealth",
    "logs": "DescribeLogGroups",
    "route53": "ListHostedZonesByName",
    "secretsmanager": "ListSecrets",
    "ssm": "DescribeInstanceInformation",
}


def want_policies(p: Params, *, account: str = "*") -> Document:
    """Managed policies by name; a login needs all of them. `account` is its number, which narrows little: a policy
    allows nothing in another account that this account does not allow, too."""
    look = [f"{service}:{name}" for service, names in LOOK.items() for name in names.split()]
    packed: list[list[dict]] = [[{"Sid": "Look", "Effect": "Allow", "Action": look, "Resource": "*"}]]
    for statement in Grants(p, account).all():
        if _length(_policy([*packed[-1], statement])) > LONGEST:
            packed.append([])
        packed[-1].append(statement)
    return Document({f"{p.name}-deployer-{n}": _policy(each) for n, each in enumerate(packed, 1)})


def _policy(statements: list[dict]) -> dict:
    return {"Version": "2012-10-17", "Statement": statements}


def _length(policy: dict) -> int:
    return len(json.dumps(policy, separators=(",", ":")))

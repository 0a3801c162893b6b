"""A login that has the published policy and nothing else, on the embedded cloud."""

import json

import runbook
from runbook import deployer_policy
from runbook.errors import Expired
from runbook.session import AWS
from runbook.wait import wait


def login(operator, p, name):
    """The connection of a new IAM user that may do what `python -m runbook policy` prints for these params."""
    operator.iam.create_user(UserName=name)
    for title, document in deployer_policy.want_policies(p).items():
        made = operator.iam.create_policy(PolicyName=f"{name}-{title}", PolicyDocument=json.dumps(document))
        operator.iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])
    key, fresh = operator.iam.create_access_key(UserName=name)["AccessKey"], runbook.connect(p)
    keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    aws = AWS(fresh._session, fresh._options | keys, fresh._where, fresh._route, False)
    wait("the key", lambda: (_known(aws), "not known yet"), timeout=30, every=0.2)
    return aws


def _known(aws):
    """True once IAM has spread the new key."""
    try:
        return bool(aws.account)
    except Expired:
        return None


def logout(operator, name):
    """The user is gone, and its policies."""
    for key in operator.iam.all("list_access_keys", "AccessKeyMetadata", UserName=name):
        operator.iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    for policy in operator.iam.all("list_attached_user_policies", "AttachedPolicies", UserName=name):
        operator.iam.detach_user_policy(UserName=name, PolicyArn=policy["PolicyArn"])
        operator.iam.delete_policy(PolicyArn=policy["PolicyArn"])
    operator.iam.delete_user(UserName=name)

"""What AWS refuses of IAM: AWS's error code, and that the right call passes."""

import json

import pytest
from refusals import ALLOW, TRUST, refused

pytestmark = pytest.mark.moto


@pytest.mark.parametrize(
    "document",
    [
        "{not json",
        json.dumps(ALLOW),
        json.dumps({"Statement": [TRUST["Statement"][0] | {"Resource": "*"}]}),
        json.dumps({"Statement": [{"Effect": "Allow", "Principal": "*"}]}),
    ],
)
def test_a_malformed_trust_policy(aws, document):
    role = {"RoleName": "node", "AssumeRolePolicyDocument": document}
    refused("MalformedPolicyDocument", aws.iam.create_role, **role)
    aws.iam.create_role(**role | {"AssumeRolePolicyDocument": json.dumps(TRUST)})
    change = {"RoleName": "node", "PolicyDocument": document}
    refused("MalformedPolicyDocument", aws.iam.update_assume_role_policy, **change)


def test_the_name_of_a_role_has_64_characters(aws):
    trust = {"AssumeRolePolicyDocument": json.dumps(TRUST)}
    refused("ValidationError", aws.iam.create_role, RoleName="r" * 65, **trust)
    aws.iam.create_role(RoleName="r" * 64, **trust)


@pytest.mark.parametrize(
    "document", ["{not json", json.dumps(TRUST), json.dumps({"Statement": [{"Effect": "Allow", "Action": "*"}]})]
)
def test_a_malformed_permissions_policy(aws, document):
    aws.iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(TRUST))
    aws.iam.create_user(UserName="s3")
    of_role, of_user = {"RoleName": "node", "PolicyName": "p"}, {"UserName": "s3", "PolicyName": "p"}
    refused("MalformedPolicyDocument", aws.iam.put_role_policy, **of_role, PolicyDocument=document)
    refused("MalformedPolicyDocument", aws.iam.put_user_policy, **of_user, PolicyDocument=document)
    refused("MalformedPolicyDocument", aws.iam.create_policy, PolicyName="p", PolicyDocument=document)
    aws.iam.put_role_policy(**of_role, PolicyDocument=json.dumps(ALLOW))
    aws.iam.put_user_policy(**of_user, PolicyDocument=json.dumps(ALLOW))


def test_a_user_is_deleted_after_what_is_its_own(aws):
    aws.iam.create_user(UserName="s3")
    key = aws.iam.create_access_key(UserName="s3")["AccessKey"]["AccessKeyId"]
    refused("DeleteConflict", aws.iam.delete_user, UserName="s3")
    aws.iam.delete_access_key(UserName="s3", AccessKeyId=key)
    assert aws.iam.list_service_specific_credentials(UserName="s3")["ServiceSpecificCredentials"] == []
    refused("NoSuchEntity", aws.iam.list_service_specific_credentials, UserName="absent")
    aws.iam.put_user_policy(UserName="s3", PolicyName="p", PolicyDocument=json.dumps(ALLOW))
    refused("DeleteConflict", aws.iam.delete_user, UserName="s3")
    aws.iam.delete_user_policy(UserName="s3", PolicyName="p")
    aws.iam.delete_user(UserName="s3")


def test_a_role_is_deleted_after_its_policies_are_detached(aws):
    aws.iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(TRUST))
    made = aws.iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(ALLOW))["Policy"]["Arn"]
    aws.iam.attach_role_policy(RoleName="node", PolicyArn=made)
    refused("DeleteConflict", aws.iam.delete_role, RoleName="node")
    aws.iam.detach_role_policy(RoleName="node", PolicyArn=made)
    aws.iam.delete_role(RoleName="node")


@pytest.mark.parametrize(
    "principal",
    [{"Service": "ecs-tasks"}, {"Service": ["ec2.example.org"]}, {"AWS": "arn:aws:iam::123456789012:role/absent"}],
)
def test_a_trust_policy_names_who_exists(aws, principal):
    document = {"Statement": [TRUST["Statement"][0] | {"Principal": principal}]}
    role = {"RoleName": "node", "AssumeRolePolicyDocument": json.dumps(document)}
    refused("MalformedPolicyDocument", aws.iam.create_role, **role)


@pytest.mark.parametrize("action", ["GetObject", "s3.GetObject", ["s3:GetObject", "everything"]])
def test_an_action_without_its_service(aws, action):
    document = {"Statement": [ALLOW["Statement"][0] | {"Action": action}]}
    refused("MalformedPolicyDocument", aws.iam.create_policy, PolicyName="p", PolicyDocument=json.dumps(document))


def test_an_attached_policy_is_not_deleted(aws):
    aws.iam.create_role(RoleName="node", AssumeRolePolicyDocument=json.dumps(TRUST))
    made = aws.iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(ALLOW))["Policy"]["Arn"]
    aws.iam.attach_role_policy(RoleName="node", PolicyArn=made)
    refused("DeleteConflict", aws.iam.delete_policy, PolicyArn=made)
    aws.iam.detach_role_policy(RoleName="node", PolicyArn=made)
    aws.iam.delete_policy(PolicyArn=made)

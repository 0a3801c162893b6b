"""What AWS refuses of EC2 instances and security groups: AWS's error code, and that the right call passes."""

import pytest
from botocore.exceptions import ClientError
from refusals import balancer, refused, run

pytestmark = pytest.mark.moto


def test_a_client_token_gives_the_same_instance(aws):
    first, again, other = (run(aws, ClientToken=token)[0]["InstanceId"] for token in ("a", "a", "b"))
    assert first == again != other
    reservations = aws.ec2.describe_instances()["Reservations"]
    assert len(reservations) == 2


def test_an_image_and_a_profile_that_do_not_exist(aws):
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        run(aws, ImageId="ami-00000000000000000")
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        run(aws, IamInstanceProfile={"Name": "absent"})
    aws.iam.create_instance_profile(InstanceProfileName="node")
    assert run(aws, IamInstanceProfile={"Name": "node"})


@pytest.fixture
def groups(aws):
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = [aws.ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc)["GroupId"] for name in ("a", "b")]
    return made


def from_group(group_id):
    return [{"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5000, "UserIdGroupPairs": [{"GroupId": group_id}]}]


def test_a_group_that_another_groups_rule_names(aws, groups):
    first, second = groups
    aws.ec2.authorize_security_group_ingress(GroupId=first, IpPermissions=from_group(second))
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=second)
    aws.ec2.revoke_security_group_ingress(GroupId=first, IpPermissions=from_group(second))
    aws.ec2.delete_security_group(GroupId=second)


def test_a_group_whose_own_rule_names_it(aws, groups):
    aws.ec2.authorize_security_group_ingress(GroupId=groups[0], IpPermissions=from_group(groups[0]))
    aws.ec2.delete_security_group(GroupId=groups[0])


def test_a_group_of_an_instance(aws, groups):
    instance = run(aws, SecurityGroupIds=[groups[0]])[0]["InstanceId"]
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=groups[0])
    aws.ec2.terminate_instances(InstanceIds=[instance])
    aws.ec2.delete_security_group(GroupId=groups[0])


def test_a_group_of_a_balancer(aws, groups):
    balancer(aws, SecurityGroups=[groups[0]])
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=groups[0])
    aws.elb.delete_load_balancer(LoadBalancerName="registry")
    aws.ec2.delete_security_group(GroupId=groups[0])


@pytest.mark.parametrize(
    "change", [{"FromPort": 90, "ToPort": 80}, {"IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "é"}]}]
)
def test_a_wrong_rule_of_a_group(aws, groups, change):
    rule = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 90, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    authorize = aws.ec2.authorize_security_group_ingress
    refused("InvalidParameterValue", authorize, GroupId=groups[0], IpPermissions=[rule | change])
    authorize(GroupId=groups[0], IpPermissions=[rule])
    refused("InvalidPermission.Duplicate", authorize, GroupId=groups[0], IpPermissions=[rule])


def test_a_subnet_in_use(aws):
    subnet = aws.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    instance = run(aws, SubnetId=subnet)[0]["InstanceId"]
    refused("DependencyViolation", aws.ec2.delete_subnet, SubnetId=subnet)
    aws.ec2.terminate_instances(InstanceIds=[instance])
    aws.ec2.delete_subnet(SubnetId=subnet)

"""What AWS knows only a while after it was made, and lists that come in pages."""

import json

import pytest
from botocore.exceptions import ClientError
from refusals import ALLOW, IMAGE, TRUST, balancer, refused, run, task_definition

from runbook.local.inside import pages, route53, settling

pytestmark = pytest.mark.moto


@pytest.fixture
def slow(aws, monkeypatch):
    """Nothing becomes known before `settled()`."""
    monkeypatch.setattr(settling, "SECONDS", 3600)
    return lambda: monkeypatch.setattr(settling, "SECONDS", 0)


def test_ecs_does_not_know_a_new_role_yet(aws, slow):
    role = aws.iam.create_role(RoleName="task", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    error = refused("ClientException", aws.ecs.register_task_definition, **task_definition(executionRoleArn=role))
    assert error["Error"]["Message"] == "Role is not valid"
    slow()
    aws.ecs.register_task_definition(**task_definition(executionRoleArn=role))


def test_ec2_and_auto_scaling_do_not_know_a_new_instance_profile_yet(aws, slow):
    aws.iam.create_instance_profile(InstanceProfileName="node")
    profile = {"IamInstanceProfile": {"Name": "node"}}
    with pytest.raises(ClientError, match="Invalid IAM Instance Profile name"):
        run(aws, **profile)
    data = {"ImageId": IMAGE, "InstanceType": "t3.small", **profile}
    aws.ec2.create_launch_template(LaunchTemplateName="node", LaunchTemplateData=data)
    subnet = aws.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = {"AutoScalingGroupName": "node", "MinSize": 0, "MaxSize": 1, "VPCZoneIdentifier": subnet}
    group["LaunchTemplate"] = {"LaunchTemplateName": "node", "Version": "$Latest"}
    with pytest.raises(ClientError, match="Invalid IAM Instance Profile name"):
        aws.autoscaling.create_auto_scaling_group(**group)
    slow()
    assert run(aws, **profile)
    aws.autoscaling.create_auto_scaling_group(**group)


def test_ecs_cannot_use_its_own_new_role_yet(aws, slow):
    aws.ecs.create_cluster(clusterName="before")  # where there is none, AWS makes it itself
    aws.iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    with pytest.raises(ClientError, match="Unable to assume the service linked role"):
        aws.ecs.create_cluster(clusterName="registry")
    slow()
    aws.ecs.create_cluster(clusterName="registry")


def test_a_bucket_policy_cannot_name_a_new_user_yet(aws, slow):
    where = {"LocationConstraint": "eu-central-1"}
    aws.s3.create_bucket(Bucket="images", CreateBucketConfiguration=where)
    user = aws.iam.create_user(UserName="s3")["User"]["Arn"]
    statement = ALLOW["Statement"][0] | {"Principal": {"AWS": user}, "Resource": "arn:aws:s3:::images/*"}
    policy = {"Bucket": "images", "Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    refused("MalformedPolicy", aws.s3.put_bucket_policy, **policy)
    slow()
    aws.s3.put_bucket_policy(**policy)


def test_a_deleted_balancer_holds_its_groups_for_a_while(aws, slow):
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = aws.ec2.create_security_group(GroupName="a", Description="x", VpcId=vpc)["GroupId"]
    balancer(aws, SecurityGroups=[group])
    aws.elb.delete_load_balancer(LoadBalancerName="registry")
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=group)
    settling._kept.clear()
    aws.ec2.delete_security_group(GroupId=group)


def test_a_deleted_application_balancer_holds_its_groups_for_a_while(aws, slow):
    vpc = aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = aws.ec2.create_security_group(GroupName="a", Description="x", VpcId=vpc)["GroupId"]
    subnets = [subnet["SubnetId"] for subnet in aws.ec2.describe_subnets()["Subnets"]]
    made = aws.elbv2.create_load_balancer(Name="registry", Subnets=subnets, SecurityGroups=[group])
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    refused("DependencyViolation", aws.ec2.delete_security_group, GroupId=group)
    aws.elbv2.delete_load_balancer(LoadBalancerArn=arn)  # "If the load balancer does not exist … the call succeeds"
    settling._kept.clear()
    aws.ec2.delete_security_group(GroupId=group)


def test_a_change_of_records_is_pending_and_then_in_sync(aws, monkeypatch):
    route53.install()
    route53.install()
    monkeypatch.setattr(route53, "SECONDS", 3600)
    zone = aws.route53.create_hosted_zone(Name="example.org", CallerReference="1")["HostedZone"]["Id"]
    record = {"Name": "a.example.org", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    change = aws.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)["ChangeInfo"]
    assert change["Status"] == "PENDING"
    assert aws.route53.get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "PENDING"
    monkeypatch.setattr(route53, "SECONDS", 0)
    assert aws.route53.get_change(Id=change["Id"])["ChangeInfo"]["Status"] == "INSYNC"


def test_services_come_in_pages_of_ten(aws):
    pages.install()
    pages.install()
    aws.ecs.create_cluster(clusterName="registry")
    aws.ecs.register_task_definition(**task_definition())
    for number in range(12):
        aws.ecs.create_service(cluster="registry", serviceName=f"s{number}", taskDefinition="registry", desiredCount=0)
    first = aws.ecs.list_services(cluster="registry")
    assert len(first["serviceArns"]) == 10
    assert len(aws.ecs.list_services(cluster="registry", nextToken=first["nextToken"])["serviceArns"]) == 2
    assert len(aws.ecs.list_services(cluster="registry", maxResults=3)["serviceArns"]) == 3
    everything = aws.ecs.get_paginator("list_services").paginate(cluster="registry").build_full_result()
    assert len(set(everything["serviceArns"])) == 12


def test_hosted_zones_come_in_pages(aws, monkeypatch):
    pages.install()
    monkeypatch.setattr(pages, "ZONES", 2)
    for name in ("a.org", "b.org", "c.org"):
        aws.route53.create_hosted_zone(Name=name, CallerReference=name)
    first = aws.route53.list_hosted_zones_by_name()
    assert [zone["Name"] for zone in first["HostedZones"]] == ["a.org.", "b.org."]
    rest = {"DNSName": first["NextDNSName"], "HostedZoneId": first["NextHostedZoneId"]}
    assert [zone["Name"] for zone in aws.route53.list_hosted_zones_by_name(**rest)["HostedZones"]] == ["c.org."]

"""What AWS refuses of (Application) Auto Scaling and CloudWatch: AWS's error code, and that the right call passes."""

import pytest
from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from refusals import IMAGE, REGION, refused

from runbook.local.inside import autoscaling, cloudwatch, launching, scaling

pytestmark = pytest.mark.moto

TARGET = {
    "ServiceNamespace": "ecs",
    "ResourceId": "service/registry/registry",
    "ScalableDimension": "ecs:service:DesiredCount",
}
LABEL = "app/registry/1f/targetgroup/registry/2f"


@pytest.fixture
def auto(aws):
    """A client for Auto Scaling, and a launch template."""
    autoscaling.install()
    cloudwatch.install()
    scaling.install()
    aws.ec2.create_launch_template(
        LaunchTemplateName="registry", LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "t3.small"}
    )
    return aws.autoscaling


@pytest.fixture
def subnets(aws):
    return [each["SubnetId"] for each in aws.ec2.describe_subnets()["Subnets"]]


def group(subnets, **changes):
    return {
        "AutoScalingGroupName": "registry",
        "LaunchTemplate": {"LaunchTemplateName": "registry"},
        "MinSize": 1,
        "MaxSize": 3,
        "VPCZoneIdentifier": ",".join(subnets[:2]),
    } | changes


def test_a_group_of_the_same_name(auto, subnets):
    auto.create_auto_scaling_group(**group(subnets))
    refused("AlreadyExists", auto.create_auto_scaling_group, **group(subnets))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"AutoScalingGroupName": "a:b"}, "autoScalingGroupName"),
        ({"MinSize": 4}, "Max bound"),
        ({"DesiredCapacity": 4}, "above max"),
        ({"DesiredCapacity": 0}, "below min"),
        ({"LaunchTemplate": {"LaunchTemplateName": "absent"}}, "does not exist"),
        ({"LaunchTemplate": {"LaunchTemplateName": "registry", "Version": "7"}}, "fully-formed"),
        ({"VPCZoneIdentifier": "subnet-0123456789abcdef0"}, "does not exist"),
        ({"HealthCheckType": "ELB"}, "embedded cloud"),
        ({"TargetGroupARNs": ["arn:aws:x"]}, "embedded cloud"),
        ({"TerminationPolicies": ["NewestInstance"]}, "embedded cloud"),
    ],
)
def test_a_wrong_group(auto, subnets, change, told):
    answer = refused("ValidationError", auto.create_auto_scaling_group, **group(subnets, **change))
    assert told in answer["Error"]["Message"]


@pytest.mark.parametrize(
    "data",
    [
        {"ImageId": "ami-00000000000000000", "InstanceType": "t3.small"},
        {"ImageId": IMAGE, "InstanceType": "t3.gigantic"},
        {"ImageId": IMAGE},
        {"ImageId": IMAGE, "InstanceType": "t3.small", "IamInstanceProfile": {"Name": "absent"}},
        {"ImageId": IMAGE, "InstanceType": "t3.small", "SecurityGroupIds": ["sg-00000000000000000"]},
    ],
)
def test_a_launch_template_from_which_nothing_can_be_launched(aws, auto, subnets, data):
    aws.ec2.create_launch_template(LaunchTemplateName="wrong", LaunchTemplateData=data)
    wrong = group(subnets, LaunchTemplate={"LaunchTemplateName": "wrong"})
    refused("ValidationError", auto.create_auto_scaling_group, **wrong)


def test_a_launch_template_that_was_deleted(aws, auto, subnets):
    auto.create_auto_scaling_group(**group(subnets))
    aws.ec2.delete_launch_template(LaunchTemplateName="registry")
    with pytest.raises(launching.LaunchFailed, match="does not exist"):
        autoscaling.launch(autoscaling.group(REGION, "registry"), "a test wants it")
    activities = auto.describe_scaling_activities(AutoScalingGroupName="registry", MaxRecords=1)["Activities"]
    assert activities[0]["StatusCode"] == "Failed"


def test_an_image_by_a_public_parameter(aws, auto, subnets):
    parameter = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
    data = {"ImageId": f"resolve:ssm:{parameter}", "InstanceType": "t3.small"}
    aws.ec2.create_launch_template(LaunchTemplateName="by-parameter", LaunchTemplateData=data)
    auto.create_auto_scaling_group(**group(subnets, LaunchTemplate={"LaunchTemplateName": "by-parameter"}))


def test_a_desired_capacity_outside_of_the_limits(auto, subnets):
    auto.create_auto_scaling_group(**group(subnets))
    desire = auto.set_desired_capacity
    refused("ValidationError", desire, AutoScalingGroupName="registry", DesiredCapacity=4)
    refused("ValidationError", desire, AutoScalingGroupName="registry", DesiredCapacity=0)
    refused("ValidationError", desire, AutoScalingGroupName="absent", DesiredCapacity=1)
    desire(AutoScalingGroupName="registry", DesiredCapacity=3)
    update = auto.update_auto_scaling_group
    refused("ValidationError", update, AutoScalingGroupName="registry", MinSize=4)
    update(AutoScalingGroupName="registry", MaxSize=2)
    assert auto.describe_auto_scaling_groups()["AutoScalingGroups"][0]["DesiredCapacity"] == 2


def test_a_group_with_instances_is_deleted_only_by_force(auto, subnets):
    auto.create_auto_scaling_group(**group(subnets))
    autoscaling.launch(autoscaling.group(REGION, "registry"), "a test wants it")
    refused("ResourceInUse", auto.delete_auto_scaling_group, AutoScalingGroupName="registry")
    auto.delete_auto_scaling_group(AutoScalingGroupName="registry", ForceDelete=True)
    (going,) = auto.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert going["Status"] == "Delete in progress"
    refused("ScalingActivityInProgress", auto.set_desired_capacity, AutoScalingGroupName="registry", DesiredCapacity=1)


def test_an_empty_group_goes_at_once(auto, subnets):
    auto.create_auto_scaling_group(**group(subnets))
    auto.delete_auto_scaling_group(AutoScalingGroupName="registry")
    assert auto.describe_auto_scaling_groups()["AutoScalingGroups"] == []


@pytest.mark.parametrize(
    ("preferences", "passes"),
    [
        ({"MinHealthyPercentage": 101}, False),
        ({"MinHealthyPercentage": 100, "MaxHealthyPercentage": 100}, False),
        ({"MinHealthyPercentage": 50, "MaxHealthyPercentage": 200}, False),
        ({"CheckpointPercentages": [50]}, False),
        ({"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150}, True),
    ],
)
def test_the_preferences_of_a_refresh(auto, subnets, preferences, passes):
    auto.create_auto_scaling_group(**group(subnets))
    refresh = auto.start_instance_refresh
    if passes:
        refresh(AutoScalingGroupName="registry", Preferences=preferences)
    else:
        refused("ValidationError", refresh, AutoScalingGroupName="registry", Preferences=preferences)


def test_what_is_not_played_is_refused(auto, subnets):
    auto.create_auto_scaling_group(**group(subnets))
    answer = refused(
        "ValidationError",
        auto.put_lifecycle_hook,
        AutoScalingGroupName="registry",
        LifecycleHookName="drain",
        LifecycleTransition="autoscaling:EC2_INSTANCE_TERMINATING",
    )
    assert "embedded cloud" in answer["Error"]["Message"]
    refused("ValidationError", auto.suspend_processes, AutoScalingGroupName="registry")


@pytest.fixture
def application(aws, auto):
    aws.ecs.create_cluster(clusterName="registry")
    container = {"name": "registry", "image": "registry:2.8.3", "memory": 512, "essential": True}
    aws.ecs.register_task_definition(family="registry", containerDefinitions=[container])
    aws.ecs.create_service(cluster="registry", serviceName="registry", taskDefinition="registry", desiredCount=1)
    return aws.application_autoscaling


def policy(metric="ECSServiceAverageCPUUtilization", label=None, value=60):
    predefined = {"PredefinedMetricType": metric} | ({"ResourceLabel": label} if label else {})
    return TARGET | {
        "PolicyName": "cpu",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {"PredefinedMetricSpecification": predefined, "TargetValue": value},
    }


def test_a_policy_without_a_target(application):
    refused("ObjectNotFoundException", application.put_scaling_policy, **policy())
    refused("ObjectNotFoundException", application.deregister_scalable_target, **TARGET)
    application.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    application.put_scaling_policy(**policy())
    refused("ObjectNotFoundException", application.delete_scaling_policy, **TARGET, PolicyName="absent")
    application.delete_scaling_policy(**TARGET, PolicyName="cpu")


def test_a_wrong_target(application):
    register = application.register_scalable_target
    refused("ValidationException", register, **TARGET, MinCapacity=1)
    refused("ValidationException", register, **TARGET, MinCapacity=3, MaxCapacity=1)
    refused(
        "ValidationException",
        register,
        **TARGET | {"ResourceId": "service/registry/absent"},
        MinCapacity=1,
        MaxCapacity=2,
    )
    register(**TARGET, MinCapacity=1, MaxCapacity=2)
    register(**TARGET, MaxCapacity=3)


@pytest.mark.parametrize(
    "wrong",
    [
        policy("ECSServiceAverageMemoryUtilization"),
        policy("ALBRequestCountPerTarget"),
        policy("ALBRequestCountPerTarget", "targetgroup/registry/2f"),
        policy(label=LABEL),
        policy(value=0),
        policy() | {"PolicyType": "StepScaling"},
    ],
)
def test_a_wrong_policy(application, wrong):
    application.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=3)
    refused("ValidationException", application.put_scaling_policy, **wrong)
    application.put_scaling_policy(**policy("ALBRequestCountPerTarget", LABEL))


ALARM = {
    "AlarmName": "disk",
    "Namespace": "CWAgent",
    "MetricName": "disk_used_percent",
    "Statistic": "Maximum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "Threshold": 85,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}


@pytest.mark.parametrize(
    "change",
    [
        {"Period": 45},
        {"Period": 30, "Namespace": "AWS/ECS"},
        {"EvaluationPeriods": 1441},
        {"DatapointsToAlarm": 4},
        {"TreatMissingData": "good"},
    ],
)
def test_a_wrong_alarm(aws, auto, change):
    client = aws.cloudwatch
    refused("ValidationError", client.put_metric_alarm, **ALARM | change)
    client.put_metric_alarm(**ALARM)
    (made,) = client.describe_alarms()["MetricAlarms"]
    assert made["AlarmArn"] == f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:disk"


def test_nothing_is_delivered_out_of_this_computer(aws):
    sns = aws.sns
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    refused("InvalidParameter", sns.subscribe, TopicArn=topic, Protocol="https", Endpoint="https://example.com")
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@example.com")

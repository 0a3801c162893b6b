"""What every node is launched with, whoever launches it: image, root volume, metadata options, subnets."""

from . import vpc
from .errors import AwsError, StepFailed
from .params import Params
from .session import AWS
from .task_definition import want_task

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_AMI.html
AMI_PARAMETER = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
VOLUME = {"VolumeSize": 30, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}  # size in GiB
# What is left of an instance's memory, about:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/memory-management.html
_FOR_TASKS = 0.85
PROFILE_SECONDS = 120
# What EC2 says of an instance profile that IAM has made but not yet spread.
_PROFILE_UNKNOWN = ("Invalid IAM Instance Profile", "has no associated IAM Roles")
_NOTEBOOK = "run notebook 02_create_a_task_definition first"


def is_profile_unknown(error: AwsError) -> bool:
    """Whether EC2 or Auto Scaling does not know the new instance profile yet; it does within PROFILE_SECONDS."""
    known = error.code in ("InvalidParameterValue", "ValidationError")
    return known and any(text in error.message for text in _PROFILE_UNKNOWN)


def metadata(p: Params) -> dict:
    """The metadata options of an instance: IMDSv2 alone, and no task obtains the node's role unless it needs it.

    The ECS agent and the SSM agent run in the host's network, one hop from the metadata service; a container in bridge
    mode is one hop further away:
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html
    """
    hops = 2 if p.credentials == "instance-role" else 1
    return {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": hops}


def metadata_words(options: dict) -> str:
    version = "IMDSv2 only" if options["HttpTokens"] == "required" else "IMDSv1 too"
    return f"{options['HttpEndpoint']}, {version}, hop limit {options['HttpPutResponseHopLimit']}"


def current_ami(aws: AWS) -> str:
    """Id of the ECS-optimized image that AWS recommends today."""
    return aws.ssm.get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]


def root_device(aws: AWS, image: str) -> str:
    """The name of the image's root volume, under which a launch says what the volume shall be."""
    return aws.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"]


def subnets(aws: AWS, p: Params) -> dict[str, str]:
    """The nodes' subnets by zone where the zone offers the instance type: us-east-1 has one without the newer types.

    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-discovery.html
    """
    offered = aws.ec2.all(
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [p.instance_type]}],
    )
    names = {offer["Location"] for offer in offered}
    found = {zone: subnet for zone, subnet in vpc.node_subnets(aws, p).items() if zone in names}
    if not found:
        raise StepFailed(
            f"no zone of the nodes' subnets offers instance type {p.instance_type} in {aws.region}; "
            f"change instance_type in {p.source}"
        )
    return found


def require_type(aws: AWS, p: Params) -> None:
    """StepFailed for an instance type that is not there, cannot start the image, or is too small for a task."""
    try:
        found = aws.ec2.describe_instance_types(InstanceTypes=[p.instance_type])["InstanceTypes"][0]
    except AwsError as error:
        if error.code != "InvalidInstanceType":
            raise
        raise StepFailed(
            f"EC2 knows no instance type {p.instance_type} in {aws.region}; change instance_type in {p.source}"
        ) from error
    image = aws.ec2.describe_images(ImageIds=[current_ami(aws)])["Images"][0]
    has, wants = found["ProcessorInfo"]["SupportedArchitectures"], image["Architecture"]
    if wants not in has:
        raise StepFailed(
            f"instance type {p.instance_type} is {', '.join(has)}, the nodes' image {wants}; change instance_type in "
            f"{p.source}, to t3.small for example"
        )
    containers = want_task(p)["containerDefinitions"]
    needed = sum(each.get("memoryReservation", each["memory"]) for each in containers)
    memory = found["MemoryInfo"]["SizeInMiB"]
    if memory * _FOR_TASKS < needed:
        raise StepFailed(
            f"instance type {p.instance_type} has {memory} MiB of memory, too little for a task of {needed} MiB beside "
            f"the system; change instance_type in {p.source}, to t3.small for example"
        )


def require_earlier(aws: AWS, p: Params) -> None:
    """StepFailed when the nodes' security group or the cluster is not there yet."""
    if vpc.group_id(aws, p, p.node_group) is None:
        raise StepFailed(f"security group {p.node_group} is not there; {_NOTEBOOK}")
    clusters = aws.ecs.describe_clusters(clusters=[p.cluster_name])["clusters"]
    if [cluster["status"] for cluster in clusters] != ["ACTIVE"]:
        raise StepFailed(f"ECS cluster {p.cluster_name} is not there; {_NOTEBOOK}")

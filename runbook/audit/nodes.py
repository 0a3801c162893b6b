"""The container instances: their metadata service, addresses, volumes, and the groups that launch them."""

from collections.abc import Iterator

from ..finding import Finding
from .deployment import Deployment
from .rules import found

_AT_ONCE = 50  # instances that Auto Scaling tells of in one call


def nodes(d: Deployment) -> dict[str, dict]:
    return {f"instance {each['InstanceId']}": each for each in d.nodes}


def fleets(d: Deployment) -> dict[str, list[dict]]:
    return {f"cluster {d.cluster}": d.nodes} if d.nodes else {}


def agent(d: Deployment, where: str, instance: dict) -> Iterator[Finding]:
    joined = {each["ec2InstanceId"]: each["agentConnected"] for each in d.container_instances}
    if not joined.get(instance["InstanceId"]):
        yield found("agent-away", where)


def metadata(d: Deployment, where: str, instance: dict) -> Iterator[Finding]:
    """What AWS does not tell is as it was before 2019: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-options.html"""
    options = instance.get("MetadataOptions") or {}
    if options.get("HttpEndpoint") == "disabled":
        return
    if options.get("HttpTokens", "optional") != "required":
        yield found("imds-v1", where)
    elif options.get("HttpPutResponseHopLimit", 1) > 1:
        yield found("hop-limit", where, hops=options["HttpPutResponseHopLimit"])


def address(d: Deployment, where: str, instance: dict) -> Iterator[Finding]:
    if instance.get("PublicIpAddress"):
        yield found("node-public-ip", where)


def volumes(d: Deployment, where: str, instance: dict) -> Iterator[Finding]:
    filters = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    if not all(each["Encrypted"] for each in d.aws.ec2.all("describe_volumes", "Volumes", Filters=filters)):
        yield found("volume-plain", where)


def zones(d: Deployment, where: str, instances: list[dict]) -> Iterator[Finding]:
    there = {each["Placement"]["AvailabilityZone"] for each in instances}
    if len(there) == 1:
        yield found("one-zone", where, zone=there.pop())


def launched(d: Deployment, where: str, instances: list[dict]) -> Iterator[Finding]:
    ids, told = [each["InstanceId"] for each in instances], []
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        told += d.aws.autoscaling.all("describe_auto_scaling_instances", "AutoScalingInstances", InstanceIds=some)
    for name in sorted({each["AutoScalingGroupName"] for each in told if each.get("LaunchConfigurationName")}):
        yield found("launch-configuration", f"Auto Scaling group {name}")


CHECKS = (agent, metadata, address, volumes)
OF_FLEET = (zones, launched)

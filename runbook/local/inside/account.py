"""The account inside moto, as far as the rules look at it: who uses what, and does a thing exist."""

import time
from collections.abc import Iterable, Iterator

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.ec2.models import ec2_backends
from moto.ecs.models import ecs_backends
from moto.elasticache.models import elasticache_backends
from moto.elb.models import LoadBalancer, elb_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.route53.models import route53_backends
from moto.s3.models import s3_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.ssm.models import ssm_backends

from . import settling

PARTITION = "aws"


def role_is_known(arn_or_name: str) -> bool:
    """Whether it exists, and other services have heard of it."""
    roles = list(iam_backends[ACCOUNT][PARTITION].roles.values())
    return any(arn_or_name in (role.arn, role.name) and not settling.is_fresh(role.create_date) for role in roles)


def linked_role_is_fresh(service: str) -> bool:
    """Whether the service's own role was made just now; one that is not there AWS makes itself."""
    roles = list(iam_backends[ACCOUNT][PARTITION].roles.values())
    return any(f"/{service}/" in role.path and settling.is_fresh(role.create_date) for role in roles)


def principal_exists(arn: str) -> bool:
    """Whether IAM knows the user, role or account of this ARN; those of other accounts are taken on trust."""
    if f":{ACCOUNT}:" not in arn or arn.endswith(":root"):
        return True
    users = list(iam_backends[ACCOUNT][PARTITION].users.values())
    return role_is_known(arn) or any(arn == user.arn and not settling.is_fresh(user.create_date) for user in users)


def policy_is_attached(arn: str) -> bool:
    policy = iam_backends[ACCOUNT][PARTITION].managed_policies.get(arn)
    return bool(policy and policy.attachment_count)


def instance_profile_exists(name: str | None, arn: str | None) -> bool:
    """Whether it exists, and other services have heard of it."""
    profiles = list(iam_backends[ACCOUNT][PARTITION].instance_profiles.values())
    known = [profile for profile in profiles if not settling.is_fresh(profile.create_date)]
    return any(profile.name == name or profile.arn == arn for profile in known)


def has_access_keys(user: str) -> bool:
    kept = iam_backends[ACCOUNT][PARTITION].users.get(user)
    return bool(kept and kept.access_keys)


def role_has_attached_policies(role: str) -> bool:
    kept = next((r for r in list(iam_backends[ACCOUNT][PARTITION].roles.values()) if r.name == role), None)
    return bool(kept and kept.managed_policies)


def reservation(region: str, client_token: str):
    """The reservation that a RunInstances call with this token made; None if there is none."""
    for kept in list(ec2_backends[ACCOUNT][region].reservations.values()):
        if any(instance.client_token == client_token for instance in kept.instances):
            return kept
    return None


def instance_exists(region: str, instance_id: str) -> bool:
    """Whether EC2 knows the instance and it is not terminated."""
    kept = list(ec2_backends[ACCOUNT][region].reservations.values())
    instances = [instance for each in kept for instance in each.instances if instance.id == instance_id]
    return any(instance._state.name != "terminated" for instance in instances)


def image_exists(region: str, image_id: str) -> bool:
    return image_id in ec2_backends[ACCOUNT][region].amis


def group(region: str, group_id: str):
    """The security group; None if there is none."""
    return ec2_backends[ACCOUNT][region].get_security_group_from_id(group_id)


def subnet_exists(region: str, subnet_id: str) -> bool:
    return any(subnet_id in subnets for subnets in list(ec2_backends[ACCOUNT][region].subnets.values()))


def group_users(region: str, group_id: str) -> Iterator[str]:
    """What refers to a security group: instances, balancers, caches, and rules of other groups."""
    ec2 = ec2_backends[ACCOUNT][region]
    for kept in list(ec2.reservations.values()):
        for instance in kept.instances:
            groups = [each for nic in instance.nics.values() for each in nic.group_set]
            groups += instance.security_groups
            if instance._state.name != "terminated" and group_id in {each.id for each in groups}:
                yield instance.id
    for balancer in list(elb_backends[ACCOUNT][region].load_balancers.values()):
        if group_id in balancer.security_groups:
            yield balancer.name
    for balancer in list(elbv2_backends[ACCOUNT][region].load_balancers.values()):
        if group_id in balancer.security_groups:
            yield balancer.name
    for cache in list(elasticache_backends[ACCOUNT][region].replication_groups.values()):
        if group_id in (cache.security_groups or ()):
            yield cache.name
    if settling.holds(region, group_id):
        yield "a network interface of a balancer that is being deleted"
    for groups in list(ec2.groups.values()):
        for other in list(groups.values()):
            rules = [*other.ingress_rules, *other.egress_rules]
            if other.id != group_id and any(rule.source_group.get("GroupId") == group_id for rule in rules):
                yield other.id


def subnet_users(region: str, subnet_id: str) -> Iterator[str]:
    """What stands in a subnet: instances, balancers, the subnet group of a cache."""
    for kept in list(ec2_backends[ACCOUNT][region].reservations.values()):
        for instance in kept.instances:
            if instance.subnet_id == subnet_id and instance._state.name != "terminated":
                yield instance.id
    for balancer in list(elb_backends[ACCOUNT][region].load_balancers.values()):
        if subnet_id in balancer.subnets:
            yield balancer.name
    for balancer in list(elbv2_backends[ACCOUNT][region].load_balancers.values()):
        if subnet_id in {subnet.id for subnet in balancer.subnets}:
            yield balancer.name
    for group in list(elasticache_backends[ACCOUNT][region].cache_subnet_groups.values()):
        if subnet_id in group.subnet_ids:
            yield group.cache_subnet_group_name


def classic_balancer(region: str, name: str) -> LoadBalancer | None:
    return elb_backends[ACCOUNT][region].load_balancers.get(name)


def target_group(region: str, arn: str):
    """The target group of a load balancer of the second generation; None if there is none."""
    return elbv2_backends[ACCOUNT][region].target_groups.get(arn)


def service(region: str, cluster: str, name: str):
    """The ECS service, by its name or ARN; None if there is none."""
    return ecs_backends[ACCOUNT][region].services.get(f"{cluster.split('/')[-1]}:{name.split('/')[-1]}")


def task_definition(region: str, name: str):
    """The task definition of an ARN, a family or FAMILY:REVISION; None if there is none."""
    family, _, revision = name.split("/")[-1].partition(":")
    revisions = ecs_backends[ACCOUNT][region].task_definitions.get(family, {})
    number = int(revision) if revision.isdecimal() else max(revisions, default=0)
    return revisions.get(number)


def bucket_exists(name: str) -> bool:
    return name in s3_backends[ACCOUNT][PARTITION].buckets


def secret_has_rotation(region: str, name: str) -> bool:
    """Whether a Lambda function that rotates the secret is known."""
    secrets = secretsmanager_backends[ACCOUNT][region].secrets
    return bool(name in secrets and secrets[name].rotation_lambda_arn)


def secret_is_scheduled_for_deletion(region: str, name: str) -> bool:
    secrets = secretsmanager_backends[ACCOUNT][region].secrets
    return name in secrets and secrets[name].is_deleted()


def note_deletions_of_parameters(region: str, names: Iterable[str]) -> None:
    backend = ssm_backends[ACCOUNT][region]
    now = time.monotonic()
    backend.__dict__.setdefault("deleted", {}).update({name: now for name in names if name in backend._parameters})


def parameter_was_deleted(region: str, name: str, seconds: float) -> bool:
    """Whether this parameter is gone, for less than these seconds."""
    backend = ssm_backends[ACCOUNT][region]
    when = backend.__dict__.get("deleted", {}).get(name)
    return when is not None and name not in backend._parameters and time.monotonic() - when < seconds


def caller_reference_is_used(reference: str) -> bool:
    """Whether a hosted zone was made with this caller reference."""
    zones = list(route53_backends[ACCOUNT][PARTITION].zones.values())
    return any(zone.caller_reference == reference for zone in zones)

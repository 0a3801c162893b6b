"""What another choice of the params has left: told by name, taken away alone, and only where it is ours."""

import pytest
import services
import world
from account import by_name, dump
from victim import Victim, is_killed

from runbook import former, lease, plan
from runbook.errors import NotOurs

pytestmark = pytest.mark.moto

STEPS = [step for step in plan.STEPS if step.thing != former.TITLE]
OF_THE_BLOG = {
    "service registry",
    "load balancer registry",
    "nodes of registry-node",
    "IAM role registry-execution",
    "security groups of registry-node",
    "imported certificate",
    "IAM user registry-s3",
}
OF_PRODUCTION = {
    "alarms",
    "scaling of the service",
    "targets",
    "service registry-scaled",
    "load balancer registry-alb",
    "nodes of registry-asg",
    "cache registry-cache",
    "IAM role registry-scaled-execution",
    "security groups of registry-asg",
    "requested certificate",
    "IAM role registry-task",
}


@pytest.fixture
def blog(tmp_path):
    return world.blog(tmp_path)


@pytest.fixture
def production():
    return world.production()


@pytest.fixture
def aws(blog, account, monkeypatch, tmp_path):
    with world.account(blog, monkeypatch, tmp_path / "node") as connection:
        yield connection


def deploy(aws, p):
    for step in STEPS:
        step.ensure(aws, p)


def there(aws, p):
    return {what for what, state in former.find_former(aws.read_only(), p).items() if state == "still there"}


def test_an_upgrade_ends_with_the_new_deployment_alone(aws, blog, production):
    deploy(aws, production)
    assert there(aws, production) == set()
    alone = by_name(aws)
    plan.destroy(aws, production, confirm=production.name, images=True)
    deploy(aws, blog)
    assert there(aws, blog) == set()
    deploy(aws, production)
    assert there(aws, production) == OF_THE_BLOG
    assert there(aws, blog) == OF_PRODUCTION
    kill_after_each_write(former.destroy_former, production)
    assert there(aws, production) == set()
    assert former.verify_former(aws, production).require()
    assert not former.ensure_former(aws.read_only(), production)
    assert plan.verify(aws, production).require()
    assert by_name(aws) == alone


def kill_after_each_write(destroy, p):
    """Kill it just after its first write, again and again, until it finds nothing left to do."""
    victim, killed = Victim(p), True
    writes = []
    while killed:
        victim.dies_at("after-call", 1)
        killed = is_killed(destroy, victim.aws, p)
        writes += victim.writes
    assert len(writes) > 10, writes


def test_the_way_back_leaves_what_both_have(aws, blog, production):
    deploy(aws, blog)
    alone = by_name(aws)
    plan.destroy(aws, blog, confirm=blog.name, images=True)
    deploy(aws, production)
    aws.s3.put_object(Bucket=production.bucket, Key="docker/registry/v2/one", Body=b"x")
    assert there(aws, blog) == OF_PRODUCTION
    former.ensure_former(aws, blog)
    assert aws.s3.get_object(Bucket=blog.bucket, Key="docker/registry/v2/one")
    deploy(aws, blog)
    assert there(aws, blog) == set()
    assert plan.verify(aws, blog).require()
    assert by_name(aws) == alone


@pytest.mark.parametrize("which", ["blog", "production"])
def test_where_nothing_is_nothing_is_written(aws, request, which):
    p = request.getfixturevalue(which)
    assert former.verify_former(aws.read_only(), p).require()
    assert not former.ensure_former(aws.read_only(), p)
    assert not former.destroy_former(aws.read_only(), p).rows


@pytest.mark.parametrize(
    "change, left",
    [
        ({"cache": "memory"}, {"cache registry-cache"}),
        ({"alarms": False}, {"alarms"}),
        ({"credentials": "instance-role"}, {"IAM role registry-task"}),
        ({"certificate": "live"}, {"requested certificate"}),
    ],
)
def test_each_choice_has_its_own_pieces(production, change, left):
    assert set(former.want_former(services.production(**change))) - set(former.want_former(production)) == left


def _classic(aws, p):
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
    zones = [f"{p.region}a"]
    aws.elb.create_load_balancer(LoadBalancerName="registry", Listeners=[listener], AvailabilityZones=zones)


def _application(aws, _):
    subnets = [subnet["SubnetId"] for subnet in aws.ec2.all("describe_subnets", "Subnets")]
    aws.elbv2.create_load_balancer(Name="registry-alb", Subnets=subnets)


def _service(name):
    def make(aws, p):
        aws.ecs.create_cluster(clusterName=p.cluster_name)
        container = {"name": "theirs", "image": "theirs", "memory": 100}
        aws.ecs.register_task_definition(family="theirs", containerDefinitions=[container])
        aws.ecs.create_service(cluster=p.cluster_name, serviceName=name, taskDefinition="theirs", desiredCount=1)

    return make


def _role(name):
    return lambda aws, _: aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Version": "2012-10-17"}')


def _group(name):
    return lambda aws, _: aws.ec2.create_security_group(GroupName=name, Description="theirs")


def _cache(aws, p):
    aws.elasticache.create_replication_group(
        ReplicationGroupId=p.cache_name, ReplicationGroupDescription="theirs", CacheNodeType="cache.t4g.micro"
    )


THEIRS = {
    "classic load balancer": ("production", _classic),
    "service": ("production", _service("registry")),
    "execution role": ("production", _role("registry-execution")),
    "node role": ("production", _role("registry-node")),
    "security group": ("production", _group("registry-node")),
    "user": ("production", lambda aws, p: aws.iam.create_user(UserName=p.user_name)),
    "application load balancer": ("blog", _application),
    "scaled service": ("blog", _service("registry-scaled")),
    "task role": ("blog", _role("registry-task")),
    "scaled security group": ("blog", _group("registry-asg")),
    "cache": ("blog", _cache),
}


@pytest.mark.parametrize("which, make", THEIRS.values(), ids=THEIRS)
def test_what_is_not_ours_stays(aws, request, which, make):
    p = request.getfixturevalue(which)
    make(aws, p)
    with lease.hold(aws, p):
        before = dump(aws)
        for verb in (former.verify_former, former.ensure_former, former.destroy_former):
            with pytest.raises(NotOurs):
                verb(aws, p)
        assert dump(aws) == before

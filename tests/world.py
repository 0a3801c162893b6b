"""AWS for a whole deployment within one process: moto, and what AWS does on its own while the runbook waits."""

import contextlib
import itertools
import time
from types import SimpleNamespace

import agents
import services
from moto import mock_aws
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elbv2.models import ELBv2Backend
from test_htpasswd import Nodes
from test_imported_certificate import write

import runbook
from runbook import former, lease, plan, wait
from runbook.local.inside import acm, ec2, ecs_capacity, elasticache, elasticache_api, elb, elbv2_api, metadata, scaling

QUICK = {"bcrypt_cost": 5}


def blog(folder, **changes):
    """The blog's params for AWS, with a certificate in `folder`/live."""
    write(folder / "live")
    given = {"cloud": "aws", "certificate": str(folder / "live"), **QUICK, **changes}
    return runbook.load({**runbook.load("blog").model_dump(), **given})


def production(**changes):
    """The params for production on AWS."""
    return services.production(**QUICK, **changes)


def install(monkeypatch, region):
    """moto mended as in the embedded cloud, and a round of what AWS does on its own at each sleep of a wait."""
    for mending in (acm, ec2, elb, elasticache_api, metadata, scaling):
        mending.install()
    described = ecs_capacity._describe_capacity_providers
    monkeypatch.setattr(EC2ContainerServiceResponse, "describe_capacity_providers", described)
    updated = ecs_capacity._update_capacity_provider
    monkeypatch.setattr(EC2ContainerServiceBackend, "update_capacity_provider", updated)
    monkeypatch.setattr(ELBv2Backend, "modify_listener", elbv2_api._switched(ELBv2Backend.modify_listener))
    monkeypatch.setattr(elb, "REGISTERING", elb.IN_SERVICE)
    monkeypatch.setattr("moto.settings.ACM_VALIDATION_WAIT", -1)
    minutes = itertools.count(0, 60)
    monkeypatch.setattr(former, "time", SimpleNamespace(monotonic=lambda: next(minutes)))
    services.keep_all(monkeypatch)
    join, scheduler = agents.install(monkeypatch), services.Scheduler(region)

    def sleep(_seconds):
        join()
        scheduler.sleep()
        for group in elasticache.groups(region):
            if group.status == "deleting":
                elasticache.gone(region, group.name)
            else:
                group.status = "available"

    monkeypatch.setattr(wait, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))


def connect(p, folder):
    """The nodes, which run commands in `folder`, with a connection (their `aws`) to moto's account as it is."""
    nodes = Nodes(folder, runbook.connect(p), p)
    nodes.play(nodes.aws)
    return nodes


@contextlib.contextmanager
def account(p, monkeypatch, folder):
    """A connection to an account that is empty but for the zone."""
    install(monkeypatch, p.region)
    with mock_aws():
        aws = connect(p, folder).aws
        aws.route53.create_hosted_zone(Name=p.zone, CallerReference="x")
        yield aws


def deploy(aws, p):
    """Every step, under one lease, as a run of the notebooks takes them."""
    with lease.hold(aws, p):
        for step in plan.STEPS:
            step.ensure(aws, p)

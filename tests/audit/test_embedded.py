"""The command on deployments that run on the embedded cloud."""

import os
import subprocess
import sys

import pytest

from runbook import load, paths, plan

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def p(home):
    return load({**load("blog").model_dump(), "bcrypt_cost": 5})


@pytest.fixture(scope="module")
def cloud(p):
    return plan.start(p)


@pytest.fixture
def aws(cloud, p):
    """The blog's deployment, complete; what a test changed is mended here for the next one."""
    for step in plan.STEPS:
        step.ensure(cloud, p)
    return cloud


def audited(*arguments):
    command = [sys.executable, "-m", "runbook", "audit", "--cloud", "embedded", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, cwd=paths.PROJECT)
    return done.returncode, done.stdout, done.stderr


def test_the_blogs_deployment_as_the_runbook_makes_it(aws, p):
    one = aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"][0]
    status, out, err = audited("--service", one["serviceArn"])
    assert (status, err) == (1, "")
    above = [line.partition(": ")[2] for line in out.splitlines() if line.startswith(("error", "warning"))]
    assert len(above) == 6, out
    said = (
        "the container can write to its root file system",
        "the container keeps Linux capabilities",
        "the container runs as root",
        "the health check TCP:5000",
        "it is imported",
        "the registry is an IAM user",
    )
    assert all(any(line.startswith(each) for line in above) for each in said), above  # fmt: skip
    assert "could not be looked at" not in out
    assert audited("--service", p.service_name, "--cluster", p.cluster_name, "--region", p.region)[1] == out


def test_a_registry_that_is_gone_is_an_error(aws, p):
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, desiredCount=0)
    names = ("--service", p.service_name, "--cluster", p.cluster_name, "--region", p.region)
    status, out, _ = audited(*names)
    assert status == 1
    assert f"error   service {p.service_name}: 0 of 0 registries run" in out


def test_what_is_not_there_is_one_sentence(aws, p):
    status, out, err = audited("--service", "nothing", "--cluster", p.cluster_name, "--region", p.region)
    assert (status, out) == (2, "")
    assert err.startswith("runbook: eu-central-1: there is no service nothing in a cluster")

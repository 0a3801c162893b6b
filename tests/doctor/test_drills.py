"""Drills in the blog's deployment: it is broken in the way of a row, and the doctor names that row and no other."""

from pathlib import Path

import pytest
from drilling import deploy, drill, mend, rows, well

from runbook import doctor, hosted_zone, vpc, wait
from runbook.__main__ import main
from runbook.failures import FAILURES
from runbook.local import breaking, state
from runbook.local.authority import Authority
from runbook.local.breaking import edits, outside

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def deployed(home):
    return deploy("blog")


@pytest.fixture
def blog(deployed):
    aws, p = deployed
    yield aws, p
    mend(aws, p)
    outside.unlimited_requests(aws, p)


def test_nothing_is_wrong_with_a_healthy_deployment(blog, capsys):
    aws, p = blog
    well(aws, p)
    assert main(["doctor", "blog"]) == 0
    assert "nothing is wrong with deployment registry" in capsys.readouterr().out


@pytest.mark.parametrize("row", rows("blog"))
def test_the_doctor_names_the_row(row, blog, figure):
    found = drill(row, *blog)
    figure("failures drilled and named right", row)
    if row == 22:
        ended = "ended by themselves (EssentialContainerExited, exit code of registry 1); ECS has rolled back"
        assert ended in found.cause.evidence[0]
        assert "Essential container in task exited" in found.cause.evidence
        assert found.cause.evidence[-1] == "log of registry: open /tls/cert.pem: no such file or directory"


def test_the_command_says_the_cause_and_fails(blog, capsys):
    aws, p = blog
    outside.short_idle_timeout(aws, p)
    assert main(["doctor", "blog"]) == 1
    out = capsys.readouterr().out
    assert "(failure 4)" in out and "idle timeout of load balancer registry: 60 s; the params: 300 s" in out


def test_a_certificate_for_another_name(blog):
    aws, p = blog
    outside.serve(aws, p, Authority(state.home()).sign(["other.example"]))
    found = doctor.diagnose(aws, p)
    assert found.row == 23 and "trusted, but for other.example" in found.cause.evidence[0], found


@pytest.mark.long
def test_a_certificate_that_has_ended(blog):
    """AWS imports none that has; this one has five seconds left."""
    aws, p = blog
    outside.serve(aws, p, Authority(state.home()).sign([p.domain], days=5 / 86400))

    def look():
        found = doctor.diagnose(aws, p)
        return found if found.row == 23 else None, repr(found)

    found = wait.wait("the end of the certificate", look, timeout=60)
    assert "certificate has expired" in found.cause.evidence[0], found


@pytest.mark.parametrize("anew", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_name_without_a_record_and_one_that_leads_elsewhere(anew, blog):
    aws, p = blog
    zone = hosted_zone.find(aws, p)
    (record,) = hosted_zone.records(aws, zone, name=p.domain)
    other = record | {"ResourceRecords": [{"Value": "elsewhere.example"}]}
    hosted_zone.submit(aws, zone, changes=[("UPSERT", other) if anew else ("DELETE", record)])
    found = doctor.diagnose(aws, p)
    what = "does not lead to the load balancer" if anew else "has no record in Route 53"
    assert found.walked == ("name",) and found.row is None and what in found.cause.cause
    mend(aws, p, found.cause.notebook)
    well(aws, p)


def test_a_balancer_without_its_listener(blog):
    aws, p = blog
    aws.elb.delete_load_balancer_listeners(LoadBalancerName=p.balancer_name, LoadBalancerPorts=[443])
    found = doctor.diagnose(aws, p)
    assert found.walked[-1] == "balancer" and "no listener on port 443" in found.cause.cause


@pytest.mark.long
def test_no_balancer(blog):
    aws, p = blog
    aws.elb.delete_load_balancer(LoadBalancerName=p.balancer_name)
    found = doctor.diagnose(aws, p)
    assert found.walked[-1] == "balancer" and found.cause.cause == "there is no load balancer registry"


@pytest.mark.long
def test_what_is_no_row_is_told_by_the_plan(blog):
    """Clients that the security group does not admit, and a service that somebody has set to no task."""
    aws, p = blog
    group = vpc.group_id(aws, p, p.balancer_group)
    (found,) = aws.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    aws.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=found["IpPermissions"])
    found = doctor.diagnose(aws, p)
    assert found.row is None and found.cause.notebook == "02_create_a_task_definition"
    assert "443" in found.cause.evidence[0]
    mend(aws, p, found.cause.notebook)
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, desiredCount=0)
    wait.wait("the end of the task", lambda: (not ready(aws, p) or None, "on its way"), timeout=60)
    found = doctor.diagnose(aws, p)
    assert found.row is None and found.cause.notebook == "04_launch_your_service"
    assert "desiredCount: wanted 1, found 0" in found.cause.evidence[0]


def ready(aws, p):
    (found,) = aws.ecs.describe_services(cluster=p.cluster_name, services=[p.service_name])["services"]
    return found["runningCount"]


@pytest.mark.long
def test_stopped_nodes_are_told_by_the_plan(blog):
    aws, p = blog
    states = aws.elb.describe_instance_health(LoadBalancerName=p.balancer_name)["InstanceStates"]
    ids = [each["InstanceId"] for each in states]
    aws.ec2.stop_instances(InstanceIds=ids)
    wait.wait("the end of the task", lambda: (not ready(aws, p) or None, "on its way"), timeout=60)
    found = doctor.diagnose(aws, p)
    assert found.row is None and found.cause.cause.startswith("nodes "), found


@pytest.mark.long
def test_an_inactive_key(blog):
    aws, p = blog
    (key,) = aws.iam.list_access_keys(UserName=p.user_name)["AccessKeyMetadata"]
    turn = {"UserName": p.user_name, "AccessKeyId": key["AccessKeyId"]}
    aws.iam.update_access_key(**turn, Status="Inactive")
    found = doctor.diagnose(aws, p)
    assert found.row == 5 and "the key in secret registry/s3-key is inactive" in found.cause.evidence[0]
    assert key["AccessKeyId"] not in repr(found)
    aws.iam.update_access_key(**turn, Status="Active")
    mend(aws, p)
    well(aws, p)


@pytest.mark.long
def test_an_image_that_is_not_there_is_no_row_and_has_a_cause(blog):
    aws, p = blog

    def edit(_, registry):
        registry["image"] = "registry:9.9.9"

    edits.roll_back(aws, p, edit)
    found = doctor.diagnose(aws, p)
    assert found.row is None and found.cause.cause == "the image cannot be pulled", found
    mend(aws, p)
    well(aws, p)


def test_each_row_is_a_drill_or_says_why_not():
    assert not breaking.BREAKS.keys() & breaking.NOT_HERE.keys()
    assert breaking.BREAKS.keys() | breaking.NOT_HERE.keys() == FAILURES.keys()


def test_a_break_is_refused_where_it_makes_no_sense(blog, capsys, tmp_path):
    _, p = blog
    for arguments, why in (
        (["blog", "99"], "there is no failure 99"),
        (["production", "4"], "params/blog.yml"),
        (["blog"], "python -m runbook cloud break blog 4"),
    ):
        assert main(["cloud", "break", *arguments]) == 2
        assert why in capsys.readouterr().err
    abroad = (Path(__file__).parents[2] / "params/blog.yml").read_text().replace("cloud: embedded", "cloud: aws")
    (tmp_path / "x.yml").write_text(abroad)
    assert main(["cloud", "break", str(tmp_path / "x.yml"), "4"]) == 2
    assert "only the embedded cloud" in capsys.readouterr().err

"""Drills behind the balancer, in the blog's deployment: tasks, configuration, credentials, S3."""

import pytest
from drilling import broken, drill, mend, mended, well

from runbook import doctor
from runbook.local import breaking
from runbook.local.breaking import inside

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def blog(deployed):
    return deployed("blog")


def test_nothing_is_wrong_with_a_healthy_deployment(blog):
    well(*blog)


@pytest.mark.parametrize("row", sorted(row for row, each in inside.BREAKS.items() if each.params == "blog"))
def test_the_doctor_names_the_row(row, blog):
    drill(row, *blog)


def test_a_rollback_shows_the_reasons_and_the_last_lines(blog):
    evidence = broken(22, *blog).cause.evidence
    assert "ended by themselves (EssentialContainerExited, exit code of registry 1); ECS has rolled back" in evidence[0]
    assert "Essential container in task exited" in evidence
    assert evidence[-1] == "log of registry: open /tls/cert.pem: no such file or directory"
    mended(22, *blog)


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


def test_an_image_that_is_not_there_is_no_row_and_has_a_cause(blog):
    aws, p = blog

    def edit(_, registry):
        registry["image"] = "registry:9.9.9"

    inside.until_rolled_back(aws, p, inside.redefine(aws, p, edit))
    found = doctor.diagnose(aws, p)
    assert found.row is None and found.cause.cause == "the image cannot be pulled", found
    mend(aws, p)
    well(aws, p)


def test_each_row_of_this_half_is_a_drill_or_says_why_not():
    rows = {1, 2, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 26, 27, 28, 29, 30, 31, 33}
    assert inside.BREAKS.keys() | inside.NOT_HERE.keys() == rows
    assert not inside.BREAKS.keys() & inside.NOT_HERE.keys()
    assert breaking.BREAKS.keys() >= inside.BREAKS.keys()

"""What Prowler, Checkov, cfn-lint and parliament find in production: nothing without a reason in accepted.yml.

`make scan` installs the scanners and runs all of this; `make test` runs what is quick, where they are installed.
"""

import json

import accepted
import cloudformation
import pytest
import scanners
from scanners import Finding

import runbook
from runbook import local, plan, storage
from runbook.deployer_policy import want_policies
from runbook.local import state

SECONDS = 1800


def production():
    return runbook.load("production")


def registry_3():
    changed = {"cloud": "aws", "image": "registry:3.1.1", "credentials": "task-role"}
    return runbook.load({**production().model_dump(), **changed})


VARIANTS = {"production": production, "registry-3": registry_3}


@pytest.fixture(params=VARIANTS)
def variant(request):
    return request.param


@pytest.fixture
def template(variant, tmp_path):
    file = tmp_path / f"{variant}.json"
    file.write_text(json.dumps(cloudformation.template(VARIANTS[variant]())))
    return file


def judge(found, listed, figure, scanner):
    figure(f"{scanner}: findings, all with a reason", len(found))
    assert accepted.unlisted(found, listed) == []
    assert accepted.idle(found, listed) == [], "take these out of accepted.yml"


@pytest.mark.pure
def test_cfn_lint_has_nothing_against_what_is_sent(template, figure):
    judge(scanners.cfn_lint(template), accepted.entries("cfn-lint"), figure, f"cfn-lint, {template.stem}")


@pytest.mark.pure
def test_cfn_lint_sees_what_aws_would_refuse(template):
    content = json.loads(template.read_text())
    content["Resources"]["TargetGroup"]["Properties"]["HealthCheckIntervalSeconds"] = 1
    content["Resources"]["Log"]["Properties"]["RetentionInDays"] = 91
    template.write_text(json.dumps(content))
    found = {each.resource.split("/")[-1] for each in scanners.cfn_lint(template)}
    assert found == {"HealthCheckIntervalSeconds", "RetentionInDays"}


@pytest.mark.pure
def test_parliament_on_every_policy_that_is_written(figure):
    policies = {}
    for variant, make in VARIANTS.items():
        p = make()
        written = {name: role["InlinePolicy"] for name, role in cloudformation.roles(p).items()}
        written |= {"bucket": storage.want_bucket(p)["Policy"], **want_policies(p)}
        policies |= {f"{variant} {name}": policy for name, policy in written.items() if policy}
    assert len(policies) >= 12
    figure("parliament: policies", len(policies))
    judge(scanners.parliament(policies), accepted.entries("parliament"), figure, "parliament")


@pytest.mark.pure
def test_parliament_sees_a_policy_that_cannot_be_meant():
    wrong = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b"]}
    found = scanners.parliament({"wrong": {"Version": "2012-10-17", "Statement": [wrong]}})
    assert found == {Finding("RESOURCE_MISMATCH", "wrong")}


@pytest.mark.pure
@pytest.mark.long
@pytest.mark.timeout(SECONDS)
def test_checkov(variant, template, figure):
    found, spoke = scanners.checkov(template)
    figure(f"Checkov, {variant}: checks with a finding, good or bad", len(spoke))
    assert accepted.speaking("checkov") - spoke == set()
    judge(found, accepted.entries("checkov", variant=variant), figure, f"Checkov, {variant}")


@pytest.mark.embedded
@pytest.mark.long
@pytest.mark.timeout(SECONDS)
def test_prowler(home, tmp_path, figure):
    scanners.installed("prowler")
    p = production()
    aws = plan.start(p)
    for step in plan.STEPS:
        step.ensure(aws, p)
    endpoint = state.read(home)["endpoint"]
    found, spoke = scanners.prowler(endpoint, tmp_path, region=p.region, seconds=SECONDS)
    local.down()
    figure("Prowler: checks with a finding, good or bad", len(spoke))
    assert accepted.speaking("prowler") - spoke == set()
    judge(found, accepted.entries("prowler", variant="production"), figure, "Prowler")


@pytest.mark.pure
def test_a_finding_without_an_entry_and_an_entry_without_a_finding_are_told():
    found, entry = {Finding("A", "x/1")}, {"check": "A", "resource": "x/*"}
    assert accepted.unlisted(found, [entry]) == [] == accepted.idle(found, [entry])
    assert accepted.unlisted({Finding("A", "y")}, [entry]) == [Finding("A", "y")]
    assert accepted.idle({Finding("B", "x/1")}, [entry]) == ["A x/*"]


@pytest.mark.pure
@pytest.mark.parametrize("scanner", ["cfn-lint", "parliament", "checkov", "prowler"])
def test_each_entry_says_why(scanner):
    for entry in accepted.entries(scanner, variant="production"):
        assert entry.keys() - {"variant"} == {"check", "resource", "reason"}, entry
        assert len(entry["reason"].split()) > 5, entry

"""What a login must be allowed: the table against the calls in the code, and against AWS's own list of actions."""

import functools
import importlib.util
import json
import re
from pathlib import Path

import pytest
from botocore import xform_name
from botocore.session import Session

from runbook import load, paths
from runbook.deployer_policy import LONGEST, want_policies
from runbook.local.inside import authorization

pytestmark = pytest.mark.pure

# Actions that no operation is called like: what else a call needs.
IMPLIED = {
    *("acm:AddTagsToCertificate", "application-autoscaling:TagResource", "cloudwatch:TagResource"),
    *("elasticache:AddTagsToResource", "elasticloadbalancing:AddTags", "iam:PassRole", "iam:TagInstanceProfile"),
    *("iam:TagRole", "iam:TagUser", "logs:TagResource", "s3:DeleteObjectVersion", "secretsmanager:TagResource"),
    *("ssm:AddTagsToResource", "ssm:GetParameters"),
}
# Operations whose names the code composes.
COMPOSED = {f"ec2:{verb}SecurityGroup{way}" for verb in ("Authorize", "Revoke") for way in ("Egress", "Ingress")}
# All resources, though AWS lets some be named: a call that names none is evaluated for all, or AWS does not say.
BROAD = {
    *("acm:ListCertificates", "cloudwatch:DescribeAlarms", "ec2:DescribeInstanceAttribute", "ecs:ListTasks"),
    *("cloudwatch:GetMetricData", "ecs:RegisterTaskDefinition"),
}


def statements(p):
    return [each for policy in want_policies(p).values() for each in policy["Statement"]]


def granted(p):
    return {action for each in statements(p) for action in each["Action"]}


def blog():
    return load("blog")


def production():
    return load("production")


EITHER = pytest.mark.parametrize("params", [blog, production])


def test_the_published_policy_is_what_the_code_says():
    shown = json.loads((paths.PROJECT / "docs" / "deployer_policy.json").read_text())
    assert shown == want_policies(production())


@EITHER
def test_each_is_short_enough_for_a_managed_policy_and_they_are_few(params):
    longest = {"name": "a" * 24, "bucket": "b" * 63, "domain": f"{'c' * 60}.elastic.io"}
    for p in (params(), params().model_copy(update=longest)):
        policies = want_policies(p, account="1" * 12)
        assert len(policies) <= 10
        for policy in policies.values():
            assert len(json.dumps(policy, separators=(",", ":"))) <= LONGEST


def calls():
    """(service, operation in words) of every call in the code, as it is written there."""
    said = r"aws\.(\w+)\.(?:(?:find|all)\(\s*f?\"([\w{}]+)\"|(\w+)\()"
    for file in (paths.PROJECT / "runbook").glob("*.py"):
        for service, named, called in re.findall(said, file.read_text()):
            if service not in ("http", "leases"):  # of AWS, the connection, which are no service
                yield service.replace("_", "-"), named or called


def test_every_call_in_the_code_is_allowed():
    said = [(service, name) for service, name in calls() if name not in ("find", "all") and "{" not in name]
    called = {of(service, operations(service)[name]) for service, name in said} - {"sts:GetCallerIdentity"}
    assert len(called) > 150
    assert called - granted(blog()) - granted(production()) == {"sns:GetTopicAttributes"}  # with alarms_to alone
    told = load({**production().model_dump(), "alarms_to": "arn:aws:sns:eu-central-1:123456789012:on-call"})
    assert "sns:GetTopicAttributes" in granted(told)


@EITHER
def test_whether_clients_are_shown_the_certificate_in_acm_can_be_told(params):
    """Rotation compares the two, whoever issued it."""
    assert {"acm:DescribeCertificate", "acm:GetCertificate"} <= granted(params())


@functools.cache
def operations(service):
    return {xform_name(name): name for name in Session().get_service_model(service).operation_names}


def of(service, name):
    if service == "s3":
        return f"s3:{authorization.S3_ACTIONS.get(name, name)}"
    return f"{authorization.PREFIXES.get(service, service)}:{name}"


def test_nothing_is_allowed_that_no_call_in_the_code_needs():
    text = "".join(file.read_text() for file in (paths.PROJECT / "runbook").glob("*.py"))
    s3 = {action: name for name, action in authorization.S3_ACTIONS.items()}
    superfluous = set()
    for action in (granted(blog()) | granted(production())) - IMPLIED - COMPOSED:
        service, name = action.split(":")
        words = {xform_name(name), xform_name(s3.get(name, name))}
        words |= {word.removeprefix("get_") for word in words}
        if not any(re.search(rf"\b{word}\b", text) for word in words):
            superfluous.add(action)
    assert not superfluous


@EITHER
def test_a_tag_is_written_and_told_under_no_key_that_only_other_actions_have(params):
    """What AWS does not tell of a call makes a condition fail: the action would be refused."""
    tagging = re.compile(r"application-autoscaling:(ListTagsForResource|(Tag|Untag)Resource)")
    found = [each for each in statements(params()) if any(tagging.fullmatch(action) for action in each["Action"])]
    assert bool(found) == params().scales
    for each in found:
        keys = [key for pairs in each.get("Condition", {}).values() for key in pairs]
        assert not [key for key in keys if key.startswith("application-autoscaling:")], each["Sid"]


@pytest.fixture(scope="module")
def reference():
    """AWS's list of actions and what they act on, as cfn-lint (which moto needs) keeps it."""
    found = importlib.util.find_spec("cfnlint")
    if found is None:
        pytest.skip("cfn-lint is not installed, so AWS's list of actions is not here")
    return json.loads((Path(found.origin).parent / "data/AdditionalSpecs/Policies.json").read_text())


@EITHER
def test_aws_knows_every_action_and_lets_it_be_given_for_these_things_under_these_conditions(params, reference):
    for statement in statements(params()):
        resources = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        for action in statement["Action"]:
            service, name = action.split(":")
            assert name.lower() in reference[service]["Actions"], action
            names = reference[service]["Actions"][name.lower()].get("Resources", [])
            known = {kind.lower(): found for kind, found in reference[service]["Resources"].items()}
            kinds = [known[kind.lower()] for kind in names]
            if resources == ["*"]:
                assert not kinds or action in BROAD or ":Describe" in action, action
                continue
            fit = [kind for kind in kinds for each in resources if any(re.fullmatch(form, each) for form in arns(kind))]
            assert fit, f"{action}: AWS evaluates it for nothing like {resources}"
            for key in (key for pairs in statement.get("Condition", {}).values() for key in pairs):
                if key.startswith("aws:ResourceTag/"):
                    assert any("aws:ResourceTag/${TagKey}" in kind.get("ConditionKeys", []) for kind in fit), action


def arns(kind):
    """Patterns of the ARN of one kind of thing; AWS's placeholders stand for anything."""
    return [re.sub(r"\$\{\w+\}", "[^:]*", form) for form in kind["ARNFormats"]]

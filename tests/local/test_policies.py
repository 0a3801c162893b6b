"""IAM's evaluation of identity policies, as tables."""

import json

import pytest

from runbook.local.inside.policies import allowed, matches

pytestmark = pytest.mark.pure

ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
DENY = {"Effect": "Deny", "Action": "*", "Resource": "*"}
TEAM = "aws:ResourceTag/team"


def said(*statements, action="s3:GetObject", resource="arn:aws:s3:::b/k", **context):
    return allowed([{"Version": "2012-10-17", "Statement": list(statements)}], action, resource, context)


@pytest.mark.parametrize(
    ("change", "asked", "answer"),
    [
        ({}, {}, True),
        ({}, {"action": "s3:getobject"}, True),
        ({}, {"action": "s3:PutObject"}, False),
        ({}, {"resource": "arn:aws:s3:::other/k"}, False),
        ({"Action": ["s3:Put*", "s3:Get*"]}, {}, True),
        ({"Action": "s3:GetObjec?"}, {}, True),
        ({"Action": "s3:GetObject?"}, {}, False),
        ({"Resource": ["arn:aws:s3:::a", "*"]}, {}, True),
        ({"Resource": "arn:aws:s3:::B/*"}, {}, False),
        ({"Resource": "arn:aws:s3:::${aws:username}/*"}, {}, False),
    ],
)
def test_actions_and_resources(change, asked, answer):
    assert said(ALLOW | change, **asked) is answer


def test_what_is_not_named_and_what_is_named_as_the_rest():
    rest = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    assert said(rest) and not said(rest, action="iam:CreateUser")
    elsewhere = {"Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::b/*"}
    assert not said(elsewhere) and said(elsewhere, resource="arn:aws:s3:::other")


def test_nothing_allows_and_a_deny_wins_in_any_order_and_document():
    assert not allowed([], "s3:GetObject", "*", {})
    assert not said(ALLOW, DENY) and not said(DENY, ALLOW)
    documents = [json.dumps({"Statement": each}) for each in (ALLOW, DENY)]
    assert allowed(documents[:1], "s3:GetObject", "arn:aws:s3:::b/k", {})
    assert not allowed(documents, "s3:GetObject", "arn:aws:s3:::b/k", {})


@pytest.mark.parametrize(
    ("condition", "context", "answer"),
    [
        ({"StringEquals": {TEAM: "a"}}, {"aws:resourcetag/team": "a"}, True),
        ({"StringEquals": {TEAM: "a"}}, {"aws:resourcetag/team": "A"}, False),
        ({"StringEqualsIgnoreCase": {TEAM: "a"}}, {"aws:resourcetag/team": "A"}, True),
        ({"StringEquals": {TEAM: ["a", "b"]}}, {"aws:resourcetag/team": "b"}, True),
        ({"StringEquals": {TEAM: "a*"}}, {"aws:resourcetag/team": "ab"}, False),
        ({"StringLike": {TEAM: "a*"}}, {"aws:resourcetag/team": "ab"}, True),
        ({"StringEquals": {TEAM: "a"}}, {}, False),
        ({"StringEquals": {TEAM: "a"}, "ArnLike": {"x": "arn:*"}}, {"aws:resourcetag/team": "a"}, False),
        ({"Bool": {"aws:SecureTransport": "true"}}, {"aws:securetransport": "true"}, True),
        ({"Bool": {"aws:SecureTransport": True}}, {"aws:securetransport": "true"}, True),
        ({"ForAllValues:StringLike": {"n": ["a", "_*"]}}, {"n": ["a", "_b"]}, True),
        ({"ForAllValues:StringLike": {"n": ["a", "_*"]}}, {"n": ["a", "b"]}, False),
        ({"ForAllValues:StringLike": {"n": ["a"]}}, {}, True),
        ({"ForAnyValue:StringLike": {"n": ["a"]}}, {"n": ["b", "a"]}, True),
        ({"ForAnyValue:StringLike": {"n": ["a"]}}, {}, False),
    ],
)
def test_conditions(condition, context, answer):
    assert said(ALLOW | {"Condition": condition}, **context) is answer
    assert said(ALLOW | {"Condition": {}}, DENY | {"Condition": condition}, **context) is not answer


def test_a_condition_that_is_not_understood_fails_closed():
    condition = {"Condition": {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}}
    assert not said(ALLOW | condition)
    assert not said(ALLOW, DENY | condition)


def test_wildcards_are_no_other_pattern():
    assert matches("a[b]*", "a[b]c") and not matches("a[b]*", "abc")
    assert matches("a.c", "a.c") and not matches("a.c", "abc")

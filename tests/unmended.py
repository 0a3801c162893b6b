"""Puts moto back after a test that mends it, so that no other test of the session depends on the order."""

import pytest
from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.acm.responses import AWSCertificateManagerResponse
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend, FakeApplicationAutoscalingPolicy
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudwatch.models import CloudWatchBackend
from moto.core.responses import BaseResponse
from moto.ec2.models import EC2Backend
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses.instances import InstanceResponse
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.elasticache.models import ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse
from moto.elb.models import ELBBackend, FakeListener, LoadBalancer
from moto.elb.responses import ELBResponse
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer, FakeRule, FakeTargetGroup
from moto.elbv2.models import FakeListener as ApplicationListener
from moto.elbv2.responses import ELBV2Response
from moto.iam.responses import IamResponse
from moto.route53.responses import Route53
from moto.s3.models import FakeBucket

from runbook.local.inside import acm_requests, ecs_api

MENDED = (
    AWSCertificateManagerBackend,
    AWSCertificateManagerResponse,
    ApplicationAutoScalingResponse,
    ApplicationAutoscalingBackend,
    AutoScalingBackend,
    AutoScalingResponse,
    ApplicationListener,
    BaseResponse,
    CertBundle,
    CloudWatchBackend,
    EC2Backend,
    EC2ContainerServiceBackend,
    EC2ContainerServiceResponse,
    ElastiCacheBackend,
    ElastiCacheResponse,
    ELBBackend,
    ELBResponse,
    FakeApplicationAutoscalingPolicy,
    FakeAutoScalingGroup,
    FakeBucket,
    ELBV2Response,
    ELBv2Backend,
    FakeListener,
    FakeLoadBalancer,
    FakeRule,
    FakeTargetGroup,
    IamResponse,
    InstanceResponse,
    InstanceState,
    LaunchTemplate,
    LoadBalancer,
    Route53,
)


# What stood there before the mending, and what answers leave out: moto keeps that by class.
KEPT = [acm_requests._original, ecs_api._original]
KEPT += [each.RESPONSE_KEY_PATH_TO_TRANSFORMER for each in MENDED if issubclass(each, BaseResponse)]


@pytest.fixture
def unmended(monkeypatch):
    """After the test, these classes of moto are what they were before it, and so is what their mending keeps."""
    before, kept = {each: dict(vars(each)) for each in MENDED}, [dict(each) for each in KEPT]
    yield
    monkeypatch.undo()  # first: it takes away again what it has put into these classes
    for each, attributes in before.items():
        for name, value in dict(vars(each)).items():
            if name not in attributes:
                delattr(each, name)
            elif value is not attributes[name]:
                setattr(each, name, attributes[name])
    for each, content in zip(KEPT, kept, strict=True):
        each.clear()
        each.update(content)

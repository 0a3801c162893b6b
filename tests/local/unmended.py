"""Puts moto back after a test that mends it, so that no other test of the session depends on the order."""

import pytest
from moto.acm.models import AWSCertificateManagerBackend, CertBundle
from moto.applicationautoscaling.models import ApplicationAutoscalingBackend, FakeApplicationAutoscalingPolicy
from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.cloudwatch.models import CloudWatchBackend
from moto.core.responses import BaseResponse
from moto.elb.models import ELBBackend, FakeListener, LoadBalancer
from moto.elb.responses import ELBResponse
from moto.elbv2.models import ELBv2Backend, FakeLoadBalancer, FakeRule, FakeTargetGroup
from moto.elbv2.models import FakeListener as ApplicationListener
from moto.elbv2.responses import ELBV2Response
from moto.iam.responses import IamResponse

MENDED = (
    AWSCertificateManagerBackend,
    ApplicationAutoScalingResponse,
    ApplicationAutoscalingBackend,
    AutoScalingBackend,
    AutoScalingResponse,
    ApplicationListener,
    BaseResponse,
    CertBundle,
    CloudWatchBackend,
    ELBBackend,
    ELBResponse,
    FakeApplicationAutoscalingPolicy,
    FakeAutoScalingGroup,
    ELBV2Response,
    ELBv2Backend,
    FakeListener,
    FakeLoadBalancer,
    FakeRule,
    FakeTargetGroup,
    IamResponse,
    InstanceState,
    LoadBalancer,
)


@pytest.fixture
def unmended():
    """After the test, these classes of moto are what they were before it."""
    before = {each: dict(vars(each)) for each in MENDED}
    yield
    for each, attributes in before.items():
        for name, value in dict(vars(each)).items():
            if name not in attributes:
                delattr(each, name)
            elif value is not attributes[name]:
                setattr(each, name, attributes[name])

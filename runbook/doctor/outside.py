"""The client's side: the name, the certificate, the balancer, its targets; and what else the plan says."""

from .diagnosis import Cause
from .patient import Patient


def name(patient: Patient) -> Cause | None:
    raise NotImplementedError


def certificate(patient: Patient) -> Cause | None:
    raise NotImplementedError


def balancer(patient: Patient) -> Cause | None:
    raise NotImplementedError


def targets(patient: Patient) -> Cause | None:
    raise NotImplementedError


def rest(patient: Patient) -> Cause | None:
    raise NotImplementedError

"""Behind the balancer: tasks, their log, configuration, credentials, S3 and the cache."""

from .diagnosis import Cause
from .patient import Patient


def tasks(patient: Patient) -> Cause | None:
    raise NotImplementedError


def log(patient: Patient) -> Cause | None:
    raise NotImplementedError


def configuration(patient: Patient) -> Cause | None:
    raise NotImplementedError


def credentials(patient: Patient) -> Cause | None:
    raise NotImplementedError


def storage(patient: Patient) -> Cause | None:
    raise NotImplementedError


def cache(patient: Patient) -> Cause | None:
    raise NotImplementedError

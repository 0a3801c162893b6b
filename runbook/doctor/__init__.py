"""What is wrong with a deployment: a walk from the client's side inwards that stops at the first thing which explains
it. Reads only."""

from collections.abc import Callable, Sequence

from ..params import Params
from ..secret import Login
from ..session import AWS
from . import inside, outside
from .diagnosis import Cause, Diagnosis
from .patient import Patient

__all__ = ["STATIONS", "Cause", "Diagnosis", "diagnose"]

# Each is asked in this order, and answers with a cause, or with None: what is wrong is not here.
STATIONS: tuple[tuple[str, Callable[[Patient], Cause | None]], ...] = (
    ("name", outside.name),
    ("certificate", outside.certificate),
    ("balancer", outside.balancer),
    ("targets", outside.targets),
    ("tasks", inside.tasks),
    ("container log", inside.log),
    ("configuration", inside.configuration),
    ("credentials", inside.credentials),
    ("S3", inside.storage),
    ("cache", inside.cache),
    ("what nobody notices", inside.unnoticed),
    ("the rest of the plan", outside.rest),
)


def diagnose(aws: AWS, p: Params, *, logins: Sequence[Login] | None = None) -> Diagnosis:
    """The first cause on the way in. Without `logins` those of the params are used, where they can be read."""
    patient, walked = Patient(aws.read_only(), p, logins), []
    for station, look in STATIONS:
        walked.append(station)
        if cause := look(patient):
            return Diagnosis(p.title, tuple(walked), cause)
    return Diagnosis(p.title, tuple(walked), None)

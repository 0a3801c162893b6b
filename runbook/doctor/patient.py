"""The deployment as the doctor's stations look at it: what several of them want to know is read once."""

from collections.abc import Sequence

from ..params import Params
from ..secret import Login
from ..session import AWS
from .chart import Chart


class Patient(Chart):
    """Cached reads of one deployment, in a read-only session."""

    def __init__(self, aws: AWS, p: Params, logins: Sequence[Login] | None = None):
        self.aws, self.p, self._logins = aws, p, logins

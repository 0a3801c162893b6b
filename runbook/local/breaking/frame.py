"""What a break is."""

from collections.abc import Callable
from typing import NamedTuple

from ...params import Params
from ...session import AWS


class Break(NamedTuple):
    """How one failure is brought about in the deployment of `params`; `does` returns when its symptom shows.

    `what` says it to the person in one sentence; `mend` undoes what running the notebooks again does not.
    """

    params: str
    does: Callable[[AWS, Params], None]
    what: str
    mend: Callable[[AWS, Params], None] | None = None

"""What a break is: one of the failures, brought about in a running embedded deployment."""

from collections.abc import Callable
from typing import NamedTuple

from ...params import Params
from ...session import AWS


class Break(NamedTuple):
    """`does` breaks the deployment of `params` (blog or production) and returns when the symptom shows; `what` says
    in a sentence what was done; `mend` takes back what running the notebooks again does not."""

    params: str
    does: Callable[[AWS, Params], None]
    what: str
    mend: Callable[[AWS, Params], None] | None = None

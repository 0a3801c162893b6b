"""What AWS refuses and moto accepts is refused here too, with AWS's error code: a table of operations and rules."""

from ..inside import dispatch
from ..inside.dispatch import Refused
from . import application_balancers, balancers, caches, containers, identity, network, scaling, storage, zones

__all__ = ["RULES", "Refused", "install"]

RULES = {
    **application_balancers.RULES,
    **balancers.RULES,
    **caches.RULES,
    **containers.RULES,
    **identity.RULES,
    **network.RULES,
    **scaling.RULES,
    **storage.RULES,
    **zones.RULES,
}


def install() -> None:
    """Put the rules before moto's operations; a second call changes nothing."""
    dispatch.install(RULES)

"""The embedded cloud's balancers: a real HAProxy for every load balancer that the API was told to make."""

import itertools
import shutil
from pathlib import Path

from . import names
from .application import Application
from .classic import Classic
from .inside import acm, elb, elbv2, elbv2_api
from .proxy import Proxy


class Balancers:
    """The part that keeps one HAProxy per balancer, and what the API says of their targets' health true."""

    def __init__(self, place, nodes):
        self._place = place
        self._nodes = nodes
        self._proxies: dict[tuple[str, str], Proxy] = {}
        shutil.rmtree(place.folder("balancers"), ignore_errors=True)
        elb.install()
        elbv2_api.install()
        acm.install()

    def step(self) -> None:
        """One round over all balancers; one that cannot be served says why in `status`."""
        wanted = {(each.region, each.name): each for each in elb.wanted()}
        wanted |= {(each.region, each.arn): each for each in elbv2.wanted()}
        for key in self._proxies.keys() - wanted.keys():
            self._proxies.pop(key).close()
        for key, balancer in wanted.items():
            if key not in self._proxies:
                self._proxies[key] = self._new(balancer)
            self._proxies[key].serve(balancer, self._nodes)

    def close(self) -> None:
        while self._proxies:
            self._proxies.popitem()[1].close()

    def address(self, dns_name: str) -> str | None:
        """Where the balancer with this DNS name listens; None if there is none."""
        return next((p.address for p in list(self._proxies.values()) if p.dns_name == dns_name), None)

    def status(self) -> dict[str, list[dict]]:
        """For each balancer: its names, address, ports as the API has them, and what is wrong or None."""
        return {"balancers": [proxy.status() for proxy in list(self._proxies.values())]}

    def counters(self) -> list[dict]:
        """What CloudWatch counts of each target group of an application load balancer, from its beginning on.

        A row has region, load_balancer ("app/NAME/ID") and target_group ("targetgroup/NAME/ID"); requests,
        target_5xx and elb_5xx (sums since the balancer was made); healthy and unhealthy (targets, now). That of a
        classic one has its name as load_balancer, None as target_group, and of the numbers requests alone.
        """
        return [row for proxy in list(self._proxies.values()) for row in proxy.counters()]

    def resolve(self, query: dict[str, str]) -> tuple[int, dict]:
        """The endpoint's /_runbook/resolve: where a name in Route 53 leads to."""
        return names.answer(query, self.address)

    def _new(self, balancer: elb.Wanted | elbv2.Wanted) -> Proxy:
        taken = {proxy.number for proxy in self._proxies.values()}
        number = next(k for k in itertools.count(1) if k not in taken)
        folder = Path(self._place.folder(f"balancers/{number}"))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kind = Application if isinstance(balancer, elbv2.Wanted) else Classic
        return kind(number, self._place.balancer_address(number), balancer, folder)

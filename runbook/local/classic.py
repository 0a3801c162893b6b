"""Classic load balancers in the embedded cloud: each one's HAProxy, and DescribeInstanceHealth true."""

import csv
import re
import time
from pathlib import Path

from . import haproxy
from .access_log import Growing
from .inside import elb
from .proxy import Proxy

OUTPUT = "access.log"


class Classic(Proxy):
    """The HAProxy of one classic load balancer."""

    def __init__(self, number: int, address: str, balancer: elb.Wanted, folder: Path):
        answers = {haproxy.NO_INSTANCE: haproxy.NO_INSTANCE_ANSWER}
        super().__init__(number, address, balancer, folder, answers, OUTPUT)
        self._log = Growing(folder / OUTPUT)
        self._requests = 0
        self._model: haproxy.Balancer | None = None
        self._next: haproxy.Balancer | None = None
        self._keeps_sessions = True
        self._registered: dict[str, float] = {}
        self._was_up: set[str] = set()

    def serve(self, balancer: elb.Wanted, nodes) -> None:
        """One round: a process that runs with what the API says, and the instances' health in the API."""
        servers, other, gone = [], {}, []
        for instance in balancer.instances:
            node = nodes.get(instance)
            if node is not None:
                servers.append((instance, node.address))
                continue
            state = elb.instance_state(balancer.region, instance)
            if state == "terminated":
                gone.append(instance)
            else:
                other[instance] = elb.STOPPED if state.startswith("stop") else elb.REGISTERING
        if gone:
            elb.deregister(balancer.region, balancer.name, gone)
        self._converge(balancer, tuple(servers))
        if (health := self._health()) is not None:
            elb.write_health(balancer.region, balancer.name, health | other)
        self._requests += sum(map(_is_routed, self._log.new_lines()))

    def counters(self) -> list[dict]:
        """A row, as `Balancers.counters` says. A balancer counts what it has sent on to an instance."""
        row = {"region": self._region, "load_balancer": self._name, "target_group": None}
        return [{**row, "requests": self._requests}]

    def _converge(self, balancer: elb.Wanted, servers: tuple[tuple[str, str], ...]) -> None:
        self._tend()
        self._note_registrations(servers)
        self._next, self._keeps_sessions = self._translate(balancer, servers), balancer.draining
        text = haproxy.configuration(self._next)
        if not self._due(text):
            return
        running = self._ask("show servers state")
        if self._start(text, haproxy.state(self._next, running), known_as=text, running=running):
            self._model = self._next
            self._ports = tuple(listener.port for listener in self._model.listeners)

    def _note_registrations(self, servers: tuple[tuple[str, str], ...]) -> None:
        names = {instance for instance, _ in servers}
        self._registered = {i: self._registered.get(i, time.monotonic()) for i in names}
        self._was_up &= names

    def _translate(self, balancer: elb.Wanted, servers: tuple[tuple[str, str], ...]) -> haproxy.Balancer:
        listeners = []
        for each in balancer.listeners:
            pem = None
            if each.protocol in ("HTTPS", "SSL"):
                pem = self._pem(each.certificate)
                if pem is None:
                    self._error = f"the certificate of listener {each.port} is gone: {each.certificate}"
                    continue
            listeners.append(
                haproxy.Listener(
                    port=each.port,
                    protocol=each.protocol,
                    instance_port=each.instance_port,
                    instance_protocol=each.instance_protocol,
                    pem=pem,
                    tls_policy=each.tls_policy or haproxy.DEFAULT_TLS_POLICY,
                )
            )
        return haproxy.Balancer(
            address=self.address,
            listeners=tuple(listeners),
            check=_check(balancer),
            idle_timeout=balancer.idle_timeout,
            servers=servers,
            largest_request=self._largest_request(),
        )

    def _before_successor(self) -> None:
        """Without connection draining, the connections to a deregistered instance end at once."""
        if self._keeps_sessions:
            return
        stays = {instance for instance, _ in self._next.servers}
        for instance, _ in self._model.servers:
            if instance not in stays:
                for back in {listener.back for listener in self._model.listeners}:
                    self._ask(f"shutdown sessions server {back}/{instance}")

    def _health(self) -> dict[str, elb.Health] | None:
        """What each registered instance's health is now; None between two looks."""
        if why := self._dead():
            words = f"The load balancer itself does not run: {why}"
            return dict.fromkeys(self._registered, elb.Health("OutOfService", "ELB", words))
        if not self._look_now():
            return None
        if not self._model.servers:
            return {}
        rows = csv.DictReader(self._ask("show stat -1 4 -1").removeprefix("# ").splitlines())
        return {row["svname"]: self._judge(row) for row in rows if row["pxname"] == "health"}

    def _judge(self, row: dict[str, str]) -> elb.Health:
        instance = row["svname"]
        if row["status"].startswith("UP"):
            self._was_up.add(instance)
            return elb.IN_SERVICE
        passing = row["check_status"].removeprefix("* ") in ("", "INI", "L4OK", "L6OK", "L7OK")
        if instance in self._was_up:
            return elb.FAILED
        one = haproxy.EAGER_SECONDS + int(row["check_duration"] or 0) / 1000
        age = time.monotonic() - self._registered.get(instance, time.monotonic())
        return elb.REGISTERING if passing or age < self._model.check.unhealthy * one else elb.FAILED


def _is_routed(line: str) -> bool:
    marker, _, server = line.partition("\t")
    return marker == haproxy.ROUTED and server != "<NOSRV>"


def _check(balancer: elb.Wanted) -> haproxy.Check:
    found = re.fullmatch(r"(TCP|SSL|HTTPS?):(\d+)(/.*)?", balancer.target)
    if found is None:
        raise ValueError(f"balancer {balancer.name}: health check target {balancer.target!r} is none of AWS's forms")
    return haproxy.Check(
        protocol=found[1],
        port=int(found[2]),
        path=found[3] or "/",
        interval=balancer.interval,
        timeout=balancer.timeout,
        healthy=balancer.healthy,
        unhealthy=balancer.unhealthy,
    )

"""Application load balancers in the embedded cloud: each one's HAProxy, and DescribeTargetHealth true."""

import csv
import logging
import time
from collections import Counter
from pathlib import Path

from . import haproxy
from . import haproxy_application as words
from .access_log import AccessLog
from .haproxy_application import Server
from .inside import elbv2
from .inside.elbv2 import Health, WantedGroup
from .proxy import Proxy

log = logging.getLogger(__name__)

OUTPUT = "access.log"
PASSING = ("", "INI", "L4OK", "L6OK", "L7OK")
Key = tuple[str, str]
"""A target group's ARN and the name of a server in it."""


class Application(Proxy):
    """The HAProxy of one application load balancer.

    Another configuration is another process; a target that comes or goes is told to the one that runs, which knows
    how many requests a leaving target still has.
    """

    def __init__(self, number: int, address: str, balancer: elbv2.Wanted, folder: Path):
        super().__init__(number, address, balancer, folder, words.answers(), OUTPUT)
        self._arn = balancer.arn
        self._log = AccessLog(folder / OUTPUT)
        self._groups: dict[str, WantedGroup] = {}
        self._served: dict[Key, Server] = {}
        self._was_up: set[tuple[Key, float]] = set()
        self._failed: dict[Key, Health] = {}
        self._sums: dict[str, Counter] = {}

    def serve(self, balancer: elbv2.Wanted, nodes) -> None:
        """One round: a process with the listeners, its targets, their health in the API, what was logged."""
        self._tend()
        servers, other = self._place(balancer, nodes)
        self._converge(balancer, servers)
        for group in balancer.groups:
            self._sums.setdefault(group.arn, Counter())
        if self._dead() or (self._answers() and self._look_now()):
            self._look(balancer, other)
        for entry in self._log.read(balancer):
            self._count(entry)

    def _place(self, balancer: elbv2.Wanted, nodes) -> tuple[words.Servers, dict[str, dict[elbv2.Target, Health]]]:
        """The servers of each group, and the health of the targets that cannot be one."""
        servers, other = {}, {}
        for group in balancer.groups:
            found, not_served = [], other.setdefault(group.arn, {})
            for (instance, port), member in group.members.items():
                node = nodes.get(instance)
                if node is None:
                    not_served[instance, port] = elbv2.REGISTERING
                    if elbv2.instance_state(balancer.region, instance) == "terminated":
                        elbv2.deregister_target(balancer.region, group.arn, instance, port)
                elif elbv2.zone(balancer.region, instance) not in balancer.zones:
                    not_served[instance, port] = elbv2.OTHER_ZONE
                else:
                    name = f"{instance}-{port}"
                    found.append(Server(name, node.address, port, member.draining is not None))
            servers[group.arn] = tuple(found)
        return servers, other

    def _converge(self, balancer: elbv2.Wanted, servers: words.Servers) -> None:
        pems, limit = self._pems(balancer), self._largest_request()
        known_as = words.configuration(self.address, balancer, pems, {}, limit)
        if self._due(known_as):
            running = self._ask("show servers state")
            text = words.configuration(self.address, balancer, pems, servers, limit)
            if self._start(text, words.state(balancer, servers, running), known_as=known_as, running=running):
                self._groups = {group.arn: group for group in balancer.groups}
                self._served = {(arn, each.name): each for arn, found in servers.items() for each in found}
                self._ports = tuple(
                    each.port for each in balancer.listeners if each.protocol == "HTTP" or pems[each.port]
                )
                for port, files in pems.items():
                    if not files:
                        self._error = f"the certificate of listener {port} is gone"
        elif self._answers():
            self._change({(arn, each.name): each for arn, found in servers.items() for each in found})

    def _pems(self, balancer: elbv2.Wanted) -> dict[int, tuple[str, ...]]:
        return {
            listener.port: tuple(pem for arn in listener.certificates if (pem := self._pem(arn)))
            for listener in balancer.listeners
            if listener.protocol == "HTTPS"
        }

    def _change(self, wanted: dict[Key, Server]) -> None:
        """Tell the running process which targets have come, leave and are gone."""
        for key, server in list(self._served.items()):
            if key not in wanted or wanted[key].address != server.address:
                self._remove(key)
            elif wanted[key].draining != server.draining:
                self._tell(key, "set server {} weight " + ("0" if wanted[key].draining else "1"))
                self._served[key] = wanted[key]
        for key in wanted.keys() - self._served.keys():
            if key[0] in self._groups:
                self._add(key, wanted[key])

    def _add(self, key: Key, server: Server) -> None:
        """A new target gets no request before it is known as DOWN: HAProxy takes it for UP when it is enabled."""
        group = self._groups[key[0]]
        checked, unchecked = (f"{each}/{server.name}" for each in (words.back(key[0]), words.open_back(key[0])))
        where = f"{server.address}:{server.port}"
        answer = self._ask(f"add server {checked} {where} {words.options(group)} weight 0")
        answer += self._ask(f"add server {unchecked} {where}{words.open_options(group)} weight 0")
        if answer.count("New server registered") < 2:
            log.error("balancer %s: %s is not taken: %s", self._name, server.name, " ".join(answer.split()))
            self._running = None
            return
        self._ask(f"enable server {checked}; set server {checked} health down; enable health {checked}")
        self._ask(f"enable server {unchecked}")
        if not server.draining:
            self._tell(key, "set server {} weight 1")
        self._served[key] = server

    def _remove(self, key: Key) -> None:
        """Cut what is left of a target; while HAProxy still sees a connection to it, the next round does it again."""
        self._tell(key, "set server {0} state maint; shutdown sessions server {0}")
        answer = self._tell(key, "del server {}")
        if answer.count("Server deleted") + answer.count("No such server") == 2:
            del self._served[key]

    def _tell(self, key: Key, command: str) -> str:
        """The answers of the group's two back ends."""
        arn, name = key
        return "\n".join(
            self._ask(command.format(f"{each}/{name}")) for each in (words.back(arn), words.open_back(arn))
        )

    def _look(self, balancer: elbv2.Wanted, other: dict[str, dict[elbv2.Target, Health]]) -> None:
        """Write each target's health; end the draining of those that have no request left, or no time."""
        rows = csv.DictReader(self._ask("show stat -1 4 -1").removeprefix("# ").splitlines())
        found = {(row["pxname"], row["svname"]): row for row in rows}
        for group in balancer.groups:
            seen = dict(other[group.arn])
            for target, member in group.members.items():
                key = (group.arn, "{}-{}".format(*target))
                here = [found.get((each(group.arn), key[1])) for each in (words.back, words.open_back)]
                if member.draining is not None:
                    busy = self._finishing or any(int(row["scur"]) for row in here if row)
                    if not busy or time.monotonic() - member.draining >= group.delay:
                        elbv2.drained(balancer.region, group.arn, target)
                elif self._dead():
                    seen[target] = Health("unhealthy", "Elb.InternalError", f"{elbv2.INTERNAL}: {self._dead()}")
                elif target not in seen:
                    seen[target] = self._judge(here[0], key, group, member) if here[0] else elbv2.REGISTERING
            elbv2.write_health(balancer.region, group.arn, seen)

    def _judge(self, row: dict[str, str], key: Key, group: WantedGroup, member: elbv2.Member) -> Health:
        if row["status"].startswith("UP"):
            self._was_up.add((key, member.registered))
            return elbv2.HEALTHY
        # While the next check runs, "* " stands before the last one's result, and its code is 0.
        result = row["check_status"].removeprefix("* ")
        if result not in PASSING and row["check_code"] != "0":
            self._failed[key] = _failure(result, row["check_code"])
        one = haproxy.EAGER_SECONDS + int(row["check_duration"] or 0) / 1000
        is_new = (key, member.registered) not in self._was_up
        if is_new and (result in PASSING or time.monotonic() - member.registered < group.unhealthy * one):
            return elbv2.CHECKING
        return self._failed.get(key, elbv2.FAILED)

    def _count(self, entry: dict[str, str]) -> None:
        arn = entry["group"]
        if arn is None:
            return
        status, sums = int(entry["elb_status"]), self._sums.setdefault(arn, Counter())
        sums["requests"] += entry["server"] != "<NOSRV>"
        if status >= 500:
            sums["elb_5xx" if entry["target_status"] == "-" else "target_5xx"] += 1

    def counters(self) -> list[dict]:
        """A row for each target group, as `Balancers.counters` says."""
        rows = []
        for arn, sums in list(self._sums.items()):
            states = Counter(elbv2.target_health(self._region, arn).values())
            rows.append(
                {
                    "region": self._region,
                    "load_balancer": self._arn.partition(":loadbalancer/")[2],
                    "target_group": arn.rpartition(":")[2],
                    **{name: sums[name] for name in ("requests", "target_5xx", "elb_5xx")},
                    "healthy": states["healthy"],
                    "unhealthy": states["unhealthy"],
                }
            )
        return rows


def _failure(result: str, code: str) -> Health:
    """A failed check in AWS's words."""
    if result == "L7STS":
        return Health("unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{code}]")
    return elbv2.TIMEOUT if result.endswith("TOUT") else elbv2.FAILED

"""The security groups before the registries and before the balancer: who reaches which port."""

from collections.abc import Iterator

from ..finding import Finding
from . import application, classic
from .deployment import Deployment
from .rules import found

_WORLD = ("0.0.0.0/0", "::/0")
_LOGINS = (22, 3389)
_WEB = (80, 443)
_ALL = (0, 65535)


def of_registries(d: Deployment) -> dict[str, dict]:
    """Those of the nodes, and of the tasks where they have addresses of their own."""
    own = (d.service.get("networkConfiguration") or {}).get("awsvpcConfiguration") or {}
    ids = {each["GroupId"] for node in d.nodes for each in node.get("SecurityGroups", [])}
    return _described(d, ids | set(own.get("securityGroups", [])))


def of_balancers(d: Deployment) -> dict[str, dict]:
    ids = {each for balancer in classic.balancers(d).values() for each in balancer.get("SecurityGroups", [])}
    ids |= {each for balancer in application.balancers(d).values() for each in balancer.get("SecurityGroups", [])}
    registries = {each["GroupId"] for each in of_registries(d).values()}
    return _described(d, ids - registries)


def to_registries(d: Deployment, where: str, group: dict) -> Iterator[Finding]:
    """The worst that the rules from everywhere open."""
    opened = list(_open_to_world(group))
    to_registry = [ports for ports in opened if _meet(ports, d.ports)]
    logins = [ports for ports in opened if any(_meet(ports, (port, port)) for port in _LOGINS)]
    if to_registry and not d.ends_tls:
        yield found("world-to-registry", where, ports=_told(to_registry))
    if logins:
        yield found("world-to-ssh", where, ports=_told(logins))
    known = to_registry + logins + [(port, port) for port in _WEB]
    if others := [ports for ports in opened if ports not in known]:
        yield found("world-to-ports", where, ports=_told(others))


def to_balancers(d: Deployment, where: str, group: dict) -> Iterator[Finding]:
    listening = {*_WEB, *classic.ports(d), *application.ports(d)}
    known = [(port, port) for port in listening]
    if others := [ports for ports in _open_to_world(group) if ports not in known]:
        yield found("world-to-ports", where, ports=_told(others))


def described(d: Deployment, where: str, group: dict) -> Iterator[Finding]:
    """The default rule, that all may go out, has never a description."""
    sources = [each for rule in group["IpPermissions"] for each in _sources(rule)]
    narrowed = [rule for rule in group.get("IpPermissionsEgress", []) if rule["IpProtocol"] != "-1"]
    sources += [each for rule in narrowed for each in _sources(rule)]
    if not all(each.get("Description") for each in sources):
        yield found("rule-undescribed", where)


def outgoing(d: Deployment, where: str, group: dict) -> Iterator[Finding]:
    for rule in group.get("IpPermissionsEgress", []):
        if rule["IpProtocol"] == "-1" and _from_world(rule):
            yield found("egress-open", where)
            return


def _described(d: Deployment, ids: set[str]) -> dict[str, dict]:
    if not ids:
        return {}
    key = ("groups", *sorted(ids))
    told = d.once(key, lambda: d.aws.ec2.all("describe_security_groups", "SecurityGroups", GroupIds=sorted(ids)))
    return {f"security group {each['GroupName']}": each for each in told}


def _sources(rule: dict) -> list[dict]:
    return [
        each for key in ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds") for each in rule.get(key, [])
    ]


def _from_world(rule: dict) -> bool:
    ranges = [each.get("CidrIp") or each.get("CidrIpv6") for each in _sources(rule)]
    return any(each in _WORLD for each in ranges)


def _open_to_world(group: dict) -> Iterator[tuple[int, int]]:
    for rule in group["IpPermissions"]:
        if not _from_world(rule) or rule["IpProtocol"] in ("icmp", "icmpv6"):
            continue
        if rule["IpProtocol"] == "-1" or rule.get("FromPort", -1) == -1:
            yield _ALL
        else:
            yield rule["FromPort"], rule["ToPort"]


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _told(ranges: list[tuple[int, int]]) -> str:
    words = ["all ports" if each == _ALL else f"{each[0]}" if each[0] == each[1] else f"{each[0]}-{each[1]}"
             for each in sorted(set(ranges))]  # fmt: skip
    return words[0] if words == ["all ports"] else "port " + ", ".join(words)


OF_REGISTRIES = (to_registries, described, outgoing)
OF_BALANCERS = (to_balancers, described, outgoing)

"""The security groups: clients reach the balancer, only the balancer reaches the registries, only nodes the cache."""

import ipaddress
from typing import NamedTuple

from . import lease, tags, vpc, wait
from .errors import AwsError
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS

_EVERYWHERE = "0.0.0.0/0"
# How each kind of peer stands in an IpPermission: its list, and its key in that list.
_PEERS = {
    "IpRanges": "CidrIp",
    "Ipv6Ranges": "CidrIpv6",
    "UserIdGroupPairs": "GroupId",
    "PrefixListIds": "PrefixListId",
}
# The ephemeral ports from which Docker takes a host port that the task definition leaves open (hostPort 0):
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PortMapping.html
_DYNAMIC_PORTS = "tcp 32768-65535"
# The network interfaces of a deleted balancer hold its group for some minutes:
# https://docs.aws.amazon.com/vpc/latest/userguide/deleting-security-groups.html
_RELEASE_SECONDS = 900


class Rule(NamedTuple):
    """One rule in words: `tcp 5000`, `tcp 1-9` or `all`, a network or the name of a security group, and what it is for.

    AWS allows a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$* in a description.
    """

    traffic: str
    peer: str
    description: str

    def words(self, direction: str) -> str:
        way = "from" if direction == "ingress" else "to"
        return f"{self.traffic} {way} {self.peer} ({self.description or 'no description'})"


def want_groups(p: Params) -> Document:
    """The rules of each group by direction, in words. A group without a rule for a direction lets nothing through."""
    return Document({name: rules | tags.want(p) for name, rules in _in_words(_wanted(p)).items()})


def find_groups(aws: AWS, p: Params) -> Document | None:
    """The rules that are there, in the same words; a missing group is left out. None when all are missing."""
    groups = {name: group for name, group in _groups(aws, p).items() if group}
    rules = _in_words({name: _rules(aws, p, group) for name, group in groups.items()})
    return Document({name: rules[name] | tags.found(p, group["Tags"]) for name, group in groups.items()}) or None


@lease.exclusive
def ensure_groups(aws: AWS, p: Params) -> Changes:
    """Create the groups, authorise the missing rules, revoke the extra ones, tag them."""
    report = verify_groups(aws, p)
    if report:
        return report.changes.done
    for name, group in _groups(aws, p).items():
        if group is None:
            given = tags.pairs({"Name": name} | p.tags)
            aws.ec2.create_security_group(
                GroupName=name,
                Description=_description(p, name),
                VpcId=vpc.vpc_id(aws, p),
                TagSpecifications=[{"ResourceType": "security-group", "Tags": given}],
            )
    groups = wait.wait("security groups", lambda: _visible(aws, p), timeout=60)
    for name, directions in _wanted(p).items():
        if tags.differ(p, tags.found(p, groups[name]["Tags"])):
            aws.ec2.create_tags(Resources=[groups[name]["GroupId"]], Tags=tags.pairs(p.extra_tags))
        for direction, rules in directions.items():
            _mend(aws, p, groups, groups[name], direction, rules)
    return report.changes.done


def verify_groups(aws: AWS, p: Params) -> Report:
    """Each group's rules, wanted against found; a rule that nobody wanted differs too."""
    return compare("security groups", want_groups(p), find_groups(aws, p))


@lease.exclusive
def destroy_groups(aws: AWS, p: Params) -> Changes:
    """Delete them, first the rules by which they name each other. Waits up to 15 minutes until nothing uses them."""
    groups = {name: group for name, group in _groups(aws, p).items() if group}
    for group in groups.values():
        for direction, rules in _rules(aws, p, group).items():
            for rule, permission in rules.items():
                if rule.peer in groups:
                    _call(aws, "revoke", direction, group, permission)
    for name, group in groups.items():
        wait.wait(f"security group {name}", lambda g=group: _deleted(aws, g), timeout=_RELEASE_SECONDS, every=5)
    return destroyed("security groups", bool(groups))


def _wanted(p: Params) -> dict[str, dict[str, list[Rule]]]:
    registries = _DYNAMIC_PORTS if p.scales else f"tcp {p.port}"
    clients = _networks(p.client_networks)
    redirect = [Rule("tcp 80", network, "redirected to 443") for network in clients] if p.scales else []
    ssh = [Rule("tcp 22", network, "SSH, asked for by ssh_from") for network in _networks(p.ssh_from)]
    groups = {
        p.balancer_group: {
            "ingress": [Rule("tcp 443", network, "docker clients") for network in clients] + redirect,
            "egress": [Rule(registries, p.node_group, "to the registry")],
        },
        p.node_group: {
            "ingress": [Rule(registries, p.balancer_group, "from the load balancer")] + ssh,
            "egress": [Rule("all", _EVERYWHERE, "to AWS and to where the image is pulled from")],
        },
    }
    if p.cache == "elasticache":
        cache = {"ingress": [Rule("tcp 6379", p.node_group, "from the registries")], "egress": []}
        groups[p.cache_name] = cache
    return groups


def _networks(networks: list[str]) -> list[str]:
    """Each once, written as AWS writes it."""
    return list(dict.fromkeys(str(ipaddress.ip_network(network)) for network in networks))


def _description(p: Params, name: str) -> str:
    of = {p.balancer_group: "load balancer", p.node_group: "nodes of the ECS cluster", p.cache_name: "cache"}
    return f"{p.name}: {of[name]}"


def _in_words(groups: dict) -> Document:
    return Document(
        {
            name: {way: sorted(rule.words(way) for rule in rules) for way, rules in ways.items()}
            for name, ways in groups.items()
        }
    )


def _groups(aws: AWS, p: Params) -> dict[str, dict | None]:
    return {name: vpc.find_group(aws, p, name) for name in _wanted(p)}


def _visible(aws: AWS, p: Params) -> tuple[dict[str, dict] | None, str]:
    groups = _groups(aws, p)
    return groups if all(groups.values()) else None, f"{sum(map(bool, groups.values()))} of {len(groups)} visible"


def _rules(aws: AWS, p: Params, group: dict) -> dict[str, dict[Rule, dict]]:
    """The group's rules by direction, each with the permission that revokes it: one peer each."""
    keys = {"ingress": "IpPermissions", "egress": "IpPermissionsEgress"}
    return {way: dict(_flat(aws, p, group[key])) for way, key in keys.items()}


def _flat(aws: AWS, p: Params, permissions: list[dict]):
    for permission in permissions:
        ports = {key: permission[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in permission}
        for kind, key in _PEERS.items():
            for peer in permission.get(kind, []):
                name = _group_name(aws, p, peer[key]) if key == "GroupId" else peer[key]
                yield Rule(_traffic(ports), name, peer.get("Description", "")), ports | {kind: [peer]}


def _traffic(ports: dict) -> str:
    if ports["IpProtocol"] == "-1":
        return "all"
    first, last = ports.get("FromPort", -1), ports.get("ToPort", -1)
    return f"{ports['IpProtocol']} {first}" if first == last else f"{ports['IpProtocol']} {first}-{last}"


def _group_name(aws: AWS, p: Params, group_id: str) -> str:
    names = vpc.group_names(aws, p, [group_id])
    return names[0] if names else "a group that is gone"


def _permission(rule: Rule, groups: dict[str, dict]) -> dict:
    """The rule as the API takes it."""
    if rule.peer in groups:
        peer = {"UserIdGroupPairs": [{"GroupId": groups[rule.peer]["GroupId"], "Description": rule.description}]}
    else:
        kind = "Ipv6Ranges" if ":" in rule.peer else "IpRanges"
        peer = {kind: [{_PEERS[kind]: rule.peer, "Description": rule.description}]}
    if rule.traffic == "all":
        return {"IpProtocol": "-1", **peer}
    protocol, ports = rule.traffic.split()
    first, _, last = ports.partition("-")
    return {"IpProtocol": protocol, "FromPort": int(first), "ToPort": int(last or first), **peer}


def _mend(aws: AWS, p: Params, groups: dict[str, dict], group: dict, direction: str, wanted: list[Rule]) -> None:
    # A rule that differs in its description alone is still a duplicate to AWS, so the old one goes first.
    found = _rules(aws, p, group)[direction]
    for rule in found.keys() - set(wanted):
        _call(aws, "revoke", direction, group, found[rule])
    for rule in wanted:
        if rule not in found:
            _call(aws, "authorize", direction, group, _permission(rule, groups))


def _call(aws: AWS, verb: str, direction: str, group: dict, permission: dict) -> None:
    getattr(aws.ec2, f"{verb}_security_group_{direction}")(GroupId=group["GroupId"], IpPermissions=[permission])


def _deleted(aws: AWS, group: dict) -> tuple[bool | None, str]:
    try:
        aws.ec2.find("delete_security_group", {"InvalidGroup.NotFound"}, GroupId=group["GroupId"])
    except AwsError as error:
        if error.code not in ("DependencyViolation", "InvalidGroup.InUse"):
            raise
        users = aws.ec2.all(
            "describe_network_interfaces",
            "NetworkInterfaces",
            Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}],
        )
        return None, f"still used by {len(users)} network interfaces"
    return True, "deleted"

"""The security groups: rules in words, drift named and mended, nothing foreign touched."""

import re

import pytest
from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend

from runbook import network, vpc
from runbook.errors import AwsError, NotOurs, StepFailed

BALANCER, NODE = "registry-balancer", "registry-node"
OPEN_22 = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
DESCRIPTION = r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}"


@pytest.mark.pure
def test_only_the_balancer_reaches_the_nodes(p):
    assert network.want_groups(p) == {
        BALANCER: {
            "ingress": ["tcp 443 from 0.0.0.0/0 (docker clients)"],
            "egress": ["tcp 5000 to registry-node (to the registry)"],
        },
        NODE: {
            "ingress": ["tcp 5000 from registry-balancer (from the load balancer)"],
            "egress": ["all to 0.0.0.0/0 (to AWS and to where the image is pulled from)"],
        },
    }


@pytest.mark.pure
def test_networks_of_the_params(p):
    p = p.model_copy(
        update={
            "client_networks": ["203.0.113.0/24", "2001:DB8::/32", "2001:db8::/32"],
            "ssh_from": ["198.51.100.7/32"],
        }
    )
    wanted = network.want_groups(p)
    assert wanted[BALANCER]["ingress"] == [
        "tcp 443 from 2001:db8::/32 (docker clients)",
        "tcp 443 from 203.0.113.0/24 (docker clients)",
    ]
    assert "tcp 22 from 198.51.100.7/32 (SSH, asked for by ssh_from)" in wanted[NODE]["ingress"]


@pytest.mark.pure
def test_dynamic_ports_and_a_cache(scaling):
    """The registry's debug port is in no rule: it has no port of the host, and the cache no way out."""
    assert network.want_groups(scaling.model_copy(update={"extra_tags": {}})) == {
        "registry-alb": {
            "ingress": ["tcp 443 from 0.0.0.0/0 (docker clients)", "tcp 80 from 0.0.0.0/0 (redirected to 443)"],
            "egress": ["tcp 32768-65535 to registry-asg (to the registry)"],
        },
        "registry-asg": {
            "ingress": ["tcp 32768-65535 from registry-alb (from the load balancer)"],
            "egress": ["all to 0.0.0.0/0 (to AWS and to where the image is pulled from)"],
        },
        "registry-cache": {"ingress": ["tcp 6379 from registry-asg (from the registries)"], "egress": []},
    }
    memory = scaling.model_copy(update={"cache": "memory"})
    assert list(network.want_groups(memory)) == ["registry-alb", "registry-asg"]


@pytest.mark.moto
def test_made_beside_the_former_ones_and_taken_away_alone(aws, p, scaling):
    """An upgrade: both capacities at once, then the former one's groups go, and only they."""
    network.ensure_groups(aws, p)
    network.ensure_groups(aws, scaling)
    assert network.find_groups(aws, scaling) == network.want_groups(scaling)
    assert not network.ensure_groups(aws.read_only(), scaling) and not network.ensure_groups(aws.read_only(), p)
    assert network.destroy_groups(aws, p)
    assert network.find_groups(aws, p) is None
    assert network.verify_groups(aws, scaling).require()
    assert network.destroy_groups(aws, scaling)
    assert network.find_groups(aws, scaling) is None


@pytest.mark.moto
@pytest.mark.parametrize("name", ["registry-alb", "registry-asg", "registry-cache"])
def test_a_rule_that_nobody_wanted_in_each_group(aws, scaling, name):
    network.ensure_groups(aws, scaling)
    aws.ec2.authorize_security_group_ingress(GroupId=vpc.group_id(aws, scaling, name), IpPermissions=[OPEN_22])
    assert f"{name}.ingress" in network.verify_groups(aws, scaling).failures()
    network.ensure_groups(aws, scaling)
    assert network.verify_groups(aws, scaling).require()


@pytest.mark.moto
def test_three_groups_destroyed_after_a_kill_anywhere(crash_everywhere, scaling):
    def check(aws, p):
        assert network.find_groups(aws, scaling) is None

    crash_everywhere(
        lambda aws, p: network.destroy_groups(aws, scaling), check, lambda aws, p: network.ensure_groups(aws, scaling)
    )


@pytest.mark.moto
def test_made_once(aws, p):
    assert network.find_groups(aws, p) is None
    assert network.verify_groups(aws, p).absent
    assert network.ensure_groups(aws, p)
    assert network.find_groups(aws, p) == network.want_groups(p)
    assert network.verify_groups(aws.read_only(), p).require()
    assert not network.ensure_groups(aws.read_only(), p)


@pytest.mark.moto
def test_ipv6_clients(aws, p):
    p = p.model_copy(update={"client_networks": ["0.0.0.0/0", "::/0"]})
    network.ensure_groups(aws, p)
    assert network.verify_groups(aws, p).require()
    assert not network.ensure_groups(aws.read_only(), p)


@pytest.mark.moto
def test_every_rule_says_what_it_is_for(aws, p):
    network.ensure_groups(aws, p)
    for name in (BALANCER, NODE):
        group = vpc.find_group(aws, p, name)
        for permission in group["IpPermissions"] + group["IpPermissionsEgress"]:
            for peer in permission["IpRanges"] + permission["UserIdGroupPairs"]:
                assert re.fullmatch(DESCRIPTION, peer["Description"])


@pytest.mark.moto
def test_an_extra_rule_is_revoked(aws, p):
    network.ensure_groups(aws, p)
    aws.ec2.authorize_security_group_ingress(GroupId=vpc.group_id(aws, p, NODE), IpPermissions=[OPEN_22])
    report = network.verify_groups(aws, p)
    assert (
        "tcp 22 from 0.0.0.0/0 (no description)" in report.failures() and "registry-node.ingress" in report.failures()
    )
    assert "tcp 22" in repr(network.ensure_groups(aws, p))
    assert network.verify_groups(aws, p).require()


@pytest.mark.moto
def test_a_rule_for_another_group_is_named_by_it_and_revoked(aws, p):
    network.ensure_groups(aws, p)
    other = aws.ec2.create_security_group(GroupName="other", Description="x", VpcId=vpc.vpc_id(aws, p))["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 5000, "ToPort": 5001, "UserIdGroupPairs": [{"GroupId": other}]}
    aws.ec2.authorize_security_group_ingress(GroupId=vpc.group_id(aws, p, NODE), IpPermissions=[rule])
    assert "tcp 5000-5001 from other (no description)" in network.verify_groups(aws, p).failures()
    network.ensure_groups(aws, p)
    assert network.verify_groups(aws, p).require()


@pytest.mark.moto
@pytest.mark.parametrize("name", [BALANCER, NODE])
@pytest.mark.parametrize("direction, key", [("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")])
def test_a_missing_rule_is_authorised(aws, p, name, direction, key):
    network.ensure_groups(aws, p)
    group = vpc.find_group(aws, p, name)
    getattr(aws.ec2, f"revoke_security_group_{direction}")(GroupId=group["GroupId"], IpPermissions=group[key])
    assert [check.name for check in network.verify_groups(aws, p).checks if not check.ok] == [f"{name}.{direction}"]
    network.ensure_groups(aws, p)
    assert network.verify_groups(aws, p).require()


@pytest.mark.moto
def test_one_group_missing_is_made_again(aws, p):
    network.ensure_groups(aws, p)
    node = vpc.find_group(aws, p, NODE)
    balancer = vpc.find_group(aws, p, BALANCER)
    aws.ec2.revoke_security_group_ingress(GroupId=node["GroupId"], IpPermissions=node["IpPermissions"])
    aws.ec2.delete_security_group(GroupId=balancer["GroupId"])
    report = network.verify_groups(aws, p)
    assert not report and not report.absent
    network.ensure_groups(aws, p)
    assert network.verify_groups(aws, p).require()


@pytest.mark.moto
def test_killed_anywhere(crash_everywhere):
    def check(aws, p):
        assert network.verify_groups(aws, p).require()
        filters = [{"Name": "group-name", "Values": [BALANCER, NODE]}]
        assert len(aws.ec2.all("describe_security_groups", "SecurityGroups", Filters=filters)) == 2

    assert "ec2 CreateSecurityGroup" in crash_everywhere(network.ensure_groups, check)


@pytest.mark.moto
def test_destroy_killed_anywhere(crash_everywhere):
    def check(aws, p):
        assert network.find_groups(aws, p) is None

    assert crash_everywhere(network.destroy_groups, check, network.ensure_groups).count("ec2 DeleteSecurityGroup") == 2


@pytest.mark.moto
@pytest.mark.parametrize("name", [BALANCER, NODE])
def test_a_foreign_group_is_left_alone(aws, p, name):
    aws.ec2.create_security_group(GroupName=name, Description="theirs", VpcId=vpc.vpc_id(aws, p))
    for verb in (network.find_groups, network.ensure_groups, network.destroy_groups):
        with pytest.raises(NotOurs, match=f"security group {name}"):
            verb(aws.read_only(), p)


@pytest.mark.moto
def test_destroy_leaves_nothing(aws, p):
    before = aws.ec2.all("describe_security_groups", "SecurityGroups")
    network.ensure_groups(aws, p)
    assert network.destroy_groups(aws, p)
    assert aws.ec2.all("describe_security_groups", "SecurityGroups") == before
    assert not network.destroy_groups(aws.read_only(), p)


@pytest.mark.moto
def test_destroy_waits_until_nothing_uses_the_group(aws, p, monkeypatch):
    """AWS refuses while a network interface or a rule names the group; moto does not, so it is made to here."""
    network.ensure_groups(aws, p)
    interface = aws.ec2.create_network_interface(
        SubnetId=next(iter(vpc.node_subnets(aws, p).values())), Groups=[vpc.group_id(aws, p, BALANCER)]
    )["NetworkInterface"]["NetworkInterfaceId"]
    _refuse_deletion_while_used(monkeypatch)
    waited = []

    def released(_):
        waited.append(network.find_groups(aws, p))
        aws.ec2.delete_network_interface(NetworkInterfaceId=interface)

    monkeypatch.setattr("runbook.wait.time.sleep", released)
    assert network.destroy_groups(aws, p)
    assert len(waited) == 1 and BALANCER in waited[0]
    assert network.find_groups(aws, p) is None


def _refuse_deletion_while_used(monkeypatch):
    delete = EC2Backend.delete_security_group

    def guarded(self, name=None, group_id=None):
        rules = [rule for group in self.describe_security_groups() for rule in group.ingress_rules + group.egress_rules]
        named = any(rule.group_id != group_id and group_id in str(rule.source_group) for rule in rules)
        attached = any(group_id in [g.id for g in eni.group_set] for eni in self.enis.values())
        if named or attached:
            raise DependencyViolationError(f"resource {group_id} has a dependent object")
        return delete(self, name, group_id)

    monkeypatch.setattr(EC2Backend, "delete_security_group", guarded)


@pytest.mark.moto
def test_no_default_vpc(aws, p):
    default = vpc.vpc_id(aws, p)
    for subnet in vpc.node_subnets(aws, p).values():
        aws.ec2.delete_subnet(SubnetId=subnet)
    with pytest.raises(StepFailed, match="create-default-subnet"):
        vpc.node_subnets(aws, p)
    aws.ec2.delete_vpc(VpcId=default)
    with pytest.raises(StepFailed, match="aws ec2 create-default-vpc"):
        network.ensure_groups(aws, p)
    assert not network.destroy_groups(aws, p)


@pytest.mark.moto
def test_a_group_that_another_one_names_is_in_use(aws, p, monkeypatch):
    network.ensure_groups(aws, p)
    real, answers = aws.ec2.delete_security_group, [AwsError("ec2", "DeleteSecurityGroup", "InvalidGroup.InUse", "")]

    def delete(**request):
        if answers:
            raise answers.pop()
        return real(**request)

    monkeypatch.setattr(aws.ec2, "delete_security_group", delete, raising=False)
    monkeypatch.setattr("runbook.wait.time.sleep", lambda _: None)
    assert network.destroy_groups(aws, p)
    assert not answers and network.find_groups(aws, p) is None

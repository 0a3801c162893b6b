"""The classic load balancer: HTTPS on port 443 outside, HTTP to port 5000 of the nodes, and a health check.

The check is the blog's TCP:5000: it asks whether the port answers, so a registry that cannot reach its bucket or its
htpasswd file is still called healthy. HTTP:5000/ would see a little more (since Distribution 2.2.0 that path answers
200), and would in return take every node out of service while S3 alone is down. What TCP cannot see is what the
registry's own suite is for: it asks through this balancer.
"""

from . import acm, tags, vpc
from .errors import AwsError, NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, added, compare, destroyed
from .running import running_nodes
from .session import AWS
from .wait import wait

_ABSENT = {"LoadBalancerNotFound", "AccessPointNotFound"}
PORT = 443
DRAINING = 300  # seconds in which a node that leaves may finish its pushes
# TLS 1.2 and no older: https://docs.aws.amazon.com/elasticloadbalancing/latest/classic/elb-security-policy-table.html
TLS_POLICY = "ELBSecurityPolicy-TLS-1-2-2017-01"
_POLICY_NAME = "runbook-TLS-1-2-2017-01"  # a policy cannot be changed: another TLS_POLICY needs another name
_IN_SERVICE_WITHIN = 300  # seconds


def want_balancer(p: Params, *, nodes: tuple[str, ...] = ()) -> Document:
    """The balancer in AWS's own words, ids replaced by names; behind it stand `nodes`."""
    return Document(
        LoadBalancerName=p.balancer_name,
        Scheme="internet-facing",
        Subnets=_subnets(p),
        SecurityGroups=[p.balancer_group],
        Listeners={
            str(PORT): {
                "Protocol": "HTTPS",
                "InstanceProtocol": "HTTP",
                "InstancePort": p.port,
                "Certificate": f"certificate of {p.domain}",
                "TlsPolicy": TLS_POLICY,
            }
        },
        ListenerPorts=[PORT],
        HealthCheck={
            "Target": f"TCP:{p.port}",
            "Interval": 10,
            "Timeout": 5,
            "HealthyThreshold": 2,
            "UnhealthyThreshold": 2,
        },
        Attributes={
            "CrossZoneLoadBalancing": {"Enabled": True},
            "ConnectionDraining": {"Enabled": True, "Timeout": DRAINING},
            # A balancer's own 60 seconds cut the upload of a large layer: distribution/distribution#1061
            "ConnectionSettings": {"IdleTimeout": p.idle_timeout},
        },
        Instances=sorted(nodes),
        **tags.want(p),
    )


def find_balancer(aws: AWS, p: Params) -> Document | None:
    """The same of what is. A node that is registered and no longer runs is shown as such."""
    found = _describe(aws, p)
    if found is None:
        return None
    attributes = aws.elb.describe_load_balancer_attributes(LoadBalancerName=p.balancer_name)["LoadBalancerAttributes"]
    names = {node.id: node.name for node in running_nodes(aws, p)}
    certificate = acm.certificate_arn(aws, p)
    policies = _tls_policies(aws, p)
    listeners = {
        str(each["Listener"]["LoadBalancerPort"]): _listener(p, each, certificate, policies)
        for each in found["ListenerDescriptions"]
    }
    return Document(
        LoadBalancerName=p.balancer_name,
        Scheme=found["Scheme"],
        Subnets=_subnets(p) if set(found["Subnets"]) == set(_subnet_ids(aws, p)) else "other subnets",
        SecurityGroups=vpc.group_names(aws, p, found["SecurityGroups"]),
        Listeners=listeners,
        ListenerPorts=sorted(int(port) for port in listeners),
        HealthCheck=found["HealthCheck"],
        Attributes=attributes,
        Instances=sorted(names.get(each["InstanceId"], "an instance that is no node") for each in found["Instances"]),
        **tags.found(p, found["Tags"]),
    )


def ensure_balancer(aws: AWS, p: Params) -> Changes:
    """Create the balancer, or change what differs; then wait until as many nodes as `replicas` are in service."""
    wanted = want_balancer(p, nodes=tuple(node.name for node in running_nodes(aws, p)))
    found = find_balancer(aws, p)
    report = compare(_title(p), wanted, found)
    if not report:
        needed = _needed(aws, p)
        if found is None:
            _create(aws, p, needed)
            found = wait(_title(p), lambda: _made(aws, p), timeout=120, every=2)
        _change(aws, p, wanted, found, needed)
    wait(_title(p), lambda: _in_service(aws, p), timeout=_IN_SERVICE_WITHIN, every=2)
    return report.changes.done


def verify_balancer(aws: AWS, p: Params) -> Report:
    """Wanted against found, and that its health check sees as many nodes as `replicas`."""
    wanted = want_balancer(p, nodes=tuple(node.name for node in running_nodes(aws, p)))
    found = find_balancer(aws, p)
    report = compare(_title(p), wanted, found)
    if found is None:
        return report
    count = sum(state["State"] == "InService" for state in _health(aws, p))
    return report.check("nodes in service", count >= p.replicas, f"at least {p.replicas}", str(count))


def destroy_balancer(aws: AWS, p: Params) -> Changes:
    """Delete it and wait until it is gone, as its certificate and security group are in use until then."""
    found = _describe(aws, p)
    if found:
        aws.elb.delete_load_balancer(LoadBalancerName=p.balancer_name)

        def gone():
            return (None, "still there") if _describe(aws, p) else (True, "gone")

        wait(_title(p), gone, timeout=300, every=2)
    return destroyed(_title(p), bool(found))


def _title(p: Params) -> str:
    return f"load balancer {p.balancer_name}"


def _subnets(p: Params) -> str:
    default = p.vpc == "default" and not p.balancer_subnets
    return f"the {'default' if default else 'named'} subnet of each availability zone"


def _subnet_ids(aws: AWS, p: Params) -> list[str]:
    return list(vpc.balancer_subnets(aws, p).values())


def _describe(aws: AWS, p: Params) -> dict | None:
    name = p.balancer_name
    found = aws.elb.find("describe_load_balancers", _ABSENT, LoadBalancerNames=[name])
    told = aws.elb.find("describe_tags", _ABSENT, LoadBalancerNames=[name]) if found else None
    if not found or not told:
        return None
    seen = told["TagDescriptions"][0]["Tags"]
    if {"Key": "runbook:deployment", "Value": p.name} not in seen:
        raise NotOurs(_title(p), p)
    return found["LoadBalancerDescriptions"][0] | {"Tags": seen}


def _listener(p: Params, described: dict, certificate: str | None, policies: dict[str, str]) -> dict:
    listener = described["Listener"]
    presented = listener.get("SSLCertificateId")
    ours = presented is not None and presented == certificate
    return {
        "Protocol": listener["Protocol"],
        "InstanceProtocol": listener["InstanceProtocol"],
        "InstancePort": listener["InstancePort"],
        "Certificate": f"certificate of {p.domain}" if ours else "another certificate" if presented else None,
        "TlsPolicy": next((policies[name] for name in described["PolicyNames"] if name in policies), None),
        **added({f"policy {name}": "there" for name in described["PolicyNames"] if name not in policies}),
    }


def _tls_policies(aws: AWS, p: Params) -> dict[str, str]:
    """The balancer's TLS policies by name: AWS's predefined policy that each refers to."""
    found = aws.elb.describe_load_balancer_policies(LoadBalancerName=p.balancer_name)["PolicyDescriptions"]
    return {
        policy["PolicyName"]: attribute["AttributeValue"]
        for policy in found
        for attribute in policy.get("PolicyAttributeDescriptions", [])
        if attribute["AttributeName"] == "Reference-Security-Policy"
    }


def _needed(aws: AWS, p: Params) -> dict:
    """What the balancer stands on, by id. StepFailed names the notebook that makes what is missing."""
    certificate, group = acm.certificate_arn(aws, p), vpc.group_id(aws, p, p.balancer_group)
    nodes = [node.id for node in running_nodes(aws, p)]
    for there, what, notebook in (
        (group, f"the security group {p.balancer_group}", "02_create_a_task_definition"),
        (nodes, "a running node", "02_create_a_task_definition"),
        (certificate, f"the certificate of {p.domain} in ACM", "05_configure_https_on_the_load_balancer"),
    ):
        if not there:
            raise StepFailed(f"{_title(p)} needs {what}, which is not there; run notebook {notebook} first")
    return {"certificate": certificate, "group": group, "nodes": nodes, "subnets": _subnet_ids(aws, p)}


def _payload(p: Params, certificate: str) -> dict:
    return {
        "Protocol": "HTTPS",
        "LoadBalancerPort": PORT,
        "InstanceProtocol": "HTTP",
        "InstancePort": p.port,
        "SSLCertificateId": certificate,
    }


def _create(aws: AWS, p: Params, needed: dict) -> None:
    def create():
        try:
            aws.elb.create_load_balancer(
                LoadBalancerName=p.balancer_name,
                Listeners=[_payload(p, needed["certificate"])],
                Subnets=needed["subnets"],
                SecurityGroups=[needed["group"]],
                Tags=tags.pairs(p.tags),
            )
        except AwsError as error:
            if error.code == "CertificateNotFound":  # a new certificate reaches Elastic Load Balancing after a while
                return None, "the certificate is not known there yet"
            raise
        return True, "created"

    wait(_title(p), create, timeout=120, every=3)


def _made(aws: AWS, p: Params) -> tuple[Document | None, str]:
    found = find_balancer(aws, p)
    return found, "made" if found else "not to be seen yet"


def _change(aws: AWS, p: Params, wanted: Document, found: Document, needed: dict) -> None:
    """One write for each part that differs; a balancer just created differs in most of them."""
    name = {"LoadBalancerName": p.balancer_name}
    if found["Scheme"] != wanted["Scheme"]:
        raise StepFailed(f"{_title(p)} is {found['Scheme']}, which cannot be changed; destroy it and run this again")
    if tags.differ(p, found):
        aws.elb.add_tags(LoadBalancerNames=[p.balancer_name], Tags=tags.pairs(p.extra_tags))
    if found["SecurityGroups"] != wanted["SecurityGroups"]:
        aws.elb.apply_security_groups_to_load_balancer(**name, SecurityGroups=[needed["group"]])
    if found["Subnets"] != wanted["Subnets"]:
        _change_subnets(aws, p, needed["subnets"])
    _change_listeners(aws, p, wanted["Listeners"][str(PORT)], found["Listeners"], needed["certificate"])
    if found["HealthCheck"] != wanted["HealthCheck"]:
        aws.elb.configure_health_check(**name, HealthCheck=wanted["HealthCheck"])
    if not compare("", wanted["Attributes"], found["Attributes"]):
        aws.elb.modify_load_balancer_attributes(**name, LoadBalancerAttributes=wanted["Attributes"])
    registered = {each["InstanceId"] for each in _describe(aws, p)["Instances"]}
    if missing := set(needed["nodes"]) - registered:
        aws.elb.register_instances_with_load_balancer(**name, Instances=_instances(missing))
    if surplus := registered - set(needed["nodes"]):
        aws.elb.deregister_instances_from_load_balancer(**name, Instances=_instances(surplus))


def _instances(ids: set[str]) -> list[dict[str, str]]:
    return [{"InstanceId": each} for each in sorted(ids)]


def _change_subnets(aws: AWS, p: Params, subnets: list[str]) -> None:
    """A balancer has one subnet a zone at most, so the wrong ones go before the right ones of their zones come."""
    name, seen = {"LoadBalancerName": p.balancer_name}, set(_describe(aws, p)["Subnets"])
    if (wrong := seen - set(subnets)) and seen & set(subnets):
        aws.elb.detach_load_balancer_from_subnets(**name, Subnets=sorted(wrong))
        wrong = set()
    if missing := set(subnets) - seen:
        aws.elb.attach_load_balancer_to_subnets(**name, Subnets=sorted(missing))
    if wrong:
        aws.elb.detach_load_balancer_from_subnets(**name, Subnets=sorted(wrong))


def _change_listeners(aws: AWS, p: Params, wanted: dict, found: dict[str, dict], certificate: str) -> None:
    """A listener's protocols and port cannot be changed, its certificate and its policies can."""
    name, fixed = {"LoadBalancerName": p.balancer_name}, ("Protocol", "InstanceProtocol", "InstancePort")
    right = {port for port, each in found.items() if all(each[key] == wanted[key] for key in fixed)} & {str(PORT)}
    if surplus := sorted(int(port) for port in found.keys() - right):
        aws.elb.delete_load_balancer_listeners(**name, LoadBalancerPorts=surplus)
    seen = found[str(PORT)] if right else {}
    if not right:
        aws.elb.create_load_balancer_listeners(**name, Listeners=[_payload(p, certificate)])
    elif seen["Certificate"] != wanted["Certificate"]:
        aws.elb.set_load_balancer_listener_ssl_certificate(**name, LoadBalancerPort=PORT, SSLCertificateId=certificate)
    if seen.get("TlsPolicy") != TLS_POLICY or "Added" in seen:
        if _POLICY_NAME not in _tls_policies(aws, p):
            reference = {"AttributeName": "Reference-Security-Policy", "AttributeValue": TLS_POLICY}
            aws.elb.create_load_balancer_policy(
                **name,
                PolicyName=_POLICY_NAME,
                PolicyTypeName="SSLNegotiationPolicyType",
                PolicyAttributes=[reference],
            )
        aws.elb.set_load_balancer_policies_of_listener(**name, LoadBalancerPort=PORT, PolicyNames=[_POLICY_NAME])


def _health(aws: AWS, p: Params) -> list[dict]:
    return aws.elb.describe_instance_health(LoadBalancerName=p.balancer_name)["InstanceStates"]


def _in_service(aws: AWS, p: Params) -> tuple[bool | None, str]:
    names = {node.id: node.name for node in running_nodes(aws, p)}
    states = _health(aws, p)
    count = sum(state["State"] == "InService" for state in states)
    out = [
        f"{names.get(state['InstanceId'], 'an instance that is no node')} is {state['State']} ({state['Description']})"
        for state in states
        if state["State"] != "InService"
    ]
    seen = "; ".join([f"{count} of {len(states)} nodes in service, {p.replicas} needed", *sorted(out)])
    return (True if count >= p.replicas else None), seen

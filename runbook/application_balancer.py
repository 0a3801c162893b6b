"""The application load balancer: HTTPS on port 443, a redirect to it on port 80, and a target group behind both.

The health check is HTTP on `/`, where a registry answers 200 without asking who calls; `/v2/` answers 401 and would
need a matcher for it. With storage health in the registry `/` turns to 503 when S3 cannot be reached: the target is
told from a healthy one, which a TCP check cannot do. When S3 alone is down every target fails, and then the balancer
sends to all of them as if none did:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html
ECS, for its part, replaces tasks whose target is unhealthy, so until S3 is back the registries are started anew.
"""

import json

from . import acm, tags, target_group, vpc
from . import application_listeners as listeners
from .errors import AwsError, Denied, NotOurs, StepFailed
from .params import Params
from .report import Changes, Document, Report, compare, destroyed
from .session import AWS
from .wait import wait

_ABSENT = {"LoadBalancerNotFound"}
_SUBNETS = "one public subnet of each availability zone"
_ACTIVE_WITHIN = 600  # seconds; provisioning takes one to three minutes


def want_balancer(p: Params) -> Document:
    """The balancer in AWS's own words, ids replaced by names."""
    return Document(
        LoadBalancerName=p.balancer_name,
        Type="application",
        Scheme="internet-facing",
        Subnets=_SUBNETS,
        SecurityGroups=[p.balancer_group],
        Attributes=_wanted_attributes(p),
        Listeners=listeners.want(p),
        ListenerPorts=[80, 443],
        TargetGroup=target_group.want(p),
        State="active",
        **tags.want(p),
    )


def find_balancer(aws: AWS, p: Params) -> Document | None:
    """The same of what is. None without the balancer, even where its target group is there."""
    group, found = target_group.find(aws, p), _describe(aws, p)
    if found is None:
        return None
    seen = listeners.find(aws, p, balancer=found["LoadBalancerArn"])
    attributes = aws.elbv2.describe_load_balancer_attributes(LoadBalancerArn=found["LoadBalancerArn"])
    return Document(
        LoadBalancerName=p.balancer_name,
        Type=found["Type"],
        Scheme=found["Scheme"],
        Subnets=_SUBNETS if _subnet_ids(found) == set(_subnets(aws, p)) else "other subnets",
        SecurityGroups=vpc.group_names(aws, p, found["SecurityGroups"]),
        Attributes={each["Key"]: each["Value"] for each in attributes["Attributes"]},
        Listeners=seen,
        ListenerPorts=sorted(int(port) for port in seen),
        TargetGroup=group,
        State=found["State"]["Code"],
        **tags.found(p, found["Tags"]),
    )


def ensure_balancer(aws: AWS, p: Params) -> Changes:
    """Create target group and balancer, or change what differs; then wait until the balancer is active."""
    wanted = want_balancer(p)
    report = compare(_title(p), wanted, find_balancer(aws, p))
    if report:
        return report.changes.done
    needed = _needed(aws, p)
    target_group.ensure(aws, p)
    if _describe(aws, p) is None:
        _create(aws, p, needed)
    found = wait(_title(p), lambda: _made(aws, p), timeout=120, every=2)
    _change(aws, p, wanted, found, needed)
    wait(_title(p), lambda: _active(aws, p), timeout=_ACTIVE_WITHIN, every=3)
    return report.changes.done


def verify_balancer(aws: AWS, p: Params) -> Report:
    """Wanted against found. Whether the targets are healthy is the step `targets`."""
    return compare(_title(p), want_balancer(p), find_balancer(aws, p))


def destroy_balancer(aws: AWS, p: Params) -> Changes:
    """Delete listeners, balancer and target group, in the order in which they need each other; deletion protection is
    lifted first. Waits until each is gone."""
    found = _describe(aws, p)
    if found:
        arn = {"LoadBalancerArn": found["LoadBalancerArn"]}
        _unprotect(aws, arn)
        listeners.destroy(aws, balancer=found["LoadBalancerArn"])
        aws.elbv2.find("delete_load_balancer", _ABSENT, **arn)
        wait(_title(p), lambda: (None, "still there") if _describe(aws, p) else (True, "gone"), timeout=300, every=2)
    return destroyed(_title(p), target_group.destroy(aws, p) or bool(found))


def _title(p: Params) -> str:
    return f"load balancer {p.balancer_name}"


def _wanted_attributes(p: Params) -> dict[str, str]:
    logs = {"access_logs.s3.enabled": "false"}
    if p.access_logs:
        logs = {
            "access_logs.s3.enabled": "true",
            "access_logs.s3.bucket": p.access_logs,
            "access_logs.s3.prefix": p.name,
        }
    return {
        # A balancer's own 60 seconds cut the upload of a large layer: distribution/distribution#1061
        "idle_timeout.timeout_seconds": str(p.idle_timeout),
        "deletion_protection.enabled": str(p.deletion_protection).lower(),
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "routing.http.desync_mitigation_mode": "defensive",
        **logs,
    }


def _subnets(aws: AWS, p: Params) -> list[str]:
    return list(vpc.balancer_subnets(aws, p).values())


def _subnet_ids(described: dict) -> set[str]:
    return {zone["SubnetId"] for zone in described["AvailabilityZones"]}


def _describe(aws: AWS, p: Params) -> dict | None:
    found = aws.elbv2.find("describe_load_balancers", _ABSENT, Names=[p.balancer_name])
    if not found or not found["LoadBalancers"]:
        return None
    balancer = found["LoadBalancers"][0]
    seen = aws.elbv2.describe_tags(ResourceArns=[balancer["LoadBalancerArn"]])["TagDescriptions"][0]["Tags"]
    if {"Key": "runbook:deployment", "Value": p.name} not in seen:
        raise NotOurs(_title(p), p)
    return balancer | {"Tags": seen}


def _needed(aws: AWS, p: Params) -> dict:
    """What the balancer stands on, by id. StepFailed names the notebook that makes what is missing."""
    certificate, group = acm.find(aws, p), vpc.group_id(aws, p, p.balancer_group)
    issued = certificate is not None and certificate["Status"] == "ISSUED"
    for there, what, notebook in (
        (group, f"the security group {p.balancer_group}", "02_create_a_task_definition"),
        (issued, f"the certificate of {p.domain}, issued, in ACM", "05_configure_https_on_the_load_balancer"),
    ):
        if not there:
            raise StepFailed(f"{_title(p)} needs {what}, which is not there; run notebook {notebook} from its start")
    return {"group": group, "subnets": _subnets(aws, p)}


def _create(aws: AWS, p: Params, needed: dict) -> None:
    aws.elbv2.create_load_balancer(
        Name=p.balancer_name,
        Type="application",
        Scheme="internet-facing",
        Subnets=needed["subnets"],
        SecurityGroups=[needed["group"]],
        Tags=tags.pairs(p.tags),
    )


def _made(aws: AWS, p: Params) -> tuple[Document | None, str]:
    found = find_balancer(aws, p)
    return found, "made" if found else "not to be seen yet"


def _change(aws: AWS, p: Params, wanted: Document, found: Document, needed: dict) -> None:
    """One write for each part that differs; a balancer just created differs in most of them."""
    described = _describe(aws, p)
    arn = {"LoadBalancerArn": described["LoadBalancerArn"]}
    for key in ("Type", "Scheme"):
        if found[key] != wanted[key]:
            raise StepFailed(f"{_title(p)} is {found[key]}, which cannot be changed; destroy it and run this again")
    if tags.differ(p, found):
        aws.elbv2.add_tags(ResourceArns=[arn["LoadBalancerArn"]], Tags=tags.pairs(p.extra_tags))
    if found["SecurityGroups"] != wanted["SecurityGroups"]:
        aws.elbv2.set_security_groups(**arn, SecurityGroups=[needed["group"]])
    if found["Subnets"] != wanted["Subnets"]:
        aws.elbv2.set_subnets(**arn, Subnets=needed["subnets"])
    attributes = {key: value for key, value in wanted["Attributes"].items() if found["Attributes"].get(key) != value}
    if attributes:
        _set_attributes(aws, p, arn, attributes)
    listeners.ensure(aws, p, balancer=arn["LoadBalancerArn"])


def _set_attributes(aws: AWS, p: Params, arn: dict[str, str], attributes: dict[str, str]) -> None:
    pairs = [{"Key": key, "Value": value} for key, value in attributes.items()]
    try:
        aws.elbv2.modify_load_balancer_attributes(**arn, Attributes=pairs)
    except AwsError as error:
        if error.code != "InvalidConfigurationRequest" or not any(key.startswith("access_logs.") for key in attributes):
            raise
        raise StepFailed(
            f"{_title(p)}: {error.message}. Bucket {p.access_logs} must be in {p.region}, encrypted with SSE-S3, and "
            f"have this statement in its policy: {json.dumps(log_statement(aws, p))}"
        ) from error


def _unprotect(aws: AWS, arn: dict[str, str]) -> None:
    attributes = aws.elbv2.describe_load_balancer_attributes(**arn)["Attributes"]
    if {"Key": "deletion_protection.enabled", "Value": "true"} in attributes:
        off = {"Key": "deletion_protection.enabled", "Value": "false"}
        aws.elbv2.modify_load_balancer_attributes(**arn, Attributes=[off])


def require_log_bucket(aws: AWS, p: Params) -> None:
    """StepFailed when the bucket of the access logs is not there, or in another region. One that may not be looked at
    (it may be another account's) is left to the balancer."""
    if p.access_logs is None:
        return
    try:
        found = aws.s3.find("head_bucket", {"404", "NoSuchBucket"}, Bucket=p.access_logs)
    except Denied:
        return
    where = found["BucketRegion"] if found else "absent"
    if where != p.region:
        raise StepFailed(
            f"access_logs: bucket {p.access_logs} is {f'in {where}' if found else where}; a balancer writes to one in "
            f"its own region, {p.region}: make one there with this statement in its policy, or leave access_logs "
            f"out of {p.source}: {json.dumps(log_statement(aws, p))}"
        )


def log_statement(aws: AWS, p: Params) -> Document:
    """The statement that the bucket of the access logs needs in its policy.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/application/enable-access-logging.html
    """
    return Document(
        Effect="Allow",
        Principal={"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        Action="s3:PutObject",
        Resource=f"arn:aws:s3:::{p.access_logs}/{p.name}/AWSLogs/{aws.account}/*",
    )


def _active(aws: AWS, p: Params) -> tuple[bool | None, str]:
    state = _describe(aws, p)["State"]
    if state["Code"] == "failed":
        raise StepFailed(
            f"{_title(p)} could not be set up: {state.get('Reason', 'no reason is given')}; "
            "destroy it and run this again"
        )
    return (True if state["Code"] == "active" else None), state["Code"]

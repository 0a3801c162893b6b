"""All the steps in order: what would change, whether all is as wanted, and how to take it all away again."""

from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import Any, NamedTuple

from . import (
    alarms,
    balancer,
    cache,
    certificate,
    cluster,
    dns,
    former,
    htpasswd,
    identity,
    lease,
    network,
    nodes,
    scaling,
    service,
    storage,
    targets,
    task,
    wait,
)
from .errors import NotOurs, ParamsError, ReadOnly, StepFailed
from .params import Params
from .recorded import Recorded
from .report import Changes, Check, Report, Text
from .session import AWS, connect


class Step(NamedTuple):
    """One thing of a deployment, and the notebook that sets it up."""

    thing: str
    notebook: str
    ensure: Callable[[AWS, Params], Changes]
    verify: Callable[[AWS, Params], Report]
    destroy: Callable[[AWS, Params], Changes]


_01, _02, _03 = "01_enable_s3_and_authentication", "02_create_a_task_definition", "03_create_an_htpasswd_file"
_04, _05, _06 = "04_launch_your_service", "05_configure_https_on_the_load_balancer", "06_test_your_setup"
STEPS = (
    Step("bucket", _01, storage.ensure_bucket, storage.verify_bucket, storage.destroy_bucket),
    Step("identity", _01, identity.ensure_identity, identity.verify_identity, identity.destroy_identity),
    Step("groups", _02, network.ensure_groups, network.verify_groups, network.destroy_groups),
    Step("cluster", _02, cluster.ensure_cluster, cluster.verify_cluster, cluster.destroy_cluster),
    Step("nodes", _02, nodes.ensure_nodes, nodes.verify_nodes, nodes.destroy_nodes),
    Step("cache", _02, cache.ensure_cache, cache.verify_cache, cache.destroy_cache),
    Step("task", _02, task.ensure_task, task.verify_task, task.destroy_task),
    Step("users", _03, htpasswd.ensure_users, htpasswd.verify_users, htpasswd.destroy_users),
    Step("service", _04, service.ensure_service, service.verify_service, service.destroy_service),
    Step("certificate", _05, certificate.ensure_certificate, certificate.verify_certificate,
         certificate.destroy_certificate),
    Step("balancer", _05, balancer.ensure_balancer, balancer.verify_balancer, balancer.destroy_balancer),
    Step("targets", _05, targets.ensure_targets, targets.verify_targets, targets.destroy_targets),
    Step("scaling", _05, scaling.ensure_scaling, scaling.verify_scaling, scaling.destroy_scaling),
    Step("record", _05, dns.ensure_record, dns.verify_record, dns.destroy_record),
    Step("alarms", _05, alarms.ensure_alarms, alarms.verify_alarms, alarms.destroy_alarms),
    Step("former pieces", _06, former.ensure_former, former.verify_former, former.destroy_former),
)  # fmt: skip


UNTOLD = "can be told"  # the check of a step that cannot even look


class Reports(Recorded, tuple):
    """Reports, shown one after the other. True when each is."""

    def __bool__(self) -> bool:
        return all(self)

    def require(self) -> "Reports":
        for report in self:
            report.require()
        return self

    @property
    def changes(self) -> Changes:
        return sum((report.changes for report in self), Changes())

    def _recorded(self) -> list[dict[str, Any]]:
        return [each for report in self for each in report._recorded()]

    def __repr__(self) -> str:
        return "\n".join(repr(report) for report in self)

    def _repr_html_(self) -> str:
        return "".join(report._repr_html_() for report in self)


def start(p: Params) -> AWS:
    """A connection to the deployment's cloud; the embedded cloud is brought up and furnished first."""
    if p.cloud == "embedded":
        from . import local
        from .local.furnish import furnish

        local.up()
        furnish(p)
        with wait.Live() as live:
            live.show("the embedded cloud is up", 0)
    return connect(p)


def renew_files(p: Params) -> Text:
    """What renews the certificate's files, which the runbook only imports; on the embedded cloud it is played here."""
    if p.certificate_folder is None:
        return Text("no files: the certificate is in ACM alone")
    if p.cloud == "aws":
        return Text(f"certbot's own timer renews {p.certificate} where it runs; nothing is done here")
    from .local.furnish import issue

    issue(p, anew=True)
    return Text(f"certbot renew, played by the embedded cloud's authority: new files in {p.certificate}")


def emulated(p: Params) -> str:
    """What plays the registry on the embedded cloud, and what it cannot try there; empty on AWS."""
    if p.cloud == "aws":
        return ""
    from .local import images, state

    try:
        played = images.stand_in(state.home(), p.image)
    except images.ImageError as error:
        raise StepFailed(f"image {p.image}: {error}; change image in {p.source}") from error
    if p.credentials == "instance-role" and images.version_3() is None:
        played += " No registry program of version 3 is here (RUNBOOK_REGISTRY), which a task role would need."
    return played


def verify(aws: AWS, p: Params, *, until: str | None = None) -> Reports:
    """Every thing as its notebook left it, read-only and side by side; `until` leaves that notebook and later out."""
    reader = aws.once()
    steps = [step for step in STEPS if until is None or step.notebook < until]
    with ThreadPool(len(STEPS)) as pool:  # whose threads nobody waits for after Ctrl-C
        return Reports(pool.imap(lambda step: _verified(step, reader, p), steps))


def _verified(step: Step, reader: AWS, p: Params) -> Report:
    try:
        return step.verify(reader, p)
    except (NotOurs, StepFailed) as error:
        return Report(step.thing, (Check(UNTOLD, False, "found and ours", str(error)),))


def before(aws: AWS, p: Params, notebook: str) -> Report:
    """Before a notebook starts: one check a thing of the notebooks before it. Two digits are enough: `"03"`."""
    where = f"{p.cloud}, account {aws.account}, {aws.region}"
    report = Report(f"before notebook {notebook[:2]}").check("cloud", True, where, where)
    for step, found in zip(STEPS, verify(aws, p, until=notebook), strict=False):
        seen = "ok" if found else f"{_state(found)}: run notebook {step.notebook}"
        report = report.check(found.title, bool(found), "ok", seen)
    return report


def _state(report: Report) -> str:
    wrong = "; ".join(str(check) for check in report.checks if not check.ok)
    return "ok" if report else "absent" if report.absent else f"differs ({wrong})"


def changes(aws: AWS, p: Params) -> Changes:
    """The plan: what all notebooks together would create or change. Nothing is written."""
    return verify(aws, p).changes


def inventory(aws: AWS, p: Params) -> Report:
    """One line a thing of the deployment: ok, differs or absent."""
    report = Report(p.title)
    for found in verify(aws, p):
        report = report.check(found.title, bool(found), "ok", _state(found))
    return report


def destroy(aws: AWS, p: Params, *, confirm: str | None = None, images: bool = False) -> Changes:
    """Take the deployment away. Outside the embedded cloud `confirm` must be its name. The bucket goes last and
    stays while it holds images, unless `images`."""
    if p.cloud != "embedded" and confirm != p.name:
        raise ParamsError(
            f"{p.source}: this destroys {p.title}; confirm it by its name: "
            f'confirm="{p.name}" in the notebook, --confirm {p.name} on the command line'
        )
    with lease.hold(aws, p, last=True):
        # Each thing goes before what it stands on; the bucket, the first of the steps, goes last.
        done = sum((step.destroy(aws, p) for step in reversed(STEPS[1:])), Changes())
        return done + storage.destroy_bucket(aws, p, images=images)


def verify_destroyed(aws: AWS, p: Params) -> Report:
    """Nothing is left: every destruction, tried in a read-only session, finds nothing that it would delete."""
    report, reader = Report(f"{p.title}, destroyed"), aws.read_only()
    for left in lease.find_leases(reader, p):
        report = report.check("lease", False, "absent", f"of {left.holder}")
    for step in reversed(STEPS):
        try:
            rows = step.destroy(reader, p).rows
        except ReadOnly:
            report = report.check(step.thing, False, "absent", "still there")
        else:
            for row in rows:
                report = report.check(row.title, True, "absent", ", ".join((row.word, *row.details)))
    return report

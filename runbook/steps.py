"""The steps in their order, each with its notebook, and all of them verified."""

from collections.abc import Callable
from html import escape
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
    network,
    nodes,
    scaling,
    service,
    storage,
    targets,
    task,
    wait,
)
from .errors import NotOurs, StepFailed
from .params import Params
from .recorded import Recorded
from .report import Changes, Check, Report
from .session import AWS


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


_LONG = 20  # checks
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
        return "".join(_shown(report) for report in self)


def _shown(report: Report) -> str:
    """In a row of reports a long one that is ok is folded."""
    if not report or len(report.checks) < _LONG:
        return report._repr_html_()
    summary = f"{escape(report.title)}: ok, {len(report.checks)} checks"
    return f"<details><summary>{summary}</summary>{report._repr_html_()}</details>"


def of(notebook: str) -> tuple[Step, ...]:
    """The steps of one notebook; its two digits are enough."""
    return tuple(step for step in STEPS if step.notebook[:2] == notebook[:2])


def verify(aws: AWS, p: Params, *, notebook: str = "", show: bool = False) -> Reports:
    """Every thing as its notebook left it, or those of one notebook; read-only and side by side.

    With `show` one sees how far it is, until it is done.
    """
    reader = aws.once()
    steps, reports = of(notebook) if notebook else STEPS, []
    with ThreadPool(len(STEPS)) as pool, wait.Live(passing=True, shown=show) as live:  # nobody waits after Ctrl-C
        for report in pool.imap(lambda step: _verified(step, reader, p), steps):
            reports.append(report)
            live.show(f"looked at {report.title}", share=len(reports) / len(steps))
    return Reports(reports)


def _verified(step: Step, reader: AWS, p: Params) -> Report:
    try:
        return step.verify(reader, p)
    except (NotOurs, StepFailed) as error:
        return Report(step.thing, (Check(UNTOLD, False, "found and ours", str(error)),))

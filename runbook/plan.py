"""All the steps in order: what would change, whether all is as wanted, and how to take it all away again."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from . import costs, former, lease, progress, steps, storage, wait
from .errors import ParamsError, ReadOnly, StepFailed
from .params import Params
from .progress import Strip
from .report import Change, Changes, Report, Text
from .session import AWS, connect
from .steps import STEPS, UNTOLD, Reports, Step, verify

__all__ = ["STEPS", "UNTOLD", "Reports", "Step", "verify"]


def start(p: Params) -> AWS:
    """A connection to the deployment's cloud; the embedded cloud is brought up and furnished first."""
    if p.cloud == "embedded":
        from . import local
        from .local.furnish import furnish

        local.up()
        furnish(p)
        with wait.Live() as live:
            live.show("the embedded cloud is up")
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


@dataclass(frozen=True, repr=False)
class Before(Report):
    """A report that begins with the strip of all steps where it is shown in a notebook."""

    strip: Strip | None = None

    def _repr_html_(self) -> str:
        return (self.strip._repr_html_() if self.strip else "") + super()._repr_html_()


def before(aws: AWS, p: Params, notebook: str) -> Report:
    """Before a notebook starts: one check a thing of the notebooks before it. Two digits are enough: `"03"`."""
    verified = verify(aws, p, show=True)
    strip = progress.told(aws, p, verified, here=notebook)
    report = Before(f"before notebook {notebook[:2]}", strip=strip).check("cloud", True, strip.where, strip.where)
    for step, found in zip(STEPS, verified, strict=True):
        if step.notebook < notebook:
            report = report.check(found.title, bool(found), "ok", _seen(step, found))
    return report


def _seen(step: Step, found: Report) -> str:
    return "ok" if found else f"{_state(found)}: run notebook {step.notebook}"


def _state(report: Report) -> str:
    wrong = "; ".join(str(check) for check in report.checks if not check.ok)
    return "ok" if report else "absent" if report.absent else f"differs ({wrong})"


def changes(aws: AWS, p: Params, notebook: str = "") -> Changes:
    """The plan: what all notebooks together would create or change, or one of them. Nothing is written."""
    verified = verify(aws, p, notebook=notebook, show=True)
    where = "" if notebook else f"deployment {p.name}: {progress.where(aws, p)}"
    return planned(p, verified, notebook=notebook, where=where)


def planned(p: Params, verified: Reports, *, notebook: str = "", where: str = "") -> Changes:
    """The plan that follows from what was seen, with the notebook of each change and what the thing costs."""
    priced, rows = costs.want_costs(p), list[Change]()
    for step, report in zip(steps.of(notebook) if notebook else STEPS, verified, strict=True):
        (row,) = report.changes.rows
        each = _destroyed(report) if step.thing == former.TITLE and row else (row,)
        rows += [replace(row, notebook=step.notebook, cost=_cost(priced, step)) for row in each]
    return Changes(tuple(rows), where, "" if notebook else f"on AWS {priced.words}")


def _cost(priced: costs.Costs, step: Step) -> str:
    dollars = priced.of(step.thing)
    return costs.UNKNOWN if dollars is None else f"about ${dollars:.2f} a month" if dollars else ""


def _destroyed(report: Report) -> Iterator[Change]:
    """A former piece is there, and shall be absent."""
    return (Change(check.name, "-", "destroy") for check in report.checks if not check.ok)


def things(notebook: str) -> tuple[str, ...]:
    """What a notebook sets up, as `picture` lights it."""
    return tuple(step.thing for step in steps.of(notebook))


def inventory(aws: AWS, p: Params) -> Report:
    """One line a thing of the deployment: ok, differs or absent."""
    verified = verify(aws, p, show=True)
    report = Before(p.title, strip=progress.told(aws, p, verified))
    for step, found in zip(STEPS, verified, strict=True):
        report = report.check(found.title, bool(found), "ok", _seen(step, found))
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

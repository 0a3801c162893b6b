"""The command line, `python -m runbook …`: what each command does."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

from . import as_json, completion, new
from .errors import EXIT_CHANGES, EXIT_FAILED, EXIT_INTERRUPTED, ParamsError, RunbookError
from .options import parser
from .params_file import load
from .report import Document, Report
from .secret import Login, from_environment, from_prompt


def main(arguments: list[str] | None = None) -> int:
    options = parser(_prog()).parse_args(arguments)
    try:
        status = _DO[options.command](options)
        sys.stdout.flush()
        return status
    except RunbookError as error:
        return _ended(options, str(error), error.exit_status)
    except KeyboardInterrupt:
        why = "interrupted; what was done stays, the same command completes it"
        return _ended(options, why, EXIT_INTERRUPTED)
    except BrokenPipeError:
        # Python flushes once more at its end: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("runbook: the program that reads this output has ended", file=sys.stderr)
        return EXIT_FAILED


def script() -> int:
    """`runbook …` and `python -m runbook …`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled pipeline ends as with Ctrl-C
    return main()


def _prog() -> str:
    return "runbook" if Path(sys.argv[0]).name == "runbook" else "python -m runbook"


def _ended(options: argparse.Namespace, why: str, status: int) -> int:
    if _in_json(options):
        print(as_json.document(options.command, _about(options), status, error=why))
    print(f"runbook: {why}", file=sys.stderr)
    return status


def _in_json(options: argparse.Namespace) -> bool:
    return getattr(options, "document", False)


def _about(options: argparse.Namespace) -> str:
    asked = (getattr(options, key, None) for key in ("params", "url", "files", "service"))
    return next((" ".join(each) if isinstance(each, list) else each for each in asked if each), "the embedded cloud")


def _show(options: argparse.Namespace, status: int, *found) -> int:
    """Print what was found, one after the other or as one document in JSON."""
    if _in_json(options):
        print(as_json.document(options.command, _about(options), status, *found))
    else:
        print("\n\n".join(map(repr, found)))
    return status


def _cloud(options: argparse.Namespace) -> int:
    from . import local, plan

    if options.action in ("break", "mend"):
        return _break(options)
    if options.action == "up":
        if options.params:
            plan.start(load(options.params))
        print(f"the embedded cloud is up at {local.up().endpoint}")
    elif options.action == "down":
        print("the embedded cloud is down" if local.down() else "the embedded cloud was not running")
    else:
        return _show(options, 0, Document(local.status()))
    return 0


def _break(options: argparse.Namespace) -> int:
    from .local import breaking
    from .session import connect

    if options.params is None or options.row is None:
        raise ParamsError(f"which? for example: python -m runbook cloud {options.action} blog 4")
    p = load(options.params)
    breaking.find(p, options.row)  # before a connection is made
    act = breaking.bring_about if options.action == "break" else breaking.take_back
    print(act(connect(p), p, options.row))
    return 0


def _run(options: argparse.Namespace) -> int:
    from . import clients, github, headless, lease, plan, preflight, run_log

    p = load(options.params)
    chosen = headless.notebooks(start=options.start, only=options.only)
    aws = plan.start(p)
    preflight.preflight(aws, p, headless=True).require()
    log = (run_log.JsonLines if options.json else run_log.Lines)(sys.stdout)
    with lease.hold(aws, p) as held:
        run = headless.run(p, log, chosen=chosen, note=plan.emulated(p), held=held)
    github.tell(run)
    if options.json:
        log.event("report", result=run.verdict, seconds=run.seconds, report=str(run.folder / "report.json"))
        return run.exit_status
    print(f"\nreport    {run.folder}/report.html")
    if run.note:
        print(f"emulated  {run.note}")
    if run.verdict == "ok":
        if not options.only:
            print(clients.instructions(aws, p, params=options.params))
    elif run.verdict == "interrupted":
        raise KeyboardInterrupt
    else:
        print(run.results[-1].diagnosis, file=sys.stderr)
        again = f"run the same command again (from there: --from {run.results[-1].notebook[:2]})"
        print(f"The run stopped. Mend what the last line says, then {again}.", file=sys.stderr)
    return run.exit_status


def _report(options: argparse.Namespace) -> int:
    from . import run_comparison

    if not options.runs:
        print("\n".join(run_comparison.names()) or "no run has a report yet")
        return 0
    if len(options.runs) != 2:
        raise ParamsError("report: two runs to compare, or none to name them all")
    print(run_comparison.compare(*map(run_comparison.read, options.runs)))
    return 0


def _plan(options: argparse.Namespace) -> int:
    from . import plan, preflight
    from .session import connect

    p = load(options.params)
    aws = connect(p, read_only=True)
    verified = plan.verify(aws, p)
    found = verified.changes
    status = EXIT_CHANGES if found else 0
    if not options.document:
        print(found if found else f"{p.title}: nothing to change")
    needs = Report("before the first change")
    if p.cloud == "aws":  # to the embedded cloud a run brings what it needs
        needs = preflight.brought(aws, p) + preflight.names(verified)
    if options.document:
        return _show(options, status, found) if needs else _show(options, EXIT_FAILED, found, needs)
    needs.require()
    return status


def _verify(options: argparse.Namespace) -> int:
    from . import doctor, htpasswd, plan, registry
    from .session import connect

    if bool(options.params) == bool(options.url):
        raise ParamsError("verify: either params or --url, and one of them")
    if options.url:
        return _verify_url(options)
    if options.user or options.password or options.ca:
        raise ParamsError("verify: --user, --password and --ca go with --url; params name their own")
    p = load(options.params)
    aws = connect(p, read_only=True)
    planned = plan.verify(aws, p)
    found = registry.verify_registry(aws, p, logins=htpasswd.logins(aws, p), slow=options.slow)
    reports = plan.Reports((*planned, found))
    if reports:
        return _show(options, 0, reports)
    return _show(options, EXIT_FAILED, reports, doctor.diagnose(aws, p))


def _verify_url(options: argparse.Namespace) -> int:
    from . import address, registry

    known = address.of_url(options.url, ca=options.ca)
    report = registry.accept(known, logins=_logins(options), slow=options.slow)
    return _show(options, 0 if report else EXIT_FAILED, report)


def _logins(options: argparse.Namespace) -> list[Login]:
    """The users of the command line, each with the password from the source in its place."""
    users, sources = options.user, options.password
    if len(sources) > len(users):
        raise ParamsError("--password: one for each --user")
    if any(":" in user or not user for user in users):
        raise ParamsError("--user: a name alone; the password comes from --password env:NAME, or is asked for")
    if any(source != "prompt" and not source.startswith("env:") for source in sources):
        raise ParamsError("--password: prompt or env:NAME, never the password itself")
    sources = [*sources, *["prompt"] * (len(users) - len(sources))]
    return [
        Login(user, from_prompt(f"password of {user}") if source == "prompt" else from_environment(source[4:]))
        for user, source in zip(users, sources, strict=True)
    ]


def _lint(options: argparse.Namespace) -> int:
    from .lint import lint
    from .lint_read import read, read_version_option

    version = read_version_option(options.version)
    texts = read(options.files, cloud=options.cloud, region=options.region)
    findings = lint(texts, version, replicas=options.replicas)
    return _show(options, EXIT_FAILED if any(each.severity == "error" for each in findings) else 0, findings)


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor
    from .session import connect

    p = load(options.params)
    diagnosis = doctor.diagnose(connect(p, read_only=True), p)
    return _show(options, 0 if diagnosis else EXIT_FAILED, diagnosis)


def _status(options: argparse.Namespace) -> int:
    from . import status
    from .session import connect

    p = load(options.params)
    aws = connect(p, read_only=True)
    if options.watch:
        show = _print_line if options.json else status.Screen().show
        return 0 if status.watched(aws, p, show=show) else EXIT_FAILED
    found = status.status(aws, p)
    print(found.json() if options.json else found.text())
    return 0 if found else EXIT_FAILED


def _print_line(found) -> None:
    print(json.dumps(found.json(), ensure_ascii=False), flush=True)


def _audit(options: argparse.Namespace) -> int:
    from .audit import audit, named
    from .session import connect_to

    service, cluster, region = named(options.service, options.cluster, options.region)
    found = audit(connect_to(options.cloud, region, read_only=True, asked="--region"), service, cluster)
    return _show(options, EXIT_FAILED if found else 0, found)


def _destroy(options: argparse.Namespace) -> int:
    from . import plan
    from .session import connect

    p = load(options.params)
    print(plan.destroy(connect(p), p, confirm=options.confirm, images=options.images))
    return 0


def _rotate(options: argparse.Namespace) -> int:
    from . import due, rotation
    from .session import connect

    p = load(options.params)
    if unknown := set(options.things) - rotation.STEPS.keys():
        raise ParamsError(f"{', '.join(sorted(unknown))}: what can be rotated is {', '.join(rotation.STEPS)}")
    if not options.things:
        report = rotation.verify_ages(connect(p, read_only=True), p)
        return _show(options, 0 if report else EXIT_CHANGES, report)
    if options.document:
        raise ParamsError("rotate: --json goes with the ages, without a thing")
    aws = connect(p)
    since = due.since(aws, p, options.since or due.now(aws))
    print(f"to complete this after an interruption, add: --since {since.moment:%Y-%m-%dT%H:%M:%SZ}", file=sys.stderr)
    for thing in options.things:
        print(rotation.STEPS[thing](aws, p, **({} if thing == "certificate" else {"since": since})))
    return 0


def _password(options: argparse.Namespace) -> int:
    from . import htpasswd
    from .session import connect

    p = load(options.params)
    if options.user not in p.users:
        raise ParamsError(f"{p.source}: no user {options.user}; users has: {', '.join(p.users)}")
    if sys.stdout.isatty():
        raise ParamsError("the password is not shown on a terminal; pipe it, for example into docker login")
    print(htpasswd.password(connect(p, read_only=True), p, options.user).reveal())
    return 0


def _policy(options: argparse.Namespace) -> int:
    from .deployer_policy import want_policies

    print(want_policies(load(options.params)))
    return 0


def _describe(options: argparse.Namespace) -> int:
    from . import params_docs

    shown = params_docs.schema if options.schema else params_docs.page if options.page else params_docs.keys
    print(shown(), end="")
    return 0


def _new(options: argparse.Namespace) -> int:
    given = {question.key: getattr(options, question.key) or "" for question in new.QUESTIONS}
    new.free(options.file, replace=options.replace)
    if sys.stdin.isatty() and sys.stdout.isatty():
        answered = new.ask(options.file, given, input, print)
    else:
        answered = new.answers(options.file, given)
    new.write(options.file, answered, replace=options.replace)
    print(new.next_steps(options.file))
    return 0


def _completion(options: argparse.Namespace) -> int:
    print(completion.script(parser("runbook"), options.shell))
    return 0


_DO = {
    "cloud": _cloud,
    "run": _run,
    "report": _report,
    "plan": _plan,
    "verify": _verify,
    "lint": _lint,
    "doctor": _doctor,
    "status": _status,
    "audit": _audit,
    "destroy": _destroy,
    "rotate": _rotate,
    "password": _password,
    "policy": _policy,
    "params": _describe,
    "new": _new,
    "completion": _completion,
}


if __name__ == "__main__":
    sys.exit(script())

"""The command line: `python -m runbook …`. Exit status: 0 done, 1 failed, 2 usage or params, 3 changes pending
(plan), 4 interrupted, 5 timed out."""

import argparse
import json
import os
import signal
import sys

from .errors import EXIT_CHANGES, EXIT_FAILED, EXIT_INTERRUPTED, ParamsError, RunbookError
from .params import Params
from .params_file import load
from .secret import Login, from_environment, from_prompt


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        status = options.do(options) or 0
        sys.stdout.flush()
        return status
    except RunbookError as error:
        print(f"runbook: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("runbook: interrupted; what was done stays, the same command completes it", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Python flushes once more at its end: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("runbook: the program that reads this output has ended", file=sys.stderr)
        return EXIT_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runbook", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, do, what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what)
        added.set_defaults(do=do)
        return added

    def with_params(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument("params", help="a params file, or its name in params/ (blog)")
        return added

    cloud = command("cloud", _cloud, "the embedded cloud on this computer: up, down or status")
    cloud.add_argument("action", choices=("up", "down", "status", "break", "mend"))
    cloud.add_argument("params", nargs="?", help="with up: put in it what a person brings for these params, too")
    row = "with break: the failure (1 to 33) to bring about, for a try; mend takes back what no notebook mends"
    cloud.add_argument("row", nargs="?", type=int, help=row)
    with_params(command("run", _run, "run the notebooks 00 to 07 headless, and say where the registry is"))
    with_params(command("plan", _plan, "what the notebooks would change; exit status 3 if anything"))
    verify = command("verify", _verify, "every thing as wanted, and the registry as its clients see it")
    verify.add_argument("params", nargs="?", help="a params file, or its name in params/ (blog)")
    verify.add_argument("--url", help="instead of params: any registry, as its clients see it; https://HOST[:PORT]")
    verify.add_argument("--user", action="append", default=[], help="with --url: a user; several are tried in turn")
    verify.add_argument(
        "--password", action="append", default=[], metavar="SOURCE", help="of that user: prompt (default) or env:NAME"
    )
    verify.add_argument("--ca", metavar="FILE", help="with --url: PEM file of the authority that its certificate is of")
    verify.add_argument(
        "--slow",
        nargs="?",
        const=0.0,
        type=_seconds,
        metavar="SECONDS",
        help="let one upload take so long; without a number, longer than the balancer's idle timeout",
    )
    lint = command("lint", _lint, "what a registry will really do with these files; exit status 1 on an error")
    lint.add_argument("files", nargs="+", metavar="FILE", help="config.yml, task definition (JSON) or .env; or an ARN")
    lint.add_argument("--version", metavar="X.Y.Z", help="of the registry, where no file tells it")
    lint.add_argument("--replicas", type=int, default=1, metavar="N", help="how many registries run with these files")
    lint.add_argument("--cloud", choices=("aws", "embedded"), default="aws", help="of a task definition by its name")
    lint.add_argument("--region", help="of a task definition that is no ARN")
    with_params(command("doctor", _doctor, "what is wrong, why, and what to do; reads only; exit status 1 if anything"))
    status = with_params(command("status", _status, "what serves now, at a glance; exit status 1 if nothing does"))
    status.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    status.add_argument("--json", action="store_true", help="as JSON; with --watch a line a look")
    audit = command("audit", _audit, "findings on a deployment that this runbook did not make; reads only")
    audit.add_argument(
        "--service", required=True, metavar="ARN", help="of the ECS service; or its name, with --cluster"
    )
    audit.add_argument("--cluster", help="name of its cluster")
    audit.add_argument("--cloud", choices=("aws", "embedded"), default="aws")
    audit.add_argument("--region", help="of the service, where the ARN does not tell it")
    destroy = with_params(command("destroy", _destroy, "take the deployment away; absent things are fine"))
    destroy.add_argument("--confirm", metavar="NAME", help="the deployment's name; needed outside the embedded cloud")
    destroy.add_argument("--images", action="store_true", help="delete the bucket with the images in it, too")
    rotate = with_params(command("rotate", _rotate, "the ages of secrets and certificate (exit status 3: one is due)"))
    rotate.add_argument(
        "things", nargs="*", metavar="thing", help="make anew: key, http-secret, passwords, certificate"
    )
    rotate.add_argument("--since", metavar="TIME", help="what was made before it (now); the same completes a rotation")
    password = with_params(command("password", _password, "print one user's password, for a pipe into docker login"))
    password.add_argument("user")
    with_params(command("policy", _policy, "the IAM policies that a login needs for these params, and no more"))
    command("params", _describe, "every key of a params file, its type, default and meaning")
    return parser


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
        from .report import Document

        print(Document(local.status()))
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
    from . import clients, headless, lease, plan, preflight

    p = load(options.params)
    aws = plan.start(p)
    preflight.preflight(aws, p, headless=True).require()
    note = plan.emulated(p)
    with lease.hold(aws, p) as held:
        folder, results = headless.run(p, note=note, held=held)
    print(f"\nreport    {folder}/report.md")
    if note:
        print(f"emulated  {note}")
    if not all(result.ok for result in results):
        print(results[-1].diagnosis, file=sys.stderr)
        print("The run stopped. Mend what the last line says, then run the same command again.", file=sys.stderr)
        return EXIT_FAILED
    print(clients.instructions(aws, p, params=options.params))
    return 0


def _plan(options: argparse.Namespace) -> int:
    from . import plan, preflight
    from .session import connect

    p = load(options.params)
    aws = connect(p, read_only=True)
    verified = plan.verify(aws, p)
    found = verified.changes
    print(found if found else f"{p.title}: nothing to change")
    if p.cloud == "aws":  # to the embedded cloud a run brings what it needs
        (preflight.brought(aws, p) + preflight.names(verified)).require()
    return EXIT_CHANGES if found else 0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("1 to 3600 seconds")
    return seconds


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
    print(reports)
    if not reports:
        print(f"\n{doctor.diagnose(aws, p)!r}")
    return 0 if reports else EXIT_FAILED


def _verify_url(options: argparse.Namespace) -> int:
    from . import address, registry

    known = address.of_url(options.url, ca=options.ca)
    report = registry.accept(known, logins=_logins(options), slow=options.slow)
    print(report)
    return 0 if report else EXIT_FAILED


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
    print(findings)
    return EXIT_FAILED if any(each.severity == "error" for each in findings) else 0


def _doctor(options: argparse.Namespace) -> int:
    from . import doctor
    from .session import connect

    p = load(options.params)
    diagnosis = doctor.diagnose(connect(p, read_only=True), p)
    print(diagnosis)
    return 0 if diagnosis else EXIT_FAILED


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
    print(found)
    return EXIT_FAILED if found else 0


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
        print(report)
        return 0 if report else EXIT_CHANGES
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
    for name, field in Params.model_fields.items():
        default = "" if field.is_required() else f" (default {field.default})"
        print(f"{name:16} {field.description}{default}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled pipeline ends as with Ctrl-C
    sys.exit(main())

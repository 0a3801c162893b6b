"""What can be said after `python -m runbook`: the commands and their options."""

import argparse

from . import completion, new

EXIT_STATUSES = (
    "Exit status: 0 done, 1 failed, 2 usage or params, 3 changes pending (plan), 4 interrupted, 5 timed out."
)


def parser(prog: str) -> argparse.ArgumentParser:
    """The options have the command's name as `command`."""
    parser = argparse.ArgumentParser(prog=prog, description=EXIT_STATUSES)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, what: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what, description=what)
        added.set_defaults(command=name)
        return added

    def in_json(added: argparse.ArgumentParser) -> None:
        added.add_argument("--json", dest="document", action="store_true", help="one document for a script")

    def with_params(added: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added.add_argument("params", help="a params file, or its name in params/ (blog)").complete = completion.PARAMS
        return added

    cloud = command("cloud", "the embedded cloud on this computer: up, down or status")
    cloud.add_argument("action", choices=("up", "down", "status", "break", "mend"))
    brought = "with up: put in it what a person brings for these params, too"
    cloud.add_argument("params", nargs="?", help=brought).complete = completion.PARAMS
    row = "with break: the failure (1 to 33) to bring about, for a try; mend takes back what no notebook mends"
    cloud.add_argument("row", nargs="?", type=int, help=row)
    run = with_params(command("run", "run the notebooks 00 to 07 headless, and say where the registry is"))
    some = run.add_mutually_exclusive_group()
    some.add_argument("--from", dest="start", metavar="NN", help="from this notebook on; it verifies those before")
    some.add_argument("--only", metavar="NN", help="this notebook alone; it verifies those before")
    run.add_argument("--json", action="store_true", help="one event a line, in JSON")
    compared = command("report", "compare two runs; without them, name the runs that have a report")
    compared.add_argument("runs", nargs="*", metavar="run", help="two of them: a folder, or its name in runs/")
    planned = with_params(command("plan", "what the notebooks would change; exit status 3 if anything"))
    verify = command("verify", "every thing as wanted, and the registry as its clients see it")
    named = verify.add_argument("params", nargs="?", help="a params file, or its name in params/ (blog)")
    named.complete = completion.PARAMS
    verify.add_argument("--url", help="instead of params: any registry, as its clients see it; https://HOST[:PORT]")
    verify.add_argument("--user", action="append", default=[], help="with --url: a user; several are tried in turn")
    verify.add_argument(
        "--password", action="append", default=[], metavar="SOURCE", help="of that user: prompt (default) or env:NAME"
    )
    authority = "with --url: PEM file of the authority that its certificate is of"
    verify.add_argument("--ca", metavar="FILE", help=authority).complete = completion.FILES
    verify.add_argument(
        "--slow",
        nargs="?",
        const=0.0,
        type=_seconds,
        metavar="SECONDS",
        help="let one upload take so long; without a number, longer than the balancer's idle timeout",
    )
    lint = command("lint", "what a registry will really do with these files; exit status 1 on an error")
    what = "config.yml, task definition (JSON) or .env; or an ARN"
    lint.add_argument("files", nargs="+", metavar="FILE", help=what).complete = completion.FILES
    lint.add_argument("--version", metavar="X.Y.Z", help="of the registry, where no file tells it")
    lint.add_argument("--replicas", type=int, default=1, metavar="N", help="how many registries run with these files")
    lint.add_argument("--cloud", choices=("aws", "embedded"), default="aws", help="of a task definition by its name")
    lint.add_argument("--region", help="of a task definition that is no ARN")
    doctor = command("doctor", "what is wrong, why, and what to do; reads only; exit status 1 if anything")
    with_params(doctor)
    status = with_params(command("status", "what serves now, at a glance; exit status 1 if nothing does"))
    status.add_argument("--watch", action="store_true", help="again and again, until Ctrl-C")
    status.add_argument("--json", action="store_true", help="as JSON; with --watch a line a look")
    audit = command("audit", "findings on a deployment that this runbook did not make; reads only")
    audit.add_argument(
        "--service", required=True, metavar="ARN", help="of the ECS service; or its name, with --cluster"
    )
    audit.add_argument("--cluster", help="name of its cluster")
    audit.add_argument("--cloud", choices=("aws", "embedded"), default="aws")
    audit.add_argument("--region", help="of the service, where the ARN does not tell it")
    destroy = with_params(command("destroy", "take the deployment away; absent things are fine"))
    destroy.add_argument("--confirm", metavar="NAME", help="the deployment's name; needed outside the embedded cloud")
    destroy.add_argument("--images", action="store_true", help="delete the bucket with the images in it, too")
    rotate = with_params(command("rotate", "the ages of secrets and certificate (exit status 3: one is due)"))
    rotate.add_argument(
        "things", nargs="*", metavar="thing", help="make anew: key, http-secret, passwords, certificate"
    )
    rotate.add_argument("--since", metavar="TIME", help="what was made before it (now); the same completes a rotation")
    password = with_params(command("password", "print one user's password, for a pipe into docker login"))
    password.add_argument("user")
    with_params(command("policy", "the IAM policies that a login needs for these params, and no more"))
    described = command("params", "every key of a params file, its type, default and meaning")
    form = described.add_mutually_exclusive_group()
    form.add_argument("--schema", action="store_true", help="as a JSON schema: params/schema.json")
    form.add_argument("--page", action="store_true", help="as a page in Markdown: docs/params.md")
    made = command("new", "write params/NAME.yml from a template and a few answers; asks for them on a terminal")
    made.add_argument("file", metavar="NAME", help="of the file, without .yml")
    for question in new.QUESTIONS:
        made.add_argument(f"--{question.key}", choices=question.choices or None, help=question.words)
    made.add_argument("--replace", action="store_true", help="the file of that name that is there already")
    shell = command("completion", 'what a shell completes; in its start file: eval "$(… completion bash)"')
    shell.add_argument("shell", choices=completion.SHELLS)
    for each in (cloud, planned, verify, lint, doctor, audit, rotate):
        in_json(each)
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("1 to 3600 seconds")
    return seconds

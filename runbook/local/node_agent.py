"""The programs `dnf` and `amazon-cloudwatch-agent-ctl` of a node: stand-ins that do what a node's user data asks.

It stands alone (a node runs it by its file name). What the agent measures is measured from outside (metrics.py): this
only checks its configuration and marks it as running.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

AGENT = "opt/aws/amazon-cloudwatch-agent"
CTL = f"{AGENT}/bin/amazon-cloudwatch-agent-ctl"
CONFIGURATION = f"{AGENT}/etc/amazon-cloudwatch-agent.json"
STOPPED = f"{AGENT}/etc/stopped"
PACKAGES = {"amazon-cloudwatch-agent": "1.300051.0-1.amzn2023", "awscli-2": "2.23.11-1.amzn2023"}
DIMENSIONS = {"ImageId", "InstanceId", "InstanceType", "AutoScalingGroupName"}
MEASUREMENTS = {"used_percent", "disk_used_percent"}


def dnf(words: list[str], root: Path) -> int:
    """`dnf install -y [-q] PACKAGE …`: exit status 1 for a package that the repositories do not have."""
    parser = argparse.ArgumentParser(prog="dnf", allow_abbrev=False)
    parser.add_argument("command", choices=("install",))
    parser.add_argument("packages", nargs="+")
    parser.add_argument("-y", "--assumeyes", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    options = parser.parse_intermixed_args(words)
    unknown = [name for name in options.packages if name not in PACKAGES]
    if unknown:
        for name in unknown:
            print(f"No match for argument: {name}", file=sys.stderr)
        print(f"Error: Unable to find a match: {' '.join(unknown)}", file=sys.stderr)
        return 1
    if not options.assumeyes:
        print("Operation aborted.", file=sys.stderr)
        return 1
    if "amazon-cloudwatch-agent" in options.packages:
        install(root, CTL, "agent")
    if not options.quiet:
        print("Installed:")
        for name in options.packages:
            print(f"  {name}-{PACKAGES[name]}")
        print("Complete!")
    return 0


def agent(words: list[str], root: Path) -> int:
    """`-a fetch-config -m ec2 -s -c file:PATH`, `-a status`, `-a stop`."""
    parser = argparse.ArgumentParser(prog="amazon-cloudwatch-agent-ctl", allow_abbrev=False)
    parser.add_argument("-a", dest="action", choices=("fetch-config", "status", "stop"), required=True)
    parser.add_argument("-m", dest="mode", choices=("ec2",), default="ec2")
    parser.add_argument("-c", dest="configuration")
    parser.add_argument("-s", dest="start", action="store_true")
    options = parser.parse_args(words)
    kept, stopped = root / CONFIGURATION, root / STOPPED
    if options.action == "status":
        state = "running" if running(root) else "stopped"
        configured = "configured" if kept.exists() else "not configured"
        print(json.dumps({"status": state, "configstatus": configured}, indent=2))
        return 0
    if options.action == "stop":
        stopped.parent.mkdir(parents=True, exist_ok=True)
        stopped.touch()
        return 0
    source = options.configuration or ""
    if not source.startswith("file:"):
        print(f"unknown configuration source {source!r}: file:PATH is what this agent takes", file=sys.stderr)
        return 1
    try:
        text = Path(source.removeprefix("file:")).read_text()
        problem = wrong(json.loads(text))
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem:
        print(f"Configuration validation failed: {problem}", file=sys.stderr)
        return 1
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(text)
    if options.start:
        stopped.unlink(missing_ok=True)
    elif not stopped.exists():
        stopped.touch()
    print("Configuration validation succeeded")
    return 0


def wrong(configuration: Any) -> str | None:
    """What this agent cannot do of a configuration; None if it can do all."""
    if not isinstance(configuration, dict) or set(configuration) - {"agent", "metrics"}:
        return "only agent and metrics are played here"
    section = configuration.get("metrics", {})
    collected = section.get("metrics_collected", {})
    disk = collected.get("disk", {})
    if set(collected) != {"disk"}:
        return f"only disk is measured here, not {sorted(collected)}"
    if disk.get("resources", ["*"]) not in (["*"], ["/"]):
        return "only the disk / is measured here"
    if set(disk.get("measurement", [])) - MEASUREMENTS or not disk.get("measurement"):
        return "only used_percent is measured here"
    appended = section.get("append_dimensions", {})
    for name, value in appended.items():
        if name not in DIMENSIONS or value != f"${{aws:{name}}}":
            return f"append_dimensions: {name}: {value} is not known"
    return None


def running(root: Path) -> dict[str, Any] | None:
    """The configuration of the agent that runs on the node with this root folder; None if none does."""
    file = root / CONFIGURATION
    if (root / STOPPED).exists() or not file.is_file():
        return None
    try:
        configuration = json.loads(file.read_text())
    except ValueError:
        return None
    return None if wrong(configuration) else configuration


def install(root: Path, path: str, which: str) -> None:
    """Put the program `which` of this file (dnf or agent) at a path below a root folder."""
    program = root / path
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", __file__, which])} "$@"\n')
    program.chmod(0o755)


if __name__ == "__main__":
    programs = {"dnf": dnf, "agent": agent}
    sys.exit(programs[sys.argv[1]](sys.argv[2:], Path("/")))

"""The four scanners, each in a venv of its own below `.scan` (`make scan`), and what each finds, in one form."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from runbook import paths

SCAN = paths.PROJECT / ".scan"
# Those of which a deployment has something.
SERVICES = "acm autoscaling cloudwatch ec2 ecs elasticache elb elbv2 iam route53 s3 secretsmanager ssm vpc".split()
# Run by parliament's own Python: each policy of a JSON object on stdin, and the findings of each on stdout.
_PARLIAMENT = """
import json, sys
import parliament
from pathlib import Path
parliament.override_config(str(Path(parliament.__file__).parent / "community_auditors/config_override.yaml"))
found = []
for name, document in json.load(sys.stdin).items():
    policy = parliament.analyze_policy_string(json.dumps(document), include_community_auditors=True)
    found += [(finding.issue, name) for finding in policy.findings]
json.dump(found, sys.stdout)
"""


class Finding(NamedTuple):
    """A check that fails, and of what."""

    check: str
    resource: str


def installed(name, program="python"):
    """The program in the scanner's venv; without it the test is left out."""
    found = SCAN / name / "bin" / program
    if not (SCAN / name / ".ready").exists():
        pytest.skip(f"{name} is not installed here: `make scan` installs it, and runs this test")
    return str(found)


def cfn_lint(*templates: Path) -> set[Finding]:
    """By the cfn-lint that moto brings along."""
    program = str(Path(sys.executable).with_name("cfn-lint"))
    done = subprocess.run(
        [program, "--format", "json", "--regions", "eu-central-1", "--", *map(str, templates)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    # It exits with 2, 4, 6 and so on where there are findings.
    assert done.stdout.startswith("["), done.stderr
    return {
        Finding(each["Rule"]["Id"], "/".join(map(str, each["Location"]["Path"] or [each["Message"]])))
        for each in json.loads(done.stdout)
    }


def parliament(policies: dict[str, dict]) -> set[Finding]:
    done = subprocess.run(
        [installed("parliament"), "-W", "ignore", "-c", _PARLIAMENT],
        input=json.dumps(policies),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return {Finding(issue, name) for issue, name in json.loads(done.stdout)}


def checkov(template: Path) -> tuple[set[Finding], set[str]]:
    """What fails, and the checks that had something to say."""
    program = [installed("checkov", "checkov"), "--framework", "cloudformation", "--output", "json"]
    done = subprocess.run(
        [*program, "--skip-download", "--compact", "--file", str(template)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode in (0, 1), done.stderr  # 1 where there are findings
    told = json.loads(done.stdout)
    assert told["summary"]["parsing_errors"] == 0, told["summary"]
    failed = {Finding(each["check_id"], each["resource"]) for each in told["results"]["failed_checks"]}
    return failed, {each["check_id"] for each in told["results"]["passed_checks"]} | {each.check for each in failed}


def prowler(endpoint: str, folder: Path, *, region: str, seconds: int) -> tuple[set[Finding], set[str]]:
    """What fails in the account that is played at the endpoint, and the checks that had something to say."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_DEFAULT_REGION": region,
    }
    command = [installed("prowler", "prowler"), "aws", "--region", region, "--services", *SERVICES]
    command += ["--output-formats", "json-ocsf", "--output-directory", str(folder), "--output-filename", "found"]
    command += ["--ignore-exit-code-3", "--no-banner", "--no-color"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=seconds)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads((folder / "found.ocsf.json").read_text())
    failed = {
        Finding(each["metadata"]["event_code"], resource["uid"])
        for each in found
        if each["status_code"] == "FAIL"
        for resource in each["resources"]
    }
    return failed, {each["metadata"]["event_code"] for each in found}

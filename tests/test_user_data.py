"""The nodes' first boot: the script really run by a shell, in a folder that stands for the node's root."""

import json
import subprocess

import pytest

from runbook.report import Text
from runbook.user_data import digest, user_data

pytestmark = pytest.mark.pure


def run(script, root, **programs):
    """The script as root of a node runs it, with these programs (name: what it does) before the system's own."""
    (root / "bin").mkdir()
    for name, does in programs.items():
        file = root / "bin" / name
        file.write_text(f"#!/bin/sh\n{does}\n")
        file.chmod(0o755)
    (root / "etc").mkdir()
    moved = script.replace(" /etc/", f" {root}/etc/").replace(":/etc/", f":{root}/etc/")
    moved = moved.replace(" /home/", f" {root}/home/").replace("/opt/aws/amazon-cloudwatch-agent/bin/", "")
    env = {"PATH": f"{root}/bin:/usr/bin:/bin"}
    return subprocess.run(["bash", "-c", moved], env=env, capture_output=True, text=True, check=False)


def test_the_blog_script_is_unchanged(p):
    script = user_data(p)
    assert isinstance(script, Text)
    assert script == (
        "#!/bin/bash\n"
        "set -eu\n"
        "install -d -m 0755 /etc/ecs /home/ec2-user/auth\n"
        "cat > /etc/ecs/ecs.config <<'END'\n"
        "ECS_CLUSTER=registry\n"
        "ECS_ENABLE_TASK_IAM_ROLE=true\n"
        "END\n"
    )


def test_no_folder_for_users_that_come_with_the_task(p, tmp_path):
    script = user_data(p.model_copy(update={"htpasswd": "init-container"}))
    assert run(script, tmp_path).returncode == 0
    assert (tmp_path / "etc/ecs/ecs.config").read_text() == "ECS_CLUSTER=registry\nECS_ENABLE_TASK_IAM_ROLE=true\n"
    assert not (tmp_path / "home").exists()


def test_the_disk_is_told_for_the_group(scaling, tmp_path):
    told = f'echo "$0 $@" >> {tmp_path}/called'
    done = run(user_data(scaling), tmp_path, **{"dnf": told, "amazon-cloudwatch-agent-ctl": told})
    assert (done.returncode, done.stderr) == (0, "")
    config = tmp_path / "etc/amazon-cloudwatch-agent.json"
    metrics = json.loads(config.read_text())["metrics"]
    assert metrics["append_dimensions"] == {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"}
    assert metrics["aggregation_dimensions"] == [["AutoScalingGroupName"]]
    assert metrics["metrics_collected"]["disk"] == {"measurement": ["used_percent"], "resources": ["/"]}
    assert (tmp_path / "called").read_text().splitlines() == [
        f"{tmp_path}/bin/dnf install -y -q amazon-cloudwatch-agent",
        f"{tmp_path}/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:{config}",
    ]


@pytest.mark.parametrize("broken", ["dnf", "amazon-cloudwatch-agent-ctl"])
def test_a_node_without_the_agent_joins_all_the_same(scaling, tmp_path, broken):
    programs = {name: "exit 1" if name == broken else "true" for name in ("dnf", "amazon-cloudwatch-agent-ctl")}
    done = run(user_data(scaling), tmp_path, **programs)
    assert done.returncode == 0 and "the CloudWatch agent does not run" in done.stderr
    assert "ECS_CLUSTER=registry" in (tmp_path / "etc/ecs/ecs.config").read_text()


def test_no_agent_without_alarms(scaling):
    assert "cloudwatch" not in user_data(scaling.model_copy(update={"alarms": False}))


def test_digest(p, scaling):
    assert digest(user_data(p)) != digest(user_data(scaling))
    assert digest("a") == digest("a") and digest("a").startswith("sha256 ")

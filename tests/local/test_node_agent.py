"""The programs that a node's user data installs and sets up: `dnf` and the CloudWatch agent's."""

import json

import pytest

from runbook.local import node_agent

pytestmark = pytest.mark.pure

GOOD = {
    "agent": {"run_as_user": "root"},
    "metrics": {
        "namespace": "CWAgent",
        "append_dimensions": {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"},
        "aggregation_dimensions": [["AutoScalingGroupName"]],
        "metrics_collected": {"disk": {"measurement": ["used_percent"], "resources": ["/"]}},
    },
}


def start(root, configuration):
    file = root / "agent.json"
    file.write_text(configuration if isinstance(configuration, str) else json.dumps(configuration))
    return node_agent.agent(["-a", "fetch-config", "-m", "ec2", "-s", "-c", f"file:{file}"], root)


def test_packages_are_installed_and_told(tmp_path, capsys):
    assert node_agent.dnf(["install", "-y", "awscli-2", "amazon-cloudwatch-agent"], tmp_path) == 0
    told = capsys.readouterr().out
    assert "Installed:" in told and "amazon-cloudwatch-agent" in told
    assert (tmp_path / node_agent.CTL).exists()
    assert node_agent.running(tmp_path) is None
    assert node_agent.dnf(["install", "-y", "-q", "awscli-2"], tmp_path) == 0
    assert capsys.readouterr().out == ""


def test_an_unknown_package_installs_nothing(tmp_path, capsys):
    assert node_agent.dnf(["install", "-y", "amazon-cloudwatch-agent", "nginx"], tmp_path) == 1
    assert "Unable to find a match: nginx" in capsys.readouterr().err
    assert not (tmp_path / node_agent.CTL).exists()


def test_nothing_is_installed_without_consent(tmp_path):
    assert node_agent.dnf(["install", "awscli-2"], tmp_path) == 1


def test_the_agent_runs_with_a_right_configuration_until_it_is_stopped(tmp_path, capsys):
    assert start(tmp_path, GOOD) == 0
    assert node_agent.running(tmp_path) == GOOD
    capsys.readouterr()
    assert node_agent.agent(["-a", "status"], tmp_path) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "running"
    assert node_agent.agent(["-a", "stop"], tmp_path) == 0
    assert node_agent.running(tmp_path) is None


@pytest.mark.parametrize(
    ("configuration", "told"),
    [
        ("{not json", "Expecting property name"),
        ({"logs": {}}, "only agent and metrics"),
        ({"metrics": {"metrics_collected": {"mem": {}}}}, "only disk"),
        ({"metrics": {"metrics_collected": {"disk": {"measurement": ["inodes_free"]}}}}, "only used_percent"),
        ({"metrics": GOOD["metrics"] | {"append_dimensions": {"AutoScalingGroupName": "registry"}}}, "is not known"),
    ],
)
def test_a_configuration_that_it_cannot_do_is_refused(tmp_path, capsys, configuration, told):
    assert start(tmp_path, configuration) == 1
    assert told in capsys.readouterr().err
    assert node_agent.running(tmp_path) is None

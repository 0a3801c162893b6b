"""The script that a node runs at its first boot: it joins the cluster and, with alarms, tells its disk's use."""

import hashlib
import json

from .params import Params
from .report import Text

_AGENT = "/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl"
_AGENT_CONFIG = "/etc/amazon-cloudwatch-agent.json"
_AGENT_SECONDS = 300  # cloud-init, and with it the ECS agent, waits for the script


def user_data(p: Params) -> Text:
    """The script that a node runs once, at its first boot, before the ECS agent starts."""
    folders = f"/etc/ecs {p.auth_folder}" if p.htpasswd == "node-folder" else "/etc/ecs"
    return Text(
        "#!/bin/bash\n"
        "set -eu\n"
        f"install -d -m 0755 {folders}\n"
        "cat > /etc/ecs/ecs.config <<'END'\n"
        f"ECS_CLUSTER={p.cluster_name}\n"
        "ECS_ENABLE_TASK_IAM_ROLE=true\n"
        "END\n" + (_disk_metric() if p.alarms else "")
    )


def digest(text: str) -> str:
    """A short mark of a script, by which two are compared."""
    return f"sha256 {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _disk_metric() -> str:
    """The node is in the cluster even where the agent cannot be had: its configuration is written before.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-Agent-Configuration-File-Details.html
    """
    metrics = {
        "append_dimensions": {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"},
        "aggregation_dimensions": [["AutoScalingGroupName"]],
        "metrics_collected": {"disk": {"measurement": ["used_percent"], "resources": ["/"]}},
    }
    return (
        f"cat > {_AGENT_CONFIG} <<'END'\n"
        f"{json.dumps({'metrics': metrics}, indent=2)}\n"
        "END\n"
        f"if ! timeout {_AGENT_SECONDS} dnf install -y -q amazon-cloudwatch-agent ||\n"
        f"  ! {_AGENT} -a fetch-config -m ec2 -s -c file:{_AGENT_CONFIG}; then\n"
        "  echo 'the CloudWatch agent does not run: this node does not tell how full its disk is' >&2\n"
        "fi\n"
    )

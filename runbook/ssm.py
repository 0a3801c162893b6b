"""Run Command: a script on nodes, without SSH, and what it said there."""

from typing import NamedTuple

from .session import AWS
from .wait import wait

ONLINE_WITHIN = 300  # seconds: the agent of a node that has just started registers after a minute or two
RUN_WITHIN = 600  # seconds, the time to install a package included
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
_RUNNING = {"Pending", "InProgress", "Delayed", "Cancelling"}


class Output(NamedTuple):
    """What became of a script on one node. `error` is one sentence, empty when it succeeded."""

    ok: bool
    last_line: str
    error: str


def run(aws: AWS, what: str, nodes: dict[str, str], script: list[str]) -> dict[str, Output]:
    """Run the lines of a shell script as root on `nodes` (name: instance id), side by side.

    A script that fails is an Output, not an error. TimedOut when a node is not online, or does not end in time.
    """
    wait(f"{what}: Systems Manager", lambda: _online(aws, nodes), timeout=ONLINE_WITHIN, every=2)
    sent = aws.ssm.send_command(
        InstanceIds=sorted(nodes.values()),
        DocumentName="AWS-RunShellScript",
        Comment=what,
        Parameters={"commands": script, "executionTimeout": [str(RUN_WITHIN)]},
    )
    ended: dict[str, Output] = {}

    def look():
        for name, instance in nodes.items():
            if name not in ended and (output := _output(aws, sent["Command"]["CommandId"], instance)):
                ended[name] = output
        seen = f"{len(ended)} of {len(nodes)} nodes are done"
        return (ended if len(ended) == len(nodes) else None), seen

    return wait(what, look, timeout=RUN_WITHIN + 60, every=0.5)


def _online(aws: AWS, nodes: dict[str, str]) -> tuple[bool | None, str]:
    filters = [{"Key": "InstanceIds", "Values": sorted(nodes.values())}]
    found = aws.ssm.all("describe_instance_information", "InstanceInformationList", Filters=filters)
    online = {each["InstanceId"] for each in found if each["PingStatus"] == "Online"}
    missing = sorted(name for name, instance in nodes.items() if instance not in online)
    if missing:
        return None, f"{len(nodes) - len(missing)} of {len(nodes)} nodes online, not yet {', '.join(missing)}"
    return True, f"{len(nodes)} of {len(nodes)} nodes online"


def _output(aws: AWS, command: str, instance: str) -> Output | None:
    """None while it runs. An invocation is not known at once after it was sent."""
    found = aws.ssm.find("get_command_invocation", {"InvocationDoesNotExist"}, CommandId=command, InstanceId=instance)
    if found is None or found["Status"] in _RUNNING:
        return None
    lines = found.get("StandardOutputContent", "").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if found["Status"] == "Success":
        return Output(True, last, "")
    said = " ".join(found.get("StandardErrorContent", "").split())[-300:] or "it said nothing"
    return Output(False, last, f"{found.get('StatusDetails') or found['Status']}, {said}")

"""Run Command inside moto: commands that wait for their node, and what became of them.

moto calls every command a success at once, sends one for named instances to all others too, and lacks two
operations. Sources: the API reference of Systems Manager, SendCommand and GetCommandInvocation.
"""

import datetime
import functools
import platform
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.ssm.exceptions import InvalidDocument, InvalidFilterKey, SSMException
from moto.ssm.models import Command, SimpleSystemManagerBackend, ssm_backends
from moto.ssm.responses import SimpleSystemManagerResponse

from . import ec2

KNOWN_AFTER = datetime.timedelta(seconds=0.2)  # GetCommandInvocation lags behind SendCommand
DOCUMENT = "AWS-RunShellScript"
PARAMETERS = {"commands", "executionTimeout"}
LONGEST = 172800  # seconds that executionTimeout may give
STDOUT_CHARACTERS, STDERR_CHARACTERS, PLUGIN_CHARACTERS = 24000, 8000, 2500
# The agent keeps a node registered with this permission of AmazonSSMManagedInstanceCore.
MANAGED = "ssm:UpdateInstanceInformation"


class Machine(Protocol):
    """What this module asks of a node."""

    instance_id: str
    region: str
    address: str


class Invocation:
    """One command on one instance."""

    def __init__(self, command: Command, record: dict[str, Any]):
        self._command, self._record = command, record
        self.command_id: str = command.command_id
        self.instance_id: str = record["InstanceId"]

    @property
    def script(self) -> str:
        return "\n".join(self._command.parameters["commands"]) + "\n"

    @property
    def seconds(self) -> int:
        """How long the script may run."""
        return int(self._command.parameters.get("executionTimeout", ["3600"])[0])

    def begin(self) -> None:
        self._record["ExecutionStartDateTime"] = utcnow().isoformat() + "Z"
        self._write("InProgress", "InProgress")

    def finish(self, status: str, details: str, code: int, stdout: str = "", stderr: str = "") -> None:
        """Write the end; `status` is Success, Failed or TimedOut."""
        now = utcnow()
        began = self._record["ExecutionStartDateTime"]
        if began:
            passed = now - datetime.datetime.fromisoformat(began.removesuffix("Z"))
            self._record["ExecutionElapsedTime"] = f"PT{passed.total_seconds():.3f}S"
        self._record["ExecutionEndDateTime"] = now.isoformat() + "Z"
        self._record["ResponseCode"] = code
        self._record["StandardOutputContent"] = stdout[:STDOUT_CHARACTERS]
        self._record["StandardErrorContent"] = stderr[:STDERR_CHARACTERS]
        self._write(status, details)

    def _write(self, status: str, details: str) -> None:
        self._record["StatusDetails"], self._record["Status"] = details, status
        _summarise(self._command)


def pending() -> list[Invocation]:
    """The invocations that no node has taken yet, in all regions."""
    return [
        Invocation(command, record)
        for _, backend in list(ssm_backends[ACCOUNT].items())
        for command in list(backend._commands)
        if command.status in ("Pending", "InProgress")
        for record in command.invocations
        if record["Status"] == "Pending"
    ]


def install(machines: Callable[[], Iterable[Machine]]) -> None:
    """Make moto's Run Command wait for us, and know which of these machines a command can reach."""

    def managed(region: str) -> dict[str, Machine]:
        online = {}
        for machine in machines():
            role = ec2.role(region, machine.instance_id) if machine.region == region else None
            if role and ec2.allows(role, MANAGED):
                online[machine.instance_id] = machine
        return online

    Command.__init__ = _waiting(Command.__init__)
    Command._get_instance_ids_from_targets = lambda self: []
    SimpleSystemManagerBackend.send_command = _checked(SimpleSystemManagerBackend.send_command, managed)
    SimpleSystemManagerBackend.get_command_invocation = _get_command_invocation
    SimpleSystemManagerResponse.list_command_invocations = _list_command_invocations
    SimpleSystemManagerResponse.describe_instance_information = _describe_instance_information(managed)


def _waiting(plain):
    @functools.wraps(plain)
    def __init__(self, *args, **kwargs):
        plain(self, *args, **kwargs)
        for record in self.invocations:
            record.update(Status="Pending", StatusDetails="Pending", ResponseCode=-1)
            record.update(ExecutionStartDateTime="", ExecutionEndDateTime="", ExecutionElapsedTime="")
        self.target_count = len(self.invocations)
        _summarise(self)

    return __init__


def _summarise(command: Command) -> None:
    """The command's own state is that of the invocation that is worst off."""
    states = [record["Status"] for record in command.invocations]
    ended = [state for state in states if state not in ("Pending", "InProgress")]
    command.completed_count = len(ended)
    command.error_count = len([state for state in ended if state != "Success"])
    if not states:
        command.status, command.status_details = "Success", "NoInstancesInTag"
        return
    if len(ended) < len(states):
        status = "Pending" if set(states) == {"Pending"} else "InProgress"
    else:
        status = next((state for state in ("Failed", "TimedOut") if state in states), "Success")
    command.status = command.status_details = status


def _checked(plain, managed: Callable[[str], dict[str, Machine]]):
    @functools.wraps(plain)
    def send_command(self, *, document_name, instance_ids, parameters, targets, **rest):
        if document_name != DOCUMENT:
            raise InvalidDocument(f"the document {document_name} is not known here; {DOCUMENT} is")
        unknown = set(parameters) - PARAMETERS
        if unknown or not parameters.get("commands"):
            raise SSMException("InvalidParameters", f"{DOCUMENT} takes commands and executionTimeout, not {unknown}")
        limit = parameters.get("executionTimeout", ["3600"])
        if len(limit) != 1 or not limit[0].isdecimal() or not 1 <= int(limit[0]) <= LONGEST:
            raise SSMException("InvalidParameters", f"executionTimeout is a number of seconds from 1 to {LONGEST}")
        online = managed(self.region_name)
        absent = [instance_id for instance_id in instance_ids if instance_id not in online]
        if absent:
            raise SSMException("InvalidInstanceId", f"Instances {absent} not in a valid state for account {ACCOUNT}")
        chosen = [*instance_ids, *_targeted(self.region_name, targets, online)]
        return plain(
            self,
            document_name=document_name,
            instance_ids=list(dict.fromkeys(chosen)),
            parameters=parameters,
            targets=targets,
            **rest,
        )

    return send_command


def _targeted(region: str, targets: list[dict[str, Any]], online: dict[str, Machine]) -> list[str]:
    """The instances of which every target is true."""
    if not targets:
        return []
    return [each for each in online if all(_is_target(region, target, each) for target in targets)]


def _is_target(region: str, target: dict[str, Any], instance_id: str) -> bool:
    key, values = target["Key"], target["Values"]
    if key == "InstanceIds":
        return instance_id in values
    if key.startswith("tag:"):
        return ec2.tags(region, instance_id).get(key.removeprefix("tag:")) in values
    raise SSMException("InvalidTarget", f"the target {key} is not known here; InstanceIds and tag:NAME are")


def _get_command_invocation(self, command_id: str, instance_id: str, plugin_name: str | None) -> dict[str, Any]:
    for command in self._commands:
        for record in command.invocations:
            known = utcnow() - command.requested_date_time >= KNOWN_AFTER
            if known and (command.command_id, record["InstanceId"]) == (command_id, instance_id):
                return record
    raise SSMException("InvocationDoesNotExist", f"{command_id} was not sent to {instance_id}")


def _list_command_invocations(self) -> ActionResult:
    command_id, instance_id = self._get_param("CommandId"), self._get_param("InstanceId")
    found = [
        _listed(command, record, bool(self._get_param("Details")))
        for command in self.ssm_backend._commands
        for record in command.invocations
        if command_id in (None, command.command_id) and instance_id in (None, record["InstanceId"])
    ]
    return ActionResult({"CommandInvocations": found})


def _listed(command: Command, record: dict[str, Any], details: bool) -> dict[str, Any]:
    same = ("CommandId", "InstanceId", "Comment", "DocumentName", "Status", "StatusDetails")
    listed = {name: record[name] for name in same}
    listed["RequestedDateTime"] = command.requested_date_time
    plugin = {name: record[name] for name in ("Status", "StatusDetails", "ResponseCode")}
    output = record["StandardOutputContent"]
    if record["StandardErrorContent"]:
        output += "\n----------ERROR-------\n" + record["StandardErrorContent"]
    listed["CommandPlugins"] = (
        [{"Name": record["PluginName"], **plugin, "Output": output[:PLUGIN_CHARACTERS]}] if details else []
    )
    return listed


def _describe_instance_information(managed: Callable[[str], dict[str, Machine]]):
    def describe_instance_information(self) -> ActionResult:
        filters = {each["Key"]: each["Values"] for each in self._get_param("Filters") or []}
        filters |= {each["key"]: each["valueSet"] for each in self._get_param("InstanceInformationFilterList") or []}
        if filters.keys() - {"InstanceIds"}:
            raise InvalidFilterKey(f"only InstanceIds is known here, not {sorted(filters)}")
        system = platform.freedesktop_os_release()
        online = managed(self.ssm_backend.region_name)
        return ActionResult(
            {
                "InstanceInformationList": [
                    {
                        "InstanceId": instance_id,
                        "PingStatus": "Online",
                        "LastPingDateTime": utcnow(),
                        "PlatformType": "Linux",
                        "PlatformName": system["NAME"],
                        "PlatformVersion": system.get("VERSION_ID", ""),
                        "ResourceType": "EC2Instance",
                        "IPAddress": machine.address,
                    }
                    for instance_id, machine in online.items()
                    if instance_id in filters.get("InstanceIds", online)
                ]
            }
        )

    return describe_instance_information

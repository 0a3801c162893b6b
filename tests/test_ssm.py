"""A script on nodes: until they are online, until it has ended, and what it said."""

from types import SimpleNamespace

import pytest

from runbook import ssm
from runbook.errors import AwsError, TimedOut

pytestmark = pytest.mark.pure

NODES = {"node-1": "i-1", "node-2": "i-2"}


class Service:
    """What Systems Manager answers, one round after the other; the last answer stays."""

    def __init__(self, online, invocations):
        self.online, self.invocations, self.sent = online, invocations, []

    def all(self, operation, key, **parameters):
        assert (operation, key) == ("describe_instance_information", "InstanceInformationList")
        assert parameters["Filters"] == [{"Key": "InstanceIds", "Values": ["i-1", "i-2"]}]
        now = self.online.pop(0) if len(self.online) > 1 else self.online[0]
        return [{"InstanceId": each, "PingStatus": status} for each, status in now.items()]

    def send_command(self, **parameters):
        self.sent.append(parameters)
        return {"Command": {"CommandId": "c"}}

    def find(self, operation, absent, **parameters):
        assert (operation, parameters["CommandId"]) == ("get_command_invocation", "c")
        rounds = self.invocations[parameters["InstanceId"]]
        answer = rounds.pop(0) if len(rounds) > 1 else rounds[0]
        if isinstance(answer, str) and answer not in absent:
            raise AwsError("ssm", "GetCommandInvocation", answer, "")
        return None if isinstance(answer, str) else answer


def said(status, output="", error="", details=None):
    answer = {"Status": status, "StandardOutputContent": output, "StandardErrorContent": error}
    return {**answer, "StatusDetails": details or status}


ONLINE = {"i-1": "Online", "i-2": "Online"}


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=0.0, naps=0)

    def sleep(seconds):
        clock.now, clock.naps = clock.now + seconds, clock.naps + 1

    clock.sleep, clock.monotonic = sleep, lambda: clock.now
    monkeypatch.setattr("runbook.wait.time", clock)
    return clock


def run(service):
    return ssm.run(SimpleNamespace(ssm=service), "a file", NODES, ["true"])


def test_it_waits_for_nodes_and_for_answers(clock):
    service = Service(
        [{}, {"i-1": "Online", "i-2": "ConnectionLost"}, ONLINE],
        {
            "i-1": ["InvocationDoesNotExist", said("Pending"), said("Success", "a\n2\n\n")],
            "i-2": [said("InProgress"), said("Delayed"), said("InProgress"), said("Success", "2")],
        },
    )
    assert run(service) == {"node-1": ssm.Output(True, "2", ""), "node-2": ssm.Output(True, "2", "")}
    assert clock.naps == 2 + 3
    (sent,) = service.sent
    assert sent["InstanceIds"] == ["i-1", "i-2"]
    assert sent["Parameters"] == {"commands": ["true"], "executionTimeout": ["600"]}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said("Failed", error="line one\nline two\n"), "Failed, line one line two"),
        (said("Failed", error="x" * 1000), "Failed, " + "x" * 300),
        (said("Cancelled"), "Cancelled, it said nothing"),
        (said("TimedOut", details="DeliveryTimedOut"), "DeliveryTimedOut, it said nothing"),
    ],
)
def test_one_failure_does_not_hide_the_others_success(clock, answer, error):
    outputs = run(Service([ONLINE], {"i-1": [said("Success", "2")], "i-2": [answer]}))
    assert outputs["node-1"].ok
    assert outputs["node-2"] == ssm.Output(False, "", error)


def test_a_node_that_never_comes_online_is_named_and_nothing_is_sent(clock):
    service = Service([{"i-1": "Online"}], {})
    with pytest.raises(TimedOut, match="1 of 2 nodes online, not yet node-2"):
        run(service)
    assert service.sent == [] and clock.now > ssm.ONLINE_WITHIN


def test_a_script_that_does_not_end_is_given_up(clock):
    with pytest.raises(TimedOut, match="a file: not within 660 s; last seen: 1 of 2 nodes are done"):
        run(Service([ONLINE], {"i-1": [said("Success", "2")], "i-2": [said("InProgress")]}))


def test_another_error_is_not_taken_for_not_yet(clock):
    with pytest.raises(AwsError, match="InvalidInstanceId"):
        run(Service([ONLINE], {"i-1": ["InvalidInstanceId"], "i-2": [said("Success")]}))

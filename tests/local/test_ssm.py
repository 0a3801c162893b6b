"""Run Command: a script really runs on its node, and what comes back is what happened."""

import functools
import json
import uuid
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, WaiterError

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def instance(cloud):
    """An instance whose role lets commands in, which may do what the tests do from it."""
    name = cloud.profile(cloud.ssm_policy)
    actions = ["secretsmanager:*", "ec2:DescribeInstances", "ssm:DescribeParameters"]
    policy = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    )
    cloud.client("iam").put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=policy)
    instance_id = cloud.instance("#!/bin/bash\n", name)
    yield instance_id
    cloud.terminate(instance_id)


def send(cloud, instance_id: str, *commands: str, **parameters: list[str]) -> str:
    sent = cloud.client("ssm").send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[instance_id],
        Parameters={"commands": list(commands), **parameters},
    )["Command"]
    assert sent["Status"] == "Pending"
    listed = {"CommandId": sent["CommandId"], "InstanceId": instance_id}
    cloud.until(lambda: is_known(cloud, listed))
    return sent["CommandId"]


def is_known(cloud, listed):
    """An invocation is not known at once after it was sent."""
    try:
        return cloud.client("ssm").get_command_invocation(**listed)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvocationDoesNotExist"
        return None


def ended(cloud, instance_id: str, command_id: str) -> dict:
    def invocation():
        found = cloud.client("ssm").get_command_invocation(CommandId=command_id, InstanceId=instance_id)
        return found if found["Status"] not in ("Pending", "InProgress") else None

    return cloud.until(invocation)


def run(cloud, instance_id: str, *commands: str, **parameters: list[str]) -> dict:
    return ended(cloud, instance_id, send(cloud, instance_id, *commands, **parameters))


def test_a_script_that_succeeds(cloud, instance):
    found = run(cloud, instance, "echo one", "echo two; echo three >&2")
    assert (found["Status"], found["StatusDetails"], found["ResponseCode"]) == ("Success", "Success", 0)
    assert (found["StandardOutputContent"], found["StandardErrorContent"]) == ("one\ntwo\n", "three\n")


def test_the_shell_is_that_of_amazon_linux(cloud, instance):
    found = run(cloud, instance, "set -euo pipefail; false | true")
    assert (found["Status"], found["ResponseCode"], found["StandardOutputContent"]) == ("Failed", 1, "")
    assert run(cloud, instance, "set -euo pipefail; true | true; echo $BASH_VERSION")["StandardOutputContent"] > "4"


def test_a_script_that_fails_says_how(cloud, instance):
    found = run(cloud, instance, "echo before; echo why >&2; exit 3; echo after")
    assert (found["Status"], found["ResponseCode"]) == ("Failed", 3)
    assert found["StandardOutputContent"] == "before\n"
    assert found["StandardErrorContent"] == "why\nfailed to run commands: exit status 3"


def test_the_stock_waiter_tells_success_from_failure(cloud, instance):
    waiter = cloud.client("ssm").get_waiter("command_executed")
    quick = {"Delay": 1, "MaxAttempts": 30}
    waiter.wait(CommandId=send(cloud, instance, "true"), InstanceId=instance, WaiterConfig=quick)
    with pytest.raises(WaiterError, match="Failed"):
        waiter.wait(CommandId=send(cloud, instance, "false"), InstanceId=instance, WaiterConfig=quick)


def test_one_that_takes_too_long_is_stopped(cloud, instance):
    command = send(cloud, instance, "echo before; sleep 602", executionTimeout=["1"])
    found = ended(cloud, instance, command)
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert found["StandardOutputContent"] == "before\n"
    assert found["ResponseCode"] != 0
    cloud.until(lambda: not any("sleep 602" in words for words in cloud.processes().values()))


def test_it_is_in_progress_while_it_runs_and_others_do_not_wait_for_it(cloud, instance):
    ssm, go = cloud.client("ssm"), f"/tmp/{uuid.uuid4().hex}"
    slow = send(cloud, instance, f"until [ -e {go} ]; do sleep 0.05; done")
    assert run(cloud, instance, "true")["Status"] == "Success"
    running = ssm.get_command_invocation(CommandId=slow, InstanceId=instance)
    assert (running["Status"], running["ResponseCode"]) == ("InProgress", -1)
    assert ssm.list_commands(CommandId=slow)["Commands"][0]["Status"] == "InProgress"
    assert run(cloud, instance, f"touch {go}")["Status"] == "Success"
    assert ended(cloud, instance, slow)["Status"] == "Success"


def test_files_of_a_node_persist_between_commands_and_are_its_own(cloud, instance):
    other = cloud.instance("", cloud.profile(cloud.ssm_policy))
    path = f"/home/ec2-user/{uuid.uuid4().hex}"
    assert run(cloud, instance, f"mkdir {path}; echo user:hash > {path}/htpasswd")["Status"] == "Success"
    assert run(cloud, instance, f"cat {path}/htpasswd")["StandardOutputContent"] == "user:hash\n"
    assert (cloud.root(instance) / path[1:] / "htpasswd").read_text() == "user:hash\n"
    assert run(cloud, other, f"cat {path}/htpasswd")["Status"] == "Failed"
    cloud.terminate(other)


def test_the_machines_programs_cannot_be_changed(cloud, instance):
    found = run(cloud, instance, "touch /usr/bin/x /usr/x")
    assert found["Status"] == "Failed"
    assert "Read-only file system" in found["StandardErrorContent"]


def test_long_output_is_cut_as_ssm_does(cloud, instance):
    found = run(cloud, instance, "head -c 100000 /dev/zero | tr '\\0' x; head -c 20000 /dev/zero | tr '\\0' y >&2")
    assert found["StandardOutputContent"] == "x" * 24000
    assert found["StandardErrorContent"] == "y" * 8000


def test_what_is_listed_is_what_happened(cloud, instance):
    command, ssm = send(cloud, instance, "echo out; exit 4"), cloud.client("ssm")
    ended(cloud, instance, command)
    (listed,) = ssm.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
    assert (listed["InstanceId"], listed["Status"]) == (instance, "Failed")
    (plugin,) = listed["CommandPlugins"]
    assert plugin["ResponseCode"] == 4
    assert plugin["Output"].startswith("out\n")
    whole = ssm.list_commands(CommandId=command)["Commands"][0]
    assert (whole["Status"], whole["CompletedCount"], whole["ErrorCount"], whole["TargetCount"]) == ("Failed", 1, 1, 1)


def test_a_command_goes_to_its_targets_only(cloud, instance):
    other, tag = cloud.instance("", cloud.profile(cloud.ssm_policy)), uuid.uuid4().hex
    cloud.client("ec2").create_tags(Resources=[other], Tags=[{"Key": "part", "Value": tag}])
    for targets, instances in (
        ([{"Key": "tag:part", "Values": [tag]}], [other]),
        ([{"Key": "InstanceIds", "Values": [instance, other]}], sorted([instance, other])),
        ([{"Key": "tag:part", "Values": ["none"]}], []),
    ):
        sent = cloud.client("ssm").send_command(
            DocumentName="AWS-RunShellScript", Targets=targets, Parameters={"commands": ["true"]}
        )["Command"]
        assert sorted(sent["InstanceIds"]) == instances
        for each in instances:
            cloud.until(functools.partial(is_known, cloud, {"CommandId": sent["CommandId"], "InstanceId": each}))
            assert ended(cloud, each, sent["CommandId"])["Status"] == "Success"
    command = send(cloud, instance, "true")
    listed = cloud.client("ssm").list_command_invocations(CommandId=command)["CommandInvocations"]
    assert [each["InstanceId"] for each in listed] == [instance]
    cloud.terminate(other)


def test_instances_that_no_command_can_reach_are_refused(cloud, instance):
    ssm, ec2 = cloud.client("ssm"), cloud.client("ec2")
    without = cloud.instance()
    too_little = cloud.instance("", cloud.profile(cloud.ec2_policy))
    stopped = cloud.instance("", cloud.profile(cloud.ssm_policy))
    ec2.stop_instances(InstanceIds=[stopped])
    cloud.until(lambda: cloud.node(stopped)["state"] == "stopped")
    for unreachable in ("i-0123456789abcdef0", without, too_little, stopped):
        with pytest.raises(ClientError) as refused:
            ssm.send_command(
                DocumentName="AWS-RunShellScript",
                InstanceIds=[instance, unreachable],
                Parameters={"commands": ["true"]},
            )
        assert refused.value.response["Error"]["Code"] == "InvalidInstanceId"
        assert unreachable in refused.value.response["Error"]["Message"]
        found = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [unreachable]}])
        assert found["InstanceInformationList"] == []
    cloud.terminate(without, too_little, stopped)


def test_instances_that_a_command_can_reach_are_online(cloud, instance):
    ssm = cloud.client("ssm")
    filters = [{"Key": "InstanceIds", "Values": [instance]}]
    (found,) = ssm.describe_instance_information(Filters=filters)["InstanceInformationList"]
    assert (found["InstanceId"], found["PingStatus"], found["PlatformType"]) == (instance, "Online", "Linux")
    assert found["IPAddress"] == cloud.node(instance)["address"]
    assert instance in [each["InstanceId"] for each in ssm.describe_instance_information()["InstanceInformationList"]]


def test_other_documents_and_parameters_are_refused(cloud, instance):
    for document, parameters, code in (
        ("AWS-RunPowerShellScript", {"commands": ["dir"]}, "InvalidDocument"),
        ("AWS-RunShellScript", {}, "InvalidParameters"),
        ("AWS-RunShellScript", {"commands": ["true"], "comands": ["false"]}, "InvalidParameters"),
        ("AWS-RunShellScript", {"commands": ["true"], "executionTimeout": ["soon"]}, "InvalidParameters"),
    ):
        with pytest.raises(ClientError) as refused:
            cloud.client("ssm").send_command(DocumentName=document, InstanceIds=[instance], Parameters=parameters)
        assert refused.value.response["Error"]["Code"] == code


def test_an_invocation_that_is_not_there_says_so(cloud, instance):
    with pytest.raises(ClientError) as missing:
        cloud.client("ssm").get_command_invocation(CommandId=str(uuid.uuid4()), InstanceId=instance)
    assert missing.value.response["Error"]["Code"] == "InvocationDoesNotExist"


def test_a_command_on_an_instance_that_is_terminated_ends(cloud):
    instance = cloud.instance("", cloud.profile(cloud.ssm_policy))
    command = send(cloud, instance, "sleep 603")
    cloud.until(lambda: any("sleep 603" in words for words in cloud.processes().values()))
    cloud.terminate(instance)
    assert ended(cloud, instance, command)["Status"] == "Failed"
    assert not any("sleep 603" in words for words in cloud.processes().values())


def test_a_command_on_an_instance_that_is_stopped_ends_and_leaves_no_file(cloud):
    instance = cloud.instance("", cloud.profile(cloud.ssm_policy))
    command = send(cloud, instance, "sleep 604")
    cloud.until(lambda: any("sleep 604" in words for words in cloud.processes().values()))
    cloud.client("ec2").stop_instances(InstanceIds=[instance])
    assert ended(cloud, instance, command)["Status"] == "Failed"
    assert not [path for path in (cloud.root(instance).parent / "commands").rglob("*") if path.is_file()]
    cloud.terminate(instance)


def test_aws_on_the_node_reads_a_secret_through_the_role(cloud, instance):
    name = uuid.uuid4().hex
    cloud.client("secretsmanager").create_secret(Name=name, SecretString="user:pass word")
    get = f"aws secretsmanager get-secret-value --secret-id {name} --query SecretString --output text"
    found = run(cloud, instance, get, "aws sts get-caller-identity --query Arn --output text")
    assert found["StandardErrorContent"] == ""
    secret, arn = found["StandardOutputContent"].splitlines()
    assert secret == "user:pass word"
    assert ":assumed-role/" in arn
    assert arn.endswith(f"/{instance}")
    missing = run(cloud, instance, f"aws secretsmanager get-secret-value --secret-id no-{name}")
    assert missing["ResponseCode"] == 254
    error = "An error occurred (ResourceNotFoundException) when calling the GetSecretValue"
    assert error in missing["StandardErrorContent"]


def test_aws_on_a_node_without_a_role_has_no_credentials(cloud):
    get = "aws secretsmanager get-secret-value --secret-id x > /opt/out 2>&1; echo $? >> /opt/out"
    instance = cloud.instance(f"#!/bin/bash\n{get}\n")
    cloud.until(lambda: cloud.node(instance)["state"] == "running")
    said = (cloud.root(instance) / "opt/out").read_text()
    assert "Unable to locate credentials" in said
    assert said.endswith("\n253\n")
    cloud.terminate(instance)


def test_aws_on_the_node_takes_lists_numbers_flags_json_and_files(cloud, instance):
    name = uuid.uuid4().hex
    tags = json.dumps([{"Key": "k", "Value": "v w"}])
    found = run(
        cloud,
        instance,
        "set -e",
        f"printf from-a-file > /tmp/{name}",
        f"aws secretsmanager create-secret --name {name} --secret-string file:///tmp/{name} --tags '{tags}' > /tmp/x",
        f"aws secretsmanager describe-secret --secret-id {name} --query 'Tags[0].Value' --output text",
        f"aws secretsmanager get-secret-value --secret-id {name} --query SecretString",
        f"aws ec2 describe-instances --instance-ids {instance} --no-dry-run --region eu-central-1"
        " --query 'Reservations[].Instances[].InstanceId' --output text",
        "aws ssm describe-parameters --max-results 1 --query 'length(Parameters)'",
        f"aws secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery --query Name",
    )
    assert found["StandardErrorContent"] == ""
    assert found["StandardOutputContent"].splitlines()[:3] == ["v w", '"from-a-file"', instance]
    assert found["StandardOutputContent"].splitlines()[-1] == f'"{name}"'
    for wrong in ("aws secretsmanager get-secret-value --secret-name x", "aws secretsmanager no-such-thing"):
        assert run(cloud, instance, wrong)["ResponseCode"] == 252


def test_no_process_list_shows_a_secret(cloud, instance):
    ready, marker, secret = f"root/{uuid.uuid4().hex}", uuid.uuid4().hex, uuid.uuid4().hex
    cloud.client("secretsmanager").create_secret(Name=marker, SecretString=secret)
    get = f"aws secretsmanager get-secret-value --secret-id {marker} --query SecretString --output text"
    script = (
        "umask 077",
        f"export SECRET=$({get}); printf %s $SECRET > /{ready}.draft; mv /{ready}.draft /{ready}",
        f": {marker}; until [ -e /{ready}.go ]; do sleep 0.05; done",
    )
    command = send(cloud, instance, *script)
    file = cloud.root(instance) / ready
    cloud.until(file.exists)
    assert file.read_text() == secret
    shown = "\n".join(cloud.processes().values())
    (cloud.root(instance) / f"{ready}.go").touch()
    assert "/run/script" in shown
    assert secret not in shown
    assert marker not in shown
    assert ended(cloud, instance, command)["Status"] == "Success"
    assert secret not in (cloud.home / "cloud.log").read_text()
    assert not [path for path in Path(cloud.root(instance).parent / "commands").rglob("*") if path.is_file()]

"""The nodes: every running EC2 instance has a loopback address, a root folder, its user data run, and an ECS agent.

What a node is not: a program runs as the only user there is (root by number, this computer's caller by rights), so
`chown` to another user fails; what a script leaves in the background ends with the script; there is no service
manager, and the machine's programs (/usr) are this computer's, read-only.
"""

import logging
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from . import node_agent, node_aws, sandbox
from .inside import ec2
from .state import CloudError, Place

log = logging.getLogger(__name__)

FOLDERS = ("etc/ecs", "home/ec2-user", "opt", "root", "srv", "tmp", "var/lib", "var/log", "var/tmp")
FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nec2-user:x:1000:1000:EC2 Default User:/home/ec2-user:/bin/bash\n",
    "etc/group": "root:x:0:\nec2-user:x:1000:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/ecs/ecs.config": "",
}
SCRIPT = "/run/script"
USER_DATA_OUTPUT = "var/log/cloud-init-output.log"
LOCAL_BIN = "/usr/local/bin"
MOST = 254


@dataclass
class Node:
    """One instance's machine. `root` holds its own files; `cluster` and its ARN are set once it has registered."""

    instance_id: str
    region: str
    k: int
    address: str
    folder: Path
    running: bool = False
    cluster: str | None = None
    container_instance_arn: str | None = None
    joins: str | None = field(default=None, repr=False)
    user_data: subprocess.Popen | None = field(default=None, repr=False)

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def status(self) -> dict[str, Any]:
        state = "stopped" if not self.running else "user data runs" if self.user_data else "running"
        return {
            "instance": self.instance_id,
            "region": self.region,
            "address": self.address,
            "state": state,
            "cluster": self.cluster,
        }


class Nodes:
    """The part that keeps a node for each running instance."""

    def __init__(self, place: Place):
        self._place = place
        self._nodes: dict[str, Node] = {}
        self.metadata: Callable[[Node], dict[str, str]] = no_metadata  # the server has the service's own put here
        ec2.install()

    def all(self) -> list[Node]:
        """The nodes that run."""
        return [node for node in list(self._nodes.values()) if node.running]

    def get(self, instance_id: str) -> Node | None:
        """The node of an instance, if it runs."""
        node = self._nodes.get(instance_id)
        return node if node and node.running else None

    def status(self) -> list[dict[str, Any]]:
        return [node.status() for node in list(self._nodes.values())]

    def step(self) -> None:
        instances = {instance.id: instance for instance in ec2.instances()}
        for instance in instances.values():
            node = self._nodes.get(instance.id)
            if instance.state == "running":
                if node is None:
                    node = self._make(instance)
                if not node.running:
                    self._start(node)
                self._boot(node)
            elif node and instance.state == "terminated":
                self._remove(node)
            elif node and node.running:
                self._stop(node)
        for instance_id in self._nodes.keys() - instances.keys():
            self._remove(self._nodes[instance_id])

    def close(self) -> None:
        for node in self._nodes.values():
            end(node.user_data)

    def run(self, node: Node, script: Path, program: list[str], stdout: int | IO, stderr: int | IO) -> subprocess.Popen:
        """Start a script (a file of this computer) on a node, where it is /run/script, as cloud-init and SSM do."""
        argv = sandbox.argv(
            binds=[(node.root, "/"), (node.folder / "bin", LOCAL_BIN)],
            ro_binds=[(script, SCRIPT), *python_mounts()],
            read_only_root=False,
            tmpfs=("/run",),
        )
        return sandbox.spawn([*argv, *program], self._environment(node), stdout, stderr)

    def _environment(self, node: Node) -> dict[str, str]:
        """Region and endpoint for AWS's clients; credentials only as the metadata service gives them."""
        variables = {
            "PATH": f"{LOCAL_BIN}:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "AWS_DEFAULT_REGION": node.region,
            "AWS_ENDPOINT_URL": self._place.endpoint,
        }
        return variables | self.metadata(node)

    def _make(self, instance: ec2.Instance) -> Node:
        taken = {node.k for node in self._nodes.values()}
        k = next((k for k in range(1, MOST + 1) if k not in taken), None)
        if k is None:
            raise CloudError(f"instance {instance.id} gets no node: {MOST} is the most that this cloud can hold")
        address = self._place.node_address(k)
        folder = self._place.folder("nodes", instance.id)
        furnish(folder)
        ec2.set_private_address(instance.region, instance.id, address)
        node = self._nodes[instance.id] = Node(instance.id, instance.region, k, address, folder)
        self._first_boot(node)
        return node

    def _first_boot(self, node: Node) -> None:
        """Run the user data, once in the instance's life; its output is where cloud-init puts it."""
        given = ec2.user_data(node.region, node.instance_id)
        with open(node.root / USER_DATA_OUTPUT, "wb") as output:
            if given.startswith(b"#!"):
                script = node.folder / "user-data"
                script.touch(mode=0o700)
                script.write_bytes(given)
                node.user_data = self.run(node, script, [SCRIPT], output, output)
            elif given:
                output.write(b"Unhandled user data: only a script (#!) can be run on this node\n")

    def _start(self, node: Node) -> None:
        node.running = True
        log.info("node %s of %s runs", node.address, node.instance_id)
        if node.cluster:
            ec2.set_connected(node.region, node.cluster, node.container_instance_arn, True)
        elif not node.user_data:
            node.joins = configured_cluster(node.root)

    def _boot(self, node: Node) -> None:
        """The agent's part: it starts after the user data (ecs.service is ordered after cloud-final), then registers.

        It tries until the cluster is there. Who deregisters it through the API must restart it.
        """
        if node.user_data and node.user_data.poll() is not None:
            if node.user_data.returncode:
                log.warning("user data of %s: exit status %s", node.instance_id, node.user_data.returncode)
            node.user_data = None
            node.joins = configured_cluster(node.root)
        if node.cluster and not ec2.is_registered(node.region, node.cluster, node.container_instance_arn):
            node.cluster = node.container_instance_arn = None
        if not node.joins:
            return
        role = ec2.role(node.region, node.instance_id)
        if role and ec2.allows(role, "ecs:RegisterContainerInstance"):
            arn = ec2.register(node.region, node.instance_id, node.joins)
            if arn:
                node.container_instance_arn, node.cluster, node.joins = arn, node.joins, None
                log.info("%s registered with cluster %s", node.instance_id, node.cluster)

    def _stop(self, node: Node) -> None:
        end(node.user_data)
        node.running, node.user_data, node.joins = False, None, None
        if node.cluster:
            ec2.set_connected(node.region, node.cluster, node.container_instance_arn, False)

    def _remove(self, node: Node) -> None:
        end(node.user_data)
        node.running = False
        del self._nodes[node.instance_id]
        if node.cluster:
            ec2.deregister(node.region, node.cluster, node.container_instance_arn)
        shutil.rmtree(node.folder, ignore_errors=True)
        log.info("node %s of %s is gone", node.address, node.instance_id)


def no_metadata(node: Node) -> dict[str, str]:
    return {"AWS_EC2_METADATA_DISABLED": "true"}


def end(process: subprocess.Popen | None) -> None:
    """Kill a sandbox: all that runs in it ends with its first process."""
    if process:
        process.kill()
        process.wait()


def configured_cluster(root: Path) -> str | None:
    """The cluster that the agent's configuration names; the last line that does counts."""
    file = root / "etc/ecs/ecs.config"
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    named = [line.partition("=")[2].strip() for line in lines if line.strip().startswith("ECS_CLUSTER=")]
    return named[-1] if named else None


def furnish(folder: Path) -> None:
    """The files of a new machine: an empty root with two users, and a folder for its `aws` and `dnf` commands."""
    root = folder / "root"
    for name in FOLDERS:
        (root / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for name, text in FILES.items():
        (root / name).write_text(text)
    (folder / "bin").mkdir()
    aws = folder / "bin" / "aws"
    aws.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-I", node_aws.__file__])} "$@"\n')
    aws.chmod(0o755)
    node_agent.install(folder, "bin/dnf", "dnf")


def python_mounts() -> list[sandbox.Mount]:
    """What the node's `aws` and `dnf` need of this computer: our interpreter, its packages, and a file each."""
    prefixes = {sys.prefix, sys.base_prefix}
    mounts: list[sandbox.Mount] = [(path, path) for path in sorted(prefixes) if not path.startswith("/usr")]
    program = Path(sys.executable).resolve()
    if program.is_relative_to(LOCAL_BIN):
        mounts.append((program, str(program)))
    return [*mounts, *((each.__file__, each.__file__) for each in (node_aws, node_agent))]

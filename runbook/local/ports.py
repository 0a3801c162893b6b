"""The host ports of a node: which container has which, and which is free for the next."""

import socket
from itertools import chain

from .container import ContainerError
from .nodes import Node

EPHEMERAL = range(32768, 61000)  # where Docker takes a host port from when a mapping names none


class Ports:
    """The ports of one node. A port is its container's from before the program listens until it is released."""

    def __init__(self):
        self._taken: set[int] = set()
        self._next = EPHEMERAL.start

    def bind(self, node: Node, definition: dict) -> list[dict]:
        """networkBindings as in DescribeTasks; ContainerError, as Docker has it, for a host port that is held."""
        bindings: list[dict] = []
        try:
            for mapping in definition.get("portMappings") or []:
                port = self._port(node, definition["name"], mapping.get("hostPort") or 0)
                self._taken.add(port)
                bindings.append(
                    {
                        "bindIP": node.address,
                        "containerPort": mapping["containerPort"],
                        "hostPort": port,
                        "protocol": "tcp",
                    }
                )
        except ContainerError:
            self.release(bindings)
            raise
        return bindings

    def release(self, bindings: list[dict]) -> None:
        self._taken -= {binding["hostPort"] for binding in bindings}

    def _port(self, node: Node, container: str, wanted: int) -> int:
        """The wanted port, or the next free one: Docker goes on from the one that it gave last, and so do we, so that
        a balancer does not take a new container for the one that has just gone."""
        split = self._next - EPHEMERAL.start
        for port in [wanted] if wanted else chain(EPHEMERAL[split:], EPHEMERAL[:split]):
            problem = "port is already allocated" if port in self._taken else _problem(node.address, port)
            if problem is None:
                if not wanted:
                    self._next = port + 1
                return port
        raise ContainerError(
            "CannotStartContainerError: Error response from daemon: driver failed programming external "
            f"connectivity on endpoint {container}: Bind for {node.address}:{port} failed: {problem}"
        )


def _problem(address: str, port: int) -> str | None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except PermissionError:
            return "permission denied"
        except OSError:
            return "port is already allocated"
    return None

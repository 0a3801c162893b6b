"""A container of a task: the program of its image, in a sandbox on a node, with what the task definition says."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath

from . import distribution, images, logs, sandbox
from .inside import secretsmanager
from .nodes import Node
from .state import Place

PATH = f"{images.PROGRAM_FOLDER}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STOP_TIMEOUT = 30  # seconds from SIGTERM to SIGKILL, the ECS agent's default
EPHEMERAL = range(32768, 61000)  # where Docker takes a host port from when a mapping names none

# What is honoured or changes nothing that a container can see. `cpu` and `memory` count for placement; no limit is set.
CONTAINER_FIELDS = set(
    "name image cpu memory memoryReservation essential portMappings environment secrets command entryPoint "
    "workingDirectory user readonlyRootFilesystem mountPoints stopTimeout logConfiguration dockerLabels".split()
)
MAPPING_FIELDS = {"containerPort", "hostPort", "protocol", "name", "appProtocol"}
OVERRIDE_FIELDS = {"name", "command", "environment"}


class ContainerError(Exception):
    """A container that cannot be started; the text is the task's stopped reason, in ECS's words where it has some."""


class Container:
    """A container that was started; `exit_code` is None while it runs."""

    def __init__(self, definition: dict, bindings: list[dict], process: subprocess.Popen, log: logs.Log, folder: Path):
        self.name, self.essential = definition["name"], definition.get("essential", True)
        self.stop_timeout = definition.get("stopTimeout") or STOP_TIMEOUT
        self.bindings, self.process, self.log, self.folder = bindings, process, log, folder
        self.exit_code: int | None = None
        self.kill_at: float | None = None

    def step(self) -> None:
        """See whether it still runs, ship its log, kill it when its time to stop is over."""
        if self.exit_code is not None:
            return
        code = self.process.poll()
        if code is None:
            self.log.step()
            if self.kill_at is not None and time.monotonic() >= self.kill_at:
                self._signal(signal.SIGKILL)
            return
        self.exit_code = code if code >= 0 else 128 - code
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, timeout: float | None = None) -> None:
        """Ask it to end, once; step() kills it after `timeout` seconds (default: the definition's stopTimeout)."""
        if self.exit_code is not None:
            return
        if self.kill_at is None:
            self._signal(signal.SIGTERM)
        limit = time.monotonic() + (self.stop_timeout if timeout is None else timeout)
        self.kill_at = min(limit, self.kill_at or limit)

    def _signal(self, number: int) -> None:
        """To the program itself: bubblewrap, its parent, passes no signal on (and takes it along when it dies)."""
        program = self._program()
        if program is None:
            self._kill_at_start()
            return
        with suppress(ProcessLookupError):  # it ends by itself in this moment
            os.kill(program, number)

    def _kill_at_start(self) -> None:
        """Kill bubblewrap before it has started the program. Its child waits for it then, with no parent-death signal
        yet (bubblewrap 0.8), and would wait for ever: so stop it, that it makes no more children, and kill those first.
        """
        pid = self.process.pid
        self.process.send_signal(signal.SIGSTOP)
        with suppress(FileNotFoundError, ProcessLookupError):
            deadline = time.monotonic() + 1
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX":
                if time.monotonic() > deadline:
                    break
                time.sleep(0.001)
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)
        self.process.kill()

    def _program(self) -> int | None:
        """The process id of the program; None while bubblewrap has not come as far as starting it."""
        try:
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
            started = [child for child in children if Path(f"/proc/{child}/comm").read_text() != "bwrap\n"]
        except (FileNotFoundError, ProcessLookupError):
            return None
        return int(started[0]) if started else None


def start(
    place: Place,
    node: Node,
    definition: dict,
    task_definition,
    task_id: str,
    *,
    region: str,
    override: dict | None = None,
) -> Container:
    """Start the container `definition` of a task on `node`; ContainerError says in ECS's words why not."""
    override = override or {}
    refuse_unknown(definition, task_definition, override)
    try:
        image = images.find(place.home, definition["image"])
    except images.ImageError as error:
        raise ContainerError(f"CannotPullContainerError: {error}") from None
    env = {"PATH": PATH, "HOME": "/"} | image.environment
    env |= {pair["name"]: pair["value"] for pair in definition.get("environment") or []}
    env |= _secrets(definition, task_definition, region)
    env |= {pair["name"]: pair["value"] for pair in override.get("environment") or []}
    bindings = _bind(node, definition)

    folder = place.folder("containers", f"{task_id}-{definition['name']}")
    try:
        mounts = _mounts(node, definition, task_definition, image, folder, place.folder("volumes", task_id))
        words = _command(image, definition, override)
        ports = {b["containerPort"]: f"{b['bindIP']}:{b['hostPort']}" for b in bindings}
        # 127.N.3.1 is nobody's: no node, no balancer. Port 0 is any free one.
        nowhere = f"127.{place.block}.3.1:0"
        last = str(PurePosixPath(definition.get("workingDirectory") or "/", words[-1]))
        config = _content(last, mounts) if last.endswith((".yml", ".yaml")) else ""
        env |= distribution.additions(config, env, endpoint=place.endpoint, ports=ports, nowhere=nowhere)
        env["AWS_EC2_METADATA_DISABLED"] = "true"  # nothing answers at 169.254.169.254 on a laptop
        process, log = _spawn(definition, image, mounts, words, env, folder, region, task_id)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Container(definition, bindings, process, log, folder)


def refuse_unknown(definition: dict, task_definition, override: dict) -> None:
    """What would change the behaviour and is not done here is refused, never ignored."""
    asked = {key for key, value in definition.items() if value} - CONTAINER_FIELDS
    asked |= {f"portMappings.{k}" for m in definition.get("portMappings") or [] for k in m.keys() - MAPPING_FIELDS}
    asked |= {"portMappings.protocol" for m in definition.get("portMappings") or [] if m.get("protocol") == "udp"}
    asked |= {f"overrides.{key}" for key in override.keys() - OVERRIDE_FIELDS}
    wanted = ("pid_mode", "ipc_mode", "proxy_configuration", "placement_constraints", "ephemeral_storage")
    asked |= {name for name in wanted if getattr(task_definition, name, None)}
    asked |= {f"volumes.{key}" for v in task_definition.volumes for key in v.keys() - {"name", "host"}}
    if task_definition.network_mode != "bridge":
        asked.add(f"networkMode {task_definition.network_mode}")
    if asked:
        raise ContainerError(
            f"CannotCreateContainerError: the embedded cloud does not do what container {definition['name']} of "
            f"{task_definition.family}:{task_definition.revision} asks for: {', '.join(sorted(asked))}"
        )


def _secrets(definition: dict, task_definition, region: str) -> dict[str, str]:
    role = getattr(task_definition, "execution_role_arn", None)
    try:
        return {
            secret["name"]: secretsmanager.value(secret["valueFrom"], region=region, role_arn=role)
            for secret in definition.get("secrets") or []
        }
    except secretsmanager.SecretError as error:
        raise ContainerError(
            "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval "
            f"failed: {error}"
        ) from None


def _bind(node: Node, definition: dict) -> list[dict]:
    """networkBindings as in DescribeTasks; a host port that something holds is refused as Docker does."""
    bindings = []
    for mapping in definition.get("portMappings") or []:
        wanted = mapping.get("hostPort") or 0
        taken = {binding["hostPort"] for binding in bindings}
        for port in [wanted] if wanted else (port for port in EPHEMERAL if port not in taken):
            problem = _problem(node.address, port)
            if problem is None:
                break
        if problem is not None:
            raise ContainerError(
                "CannotStartContainerError: Error response from daemon: driver failed programming external "
                f"connectivity on endpoint {definition['name']}: Bind for {node.address}:{port} failed: {problem}"
            )
        bindings.append(
            {
                "bindIP": node.address,
                "containerPort": mapping["containerPort"],
                "hostPort": port,
                "protocol": "tcp",
            }
        )
    return bindings


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


def _mounts(node: Node, definition: dict, task_definition, image: images.Image, folder: Path, volumes: Path) -> list:
    """(path here, path inside, writable) of the container's own layer, the image's volumes and the mount points."""
    root = folder / "root"
    for name, content in image.files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o755)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    mounts = [(root, "/", True)]
    hosts = {volume["name"]: (volume.get("host") or {}).get("sourcePath") for volume in task_definition.volumes}
    points = definition.get("mountPoints") or []
    for number, inside in enumerate(image.volumes):
        if inside not in [point["containerPath"] for point in points]:
            mounts.append((_made(folder / f"volume{number}"), inside, True))
    for point in points:
        source = hosts.get(point["sourceVolume"])
        here = _in_node(node, source) if source else _made(volumes / point["sourceVolume"])
        mounts.append((here, point["containerPath"], not point.get("readOnly")))
    return mounts


def _in_node(node: Node, source: str) -> Path:
    """The folder of the node, made where it is missing as Docker does; a link that leads out of the node is refused."""
    path = node.root / source.lstrip("/")
    if not path.resolve().is_relative_to(node.root.resolve()):
        raise ContainerError(f"CannotCreateContainerError: {source} leads out of the node's file system")
    return path if path.exists() else _made(path)


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _command(image: images.Image, definition: dict, override: dict) -> list[str]:
    """As Docker: an entry point of one's own drops the image's command."""
    entry = definition.get("entryPoint") or []
    command = override.get("command") or definition.get("command") or ([] if entry else image.command)
    words = [*(entry or image.entrypoint), *command]
    return [f"{images.PROGRAM_FOLDER}/registry" if words[0] == "/bin/registry" else words[0], *words[1:]]


def _content(inside: str, mounts: list) -> str:
    """The text of a file of the container, "" if it is not there: the program then says so itself."""
    covering = [(here, at) for here, at, _ in mounts if Path(inside).is_relative_to(at)]
    here, at = max(covering, key=lambda mount: len(mount[1]))
    path = here / Path(inside).relative_to(at)
    return path.read_text(errors="replace") if path.is_file() else ""


def _spawn(
    definition: dict,
    image: images.Image,
    mounts: list,
    words: list,
    env: dict,
    folder: Path,
    region: str,
    task_id: str,
) -> tuple[subprocess.Popen, logs.Log]:
    name = definition["name"]
    if not image.program.exists():
        raise ContainerError(
            f"CannotStartContainerError: {image.program} stands for {image.name} and is missing: "
            "apt-get install docker-registry"
        )
    try:
        line = sandbox.argv(
            binds=[(here, inside) for here, inside, writable in mounts if writable],
            ro_binds=[(here, inside) for here, inside, writable in mounts if not writable]
            + [(image.program, f"{images.PROGRAM_FOLDER}/registry")],
            read_only_root=bool(definition.get("readonlyRootFilesystem")),
            user=definition.get("user"),
            cwd=definition.get("workingDirectory") or "/",
            tmpfs=(),
        )
        log = logs.open_log(
            folder / "log", definition.get("logConfiguration"), region=region, container=name, task=task_id
        )
    except LookupError as error:
        raise ContainerError(
            "CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to "
            f"create Cloudwatch log stream: {error}"
        ) from None
    except ValueError as error:
        raise ContainerError(f"CannotCreateContainerError: the embedded cloud does not do {error}") from None
    # As in Docker the program is process 1 of its own PID namespace, and gets the signals itself.
    line.insert(1, "--as-pid-1")
    try:
        return sandbox.spawn([*line, *words], env, log.file), log
    except BaseException:
        log.close()
        raise

"""A container of a task: the program of its image, in a sandbox on a node, with what the task definition says."""

import shutil
import subprocess
from pathlib import Path, PurePosixPath

from . import distribution, images, logs, mounts, sandbox
from .container import Container, ContainerError
from .inside import secretsmanager
from .nodes import Node
from .ports import Ports
from .state import Place

PATH = f"{images.PROGRAM_FOLDER}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# What is honoured or changes nothing that a container can see. `cpu` and `memory` count for placement; no limit is set.
CONTAINER_FIELDS = set(
    "name image cpu memory memoryReservation essential portMappings environment secrets command entryPoint "
    "workingDirectory user readonlyRootFilesystem mountPoints stopTimeout logConfiguration dockerLabels "
    "dependsOn startTimeout linuxParameters".split()
)
LINUX_FIELDS = {"capabilities", "initProcessEnabled"}  # every capability is dropped already
CONDITIONS = {"START", "COMPLETE", "SUCCESS"}
VOLUME_FIELDS = {"name", "host", "dockerVolumeConfiguration"}
DOCKER_VOLUME = {"scope": ("task", None), "driver": ("local", None), "autoprovision": (False, None)}
MAPPING_FIELDS = {"containerPort", "hostPort", "protocol", "name", "appProtocol"}
OVERRIDE_FIELDS = {"name", "command", "environment"}


def start(
    place: Place,
    node: Node,
    definition: dict,
    task_definition,
    task_id: str,
    *,
    region: str,
    override: dict | None = None,
    credentials: dict[str, str] | None = None,
    hosts: str = mounts.LOCALHOST,
    ports: Ports | None = None,
) -> Container:
    """Start the container `definition` of a task on `node`; ContainerError says in ECS's words why not.

    `credentials` are variables that lead AWS's clients to credentials, `hosts` is the text of its /etc/hosts, `ports`
    are those of the node. The caller releases the container's bindings when it has ended.
    """
    override, ports = override or {}, ports or Ports()
    refuse_unknown(definition, task_definition, override)
    try:
        image = images.find(place.home, definition["image"])
    except images.ImageError as error:
        raise ContainerError(f"CannotPullContainerError: {error}") from None
    env = {"PATH": PATH, "HOME": "/"} | image.environment
    env |= {pair["name"]: pair["value"] for pair in definition.get("environment") or []}
    env |= _secrets(definition, task_definition, region)
    env |= {pair["name"]: pair["value"] for pair in override.get("environment") or []}
    bindings = ports.bind(node, definition)

    folder = place.folder("containers", f"{task_id}-{definition['name']}")
    try:
        seen = mounts.of(node, definition, task_definition, image, folder, place.folder("volumes", task_id))
        seen += [(mounts.hosts(folder, hosts), mounts.HOSTS, False), (mounts.trusted(place), mounts.TRUSTED, False)]
        words = _command(image, definition, override)
        listening = {b["containerPort"]: f"{b['bindIP']}:{b['hostPort']}" for b in bindings}
        # 127.N.3.1 is nobody's: no node, no balancer. Port 0 is any free one.
        nowhere = f"127.{place.block}.3.1:0"
        last = str(PurePosixPath(definition.get("workingDirectory") or "/", words[-1]))
        config = mounts.content(last, seen) if last.endswith((".yml", ".yaml")) else ""
        told = {"endpoint": place.endpoint, "ports": listening, "nowhere": nowhere, "major": image.major}
        env |= distribution.additions(config, env, **told)
        env |= credentials or {}
        if "AWS_EC2_METADATA_SERVICE_ENDPOINT" not in env:
            env["AWS_EC2_METADATA_DISABLED"] = "true"  # nothing answers at 169.254.169.254 on a laptop
        process, log = _spawn(definition, image, seen, words, env, folder, region, task_id)
    except BaseException:
        ports.release(bindings)
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
    asked |= {f"volumes.{key}" for v in task_definition.volumes for key in v.keys() - VOLUME_FIELDS}
    for volume in task_definition.volumes:
        for key, value in (volume.get("dockerVolumeConfiguration") or {}).items():
            if value and value not in DOCKER_VOLUME.get(key, ()):
                asked.add(f"dockerVolumeConfiguration.{key} {value}")
    linux = definition.get("linuxParameters") or {}
    asked |= {f"linuxParameters.{key}" for key in linux.keys() - LINUX_FIELDS if linux[key]}
    if (linux.get("capabilities") or {}).get("add"):
        asked.add("linuxParameters.capabilities.add")
    conditions = {one["condition"] for one in definition.get("dependsOn") or []}
    asked |= {f"dependsOn {condition}" for condition in conditions - CONDITIONS}
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


def _command(image: images.Image, definition: dict, override: dict) -> list[str]:
    """As Docker: an entry point of one's own drops the image's command."""
    entry = definition.get("entryPoint") or []
    command = override.get("command") or definition.get("command") or ([] if entry else image.command)
    words = [*(entry or image.entrypoint), *command]
    return [f"{images.PROGRAM_FOLDER}/registry" if words[0] == "/bin/registry" else words[0], *words[1:]]


def _spawn(
    definition: dict,
    image: images.Image,
    seen: list,
    words: list,
    env: dict,
    folder: Path,
    region: str,
    task_id: str,
) -> tuple[subprocess.Popen, logs.Log]:
    name, program = definition["name"], image.program
    if not program.exists():
        raise ContainerError(
            f"CannotStartContainerError: {program} stands for {image.name} and is missing: "
            "apt-get install docker-registry"
        )
    try:
        line = sandbox.argv(
            binds=[(here, inside) for here, inside, writable in seen if writable],
            ro_binds=[(here, inside) for here, inside, writable in seen if not writable]
            + [(program, f"{images.PROGRAM_FOLDER}/registry")],
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
    if not (definition.get("linuxParameters") or {}).get("initProcessEnabled"):
        # As in Docker the program is process 1 of its own PID namespace, and gets the signals itself.
        line.insert(1, "--as-pid-1")
    try:
        return sandbox.spawn([*line, *words], env, log.file), log
    except BaseException:
        log.close()
        raise

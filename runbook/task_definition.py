"""The task definition that is wanted, from the params alone, and how one that is there compares to it."""

from . import config, tags
from .params import Params
from .report import Document, Report, added, compare

# Only this container gets the secret: what is in a container's environment, its every process can read.
_WRITE_HTPASSWD = f"set -eu; umask 022; printf '%s\\n' \"$HTPASSWD\" > {config.HTPASSWD_PATH}"


def want_task(p: Params) -> Document:
    """The task definition. Secrets stand as `secretsmanager:NAME[:KEY]`, the cache's address as `elasticache:NAME`,
    roles by their names."""
    containers = [_registry(p), _htpasswd(p)] if p.htpasswd == "init-container" else [_registry(p)]
    return Document(
        containerDefinitions=containers,
        volumes=[_volume(p)],
        family=p.family,
        networkMode="bridge",
        requiresCompatibilities=["EC2"],
        executionRoleArn=p.execution_role,
        **({"taskRoleArn": p.task_role} if p.credentials == "task-role" else {}),
    )


def secret_names(p: Params) -> list[str]:
    """The secrets that the task's containers need, and no other."""
    key = [p.key_secret] if p.credentials == "access-key" else []
    return [*key, p.http_secret, *([p.htpasswd_secret] if p.htpasswd == "init-container" else [])]


def compare_task(p: Params, found: Document | None) -> Report:
    """Wanted against found; a variable, a secret, a container, a volume or a role that nobody wanted differs too.

    A container that only one side has is one difference.
    """
    title, wanted = f"task definition {p.family}", _by_name(want_task(p)) | tags.want(p)
    if found is None:
        return compare(title, wanted, None)
    seen = _by_name(found)
    for name in wanted["container"].keys() & seen["container"].keys():
        for kind in ("environment", "secrets"):
            own = wanted["container"][name][kind]
            own |= {variable: None for variable in seen["container"][name][kind] if variable not in own}
    for name, container in seen["container"].items():
        container.setdefault("privileged", False)  # what it is unless somebody says otherwise
        unwanted = {key: value for key, value in container.items() if key not in wanted["container"].get(name, {})}
        container |= added({key: value for key, value in unwanted.items() if value})
    for name in wanted["container"].keys() ^ seen["container"].keys():
        for task in (wanted, seen):
            task["container"][name] = "there" if name in task["container"] else None
    wanted["volume"] |= {name: None for name in seen["volume"] if name not in wanted["volume"]}
    return compare(title, {key: None for key in seen if key not in wanted} | wanted, seen)


def _registry(p: Params) -> dict:
    container = {
        "volumesFrom": [],
        "portMappings": [{"hostPort": 0 if p.scales else p.port, "containerPort": p.port, "protocol": "tcp"}],
        "command": [config.config_path(p)],
        "environment": [{"name": name, "value": value} for name, value in config.environment(p).items()],
        "secrets": [*_key(p), {"name": "REGISTRY_HTTP_SECRET", "valueFrom": f"secretsmanager:{p.http_secret}"}],
        "essential": True,
        "entryPoint": [],
        "links": [],
        "mountPoints": [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": True}],
        **_size(p),
        "name": p.container_name,
        "image": p.image,
        "logConfiguration": _log(p),
    }
    if p.htpasswd == "init-container":
        container["dependsOn"] = [{"containerName": "htpasswd", "condition": "SUCCESS"}]
    if p.scales:
        # A port above 1023 and a bucket in S3 need neither root nor a file system to write to.
        container |= {"user": "1000:1000", "stopTimeout": config.STOP_SECONDS, **_HARDENED}
    return container


def _htpasswd(p: Params) -> dict:
    """The init container. It is root, without root's capabilities: a new Docker volume belongs to root."""
    return {
        "name": "htpasswd",
        "image": p.image,
        "entryPoint": ["/bin/sh", "-c"],
        "command": [_WRITE_HTPASSWD],
        "environment": [],
        "secrets": [{"name": "HTPASSWD", "valueFrom": f"secretsmanager:{p.htpasswd_secret}"}],
        "essential": False,
        "mountPoints": [{"containerPath": "/auth", "sourceVolume": "auth", "readOnly": False}],
        "cpu": 32,
        "memory": 32,
        "logConfiguration": _log(p),
        **_HARDENED,
    }


_HARDENED = {
    "readonlyRootFilesystem": True,
    "privileged": False,
    "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
}


def _key(p: Params) -> list[dict]:
    if p.credentials != "access-key":
        return []
    return [
        {"name": "REGISTRY_STORAGE_S3_ACCESSKEY", "valueFrom": f"secretsmanager:{p.key_secret}:accesskey"},
        {"name": "REGISTRY_STORAGE_S3_SECRETKEY", "valueFrom": f"secretsmanager:{p.key_secret}:secretkey"},
    ]


def _size(p: Params) -> dict:
    """CPU units and MiB. While a deployment rolls out there are twice as many tasks, and nodes to spare for none."""
    return {"cpu": 256, "memoryReservation": 256, "memory": 512} if p.scales else {"cpu": 1024, "memory": 1000}


def _volume(p: Params) -> dict:
    """The blog's folder of the node, or a Docker volume that lives as long as its task. A bind mount without a path
    would do as well today, but then the file is not promised to outlive the container that wrote it:
    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HostVolumeProperties.html"""
    if p.htpasswd == "node-folder":
        return {"host": {"sourcePath": p.auth_folder}, "name": "auth"}
    return {"dockerVolumeConfiguration": {"scope": "task", "driver": "local"}, "name": "auth"}


def _log(p: Params) -> dict:
    return {
        "logDriver": "awslogs",
        "options": {
            "awslogs-group": p.log_group,
            "awslogs-region": p.region,
            "awslogs-stream-prefix": p.name,
            "mode": "non-blocking",
            "max-buffer-size": "25m",
        },
    }


def _by_name(task: Document) -> dict:
    """Containers, variables and volumes by name, so that a report names the one that differs.

    ECS leaves an empty list or a default out of its answer, or fills it in.
    """
    by_name = {key: value for key, value in task.items() if key not in ("containerDefinitions", "volumes")}
    by_name["container"] = {}
    for container in task["containerDefinitions"]:
        by_name["container"][container["name"]] = {"volumesFrom": [], "entryPoint": [], "links": []} | container
        by_name["container"][container["name"]] |= {
            "environment": {pair["name"]: pair["value"] for pair in container.get("environment", [])},
            "secrets": {pair["name"]: pair["valueFrom"] for pair in container.get("secrets", [])},
            "mountPoints": [{"readOnly": False} | mount for mount in container.get("mountPoints", [])],
        }
    return by_name | {"volume": {volume["name"]: _kind(volume) for volume in task["volumes"] or []}}


def _kind(volume: dict) -> dict:
    """What kind of volume it is. A Docker volume is told with an empty `host` beside it."""
    return volume.get("dockerVolumeConfiguration") or volume.get("host") or {}

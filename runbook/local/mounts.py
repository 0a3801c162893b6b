"""What a container sees of files: its own layer, volumes, folders of the node, and what this cloud puts there."""

import ssl
from pathlib import Path

from . import images
from .container import ContainerError
from .nodes import Node
from .state import Place

HOSTS = "/etc/hosts"
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"  # where Alpine and Debian have it, and Go's crypto/x509 looks first
LOCALHOST = "127.0.0.1 localhost\n::1 localhost\n"


def of(node: Node, definition: dict, task_definition, image: images.Image, folder: Path, volumes: Path) -> list:
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
            mounts.append((made(folder / f"volume{number}"), inside, True))
    for point in points:
        source = hosts.get(point["sourceVolume"])
        here = in_node(node, source) if source else made(volumes / point["sourceVolume"])
        mounts.append((here, point["containerPath"], not point.get("readOnly")))
    return mounts


def in_node(node: Node, source: str) -> Path:
    """The folder of the node, made where it is missing as Docker does; a link that leads out of the node is refused."""
    path = node.root / source.lstrip("/")
    if not path.resolve().is_relative_to(node.root.resolve()):
        raise ContainerError(f"CannotCreateContainerError: {source} leads out of the node's file system")
    return path if path.exists() else made(path)


def made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def content(inside: str, mounts: list) -> str:
    """The text of a file of the container, "" if it is not there: the program then says so itself."""
    covering = [(here, at) for here, at, _ in mounts if Path(inside).is_relative_to(at)]
    here, at = max(covering, key=lambda mount: len(mount[1]))
    path = here / Path(inside).relative_to(at)
    return path.read_text(errors="replace") if path.is_file() else ""


def hosts(folder: Path, text: str) -> Path:
    """The container's /etc/hosts; Docker, too, writes it when the container starts."""
    path = folder / "hosts"
    path.write_text(text)
    return path


def trusted(place: Place) -> Path:
    """The certificates that a container trusts: this computer's, and the cloud's own authority."""
    system = Path(ssl.get_default_verify_paths().openssl_cafile)
    found = [path for path in (Path(TRUSTED), system) if path.is_file()][:1]
    own = place.home / "ca.pem"
    bundle = "\n".join(path.read_text() for path in [*found, own] if path.is_file())
    path = place.folder("trust") / "ca-certificates.crt"
    if not path.exists() or path.read_text() != bundle:
        path.write_text(bundle)
    return path

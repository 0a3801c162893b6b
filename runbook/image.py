"""A container image made in memory, the same bytes on every computer: what pushing and pulling are tried with."""

import hashlib
import io
import json
import struct
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = "runbook/test"  # all that is ever pushed: constant content, so that a second run adds nothing
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
DOCKER_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
EMPTY = b"{}"  # the config of what has none
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_DOCKER_CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
_DOCKER_LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_ARTIFACT_TYPE = "application/vnd.registry-runbook.test"
_STORED = 0xFFFF  # RFC 1951: the most bytes of one stored block


@dataclass(frozen=True, repr=False)
class Image:
    """The bytes of an OCI image (https://github.com/opencontainers/image-spec)."""

    layers: tuple[bytes, ...]
    config: bytes
    manifest: bytes

    @property
    def blobs(self) -> dict[str, bytes]:
        """Layers and config, each under the name that a report has for it."""
        return {**{f"layer {n}": layer for n, layer in enumerate(self.layers, 1)}, "config": self.config}

    @property
    def digest(self) -> str:
        return digest(self.manifest)

    def write(self, folder: Path, *, tag: str) -> None:
        """Write the image as an OCI layout into `folder`, which is made."""
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for blob in (*self.layers, self.config, self.manifest):
            (blobs / digest(blob).removeprefix("sha256:")).write_bytes(blob)
        named = {**_descriptor(MANIFEST_TYPE, self.manifest), "annotations": {"org.opencontainers.image.ref.name": tag}}
        (folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        (folder / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [named]}))


def make(*, layers: int = 3, size: int = 256 * 1024, seed: str = "runbook") -> Image:
    """An image of `layers` layers, each with one file of `size` bytes that do not compress."""
    tars = [_tar(f"layer-{n}", hashlib.shake_256(f"{seed} {n}".encode()).digest(size)) for n in range(1, layers + 1)]
    packed = tuple(_gzip(tar) for tar in tars)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(tar) for tar in tars]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [_descriptor(_LAYER_TYPE, layer) for layer in packed],
        }
    )
    return Image(packed, config, manifest)


def for_architecture(made: Image, architecture: str) -> Image:
    """The same layers as an image for another architecture."""
    config = _json(json.loads(made.config) | {"architecture": architecture})
    manifest = json.loads(made.manifest) | {"config": _descriptor(_CONFIG_TYPE, config)}
    return Image(made.layers, config, _json(manifest))


def docker_manifest(made: Image) -> bytes:
    """The same image in Docker's own media types (https://distribution.github.io/distribution/spec/manifest-v2-2/)."""
    config, layers = _descriptor(_DOCKER_CONFIG_TYPE, made.config), made.layers
    manifest = {"schemaVersion": 2, "mediaType": DOCKER_TYPE, "config": config}
    return _json(manifest | {"layers": [_descriptor(_DOCKER_LAYER_TYPE, layer) for layer in layers]})


def index(images: dict[str, Image]) -> bytes:
    """One index of images, by their architectures."""
    manifests = [
        _descriptor(MANIFEST_TYPE, made.manifest) | {"platform": {"architecture": architecture, "os": "linux"}}
        for architecture, made in images.items()
    ]
    return _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": manifests})


def artifact(made: Image) -> bytes:
    """A manifest that has the image as its subject, as a signature has; its config is EMPTY.

    https://github.com/opencontainers/image-spec/blob/main/manifest.md
    """
    empty = _descriptor(_EMPTY_TYPE, EMPTY)
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": _ARTIFACT_TYPE, "config": empty}
    return _json(manifest | {"layers": [empty], "subject": _descriptor(MANIFEST_TYPE, made.manifest)})


def referrers(made: Image) -> bytes:
    """What a client keeps under a tag where the registry does not list an image's artifacts itself.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
    """
    listed = _descriptor(MANIFEST_TYPE, artifact(made)) | {"artifactType": _ARTIFACT_TYPE}
    return _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [listed]})


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_digests(folder: Path) -> tuple[str, set[str]]:
    """The manifest that an OCI layout names, and the digests of all its blobs as their bytes are."""
    named = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
    return named, {digest(file.read_bytes()) for file in (folder / "blobs" / "sha256").iterdir()}


def _descriptor(media_type: str, content: bytes) -> dict:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}


def _json(value: dict) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def _tar(name: str, content: bytes) -> bytes:
    entry = tarfile.TarInfo(name)  # mtime, uid and gid are 0, the mode 0644
    entry.size = len(content)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _gzip(content: bytes) -> bytes:
    """gzip (RFC 1952) of stored blocks alone: what zlib makes differs from one of its versions to the next."""
    parts = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"]
    for start in range(0, len(content), _STORED):
        block = content[start : start + _STORED]
        last = start + _STORED >= len(content)
        parts += [struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)])

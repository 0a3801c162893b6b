import gzip
import io
import json
import subprocess
import tarfile

import pytest

from runbook import image

pytestmark = pytest.mark.pure


def test_it_is_the_same_bytes_everywhere():
    assert image.make().digest == "sha256:dc4320294d9f444e366a2f24f89bf4fb72a649acfb2801ac90b98f4e45d54b36"
    assert image.make() == image.make() != image.make(seed="other")


def test_layers_are_true_gzip_of_true_tar():
    made = image.make(layers=2, size=200_000)
    config = json.loads(made.config)
    for n, layer in enumerate(made.layers, 1):
        plain = gzip.decompress(layer)
        assert image.digest(plain) == config["rootfs"]["diff_ids"][n - 1]
        with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
            assert [(entry.name, entry.size, entry.mtime) for entry in tar] == [(f"layer-{n}", 200_000, 0)]
    assert subprocess.run(["gzip", "--test"], input=made.layers[0]).returncode == 0


def test_the_manifest_names_every_blob():
    made = image.make(layers=4, size=10)
    manifest = json.loads(made.manifest)
    named = [(part["digest"], part["size"]) for part in [*manifest["layers"], manifest["config"]]]
    assert named == [(image.digest(blob), len(blob)) for blob in made.blobs.values()]
    assert len(set(named)) == 5


def test_a_layout_is_read_back_and_a_changed_byte_is_seen(tmp_path):
    made = image.make(size=1000)
    made.write(tmp_path / "layout", tag="here")
    wanted = {made.digest, *map(image.digest, made.blobs.values())}
    assert image.read_digests(tmp_path / "layout") == (made.digest, wanted)
    file = tmp_path / "layout" / "blobs" / "sha256" / image.digest(made.layers[0]).removeprefix("sha256:")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert image.read_digests(tmp_path / "layout")[1] != wanted

"""Which images the embedded cloud knows, and what it makes of a Dockerfile."""

import pytest
import yaml

from runbook.local import images

pytestmark = pytest.mark.pure


@pytest.mark.parametrize("name", ["registry:2", "registry:2.8", "registry:2.8.3", "docker.io/library/registry:2"])
def test_the_stock_registry(tmp_path, name):
    image = images.find(tmp_path, name)
    config = yaml.safe_load(image.files["/etc/docker/registry/config.yml"])
    assert config["storage"]["filesystem"] == {"rootdirectory": "/var/lib/registry"}
    assert config["http"] == {"addr": ":5000", "headers": {"X-Content-Type-Options": ["nosniff"]}}
    assert (image.entrypoint, image.command) == (("/entrypoint.sh",), ("/etc/docker/registry/config.yml",))


@pytest.fixture
def program(tmp_path, monkeypatch):
    """`program(says)`: the registry on PATH, whose --version says this."""

    def program(says):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        file = folder / "registry"
        file.write_text(f"#!/bin/sh\ntest \"$1\" = --version && echo '{says}'\n")
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return file

    monkeypatch.delenv("RUNBOOK_REGISTRY", raising=False)
    return program


VERSION_3 = "registry github.com/distribution/distribution/v3 v3.1.1"


@pytest.mark.parametrize("name", ["registry:3", "registry:3.1", "registry:3.1.1", "docker.io/library/registry:3.0.0"])
def test_registry_3_is_run_by_the_program_at_hand(tmp_path, program, name):
    file = program(VERSION_3)
    image = images.find(tmp_path, name)
    assert (image.program, image.major, image.environment) == (file, 3, {"OTEL_TRACES_EXPORTER": "none"})
    assert image.command == ("/etc/distribution/config.yml",)
    config = yaml.safe_load(image.files["/etc/distribution/config.yml"])
    assert config["http"]["debug"] == {"addr": ":5001", "prometheus": {"enabled": True, "path": "/metrics"}}
    assert images.find(tmp_path, "registry:2.8.3").program == images.PROGRAM


def test_the_program_of_version_3_may_be_named(tmp_path, program, monkeypatch):
    named = program(VERSION_3).rename(tmp_path / "registry-3")
    assert images.version_3() is None
    monkeypatch.setenv("RUNBOOK_REGISTRY", str(named))
    assert images.version_3() == images.find(tmp_path, "registry:3.1.1").program == named


@pytest.mark.parametrize("says", [None, "registry github.com/docker/distribution 2.8.2+ds1", "registry 3.1.1"])
def test_without_a_program_of_version_3_its_image_cannot_be_had(tmp_path, program, says):
    file = program(says)
    if says is None:
        file.unlink()
    assert images.version_3() is None
    with pytest.raises(
        images.ImageError, match=r"registry:3\.1\.1 needs a registry program of version 3.*RUNBOOK_REGISTRY"
    ):
        images.find(tmp_path, "registry:3.1.1")


def test_an_image_built_from_version_3_stays_one(tmp_path, program):
    file = program(VERSION_3)
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "config.yml").write_text("version: 0.1\n")
    (folder / "Dockerfile").write_text("FROM registry:3.1.1\nCOPY config.yml /etc/distribution/config.yml\n")
    images.build(tmp_path, folder, "team/registry-ecs:3")
    image = images.find(tmp_path, "team/registry-ecs:3")
    assert (image.program, image.environment) == (file, {"OTEL_TRACES_EXPORTER": "none"})
    assert image.files["/etc/distribution/config.yml"] == b"version: 0.1\n"
    file.unlink()
    with pytest.raises(images.ImageError, match="needs a registry program of version 3"):
        images.find(tmp_path, "team/registry-ecs:3")


@pytest.mark.parametrize(
    "name",
    ["registry", "registry:4", "registry:2.9", "registry:2@sha256:00", "elasticio/docker-registry-ecs:latest", "../x"],
)
def test_another_image_is_refused_with_those_that_are_known(tmp_path, name):
    with pytest.raises(images.ImageError, match=r"pull access denied.*registry:2\.8\.3"):
        images.find(tmp_path, name)


def test_the_two_line_dockerfile(tmp_path):
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "config.yml").write_text("version: 0.1\n")
    (folder / "Dockerfile").write_text("# ours\nFROM registry:2\nCOPY config.yml /etc/docker/registry/config.yml\n")
    images.build(tmp_path, folder, "team/registry-ecs:1")
    image = images.find(tmp_path, "team/registry-ecs:1")
    assert image.files["/etc/docker/registry/config.yml"] == b"version: 0.1\n"
    assert image.files["/entrypoint.sh"] == images.ENTRYPOINT.encode()
    assert (image.name, image.volumes) == ("team/registry-ecs:1", ("/var/lib/registry",))

    (folder / "Dockerfile").write_text("FROM team/registry-ecs:1\nCOPY . /srv/\n")
    assert "/srv/Dockerfile" in images.build(tmp_path, folder, "team/registry-ecs:1").files
    again = images.find(tmp_path, "team/registry-ecs:1").files
    assert again["/etc/docker/registry/config.yml"] == again["/srv/config.yml"] == b"version: 0.1\n"


@pytest.mark.parametrize(
    "text, said",
    [
        ("FROM registry:2\nRUN apk add curl\n", "`RUN apk add curl` is not supported"),
        ("FROM registry:2\nFROM registry:2\n", "`FROM registry:2` is not supported"),
        ("FROM registry:2 AS base\n", "not supported"),
        ("FROM registry:2\nCOPY --chown=1 Dockerfile /x\n", "not supported"),
        ("FROM registry:2\nCOPY missing /x\n", "COPY missing: not found"),
        ("FROM registry:2\nCOPY ../secret /x\n", "not found"),
        ("FROM registry:2\nCOPY Dockerfile Dockerfile /x\n", "has to end in /"),
        ("COPY Dockerfile /x\n", "the first instruction has to be FROM"),
        ("FROM alpine\n", "pull access denied for alpine"),
    ],
)
def test_a_dockerfile_that_cannot_be_built_says_why(tmp_path, text, said):
    (tmp_path / "secret").write_text("x")
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "Dockerfile").write_text(text)
    with pytest.raises(images.ImageError, match=said):
        images.build(tmp_path, folder, "mine")
    with pytest.raises(images.ImageError):
        images.find(tmp_path, "mine")


def test_it_is_said_which_program_plays_an_image(tmp_path):
    assert images.stand_in(tmp_path, "registry:2.8.3").startswith("registry:2.8.3 is played by docker-registry 2.8.")

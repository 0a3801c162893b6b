import os
import shutil
import tempfile

import pytest
from registries import LOGIN, Authority, Here, configuration, free_port, htpasswd, registry

from runbook import clients, image
from runbook.secret import Login, Secret

pytestmark = pytest.mark.embedded
WRONG = Login("testuser", Secret("not-this-one"))

needs_docker = pytest.mark.skipif(not shutil.which("docker"), reason="the docker client is not installed")
needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "registry"


@pytest.fixture
def aws(p, tmp_path, folder):
    folder.mkdir()
    authority, port = Authority(tmp_path / "ca"), free_port()
    content = configuration(p, folder, authority.issue(p.domain), port)
    with registry(folder, content, htpasswd(LOGIN)):
        yield Here(authority.path, port)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where the clients' temporary folders go; a caller's environment that must not reach them."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "the-callers-own"))
    return made


def only(report):
    (check,) = report.checks
    return check


@needs_docker
def test_docker_logs_in_and_the_password_stays_nowhere(p, aws, temporary, tmp_path):
    report = clients.docker_login(aws, p, login=LOGIN).require()
    assert repr(report) == ("docker login registry.elastic.io as testuser: ok\n  ok      docker login  Login Succeeded")
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "the-callers-own").exists()


@needs_docker
def test_docker_is_refused_with_a_wrong_password(p, aws, temporary):
    found = only(clients.docker_login(aws, p, login=WRONG))
    assert not found.ok
    assert found.found == "login attempt to https://registry.elastic.io/v2/ failed with status: 401 Unauthorized"
    assert list(temporary.iterdir()) == []


@needs_docker
def test_no_helper_of_the_callers_is_given_the_password(p, aws, temporary, tmp_path, monkeypatch):
    """Docker hands a credential to `pass` or `secretservice` unasked where it finds their programs."""
    for name in ("pass", "docker-credential-pass", "docker-credential-secretservice"):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat > {tmp_path}/taken\n")
        (tmp_path / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    clients.docker_login(aws, p, login=LOGIN).require()
    assert not (tmp_path / "taken").exists()


@needs_skopeo
def test_an_image_comes_back_byte_for_byte(p, aws, folder, temporary):
    report = clients.skopeo_round_trip(aws, p, login=LOGIN).require()
    assert [(check.name, check.found) for check in report.checks[:2]] == [("push", "done"), ("pull", "done")]
    assert report.checks[-1].found == "5 blobs, all as pushed"
    made = image.make(size=clients.LAYER, seed="skopeo")
    kept = {image.digest(file.read_bytes()) for file in folder.rglob("blobs/**/data")}
    assert {made.digest, *map(image.digest, made.blobs.values())} <= kept
    assert list(temporary.iterdir()) == []
    assert repr(clients.skopeo_round_trip(aws, p, login=LOGIN)) == repr(report)


@needs_skopeo
def test_layers_are_as_large_as_asked(p, aws, folder):
    clients.skopeo_round_trip(aws, p, login=LOGIN, size=20_000).require()
    made = image.make(size=20_000, seed="skopeo")
    assert made.digest in {image.digest(file.read_bytes()) for file in folder.rglob("blobs/**/data")}


@needs_skopeo
def test_a_layer_that_rots_in_the_storage_is_found(p, aws, folder, temporary):
    clients.skopeo_round_trip(aws, p, login=LOGIN).require()
    layer = image.digest(image.make(size=clients.LAYER, seed="skopeo").layers[1])
    (data,) = (file for file in folder.rglob("blobs/**/data") if layer.removeprefix("sha256:") in str(file))
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    found = clients.skopeo_round_trip(aws, p, login=LOGIN).checks[-1]
    assert (found.name, found.ok) == ("pull", False)
    assert "digest" in found.found.lower()


@needs_skopeo
def test_skopeo_with_a_wrong_password_or_an_unknown_authority(p, aws, temporary, tmp_path):
    found = only(clients.skopeo_round_trip(aws, p, login=WRONG))
    assert not found.ok and found.name == "push" and "unauthorized" in found.found
    assert "127.0.0.1" not in found.found and str(temporary) not in found.found and "time=" not in found.found
    stranger = Here(Authority(tmp_path / "other").path, aws.locate(p.domain, 443)[1])
    found = only(clients.skopeo_round_trip(stranger, p, login=LOGIN))
    assert not found.ok and "x509" in found.found
    assert list(temporary.iterdir()) == []


def test_what_is_not_installed_is_said(p, aws, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert only(clients.docker_login(aws, p, login=LOGIN)).found == "not run: docker is not installed here"
    assert only(clients.skopeo_round_trip(aws, p, login=LOGIN)).found == "not run: skopeo is not installed here"


def test_a_program_that_hangs_is_ended(p, aws, monkeypatch, tmp_path):
    (tmp_path / "docker").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (tmp_path / "docker").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(clients, "TIMEOUT", 0.5)
    assert only(clients.docker_login(aws, p, login=LOGIN)).found == "no end within 0.5 s"


def test_the_address_is_the_domain_where_port_443_is_reached(p):
    class There:
        def locate(self, domain, port):
            return domain, port

    assert clients.address(There(), p) == "registry.elastic.io"


def test_the_instructions_hold_address_and_login_and_no_password(p, monkeypatch):
    class Somewhere:
        ca = "/somewhere/ca.pem"

        def locate(self, domain, port):
            return "127.20.2.1", 8443

    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    shown = repr(clients.instructions(Somewhere(), p, params="blog"))
    assert "https://127.20.2.1:8443  (registry.elastic.io; CA: /somewhere/ca.pem)" in shown
    login = "-m runbook password blog testuser | docker login 127.20.2.1:8443 --username testuser --password-stdin"
    assert login in shown
    pushed = "127.20.2.1:8443/team/image:1"
    assert shown.endswith(f"push      docker tag IMAGE {pushed} && docker push {pushed}")
    monkeypatch.setattr("shutil.which", lambda program: None)
    shown = repr(clients.instructions(Somewhere(), p, params="blog"))
    assert "SSL_CERT_FILE=/somewhere/ca.pem skopeo login 127.20.2.1:8443" in shown
    assert f"SSL_CERT_FILE=/somewhere/ca.pem skopeo copy docker-archive:image.tar docker://{pushed}" in shown

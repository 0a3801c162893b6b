import contextlib
import re
import socket
import threading

import pytest
from registries import LOGIN, SECOND, Authority, Here, configuration, free_port, htpasswd, registry, server, tell

from runbook import image, load
from runbook.errors import StepFailed
from runbook.registry import ask, verify_registry
from runbook.registry_api import Client, NoAnswer
from runbook.secret import Login, Secret

pytestmark = pytest.mark.embedded


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


@pytest.fixture
def run(p, tmp_path, authority):
    """`run(change, users)`: the real registry; `change(configuration)` makes the fault, `users` is its htpasswd."""

    @contextlib.contextmanager
    def started(change=lambda content: None, users=None, domain=p.domain):
        port, folder = free_port(), tmp_path / "registry"
        folder.mkdir()
        content = configuration(p, folder, authority.issue(domain), port)
        change(content)
        with registry(folder, content, htpasswd(LOGIN, SECOND) if users is None else users or None):
            yield Here(authority.path, port)

    return started


def failed(report):
    return {check.name: check.found for check in report.checks if not check.ok}


def test_a_good_registry_passes_again_and_again_and_keeps_nothing_more(p, run, tmp_path):
    with run() as aws:
        first = verify_registry(aws, p, logins=[LOGIN, SECOND])
        kept = stored(tmp_path)
        assert first.require()
        assert len(first.checks) == 43
        assert sum(file.stat().st_size for file in uploads(tmp_path)) < 20_000
        assert repr(verify_registry(aws, p, logins=[LOGIN, SECOND])) == repr(first)
        assert stored(tmp_path) == kept
        made = image.make()
        assert {image.digest(blob) for blob in made.blobs.values()} < kept


def stored(tmp_path):
    """Digests of all that lies in the registry's storage, and every link to it."""
    data = tmp_path / "registry" / "data"
    links = {str(link.relative_to(data)) for link in data.rglob("link")}
    return links | {image.digest(file.read_bytes()) for file in data.rglob("blobs/**/data")}


def uploads(tmp_path):
    """The files of uploads that were not completed: one cancelled, the large one, and one that was cut."""
    files = [file for file in tmp_path.rglob("_uploads/**/*") if file.is_file()]
    assert len({file.relative_to(tmp_path).parts[9] for file in files}) == 3, files
    return files


def test_the_two_transcripts_of_the_blog(p, run):
    with run() as aws:
        assert repr(ask(aws, p)) == (
            "$ curl -i https://registry.elastic.io/v2/\n"
            "HTTP/1.1 401 Unauthorized\n"
            "Content-Type: application/json; charset=utf-8\n"
            "Docker-Distribution-Api-Version: registry/2.0\n"
            'Www-Authenticate: Basic realm="elastic.io private registry"\n'
            "X-Content-Type-Options: nosniff\n"
            "Content-Length: 87\n"
            "\n"
            '{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":null}]}\n'
            "(headers not shown: Date)"
        )
        assert repr(ask(aws, p, login=LOGIN)) == (
            "$ curl -i -u testuser https://registry.elastic.io/v2/\n"
            "HTTP/1.1 200 OK\n"
            "Content-Type: application/json; charset=utf-8\n"
            "Docker-Distribution-Api-Version: registry/2.0\n"
            "X-Content-Type-Options: nosniff\n"
            "Content-Length: 2\n"
            "\n"
            "{}\n"
            "(headers not shown: Date)"
        )


def other_realm(content):
    content["auth"]["htpasswd"]["realm"] = "another registry"


def no_header(content):
    del content["http"]["headers"]


def plain_location(content):
    content["http"]["host"] = "http://registry.elastic.io"


def location_elsewhere(content):
    content["http"]["host"] = "https://elsewhere.example"


def no_auth(content):
    del content["auth"]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (other_realm, {"Www-Authenticate": 'Basic realm="another registry"'}),
        (no_header, {"X-Content-Type-Options": "absent"}),
        (plain_location, {"Location of a new upload": "http://registry.elastic.io"}),
        (location_elsewhere, {"Location of a new upload": "https://elsewhere.example"}),
        (
            no_auth,
            {
                "GET /v2/ without a login": "200 {}",
                "Www-Authenticate": "absent",
                "GET /v2/ as testuser, wrong password": "200 {}",
                "GET /v2/ as testuser, empty password": "200 {}",
                "GET /v2/ as an unknown user": "200 {}",
                "GET /v2/ as docker, password docker": "200 {}",
            },
        ),
    ],
)
def test_a_wrong_configuration_is_named(p, run, change, wanted):
    with run(change) as aws:
        assert failed(verify_registry(aws, p, logins=[LOGIN])) == wanted


def test_relative_locations_are_right_too(p, run):
    with run(lambda content: content["http"].update(relativeurls=True)) as aws:
        verify_registry(aws, p, logins=[LOGIN]).require()


def deletes(content):
    content["storage"]["delete"] = {"enabled": True}


def test_with_the_delete_api_everything_goes_again(p, run, tmp_path):
    own = load({**p.model_dump(), "configured_by": "image"})  # whose config.yml may have deletes on
    with run(deletes) as aws:
        for _ in range(2):
            report = verify_registry(aws, own, logins=[LOGIN]).require()
            assert report.checks[-1].found == "deleted"
            assert [link for link in tmp_path.rglob("_layers/**/link") if "/mounted/" in str(link)] == []
            assert list(tmp_path.rglob("tags/*/current/link")) == []


def test_deletes_that_the_params_do_not_have_are_named(p, run):
    with run(deletes) as aws:
        assert failed(verify_registry(aws, p, logins=[LOGIN])) == {
            "delete a manifest": "202, then 404 MANIFEST_UNKNOWN"
        }


def test_a_refused_login_is_named_and_nothing_is_pushed(p, run):
    with run(users=htpasswd(LOGIN)) as aws:
        report = verify_registry(aws, p, logins=[LOGIN, Login("builder", Secret("not-this-one"))])
    assert failed(report) == {
        "GET /v2/ as builder": "401 UNAUTHORIZED",
        "push and pull": "not run: a login is refused",
    }
    assert report.checks[-2].found == "unknown to the registry"
    assert "not-this-one" not in repr(report)


def test_the_user_that_the_registry_invents_is_recognised(p, run):
    with run(users="") as aws:
        report = verify_registry(aws, p, logins=[LOGIN])
    assert "found no htpasswd file" in failed(report)["user docker"]
    assert failed(report)["push and pull"] == "not run: no login is accepted"


def test_a_user_docker_with_the_obvious_password_is_found(p, run):
    with run(users=htpasswd(LOGIN, Login("docker", Secret("docker")))) as aws:
        assert failed(verify_registry(aws, p, logins=[LOGIN])) == {"GET /v2/ as docker, password docker": "200 {}"}


def test_a_certificate_for_another_name_ends_the_report(p, run):
    with run(domain="other.example") as aws:
        report = verify_registry(aws, p, logins=[LOGIN])
        with pytest.raises(StepFailed, match="Hostname mismatch"):
            ask(aws, p)
    assert failed(report) == {
        "TLS certificate": "trusted, but for other.example",
        "the checks after it": "not run: the one above must be mended first",
    }


def test_a_certificate_of_another_authority_is_not_accepted(p, run, tmp_path):
    with run() as aws:
        stranger = Here(Authority(tmp_path / "other").path, aws.locate(p.domain, 443)[1])
        report = verify_registry(stranger, p, logins=[LOGIN])
    assert failed(report)["TLS certificate"].startswith("certificate not accepted: ")
    assert len(report.checks) == 2


def test_nothing_listens(p, authority):
    aws = Here(authority.path, free_port())
    report = verify_registry(aws, p, logins=[LOGIN])
    assert failed(report)["TLS certificate"] == "connection refused: nothing listens there"
    assert len(report.checks) == 2
    with pytest.raises(StepFailed, match="connection refused"):
        ask(aws, p)


def test_a_port_without_tls_is_said(p, authority):
    with server(lambda request: tell(request, 200)) as port:
        report = verify_registry(Here(authority.path, port), p, logins=[LOGIN])
    assert failed(report)["TLS certificate"] == "no TLS handshake: wrong version number"


def test_a_connection_that_is_closed_at_once_is_said(p, authority):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        listening.settimeout(20)

        def close_first():
            listening.accept()[0].close()

        thread = threading.Thread(target=close_first)
        thread.start()
        report = verify_registry(Here(authority.path, port), p, logins=[LOGIN])
        thread.join()
    assert len(report.checks) == 2 and not report


def test_a_balancer_without_instances_ends_the_report(p, authority):
    with server(lambda request: tell(request, 503), authority.issue(p.domain)) as port:
        aws = Here(authority.path, port)
        report = verify_registry(aws, p, logins=[LOGIN])
        assert "HTTP/1.1 503 Service Unavailable" in repr(ask(aws, p))
    assert failed(report) == {
        "GET /v2/ without a login": "503 Service Unavailable",
        "the checks after it": "not run: the one above must be mended first",
    }


def test_broken_storage_ends_the_report_at_the_push(p, run, tmp_path):
    (tmp_path / "file").touch()
    with run(lambda content: content["storage"]["filesystem"].update(rootdirectory=str(tmp_path / "file"))) as aws:
        report = verify_registry(aws, p, logins=[LOGIN])
    assert failed(report) == {
        "Location of a new upload": "500 UNKNOWN",
        "the checks after it": "not run: the one above must be mended first",
    }


def test_blobs_that_are_redirected_to_where_nobody_answers_are_said_without_the_password(p, authority):
    seen, closed = [], free_port()
    with server(lambda request: (seen.append(dict(request.headers)), tell(request, 200, b"the blob"))) as other:
        target = {"port": other}

        def redirect(request):
            tell(request, 307, Location=f"http://127.0.0.1:{target['port']}/blob")

        with server(redirect, authority.issue(p.domain)) as port, Here(authority.path, port).http() as session:
            client = Client(session, p, LOGIN)
            assert client.call("GET", "/v2/x/blobs/y", redirects=True).content == b"the blob"
            target["port"] = closed
            with pytest.raises(NoAnswer, match=re.escape("sends its clients on to 127.0.0.1: connection refused")):
                client.call("GET", "/v2/x/blobs/y", redirects=True)
    assert len(seen) == 1 and "Authorization" not in seen[0]


def test_an_upload_is_never_continued_on_another_host(p, authority):
    """A Location that names another host is a finding; login and layers still go to the registry alone."""
    seen = []

    def answer(request):
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        seen.append((request.command, request.headers["Host"], request.path))
        if request.command == "POST":
            tell(request, 202, Location="https://elsewhere.example/v2/upload?_state=s")
        else:
            tell(request, 200 if request.headers["Authorization"] else 401, b"{}")

    with server(answer, authority.issue(p.domain)) as port:
        report = verify_registry(Here(authority.path, port), p, logins=[LOGIN])
    assert failed(report)["Location of a new upload"] == "https://elsewhere.example"
    assert {host for _, host, _ in seen} == {p.domain}
    assert any((method, path[:20]) == ("PUT", "/v2/upload?_state=s&") for method, _, path in seen)


def test_at_least_one_login_is_needed(p, authority):
    with pytest.raises(StepFailed, match="no login was given"):
        verify_registry(Here(authority.path, free_port()), p, logins=[])

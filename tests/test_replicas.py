"""Several registries behind one balancer: what only shows with two of them, and the requests while one goes."""

import pytest
from registries import LOGIN, SECOND, Authority, Here, free_port, replicas, server, tell
from services import production

from runbook import traffic
from runbook.errors import StepFailed
from runbook.registry import verify_registry
from runbook.secret import Login, Secret

pytestmark = pytest.mark.embedded

SPREAD = "push layer 3, begun on one registry, finished on another"


@pytest.fixture
def p():
    return production()


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def failed(report):
    return {check.name: check.found for check in report.checks if not check.ok}


def rows(report):
    return {check.name: check.row for check in report.checks if not check.ok}


def test_two_registries_with_one_secret_are_as_one(p, tmp_path, authority):
    with replicas(p, tmp_path, authority, ["one", "one"]) as aws:
        report = verify_registry(aws, p, logins=[LOGIN, SECOND]).require()
        assert repr(verify_registry(aws, p, logins=[LOGIN, SECOND])) == repr(report)
    found = {check.name: check.found for check in report.checks}
    assert found["TLS version"] == "TLSv1.3"
    assert found["GET http://, without TLS"] == "301 to https://registry.elastic.io/v2/"
    assert found["GET /metrics"] == found["GET /debug/health"] == "404 Not Found"
    assert found[SPREAD].startswith("201 sha256:")


def test_different_secrets_are_named(p, tmp_path, authority):
    with replicas(p, tmp_path, authority, ["one", "another"]) as aws:
        report = verify_registry(aws, p, logins=[LOGIN])
    assert failed(report)[SPREAD] == "404 BLOB_UPLOAD_INVALID"
    assert rows(report)[SPREAD] == 1


def test_storages_that_are_not_shared_are_named(p, tmp_path, authority):
    own = iter(("a", "b"))

    def apart(content):
        content["storage"]["filesystem"]["rootdirectory"] = str(tmp_path / next(own))

    with replicas(p, tmp_path, authority, ["one", "one"], apart) as aws:
        report = verify_registry(aws, p, logins=[LOGIN])
    assert failed(report)[SPREAD] == "404 BLOB_UPLOAD_UNKNOWN"
    assert rows(report)[SPREAD] == 2


def test_metrics_that_are_open_to_all_and_a_port_80_that_answers_itself_are_named(p, authority):
    with (
        server(lambda request: tell(request, 200, b"{}"), authority.issue(p.domain)) as port,
        server(lambda request: tell(request, 200)) as plain,
    ):
        found = failed(verify_registry(Here(authority.path, port, plain), p, logins=[LOGIN]))
        assert found["GET http://, without TLS"] == "200"
        assert found["GET /v2/ without a login"] == "200 {}"
        elsewhere = failed(verify_registry(Here(authority.path, port, free_port()), p, logins=[LOGIN]))
    assert elsewhere["GET http://, without TLS"] == "connection refused: nothing listens there"


def test_nothing_fails_while_nothing_is_changed(p, tmp_path, authority):
    with replicas(p, tmp_path, authority, ["one", "one"]) as aws:
        with traffic.watch(aws, p, LOGIN) as seen:
            pass
        assert repr(seen.report.require()) == (
            "requests to https://registry.elastic.io as testuser meanwhile: ok\n"
            "  ok      made    some\n  ok      failed  0"
        )


def test_a_registry_that_goes_is_seen(p, tmp_path, authority):
    """Behind a balancer that does not look, every second request fails while one of two is gone."""
    with replicas(p, tmp_path, authority, ["one", "one"]) as aws, traffic.watch(aws, p, LOGIN) as seen:
        (tmp_path / "registry-0" / "htpasswd").write_text("")
        wait_for(lambda: not seen.report)
    found = failed(seen.report)
    assert found.keys() == {"failed"} and "401 UNAUTHORIZED" in found["failed"]
    assert LOGIN.password.reveal() not in repr(seen.report)


def test_an_open_connection_that_is_closed_in_between_is_opened_again(p, authority):
    """As every client does; a new connection that is cut is a failure."""
    seen = []

    def answer(request):
        seen.append(request.client_address)
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        reused = seen.count(request.client_address) > 1
        if reused:
            request.close_connection = True
        elif request.command == "POST":
            tell(request, 202, Location="/v2/upload?_state=s")
        elif request.command == "PUT":
            tell(request, 201, Docker_Content_Digest=request.path.rsplit("digest=")[1].replace("%3A", ":"))
        else:
            tell(request, 200, b"{}")

    with (
        server(answer, authority.issue(p.domain)) as port,
        traffic.watch(Here(authority.path, port), p, LOGIN) as watched,
    ):
        wait_for(lambda: len(seen) > len(set(seen)))
    watched.report.require()


def test_a_registry_that_does_not_work_before_is_said(p, tmp_path, authority):
    refused, nowhere = "before anything is changed: connection refused", Here(authority.path, free_port())
    with pytest.raises(StepFailed, match=refused), traffic.watch(nowhere, p, LOGIN):
        raise AssertionError("the block must not begin")
    with (
        replicas(p, tmp_path, authority, ["one"]) as aws,
        pytest.raises(StepFailed, match="401 UNAUTHORIZED"),
        traffic.watch(aws, p, Login("testuser", Secret("not-this-one"))),
    ):
        raise AssertionError("the block must not begin")


def test_an_error_of_the_block_is_the_blocks(p, tmp_path, authority):
    with replicas(p, tmp_path, authority, ["one"]) as aws:
        with pytest.raises(ZeroDivisionError), traffic.watch(aws, p, LOGIN) as seen:
            raise ZeroDivisionError
        seen.report.require()


def wait_for(condition):
    import time

    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)

"""The acceptance suite over registries that nobody here has set up: each fault is found by the check that is for it."""

import contextlib
import re
from functools import partial

import pytest
from registries import (
    LOGIN,
    SECOND,
    Authority,
    balancer,
    configuration,
    free_port,
    htpasswd,
    proxy,
    registry,
    server,
    tell,
)

from runbook import __main__, address
from runbook.errors import ParamsError
from runbook.registry import accept

pytestmark = pytest.mark.embedded

HTTPS = "http-request set-header X-Forwarded-Proto https"
LARGE, SLOW = "upload of 65 MiB", "upload that takes 3 s"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


@pytest.fixture
def plain(p, tmp_path):
    """`plain(change)`: the real registry without TLS, as a proxy has it behind; yields its port."""

    @contextlib.contextmanager
    def started(change=lambda content: None, name="registry"):
        port, folder = free_port(), tmp_path / name
        folder.mkdir()
        content = configuration(p, folder, ("", ""), port)
        del content["http"]["tls"]
        change(content)
        with registry(folder, content, htpasswd(LOGIN, SECOND)):
            yield port

    return started


@pytest.fixture
def tls(p, tmp_path, authority):
    """`tls(change)`: the real registry with TLS, alone; yields its URL."""

    @contextlib.contextmanager
    def started(change=lambda content: None, certificate=None):
        port, folder = free_port(), tmp_path / "registry"
        folder.mkdir()
        content = configuration(p, folder, certificate or authority.issue("localhost"), port)
        change(content)
        with registry(folder, content, htpasswd(LOGIN, SECOND)):
            yield f"https://localhost:{port}"

    return started


@pytest.fixture
def front(tmp_path, authority, plain):
    """`front(*lines, …)`: HAProxy before the real registry; yields its URL."""

    @contextlib.contextmanager
    def started(*lines, change=lambda content: None, **more):
        with (
            plain(change) as behind,
            proxy(tmp_path / "proxy", authority.issue("localhost"), behind, *lines, **more) as port,
        ):
            yield f"https://localhost:{port}"

    return started


@pytest.fixture
def look(authority):
    """`look(url)`: the report over a registry that is known by its URL alone."""

    def report(url, *logins, ca=authority.path, slow=None):
        return accept(address.of_url(url, ca=ca and str(ca)), logins=logins or [LOGIN], slow=slow)

    return report


def wrong(report):
    """What each check that is not ok found, and the failure that it points to."""
    return {check.name: (check.found, check.row) for check in report.checks if not check.ok}


def found(report):
    return {check.name: check.found for check in report.checks}


def test_a_registry_that_somebody_has_passes_by_its_url_alone(tls, look):
    with tls() as url:
        report = look(url, LOGIN, SECOND).require()
    seen = found(report)
    assert seen["TLS certificate"] == "trusted, for localhost"
    assert seen["Location of a new upload"] == url
    assert seen["delete a manifest"] == "405 UNSUPPORTED"
    assert seen["runbook/test afterwards"] == "kept (the delete API is off)"
    assert seen["push config in a single POST"].endswith("by a PUT after it")
    assert seen["artifacts of the image"] == "the registry has no referrers API; listed under a tag"
    assert LOGIN.password.reveal() not in repr(report) + report._repr_html_()


def test_one_that_deletes_is_left_empty(tls, look):
    with tls(lambda content: content["storage"].update(delete={"enabled": True})) as url:
        seen = found(look(url).require())
    assert seen["delete a manifest"] == "202, then 404 MANIFEST_UNKNOWN"
    assert seen["runbook/test afterwards"] == "deleted"


def redirects(to, content):
    content["middleware"] = {"storage": [{"name": "redirect", "options": {"baseurl": to}}]}


def test_redirects_are_followed_to_a_storage_that_is_there(tls, look, tmp_path):
    def blob(request):
        content = (tmp_path / "registry" / "data" / request.path.lstrip("/")).read_bytes()
        if asked := re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", "")):
            tell(request, 206, content[int(asked[1]) : int(asked[2]) + 1])
        elif request.command == "HEAD":
            tell(request, 200, content)
        else:
            tell(request, 200, content)

    with server(blob) as storage, tls(partial(redirects, f"http://127.0.0.1:{storage}")) as url:
        seen = found(look(url).require())
    assert seen["where layers are pulled from"] == "the storage, by a redirect (http)"


@pytest.mark.parametrize("answers", [True, False])
def test_a_storage_that_the_client_does_not_reach_is_19(tls, look, answers):
    with server(lambda request: tell(request, 403)) as storage:
        to = storage if answers else free_port()
        with tls(partial(redirects, f"http://127.0.0.1:{to}")) as url:
            seen = wrong(look(url))
    assert {row for _, row in seen.values()} == {19}
    assert {f"pull layer {n}" for n in (1, 2, 3)} < seen.keys()
    told = "403 Forbidden from 127.0.0.1" if answers else "the registry sends its clients on to 127.0.0.1"
    assert seen["pull config"][0].startswith(told)


def test_a_proxy_that_limits_bodies_is_24(front, look):
    limit = "http-request deny deny_status 413 if { req.hdr(Content-Length) -m int gt 10485760 }"
    with front(HTTPS, limit) as url:
        assert wrong(look(url)) == {LARGE: ("413 Payload Too Large", 24)}


def test_a_connection_that_is_cut_when_much_comes_is_25(plain, look, authority):
    with (
        plain(lambda content: content["http"].update(relativeurls=True)) as behind,
        balancer([behind], authority.issue("localhost"), most=20 * 1024 * 1024) as port,
    ):
        assert wrong(look(f"https://localhost:{port}")) == {LARGE: ("the connection was cut", 25)}


def test_a_proxy_that_does_not_tell_of_https_is_3(front, look):
    with front() as url:
        assert wrong(look(url)) == {"Location of a new upload": (url.replace("https:", "http:"), 3)}


def test_a_location_without_the_port_is_3(front, look):
    with front(HTTPS, "http-request set-header X-Forwarded-Host localhost") as url:
        assert wrong(look(url)) == {"Location of a new upload": ("https://localhost", 3)}


def test_an_idle_timeout_that_is_too_short_is_4(front, look):
    with front(HTTPS, idle=1) as url:
        seen = wrong(look(url, slow=3.0))
    assert seen.keys() == {SLOW} and seen[SLOW][1] == 4


def test_a_slow_upload_passes_where_the_timeout_is_longer_than_each_pause(front, look):
    with front(HTTPS, idle=2) as url:
        assert found(look(url, slow=3.0).require())[SLOW].startswith("201 sha256:")


def test_different_secrets_are_1_by_url_too(plain, look, authority, tmp_path):
    def change(secret, content):
        content["http"] |= {"secret": secret, "relativeurls": True}
        content["storage"]["filesystem"]["rootdirectory"] = str(tmp_path / "data")

    with (
        plain(partial(change, "one"), "first") as one,
        plain(partial(change, "another"), "second") as another,
        balancer([one, another], authority.issue("localhost")) as port,
    ):
        seen = wrong(look(f"https://localhost:{port}"))
    assert seen["push layer 3, begun on one registry, finished on another"] == ("404 BLOB_UPLOAD_INVALID", 1)


def test_old_tls_is_found(front, look):
    old = "ssl-default-bind-ciphers DEFAULT:@SECLEVEL=0"
    with front(HTTPS, bind="ssl-min-ver TLSv1.0", tls=old) as url:
        assert wrong(look(url)) == {"TLS 1.1 and older": ("TLSv1.1 is spoken", None)}


def test_a_certificate_that_ends_soon_is_23(tls, look, authority):
    with tls(certificate=authority.issue("localhost", days=5)) as url:
        assert wrong(look(url)) == {"TLS certificate, days left": ("4", 23)}


def test_a_self_signed_certificate_is_23_without_its_authority(tls, look):
    with tls() as url:
        seen = wrong(look(url, ca=None))
    assert seen["TLS certificate"][0].startswith("certificate not accepted: ")
    assert seen["TLS certificate"][1] == 23
    assert seen["the checks after it"] == ("not run: the one above must be mended first", None)


def test_storage_that_is_not_healthy_is_5(look, authority):
    body = b'{"errors":[{"code":"UNAVAILABLE","message":"service unavailable","detail":"health check failed"}]}'
    with server(lambda request: tell(request, 503, body), authority.issue("localhost")) as port:
        seen = wrong(look(f"https://localhost:{port}"))
    assert seen["GET /v2/ without a login"] == ("503 UNAVAILABLE", 5)


def test_a_right_password_that_is_refused_is_16(tls, look, tmp_path):
    with tls() as url:
        line = htpasswd(LOGIN).replace("$2b$", "$apr1$")
        (tmp_path / "registry" / "htpasswd").write_text(line)
        seen = wrong(look(url))
    assert seen["GET /v2/ as testuser"] == ("401 UNAUTHORIZED", 16)


def test_a_registry_that_asks_for_no_login_is_tested_without_one(tls, look, authority):
    with tls(lambda content: content.pop("auth")) as url:
        report = accept(address.of_url(url, ca=str(authority.path)), logins=[])
        asked = wrong(look(url))
    seen = found(report.require())
    assert seen["users"] == "none: the registry asks for no login"
    assert seen["pull config"].startswith("200 sha256:")
    assert asked["GET /v2/ without a login"] == ("200 {}", None)


def test_without_a_login_the_rest_is_said_to_be_left_out(tls, authority):
    with tls() as url:
        report = accept(address.of_url(url, ca=str(authority.path)), logins=[])
    assert wrong(report) == {"users, push and pull": ("not run: no login was given (--user)", None)}


def test_tokens_are_said_not_to_be_supported(tls, look, authority):
    def tokens(content):
        token = {"realm": "https://auth.example.com/token", "service": "x", "issuer": "tests"}
        content["auth"] = {"token": token | {"rootcertbundle": str(authority.path)}}

    with tls(tokens) as url:
        seen = wrong(look(url))
    assert seen.keys() == {"Www-Authenticate", "users, push and pull"}
    assert "Bearer" in seen["Www-Authenticate"][0]


def test_plain_http_on_this_computer_passes_and_says_so(plain, look):
    with plain() as port:
        report = look(f"http://localhost:{port}").require()
    assert found(report)["TLS"] == "none: plain HTTP, on this computer"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("registry.example.com", "https://HOST"),
        ("ftp://registry.example.com", "https://HOST"),
        ("https://", "https://HOST"),
        ("https://host:port", "https://HOST"),
        ("https://a..b", "https://HOST"),
        ("https://host/v2/name", "https://HOST"),
        ("https://user:hunter2@host", "--user"),
        ("http://registry.example.com", "in clear"),
    ],
)
def test_a_url_that_is_none_is_refused_in_a_sentence(url, said):
    with pytest.raises(ParamsError, match=re.escape(said)) as raised:
        address.of_url(url)
    assert "hunter2" not in str(raised.value)


def test_urls_are_one_however_they_are_written():
    same = ("https://Host", "https://host/", "https://host:443")
    assert {address.of_url(url).url for url in same} == {"https://host"}
    assert address.of_url("https://[::1]:5000").domain == "::1"


def test_an_authority_that_is_no_file_is_refused(tmp_path):
    (tmp_path / "empty").touch()
    for ca in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(ParamsError, match="--ca"):
            address.of_url("https://host", ca=str(ca))


def test_the_command_needs_nothing_but_the_url(tls, authority, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("RUNBOOK_HOME", str(tmp_path / "no-home"))
    monkeypatch.setenv("TRIED", LOGIN.password.reveal())
    with tls() as url:
        command = ["verify", "--url", url, "--user", LOGIN.user, "--password", "env:TRIED", "--ca", str(authority.path)]
        assert __main__.main(command) == 0
        assert capsys.readouterr().out.startswith(f"registry {url}: ok\n")
        monkeypatch.setenv("TRIED", "not-this-one")
        assert __main__.main(command) == 1
    told = capsys.readouterr()
    assert "failure 16" in told.out and "not-this-one" not in told.out + told.err
    assert not (tmp_path / "no-home").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "either params or --url"),
        (["blog", "--url", "https://host"], "either params or --url"),
        (["blog", "--user", "testuser"], "go with --url"),
        (["--url", "https://host", "--user", "testuser:hunter2"], "a name alone"),
        (["--url", "https://host", "--user", "testuser", "--password", "hunter2"], "never the password itself"),
        (["--url", "https://host", "--password", "env:X"], "one for each --user"),
    ],
)
def test_wrong_usage_is_2_and_a_sentence(arguments, said, capsys):
    assert __main__.main(["verify", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told and "hunter2" not in told


def test_a_password_that_nobody_can_be_asked_for_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr("getpass.getpass", lambda _: (_ for _ in ()).throw(EOFError))
    assert __main__.main(["verify", "--url", "https://host", "--user", "testuser"]) == 1
    assert "nobody can be asked here" in capsys.readouterr().err

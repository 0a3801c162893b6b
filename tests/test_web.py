"""The route to the registry's name: the true name in TLS and Host, the connection where the cloud says."""

import http.server
import json
import ssl
import threading
from types import SimpleNamespace

import pytest
import requests
from registries import Authority, Route

from runbook import web
from runbook.errors import CloudError

pytestmark = pytest.mark.embedded

NAME = "registry.elastic.io"


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the headers it was sent; below /_runbook/ as the server's `answer` says."""

    def do_GET(self):
        status, body = 200, dict(self.headers)
        if self.path.startswith("/_runbook/"):
            status, body = self.server.answer
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """The test's output is not the place for it."""


@pytest.fixture
def serve():
    """Starts an Echo on loopback, with TLS if given a certificate and a key; gives the server."""
    started = []

    def start(certificate=None, key=None):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_the_name_stays_and_the_callers_environment_stays_out(serve, tmp_path, monkeypatch):
    authority = Authority(tmp_path / "ca")
    server = serve(*authority.issue(NAME))
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(variable, "/nowhere")
    (tmp_path / "netrc").write_text(f"machine {NAME} login someone password something\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen = Route(authority.path, server.server_port).session().get(f"https://{NAME}/v2/").json()
    assert seen["Host"] == NAME
    assert "Authorization" not in seen


@pytest.mark.parametrize("fault", ["another name", "another authority"])
def test_a_certificate_is_never_taken_on_trust(serve, tmp_path, fault):
    authority, other = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate = authority.issue("registry.example.com" if fault == "another name" else NAME)
    route = Route((other if fault == "another authority" else authority).path, serve(*certificate).server_port)
    with pytest.raises(requests.exceptions.SSLError):
        route.session().get(f"https://{NAME}/v2/")


def test_where_a_name_leads_is_asked_of_the_cloud(serve):
    cloud = serve()
    route = web.Embedded(f"http://127.0.0.1:{cloud.server_port}", "ca.pem")
    cloud.answer = 200, {"address": "127.20.2.1", "port": 8443}
    assert route.locate(NAME, 443) == ("127.20.2.1", 8443)
    cloud.answer = 404, {"error": "no record of that name"}
    with pytest.raises(CloudError, match="no record of that name"):
        route.locate(NAME, 443)


def test_a_cloud_that_does_not_answer_is_one_sentence():
    with pytest.raises(CloudError, match="no answer from the embedded cloud at http://127.0.0.1:9"):
        web.Embedded("http://127.0.0.1:9", "ca.pem").locate(NAME, 443)


def test_on_aws_the_name_is_the_address_and_every_request_has_a_limit(monkeypatch):
    assert web.Public().locate(NAME, 443) == (NAME, 443)
    session, seen = web.Public().session(), SimpleNamespace(timeout=None)
    monkeypatch.setattr(session, "send", lambda request, **options: vars(seen).update(options) or requests.Response())
    session.get(f"https://{NAME}/v2/")
    assert seen.timeout == web.TIMEOUT
    assert session.verify is True
    assert session.trust_env is False

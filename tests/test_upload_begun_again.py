"""What skopeo does when an upload was begun under another http.secret: it gives up, and the next push succeeds."""

import itertools
import json
import os
import re
import subprocess

import pytest
from registries import server, tell

from runbook import image

pytestmark = pytest.mark.embedded

INVALID = json.dumps({"errors": [{"code": "BLOB_UPLOAD_INVALID", "message": "blob upload invalid"}]}).encode()


class Registry:
    """As much of a registry as a push needs; the first layer is refused once, when its upload ends."""

    def __init__(self):
        self.uploads, self.refused, self.blobs, self.manifests = itertools.count(1), 0, set(), 0

    def __call__(self, request):
        read(request)
        path, _, query = request.path.partition("?")
        if request.command == "POST":
            tell(request, 202, Location=f"/v2/test/blobs/uploads/{next(self.uploads)}?_state=s")
        elif request.command == "PATCH":
            tell(request, 202, Location=f"{path}?_state=s", Range="0-0")
        elif request.command == "PUT" and "/manifests/" in path:
            self.manifests += 1
            tell(request, 201)
        elif request.command == "PUT":
            self.end(request, re.search(r"sha256(?::|%3A)([0-9a-f]{64})", query)[1])
        elif path == "/v2/":
            tell(request, 200, b"{}")
        else:
            tell(request, 404)

    def end(self, request, digest):
        if not self.refused:
            self.refused += 1
            tell(request, 404, INVALID, Content_Type="application/json")
        else:
            self.blobs.add(f"sha256:{digest}")
            tell(request, 201)


def read(request):
    """The body, which skopeo sends in chunks (RFC 9112, section 7.1)."""
    if request.headers.get("Transfer-Encoding") == "chunked":
        while size := int(request.rfile.readline(), 16):
            request.rfile.read(size + 2)
        request.rfile.readline()
    else:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))


@pytest.mark.parametrize("times", [0, 3])
def test_retries_do_not_help_and_the_next_push_succeeds(tmp_path, times):
    """docker begins such a layer again by itself (https://github.com/distribution/distribution/issues/2519)."""
    made, registry = image.make(layers=1, size=1024), Registry()
    made.write(tmp_path / "image", tag="one")
    (tmp_path / "policy.json").write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    with server(registry) as port:
        command = ["skopeo", "--policy", tmp_path / "policy.json", "copy", "--quiet", f"--retry-times={times}"]
        command += ["--dest-tls-verify=false", f"oci:{tmp_path}/image:one", f"docker://127.0.0.1:{port}/test:one"]
        environment = {"HOME": str(tmp_path), "PATH": os.defpath}
        first, second = (
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
            for _ in range(2)
        )
    assert first.returncode == 1 and "blob upload invalid" in first.stderr
    assert second.returncode == 0, second.stderr
    assert registry.refused == 1 and registry.manifests == 1
    assert registry.blobs == {image.digest(blob) for blob in made.blobs.values()}

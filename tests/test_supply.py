"""What the runbook is made from: each package at one version, by its hash, and none with a hole that has a mend."""

import json
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runbook import paths

pytestmark = pytest.mark.supply

LOCK = paths.PROJECT / "requirements.lock"
ANSWER_SECONDS = 5
AUDIT_SECONDS = 120


def locked(text):
    """(requirement, its hashes) for each entry of a lock, in pip's requirements format."""
    lines = [line.partition(" #")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
    for line in lines:
        if line and not line.startswith("#"):
            requirement, *hashes = line.split(" --hash=")
            yield Requirement(requirement), [each.strip() for each in hashes]


def asked_for():
    """All that pyproject.toml asks for by name: to run, the extras, and to build."""
    content = tomllib.loads((paths.PROJECT / "pyproject.toml").read_text())
    project = content["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    lists += [content["dependency-groups"]["build"], content["build-system"]["requires"]]
    return [Requirement(spec) for specs in lists for spec in specs]


def versions(requirements):
    """Package → the versions that are pinned: more than one where Pythons or platforms differ."""
    found = {}
    for requirement, _ in requirements:
        (pin,) = requirement.specifier
        found.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    return found


def unmet(requirements, pinned):
    return [str(r) for r in requirements if not _is_met(r, pinned.get(canonicalize_name(r.name), []))]


def _is_met(requirement, pinned):
    return bool(pinned) and all(requirement.specifier.contains(version) for version in pinned)


def test_the_lock_has_what_pyproject_asks_for():
    pinned = versions(locked(LOCK.read_text()))
    assert len(asked_for()) > 15
    assert unmet(asked_for(), pinned) == [], "run: make lock"


def test_a_lock_that_lags_behind_is_seen():
    pinned = {"boto3": ["1.39.0"], "papermill": ["2.7.0", "3.0"]}
    asked = [Requirement(text) for text in ("boto3>=1.40", "papermill>=2.7,<3", "requests>=2", "papermill>2")]
    assert unmet(asked, pinned) == ["boto3>=1.40", "papermill<3,>=2.7", "requests>=2"]


def test_every_package_is_pinned_with_hashes_and_no_address():
    text = LOCK.read_text()
    entries = list(locked(text))
    assert len(entries) > 100
    for requirement, hashes in entries:
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement
        assert requirement.url is None, requirement
        assert hashes and all(each.startswith("sha256:") and len(each) == 7 + 64 for each in hashes), requirement
    assert "://" not in text
    options = [line for line in text.splitlines() if line.startswith("-")]
    assert options == []


def test_the_set_up_takes_the_locked_packages_alone():
    said = (paths.PROJECT / "setup.sh").read_text()
    installs = [line for line in said.splitlines() if "pip_install " in line]
    assert len(installs) == 2
    assert "--no-deps" in said.partition("pip_install() ")[2].partition("\n")[0]
    assert all(word in installs[0] for word in ("--require-hashes", "--only-binary :all:", "requirements.lock"))
    assert "--no-build-isolation" in installs[1]
    assert said.count("pip install") == said.count("-m pip install") == 1


def audit(lock, *service, seconds=AUDIT_SECONDS):
    """What pip-audit says of each package of a lock; None, and why, where the data cannot be had."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", lock, "--disable-pip", "--require-hashes"]
    command += ["--format", "json", "--progress-spinner", "off", "--timeout", str(ANSWER_SECONDS), *service]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return None, f"no whole answer within {seconds} s"
    if not done.stdout:
        return None, (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1][:200]
    told = [each for each in json.loads(done.stdout)["dependencies"] if "vulns" in each]
    return (told, "") if told else (None, "the registry that answers here tells no vulnerabilities")


def fixable(told):
    """One line a hole that a newer release mends."""
    return [
        f"{each['name']} {each['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions'])}"
        for each in told
        for hole in each["vulns"]
        if hole["fix_versions"]
    ]


@pytest.fixture
def one(tmp_path):
    """A lock of one of our packages."""
    entry, hashes = next((r, h) for r, h in locked(LOCK.read_text()) if r.name == "boto3")
    path = tmp_path / "one.lock"
    path.write_text(" ".join([str(entry), *(f"--hash={each}" for each in hashes)]) + "\n")
    return path


def test_no_package_has_a_known_hole_that_a_release_mends(one, figure):
    told, why = audit(one, seconds=2 * ANSWER_SECONDS)
    if told is not None:
        told, why = audit(LOCK)
    if told is None:
        pytest.skip(f"what vulnerabilities are known cannot be asked from here: {why}")
    figure("packages of which vulnerabilities were asked", len(told))
    assert fixable(told) == [], "run: make lock"


@pytest.fixture
def advisories():
    """`advisories(*holes)`: a database of vulnerabilities on loopback that knows these of every package."""
    servers = []

    def serve(*holes):
        class Answer(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps({"vulns": [_told(hole, fix, asked) for hole, fix in holes]} if holes else {}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """The test's output is not the place for it."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Answer))
        threading.Thread(target=servers[-1].serve_forever).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def _told(hole, fix, asked):
    """In the format of https://ossf.github.io/osv-schema/"""
    package = {"name": asked["package"]["name"], "ecosystem": "PyPI"}
    events = [{"introduced": "0"}, *([{"fixed": fix}] if fix else [])]
    affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {"id": hole, "summary": "a hole", "modified": "2026-01-01T00:00:00Z", "affected": [affected]}


def test_a_known_hole_is_told_where_a_release_mends_it(one, advisories):
    url = advisories(("PYSEC-2026-1", "999.1"), ("PYSEC-2026-2", None))
    told, why = audit(one, "--vulnerability-service", "osv", "--osv-url", url)
    assert why == ""
    (line,) = fixable(told)
    assert line.startswith("boto3 ") and line.endswith("PYSEC-2026-1, mended in 999.1")


def test_a_package_without_holes_is_told_so(one, advisories):
    told, why = audit(one, "--vulnerability-service", "osv", "--osv-url", advisories())
    assert (len(told), fixable(told), why) == (1, [], "")


def test_no_answer_is_no_clean_bill(one):
    told, why = audit(one, "--vulnerability-service", "osv", "--osv-url", "http://127.0.0.1:9/", seconds=30)
    assert told is None
    assert why

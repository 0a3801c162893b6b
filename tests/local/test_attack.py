"""A cloud in which everything runs, and what others may try: where it listens, what it answers, what they can read."""

import contextlib
import errno
import os
import random
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from programs import listeners

pytestmark = pytest.mark.embedded

ENOUGH = 64 * 1024


@pytest.fixture(scope="module")
def full(new_cloud, tmp_path_factory):
    """A cloud with a program of each kind."""
    full = new_cloud(tmp_path_factory.mktemp("full"))
    full.up()
    full.everything()
    yield full
    full.down()


@pytest.fixture
def api(full):
    """Where the API listens."""
    place = urlsplit(full.running.endpoint)
    return place.hostname, place.port


def said(place, request: bytes) -> bytes:
    """What comes back until the end; b"" also when the connection is reset."""
    with socket.create_connection(place, timeout=30) as connection:
        answer = b""
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while len(answer) < ENOUGH and (piece := connection.recv(ENOUGH)):
                answer += piece
        except OSError as error:
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN):
                raise
        return answer


def status(answer: bytes) -> int:
    return int(answer.split(maxsplit=2)[1])


def test_it_listens_on_loopback_and_in_private_folders_alone(full, figure):
    programs = {"python", "haproxy", "redis-server", "registry"}

    def seen():
        found = listeners(full.processes())
        return found if programs <= {each.program for each in found} else None

    found = full.until(seen, seconds=60)
    figure("sockets that listen", len(found))
    assert [each for each in found if not each.is_private] == []


def test_a_socket_elsewhere_would_be_found(tmp_path):
    with (
        socket.socket() as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as abstract,
        socket.socket(socket.AF_UNIX) as private,
    ):
        tcp.bind(("0.0.0.0", 0))  # noqa: S104 (what is to be found)
        tcp.listen()
        udp.bind(("0.0.0.0", 0))  # noqa: S104
        abstract.bind(f"\0of-a-test-{os.getpid()}")
        abstract.listen()
        tmp_path.chmod(0o700)
        private.bind(str(tmp_path / "socket"))
        private.listen()
        found = [each for each in listeners([os.getpid()]) if not each.is_private]
        ours = [(each.protocol, str(each.address)) for each in found]
        assert ("tcp", "0.0.0.0") in ours and ("udp", "0.0.0.0") in ours
        assert ("unix", f"@of-a-test-{os.getpid()}") in ours
        assert not any(str(tmp_path) in address for _, address in ours)


@pytest.mark.parametrize("port", [1338, 1339, 1340])
@pytest.mark.parametrize(
    "more", [b"Host: rebound.example.com\r\n", b"Host: {own}\r\nOrigin: http://a.example\r\n", b""]
)
def test_a_nodes_own_services_refuse_a_web_page(full, port, more):
    """A browser that a rebound name leads there may send any other header, those of IMDSv2 too."""
    address = next(each["address"] for each in full.status()["nodes"])
    own = f"{address}:{port}".encode()
    for line in (b"PUT /latest/api/token", b"GET /latest/meta-data/iam/", b"GET /v2/credentials/x"):
        headers = b"X-aws-ec2-metadata-token-ttl-seconds: 60\r\n" + more.replace(b"{own}", own)
        assert status(said((address, port), line + b" HTTP/1.1\r\n" + headers + b"\r\n")) == 403


HOSTILE = {
    "absolute form": b"GET http://a.example/_runbook/status HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "traversal": b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "encoded traversal": b"GET /_runbook/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nContent-Length: 40\r\n\r\nabcdGET /_r",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /_runbook/status HTTP/1.1\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    "bad length": b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
    "no number": b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: many\r\n\r\n",
    "two hosts": b"GET /_runbook/status HTTP/1.1\r\nHost: {host}\r\nHost: a.example\r\n\r\n",
    "a large header": b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"x" * 1024 * 1024 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: {host}\r\n" + b"X: x\r\n" * 20000 + b"\r\n",
    "a long line": b"GET /" + b"x" * 1024 * 1024 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "a body without length": b"POST / HTTP/1.1\r\nHost: {host}\r\n\r\n" + b"x" * 8 * 1024 * 1024,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "nothing": b"",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_hostile_gets_no_file_and_no_traceback_and_others_are_served(full, api, what):
    answer = said(api, HOSTILE[what].replace(b"{host}", "{}:{}".format(*api).encode()))
    assert_tells_nothing(full, answer)
    assert b'"pid"' not in answer
    assert full.status()["pid"] == full.running.pid


def assert_tells_nothing(full, answer: bytes):
    for each in (b"Traceback", b'File "/', b"site-packages", b"root:x:", str(full.home).encode()):
        assert each not in answer, answer[:2000]


def test_random_requests_are_answered_without_a_traceback(full, api, figure):
    chance, count = random.Random(12), 100
    words = b"/ // . .. %00 %ff ? & = ; s3 ec2 ecs bucket Action=RunInstances Version=1 _runbook moto-api x".split()
    lines = [b"Content-Length: 3", b"Authorization: AWS4-HMAC-SHA256 Credential=a/b/c/ecs/d", b"Range: bytes=9-1"]
    lines += [b"X-Amz-Target: AmazonEC2ContainerServiceV20141113.RunTask", b"Content-Type: application/x-amz-json-1.1"]
    lines += [b"Content-Encoding: gzip", b"Expect: 100-continue", b"X-Amz-Date: x", b"Authorization: \xff\xfe"]

    def ask(_):
        path = b"/" + b"".join(chance.choices(words, k=chance.randrange(6)))
        method = chance.choice([b"GET", b"PUT", b"POST", b"DELETE", b"HEAD", b"PATCH", b"TRACE", b"X"])
        headers = b"\r\n".join([b"Host: {}:{}".replace(b"{}:{}", "{}:{}".format(*api).encode())])
        headers += b"".join(b"\r\n" + line for line in chance.sample(lines, chance.randrange(5)))
        return said(api, method + b" " + path + b" HTTP/1.1\r\n" + headers + b"\r\n\r\n" + chance.randbytes(9))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(count)))
    figure("random requests", count)
    assert sum(bool(answer) for answer in answers) > count / 2
    for answer in answers:
        assert_tells_nothing(full, answer)
    assert full.status()["pid"] == full.running.pid


def test_a_hundred_connections_that_say_nothing_do_not_stop_it(full, api):
    node = next(each["address"] for each in full.status()["nodes"])
    with contextlib.ExitStack() as idle:
        for place in (api, (node, 1338)):
            for _ in range(100):
                connection = idle.enter_context(socket.create_connection(place, timeout=30))
                connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert full.status()["pid"] == full.running.pid
        token = b"PUT /latest/api/token HTTP/1.1\r\nHost: %b:1338\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n\r\n"
        assert status(said((node, 1338), token % node.encode())) == 200


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user_sees_neither_environments_nor_files_of_its_programs(full):
    assert stat.S_IMODE(full.home.stat().st_mode) == 0o700
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "sh", "-c"]
    pid = next(pid for pid, words in full.processes().items() if "registry serve" in words)
    for tried in (f"cat /proc/{full.running.pid}/environ", f"cat /proc/{pid}/environ", f"ls /proc/{pid}/root/"):
        asked = subprocess.run([*nobody, tried], capture_output=True, text=True)
        assert asked.returncode != 0 and "Permission denied" in asked.stderr, tried


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_its_folder_is_private_whatever_the_umask_and_whoever_made_it(own_cloud, mask):
    before = os.umask(mask)
    try:
        own_cloud.home.chmod(0o755)
        own_cloud.up()
    finally:
        os.umask(before)
    assert stat.S_IMODE(own_cloud.home.stat().st_mode) == 0o700
    open_ones = {file.name for file in own_cloud.home.iterdir() if stat.S_IMODE(file.stat().st_mode) & 0o077}
    assert open_ones <= {"ca.pem", "cloud.lock"}

"""The text of HAProxy's configuration: model in, lines out."""

import subprocess
from dataclasses import replace

import pytest

from runbook.local import haproxy
from runbook.local.haproxy import Balancer, Check, Listener

pytestmark = pytest.mark.pure

CHECK = Check("TCP", 5000, "/", interval=30, timeout=5, healthy=10, unhealthy=2)
BLOG = Balancer(
    address="127.99.2.1",
    listeners=(Listener(443, "HTTPS", 5000, "HTTP", pem="a.pem"),),
    check=CHECK,
    idle_timeout=300,
    servers=(("i-1", "127.99.1.1"), ("i-2", "127.99.1.2")),
)


def lines(balancer):
    return [line.strip() for line in haproxy.configuration(balancer).splitlines()]


def test_a_privileged_port_is_bound_8000_higher():
    assert "bind 127.99.2.1:8443 ssl crt a.pem ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.2" in lines(BLOG)
    assert [haproxy.bound_port(port) for port in (25, 80, 1024, 5000)] == [8025, 8080, 1024, 5000]


@pytest.mark.parametrize(
    ("policy", "oldest"),
    [
        ("ELBSecurityPolicy-TLS-1-2-2017-01", "TLSv1.2"),
        ("ELBSecurityPolicy-TLS-1-1-2017-01", "TLSv1.1"),
        ("ELBSecurityPolicy-2016-08", "TLSv1.0"),
    ],
)
def test_the_tls_policy_sets_the_oldest_protocol(policy, oldest):
    listener = Listener(443, "HTTPS", 5000, "HTTP", pem="a.pem", tls_policy=policy)
    bind = next(line for line in lines(replace(BLOG, listeners=(listener,))) if line.startswith("bind"))
    assert bind.endswith(f"ssl-min-ver {oldest} ssl-max-ver TLSv1.2")


def test_the_forwarded_port_and_protocol_are_the_apis():
    assert "http-request set-header X-Forwarded-Port 443" in lines(BLOG)
    assert "http-request set-header X-Forwarded-Proto https" in lines(BLOG)


def test_a_tcp_listener_adds_no_headers():
    text = haproxy.configuration(replace(BLOG, listeners=(Listener(5000, "TCP", 5000, "TCP"),)))
    assert "X-Forwarded" not in text
    assert "backend tcp-5000\n    mode tcp" in text


def test_every_back_end_follows_the_one_health_check():
    both = (Listener(80, "HTTP", 80, "HTTP"), *BLOG.listeners)
    text = lines(replace(BLOG, listeners=both))
    assert "server i-1 127.99.1.1:80 track health/i-1" in text
    assert "server i-1 127.99.1.1:5000 track health/i-1" in text
    assert "server i-1 127.99.1.1:5000" in text


def test_an_http_check_expects_200_of_its_path():
    text = lines(replace(BLOG, check=replace(CHECK, protocol="HTTP", path="/health")))
    assert "http-check expect status 200" in text
    assert any(line.startswith("http-check send meth GET uri '/health' ver HTTP/1.1") for line in text)


@pytest.mark.parametrize("path", ["/a b", "/it's", '/"quoted"', "/#x", "/a\\b"])
def test_a_strange_path_stays_one_word(path, tmp_path):
    odd = replace(BLOG, listeners=(), check=replace(CHECK, protocol="HTTP", path=path))
    (tmp_path / "h.cfg").write_text(haproxy.configuration(odd))
    (tmp_path / haproxy.STATE).write_text(haproxy.state(odd))
    (tmp_path / haproxy.NO_INSTANCE).write_text(haproxy.NO_INSTANCE_ANSWER, newline="")
    checked = subprocess.run(
        ["/usr/sbin/haproxy", "-C", tmp_path, "-f", "h.cfg", "-c"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def rows(text):
    return [line.split() for line in text.splitlines()[2:]]


def test_a_new_server_starts_as_down_and_a_known_one_keeps_its_state():
    header = "1\n# be_id be_name\n"
    known = "6 health 1 i-1 127.99.1.1 2 0 1 1 3 6 3 11 6 0 0 0 - 5000 - 0 0 - - 0"
    other = "4 http-5000 1 i-1 127.99.1.1 2 0 1 1 3 1 0 2 0 0 0 0 - 5000 - 0 0 - - 0"
    first, second = rows(haproxy.state(BLOG, f"{header}{other}\n{known}\n"))
    assert first == known.split()
    assert second[3:6] == ["i-2", "127.99.1.2", "0"]


def test_a_server_that_moved_to_another_address_starts_again():
    known = "6 health 1 i-1 127.99.1.9 2 0 1 1 3 6 3 11 6 0 0 0 - 5000 - 0 0 - - 0"
    assert rows(haproxy.state(BLOG, known))[0][4:6] == ["127.99.1.1", "0"]

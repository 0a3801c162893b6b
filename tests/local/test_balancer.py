"""A real HAProxy before small HTTP servers, made from what moto's classic load balancer API was told."""

import http.client
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
import requests
from moto import mock_aws

from runbook.local import classic
from runbook.local.authority import Authority
from runbook.local.balancer import Balancers
from runbook.local.inside import elb
from runbook.local.state import Place

pytestmark = pytest.mark.embedded

REGION = "eu-central-1"
NAME = "registry"
FIRST, SECOND = "i-00000000000000001", "i-00000000000000002"
FAILED = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."


class Instance(BaseHTTPRequestHandler):
    """Answers 200 with the headers that it was sent; the health check's path as the server says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/slow":
            time.sleep(self.server.slow_seconds)
        status = self.server.health_status if self.path == "/health" else 200
        self._answer(status, "".join(f"{k.lower()}: {v}\n" for k, v in self.headers.items()).encode())

    def do_PUT(self):
        self.server.upload_began.set()
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(200, str(size).encode())

    def _answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """The test's output is not the place for it."""


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A TCP health check resets its connection: no error here."""


class Nodes:
    """The running nodes of this test: their ids, and where they are."""

    def __init__(self):
        self.addresses = {}

    def get(self, instance_id):
        address = self.addresses.get(instance_id)
        return SimpleNamespace(address=address) if address else None


class World:
    """A balancers part over moto, and the instances behind it."""

    def __init__(self, home, block):
        self.place = Place(home, block)
        self.nodes = Nodes()
        self.balancers = Balancers(self.place, self.nodes)
        keys = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "x")
        session = boto3.Session(region_name=REGION, **keys)
        self.elb, self.acm = session.client("elb"), session.client("acm")
        self.servers = []

    def create(self, listeners, check="TCP:5000", thresholds=(2, 2), instances=(FIRST,), idle=None):
        zone = {"AvailabilityZones": [f"{REGION}a"]}
        self.elb.create_load_balancer(LoadBalancerName=NAME, Listeners=listeners, **zone)
        self.elb.configure_health_check(
            LoadBalancerName=NAME,
            HealthCheck={
                "Target": check,
                "Interval": 5,
                "Timeout": 2,
                "HealthyThreshold": thresholds[0],
                "UnhealthyThreshold": thresholds[1],
            },
        )
        if idle:
            attributes = {"ConnectionSettings": {"IdleTimeout": idle}}
            self.elb.modify_load_balancer_attributes(LoadBalancerName=NAME, LoadBalancerAttributes=attributes)
        self.register(*instances)
        self.wait(lambda: self.connects(listeners[0]["LoadBalancerPort"]), "the balancer listens")

    def register(self, *instances):
        for number, instance in enumerate((FIRST, SECOND), start=1):
            if instance in instances:
                self.nodes.addresses[instance] = self.place.node_address(number)
        if instances:
            ids = [{"InstanceId": each} for each in instances]
            self.elb.register_instances_with_load_balancer(LoadBalancerName=NAME, Instances=ids)

    def start(self, instance=FIRST, port=5000, health_status=200):
        server = Server((self.nodes.addresses[instance], port), Instance)
        server.health_status, server.slow_seconds = health_status, 4
        server.upload_began = threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.servers.append(server)
        return server

    def stop(self, server):
        self.servers.remove(server)
        server.shutdown()
        server.server_close()

    def wait(self, condition, what, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            self.balancers.step()
            if condition():
                return
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {self.balancers.status()}"
            threading.Event().wait(0.03)

    def health(self, instance=FIRST):
        states = self.elb.describe_instance_health(LoadBalancerName=NAME)["InstanceStates"]
        return next(each for each in states if each["InstanceId"] == instance)

    def wait_state(self, state, instance=FIRST):
        self.wait(lambda: self.health(instance)["State"] == state, f"{instance} is {state}")

    def at(self, port, path="/", scheme="http"):
        return f"{scheme}://{self.place.balancer_address(1)}:{port + 8000 if port < 1024 else port}{path}"

    def connects(self, port):
        try:
            socket.create_connection((self.place.balancer_address(1), port + 8000 if port < 1024 else port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def config(self):
        return (self.place.folder("balancers", "1") / "haproxy.cfg").read_text()

    def close(self):
        for server in list(self.servers):
            self.stop(server)
        self.balancers.close()


def listener(port, protocol="HTTP", instance_port=5000, instance_protocol="HTTP", **more):
    return {
        "LoadBalancerPort": port,
        "Protocol": protocol,
        "InstancePort": instance_port,
        "InstanceProtocol": instance_protocol,
        **more,
    }


@pytest.fixture
def direct():
    """Requests without the proxies and the CA bundle of the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.fixture
def world(tmp_path, block, unmended):
    with mock_aws():
        made = World(tmp_path, block)
        yield made
        made.close()


def test_503_with_an_empty_body_when_no_instance_is_in_service(world, direct):
    world.create([listener(80)])
    answer = direct.get(world.at(80))
    assert (answer.status_code, answer.content) == (503, b"")
    state = world.health()
    assert state["State"] == "OutOfService"


def test_the_tcp_check_follows_the_back_end(world, direct):
    world.create([listener(80)])
    world.wait(lambda: world.health()["Description"] == FAILED, "the closed port is noticed")
    assert world.health()["ReasonCode"] == "Instance"
    server = world.start()
    world.wait_state("InService")
    assert direct.get(world.at(80)).status_code == 200
    world.stop(server)
    world.wait_state("OutOfService")
    assert world.health()["Description"] == FAILED
    assert direct.get(world.at(80)).status_code == 503
    world.start()
    world.wait_state("InService")


def test_a_new_instance_is_registering_until_it_has_passed_its_checks(world, direct):
    world.nodes.addresses[FIRST] = world.place.node_address(1)
    world.start()
    world.create([listener(80)], thresholds=(10, 2))
    state = world.health()
    assert (state["State"], state["ReasonCode"]) == ("OutOfService", "ELB")
    assert state["Description"] == "Instance registration is still in progress."
    world.wait_state("InService")


def test_the_http_check_wants_200(world):
    world.create([listener(80)], check="HTTP:5000/health")
    server = world.start(health_status=401)
    world.wait(lambda: world.health()["Description"] == FAILED, "401 counts as a failure")
    server.health_status = 200
    world.wait_state("InService")


def test_an_instance_that_is_stopped_says_so(world, monkeypatch):
    world.create([listener(80)])
    world.start()
    world.wait_state("InService")
    del world.nodes.addresses[FIRST]
    monkeypatch.setattr(classic.elb, "instance_state", lambda region, instance: "stopped")
    world.wait(lambda: world.health()["Description"] == "Instance is in stopped state.", "it is stopped")


def test_a_terminated_instance_is_deregistered(world):
    world.create([listener(80)])
    world.nodes.addresses.clear()
    described = world.elb.describe_load_balancers
    world.wait(lambda: not described()["LoadBalancerDescriptions"][0]["Instances"], "it is out")


def test_the_forwarded_headers(world, direct):
    world.create([listener(80)])
    world.start()
    world.wait_state("InService")
    sent = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "gopher", "Host": "registry.example.com"}
    seen = dict(line.split(": ", 1) for line in direct.get(world.at(80), headers=sent).text.splitlines())
    assert seen["x-forwarded-for"].startswith("192.0.2.1, 127.")
    assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("http", "80")
    assert seen["host"] == "registry.example.com"


def test_the_idle_timeout_is_the_balancers(world, direct):
    world.create([listener(80)], idle=2)
    server = world.start()
    world.wait_state("InService")
    began = time.monotonic()
    assert direct.get(world.at(80, "/slow")).status_code == 504
    assert 1.5 < time.monotonic() - began < 3.9
    attributes = {"ConnectionSettings": {"IdleTimeout": 60}}
    world.elb.modify_load_balancer_attributes(LoadBalancerName=NAME, LoadBalancerAttributes=attributes)
    server.slow_seconds = 3
    world.wait(lambda: direct.get(world.at(80, "/slow")).status_code == 200, "the longer timeout holds", 40)


def certificate(world, name):
    address = world.place.balancer_address(1)
    return Authority(world.place.home).issue([name], [address])


def import_certificate(world, folder, **more):
    parts = {
        "Certificate": (folder / "cert.pem").read_bytes(),
        "PrivateKey": (folder / "privkey.pem").read_bytes(),
        "CertificateChain": (folder / "chain.pem").read_bytes(),
    }
    return world.acm.import_certificate(**parts, **more)["CertificateArn"]


def https(arn):
    return listener(443, "HTTPS", SSLCertificateId=arn)


def test_https_with_the_imported_certificate(world, direct):
    arn = import_certificate(world, certificate(world, "registry.example.com"))
    world.create([https(arn)])
    world.start()
    world.wait_state("InService")
    ca = str(world.place.home / "ca.pem")
    answer = direct.get(world.at(443, scheme="https"), verify=ca)
    assert "x-forwarded-proto: https\nx-forwarded-port: 443\n" in answer.text
    with pytest.raises(requests.exceptions.SSLError):
        direct.get(world.at(443, scheme="https"))
    files = list(Path(world.place.folder("balancers", "1")).glob("*.pem"))
    assert [each.stat().st_mode & 0o777 for each in files] == [0o600]


def test_a_certificate_that_is_imported_anew_is_presented(world):
    arn = import_certificate(world, certificate(world, "registry.example.com"))
    world.create([https(arn)])
    second = certificate(world, "renewed.example.com")
    import_certificate(world, second, CertificateArn=arn)
    expected = ssl.PEM_cert_to_DER_cert((second / "cert.pem").read_text())
    world.wait(lambda: presented(world) == expected, "the new certificate")


def presented(world):
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    address = (world.place.balancer_address(1), 8443)
    with socket.create_connection(address) as plain, anyone.wrap_socket(plain) as channel:
        return channel.getpeercert(binary_form=True)


def test_the_tls_policy_refuses_an_older_protocol(world):
    arn = import_certificate(world, certificate(world, "registry.example.com"))
    world.create([https(arn)])
    policy = {"LoadBalancerName": NAME, "PolicyName": "tls12", "PolicyTypeName": "SSLNegotiationPolicyType"}
    wanted = {
        "AttributeName": "Reference-Security-Policy",
        "AttributeValue": "ELBSecurityPolicy-TLS-1-2-2017-01",
    }
    world.elb.create_load_balancer_policy(**policy, PolicyAttributes=[wanted])
    of_listener = {"LoadBalancerName": NAME, "LoadBalancerPort": 443, "PolicyNames": ["tls12"]}
    world.elb.set_load_balancer_policies_of_listener(**of_listener)
    world.wait(lambda: "ssl-min-ver TLSv1.2" in world.config(), "the policy is taken")


def test_an_https_listener_without_its_certificate_is_not_served_in_the_clear(world):
    world.create([listener(80), https(import_certificate(world, certificate(world, "registry.example.com")))])
    world.wait(lambda: world.connects(443), "port 443 is served")
    arn = world.acm.list_certificates()["CertificateSummaryList"][0]["CertificateArn"]
    world.acm.delete_certificate(CertificateArn=arn)
    world.wait(lambda: not world.connects(443), "port 443 is closed")
    assert world.connects(80)
    assert "certificate of listener 443 is gone" in world.balancers.status()["balancers"][0]["error"]


def test_a_configuration_that_haproxy_refuses_leaves_the_old_one_running(world, direct):
    arn = import_certificate(world, certificate(world, "registry.example.com"))
    world.create([https(arn)])
    world.start()
    world.wait_state("InService")
    folder = certificate(world, "other.example.com")
    (folder / "privkey.pem").write_bytes((folder.parent / "registry.example.com" / "privkey.pem").read_bytes())
    import_certificate(world, folder, CertificateArn=arn)
    world.wait(lambda: world.balancers.status()["balancers"][0]["error"], "the error is seen")
    assert "HAProxy refuses the configuration" in world.balancers.status()["balancers"][0]["error"]
    ca = str(world.place.home / "ca.pem")
    assert direct.get(world.at(443, scheme="https"), verify=ca).status_code == 200


def test_a_tcp_listener_passes_bytes_through(world, direct):
    world.create([listener(5000, "TCP", 5000, "TCP")])
    world.start()
    world.wait_state("InService")
    assert "x-forwarded" not in direct.get(world.at(5000)).text


def begin_upload(world):
    """The first half of an upload."""
    connection = http.client.HTTPConnection(world.place.balancer_address(1), 8080, timeout=20)
    connection.putrequest("PUT", "/upload")
    connection.putheader("Content-Length", "200000")
    connection.endheaders()
    connection.send(b"x" * 100_000)
    return connection


def rest_of_upload(connection):
    """What a client gets that sends the second half; None when the connection is cut."""
    try:
        connection.send(b"x" * 100_000)
        return connection.getresponse().read()
    except (http.client.HTTPException, ConnectionError):
        return None


@pytest.mark.parametrize("draining", [True, False])
def test_what_deregistering_does_to_a_slow_upload(world, draining):
    world.create([listener(80)])
    attributes = {"ConnectionDraining": {"Enabled": draining, "Timeout": 300}}
    world.elb.modify_load_balancer_attributes(LoadBalancerName=NAME, LoadBalancerAttributes=attributes)
    server = world.start()
    world.wait_state("InService")
    connection = begin_upload(world)
    assert server.upload_began.wait(10)
    gone = [{"InstanceId": FIRST}]
    world.elb.deregister_instances_from_load_balancer(LoadBalancerName=NAME, Instances=gone)
    world.wait(lambda: FIRST not in world.config(), "it is taken out")
    assert (rest_of_upload(connection) == b"200000") is draining
    connection.close()


def test_a_reload_keeps_a_slow_upload_alive(world):
    world.create([listener(80)])
    world.start()
    world.wait_state("InService")
    connection = begin_upload(world)
    world.elb.create_load_balancer_listeners(LoadBalancerName=NAME, Listeners=[listener(81)])
    world.wait(lambda: world.connects(81), "the new listener")
    assert world.health()["State"] == "InService"
    assert rest_of_upload(connection) == b"200000"
    connection.close()


def test_a_reload_refuses_no_connection_and_keeps_the_health(world, direct):
    world.create([listener(80)])
    world.start()
    world.wait_state("InService")
    failures, done = [], threading.Event()

    def ask():
        while not done.is_set():
            answer = requests.Session()
            answer.trust_env = False
            try:
                if (status := answer.get(world.at(80), timeout=5).status_code) != 200:
                    failures.append(status)
            except requests.RequestException as error:
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    for port in (81, 82):
        world.elb.create_load_balancer_listeners(LoadBalancerName=NAME, Listeners=[listener(port)])
        world.wait(lambda port=port: world.connects(port), f"listener {port}")
    done.set()
    thread.join()
    assert failures == []


def test_it_counts_what_it_has_sent_on(world, direct):
    direct.headers["Connection"] = "close"  # a connection through a TCP listener is counted at its end
    world.create([listener(80), listener(5000, "TCP", 5000, "TCP")])
    assert direct.get(world.at(80)).status_code == 503
    world.start()
    world.wait_state("InService")
    assert [direct.get(world.at(port)).status_code for port in (80, 80, 80, 5000)] == [200] * 4
    world.wait(lambda: counted(world)["requests"] == 4, "they are counted, and not the 503 of the balancer itself")
    settings = {"ConnectionSettings": {"IdleTimeout": 61}}
    world.elb.modify_load_balancer_attributes(LoadBalancerName=NAME, LoadBalancerAttributes=settings)
    world.wait(lambda: "timeout client 61s" in world.config(), "a successor serves")
    assert direct.get(world.at(80)).status_code == 200
    world.wait(lambda: counted(world)["requests"] == 5, "the sum goes on")
    assert counted(world) == {"region": REGION, "load_balancer": NAME, "target_group": None, "requests": 5}


def counted(world):
    return world.balancers.counters()[0]


def test_haproxy_is_started_again_beside_one_that_still_finishes(world):
    world.create([listener(80)])
    world.start()
    world.wait_state("InService")
    connection = begin_upload(world)
    world.elb.create_load_balancer_listeners(LoadBalancerName=NAME, Listeners=[listener(81)])
    world.wait(lambda: world.connects(81), "the new listener")
    process = world.balancers._proxies[REGION, NAME]._process
    process.kill()
    process.wait()
    world.wait(lambda: world.connects(80) and world.connects(81), "it is back")
    assert rest_of_upload(connection) == b"200000"
    connection.close()


def test_without_its_listeners_it_serves_nothing(world):
    world.create([listener(80)])
    world.elb.delete_load_balancer_listeners(LoadBalancerName=NAME, LoadBalancerPorts=[80])
    world.wait(lambda: not world.connects(80), "port 80 is closed")
    world.elb.create_load_balancer_listeners(LoadBalancerName=NAME, Listeners=[listener(81)])
    world.wait(lambda: world.connects(81), "the new listener")


def test_one_that_is_still_being_made_waits(world, monkeypatch):
    seen, check = [], elb.FakeHealthCheck
    monkeypatch.setattr(elb, "FakeHealthCheck", lambda **about: seen.append(elb.wanted()) or check(**about))
    world.create([listener(80)])
    assert seen[0] == []


def test_haproxy_is_started_again_when_it_dies(world, direct):
    world.create([listener(80)])
    world.start()
    world.wait_state("InService")
    process = world.balancers._proxies[REGION, NAME]._process
    process.kill()
    process.wait()
    world.wait(lambda: world.connects(80) and direct.get(world.at(80)).status_code == 200, "it is back")


def test_a_port_in_use_is_said_in_the_status(world):
    with socket.create_server((world.place.balancer_address(1), 8081)):
        zone = {"AvailabilityZones": [f"{REGION}a"]}
        world.elb.create_load_balancer(LoadBalancerName=NAME, Listeners=[listener(81)], **zone)
        world.wait(lambda: world.balancers.status()["balancers"][0]["error"], "the error is seen")
        assert "8081" in world.balancers.status()["balancers"][0]["error"]
        world.register(FIRST)
        world.wait(lambda: "8081" in world.health()["Description"], "the instance's health says why")
    world.wait(lambda: world.connects(81), "it is served once the port is free")


def test_a_deleted_balancer_leaves_nothing(world):
    world.create([listener(80)])
    process = world.balancers._proxies[REGION, NAME]._process
    world.elb.delete_load_balancer(LoadBalancerName=NAME)
    world.balancers.step()
    assert process.poll() is not None
    assert not world.connects(80)
    assert not list((world.place.home / "data" / "balancers").iterdir())


def test_balancers_have_addresses_of_their_own(world):
    world.create([listener(80)])
    zone = {"AvailabilityZones": [f"{REGION}a"]}
    world.elb.create_load_balancer(LoadBalancerName="second", Listeners=[listener(80)], **zone)
    world.balancers.step()
    names = {
        each["LoadBalancerName"]: each["DNSName"]
        for each in world.elb.describe_load_balancers()["LoadBalancerDescriptions"]
    }
    assert world.balancers.address(names[NAME]) == world.place.balancer_address(1)
    assert world.balancers.address(names["second"]) == world.place.balancer_address(2)
    assert world.balancers.address("nobody.eu-central-1.elb.amazonaws.com") is None


def test_no_haproxy_outlives_a_cloud_that_is_killed(tmp_path, block):
    program = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parents[2])!r})
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_balancer as t
        from moto import mock_aws
        with mock_aws():
            world = t.World(t.Path({str(tmp_path)!r}), {block})
            world.create([t.listener(80)])
            world.elb.create_load_balancer_listeners(LoadBalancerName=t.NAME, Listeners=[t.listener(81)])
            world.wait(lambda: world.connects(81), "a reload")
            print(world.balancers._proxies[t.REGION, t.NAME]._process.pid, flush=True)
            time.sleep(60)
        """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as cloud:
        haproxy = int(cloud.stdout.readline())
        assert Path(f"/proc/{haproxy}/comm").read_text() == "haproxy\n"
        cloud.kill()
    deadline = time.monotonic() + 5
    while alive(haproxy):
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False

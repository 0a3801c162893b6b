"""A real HAProxy before small HTTP servers, made from what moto's application load balancer API was told."""

import gzip
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import boto3
import pytest
import requests
from moto import mock_aws

from runbook.local import application
from runbook.local.authority import Authority
from runbook.local.balancer import Balancers
from runbook.local.inside import elbv2
from runbook.local.state import Place

pytestmark = pytest.mark.embedded

REGION = "eu-central-1"
NAME = "registry-alb"
IMAGE = "ami-12c6146b"
SERVICES = ("elbv2", "ec2", "acm", "route53", "s3")
CHECK = {
    "HealthCheckIntervalSeconds": 5,
    "HealthCheckTimeoutSeconds": 2,
    "HealthyThresholdCount": 2,
    "UnhealthyThresholdCount": 2,
    "HealthCheckPath": "/health",
}


class Answers(BaseHTTPRequestHandler):
    """Answers with its server's name and the headers that it was sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/health":
            time.sleep(self.server.health_seconds)
        if self.path == "/slow":
            self.server.slow_began.set()
            self.server.go_on.wait(20)
        if self.path == "/broken":
            self.close_connection = True
            return
        status = {"/health": self.server.health_status, "/500": 500}.get(self.path, 200)
        lines = [f"server-name: {self.server.name}", *(f"{k.lower()}: {v}" for k, v in self.headers.items())]
        body = "\n".join(lines).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET

    def log_message(self, *_):
        """The test's output is not the place for it."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A client that leaves is no error here."""


class World:
    """A balancers part over moto, with two instances in two zones, and a target group that is forwarded to."""

    def __init__(self, home, block):
        self.place = Place(home, block)
        self.addresses = {}
        self.balancers = Balancers(self.place, self)
        session = boto3.Session("x", "x", region_name=REGION)
        for service in SERVICES:
            setattr(self, service, session.client(service))
        subnets = self.ec2.describe_subnets()["Subnets"]
        self.subnets = {each["AvailabilityZone"]: each["SubnetId"] for each in subnets}
        self.vpc = subnets[0]["VpcId"]
        self.first, self.second = (self.instance(zone) for zone in sorted(self.subnets)[:2])
        self.servers = []

    def get(self, instance_id):
        """The node of an instance, as the nodes part has it."""
        address = self.addresses.get(instance_id)
        return SimpleNamespace(address=address) if address else None

    def instance(self, zone):
        made = self.ec2.run_instances(ImageId=IMAGE, MinCount=1, MaxCount=1, SubnetId=self.subnets[zone])
        instance_id = made["Instances"][0]["InstanceId"]
        self.addresses[instance_id] = self.place.node_address(len(self.addresses) + 1)
        return instance_id

    def balancer(self, name=NAME, **attributes):
        made = self.elbv2.create_load_balancer(Name=name, Subnets=[self.subnets[z] for z in sorted(self.subnets)[:2]])
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        if attributes:
            sent = [{"Key": key.replace("__", "."), "Value": value} for key, value in attributes.items()]
            self.elbv2.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=sent)
        return arn

    def group(self, name="registry-targets", **more):
        wanted = {"Name": name, "Protocol": "HTTP", "Port": 5000, "VpcId": self.vpc} | CHECK | more
        return self.elbv2.create_target_group(**wanted)["TargetGroups"][0]["TargetGroupArn"]

    def set(self, group, **attributes):
        sent = [{"Key": key.replace("__", "."), "Value": value} for key, value in attributes.items()]
        self.elbv2.modify_target_group_attributes(TargetGroupArn=group, Attributes=sent)

    def listen(self, balancer, *actions, port=80, **more):
        made = self.elbv2.create_listener(
            LoadBalancerArn=balancer, **{"Protocol": "HTTP", "Port": port, "DefaultActions": list(actions)} | more
        )
        self.wait(lambda: self.connects(port), f"port {port} is served")
        return made["Listeners"][0]["ListenerArn"]

    def forwarding(self, **check):
        """A balancer with a listener on port 80 that forwards to a new target group; the group's ARN."""
        balancer, group = self.balancer(), self.group(**check)
        self.listen(balancer, forward(group))
        return group

    def start(self, instance, port, name=None, health_status=200):
        server = Server((self.addresses[instance], port), Answers)
        server.name, server.health_status, server.health_seconds = name or f"{port}", health_status, 0
        server.slow_began, server.go_on = threading.Event(), threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.servers.append(server)
        return server

    def stop(self, server):
        self.servers.remove(server)
        server.go_on.set()
        server.shutdown()
        server.server_close()

    def register(self, group, *targets):
        self.elbv2.register_targets(TargetGroupArn=group, Targets=[target(*each) for each in targets])

    def deregister(self, group, *targets):
        self.elbv2.deregister_targets(TargetGroupArn=group, Targets=[target(*each) for each in targets])

    def health(self, group, instance, port):
        seen = self.elbv2.describe_target_health(TargetGroupArn=group, Targets=[target(instance, port)])
        return seen["TargetHealthDescriptions"][0]["TargetHealth"]

    def wait_state(self, group, instance, port, state):
        self.wait(lambda: self.health(group, instance, port)["State"] == state, f"{instance}:{port} is {state}")

    def served(self, group, instance, port, **more):
        """A server that is a healthy target."""
        server = self.start(instance, port, **more)
        self.register(group, (instance, port))
        self.wait_state(group, instance, port, "healthy")
        return server

    def wait(self, condition, what, seconds=20):
        deadline = time.monotonic() + seconds
        while True:
            self.balancers.step()
            if condition():
                return
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {self.balancers.status()}"
            threading.Event().wait(0.03)

    def at(self, path="/", port=80, scheme="http"):
        return f"{scheme}://{self.place.balancer_address(1)}:{port + 8000 if port < 1024 else port}{path}"

    def connects(self, port):
        try:
            socket.create_connection((self.place.balancer_address(1), port + 8000 if port < 1024 else port)).close()
        except ConnectionRefusedError:
            return False
        return True

    def close(self):
        for server in list(self.servers):
            self.stop(server)
        self.balancers.close()


def target(instance, port):
    return {"Id": instance, "Port": port}


def forward(group):
    return {"Type": "forward", "TargetGroupArn": group}


@pytest.fixture
def direct():
    """Requests without the proxies and the CA bundle of the environment, that follow no redirect."""
    with requests.Session() as session:
        session.trust_env = False
        yield lambda url, **more: session.get(url, allow_redirects=False, timeout=10, **more)


@pytest.fixture
def world(tmp_path, block, unmended):
    with mock_aws():
        made = World(tmp_path, block)
        yield made
        made.close()


def names(direct, world, times=8, path="/"):
    answers = [direct(world.at(path)) for _ in range(times)]
    return Counter(answer.text.splitlines()[0].removeprefix("server-name: ") for answer in answers)


def test_two_targets_of_one_instance_share_the_requests(world, direct):
    group = world.forwarding()
    for instance, port in ((world.first, 32768), (world.first, 32769), (world.second, 32768)):
        world.served(group, instance, port, name=f"{instance}:{port}")
    assert set(names(direct, world, 9).values()) == {3}
    world.deregister(group, (world.first, 32769))
    world.wait(lambda: f"{world.first}:32769" not in names(direct, world), "it gets nothing")
    stay = {(world.first, 32768): "healthy", (world.second, 32768): "healthy"}
    world.wait(lambda: elbv2.target_health(REGION, group) == stay, "it has drained")


def test_without_a_target_503_and_with_one_that_is_closed_502(world, direct):
    group = world.forwarding()
    answer = direct(world.at())
    assert (answer.status_code, answer.headers["Server"]) == (503, "awselb/2.0")
    assert "503 Service Unavailable" in answer.text
    world.register(group, (world.first, 32768))
    world.wait(lambda: direct(world.at()).status_code == 502, "the target is tried")
    assert direct(world.at()).headers["Server"] == "awselb/2.0"
    world.start(world.first, 32768)
    world.wait_state(group, world.first, 32768, "healthy")
    answer = direct(world.at("/broken"))
    assert (answer.status_code, answer.headers["Server"]) == (502, "awselb/2.0")


def test_a_target_is_initial_then_healthy_then_says_why_it_is_not(world):
    group = world.forwarding(HealthyThresholdCount=10)
    server = world.start(world.first, 32768)
    world.register(group, (world.first, 32768))
    assert world.health(group, world.first, 32768)["Reason"] == "Elb.RegistrationInProgress"
    world.wait(
        lambda: world.health(group, world.first, 32768).get("Reason") == "Elb.InitialHealthChecking", "it is checked"
    )
    assert world.health(group, world.first, 32768)["State"] == "initial"
    world.wait_state(group, world.first, 32768, "healthy")
    server.health_status = 503
    world.wait_state(group, world.first, 32768, "unhealthy")
    health = world.health(group, world.first, 32768)
    assert health["Reason"] == "Target.ResponseCodeMismatch"
    assert health["Description"] == "Health checks failed with these codes: [503]"
    server.health_status, server.health_seconds = 200, 3
    world.wait(lambda: world.health(group, world.first, 32768).get("Reason") == "Target.Timeout", "it is too slow")
    world.stop(server)
    world.wait(
        lambda: world.health(group, world.first, 32768).get("Reason") == "Target.FailedHealthChecks", "it is closed"
    )


def test_while_the_next_check_runs_the_last_code_counts(tmp_path):
    balancer = SimpleNamespace(dns_name="x", region=REGION, name=NAME, arn="arn")
    judged = application.Application(1, "127.0.0.1", balancer, tmp_path)
    group, member = SimpleNamespace(unhealthy=2), elbv2.Member(registered=0)
    row = {"status": "DOWN", "check_duration": "1"}

    def judge(status, code):
        return judged._judge(row | {"check_status": status, "check_code": code}, ("arn", "one"), group, member)

    assert judge("L7STS", "503") == judge("* L7STS", "0") == judge("L7STS", "503")
    assert "[503]" in judge("* L7STS", "0").description
    assert "[404]" in judge("L7STS", "404").description


@pytest.mark.parametrize(("codes", "state"), [("200,401", "healthy"), ("400-410", "healthy"), ("200-299", "unhealthy")])
def test_the_matcher(world, codes, state):
    group = world.forwarding(Matcher={"HttpCode": codes})
    world.start(world.first, 32768, health_status=401)
    world.register(group, (world.first, 32768))
    world.wait_state(group, world.first, 32768, state)


def test_the_check_may_have_a_port_of_its_own_and_be_changed(world):
    group = world.forwarding(HealthCheckPort="9000")
    world.start(world.first, 32768)
    health = world.start(world.first, 9000, health_status=404)
    world.register(group, (world.first, 32768))
    world.wait_state(group, world.first, 32768, "unhealthy")
    health.health_status = 200
    world.wait_state(group, world.first, 32768, "healthy")
    health.health_status = 404
    world.wait_state(group, world.first, 32768, "unhealthy")
    world.elbv2.modify_target_group(TargetGroupArn=group, HealthCheckPath="/", Matcher={"HttpCode": "200-399"})
    world.wait_state(group, world.first, 32768, "healthy")


def test_when_no_target_is_healthy_all_get_requests(world, direct):
    group = world.forwarding()
    servers = [world.served(group, world.first, port) for port in (32768, 32769)]
    servers[0].health_status = 503
    world.wait_state(group, world.first, 32768, "unhealthy")
    assert set(names(direct, world)) == {"32769"}
    servers[1].health_status = 503
    world.wait_state(group, world.first, 32769, "unhealthy")
    assert set(names(direct, world)) == {"32768", "32769"}


def test_unused_is_what_no_listener_forwards_to_and_what_is_elsewhere(world):
    group = world.group()
    world.register(group, (world.first, 32768))
    health = world.health(group, world.first, 32768)
    assert (health["State"], health["Reason"]) == ("unused", "Target.NotInUse")
    assert not elbv2.attached(REGION, group)
    assert world.health(group, world.first, 1)["Reason"] == "Target.NotRegistered"
    world.listen(world.balancer(), forward(group))
    assert elbv2.attached(REGION, group)
    assert world.elbv2.describe_target_groups()["TargetGroups"][0]["LoadBalancerArns"]
    elsewhere = world.instance(sorted(world.subnets)[2])
    world.register(group, (elsewhere, 32768))
    world.wait_state(group, elsewhere, 32768, "unused")
    assert "not enabled for the load balancer" in world.health(group, elsewhere, 32768)["Description"]
    world.deregister(group, (elsewhere, 32768), (world.second, 1))
    world.wait(lambda: (elsewhere, 32768) not in elbv2.target_health(REGION, group), "it is gone at once")


def test_a_stopped_instance_is_unused_and_a_terminated_one_leaves(world):
    group = world.forwarding()
    world.served(group, world.first, 32768)
    world.served(group, world.second, 32768)
    world.ec2.stop_instances(InstanceIds=[world.first])
    del world.addresses[world.first]
    world.wait_state(group, world.first, 32768, "unused")
    assert world.health(group, world.first, 32768)["Reason"] == "Target.InvalidState"
    world.ec2.terminate_instances(InstanceIds=[world.second])
    del world.addresses[world.second]
    world.wait(lambda: (world.second, 32768) not in elbv2.target_health(REGION, group), "it is deregistered")


def ask_slowly(world):
    """A request that its target holds back, and a function that waits for its answer: None when it was cut."""
    connection = http.client.HTTPConnection(world.place.balancer_address(1), 8080, timeout=20)
    connection.request("GET", "/slow")

    def answer():
        try:
            return connection.getresponse().status
        except (http.client.HTTPException, ConnectionError):
            return None
        finally:
            connection.close()

    return answer


def test_a_target_drains_until_its_last_request_has_its_answer(world, direct):
    group = world.forwarding()
    server = world.served(group, world.first, 32768)
    world.served(group, world.first, 32769)
    answers = [ask_slowly(world) for _ in range(2)]
    for each in world.servers:
        assert each.slow_began.wait(10)
    world.deregister(group, (world.first, 32768))
    health = world.health(group, world.first, 32768)
    assert (health["State"], health["Reason"]) == ("draining", "Target.DeregistrationInProgress")
    world.wait(lambda: set(names(direct, world)) == {"32769"}, "no new request")
    assert elbv2.target_health(REGION, group)[world.first, 32768] == "draining"
    server.go_on.set()
    world.wait(lambda: (world.first, 32768) not in elbv2.target_health(REGION, group), "it has drained")
    world.servers[1].go_on.set()
    assert [answer() for answer in answers] == [200, 200]


def test_the_deregistration_delay_ends_what_still_runs(world):
    group = world.forwarding()
    world.set(group, deregistration_delay__timeout_seconds="1")
    server = world.served(group, world.first, 32768)
    answer = ask_slowly(world)
    assert server.slow_began.wait(10)
    began = time.monotonic()
    world.deregister(group, (world.first, 32768))
    world.wait(lambda: not elbv2.target_health(REGION, group), "the delay is over")
    assert 0.9 < time.monotonic() - began < 5
    world.balancers.step()
    assert answer() in (None, 502)


def test_a_draining_target_that_is_registered_again_serves_again(world, direct):
    group = world.forwarding()
    server = world.served(group, world.first, 32768)
    answer = ask_slowly(world)
    assert server.slow_began.wait(10)
    world.deregister(group, (world.first, 32768))
    world.wait(lambda: direct(world.at()).status_code == 503, "no new request")
    world.register(group, (world.first, 32768))
    world.wait_state(group, world.first, 32768, "healthy")
    assert direct(world.at()).status_code == 200
    server.go_on.set()
    assert answer() == 200


def test_no_request_is_lost_while_targets_come_and_go_and_the_configuration_changes(world):
    balancer, group = world.balancer(), world.group()
    world.listen(balancer, forward(group))
    world.served(group, world.first, 32768)
    seen, done = Counter(), threading.Event()

    def ask():
        with requests.Session() as session:
            session.trust_env = False
            while not done.is_set():
                try:
                    seen[session.get(world.at(), timeout=10).status_code] += 1
                except requests.RequestException as error:
                    seen[repr(error)] += 1

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(1, 5):
        world.served(group, world.second, 32768 + number)
        if number > 1:
            gone = (world.second, 32767 + number)
            world.deregister(group, gone)
            world.wait(lambda gone=gone: gone not in elbv2.target_health(REGION, group), "it has drained")
        if number == 2:
            world.listen(balancer, forward(group), port=81)
        if number == 3:
            sent = [{"Key": "idle_timeout.timeout_seconds", "Value": "30"}]
            world.elbv2.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=sent)
            config = world.place.folder("balancers", "1") / "haproxy.cfg"
            world.wait(lambda config=config: "timeout client 30s" in config.read_text(), "the timeout is taken")
    done.set()
    for thread in threads:
        thread.join()
    assert set(seen) == {200}, seen
    world.wait(lambda: counted(world)["requests"] >= seen[200], "all are counted, those of the predecessors too")
    assert counted(world)["requests"] == seen[200]


def counted(world):
    return world.balancers.counters()[0]


def test_the_counters(world, direct):
    group = world.forwarding()
    world.served(group, world.first, 32768)
    for path in ("/", "/500", "/500", "/broken"):
        direct(world.at(path))
    world.register(group, (world.second, 32768))
    world.wait_state(group, world.second, 32768, "unhealthy")
    world.wait(lambda: counted(world)["requests"] == 4, "they are counted")
    row = counted(world)
    assert re.fullmatch(rf"app/{NAME}/[0-9a-f]+", row.pop("load_balancer"))
    assert re.fullmatch(r"targetgroup/registry-targets/[0-9a-f]+", row.pop("target_group"))
    assert row == {"region": REGION, "requests": 4, "target_5xx": 2, "elb_5xx": 1, "healthy": 1, "unhealthy": 1}
    process = world.balancers._proxies[REGION, elbv2.wanted()[0].arn]._process
    process.kill()
    process.wait()
    world.wait(lambda: world.connects(80), "it is back")
    world.wait(lambda: direct(world.at()).status_code == 200, "it serves")
    world.wait(lambda: counted(world)["requests"] > 4, "the sum goes on")


def certificate(world, name):
    folder = Authority(world.place.home).issue([name], [world.place.balancer_address(1)])
    return world.acm.import_certificate(
        Certificate=(folder / "cert.pem").read_bytes(),
        PrivateKey=(folder / "privkey.pem").read_bytes(),
        CertificateChain=(folder / "chain.pem").read_bytes(),
    )["CertificateArn"]


def https(world, name="registry.example.com", policy="ELBSecurityPolicy-TLS13-1-2-2021-06"):
    arn = certificate(world, name)
    return {"port": 443, "Protocol": "HTTPS", "SslPolicy": policy, "Certificates": [{"CertificateArn": arn}]}


def test_http_is_redirected_to_https_as_aws_does(world, direct):
    balancer, group = world.balancer(), world.group()
    to_https = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    world.listen(balancer, {"Type": "redirect", "RedirectConfig": to_https})
    world.listen(balancer, forward(group), **https(world))
    world.served(group, world.first, 32768)
    for path in ("/v2/", "/v2/a%20b/?n=10&last=x%22", "/"):
        answer = direct(world.at(path), headers={"Host": "registry.example.com"})
        assert (answer.status_code, answer.headers["Server"]) == (301, "awselb/2.0")
        assert answer.headers["Location"] == f"https://registry.example.com:443{path}"
    answer = direct(world.at("/v2/", 443, "https"), verify=str(world.place.home / "ca.pem"))
    seen = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("https", "443")
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", seen["x-amzn-trace-id"])


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ({"Host": "other.example.com"}, "http://other.example.com:80/a/b?c=d"),
        ({"Path": "/new/#{path}", "Query": ""}, "http://registry.example.com:80/new/a/b"),
        ({"Path": "/100%/x", "Query": "#{query}&p=#{port}"}, "http://registry.example.com:80/100%/x?c=d&p=80"),
    ],
)
def test_the_parts_of_a_redirect(world, direct, wanted, location):
    world.listen(world.balancer(), {"Type": "redirect", "RedirectConfig": wanted | {"StatusCode": "HTTP_302"}})
    answer = direct(world.at("/a/b?c=d"), headers={"Host": "registry.example.com"})
    assert (answer.status_code, answer.headers["Location"]) == (302, location)


def test_rules_go_before_the_default_in_the_order_of_their_priorities(world, direct):
    balancer, group = world.balancer(), world.group()
    world.start(world.first, 32768)
    world.register(group, (world.first, 32768))
    listener = world.listen(balancer, fixed("404", 'it\'s "not"\nhere # 100%'))
    rules = [
        (30, [{"Field": "path-pattern", "Values": ["/v2/*"]}], forward(group)),
        (20, [{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PUT"]}}], fixed("405", "no")),
        (10, [host("*.EXAMPLE.com"), {"Field": "path-pattern", "Values": ["/v?/secret"]}], fixed("403", "secret")),
        (40, [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}], fixed("200", "inside")),
    ]
    for priority, conditions, action in rules:
        world.elbv2.create_rule(ListenerArn=listener, Priority=priority, Conditions=conditions, Actions=[action])
    world.wait_state(group, world.first, 32768, "healthy")
    world.wait(lambda: direct(world.at("/v2/")).status_code == 200, "the rules are taken")
    answer = direct(world.at("/V2/"))
    assert (answer.status_code, answer.text) == (404, 'it\'s "not"\nhere # 100%')
    assert answer.headers["Server"] == "awselb/2.0"
    assert direct(world.at("/v2/secret")).status_code == 200
    assert direct(world.at("/v2/secret"), headers={"Host": "a.example.com:80"}).text == "secret"
    assert requests.Session().put(world.at("/v2/x"), timeout=5, proxies={"http": ""}).status_code == 405


def fixed(status, body):
    return {
        "Type": "fixed-response",
        "FixedResponseConfig": {"StatusCode": status, "MessageBody": body, "ContentType": "text/plain"},
    }


def host(*values):
    return {"Field": "host-header", "HostHeaderConfig": {"Values": list(values)}}


def test_the_forwarded_headers_and_the_invalid_ones(world, direct):
    balancer, group = world.balancer(), world.group()
    world.listen(balancer, forward(group))
    world.served(group, world.first, 32768)
    sent = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "gopher", "Under_Score": "x", "Host": "a.example.com"}

    def seen():
        answer = direct(world.at(), headers=sent)
        assert answer.status_code == 200, answer.text + repr(world.balancers._proxies)
        return dict(line.split(": ", 1) for line in answer.text.splitlines())

    assert seen()["x-forwarded-for"].startswith("192.0.2.1, 127.")
    assert (seen()["x-forwarded-proto"], seen()["x-forwarded-port"]) == ("http", "80")
    assert (seen()["under_score"], seen()["host"]) == ("x", "a.example.com")
    world.elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=balancer,
        Attributes=[{"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"}],
    )
    world.wait(lambda: "under_score" not in seen(), "the header is dropped")


def test_the_idle_timeout_is_the_balancers(world, direct):
    balancer, group = world.balancer(idle_timeout__timeout_seconds="1"), world.group()
    world.listen(balancer, forward(group))
    world.served(group, world.first, 32768)
    began = time.monotonic()
    answer = direct(world.at("/slow"))
    assert (answer.status_code, answer.headers["Server"]) == (504, "awselb/2.0")
    assert 0.9 < time.monotonic() - began < 4


@pytest.mark.parametrize(
    ("policy", "oldest", "spoken"),
    [
        ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", ssl.TLSVersion.TLSv1_2, "TLSv1.3"),
        ("ELBSecurityPolicy-2016-08", ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
def test_the_tls_policy(world, policy, oldest, spoken):
    world.listen(world.balancer(), fixed("200", "x"), **https(world, policy=policy))
    assert handshake(world, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3) == spoken
    if oldest == ssl.TLSVersion.TLSv1_3:
        with pytest.raises(ssl.SSLError):
            handshake(world, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)


def handshake(world, lowest, highest):
    anyone = ssl.create_default_context()
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    anyone.minimum_version, anyone.maximum_version = lowest, highest
    with (
        socket.create_connection((world.place.balancer_address(1), 8443)) as plain,
        anyone.wrap_socket(plain) as channel,
    ):
        return channel.version()


def test_an_alias_leads_to_the_balancer_and_numbers_are_shared_with_the_classic_ones(world):
    session = boto3.Session("x", "x", region_name=REGION)
    http_80 = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 5000}
    session.client("elb").create_load_balancer(
        LoadBalancerName="registry", Listeners=[http_80], AvailabilityZones=[f"{REGION}a"]
    )
    world.balancers.step()
    arn = world.balancer()
    world.balancers.step()
    balancer = world.elbv2.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]
    zone = world.route53.create_hosted_zone(Name="example.com", CallerReference="1")["HostedZone"]["Id"]
    alias = {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": f"dualstack.{balancer['DNSName']}",
        "EvaluateTargetHealth": False,
    }
    record = {"Name": "registry.example.com", "Type": "A", "AliasTarget": alias}
    changes = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    world.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
    answer = world.balancers.resolve({"name": "registry.example.com"})
    assert answer == (200, {"address": world.place.balancer_address(2), "port": 8443})


def test_the_access_log_is_delivered(world, direct, monkeypatch):
    monkeypatch.setattr("runbook.local.access_log.DELIVERED_EVERY", 0.1)
    world.s3.create_bucket(Bucket="registry-access", CreateBucketConfiguration={"LocationConstraint": REGION})
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:::registry-access/alb/AWSLogs/123456789012/*",
    }
    world.s3.put_bucket_policy(
        Bucket="registry-access", Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    )
    balancer, group = world.balancer(), world.group()
    where = {"enabled": "true", "bucket": "registry-access", "prefix": "alb"}
    attributes = [{"Key": f"access_logs.s3.{key}", "Value": value} for key, value in where.items()]
    world.elbv2.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=attributes)
    world.listen(balancer, forward(group))
    world.served(group, world.first, 32768)
    headers = {"Host": "registry.example.com", "User-Agent": 'a "quoted" agent'}
    direct(world.at("/v2/?n=1"), headers=headers)
    direct(world.at("/broken"), headers=headers)
    world.wait(lambda: len(delivered(world)) >= 2, "both lines are there")
    first, second = delivered(world)
    name = balancer.partition(":loadbalancer/")[2]
    assert re.match(rf"http [0-9T:.-]+Z {name} 127\.\S+ {world.addresses[world.first]}:32768 \d\.\d+ \d", first)
    assert " 200 200 " in first
    assert '"GET http://registry.example.com:80/v2/?n=1 HTTP/1.1" "a %22quoted%22 agent" - - ' in first
    assert f' {group} "Root=1-' in first
    assert " 502 - " in second
    assert first.count('"') % 2 == 0


def delivered(world):
    """The lines of all delivered files, whose names are as AWS's."""
    lines = []
    for each in world.s3.list_objects_v2(Bucket="registry-access").get("Contents", []):
        assert re.fullmatch(
            r"alb/AWSLogs/123456789012/elasticloadbalancing/eu-central-1/\d{4}/\d\d/\d\d/123456789012_"
            r"elasticloadbalancing_eu-central-1_app\.registry-alb\.[0-9a-f]+_\d{8}T\d{4}Z_127.0.0.1_[0-9a-f]+\.log\.gz",
            each["Key"],
        )
        content = world.s3.get_object(Bucket="registry-access", Key=each["Key"])["Body"].read()
        lines += gzip.decompress(content).decode().split("\n")
    return sorted(filter(None, lines), key=lambda line: line.split()[1])


def test_a_deleted_balancer_leaves_nothing(world):
    group = world.forwarding()
    world.served(group, world.first, 32768)
    arn = elbv2.wanted()[0].arn
    process = world.balancers._proxies[REGION, arn]._process
    world.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    world.balancers.step()
    assert process.poll() is not None
    assert world.health(group, world.first, 32768)["Reason"] == "Target.NotInUse"
    assert not list((world.place.home / "data" / "balancers").iterdir())
    world.deregister(group, (world.first, 32768))
    assert elbv2.target_health(REGION, group) == {}


def test_a_port_in_use_is_said_in_the_status_and_in_the_health(world):
    group = world.group()
    world.register(group, (world.first, 32768))
    with socket.create_server((world.place.balancer_address(1), 8081)):
        world.elbv2.create_listener(
            LoadBalancerArn=world.balancer(), Protocol="HTTP", Port=81, DefaultActions=[forward(group)]
        )
        world.wait(lambda: world.balancers.status()["balancers"][0]["error"], "the error is seen")
        assert "8081" in world.balancers.status()["balancers"][0]["error"]
        world.wait(
            lambda: "8081" in world.health(group, world.first, 32768).get("Description", ""), "the health says why"
        )
    world.wait(lambda: world.connects(81), "it is served once the port is free")


def test_a_target_that_haproxy_does_not_take_at_once_comes_by_another_process(world, monkeypatch):
    group = world.forwarding()
    monkeypatch.setattr(application.words, "options", lambda group: "check inter 5s nonsense")
    world.start(world.first, 32768)
    world.register(group, (world.first, 32768))
    world.balancers.step()
    monkeypatch.undo()
    world.wait_state(group, world.first, 32768, "healthy")


def test_a_balancer_of_a_running_cloud(cloud, direct):
    """Through the cloud's own endpoint: made, found by its name, answering, gone."""
    api, ec2 = cloud.client("elbv2"), cloud.client("ec2")
    subnets = {each["AvailabilityZone"]: each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]}
    made = api.create_load_balancer(Name="of-a-cloud", Subnets=list(subnets.values())[:2])["LoadBalancers"][0]
    to_https = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    api.create_listener(
        LoadBalancerArn=made["LoadBalancerArn"],
        Protocol="HTTP",
        Port=80,
        DefaultActions=[{"Type": "redirect", "RedirectConfig": to_https}],
    )

    def status():
        return next((each for each in cloud.status()["balancers"] if each["name"] == "of-a-cloud"), {})

    cloud.until(lambda: status().get("ports") == [80])
    api.get_waiter("load_balancer_available").wait(LoadBalancerArns=[made["LoadBalancerArn"]])
    query = {"name": made["DNSName"], "port": "80"}
    where = direct(f"{cloud.running.endpoint}/_runbook/resolve", params=query).json()
    answer = cloud.until(
        lambda: direct(f"http://{where['address']}:{where['port']}/v2/", headers={"Host": "r.example"})
    )
    assert (answer.status_code, answer.headers["Location"]) == (301, "https://r.example:443/v2/")
    api.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    cloud.until(lambda: not status())

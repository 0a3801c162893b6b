"""Rotation and renewal while clients work: on the embedded cloud, for the blog's deployment and for production."""

import collections
import os
import threading
import time

import pytest
import requests
from programs import registries

from runbook import (
    acm,
    certificate,
    certificate_renewal,
    due,
    hosted_zone,
    htpasswd,
    http_secret_rotation,
    image,
    key_rotation,
    load,
    local,
    password_rotation,
    plan,
    registry,
    requested_certificate,
    rotation,
    traffic,
)
from runbook import secretsmanager as secrets
from runbook.access_key import stored_id
from runbook.errors import Expired
from runbook.registry_api import Anew, Client, NoAnswer, begin, said, served
from runbook.registry_api import following as location
from runbook.secret import Login, Secret

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600)]

WATCHER = Login("watcher", Secret("watches-all-the-time"))


@pytest.fixture(scope="module", params=["blog", pytest.param("production", marks=pytest.mark.long)])
def p(request, home):
    """A third user asks all the time, whose password nobody rotates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WATCHER", WATCHER.password.reveal())
        patch.setattr(key_rotation, "FOLLOWED", 1)
        fields = load(request.param).model_dump()
        yield load({**fields, "bcrypt_cost": 8, "users": {**fields["users"], "watcher": "env:WATCHER"}})
        local.down()


@pytest.fixture(scope="module")
def aws(p):
    """The deployment, a second ago: what is made from now on is younger."""
    aws = plan.start(p)
    for step in plan.STEPS:
        step.ensure(aws, p)
    time.sleep(1)
    return aws


class Knocks:
    """GET / on new connections, which costs no bcrypt, many times a second: how many there were, how many found
    nobody, and for how long at most."""

    def __init__(self, aws, p):
        self.made = self.failed = 0
        self.gap, self._aws, self._url, self._over = 0.0, aws, f"{p.url}/", threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        since = None
        while not self._over.wait(0.02):
            began = time.monotonic()
            ok = self._knock()
            self.made, self.failed = self.made + 1, self.failed + (not ok)
            if ok:
                self.gap = max(self.gap, time.monotonic() - since) if since else self.gap
            since = None if ok else since or began

    def _knock(self):
        try:
            return Anew(self._aws).request("GET", self._url).status_code == 200
        except requests.RequestException:
            return False


def rotate(ensure, aws, p):
    """Rotate under a stream of requests; nothing is written the second time, nor is anything left to change."""
    since = due.now(aws)
    with traffic.watch(aws, p, WATCHER) as seen, Knocks(aws, p) as knocks:
        assert ensure(aws, p, since=since)
    seen.knocks = knocks
    assert not ensure(aws.read_only(), p, since=since)
    assert not plan.changes(aws, p)
    assert registry.verify_registry(aws, p, logins=htpasswd.logins(aws, p)).require()
    return seen


def told(figure, p, what, seen):
    asked, failed = seen.counts
    knocks = seen.knocks
    figure(f"{what} ({p.capacity}): requests meanwhile", asked + knocks.made)
    figure(f"{what} ({p.capacity}): failed", failed + knocks.failed)
    figure(f"{what} ({p.capacity}): longest time without a registry, seconds", round(knocks.gap, 2))


def in_order(p, seen):
    """No request fails; on the one node of the blog some find nobody while one registry takes over from another."""
    assert seen.knocks.made > 5
    if p.scales:
        seen.report.require()
        assert seen.knocks.failed == 0
    else:
        assert seen.knocks.gap < 30
        reasons = {each.partition(": ")[2] for each in seen.failed}
        assert reasons <= {"502 Bad Gateway", "503 Service Unavailable", "the connection was cut"}


def test_the_key(aws, p, figure):
    if p.credentials != "access-key":
        assert not key_rotation.ensure_key(aws.read_only(), p, since=due.now(aws))
        return
    before = secrets.read_secret(aws, p, p.key_secret)
    seen = rotate(key_rotation.ensure_key, aws, p)
    in_order(p, seen)
    told(figure, p, "rotation of the key", seen)
    old, new = (both(text) for text in (before, secrets.read_secret(aws, p, p.key_secret)))
    with pytest.raises(Expired, match="InvalidAccessKeyId"):
        aws.as_key(*old).s3.list_objects_v2(Bucket=p.bucket)
    assert aws.as_key(*new).s3.list_objects_v2(Bucket=p.bucket)["KeyCount"]
    [environment] = registries().values()
    assert stored_id(aws, p) in environment and old[0] not in environment


def both(text):
    import json

    halves = json.loads(text.reveal())
    return halves["accesskey"], Secret(halves["secretkey"])


class Uploads:
    """Uploads in three pieces, one after the other, on connections of their own: what became of them."""

    def __init__(self, aws, p):
        self.client = Client(Anew(aws), p, WATCHER)
        self.seen, self.again, self._over = collections.Counter(), collections.Counter(), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        while not self._over.is_set():
            blob = os.urandom(3000)
            tries = 0
            while (answer := self._push(blob)) != "201":
                tries += 1
                self.seen[answer] += 1
                assert tries < 5, "docker would give up"
            self.seen[answer] += 1
            self.again[tries] += 1

    def _push(self, blob):
        try:
            answer = begin(self.client)
            for start in range(0, 3000, 1000):
                if answer.status_code != 202:
                    return said(answer)
                headers = {"Content-Type": "application/octet-stream", "Content-Range": f"{start}-{start + 999}"}
                part = blob[start : start + 1000]
                answer = self.client.call("PATCH", location(answer), data=part, headers=headers)
            if answer.status_code != 202:
                return said(answer)
            answer = self.client.call("PUT", location(answer), params={"digest": image.digest(blob)})
        except NoAnswer as error:
            return str(error)
        return "201" if answer.status_code == 201 else said(answer)


@pytest.mark.long
def test_the_http_secret(aws, p, figure):
    """Uploads that go from an old registry to a new one must be begun again; nothing else fails."""
    before = secrets.read_secret(aws, p, p.http_secret)
    with Uploads(aws, p) as uploads:
        seen = rotate(http_secret_rotation.ensure_http_secret, aws, p)
    in_order(p, seen)
    told(figure, p, "rotation of the http secret", seen)
    assert secrets.read_secret(aws, p, p.http_secret) != before
    refused = uploads.seen["404 BLOB_UPLOAD_INVALID"]
    if p.scales:
        assert uploads.seen.keys() <= {"201", "404 BLOB_UPLOAD_INVALID"}
    figure(f"rotation of the http secret ({p.capacity}): uploads meanwhile", uploads.seen["201"])
    figure(f"rotation of the http secret ({p.capacity}): uploads begun again", refused)
    for environment in registries().values():
        assert before.reveal() not in environment


def test_the_passwords(aws, p, figure):
    users = [user for user, source in p.users.items() if source == "generate"]
    before = {user: htpasswd.password(aws, p, user) for user in users}
    seen = rotate(password_rotation.ensure_passwords, aws, p)
    seen.report.require()  # nothing is restarted on the blog's node either
    assert seen.knocks.made > 5 and seen.knocks.failed == 0
    told(figure, p, "rotation of passwords", seen)
    client = Client(Anew(aws), p)
    for user in users:
        for password, answer in ((before[user], 401), (htpasswd.password(aws, p, user), 200)):
            for _ in range(2 * p.replicas):
                one = Client(Anew(aws), p, Login(user, password))
                assert one.send("GET", "/v2/").status_code == answer
    assert client.send("GET", "/v2/").status_code == 401
    assert password_rotation.verify_passwords(aws, p).require()


def test_the_certificate(aws, p, figure):
    before, arn = served(aws, p), acm.certificate_arn(aws, p)
    certificate_renewal.verify_renewal(aws.read_only(), p).require()
    assert not certificate_renewal.ensure_renewal(aws.read_only(), p)
    if p.certificate == "request":
        return
    assert "new files in live/registry.elastic.io" in plan.renew_files(p)
    with traffic.watch(aws, p, WATCHER) as seen, Knocks(aws, p) as seen.knocks:
        assert certificate_renewal.ensure_renewal(aws, p)
    seen.report.require()
    assert seen.knocks.failed == 0
    told(figure, p, "renewal of the certificate", seen)
    assert served(aws, p) != before and acm.certificate_arn(aws, p) == arn
    certificate_renewal.verify_renewal(aws.read_only(), p).require()
    assert registry.verify_registry(aws, p, logins=[WATCHER]).require()


def test_acm_renews_only_while_its_record_is_there(aws, p):
    if p.certificate != "request":
        return
    proof = requested_certificate._proof(acm.find(aws, p))
    zone, record = requested_certificate._in_route53(aws, p, proof)
    hosted_zone.submit(aws, zone, changes=[("DELETE", record)])
    assert "Renewal: wanted by ACM itself, found no record for it in the zone" in (
        certificate_renewal.verify_renewal(aws, p).failures()
    )
    assert certificate_renewal.ensure_renewal(aws, p)
    certificate_renewal.verify_renewal(aws, p).require()
    assert certificate.verify_certificate(aws, p).require()


def test_the_ages(aws, p):
    report = rotation.verify_ages(aws.read_only(), p).require()
    found = {check.name: check.found for check in report.checks}
    assert found["http secret"] == found["password of builder"] == "0 days old"
    assert found["password of watcher"] == "from env:WATCHER: its age is not known here"
    assert found["S3 key"] == ("none: a role" if p.scales else "0 days old")
    assert found["certificate"] == ("394 days left" if p.scales else "89 days left")

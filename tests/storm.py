"""Many clients push to a registry and pull from it while registries are killed; then: what became of what it took.

A client tries five times, as Docker does for a layer (moby, daemon/internal/distribution/xfer/upload.go,
maxUploadAttempts), but waits less before it tries again.
"""

import itertools
import json
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from programs import registries

from runbook import image
from runbook.registry_api import Client, NoAnswer, push, said, short

CLIENTS = 16
ATTEMPTS = 5
PAUSE = 0.5  # seconds, times the number of the attempt
CHUNK = 1024 * 1024
TAGS = ("latest", "stable")  # which every client moves
STUCK = 240  # seconds without a push that is acknowledged
_ACCEPTS = {"redirects": True, "headers": {"Accept": image.MANIFEST_TYPE}}


class GaveUp(Exception):
    """Every attempt failed; the text is what the last one met."""


class Retry(Exception):
    """This attempt failed; the text says how."""


@dataclass(frozen=True)
class Pushed:
    """A push of a manifest to a tag: when it began and ended, and whether it was acknowledged (201)."""

    tag: str
    digest: str
    layers: tuple[str, ...]
    began: float
    ended: float
    acknowledged: bool


class Storm:
    """`run()` it, then `judge()` it; what came of it is in `lost` and `corrupt`, and `tell()` tells the counts."""

    def __init__(self, aws, p, login, *, largest: int, every: float, alive: int):
        """Layers have up to `largest` bytes. A registry is killed `every` seconds, if `alive` of them run then and a
        push was acknowledged since the last.
        """
        self._aws, self._p, self._login = aws, p, login
        self._largest, self._every, self._alive = largest, every, alive
        self._over, self._lock, self._done = threading.Event(), threading.Lock(), time.monotonic()
        self.killed, self.pulled, self.again = 0, 0, 0
        self.pushes: list[Pushed] = []
        self.gave_up: list[str] = []
        self.lost: list[str] = []
        self.corrupt: list[str] = []

    @property
    def acknowledged(self) -> list[Pushed]:
        return [each for each in self.pushes if each.acknowledged]

    def run(self, seconds: float, *, kills: int, pushes: int):
        """At least so long, and until so many registries were killed and so many pushes acknowledged."""
        begun = time.monotonic()
        with ThreadPoolExecutor(CLIENTS + 1) as pool:
            work = [pool.submit(self._client, number) for number in range(CLIENTS)] + [pool.submit(self._killer)]
            try:
                while not self._over.wait(0.1):
                    now = time.monotonic()
                    assert now - self._done < STUCK, f"nothing was done in {STUCK} s; {self.gave_up[-3:]}"
                    enough = self.killed >= kills and len(self.acknowledged) >= pushes
                    if (enough and now - begun >= seconds) or any(each.done() for each in work):
                        break
            finally:
                self._over.set()
        for each in work:
            each.result()

    def judge(self):
        """Ask for every manifest and layer that was acknowledged, and for where the shared tags lead."""
        taken = {each.digest for each in self.acknowledged}
        paths = [f"manifests/{digest}" for digest in taken]
        paths += [f"manifests/{each.tag}" for each in self.acknowledged if each.tag not in TAGS]
        paths += [f"blobs/{layer}" for layer in {layer for each in self.acknowledged for layer in each.layers}]
        with self._aws.http() as http, ThreadPoolExecutor(CLIENTS) as pool:
            client = Client(http, self._p, self._login)
            expected = {f"manifests/{each.tag}": each.digest for each in self.acknowledged}
            wants = [expected.get(path, path.partition("/")[2]) for path in paths]
            list(pool.map(lambda path, want: self._pull(client, path, {want}), paths, wants))
            for tag in TAGS:
                if possible := self._where(tag):
                    self._pull(client, f"manifests/{tag}", possible)

    def tell(self, figure, name: str):
        figure(f"{name}: pushes acknowledged", len(self.acknowledged))
        figure(f"{name}: pulls", self.pulled)
        figure(f"{name}: registries killed", self.killed)
        figure(f"{name}: attempts that failed", self.again)
        figure(f"{name}: pushes and pulls that gave up", len(self.gave_up))
        figure(f"{name}: lost", len(self.lost))
        figure(f"{name}: corrupt", len(self.corrupt))

    def _where(self, tag: str) -> set[str]:
        """What a tag may lead to: not what another push, begun after its own had ended, has replaced."""
        moved = [each for each in self.pushes if each.tag == tag]
        last = max((each.began for each in moved if each.acknowledged), default=None)
        return set() if last is None else {one.digest for one in moved if not one.acknowledged or one.ended >= last}

    def _client(self, number: int):
        chance = random.Random(number)
        with self._aws.http() as http:
            client = Client(http, self._p, self._login)
            for count in itertools.count():
                made = self._image(chance, f"{number} {count}")
                self._push(client, made, chance.choice([f"client-{number}-{count}", *TAGS]))
                if earlier := self.acknowledged:
                    one = chance.choice(earlier)
                    self._pull(client, f"manifests/{one.digest}", {one.digest})
                    layer = chance.choice(one.layers)
                    self._pull(client, f"blobs/{layer}", {layer})
                if self._over.is_set():
                    return

    def _image(self, chance: random.Random, seed: str) -> image.Image:
        """Two layers of its own, of any size, and one that others push in the same moment."""
        size = int(self._largest ** chance.uniform(0.5, 1))
        own = image.make(layers=2, size=size, seed=seed)
        common = image.make(layers=1, size=64 * 1024, seed=f"common {chance.randrange(4)} {seed.split()[1]}")
        manifest = json.loads(own.manifest)
        manifest["layers"] += json.loads(common.manifest)["layers"]
        return image.Image(own.layers + common.layers, own.config, json.dumps(manifest).encode())

    def _push(self, client: Client, made: image.Image, tag: str):
        layers, began, acknowledged = tuple(map(image.digest, made.layers)), time.monotonic(), False
        try:
            for blob in made.blobs.values():
                self._tried(lambda blob=blob: self._upload(client, blob))
            began = time.monotonic()
            self._tried(lambda: self._tag(client, made, tag))
            acknowledged = True
        except GaveUp as error:
            self.gave_up.append(f"push: {error}")
        with self._lock:
            self.pushes.append(Pushed(tag, made.digest, layers, began, time.monotonic(), acknowledged))
            self._done = time.monotonic() if acknowledged else self._done

    def _upload(self, client: Client, blob: bytes):
        digest = image.digest(blob)
        if client.call("HEAD", f"/v2/{image.REPOSITORY}/blobs/{digest}").status_code == 200:
            return
        answer = push(client, blob, CHUNK, [])
        if answer != f"201 {short(digest)}":
            raise Retry(f"blob: {answer}")

    def _tag(self, client: Client, made: image.Image, tag: str):
        path = f"/v2/{image.REPOSITORY}/manifests/{tag}"
        answer = client.call("PUT", path, data=made.manifest, headers={"Content-Type": image.MANIFEST_TYPE})
        if answer.status_code != 201:
            raise Retry(f"manifest: {said(answer)}")

    def _pull(self, client: Client, path: str, possible: set[str]):
        """What was acknowledged comes, and it is what was pushed. An answer that it is not there is final."""
        try:
            answer = self._tried(lambda: client.call("GET", f"/v2/{image.REPOSITORY}/{path}", **_ACCEPTS))
        except GaveUp as error:
            self.gave_up.append(f"pull: {error}")
            return
        with self._lock:
            self.pulled += 1
            if answer.status_code != 200:
                self.lost.append(f"{path}: {said(answer)}")
            elif (found := image.digest(answer.content)) not in possible:
                self.corrupt.append(f"{path}: {len(answer.content)} bytes, {found}")

    def _tried(self, attempt):
        for number in range(1, ATTEMPTS + 1):
            try:
                return attempt()
            except (NoAnswer, Retry) as error:
                cause = str(error)
            with self._lock:
                self.again += 1
            time.sleep(PAUSE * number)
        raise GaveUp(cause)

    def _killer(self):
        """A single registry that is killed again before its balancer has found it healthy would never serve."""
        last = 0.0
        while not self._over.wait(self._every):
            running = list(registries())
            if len(running) >= self._alive and self._done > last:
                last = time.monotonic()
                os.kill(random.choice(running), signal.SIGKILL)
                self.killed += 1

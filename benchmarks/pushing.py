"""A client that pushes and pulls one large layer, as docker does: POST, PATCH with the bytes, PUT; then GET."""

import hashlib
import os
from collections.abc import Iterator

import requests

from runbook import htpasswd
from runbook.params import Params
from runbook.session import AWS

REPOSITORY = "/v2/bench/layer"
PIECE = 1 << 20
MB = 1_000_000


class Layer:
    """Bytes that no other layer has. Only one piece of them is in memory."""

    def __init__(self, size: int):
        self.size, self._piece = size, os.urandom(PIECE)
        digest = hashlib.sha256()
        for piece in self:
            digest.update(piece)
        self.digest = f"sha256:{digest.hexdigest()}"

    def __iter__(self) -> Iterator[bytes]:
        left, count = self.size, 0
        while left > 0:
            piece = (count.to_bytes(8, "big") + self._piece[8:])[:left]
            left, count = left - len(piece), count + 1
            yield piece

    def __len__(self) -> int:
        return self.size


class Client:
    """The registry at `url` with the first user's password."""

    def __init__(self, http: requests.Session, aws: AWS, p: Params, url: str):
        login = htpasswd.logins(aws, p)[0]
        self._http, self._url, self._auth = http, url, (login.user, login.password.reveal())

    def push(self, layer: Layer) -> None:
        begun = self._http.post(f"{self._url}{REPOSITORY}/blobs/uploads/", auth=self._auth)
        begun.raise_for_status()
        headers = {"Content-Type": "application/octet-stream"}
        sent = self._http.patch(self._at(begun), data=iter(layer), headers=headers, auth=self._auth, timeout=(5, 600))
        sent.raise_for_status()
        done = self._http.put(self._at(sent), params={"digest": layer.digest}, auth=self._auth, timeout=(5, 600))
        done.raise_for_status()

    def pull(self, layer: Layer) -> None:
        found = hashlib.sha256()
        blob = f"{self._url}{REPOSITORY}/blobs/{layer.digest}"
        with self._http.get(blob, auth=self._auth, stream=True, timeout=(5, 600)) as answer:
            answer.raise_for_status()
            for piece in answer.iter_content(PIECE):
                found.update(piece)
        assert f"sha256:{found.hexdigest()}" == layer.digest

    def _at(self, answer: requests.Response) -> str:
        location = answer.headers["Location"]
        return location if location.startswith("http") else self._url + location


def empty(aws: AWS, p: Params) -> None:
    """Take from the bucket all that was pushed."""
    while found := aws.s3.list_objects_v2(Bucket=p.bucket).get("Contents"):
        aws.s3.delete_objects(Bucket=p.bucket, Delete={"Objects": [{"Key": each["Key"]} for each in found]})

"""The acceptance suite, uploads: in every way that a client sends a layer, and in the ways in which that goes wrong.

Every blob has the same content each time, so that a second run adds nothing. Registry 2.8 keeps a file of a few bytes
of a cancelled upload (`hashstates`), and up to 16 KiB of one that was cut, for a week: then it purges them itself.
"""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import requests

from . import image, registry_wire
from .acceptance_checks import Checks
from .address import Address, default_port
from .registry_api import Anew, Client, NoAnswer, begin, following, push, said, short, stored
from .secret import Login

CHUNK_KIB = 100  # one piece of the layer that is pushed in pieces
LARGE_MIB = 65  # more than 64 MiB, where proxies and storages begin to do things another way
MOUNTED = f"{image.REPOSITORY}/mounted"
_OCTETS = {"Content-Type": "application/octet-stream"}
_SEVERAL = 2  # as many registries are thought of, where nobody says how many there are
_SHORT = 2.0  # seconds of a slow upload that everybody waits for
_IDLE_TIMEOUT = 60  # seconds: a balancer's, where nobody has set it
_BEYOND = 1.2
_MIB = 1024 * 1024


def origin(a: Address, client: Client, begun: list[requests.Response]) -> str:
    """Begin an upload, which is kept in `begun`, and tell where its Location leads. Refused: NoAnswer."""
    answer = begin(client)
    if answer.status_code != 202:
        raise NoAnswer(said(answer))
    begun.append(answer)
    location = urlsplit(answer.headers.get("Location", ""))
    if not location.netloc:
        return a.url  # `http.relativeurls: true`
    host = location.netloc.removesuffix(f":{default_port(location.scheme)}")
    return f"{location.scheme}://{host}"


def pushed(checks: Checks, a: Address, login: Login | None, client: Client, begun: list[requests.Response]) -> None:
    """The test image's blobs: whole, in pieces, over several registries, in a single request."""
    made = image.make()
    spread = a.replicas != 1
    for name, blob in made.blobs.items():
        wanted = f"201 {short(image.digest(blob))}"
        if name == "layer 3" and spread:
            words = f"push {name}, begun on one registry, finished on another"
            checks.look(words, partial(_push_spread, a, login, blob), wanted, row=1)
        elif name == "config":
            look = partial(_push_single, client, blob)
            checks.look(f"push {name} in a single POST", look, wanted, f"{wanted}, by a PUT after it", row=8)
        else:
            pieces = name == "layer 2"
            words = f"push {name}" + (f" in pieces of {CHUNK_KIB} KiB" if pieces else "")
            size = CHUNK_KIB * 1024 if pieces else len(blob)
            checks.look(words, partial(push, client, blob, size, begun), wanted, row=8)


def moved(checks: Checks, a: Address, login: Login | None, client: Client) -> None:
    """What is neither a push nor a pull: resumed, cancelled."""
    blob = _layer("resumed", 2 * CHUNK_KIB)
    wanted = f"201 {short(image.digest(blob))}"
    checks.look(
        "upload resumed on a new connection", partial(_resume, a, login, blob), f"{CHUNK_KIB} KiB there, then {wanted}"
    )
    blob = _layer("cut", 16)
    wanted = f"201 {short(image.digest(blob))}"
    checks.look("upload cut in the middle of a piece, then completed", partial(_cut, a, login, client, blob), wanted)
    checks.look("upload cancelled", partial(_cancel, client), "204, then 404")


def mounted(checks: Checks, client: Client) -> None:
    """A blob of one repository in another one, without sending it again."""
    blob = image.make().layers[0]
    wanted = f"201 {short(image.digest(blob))}"
    anew = f"{wanted}, sent again: the registry does not mount"
    checks.look(f"mount layer 1 in {MOUNTED}", partial(_mount, client, blob), wanted, anew)


def large(checks: Checks, a: Address, login: Login | None, client: Client) -> None:
    wanted = f"202, {LARGE_MIB} MiB there; cancelled"
    checks.look(f"upload of {LARGE_MIB} MiB", partial(_large, a, login, client), wanted, row=25)


def slow_seconds(a: Address, slow: float | None) -> float:
    """How long the slow upload takes: as asked for (0: longer than the idle timeout), else a moment."""
    return _SHORT if slow is None else slow or _BEYOND * (a.idle_timeout or _IDLE_TIMEOUT)


def slowly(
    checks: Checks, a: Address, login: Login | None, client: Client, *, seconds: float, over: threading.Event
) -> None:
    """Two pauses, each shorter than the idle timeout that the balancer shall have, together longer than it."""
    blob = _layer("slow", 3)
    name = f"upload that takes {seconds:g} s"
    if a.idle_timeout and seconds <= a.idle_timeout:
        name += f" (longer than the idle timeout, {a.idle_timeout} s: --slow)"
    look = partial(_slowly, a, login, client, blob, seconds / 2, over)
    checks.look(name, look, f"201 {short(image.digest(blob))}", row=4)


def _push_spread(a: Address, login: Login | None, blob: bytes) -> str:
    """In so many pieces, each on a connection of its own, that the balancer leads them to several registries.

    A registry signs an upload's state with its http.secret, and refuses what another secret has signed:
    https://github.com/distribution/distribution/issues/1402
    """
    pieces = 2 * (a.replicas or _SEVERAL) + 2
    return push(Client(Anew(a.reach), a, login), blob, -(-len(blob) // pieces), [])


def _push_single(client: Client, blob: bytes) -> str:
    """A registry that does not know the single POST begins an upload instead, which goes on with a PUT."""
    sent = {"params": {"digest": image.digest(blob)}, "data": blob, "headers": _OCTETS}
    answer = client.call("POST", f"/v2/{image.REPOSITORY}/blobs/uploads/", **sent)
    if answer.status_code != 202:
        return stored(answer)
    found = stored(client.call("PUT", following(answer), **sent))
    return f"{found}, by a PUT after it" if found.startswith("201 ") else found


def _resume(a: Address, login: Login | None, blob: bytes) -> str:
    """One piece; then, on a new connection, the rest from where the registry says that it is."""
    client, half = Client(Anew(a.reach), a, login), len(blob) // 2
    answer = _piece(client, begin(client), blob[:half], 0)
    if answer.status_code != 202:
        return said(answer)
    status = client.call("GET", following(answer))
    if status.status_code != 204:
        return f"the upload's status: {said(status)}"
    there = _there(status)
    put = {"params": {"digest": image.digest(blob)}, "data": blob[there:], "headers": _OCTETS}
    return f"{there // 1024} KiB there, then {stored(client.call('PUT', following(_located(status, answer)), **put))}"


def _cut(a: Address, login: Login | None, client: Client, blob: bytes) -> str:
    """The second piece ends in the middle. Registries that keep a part of it can often not go on from there (2.8: the
    upload's state names another offset, 404 BLOB_UPLOAD_INVALID); then the client begins anew, as docker does."""
    half = len(blob) // 2
    answer = _piece(client, begin(client), blob[:half], 0)
    if answer.status_code != 202:
        return said(answer)
    sent = blob[half : half + half // 2]
    registry_wire.cut(a, login, following(answer), sent, size=len(blob) - half, start=half)
    found = _go_on(client, answer, blob)
    return found if found.startswith("201 ") else push(client, blob, len(blob), [])


def _go_on(client: Client, before: requests.Response, blob: bytes) -> str:
    """The rest of an upload from where the registry says that it is; whatever comes of that."""
    try:
        status = client.call("GET", following(before))
        if status.status_code != 204:
            return said(status)
        put = {"params": {"digest": image.digest(blob)}, "data": blob[_there(status) :], "headers": _OCTETS}
        return stored(client.call("PUT", following(_located(status, before)), **put))
    except NoAnswer as error:
        return str(error)


def _cancel(client: Client) -> str:
    answer = begin(client)
    if answer.status_code != 202:
        return said(answer)
    ended, after = client.call("DELETE", following(answer)), client.call("GET", following(answer))
    return f"{ended.status_code}, then {after.status_code}"


def _mount(client: Client, blob: bytes) -> str:
    asked = {"mount": image.digest(blob), "from": image.REPOSITORY}
    answer = client.call("POST", f"/v2/{MOUNTED}/blobs/uploads/", params=asked)
    if answer.status_code != 202:
        return stored(answer)
    found = push(client, blob, len(blob), [answer])
    return f"{found}, sent again: the registry does not mount" if found.startswith("201 ") else found


def _large(a: Address, login: Login | None, client: Client) -> str:
    """Sent as a stream, and cancelled: what is stored cannot be taken out again where deletes are off."""
    answer, size = begin(client), LARGE_MIB * _MIB
    if answer.status_code != 202:
        return said(answer)
    sent = registry_wire.patch(a, login, following(answer), _stream(LARGE_MIB), size=size)
    if sent.status_code != 202:
        return said(sent)
    found = f"202, {_there(sent) // _MIB} MiB there"
    ended = client.call("DELETE", following(sent))
    return f"{found}; cancelled" if ended.status_code == 204 else f"{found}; cancelling: {said(ended)}"


def _slowly(a: Address, login: Login | None, client: Client, blob: bytes, pause: float, over: threading.Event) -> str:
    third = len(blob) // 3

    def pieces() -> Iterator[bytes]:
        yield blob[:third]
        over.wait(pause)
        yield blob[third : 2 * third]
        over.wait(pause)
        yield blob[2 * third :]

    answer = begin(client)
    if answer.status_code != 202:
        return said(answer)
    sent = registry_wire.patch(a, login, following(answer), pieces(), size=len(blob))
    if sent.status_code != 202:
        return said(sent)
    with a.reach.http() as http:  # the connection from before the pauses may be gone
        put = {"params": {"digest": image.digest(blob)}, "headers": _OCTETS}
        return stored(Client(http, a, login).call("PUT", following(sent), **put))


def _piece(client: Client, answer: requests.Response, piece: bytes, start: int) -> requests.Response:
    if answer.status_code != 202:
        return answer
    part = {"Content-Range": f"{start}-{start + len(piece) - 1}"}
    return client.call("PATCH", following(answer), data=piece, headers=_OCTETS | part)


def _there(answer: requests.Response) -> int:
    """How many bytes the registry has. It says 0-0 of one byte, and of none."""
    last = answer.headers.get("Range", "").removeprefix("bytes=").rpartition("-")[2]
    return int(last) + 1 if last.isdigit() and last != "0" else 0


def _located(status: requests.Response, before: requests.Response) -> requests.Response:
    """The answer that has the Location: of an upload's status it is optional."""
    return status if "Location" in status.headers else before


def _layer(seed: str, kib: int) -> bytes:
    return hashlib.shake_256(f"runbook {seed}".encode()).digest(kib * 1024)


def _stream(mib: int) -> Iterator[bytes]:
    """So many MiB that do not compress, one at a time."""
    block = _layer("large", 1024)
    for number in range(mib):
        yield number.to_bytes(8, "big") + block[8:]

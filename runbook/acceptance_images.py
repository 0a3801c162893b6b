"""The acceptance suite, images: manifests of every kind, tags, pulls, and what becomes of them in the end."""

from functools import partial
from urllib.parse import urlsplit

from . import image
from .acceptance_checks import Checks
from .acceptance_uploads import MOUNTED
from .address import Address
from .registry_api import Anew, Client, NoAnswer, pull, push, said, short, stored
from .secret import Login

TAG = "verify"
_DOCKER, _PLATFORMS = f"{TAG}-docker", f"{TAG}-platforms"
_MANIFESTS = f"/v2/{image.REPOSITORY}/manifests"
_ROUNDS = 2  # through all the registries
_BYTES = slice(1000, 2000)
_UI = {"Origin": "https://ui.example.com", "Access-Control-Request-Method": "GET"}


def manifests(checks: Checks, client: Client) -> None:
    """Put and fetched: as OCI and as Docker, one of several platforms, one that belongs to another."""
    made = image.make()
    wanted, by = short(made.digest), partial(_pull, client)
    checks.look("push manifest", partial(_put, client, TAG, made.manifest, image.MANIFEST_TYPE), f"201 {wanted}")
    checks.look("pull manifest by tag", partial(by, TAG, image.MANIFEST_TYPE), f"200 {wanted}")
    checks.look("pull manifest by digest", partial(by, made.digest, image.MANIFEST_TYPE), f"200 {wanted}")
    docker = image.docker_manifest(made)
    wanted = _wanted(docker)
    checks.look("manifest in Docker's types", partial(_round, client, _DOCKER, docker, image.DOCKER_TYPE), wanted)
    _platforms(checks, client, made)
    _artifact(checks, client, made)


def pulls(checks: Checks, client: Client) -> None:
    """Each blob, its digest compared; one of them without its bytes, and in part."""
    made = image.make()
    for name, blob in made.blobs.items():
        checks.look(f"pull {name}", partial(pull, client, _blob(blob)), f"200 {short(image.digest(blob))}")
    layer = made.layers[0]
    checks.tell("where layers are pulled from", _where(client, layer))
    checks.look("HEAD of layer 1", partial(_head, client, layer), f"200, {len(layer)} bytes", row=19)
    part = f"{_BYTES.start} to {_BYTES.stop - 1}"
    looks = f"206, bytes {part}", "200, all of it: the registry does not heed Range"
    checks.look("Range of layer 1", partial(_range, client, layer), *looks, row=19)


def lists(checks: Checks, a: Address, login: Login | None, client: Client) -> None:
    """Tags by pages, the same answer of every registry, and what a browser is told."""
    made = image.make()
    tags = sorted([TAG, _DOCKER, _PLATFORMS, _referrers_tag(made)])
    checks.look("tags, in pages of 2", partial(_tags, client, tags), f"{len(tags)} of {len(tags)}")
    times = _ROUNDS * (a.replicas or _ROUNDS)
    if times > _ROUNDS:
        anew = Client(Anew(a.reach), a, login)
        name = f"HEAD of the manifest, {times} times on new connections"
        checks.look(name, partial(_each, anew, f"{_MANIFESTS}/{made.digest}", times), "200 each time", row=2)
    checks.tell("OPTIONS, as a browser asks", _preflight(a))


def end(checks: Checks, a: Address, client: Client) -> None:
    """Delete as the policy is: everything of the test repository, or what the registry says to the first of it."""
    made = image.make()
    on, off = "202, then 404 MANIFEST_UNKNOWN", "405 UNSUPPORTED"
    wanted = {True: (on,), False: (off,), None: (off, on)}[a.deletes]
    docker = image.digest(image.docker_manifest(made))
    checks.look("delete a manifest", partial(_delete, client, docker), *wanted)
    kept, gone = "kept (the delete API is off)", "deleted"
    if checks.report.checks[-1].found == off:
        checks.look(f"{image.REPOSITORY} afterwards", lambda: kept, kept, gone)
    else:
        checks.look(f"{image.REPOSITORY} afterwards", partial(_delete_all, client, made), kept, gone)


def _put(client: Client, reference: str, manifest: bytes, media_type: str) -> str:
    headers = {"Content-Type": media_type}
    return stored(client.call("PUT", f"{_MANIFESTS}/{reference}", data=manifest, headers=headers))


def _pull(client: Client, reference: str, media_type: str) -> str:
    """The digest of what came; its type where that is another."""
    answer = client.call("GET", f"{_MANIFESTS}/{reference}", headers={"Accept": media_type})
    if answer.status_code != 200:
        return said(answer)
    found = f"200 {short(image.digest(answer.content))}"
    came = answer.headers.get("Content-Type", "no type").partition(";")[0]
    return found if came == media_type else f"{found} as {came}"


def _round(client: Client, reference: str, manifest: bytes, media_type: str) -> str:
    pushed = _put(client, reference, manifest, media_type)
    if not pushed.startswith("201 "):
        return pushed
    return f"{pushed}, {_pull(client, reference, media_type)}"


def _wanted(manifest: bytes) -> str:
    digest = short(image.digest(manifest))
    return f"201 {digest}, 200 {digest}"


def _platforms(checks: Checks, client: Client, made: image.Image) -> None:
    other = image.for_architecture(made, "arm64")
    both = image.index({"amd64": made, "arm64": other})

    def look() -> str:
        for done in (
            lambda: push(client, other.config, len(other.config), []),
            lambda: _put(client, other.digest, other.manifest, image.MANIFEST_TYPE),
        ):
            found = done()
            if not found.startswith("201 "):
                return f"of arm64: {found}"
        return _round(client, _PLATFORMS, both, image.INDEX_TYPE)

    checks.look("index of two platforms", look, _wanted(both))


def _artifact(checks: Checks, client: Client, made: image.Image) -> None:
    manifest = image.artifact(made)
    digest, listed = image.digest(manifest), image.referrers(made)

    def look() -> str:
        found = push(client, image.EMPTY, len(image.EMPTY), [])
        return _round(client, digest, manifest, image.MANIFEST_TYPE) if found.startswith("201 ") else found

    checks.look("artifact with a subject", look, _wanted(manifest))
    api, tag = "listed by the registry", "the registry has no referrers API; listed under a tag"

    def referrers() -> str:
        answer = client.call("GET", f"/v2/{image.REPOSITORY}/referrers/{made.digest}")
        if answer.status_code == 200:
            return api if digest in answer.text else "the registry's own list lacks it"
        if answer.status_code != 404:
            return said(answer)
        found = _round(client, _referrers_tag(made), listed, image.INDEX_TYPE)
        return tag if found == _wanted(listed) else found

    checks.look("artifacts of the image", referrers, tag, api)


def _referrers_tag(made: image.Image) -> str:
    return made.digest.replace(":", "-")


def _blob(content: bytes, repository: str = image.REPOSITORY) -> str:
    return f"/v2/{repository}/blobs/{image.digest(content)}"


def _where(client: Client, layer: bytes) -> str:
    """Of whom a client gets the bytes. That the address is reached is told by the pull itself."""
    try:
        answer = client.call("GET", _blob(layer), stream=True)
    except NoAnswer as error:
        return str(error)
    with answer:
        to = urlsplit(answer.headers.get("Location", "")).scheme
    return f"the storage, by a redirect ({to})" if answer.is_redirect else "the registry itself"


def _head(client: Client, layer: bytes) -> str:
    answer = client.call("HEAD", _blob(layer), redirects=True)
    return f"{answer.status_code}, {answer.headers.get('Content-Length', 'no number of')} bytes"


def _range(client: Client, layer: bytes) -> str:
    asked = {"Range": f"bytes={_BYTES.start}-{_BYTES.stop - 1}"}
    answer = client.call("GET", _blob(layer), redirects=True, headers=asked)
    if answer.status_code == 200:
        same = answer.content == layer
        return "200, all of it: the registry does not heed Range" if same else "200, other bytes"
    if answer.status_code != 206:
        return said(answer)
    same = answer.content == layer[_BYTES]
    return f"206, bytes {_BYTES.start} to {_BYTES.stop - 1}" if same else "206, other bytes"


def _tags(client: Client, wanted: list[str]) -> str:
    """How many of the wanted tags are listed, all pages together (registry 2 has them all on one page)."""
    path, found = f"/v2/{image.REPOSITORY}/tags/list?n=2", []
    for _ in range(1000):
        answer = client.call("GET", path)
        if answer.status_code != 200:
            return said(answer)
        try:
            found += answer.json()["tags"] or []
        except (ValueError, LookupError, TypeError):
            return "no list of tags"
        if "next" not in answer.links:
            break
        to = urlsplit(answer.links["next"]["url"])
        path = f"{to.path}?{to.query}"
    return f"{len(set(wanted) & set(found))} of {len(wanted)}"


def _each(client: Client, path: str, times: int) -> str:
    headers = {"Accept": image.MANIFEST_TYPE}
    seen = sorted({str(client.call("HEAD", path, headers=headers).status_code) for _ in range(times)})
    return f"{seen[0]} each time" if len(seen) == 1 else f"{' and '.join(seen)} in turn"


def _preflight(a: Address) -> str:
    try:
        with a.reach.http() as http:
            answer = Client(http, a).call("OPTIONS", f"/v2/{image.REPOSITORY}/tags/list", headers=_UI)
    except NoAnswer as error:
        return str(error)
    allowed = answer.ok and "Access-Control-Allow-Origin" in answer.headers
    return f"{answer.status_code}, {'allowed' if allowed else 'no CORS headers: a browser may not (failure 32)'}"


def _delete(client: Client, digest: str) -> str:
    answer = client.call("DELETE", f"{_MANIFESTS}/{digest}")
    if answer.status_code != 202:
        return said(answer)
    headers = {"Accept": image.DOCKER_TYPE}
    return f"202, then {said(client.call('GET', f'{_MANIFESTS}/{digest}', headers=headers))}"


def _delete_all(client: Client, made: image.Image) -> str:
    """Indexes before what they name. The bytes themselves go with the registry's next garbage collection."""
    other = image.for_architecture(made, "arm64")
    named = [image.referrers(made), image.artifact(made), image.index({"amd64": made, "arm64": other})]
    paths = [f"{_MANIFESTS}/{image.digest(each)}" for each in (*named, other.manifest, made.manifest)]
    paths += [_blob(blob) for blob in (*made.blobs.values(), other.config, image.EMPTY)]
    paths.append(_blob(made.layers[0], MOUNTED))
    for path in paths:
        answer = client.call("DELETE", path)
        if answer.status_code not in (202, 404):
            return f"not deleted: {said(answer)}"
    return "deleted"

"""What the registry will do with its settings, once file and variables are put together."""

import re
from typing import Any
from urllib.parse import urlsplit

from .finding import Finding
from .lint_keys import S3_DRIVERS, S3_OF_3, Version, beside, drivers
from .lint_parser import LATER, Applied, Implied, closest
from .params import DRIVER_REGIONS

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_AMAZON = re.compile(r"(^|[./])amazonaws\.com(\.cn)?([:/]|$)")
_SMALLEST_CHUNK, _LARGEST_CHUNK = 5 << 20, 5 << 30
_S3_SWITCHES = ("encrypt", "secure", "skipverify", "v4auth", "accelerate")
# What Go's strconv.ParseBool takes in a text.
_BOOLS = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_CONTENT = re.compile(r"\n|:\$|\$2[abxy]?\$")


def look(applied: Applied, version: Version | None, replicas: int, own_file: bool) -> list[Finding]:
    """Findings on the settings alone. `own_file`: where they come from is the reader's own file, and no image's."""
    found: list[Finding] = []
    if own_file and applied.get("version") is not LATER and str(applied.get("version")) != "0.1":
        what = "the registry will not start: it takes no file without `version: 0.1`"
        found.append(Finding("error", f"{applied.file}: version", what, "write version: 0.1"))
    found += _storage(applied, version, replicas)
    found += _cache(applied, version, replicas)
    found += _auth(applied)
    found += _http(applied, replicas)
    found += _maintenance(applied)
    found += _health(applied)
    return found


def driver(applied: Applied, version: Version | None) -> str | None:
    """The one storage driver; None where there is none, or more than one, or a secret tells."""
    named = _drivers(applied, version)
    return named[0] if len(named) == 1 else None


def _drivers(applied: Applied, version: Version | None) -> list[str]:
    storage = applied.get("storage")
    return [key for key in storage if key not in beside(version)] if isinstance(storage, dict) else []


def _storage(applied: Applied, version: Version | None, replicas: int) -> list[Finding]:
    if applied.get("storage") is LATER:
        return []
    named = _drivers(applied, version)
    where = applied.where("storage")
    if len(named) != 1:
        if not named:
            what = "the registry will not start: no storage driver is configured"
            return [Finding("error", where, what, "set REGISTRY_STORAGE=s3 and its bucket and region")]
        what = f"the registry will not start: it must have exactly one storage driver, and has {', '.join(named)}"
        remedy = "set REGISTRY_STORAGE=s3, which takes the place of what the file has"
        for name in named:
            if name not in drivers(version) and (near := closest(name, (*beside(version), *drivers(version)))):
                remedy = f"{name} is no driver: did you mean {near}?"
            elif name == "tag" and version and version[0] == 2:
                remedy = "take `tag` out: version 2 does not know it, and takes it for a driver"
        return [Finding("error", _where_of(applied, named), what, remedy, 13)]
    [name] = named
    where = applied.where("storage", name)
    found = _redirect(applied, name)
    if name not in drivers(version):
        near = closest(name.lower(), drivers(version))
        what = f"the registry will not start: it has no storage driver {name}"
        return [Finding("error", where, what, f"did you mean {near}?" if near else "use s3")]
    if name in ("filesystem", "inmemory"):
        kept = "in its memory" if name == "inmemory" else "in files of its own"
        if replicas > 1:
            what = f"each of the {replicas} registries stores images {kept}, where the others do not find them"
            return [*found, Finding("error", where, what, "set REGISTRY_STORAGE=s3 and one bucket for all of them", 2)]
        what = f"the registry stores images {kept}: they go with it, and a second registry would not see them"
        return [*found, Finding("warning", where, what, "set REGISTRY_STORAGE=s3, its bucket and its region", 2)]
    return found + (_s3(applied, version, name) if name in S3_DRIVERS else [])


def _where_of(applied: Applied, named: list[str]) -> str:
    told = [applied.inside("storage", name) for name in named]
    return next((each for each in told if not each.startswith(applied.file)), told[0])


def _s3(applied: Applied, version: Version | None, name: str) -> list[Finding]:
    found: list[Finding] = []

    def say(severity: str, key: str, what: str, remedy: str, row: int | None = None) -> None:
        found.append(Finding(severity, applied.where("storage", name, key), what, remedy, row))

    def of(key: str) -> Any:
        return applied.get("storage", name, key)

    if applied.get("storage", name) is LATER:
        return []
    endpoint = of("regionendpoint")
    for key in ("region", "bucket"):
        free = key == "region" and endpoint and (version is None or version[0] >= 3)
        if of(key) in (None, "") and not free:
            say("error", key, f"the registry will not start: the s3 driver has no {key}", f"set {key}")
    _region(say, version, of("region"), endpoint)
    bucket = of("bucket")
    if bucket not in (None, "", LATER) and not endpoint and not _BUCKET.fullmatch(str(bucket)):
        say("error", "bucket", "this is no name that a bucket can have", "set the name of the bucket")
    if endpoint and endpoint is not LATER:
        _endpoint(say, version, str(endpoint), of("forcepathstyle"))
    for key in (*_S3_SWITCHES, *S3_OF_3[:3]):
        if _bool(of(key)) is None and of(key) not in (None, LATER):
            say("error", key, f"the registry will not start: {key} must be true or false", "correct the value")
    if _bool(of("v4auth")) is False and (not endpoint or "s3.amazonaws.com" in str(endpoint)):
        say("error", "v4auth", "the registry will not start: S3 takes signatures of version 4 only", "take it out")
    if _bool(of("secure")) is False:
        say("warning", "secure", "images and credentials' signatures travel to S3 without TLS", "take it out")
    if _bool(of("skipverify")) is True:
        say("warning", "skipverify", "the certificate of S3 is not verified", "take it out")
    chunk = of("chunksize")
    if chunk not in (None, LATER) and not _number(chunk, _SMALLEST_CHUNK, _LARGEST_CHUNK):
        say("error", "chunksize", "the registry will not start: a part has 5 MiB to 5 GiB", "set 5242880 or more")
    return found


def _region(say, version: Version | None, region: Any, endpoint: Any) -> None:
    if region in (None, "", LATER) or endpoint:
        return
    if not _REGION.fullmatch(str(region)):
        say("error", "region", "the registry will not start: this is no region of AWS", "set the bucket's region", 11)
    elif version and version[0] == 2 and region not in DRIVER_REGIONS:
        what = f"the registry will not start: version 2 does not know the region {region}"
        say("error", "region", what, "use registry 3.1.1 or newer, or a region that it knows", 11)


def _endpoint(say, version: Version | None, endpoint: str, forced: Any) -> None:
    if _AMAZON.search(endpoint):
        say("note", "regionendpoint", "for S3 itself no endpoint is needed; the region is enough", "take it out")
    elif version and version[0] >= 3 and forced is not LATER and _bool(forced) is not True:
        what = "version 3 puts the bucket into the endpoint's host name, unless forcepathstyle is true"
        say("error", "regionendpoint", what, "set forcepathstyle: true beside it", 12)


def _redirect(applied: Applied, name: str) -> list[Finding]:
    where = applied.where("storage", "redirect", "disable")
    off = applied.get("storage", "redirect", "disable")
    if off not in (None, LATER) and not isinstance(off, bool):
        what = "the registry will not start: redirect.disable must be true or false"
        return [Finding("error", where, what, "correct the value")]
    if off or name not in S3_DRIVERS:
        return []
    what = "a pull is sent on to an address of S3, which every client must be able to reach"
    where = "storage.redirect.disable" if off is None else where
    return [Finding("note", where, what, "leave it, or set storage.redirect.disable: true", 19)]


def _bool(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return _BOOLS.get(value.lower()) if isinstance(value, str) else None


def _number(value: Any, least: int, most: int) -> bool:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value):
        value = int(value)
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _cache(applied: Applied, version: Version | None, replicas: int) -> list[Finding]:
    found = []
    cache = applied.get("storage", "cache")
    kind = "blobdescriptor" if isinstance(cache, dict) and "blobdescriptor" in cache else "layerinfo"
    used, where = applied.get("storage", "cache", kind), applied.where("storage", "cache", kind)
    if isinstance(cache, dict) and "layerinfo" in cache:
        what = "layerinfo is the old name of blobdescriptor, which the registry still takes"
        if kind == "blobdescriptor":
            what = "layerinfo is the old name of blobdescriptor, and is not read beside it"
        found.append(Finding("note", applied.where("storage", "cache", "layerinfo"), what, "call it blobdescriptor"))
    if used not in (None, "", LATER, "redis", "inmemory"):
        what = "the registry knows no such cache, and works without one"
        found.append(Finding("warning", where, what, "inmemory or redis"))
    deletes = applied.get("storage", "delete", "enabled")
    if used == "inmemory" and replicas > 1 and deletes is True:
        what = f"each of the {replicas} registries remembers blobs that another one has deleted"
        found.append(Finding("warning", where, what, "use redis for all of them, or do not enable deletes", 28))
    return found + _redis(applied, version, where if used == "redis" else None)


def _redis(applied: Applied, version: Version | None, used: str | None) -> list[Finding]:
    """`used` is where the cache is told to be redis."""
    redis = applied.get("redis")
    if redis is LATER:
        return []
    found = []
    redis = redis if isinstance(redis, dict) else {}
    right, other = ("addr", "addrs") if version and version[0] == 2 else ("addrs", "addr")
    has = redis.get(right) if version else redis.get("addrs") or redis.get("addr")
    if other in redis and version and right not in redis:
        what = f"version {version[0]} reads `{right}`, and not `{other}`"
        if used:
            what = f"the registry will not start: its cache is redis, and {what}"
        found.append(Finding("error", applied.where("redis", other), what, f"call it {right}", 26))
    elif used and not has:
        what = "the registry will not start: its cache is redis, and no redis is configured"
        found.append(Finding("error", used, what, f"set redis.{right}", 26))
    elif has and not used and applied.get("storage", "cache") is not LATER:
        what = "redis is configured, and the cache does not use it"
        found.append(Finding("note", applied.inside("redis"), what, "set storage.cache.blobdescriptor: redis"))
    return found + _redis_tls(applied, version, redis, has)


def _redis_tls(applied: Applied, version: Version | None, redis: dict, address: Any) -> list[Finding]:
    addresses = address if isinstance(address, list) else [address]
    tls = redis.get("tls")
    wanted = bool(tls) or any(str(each).startswith("rediss:") for each in addresses if isinstance(each, str))
    if not wanted or version is None or version >= (3, 1) or version == (3,):
        return []
    where = applied.where("redis", "tls") if tls else applied.inside("redis")
    if version[0] == 2:
        what = "version 2 has no TLS for redis"
    elif isinstance(tls, dict) and tls.get("certificate") and tls.get("key"):
        return []
    else:
        what = "version 3.0 speaks TLS with redis only with a certificate of its own"
    return [Finding("error", where, what, "use registry 3.1.1 or newer, or a cache without encryption in transit", 27)]


def _auth(applied: Applied) -> list[Finding]:
    auth = applied.get("auth")
    if auth is LATER:
        return []
    kinds = list(auth) if isinstance(auth, dict) else []
    where = applied.where("auth")
    if not kinds:
        what = "the registry asks nobody for a password: whoever reaches it can pull and push"
        return [Finding("warning", where, what, "set auth.htpasswd.realm and auth.htpasswd.path")]
    if len(kinds) > 1:
        what = f"the registry will not start: it takes one kind of authentication, and has {', '.join(kinds)}"
        if any(len(path) > 1 and path[0] == "auth" for path in applied.origins):
            what = f"the registry takes one of {', '.join(kinds)} by chance, another one at each start"
        return [Finding("error", where, what, "keep htpasswd")]
    [kind] = kinds
    if kind not in ("htpasswd", "token", "silly"):
        near = closest(kind, ("htpasswd", "token"))
        what = f"the registry will not start: it knows no authentication {kind}"
        return [Finding("error", where, what, f"did you mean {near}?" if near else "use htpasswd")]
    if kind == "silly":
        return [Finding("error", where, "silly takes every password; it is for tests", "use htpasswd")]
    return _htpasswd(applied) if kind == "htpasswd" else []


def _htpasswd(applied: Applied) -> list[Finding]:
    found = []
    for key in ("realm", "path"):
        value, where = applied.get("auth", "htpasswd", key), applied.where("auth", "htpasswd", key)
        if value is LATER:
            continue
        if value is None:
            found.append(Finding("error", where, f"the registry will not start: htpasswd has no {key}", f"set {key}"))
        elif not isinstance(value, str):
            what = f"the registry will not start: YAML reads this {key} as something else than a text"
            found.append(Finding("error", where, what, "put it into quotes"))
        elif key == "path" and _CONTENT.search(value):
            what = "the path of a file is expected, and this looks like the file's content"
            found.append(Finding("error", where, what, "deliver the file, and set its path", 16))
        elif key == "path" and not value:
            found.append(Finding("error", where, "the path is empty", "set the path of the htpasswd file"))
    return found


def _http(applied: Applied, replicas: int) -> list[Finding]:
    found = []
    secret, where = applied.get("http", "secret"), applied.where("http", "secret")
    if secret in (None, ""):
        if replicas > 1:
            what = f"each of the {replicas} registries makes its own http secret, and refuses the others' uploads"
            found.append(Finding("error", where, what, "give all of them one REGISTRY_HTTP_SECRET", 1))
        else:
            what = "the registry makes an http secret by chance: uploads do not outlive it, nor go to a second one"
            found.append(Finding("note", where, what, "set REGISTRY_HTTP_SECRET", 1))
    host = applied.get("http", "host")
    if isinstance(host, str) and host:
        found += _host(host, applied.where("http", "host"))
    addr = applied.get("http", "debug", "addr")
    if isinstance(addr, str) and addr and not re.match(r"(localhost|127\.|\[::1\])", addr):
        what = "the debug port tells every client that reaches it what all users do"
        found.append(Finding("note", applied.where("http", "debug", "addr"), what, "set it to localhost:5001"))
    return found


def _host(host: str, where: str) -> list[Finding]:
    try:
        scheme, name = urlsplit(host).scheme, urlsplit(host).hostname
    except ValueError:
        scheme, name = "", None
    if scheme == "https" and name:
        return []
    what = "it is not an https address"
    if scheme == "http":
        what = "the registry sends its clients to an http address, where they expect https"
    return [Finding("error", where, what, "leave http.host unset, or make it the public https address", 3)]


def _maintenance(applied: Applied) -> list[Finding]:
    found = []
    for key in ("uploadpurging", "readonly"):
        section = applied.get("storage", "maintenance")
        if not isinstance(section, dict) or key not in section or section[key] is LATER:
            continue
        if isinstance(section[key], Implied) or not isinstance(section[key], dict):
            what = f"the registry will not start: it takes {key} as a whole section only"
            remedy = f"set REGISTRY_STORAGE_MAINTENANCE_{key.upper()} to {{enabled: true}} or {{enabled: false}}"
            found.append(Finding("error", applied.inside("storage", "maintenance", key), what, remedy))
    purging = applied.get("storage", "maintenance", "uploadpurging", "enabled")
    if purging is False:
        what = "uploads that were begun and never finished stay in the storage"
        where = applied.where("storage", "maintenance", "uploadpurging")
        found.append(Finding("note", where, what, "leave it on, or have a lifecycle rule", 29))
    return found


def _health(applied: Applied) -> list[Finding]:
    if applied.get("health", "storagedriver", "enabled") in (True, LATER):
        return []
    what = "the registry calls itself healthy when it does not reach its storage"
    remedy = "set health.storagedriver.enabled: true, if its health check asks the path /"
    return [Finding("note", applied.where("health", "storagedriver", "enabled"), what, remedy, 5)]

"""The keys that the registry knows, by version (Distribution's configuration.go), and the stock images' config.yml."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Version = tuple[int, ...]

TEXT, INT, BOOL, DURATION, LEVEL, LIST = "a text", "a number", "true or false", "a duration", "a log level", "a list"


class Free(NamedTuple):
    """A map in the program: it takes every key. `known` are those that somebody reads, None for free texts; `of` is
    what a key that is not known holds. Of `parameters` the program keeps what stands in them as it was read."""

    known: Mapping[str, Any] | None = None
    of: Any = None


def _parameters(*names: str, **kinds: Any) -> Free:
    return Free({name: None for name in names} | kinds)


_S3 = (
    *("accesskey", "secretkey", "sessiontoken", "region", "regionendpoint", "bucket", "encrypt", "keyid", "secure"),
    *("skipverify", "v4auth", "chunksize", "multipartcopychunksize", "multipartcopymaxconcurrency"),
    *("multipartcopythresholdsize", "rootdirectory", "storageclass", "useragent", "objectacl", "accelerate"),
)
S3_OF_3 = ("forcepathstyle", "usedualstack", "usefipsendpoint", "loglevel")
# Beside the driver in `storage`; every other key there is a driver. `tag` came with version 3.
BESIDE = {2: ("cache", "delete", "maintenance", "redirect"), 3: ("cache", "delete", "maintenance", "redirect", "tag")}
DRIVERS = {
    2: ("azure", "filesystem", "gcs", "inmemory", "oss", "s3", "s3aws", "swift"),
    3: ("azure", "filesystem", "gcs", "inmemory", "s3", "s3aws"),
}
S3_DRIVERS = ("s3", "s3aws")

_HTPASSWD = _parameters("realm", "path")
_TOKEN = _parameters(
    *("realm", "service", "issuer", "rootcertbundle", "autoredirect", "autoredirectpath", "signingalgorithms", "jwks")
)


def _storage(major: int) -> Free:
    s3 = _parameters(*_S3, *(S3_OF_3 if major == 3 else ()))
    drivers = dict.fromkeys(DRIVERS[major], Free())
    return Free(
        {
            **drivers,
            "s3": s3,
            "s3aws": s3,
            "filesystem": _parameters("rootdirectory", "maxthreads"),
            "inmemory": Free(),
            "cache": _parameters("blobdescriptor", "layerinfo", "blobdescriptorsize"),
            "delete": _parameters("enabled"),
            "maintenance": _parameters("uploadpurging", "readonly"),
            "redirect": _parameters("disable"),
            **({"tag": _parameters("concurrencylimit")} if major == 3 else {}),
        },
        of=Free(),
    )


_REDIS_2 = {
    **{"addr": TEXT, "password": TEXT, "db": INT},
    **{"dialtimeout": DURATION, "readtimeout": DURATION, "writetimeout": DURATION},
    "pool": {"maxidle": INT, "maxactive": INT, "idletimeout": DURATION},
}
# go-redis's UniversalOptions: https://github.com/redis/go-redis/blob/v9.7.3/universal.go
_REDIS_3 = {
    **{"addrs": LIST, "clientname": TEXT, "db": INT, "protocol": INT, "username": TEXT, "password": TEXT},
    **{"sentinelusername": TEXT, "sentinelpassword": TEXT, "mastername": TEXT, "identitysuffix": TEXT},
    **{"maxretries": INT, "minretrybackoff": DURATION, "maxretrybackoff": DURATION, "maxredirects": INT},
    **{"dialtimeout": DURATION, "readtimeout": DURATION, "writetimeout": DURATION, "contexttimeoutenabled": BOOL},
    **{"poolfifo": BOOL, "poolsize": INT, "pooltimeout": DURATION, "minidleconns": INT, "maxidleconns": INT},
    **{"maxactiveconns": INT, "connmaxidletime": DURATION, "connmaxlifetime": DURATION, "readonly": BOOL},
    **{"routebylatency": BOOL, "routerandomly": BOOL, "disableindentity": BOOL, "unstableresp3": BOOL},
    "tls": {"certificate": TEXT, "key": TEXT, "clientcas": LIST, "rootcas": LIST},
}
# Up to 3.0 the parser does not look into the part of `redis` that it inlines:
# https://github.com/distribution/distribution/issues/4621
INLINES_REDIS = (3, 1)

_CHECKERS = {"file": LIST, "http": LIST, "tcp": LIST}
_HTTP = {
    **{"addr": TEXT, "net": TEXT, "host": TEXT, "prefix": TEXT, "secret": TEXT, "relativeurls": BOOL},
    "draintimeout": DURATION,
    "headers": Free(of=LIST),
    "debug": {"addr": TEXT, "prometheus": {"enabled": BOOL, "path": TEXT}},
    "http2": {"disabled": BOOL},
}
_TLS = {"certificate": TEXT, "key": TEXT, "clientcas": LIST, "minimumtls": TEXT, "ciphersuites": LIST}
_ENCRYPT = {"cachefile": TEXT, "email": TEXT, "hosts": LIST}
_LOG = {
    "accesslog": {"disabled": BOOL},
    **{"level": LEVEL, "formatter": TEXT, "fields": Free(), "hooks": LIST},
}
_VALIDATION = {"enabled": BOOL, "disabled": BOOL}
_ALL = {
    "version": TEXT,
    "loglevel": LEVEL,
    "auth": Free({"htpasswd": _HTPASSWD, "token": _TOKEN, "silly": _parameters("realm", "service")}, of=Free()),
    "middleware": Free(of=LIST),
    "notifications": {"events": {"includereferences": BOOL}, "endpoints": LIST},
    "health": {**_CHECKERS, "storagedriver": {"enabled": BOOL, "interval": DURATION, "threshold": INT}},
    "catalog": {"maxentries": INT},
    "policy": {"repository": {"classes": LIST}},
}
_PROXY = {"remoteurl": TEXT, "username": TEXT, "password": TEXT}
_KEYS = {
    2: {
        **_ALL,
        "log": _LOG,
        "storage": _storage(2),
        "http": {**_HTTP, "tls": {**_TLS, "letsencrypt": _ENCRYPT}},
        "redis": _REDIS_2,
        "proxy": _PROXY,
        "reporting": {
            "bugsnag": {"apikey": TEXT, "releasestage": TEXT, "endpoint": TEXT},
            "newrelic": {"licensekey": TEXT, "name": TEXT, "verbose": BOOL},
        },
        "compatibility": {"schema1": {"signingkeyfile": TEXT, "enabled": BOOL}},
        "validation": {**_VALIDATION, "manifests": {"urls": {"allow": LIST, "deny": LIST}}},
    },
    3: {
        **_ALL,
        "log": {**_LOG, "reportcaller": BOOL},
        "storage": _storage(3),
        "http": {
            **_HTTP,
            "h2c": {"enabled": BOOL},
            "tls": {**_TLS, "clientauth": TEXT, "letsencrypt": {**_ENCRYPT, "directoryurl": TEXT}},
        },
        "redis": _REDIS_3,
        "proxy": {**_PROXY, "exec": {"command": TEXT, "lifetime": DURATION}, "ttl": DURATION},
        "validation": {
            **_VALIDATION,
            "manifests": {
                "urls": {"allow": LIST, "deny": LIST},
                "indexes": {"platforms": TEXT, "platformlist": LIST},
            },
        },
    },
}

# A variable is named after the field in the program, which here has another name than the key in the file.
_FIELDS = {
    ("health", "file"): "FILECHECKERS",
    ("health", "http"): "HTTPCHECKERS",
    ("health", "tcp"): "TCPCHECKERS",
    ("notifications", "events"): "EVENTCONFIG",
    ("compatibility", "schema1", "signingkeyfile"): "TRUSTKEY",
}

# config.yml of the stock images, as the program reads it.
STOCK: dict[int, dict[str, Any]] = {
    2: {
        "version": 0.1,
        "log": {"fields": {"service": "registry"}},
        "storage": {"cache": {"blobdescriptor": "inmemory"}, "filesystem": {"rootdirectory": "/var/lib/registry"}},
        "http": {"addr": ":5000", "headers": {"X-Content-Type-Options": ["nosniff"]}},
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
    },
    3: {
        "version": 0.1,
        "log": {"level": "debug", "fields": {"service": "registry", "environment": "development"}},
        "storage": {
            "delete": {"enabled": True},
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": "/var/lib/registry"},
            "tag": {"concurrencylimit": 5},
        },
        "http": {
            "addr": ":5000",
            "debug": {"addr": ":5001", "prometheus": {"enabled": True, "path": "/metrics"}},
        },
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
    },
}


def keys(version: Version | None) -> dict[str, Any]:
    """The keys of that version; without one, those of version 2 or 3."""
    if version is None:
        return _both(_KEYS[2], _KEYS[3])
    return _KEYS[2 if version[0] <= 2 else 3]


def fields(version: Version | None, path: tuple[str, ...], struct: Mapping[str, Any]) -> dict[str, str]:
    """Part of a variable's name → key in the file, for the keys of one section."""
    if path == ("redis",) and version is not None and (3,) < version < INLINES_REDIS:
        return {"TLS": "tls"}
    return {_FIELDS.get((*path, key), key.upper()): key for key in struct}


def beside(version: Version | None) -> tuple[str, ...]:
    return BESIDE[3 if version is None or version[0] > 2 else 2]


def drivers(version: Version | None) -> tuple[str, ...]:
    return DRIVERS[2 if version is None or version[0] == 2 else 3]


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, Free) and isinstance(other, Free):
        if one.known is None or other.known is None:
            return one
        return Free(_both(one.known, other.known), one.of)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return {**other, **{key: _both(one[key], other[key]) if key in other else one[key] for key in one}}
    return one

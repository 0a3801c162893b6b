"""The registry's own configuration, for versions 2 and 3: as a config.yml, as REGISTRY_* variables, as an image.

Two secrets are in none of them: the S3 key and http.secret come from Secrets Manager when the task starts.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from .params import Params
from .report import Document, Text

BASE_IMAGES = {2: "registry:2.8.3", 3: "registry:3.1.1"}
# https://github.com/distribution/distribution/issues/4250
CONFIG_PATHS = {2: "/etc/docker/registry/config.yml", 3: "/etc/distribution/config.yml"}
HTPASSWD_PATH = "/auth/htpasswd"
STOP_SECONDS = 120  # from SIGTERM to SIGKILL
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"  # Alpine's, of which the stock images are made
_OLDEST_CACHE_TLS = (3, 1)

# What the blog's task definition sets over its own image.
_SET_OVER_IMAGE = (
    "REGISTRY_AUTH_HTPASSWD_PATH",
    "REGISTRY_AUTH_HTPASSWD_REALM",
    "REGISTRY_STORAGE_S3_BUCKET",
    "REGISTRY_STORAGE_S3_REGION",
)
# Given as a whole: the keys of the first two are free texts, and up to 3.0 the parser knows no key of the third by
# the name that the documentation gives it (https://github.com/distribution/distribution/issues/4621).
_WHOLE = {"REGISTRY_HTTP_HEADERS", "REGISTRY_LOG_FIELDS", "REGISTRY_REDIS"}
# The part of the config.yml of registry:2.8 that is as wanted.
_STOCK_2 = {
    "log": {"fields": {"service": "registry"}},
    "http": {"addr": ":5000", "headers": {"X-Content-Type-Options": ["nosniff"]}},
    "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
}


def version(p: Params) -> int:
    """The major version that the configuration is written for: an image of one's own follows version 2."""
    return p.major_version or 2


def config_path(p: Params) -> str:
    """Where the image has its config.yml."""
    return CONFIG_PATHS[version(p)]


def cache_tls(p: Params) -> bool:
    """Whether the registry can speak TLS with the cache: 2.x cannot, 3.0 wants a certificate of its own for it.

    https://github.com/distribution/distribution/pull/4770
    """
    return p.version >= _OLDEST_CACHE_TLS


def cache_word(p: Params) -> str:
    """What stands for the cache's address until the address is known."""
    return f"elasticache:{p.cache_name}"


def want_config(p: Params) -> Document:
    """The blog's config.yml with the deployment's realm, region and bucket.

    It differs in `cache.blobdescriptor`, of which `layerinfo` is the deprecated spelling, and in the storage health
    check that the blog lacks (the stock image has it): without S3 the registry then answers 503, not a late failure.
    With a shared cache, `redis` says where it is. A registry that is replaced under load (auto-scaling-group) drains
    before it ends, and tells its metrics to its own container alone: whoever can ask that port sees what all users do.
    `http.host` and `relativeurls` stay unset: a load balancer's X-Forwarded-Proto is enough for right URLs.
    """
    return Document(
        version=0.1,
        log=_log(p),
        auth={"htpasswd": {"realm": p.realm, "path": HTPASSWD_PATH}},
        http=_http(p),
        storage={
            "cache": {"blobdescriptor": "redis" if p.cache == "elasticache" else "inmemory"},
            "s3": _s3(p),
        },
        health={"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
        **({"redis": _redis(p)} if p.cache == "elasticache" else {}),
    )


def environment(p: Params) -> Document:
    """The variables that make the image's config.yml mean `want_config(p)`, sorted by name.

    The stock image of version 2 already says version, log, health and most of http as wanted; that of version 3 logs
    at level debug, opens its debug port to everybody and sends traces to a collector that is not there. Both store in
    files: only REGISTRY_STORAGE takes that away, and the cache setting with it. Distribution applies the variables in
    the order of their names and reads each value as YAML (configuration/parser.go).
    """
    config = want_config(p)
    wanted = {"REGISTRY_STORAGE": "s3"}
    for section in ("auth", "health", "http", "log", "redis", "storage"):
        wanted |= _variables(f"REGISTRY_{section.upper()}", config.get(section, {}))
    if p.configured_by == "image":
        return Document({name: wanted[name] for name in (*_SET_OVER_IMAGE, "REGISTRY_REDIS") if name in wanted})
    if version(p) == 3:
        # https://github.com/distribution/distribution/issues/4270
        return Document(sorted({"OTEL_TRACES_EXPORTER": "none", **wanted}.items()))
    said = _variables("REGISTRY", {key: _STOCK_2[key] for key in ("health", "http", "log")})
    return Document(sorted((name, value) for name, value in wanted.items() if said.get(name) != value))


def config_yml(p: Params) -> Text:
    """`want_config(p)` as the file that goes into an image. The cache's address is not in it: it is a variable."""
    return Text(_yaml({key: value for key, value in want_config(p).items() if key != "redis"}))


def dockerfile(p: Params) -> Text:
    """The blog's two lines, with the version pinned."""
    return Text(f"FROM {BASE_IMAGES[version(p)]}\nCOPY config.yml {config_path(p)}\n")


def write_image(p: Params, folder: str | Path) -> Path:
    """Write Dockerfile and config.yml into `folder` (made if missing), ready for `docker build`; gives the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile(p), "utf-8")
    (folder / "config.yml").write_text(config_yml(p), "utf-8")
    (folder / "config.yml").chmod(0o644)  # COPY keeps the mode, and the registry may not be root
    return folder


def _log(p: Params) -> dict[str, Any]:
    fields = {"fields": {"service": "registry"}}
    return {"level": "info", **fields} if version(p) == 3 else fields


def _http(p: Params) -> dict[str, Any]:
    http = {"addr": f":{p.port}", "headers": {"X-Content-Type-Options": ["nosniff"]}}
    if p.scales:
        http["draintimeout"] = f"{STOP_SECONDS - 10}s"
    if p.scales or version(p) == 3:
        http["debug"] = {"addr": "localhost:5001", "prometheus": {"enabled": True, "path": "/metrics"}}
    return http


def _s3(p: Params) -> dict[str, Any]:
    """`v4auth` is version 2's: version 3 signs in no other way."""
    s3 = {"region": p.region, "bucket": p.bucket, "encrypt": True, "secure": True}
    if version(p) == 2:
        s3["v4auth"] = True
    return s3 | {"chunksize": 5 * 1024 * 1024, "rootdirectory": "/"}


def _redis(p: Params) -> dict[str, Any]:
    """The connections to the cache. Their timeouts are short: without an answer the registry asks S3.

    https://distribution.github.io/distribution/about/configuration/#redis
    """
    timeouts = {"dialtimeout": "500ms", "readtimeout": "250ms", "writetimeout": "250ms"}
    if version(p) == 2:
        pool = {"maxidle": 16, "maxactive": 64, "idletimeout": "300s"}
        return {"addr": cache_word(p), **timeouts, "pool": pool}
    tls = {"tls": {"rootcas": [CA_BUNDLE]}} if cache_tls(p) else {}
    return {"addrs": [cache_word(p)], **tls, **timeouts, "maxidleconns": 16, "poolsize": 64, "connmaxidletime": "300s"}


def _variables(prefix: str, section: dict[str, Any]) -> dict[str, str]:
    if prefix in _WHOLE and section:
        return {prefix: _scalar(section)}
    variables = {}
    for key, value in section.items():
        name = f"{prefix}_{key.upper()}"
        variables |= _variables(name, value) if isinstance(value, dict) else {name: _scalar(value)}
    return variables


def _scalar(value: Any) -> str:
    return _yaml(value, flow=True).removesuffix("...\n").rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """Quotes each text that another YAML reader could take for something else (go-yaml: y is true, 1e3 a number)."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = text == "/" or re.fullmatch(r"[A-Za-z/:][A-Za-z0-9./ -]+", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _list(dumper: yaml.SafeDumper, items: list) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def _yaml(value: Any, *, flow: bool = False) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=flow)

"""The registry's own configuration, for version 2: as a config.yml, as REGISTRY_* variables, as a two-line image.

Two secrets are in none of them: the S3 key and http.secret come from Secrets Manager when the task starts.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from .params import Params
from .report import Document, Text

BASE_IMAGE = "registry:2.8.3"
CONFIG_PATH = "/etc/docker/registry/config.yml"
HTPASSWD_PATH = "/auth/htpasswd"

# What the blog's task definition sets over its own image.
_SET_OVER_IMAGE = (
    "REGISTRY_AUTH_HTPASSWD_PATH",
    "REGISTRY_AUTH_HTPASSWD_REALM",
    "REGISTRY_STORAGE_S3_BUCKET",
    "REGISTRY_STORAGE_S3_REGION",
)


def want_config(p: Params) -> Document:
    """The blog's config.yml with the deployment's realm, region and bucket.

    It differs in `cache.blobdescriptor`, of which `layerinfo` is the deprecated spelling, and in the storage health
    check that the blog lacks (the stock image has it): without S3 the registry then answers 503, not a late failure.
    """
    return Document(
        version=0.1,
        log={"fields": {"service": "registry"}},
        auth={"htpasswd": {"realm": p.realm, "path": HTPASSWD_PATH}},
        http={"addr": f":{p.port}", "headers": {"X-Content-Type-Options": ["nosniff"]}},
        storage={
            "cache": {"blobdescriptor": "inmemory"},
            "s3": {
                "region": p.region,
                "bucket": p.bucket,
                "encrypt": True,
                "secure": True,
                "v4auth": True,
                "chunksize": 5 * 1024 * 1024,
                "rootdirectory": "/",
            },
        },
        health={"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
    )


def environment(p: Params) -> Document:
    """The variables that make the image's config.yml mean `want_config(p)`, sorted by name.

    The stock image already says version, log, http and health as wanted. It stores in files: only REGISTRY_STORAGE
    takes that away, and the cache setting with it. Distribution applies the variables in the order of their names and
    reads each value as YAML (configuration/parser.go).
    """
    config = want_config(p)
    wanted = _variables("REGISTRY_AUTH", config["auth"]) | _variables("REGISTRY_STORAGE", config["storage"])
    if p.configured_by == "image":
        return Document({name: wanted[name] for name in _SET_OVER_IMAGE})
    return Document(sorted({"REGISTRY_STORAGE": "s3", **wanted}.items()))


def config_yml(p: Params) -> Text:
    """`want_config(p)` as the file that goes into an image."""
    return Text(_yaml(dict(want_config(p))))


def dockerfile(p: Params) -> Text:
    """The blog's two lines, with the version pinned."""
    return Text(f"FROM {BASE_IMAGE}\nCOPY config.yml {CONFIG_PATH}\n")


def write_image(p: Params, folder: str | Path) -> Path:
    """Write Dockerfile and config.yml into `folder` (made if missing), ready for `docker build`; gives the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile(p), "utf-8")
    (folder / "config.yml").write_text(config_yml(p), "utf-8")
    return folder


def cache_tls(p: Params) -> bool:
    """Whether the registry can speak TLS with the cache: 2.x cannot, 3.0 wants a certificate of its own for it."""
    return p.version >= (3, 1)


def _variables(prefix: str, section: dict[str, Any]) -> dict[str, str]:
    variables = {}
    for key, value in section.items():
        name = f"{prefix}_{key.upper()}"
        variables |= _variables(name, value) if isinstance(value, dict) else {name: _scalar(value)}
    return variables


def _scalar(value: Any) -> str:
    return _yaml(value).removesuffix("...\n").rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """Quotes each text that another YAML reader could take for something else (go-yaml: y is true, 1e3 a number)."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = text == "/" or re.fullmatch(r"[A-Za-z/:][A-Za-z0-9./ -]+", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


def _list(dumper: yaml.SafeDumper, items: list) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False)

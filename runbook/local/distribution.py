"""What a registry's configuration says about where it listens and stores, and what the embedded cloud adds to it.

The rules are Distribution's configuration/parser.go: REGISTRY_A_B sets a.b, a shorter name sets the whole section.
"""

import functools
import socket

import botocore.session
import yaml

# The one thing that differs from AWS inside a container: S3 is at the embedded cloud's own endpoint, in plain HTTP
# on loopback. A registry that stores in S3 and names no endpoint is told so; no step knows of it. Version 2 takes the
# bucket into the path at every endpoint of one's own; version 3 must be told, and version 2 does not look at the key.
S3_ON_LOOPBACK = {
    "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true",
    "REGISTRY_STORAGE_S3_REGIONENDPOINT": "{endpoint}",
    "REGISTRY_STORAGE_S3_SECURE": "false",
}
EVERYWHERE = ("", "0.0.0.0", "[::]")


def additions(
    config: str, env: dict[str, str], *, endpoint: str, ports: dict[int, str], nowhere: str
) -> dict[str, str]:
    """The variables that the embedded cloud adds.

    `ports` is container port -> "address:port" on the node. There is no network namespace: an address that no port
    mapping leads to becomes `nowhere`, so that it is as unreachable as on a bridge network.
    """
    try:
        parsed = yaml.safe_load(config)
    except yaml.YAMLError:
        parsed = None  # the registry itself says what is wrong with it
    added = {"REGISTRY_HTTP_ADDR": listen(setting(parsed, env, "http", "addr") or ":5000", ports, nowhere)}
    debug = setting(parsed, env, "http", "debug", "addr")
    if debug:
        added["REGISTRY_HTTP_DEBUG_ADDR"] = listen(debug, ports, nowhere)
    region = setting(parsed, env, "storage", "s3", "region")
    # With an endpoint the driver takes any region. One that AWS does not have ends the program before any request.
    known = region is None or str(region) in _regions()
    if known and stores_in_s3(parsed, env) and not setting(parsed, env, "storage", "s3", "regionendpoint"):
        added |= {name: value.format(endpoint=endpoint) for name, value in S3_ON_LOOPBACK.items()}
    return added


@functools.cache
def _regions() -> frozenset[str]:
    """Those of all of AWS, newer ones than the registry's own SDK knows included."""
    session = botocore.session.get_session()
    partitions = session.get_available_partitions()
    return frozenset(region for each in partitions for region in session.get_available_regions("s3", each))


def listen(address: str, ports: dict[int, str], nowhere: str) -> str:
    """Where a program that wants `address` ("host:port") in its container listens in reality."""
    host, _, port = str(address).rpartition(":")
    number = int(port) if port.isdecimal() else socket.getservbyname(port or "http")
    return ports.get(number, nowhere) if host in EVERYWHERE else nowhere


def stores_in_s3(config: object, env: dict[str, str]) -> bool:
    return setting(config, env, "storage", "s3") is not None or any(
        name.startswith("REGISTRY_STORAGE_S3_") for name in env
    )


def setting(config: object, env: dict[str, str], *path: str) -> object:
    """The effective value at `path`, {} for an empty section that is there, None where nothing is."""
    for length in range(len(path), 0, -1):
        name = "_".join(("REGISTRY", *path[:length])).upper()
        if name in env:
            return _dig(_yaml(env[name]), path[length:])
    return _dig(config, path)


def _yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _dig(value: object, path: tuple[str, ...]) -> object:
    for key in path:
        if value == key:  # `storage: s3` is short for `storage: {s3: {}}`
            value = {}
        elif isinstance(value, dict) and key in value:
            value = {} if value[key] is None else value[key]
        else:
            return None
    return value

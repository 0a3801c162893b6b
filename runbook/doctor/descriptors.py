"""The cache of blob descriptors: how it is set up, and whether it tells of blobs that S3 no longer has."""

import re

from .. import elasticache
from ..errors import NotOurs
from .diagnosis import Cause
from .patient import Patient

_ROOT = "docker/registry/v2/"
_LINK = re.compile(r"repositories/(.+)/_layers/(sha256)/([0-9a-f]{64})/link")
_LOOKED_AT = 100  # links and blobs of a large registry; an answer of S3 has 1,000 names
_OLDEST_TLS = (3, 1)


def cache(patient: Patient) -> Cause | None:
    if patient.service is None:
        return None
    return (_shared(patient) if patient.p.cache == "elasticache" else None) or _stale(patient)


def _shared(patient: Patient) -> Cause | None:
    try:
        group = elasticache.describe(patient.aws, patient.p)
    except NotOurs:
        return None
    if group is None:
        return None
    name = group["ReplicationGroupId"]
    if group.get("TransitEncryptionEnabled") and patient.version and patient.version < _OLDEST_TLS:
        image = (patient.registry or {}).get("image")
        return Cause.of(27, f"cache {name} speaks TLS alone", f"the registry's image is {image}")
    policies = _eviction(patient, group)
    if wrong := [each for each in policies if each != "allkeys-lru"]:
        return Cause.of(26, f"cache {name}: maxmemory-policy is {wrong[0]}")
    return None


def _eviction(patient: Patient, group: dict) -> list[str]:
    """maxmemory-policy of the parameter group that the cache's node uses."""
    found = []
    for member in group["MemberClusters"][:1]:
        asked = {"CacheClusterId": member}
        answer = patient.aws.elasticache.find("describe_cache_clusters", {"CacheClusterNotFound"}, **asked)
        for each in (answer or {"CacheClusters": []})["CacheClusters"]:
            used = each["CacheParameterGroup"]["CacheParameterGroupName"]
            parameters = patient.aws.elasticache.all(
                "describe_cache_parameters", "Parameters", CacheParameterGroupName=used
            )
            found += [each["ParameterValue"] for each in parameters if each["ParameterName"] == "maxmemory-policy"]
    return found


def _stale(patient: Patient) -> Cause | None:
    """Blobs that a repository links to and S3 does not hold, of which the registry tells all the same."""
    if not patient.health.startswith("200") or not patient.logins:
        return None
    told = []
    for repository, digest in _links(patient):
        if not _is_stored(patient, digest):
            answer = patient.told(f"/v2/{repository}/blobs/{digest}", patient.logins[0], "HEAD")
            if answer.startswith(("200", "307")):
                told.append(f"{repository}: {digest[:19]}… is not in S3, and the registry answers {answer[:3]} for it")
    return Cause.of(28, *told[:3]) if told else None


def _links(patient: Patient) -> list[tuple[str, str]]:
    prefix = _root(patient) + "repositories/"
    answer = patient.aws.s3.list_objects_v2(Bucket=patient.p.bucket, Prefix=prefix)
    found = [_LINK.search(each["Key"]) for each in answer.get("Contents", [])]
    return [(match[1], f"{match[2]}:{match[3]}") for match in found if match][:_LOOKED_AT]


def _is_stored(patient: Patient, digest: str) -> bool:
    kind, _, name = digest.partition(":")
    key = f"{_root(patient)}blobs/{kind}/{name[:2]}/{name}/data"
    return patient.aws.s3.list_objects_v2(Bucket=patient.p.bucket, Prefix=key, MaxKeys=1).get("KeyCount", 0) > 0


def _root(patient: Patient) -> str:
    below = patient.variables.get("REGISTRY_STORAGE_S3_ROOTDIRECTORY", "/").strip("/\"'")
    return f"{below}/{_ROOT}" if below else _ROOT

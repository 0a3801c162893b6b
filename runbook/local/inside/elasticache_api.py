"""ElastiCache inside moto: what its API answers, of replication groups as of the parameter groups that moto lacks."""

import functools

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.core.responses import ActionResult, EmptyResult, PaginatedResult
from moto.ec2.models import ec2_backends
from moto.elasticache.models import ElastiCacheBackend as Backend
from moto.elasticache.models import elasticache_backends
from moto.elasticache.responses import ElastiCacheResponse as Response

from .cache_parameters import FAMILIES, FULL_VERSIONS, ParameterGroup
from .dispatch import Refused
from .elasticache import PORT, Group, parameter_groups


def install() -> None:
    """Put the answers below in the place of moto's; a second call changes nothing."""
    if hasattr(Backend.list_tags_for_resource, "__wrapped__"):
        return
    for name in ("list_tags_for_resource", "add_tags_to_resource", "remove_tags_from_resource"):
        setattr(Backend, name, _tags_when_available(name))
    for function in (
        *(_create_replication_group, _describe_replication_groups, _modify_replication_group),
        *(_delete_replication_group, _describe_cache_clusters, _delete_cache_subnet_group),
        _modify_cache_subnet_group,
        *(_create_cache_parameter_group, _describe_cache_parameter_groups, _modify_cache_parameter_group),
        *(_delete_cache_parameter_group, _describe_cache_parameters),
    ):
        setattr(Response, function.__name__[1:], function)


# replication groups


def _create_replication_group(self: Response) -> ActionResult:
    backend, sent = self.elasticache_backend, self._get_params()
    engine = sent.get("Engine", "redis").lower()
    version = sent.get("EngineVersion") or next(iter(FAMILIES[engine]))
    group = Group(
        region=self.region,
        name=sent["ReplicationGroupId"].lower(),
        description=sent["ReplicationGroupDescription"],
        engine=engine,
        version=version,
        node_type=sent["CacheNodeType"],
        parameter_group=sent.get("CacheParameterGroupName") or f"default.{FAMILIES[engine][version]}",
        subnet_group=sent.get("CacheSubnetGroupName") or "default",
        security_groups=sent.get("SecurityGroupIds") or [],
        tls=_true(sent.get("TransitEncryptionEnabled")),
        at_rest=_true(sent.get("AtRestEncryptionEnabled")),
        auto_minor_version_upgrade=_true(sent.get("AutoMinorVersionUpgrade", True)),
        snapshot_retention=int(sent.get("SnapshotRetentionLimit") or 0),
        port=int(sent.get("Port") or PORT),
        kms_key=sent.get("KmsKeyId"),
        auth_token=sent.get("AuthToken"),
    )
    if group.name in backend.replication_groups:
        raise Refused("ReplicationGroupAlreadyExists", f"Replication group {group.name} already exists.")
    if sent.get("Tags"):
        backend.tagging_service.tag_resource(group.arn, sent["Tags"])
    backend.replication_groups[group.name] = group
    return ActionResult({"ReplicationGroup": _shown(group)})


def _describe_replication_groups(self: Response) -> ActionResult:
    asked = self._get_param("ReplicationGroupId")
    backend = self.elasticache_backend
    found = [_group(backend, asked)] if asked else list(backend.replication_groups.values())
    return PaginatedResult({"ReplicationGroups": [_shown(group) for group in found]})


def _modify_replication_group(self: Response) -> ActionResult:
    backend, sent = self.elasticache_backend, self._get_params()
    group = _group(backend, sent["ReplicationGroupId"])
    _require_available(group, "modification")
    for key, name in (
        ("ReplicationGroupDescription", "description"),
        ("CacheParameterGroupName", "parameter_group"),
        ("SecurityGroupIds", "security_groups"),
    ):
        if sent.get(key):
            setattr(group, name, sent[key])
    if sent.get("AutoMinorVersionUpgrade") is not None:
        group.auto_minor_version_upgrade = _true(sent["AutoMinorVersionUpgrade"])
    if sent.get("SnapshotRetentionLimit") is not None:
        group.snapshot_retention = int(sent["SnapshotRetentionLimit"])
    for key, name in (("CacheNodeType", "node_type"), ("EngineVersion", "version")):
        if sent.get(key) and sent[key] != getattr(group, name):
            if _true(sent.get("ApplyImmediately")):
                setattr(group, name, sent[key])
            else:
                group.pending[key] = sent[key]  # until the maintenance window, which never comes here
    group.status = "modifying"
    return ActionResult({"ReplicationGroup": _shown(group)})


def _delete_replication_group(self: Response) -> ActionResult:
    group = _group(self.elasticache_backend, self._get_param("ReplicationGroupId"))
    _require_available(group, "deletion")
    group.status = "deleting"
    return ActionResult({"ReplicationGroup": _shown(group)})


def _group(backend: Backend, name: str) -> Group:
    group = backend.replication_groups.get(name.lower())
    if group is None:
        raise Refused("ReplicationGroupNotFoundFault", f"ReplicationGroup {name} not found.", 404)
    return group


def _require_available(group: Group, what: str) -> None:
    if group.status != "available":
        raise Refused(
            "InvalidReplicationGroupState",
            f"Replication group {group.name} has status {group.status} which is not valid for {what}.",
        )


def _shown(group: Group) -> dict:
    """As DescribeReplicationGroups has it: no endpoint before the group is available for the first time."""
    shown = {
        "ReplicationGroupId": group.name,
        "Description": group.description,
        "Status": group.status,
        "PendingModifiedValues": {},
        "MemberClusters": [group.member],
        "NodeGroups": [],
        "AutomaticFailover": "disabled",
        "MultiAZ": "disabled",
        "SnapshotRetentionLimit": group.snapshot_retention,
        "SnapshotWindow": "01:00-02:00",
        "ClusterEnabled": False,
        "ClusterMode": "disabled",
        "CacheNodeType": group.node_type,
        "AuthTokenEnabled": group.auth_token is not None,
        "TransitEncryptionEnabled": group.tls,
        "AtRestEncryptionEnabled": group.at_rest,
        "ARN": group.arn,
        "ReplicationGroupCreateTime": group.created,
        "DataTiering": "disabled",
        "AutoMinorVersionUpgrade": group.auto_minor_version_upgrade,
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
        "Engine": group.engine,
    }
    if group.tls:
        shown["TransitEncryptionMode"] = "required"
    if group.kms_key:
        shown["KmsKeyId"] = group.kms_key
    if group.status != "creating":
        ends = {what: {"Address": group.endpoint(what), "Port": group.port} for what in ("primary", "reader", "node")}
        member = {
            "CacheClusterId": group.member,
            "CacheNodeId": "0001",
            "ReadEndpoint": ends["node"],
            "PreferredAvailabilityZone": _zone(group),
            "CurrentRole": "primary",
        }
        shown["NodeGroups"] = [
            {
                "NodeGroupId": "0001",
                "Status": group.status,
                "PrimaryEndpoint": ends["primary"],
                "ReaderEndpoint": ends["reader"],
                "NodeGroupMembers": [member],
            }
        ]
    return shown


def _zone(group: Group) -> str:
    kept = elasticache_backends[ACCOUNT][group.region].cache_subnet_groups.get(group.subnet_group)
    subnets = ec2_backends[ACCOUNT][group.region].describe_subnets(kept.subnet_ids if kept else None)
    return subnets[0].availability_zone


def _describe_cache_clusters(self: Response) -> ActionResult:
    asked, nodes = self._get_param("CacheClusterId"), self._get_bool_param("ShowCacheNodeInfo")
    found = list(self.elasticache_backend.replication_groups.values())
    if asked:
        found = [group for group in found if group.member == asked]
        if not found:
            raise Refused("CacheClusterNotFound", f"CacheCluster {asked} not found.", 404)
    return PaginatedResult({"CacheClusters": [_shown_member(group, bool(nodes)) for group in found]})


def _shown_member(group: Group, nodes: bool) -> dict:
    node = {
        "CacheNodeId": "0001",
        "CacheNodeStatus": group.status,
        "CacheNodeCreateTime": group.created,
        "Endpoint": {"Address": group.endpoint("node"), "Port": group.port},
        "ParameterGroupStatus": "in-sync",
        "CustomerAvailabilityZone": _zone(group),
    }
    applied = {"CacheParameterGroupName": group.parameter_group, "ParameterApplyStatus": "in-sync"}
    return {
        "CacheClusterId": group.member,
        "CacheNodeType": group.node_type,
        "Engine": group.engine,
        "EngineVersion": FULL_VERSIONS[group.engine, group.version],
        "CacheClusterStatus": group.status,
        "NumCacheNodes": 1,
        "PreferredAvailabilityZone": _zone(group),
        "CacheClusterCreateTime": group.created,
        "PendingModifiedValues": group.pending,
        "CacheSecurityGroups": [],
        "CacheParameterGroup": applied | {"CacheNodeIdsToReboot": []},
        "CacheSubnetGroupName": group.subnet_group,
        "CacheNodes": [node] if nodes and group.status != "creating" else [],
        "AutoMinorVersionUpgrade": group.auto_minor_version_upgrade,
        "SecurityGroups": [{"SecurityGroupId": each, "Status": "active"} for each in group.security_groups],
        "ReplicationGroupId": group.name,
        "SnapshotRetentionLimit": group.snapshot_retention,
        "AuthTokenEnabled": group.auth_token is not None,
        "TransitEncryptionEnabled": group.tls,
        "AtRestEncryptionEnabled": group.at_rest,
        "ARN": f"arn:aws:elasticache:{group.region}:{ACCOUNT}:cluster:{group.member}",
        "NetworkType": "ipv4",
        "IpDiscovery": "ipv4",
    }


def _delete_cache_subnet_group(self: Response) -> ActionResult:
    backend, name = self.elasticache_backend, self._get_param("CacheSubnetGroupName")
    if name not in backend.cache_subnet_groups:
        raise Refused("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {name} does not exist.")
    if any(group.subnet_group == name for group in backend.replication_groups.values()):
        raise Refused("CacheSubnetGroupInUse", f"Cache subnet group {name} is currently in use by a cache cluster.")
    backend.tagging_service.delete_all_tags_for_resource(backend.cache_subnet_groups.pop(name).arn)
    return EmptyResult()


def _modify_cache_subnet_group(self: Response) -> ActionResult:
    """moto lacks it. A cache's node stands in the first of the subnets, which cannot go then."""
    backend, name, wanted = (
        self.elasticache_backend,
        self._get_param("CacheSubnetGroupName"),
        self._get_param("SubnetIds"),
    )
    if name not in backend.cache_subnet_groups:
        raise Refused("CacheSubnetGroupNotFoundFault", f"Cache Subnet Group {name} does not exist.")
    group = backend.cache_subnet_groups[name]
    used = any(cache.subnet_group == name for cache in backend.replication_groups.values())
    if used and group.subnet_ids[0] not in wanted:
        raise Refused("SubnetInUse", f"The subnet ID {group.subnet_ids[0]} is in use.")
    by_id = {subnet["subnet_identifier"]: subnet for subnet in group.subnets}
    found = ec2_backends[ACCOUNT][self.region].describe_subnets(wanted)
    group.subnets = [by_id.get(subnet.id) or _subnet(subnet) for subnet in found]
    group.subnet_ids = sorted(wanted, key=lambda each: each != group.subnet_ids[0])
    return ActionResult({"CacheSubnetGroup": group})


def _subnet(subnet) -> dict:
    zone = {"subnet_availability_zone": subnet.availability_zone, "supported_network_types": ["ipv4"]}
    return {"subnet_identifier": subnet.id, **zone}


def _tags_when_available(name: str):
    """Tags can be read and written of an available replication group alone, and of parameter groups, too.

    https://github.com/hashicorp/terraform-provider-aws/issues/33859
    """
    plain = getattr(Backend, name)

    @functools.wraps(plain)
    def of_tags(self: Backend, arn: str, *args):
        group = self.replication_groups.get(arn.rpartition(":")[2]) if ":replicationgroup:" in arn else None
        if group and group.status != "available":
            raise Refused(
                "InvalidReplicationGroupState", "Cluster not in available state to perform tagging operations."
            )
        if ":parametergroup:" in arn and name == "list_tags_for_resource":
            return self.tagging_service.list_tags_for_resource(arn)
        return plain(self, arn, *args)

    return of_tags


# parameter groups


def _create_cache_parameter_group(self: Response) -> ActionResult:
    backend, sent = self.elasticache_backend, self._get_params()
    known, name = parameter_groups(backend), sent["CacheParameterGroupName"].lower()
    if name in known:
        raise Refused("CacheParameterGroupAlreadyExists", f"Parameter group {name} already exists")
    group = known[name] = ParameterGroup(self.region, name, sent["CacheParameterGroupFamily"], sent["Description"])
    if sent.get("Tags"):
        backend.tagging_service.tag_resource(group.arn, sent["Tags"])
    return ActionResult({"CacheParameterGroup": group.shown()})


def _describe_cache_parameter_groups(self: Response) -> ActionResult:
    asked = self._get_param("CacheParameterGroupName")
    known = parameter_groups(self.elasticache_backend)
    found = [_parameter_group(self.elasticache_backend, asked)] if asked else list(known.values())
    return PaginatedResult({"CacheParameterGroups": [group.shown() for group in found]})


def _modify_cache_parameter_group(self: Response) -> ActionResult:
    name = self._get_param("CacheParameterGroupName")
    group = _parameter_group(self.elasticache_backend, name)
    for each in self._get_param("ParameterNameValues", []):
        group.changed[each["ParameterName"]] = each["ParameterValue"]
    return ActionResult({"CacheParameterGroupName": name})


def _delete_cache_parameter_group(self: Response) -> ActionResult:
    backend, name = self.elasticache_backend, self._get_param("CacheParameterGroupName")
    group = _parameter_group(backend, name)
    if any(each.parameter_group == name for each in backend.replication_groups.values()):
        raise Refused(
            "InvalidCacheParameterGroupState",
            f"One or more Cache Clusters are still members of this parameter group {name}, so the group cannot be "
            "deleted.",
        )
    del parameter_groups(backend)[name]
    backend.tagging_service.delete_all_tags_for_resource(group.arn)
    return EmptyResult()


def _describe_cache_parameters(self: Response) -> ActionResult:
    group = _parameter_group(self.elasticache_backend, self._get_param("CacheParameterGroupName"))
    source = self._get_param("Source")
    found = [each for each in group.parameters() if source in (None, each["Source"])]
    return PaginatedResult({"Parameters": found, "CacheNodeTypeSpecificParameters": []})


def _parameter_group(backend: Backend, name: str) -> ParameterGroup:
    group = parameter_groups(backend).get(name.lower())
    if group is None:
        raise Refused("CacheParameterGroupNotFound", f"CacheParameterGroup {name} not found.", 404)
    return group


def _true(value: object) -> bool:
    return str(value).lower() == "true"

"""Lists inside moto come in pages of AWS's sizes; moto gives all at once."""

import functools

from moto.core.responses import ActionResult, BaseResponse
from moto.route53.responses import Route53

# (service, operation) → the list in the answer, how many a page has when nobody says, and the parameter that says it.
# Sources: the API references, "maxResults": "… returns up to … results".
SIZES = {
    ("ecs", "ListClusters"): ("clusterArns", 100, "maxResults"),
    ("ecs", "ListContainerInstances"): ("containerInstanceArns", 100, "maxResults"),
    ("ecs", "ListServices"): ("serviceArns", 10, "maxResults"),
    ("ecs", "ListTaskDefinitions"): ("taskDefinitionArns", 100, "maxResults"),
    ("ecs", "ListTasks"): ("taskArns", 100, "maxResults"),
}
ZONES = 100  # ListHostedZonesByName, MaxItems


def install() -> None:
    """Cut what moto answers from now on; a second call changes nothing."""
    if hasattr(BaseResponse.serialized, "__wrapped__"):
        return
    BaseResponse.serialized = _paged(BaseResponse.serialized)
    Route53.list_hosted_zones_by_name = _zones_paged(Route53.list_hosted_zones_by_name)


def _paged(plain):
    @functools.wraps(plain)
    def serialized(self, action_result: ActionResult):
        found = SIZES.get((self.service_name, self._get_action())) if isinstance(action_result.result, dict) else None
        if found and found[0] in action_result.result:
            key, size, most = found
            begin, size = int(self._get_param("nextToken") or 0), int(self._get_param(most) or size)
            items = list(action_result.result[key])
            answer = {**action_result.result, key: items[begin : begin + size]}
            if begin + size < len(items):
                answer["nextToken"] = str(begin + size)
            action_result = ActionResult(answer)
        return plain(self, action_result)

    return serialized


def _zones_paged(plain):
    @functools.wraps(plain)
    def list_hosted_zones_by_name(self):
        answer = plain(self).result
        size = int(self._get_param("MaxItems") or ZONES)
        zones = list(answer["HostedZones"])
        begin = next((k for k, zone in enumerate(zones) if _id(zone) == self._get_param("HostedZoneId")), 0)
        cut = {"HostedZones": zones[begin : begin + size], "MaxItems": str(size), "IsTruncated": False}
        if begin + size < len(zones):
            following = zones[begin + size]
            cut |= {"IsTruncated": True, "NextDNSName": following.name, "NextHostedZoneId": _id(following)}
        return ActionResult(answer | cut)

    return list_hosted_zones_by_name


def _id(zone) -> str:
    return zone.id.removeprefix("/hostedzone/")

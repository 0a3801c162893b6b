"""ECS inside moto: the answers of the API that moto drops, makes up or gets wrong, as AWS gives them."""

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ECSException, InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend as Backend
from moto.ecs.responses import EC2ContainerServiceResponse as Response

from . import ecs, ecs_capacity, ecs_services, ecs_tasks

_original = {}


def patch() -> None:
    """Put our answers in the place of moto's; a second call changes nothing."""
    if _original:
        return
    _original["call_action"], _original["create_cluster"] = Response.call_action, Backend.create_cluster
    _original["describe_clusters"] = Response.describe_clusters
    _original["describe_container_instances"] = Backend.describe_container_instances
    for function in (
        *(_call_action, _describe_clusters, ecs_services._create_service),
        *(ecs_tasks._run_task, ecs_tasks._start_task, ecs_tasks._describe_tasks),
        *(ecs_capacity._create_capacity_provider, ecs_capacity._describe_capacity_providers),
    ):
        setattr(Response, function.__name__[1:], function)
    for function in (
        *(_create_cluster, _list_clusters, _delete_cluster),
        *(_describe_container_instances, _deregister_container_instance),
        *(ecs_services._list_services, ecs_services._update_service, ecs_services._delete_service),
        *(ecs_tasks._list_tasks, ecs_tasks._stop_task),
        *(ecs_capacity._update_capacity_provider, ecs_capacity._delete_capacity_provider),
        ecs_capacity._put_cluster_capacity_providers,
    ):
        setattr(Backend, function.__name__[1:], function)


def _call_action(self: Response):
    with ecs.LOCK:
        return _original["call_action"](self)


def _create_cluster(self: Backend, cluster_name: str, *args, **kwargs):
    """Of one that is ACTIVE: that one, as it is (moto makes it anew)."""
    cluster = self.clusters.get(cluster_name)
    if cluster is None or cluster.status != "ACTIVE":
        cluster = _original["create_cluster"](self, cluster_name, *args, **kwargs)
        names, strategy = cluster.capacity_providers or [], cluster.default_capacity_provider_strategy or []
        cluster.capacity_providers, cluster.default_capacity_provider_strategy = [], []
        try:
            self.put_cluster_capacity_providers(cluster_name, names, strategy)
        except ECSException:
            del self.clusters[cluster_name]
            raise
    return cluster


def _list_clusters(self: Backend) -> list[str]:
    return [cluster.arn for cluster in self.clusters.values() if cluster.status != "INACTIVE"]


def _describe_clusters(self: Response) -> ActionResult:
    """Settings, configuration and tags only where `include` asks for them, as AWS."""
    include = self._get_param("include") or []
    shown = "DescribeClustersResponse.clusters.Cluster."
    for word, field in (("SETTINGS", "settings"), ("CONFIGURATIONS", "configuration")):
        answer = self._include_in_response if word in include else self._exclude_from_response
        answer(shown + field)
    return _original["describe_clusters"](self)


def _delete_cluster(self: Backend, cluster_str: str):
    cluster = self._get_cluster(cluster_str)
    if ecs.services(self, cluster):
        raise ECSException(
            "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active."
        )
    if self.container_instances.get(cluster.name):
        raise ECSException(
            "ClusterContainsContainerInstancesException",
            "The Cluster cannot be deleted while Container Instances are active or draining.",
        )
    if ecs.alive(ecs.tasks(self, cluster=cluster.name)):
        raise ECSException("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
    cluster.status = "INACTIVE"
    cluster.capacity_providers, cluster.default_capacity_provider_strategy = [], []
    return cluster


def _describe_container_instances(self: Backend, cluster_str: str, list_container_instance_ids: list[str]) -> tuple:
    self.container_instances.setdefault(self._get_cluster(cluster_str).name, {})  # moto fails where none ever was
    found, failures = _original["describe_container_instances"](self, cluster_str, list_container_instance_ids)
    for instance in found:
        instance.capacity_provider_name = ecs_capacity.provider_of(self, instance)
    return found, failures


def _deregister_container_instance(self: Backend, cluster_str: str, container_instance_str: str, force: bool):
    """The scheduler stops the tasks of an instance that is no longer there."""
    cluster = self._get_cluster(cluster_str)
    identity = container_instance_str.split("/")[-1]
    instance = self.container_instances.get(cluster.name, {}).get(identity)
    if instance is None:
        raise InvalidParameterException(f"Referenced container instance {identity} not found.")
    arns = [task.container_instance_arn for task in ecs.alive(ecs.tasks(self, cluster=cluster.name))]
    if instance.container_instance_arn in arns and not force:
        raise InvalidParameterException("Found running tasks on the instance.")
    del self.container_instances[cluster.name][identity]
    instance.status, instance.agent_connected = "INACTIVE", False
    ecs.count(self)
    return instance

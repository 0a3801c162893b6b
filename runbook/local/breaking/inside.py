"""Breaks behind the balancer: tasks, configuration, credentials, S3, the cache."""

import json

from passlib.hash import apr_md5_crypt

from ... import elasticache, htpasswd, identity, image, roles, rollout, ssm, vpc
from ...params import Params
from ...registry_api import Client, push, said
from ...running import running_nodes
from ...secret import Secret
from ...secretsmanager import find_secret, write_secret
from ...session import AWS
from ...wait import wait
from .. import state
from .edits import change, drop_secret, redefine, roll_back, roll_out, variables
from .frame import Break

_SECONDS = 300
_CACHE_SECONDS = 120
_STALE = "runbook/stale"


# what a new revision brings


def _no_http_secret(aws: AWS, p: Params) -> None:
    roll_out(aws, p, lambda _, registry: drop_secret(registry, "REGISTRY_HTTP_SECRET"))


def _files(aws: AWS, p: Params) -> None:
    def edit(_: dict, registry: dict) -> None:
        kept = {name: value for name, value in variables(registry).items() if not name.startswith("REGISTRY_STORAGE")}
        registry["environment"] = [{"name": name, "value": value} for name, value in kept.items()]

    roll_out(aws, p, edit)


def _unknown_region(aws: AWS, p: Params) -> None:
    roll_back(aws, p, change(REGISTRY_STORAGE_S3_REGION=f"{p.region}x"))


def _two_storages(aws: AWS, p: Params) -> None:
    roll_back(aws, p, change(REGISTRY_STORAGE=None))


def _misspelt(aws: AWS, p: Params) -> None:
    roll_out(aws, p, change(REGISTRY_LOG_LEVL="debug"))


def _other_path(aws: AWS, p: Params) -> None:
    """Registry 3's path for a registry 2, whichever the other is."""

    def edit(_: dict, registry: dict) -> None:
        registry["command"] = ["/etc/distribution/config.yml"]

    roll_back(aws, p, edit)


def _no_htpasswd_file(aws: AWS, p: Params) -> None:
    """Nobody writes it before the registry starts, which may write one itself, as in a plain `docker run`."""

    def edit(task: dict, registry: dict) -> None:
        task["containerDefinitions"] = [registry]
        del registry["dependsOn"]
        for mount in registry["mountPoints"]:
            mount["readOnly"] = False
        registry["user"] = "0:0"

    roll_out(aws, p, edit)


def _htpasswd_program(aws: AWS, p: Params) -> None:
    """The blog's step 3, at the start of the container."""

    def edit(_: dict, registry: dict) -> None:
        make = 'set -e; htpasswd -Bbc /auth/htpasswd testuser "$PASSWORD"; exec /entrypoint.sh'
        registry |= {"entryPoint": ["/bin/sh", "-c"], "command": [f"{make} {registry['command'][0]}"]}

    roll_back(aws, p, edit)


def _ends_by_itself(aws: AWS, p: Params) -> None:
    nowhere = {"REGISTRY_HTTP_TLS_CERTIFICATE": "/tls/cert.pem", "REGISTRY_HTTP_TLS_KEY": "/tls/key.pem"}
    roll_back(aws, p, change(**nowhere))


def _no_redis_section(aws: AWS, p: Params) -> None:
    roll_back(aws, p, change(REGISTRY_REDIS=None))


# credentials


def _task_role(aws: AWS, p: Params) -> None:
    """The task's role alone may use the bucket, and registry 2 does not ask for it."""
    made = identity.want_identity(p.model_copy(update={"credentials": "task-role"}), account=aws.account)
    roles.ensure_role(aws, p, made)
    arn = aws.iam.get_role(RoleName=p.task_role)["Role"]["Arn"]
    aws.iam.delete_role_policy(RoleName=p.node_role, PolicyName=roles.INLINE)

    def edit(task: dict, _: dict) -> None:
        task["taskRoleArn"] = arn

    redefine(aws, p, edit)
    _until_unhealthy(aws, p)


def _without_task_role(aws: AWS, p: Params) -> None:
    roles.destroy_role(aws, p, p.task_role)


def _one_hop(aws: AWS, p: Params) -> None:
    """A container is two hops from the metadata service. What a registry was lent lasts for a while: new ones show."""
    for node in running_nodes(aws, p):
        aws.ec2.modify_instance_metadata_options(InstanceId=node.id, HttpTokens="required", HttpPutResponseHopLimit=1)
    _redeploy(aws, p)
    _until_unhealthy(aws, p)


def _two_hops(aws: AWS, p: Params) -> None:
    for node in running_nodes(aws, p):
        aws.ec2.modify_instance_metadata_options(InstanceId=node.id, HttpTokens="required", HttpPutResponseHopLimit=2)
    _until_healthy(aws, p)


def _no_multipart(aws: AWS, p: Params) -> None:
    """The policy that people write first: it reads and lists."""
    bucket = f"arn:aws:s3:::{p.bucket}"
    looking = [roles.allow(["s3:ListBucket"], bucket), roles.allow(["s3:GetObject"], f"{bucket}/*")]
    document = json.dumps(roles.policy(*looking))
    aws.iam.put_user_policy(UserName=p.user_name, PolicyName=roles.INLINE, PolicyDocument=document)
    _until_push_fails(aws, p)


def _no_secrets_for_execution(aws: AWS, p: Params) -> None:
    found = roles.find_role(aws, p, p.execution_role)
    kept = [
        each for each in found["InlinePolicy"]["Statement"] if "secretsmanager:GetSecretValue" not in each["Action"]
    ]
    document = json.dumps({**found["InlinePolicy"], "Statement": kept})
    aws.iam.put_role_policy(RoleName=p.execution_role, PolicyName=roles.INLINE, PolicyDocument=document)
    _redeploy(aws, p)

    def look():
        stopped = rollout.tasks(aws, p, "STOPPED")
        reasons = [each.get("stoppedReason", "") for each in stopped if each["lastStatus"] == "STOPPED"]
        return any("ResourceInitializationError" in each for each in reasons) or None, f"{len(reasons)} stopped"

    wait("a task that gets no secrets", look, timeout=_SECONDS)


def _other_hash(aws: AWS, p: Params) -> None:
    """The lines as `htpasswd` without -B makes them, delivered as the runbook delivers them."""
    logins = htpasswd.logins(aws, p)
    lines = "\n".join(f"{each.user}:{apr_md5_crypt.hash(each.password.reveal())}" for each in logins)
    write_secret(aws, p, p.htpasswd_secret, Secret(lines), f"htpasswd of deployment {p.name}")
    version = find_secret(aws, p, p.htpasswd_secret)["VersionId"]
    nodes = {node.name: node.id for node in running_nodes(aws, p)}
    ssm.run(aws, "htpasswd file", nodes, htpasswd.delivery(p, version=version))
    aws.ec2.create_tags(Resources=list(nodes.values()), Tags=[{"Key": p.htpasswd_tag, "Value": version}])

    def look():
        with aws.http() as http:
            answer = said(Client(http, p, logins[0]).send("GET", "/v2/"))
        return answer.startswith("401") or None, f"GET /v2/ answers {answer}"

    wait("a refused login", look, timeout=_SECONDS)


# the bucket


def _denied(aws: AWS, p: Params) -> None:
    found = json.loads(aws.s3.get_bucket_policy(Bucket=p.bucket)["Policy"])
    bucket = f"arn:aws:s3:::{p.bucket}"
    user = aws.iam.get_user(UserName=p.user_name)["User"]["Arn"]
    deny = {"Sid": "Broken", "Effect": "Deny", "Principal": {"AWS": user}, "Action": "s3:*"}
    found["Statement"].append({**deny, "Resource": [bucket, f"{bucket}/*"]})
    aws.s3.put_bucket_policy(Bucket=p.bucket, Policy=json.dumps(found))
    _until_unhealthy(aws, p)


def _open_again(aws: AWS, p: Params) -> None:
    found = json.loads(aws.s3.get_bucket_policy(Bucket=p.bucket)["Policy"])
    found["Statement"] = [each for each in found["Statement"] if each.get("Sid") != "Broken"]
    aws.s3.put_bucket_policy(Bucket=p.bucket, Policy=json.dumps(found))
    _until_healthy(aws, p)


def _unfinished(aws: AWS, p: Params) -> None:
    aws.s3.delete_bucket_lifecycle(Bucket=p.bucket)
    for _ in range(3):
        aws.s3.create_multipart_upload(Bucket=p.bucket, Key="docker/registry/v2/repositories/x/_uploads/x/data")


def _finish(aws: AWS, p: Params) -> None:
    for each in aws.s3.all("list_multipart_uploads", "Uploads", Bucket=p.bucket):
        aws.s3.abort_multipart_upload(Bucket=p.bucket, Key=each["Key"], UploadId=each["UploadId"])


def _throttle(aws: AWS, p: Params) -> None:
    state.throttled(state.home()).touch()
    login = htpasswd.logins(aws, p)[0]

    def look():
        with aws.http() as http:
            answer = said(Client(http, p, login).send("POST", f"/v2/{image.REPOSITORY}/blobs/uploads/"))
        found = aws.logs.all("filter_log_events", "events", logGroupName=p.log_group)
        logged = any("SlowDown" in each["message"] for each in found)
        return logged or None, f"an upload that begins gets {answer}"

    wait("a push that S3 throttles", look, timeout=_SECONDS)


def _no_throttle(aws: AWS, p: Params) -> None:
    """With new registries: the log of the old ones tells of it for some minutes more."""
    state.throttled(state.home()).unlink(missing_ok=True)
    _redeploy(aws, p)


# the cache


def _cache_with_tls(aws: AWS, p: Params) -> None:
    """As a console makes one: encrypted in transit."""
    group = aws.elasticache.describe_replication_groups(ReplicationGroupId=p.cache_name)["ReplicationGroups"][0]
    aws.elasticache.delete_replication_group(ReplicationGroupId=p.cache_name)
    wait(
        f"end of cache {p.cache_name}",
        lambda: (elasticache.describe(aws, p) is None or None, "deleting"),
        timeout=_CACHE_SECONDS,
    )
    aws.elasticache.create_replication_group(
        ReplicationGroupId=p.cache_name,
        ReplicationGroupDescription=group["Description"],
        Engine="valkey",
        CacheNodeType=group["CacheNodeType"],
        NumCacheClusters=1,
        AutomaticFailoverEnabled=False,
        CacheParameterGroupName=p.cache_name,
        CacheSubnetGroupName=p.cache_name,
        SecurityGroupIds=[vpc.group_id(aws, p, p.cache_name)],
        AtRestEncryptionEnabled=True,
        TransitEncryptionEnabled=True,
        Tags=[{"Key": key, "Value": value} for key, value in p.tags.items()],
    )

    def look():
        found = elasticache.describe(aws, p)
        status = found["Status"] if found else "absent"
        return status == "available" or None, status

    wait(f"cache {p.cache_name}", look, timeout=_CACHE_SECONDS)


def _stale_descriptors(aws: AWS, p: Params) -> None:
    """A garbage collection that took a blob and flushed no cache."""
    made = image.make(layers=1, size=64 * 1024, seed=_STALE)
    login = htpasswd.logins(aws, p)[0]
    blob = made.layers[0]
    path = f"/v2/{_STALE}/blobs/{image.digest(blob)}"
    with aws.http() as http:
        client = Client(http, p, login)
        answer = client.call("POST", f"/v2/{_STALE}/blobs/uploads/")
        push(client, blob, len(blob), [answer])
        client.call("HEAD", path)
    name = image.digest(blob).removeprefix("sha256:")
    aws.s3.delete_object(Bucket=p.bucket, Key=f"docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data")


def _without_stale(aws: AWS, p: Params) -> None:
    for each in aws.s3.all(
        "list_objects_v2", "Contents", Bucket=p.bucket, Prefix=f"docker/registry/v2/repositories/{_STALE}/"
    ):
        aws.s3.delete_object(Bucket=p.bucket, Key=each["Key"])


# what they wait for


def _redeploy(aws: AWS, p: Params) -> None:
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, forceNewDeployment=True)


def _until_unhealthy(aws: AWS, p: Params) -> None:
    """The registry's storage health check has failed three times, ten seconds apart."""
    wait("a registry without its storage", lambda: _answers(aws, p, "503"), timeout=_SECONDS)


def _until_healthy(aws: AWS, p: Params) -> None:
    """The balancer has noticed, too."""
    wait("a registry with its storage", lambda: _answers(aws, p, "200"), timeout=_SECONDS)


def _answers(aws: AWS, p: Params, status: str) -> tuple[bool | None, str]:
    with aws.http() as http:
        answer = said(Client(http, p).send("GET", "/"))
    return answer.startswith(status) or None, f"GET / answers {answer}"


def _until_push_fails(aws: AWS, p: Params) -> None:
    login = htpasswd.logins(aws, p)[0]

    def look():
        with aws.http() as http:
            answer = said(Client(http, p, login).send("POST", f"/v2/{image.REPOSITORY}/blobs/uploads/"))
        return not answer.startswith("2") or None, f"an upload that begins gets {answer}"

    wait("a push that fails", look, timeout=_SECONDS)


BREAKS: dict[int, Break] = {
    1: Break("production", _no_http_secret, "The registries are replaced by some without a shared http secret."),
    2: Break("production", _files, "The registries are replaced by some that store in files of their own."),
    5: Break("blog", _denied, "The bucket's policy denies everything to the registry's user.", _open_again),
    8: Break("blog", _no_multipart, "The policy of the registry's user only reads and lists."),
    9: Break("production", _task_role, "Only the task's role may use the bucket, and the image is registry 2.",
             _without_task_role),
    10: Break("production", _one_hop, "The nodes' metadata service answers over one hop only.", _two_hops),
    11: Break("blog", _unknown_region, "The registry is told a region that its driver does not know."),
    13: Break("blog", _two_storages, "REGISTRY_STORAGE is taken away: files of the image and S3 are both configured."),
    14: Break("blog", _misspelt, "REGISTRY_LOG_LEVL is set, for REGISTRY_LOG_LEVEL."),
    15: Break("blog", _other_path, "The command names the configuration file of the other version."),
    16: Break("blog", _other_hash, "The htpasswd file has lines that are not bcrypt."),
    17: Break("production", _no_htpasswd_file, "Nobody writes the htpasswd file before the registry starts."),
    18: Break("blog", _htpasswd_program, "The container makes its line with the image's htpasswd program."),
    21: Break("blog", _no_secrets_for_execution, "The execution role may not read the task's secrets."),
    22: Break("blog", _ends_by_itself, "A new revision ends by itself, for a reason that is no other failure here."),
    26: Break("production", _no_redis_section, "The redis section is taken from the configuration."),
    27: Break("production", _cache_with_tls, "The cache is made anew, with encryption in transit."),
    28: Break("production", _stale_descriptors, "A blob is taken from S3, and the cache is not told.", _without_stale),
    29: Break("blog", _unfinished, "The bucket's lifecycle rule is gone, and uploads were begun long ago.", _finish),
    30: Break("blog", _throttle, "S3 answers SlowDown to what the registry writes.", _no_throttle),
}  # fmt: skip
_NEEDS_3 = "needs a running registry 3, which is not installed here; the lint and its tests know it"
NOT_HERE: dict[int, str] = {
    12: f"regionendpoint without forcepathstyle {_NEEDS_3}",
    31: f"traces to localhost:4318 of 3.0.0 {_NEEDS_3}",
    33: "a known hole has no symptom; the lint and its tests know the versions",
}

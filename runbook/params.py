"""The parameters of one deployment: one frozen, strict model, from which `names` derives the names."""

import ipaddress
import re
from dataclasses import dataclass
from html import escape
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PrivateAttr,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from .names import Names
from .report import Document

# https://docs.aws.amazon.com/general/latest/gr/rande.html (standard partition)
_REGION = re.compile(
    r"(af|ap|ca|eu|il|me|mx|sa|us)-(central|north|south|east|west|northeast|southeast|northwest|southwest)-[1-9]"
)
# The regions of aws-sdk-go 1.15, with which registry 2.x is built; its S3 driver refuses to start in any other:
# https://github.com/distribution/distribution/issues/4614
DRIVER_REGIONS = {
    *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1"),
    *("eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
}
# 24 characters, so that `internal-` apart every derived name fits the 32 of a load balancer.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; no dots: they break TLS host names.
_BUCKET = re.compile(
    r"(?!xn--|sthree-|amzn-s3-demo-)[a-z0-9][a-z0-9-]{1,61}[a-z0-9](?<!-s3alias)(?<!--ol-s3)(?<!--x-s3)(?<!--table-s3)"
)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@sha256:[0-9a-f]{64})?"
)
# A name in Route 53 has at most 255 characters, and _runbook. stands before the domain in one:
# https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html
_LONGEST_DOMAIN = 246
# https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
_LONGEST_REQUESTED = 64
# Lines of 126 bytes at most, in a secret of 65,536:
# https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
_MOST_USERS = 500
_SOURCE = re.compile(r"generate|prompt|env:[A-Za-z_][A-Za-z0-9_]*|secretsmanager:[A-Za-z0-9/_+=.@-]{1,512}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
# Neither a control character nor half of a surrogate pair, which is no character of UTF-8.
_CHARACTER = r"[^\x00-\x1f\ud800-\udfff]"
_PAIR = rf"(?:(?![=\s]){_CHARACTER}){{1,128}}={_CHARACTER}{{1,256}}"
_ACM = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]+")
_FOLDER = re.compile(rf"(?!~[^/]){_CHARACTER}+")  # not ~NAME: that person's home may not be known here
_SNS = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")
_REALM = re.compile(rf'(?:(?!["\\]){_CHARACTER}){{1,120}}')
_TYPE = re.compile(r"[a-z0-9-]{1,32}\.[a-z0-9-]{1,32}")
_CACHE_TYPE = re.compile(r"cache\.[a-z0-9]{1,32}\.[a-z0-9]{1,32}")
_VPC = re.compile(rf"default|vpc-[0-9a-f]{{8,17}}|{_PAIR}")
_SUBNET = re.compile(rf"subnet-[0-9a-f]{{8,17}}|{_PAIR}")
# The characters that every service used here takes in a tag:
# https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
_TAG = re.compile(r"[A-Za-z0-9 +=._:/@-]*")
# Registry 3 before this release has known holes: CVE-2026-35172 and CVE-2026-33540 (3.0), CVE-2026-41888 (3.1.0).
_OLDEST_3 = (3, 1, 1)


@dataclass(frozen=True)
class _Matching:
    """A string that the pattern matches wholly, in the JSON schema too; `right` is what the error says."""

    pattern: re.Pattern
    right: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # JavaScript, in which editors match, has no (?P<name>…).
        return handler(core) | {"pattern": f"^({self.pattern.pattern.replace('(?P<', '(?<')})$"}

    def _check(self, value: str) -> str:
        if not self.pattern.fullmatch(value):
            raise ValueError(self.right)
        return value


def _domain(value: str) -> str:
    labels = value.split(".")
    if len(value) > _LONGEST_DOMAIN or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("a lower-case domain name such as registry.example.com, no trailing dot, no wildcard")
    return value


def _image(value: str) -> str:
    match = _IMAGE.fullmatch(value)
    if not match or not (match["tag"] or "@sha256:" in value) or match["tag"] == "latest":
        raise ValueError("an image with a pinned tag or digest, such as registry:2.8.3")
    return value


def _network(value: str) -> str:
    try:
        zoned = "%" in str(ipaddress.ip_network(value))  # fe80::%eth0 is of one computer
    except ValueError:
        zoned = True
    if zoned:
        raise ValueError("a network in CIDR form with no host bits, such as 203.0.113.0/24")
    return value


def _no_world(value: list[str]) -> list[str]:
    if any(ipaddress.ip_network(network).prefixlen == 0 for network in value):
        raise ValueError("the networks of those who must log in, never the whole world")
    return value


def _once(value: list[str]) -> list[str]:
    if len(set(value)) < len(value):
        raise ValueError("each one once")
    return value


def _users(value: dict[str, str]) -> dict[str, str]:
    for user, source in value.items():
        if not _USER.fullmatch(user):
            raise ValueError(f"user {user.partition(':')[0]!r}: letters, digits and . _ @ - only, at most 64")
        if not _SOURCE.fullmatch(source):
            raise ValueError(
                f"user {user}: where the password comes from (generate, prompt, env:NAME or secretsmanager:NAME), "
                "never the password itself"
            )
    return value


def _certificate(value: str) -> str:
    if value.startswith("arn:") and not _ACM.fullmatch(value) or not _FOLDER.fullmatch(value):
        raise ValueError("request, the ARN of an ACM certificate, or a folder in certbot's layout")
    return value


def _extra_tags(value: dict[str, str]) -> dict[str, str]:
    for key, text in value.items():
        if not 1 <= len(key) <= 128 or len(text) > 256 or not (_TAG.fullmatch(key) and _TAG.fullmatch(text)):
            raise ValueError(
                f"tag {key!r}: 1 to 128 letters, digits, spaces and + - = . _ : / @, its value at most 256"
            )
        if key.lower().startswith(("aws:", "runbook:")) or key == "Name":
            raise ValueError(f"tag {key!r}: aws: is reserved by AWS, runbook: and Name are set by the runbook")
    return value


_REGION_HINT = "a region of AWS's standard partition, such as eu-central-1"
_NAME_HINT = "1 to 24 lower-case letters, digits and single hyphens, a letter first, such as registry"
_BUCKET_HINT = "3 to 63 lower-case letters, digits and hyphens, not reserved by S3, such as example-registry"

Region = Annotated[str, _Matching(_REGION, _REGION_HINT)]
Name = Annotated[str, Field(max_length=24), _Matching(_NAME, _NAME_HINT)]
Bucket = Annotated[str, _Matching(_BUCKET, _BUCKET_HINT)]
Domain = Annotated[str, AfterValidator(_domain)]
Network = Annotated[str, AfterValidator(_network)]
Subnet = Annotated[str, _Matching(_SUBNET, "a subnet's id, or a tag of subnets as Key=Value")]


class Params(Names, BaseModel):
    """One deployment, immutable. Units are in each field's description."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cloud: Literal["embedded", "aws"] = Field(description="embedded: this computer; aws: the account of your login")
    region: Region = Field(description="AWS region")
    name: Name = Field(description="the deployment; stands in every name and tag")
    image: Annotated[str, AfterValidator(_image)] = Field("registry:2.8.3", description="container image, pinned")
    configured_by: Literal["environment", "image"] = Field(
        "environment",
        description="REGISTRY_* variables over the stock image, or the config.yml inside your own image",
    )
    realm: Annotated[str, _Matching(_REALM, 'up to 120 characters, none of them ", \\ or a line break')] = Field(
        description="realm of the 401 answer"
    )
    bucket: Bucket = Field(description="S3 bucket of the images")
    credentials: Literal["access-key", "instance-role", "task-role"] = Field(
        "access-key",
        description="what the registry shows S3: an IAM user's key, the nodes' role, the task's role (registry 3)",
    )
    nodes: int = Field(1, ge=1, le=20, description="EC2 instances; auto-scaling-group: the least")
    vpc: Annotated[str, _Matching(_VPC, "default, a VPC's id, or a tag of it as Key=Value")] = Field(
        "default", description="default, a VPC's id, or a tag of it as Key=Value"
    )
    node_subnets: Annotated[list[Subnet], AfterValidator(_once)] = Field(
        [], description="of the nodes and the cache: ids or tags (Key=Value), one subnet a zone; empty: the VPC's own"
    )
    balancer_subnets: Annotated[list[Subnet], AfterValidator(_once)] = Field(
        [], description="of the balancer: ids or tags (Key=Value), one public subnet a zone; empty: the VPC's own"
    )
    capacity: Literal["instances", "auto-scaling-group"] = Field(
        "instances",
        description="instances: a fixed number behind a classic balancer, fixed port; auto-scaling-group: grows and "
        "shrinks with the load, dynamic ports behind an application balancer",
    )
    max_nodes: int | None = Field(None, ge=1, le=20, description="auto-scaling-group: the most instances")
    instance_type: Annotated[str, _Matching(_TYPE, "an EC2 instance type, such as t3.small")] = Field(
        "t3.small", description="EC2 type"
    )
    ssh_from: Annotated[list[Network], AfterValidator(_no_world)] = Field(
        [], description="client networks that may reach port 22 (none needed)"
    )
    users: Annotated[dict[str, str], Field(min_length=1, max_length=_MOST_USERS), AfterValidator(_users)] = Field(
        description="user: where the password comes from"
    )
    bcrypt_cost: int = Field(10, ge=5, le=14, description="bcrypt cost; below 8 only if every password is generated")
    rotate_after: int = Field(
        90, ge=1, le=3650, description="days after which a key, a generated password or the http secret is due"
    )
    htpasswd: Literal["node-folder", "init-container"] = Field(
        "node-folder",
        description="node-folder: a file on each node, by Run Command; init-container: from Secrets Manager, at the "
        "start of each task",
    )
    replicas: int = Field(1, ge=1, le=20, description="tasks of the service; auto-scaling-group: the least")
    max_replicas: int | None = Field(None, ge=1, le=100, description="auto-scaling-group: the most tasks")
    target_cpu: int = Field(60, ge=10, le=90, description="auto-scaling-group: percent of the tasks' CPU to hold")
    target_requests: int = Field(
        600, ge=10, le=100_000, description="auto-scaling-group: requests a minute and task to hold"
    )
    cache: Literal["memory", "elasticache"] = Field(
        "memory", description="of blob descriptors: in each registry's memory, or shared in ElastiCache"
    )
    cache_node_type: Annotated[str, _Matching(_CACHE_TYPE, "a node type such as cache.t4g.micro")] = Field(
        "cache.t4g.micro", description="ElastiCache node type"
    )
    zone: Domain = Field(description="public hosted zone in Route 53")
    domain: Domain = Field(description="the registry's name, in the zone")
    certificate: Annotated[str, AfterValidator(_certificate)] = Field(
        description="request: from ACM, validated by a record in the zone; or an ACM certificate's ARN; or a folder "
        "with cert.pem, chain.pem, privkey.pem"
    )
    client_networks: Annotated[list[Network], Field(min_length=1)] = Field(
        ["0.0.0.0/0"], description="who may reach port 443"
    )
    idle_timeout: int = Field(300, ge=60, le=4000, description="seconds that the balancer lets a connection idle")
    deregistration_delay: int = Field(
        300, ge=0, le=3600, description="auto-scaling-group: seconds in which a leaving registry may finish requests"
    )
    deletion_protection: bool = Field(False, description="auto-scaling-group: the balancer refuses to be deleted")
    access_logs: Bucket | None = Field(
        None, description="auto-scaling-group: a bucket of yours that takes the balancer's access logs"
    )
    container_insights: bool = Field(False, description="CloudWatch Container Insights of the cluster")
    alarms: bool = Field(
        False, description="auto-scaling-group: alarms on unhealthy targets, answers of 5xx and full disks"
    )
    alarms_to: Annotated[str, _Matching(_SNS, "the ARN of an SNS topic")] | None = Field(
        None, description="SNS topic that the alarms go to"
    )
    extra_tags: Annotated[dict[str, str], Field(max_length=40), AfterValidator(_extra_tags)] = Field(
        {}, description="on everything that can carry tags"
    )
    log_retention: Literal[1, 7, 14, 30, 90, 180, 365, 400, 731] = Field(30, description="days of container logs")
    _source: str = PrivateAttr("the params")

    @model_validator(mode="after")
    def _possible_together(self):
        if self.name.startswith("internal-"):
            raise ValueError("name: must not begin with internal- (reserved by Elastic Load Balancing)")
        # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
        if f"{self.name}-".startswith("sg-"):
            raise ValueError("name: must not be sg, or begin with sg- (security groups' names may not)")
        if not f".{self.domain}".endswith(f".{self.zone}"):
            raise ValueError(f"domain: a name in the zone {self.zone}")
        if self.domain == self.zone and not self.scales:
            raise ValueError(f"domain: a name below the zone {self.zone} (a CNAME cannot stand at the zone's apex)")
        if self.certificate == "request" and len(self.domain) > _LONGEST_REQUESTED:
            raise ValueError(f"domain: at most {_LONGEST_REQUESTED} characters with certificate: request (ACM's limit)")
        if self.bcrypt_cost < 8 and any(source != "generate" for source in self.users.values()):
            raise ValueError("bcrypt_cost: below 8 is safe for generated passwords only; use 8 or more")
        self._possible_capacity()
        self._possible_registry()
        return self

    def _possible_capacity(self):
        if not self.scales:
            if self.replicas > self.nodes:
                raise ValueError(
                    f"replicas: {self.replicas} tasks with the fixed host port 5000 need as many nodes, not "
                    f"{self.nodes}"
                )
            for name in ("max_nodes", "max_replicas", "access_logs"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: needs capacity: auto-scaling-group")
            for name in ("alarms", "deletion_protection"):
                if getattr(self, name):
                    raise ValueError(f"{name}: needs capacity: auto-scaling-group")
        else:
            for least, most in (("nodes", "max_nodes"), ("replicas", "max_replicas")):
                if getattr(self, most) is None or getattr(self, most) < getattr(self, least):
                    raise ValueError(f"{most}: at least {least} ({getattr(self, least)}), with an auto-scaling-group")
            if self.htpasswd == "node-folder":
                raise ValueError(
                    "htpasswd: an auto-scaling-group needs init-container (a file that was delivered to a node is not "
                    "on the next one)"
                )
        if self.alarms_to and not self.alarms:
            raise ValueError("alarms_to: needs alarms: true")

    def _possible_registry(self):
        version = self.version
        if self.major_version not in (None, 2, 3):
            raise ValueError(f"image: {self.image} is registry version {self.major_version}; 2 and 3 can be deployed")
        if self.major_version == 3 and version < _OLDEST_3:
            raise ValueError(
                f"image: {self.image} has known holes, or names no release (CVE-2026-35172, CVE-2026-33540, "
                "CVE-2026-41888); use registry:3.1.1 or newer"
            )
        if self.major_version == 2 and self.credentials == "task-role":
            raise ValueError(
                "credentials: registry 2.x never asks the endpoint that hands out a task's role "
                "(distribution/distribution#2960); use instance-role, or registry:3.1.1 with task-role"
            )
        if self.major_version == 2 and self.credentials == "instance-role" and self.cloud == "aws":
            raise ValueError(
                f"credentials: the SDK in {self.image} is too old for IMDSv2, which the nodes require "
                "(distribution/distribution#3437); use registry:3.1.1 with task-role"
            )
        if self.major_version == 2 and self.region not in DRIVER_REGIONS:
            raise ValueError(
                f"region: {self.region} is not known to the S3 driver of {self.image}, which knows "
                f"{', '.join(sorted(DRIVER_REGIONS))}; use one of them, registry:3.1.1, or an image of your own "
                "(configured_by: image)"
            )
        if self.configured_by == "environment" and self.major_version is None:
            raise ValueError("configured_by: environment needs the stock image (registry:2.… or registry:3.…)")

    def __repr__(self) -> str:
        return f"{self.title}\n{Document(self.model_dump())!r}"

    def _repr_html_(self) -> str:
        told = Document(self.model_dump())
        return f"<details><summary>{escape(self.title)}: {len(told)} params</summary>{told._repr_html_()}</details>"

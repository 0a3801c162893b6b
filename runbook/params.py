"""The parameters of one deployment: one frozen, strict model, from which names and tags are derived."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from . import paths
from .report import Document

# https://docs.aws.amazon.com/general/latest/gr/rande.html (standard partition)
_REGION = re.compile(
    r"(af|ap|ca|eu|il|me|mx|sa|us)-(central|north|south|east|west|northeast|southeast|northwest|southwest)-[1-9]"
)
# The regions of aws-sdk-go 1.15, with which registry 2.x is built; its S3 driver refuses to start in any other:
# https://github.com/distribution/distribution/issues/4614
_DRIVER_REGIONS = {
    *("ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1"),
    *("eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1"),
    *("us-east-1", "us-east-2", "us-west-1", "us-west-2"),
}
# 24 characters, so that `internal-` apart every derived name fits the 32 of a load balancer.
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; no dots: they break TLS host names.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_IMAGE = re.compile(
    r"[a-z0-9][a-z0-9._/-]*(:[0-9]+/[a-z0-9._/-]+)?(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(@sha256:[0-9a-f]{64})?"
)
_SOURCE = re.compile(r"generate|prompt|env:[A-Za-z_][A-Za-z0-9_]*|secretsmanager:[A-Za-z0-9/_+=.@-]{1,512}")
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_ACM = re.compile(r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[0-9a-f-]+")


def _matching(pattern: re.Pattern, right: str):
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(right)
        return value

    return AfterValidator(check)


def _domain(value: str) -> str:
    labels = value.split(".")
    if len(value) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("a lower-case domain name such as registry.example.com, no trailing dot, no wildcard")
    return value


def _image(value: str) -> str:
    match = _IMAGE.fullmatch(value)
    if not match or not (match["tag"] or "@sha256:" in value) or match["tag"] == "latest":
        raise ValueError("an image with a pinned tag or digest, such as registry:2.8.3")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("a network in CIDR form with no host bits, such as 203.0.113.0/24") from None
    return value


def _no_world(value: list[str]) -> list[str]:
    if any(ipaddress.ip_network(network).prefixlen == 0 for network in value):
        raise ValueError("the networks of those who must log in, never the whole world")
    return value


def _users(value: dict[str, str]) -> dict[str, str]:
    for user, source in value.items():
        if not _USER.fullmatch(user):
            raise ValueError(f"user {user!r}: letters, digits and . _ @ - only, at most 64")
        if not _SOURCE.fullmatch(source):
            raise ValueError(
                f"user {user}: where the password comes from (generate, prompt, env:NAME or secretsmanager:NAME), "
                "never the password itself"
            )
    return value


def _certificate(value: str) -> str:
    if value.startswith("arn:") and not _ACM.fullmatch(value):
        raise ValueError("the ARN of an ACM certificate, or a folder in certbot's layout")
    return value


_REGION_HINT = "a region of AWS's standard partition, such as eu-central-1"
_NAME_HINT = "1 to 24 lower-case letters, digits and single hyphens, a letter first, such as registry"
_BUCKET_HINT = "3 to 63 lower-case letters, digits and hyphens, such as example-registry"

Region = Annotated[str, _matching(_REGION, _REGION_HINT)]
Name = Annotated[str, Field(max_length=24), _matching(_NAME, _NAME_HINT)]
Bucket = Annotated[str, _matching(_BUCKET, _BUCKET_HINT)]
Domain = Annotated[str, AfterValidator(_domain)]
Network = Annotated[str, AfterValidator(_network)]


class Params(BaseModel):
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
    realm: Annotated[str, Field(min_length=1, max_length=120, pattern=r'^[^"\\\x00-\x1f]+$')] = Field(
        description="realm of the 401 answer"
    )
    bucket: Bucket = Field(description="S3 bucket of the images")
    nodes: int = Field(1, ge=1, le=20, description="EC2 instances")
    instance_type: Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9]+$")] = Field("t3.small", description="EC2 type")
    ssh_from: Annotated[list[Network], AfterValidator(_no_world)] = Field(
        [], description="client networks that may reach port 22 (none needed)"
    )
    users: Annotated[dict[str, str], Field(min_length=1), AfterValidator(_users)] = Field(
        description="user: where the password comes from"
    )
    bcrypt_cost: int = Field(10, ge=5, le=14, description="bcrypt cost; below 8 only if every password is generated")
    replicas: int = Field(1, ge=1, le=20, description="tasks of the service")
    zone: Domain = Field(description="public hosted zone in Route 53")
    domain: Domain = Field(description="the registry's name, in the zone")
    certificate: Annotated[str, AfterValidator(_certificate)] = Field(
        description="ACM certificate ARN, or a folder with cert.pem, chain.pem, privkey.pem"
    )
    client_networks: Annotated[list[Network], Field(min_length=1)] = Field(
        ["0.0.0.0/0"], description="who may reach port 443"
    )
    idle_timeout: int = Field(300, ge=60, le=4000, description="seconds that the balancer lets a connection idle")
    log_retention: Literal[1, 7, 14, 30, 90, 180, 365, 400, 731] = Field(30, description="days of container logs")
    _source: str = PrivateAttr("the params")

    @model_validator(mode="after")
    def _possible_together(self):
        if self.name.startswith("internal-"):
            raise ValueError("name: must not begin with internal- (reserved by Elastic Load Balancing)")
        if not self.domain.endswith("." + self.zone):
            raise ValueError(f"domain: a name below the zone {self.zone} (a CNAME cannot stand at the zone's apex)")
        if self.replicas > self.nodes:
            raise ValueError(
                f"replicas: {self.replicas} tasks with the fixed host port 5000 need as many nodes, not {self.nodes}"
            )
        if self.bcrypt_cost < 8 and any(source != "generate" for source in self.users.values()):
            raise ValueError("bcrypt_cost: below 8 is safe for generated passwords only; use 8 or more")
        if self.major_version not in (None, 2):
            raise ValueError(f"image: {self.image} is registry version {self.major_version}; this runbook deploys 2.x")
        if self.major_version == 2 and self.region not in _DRIVER_REGIONS:
            raise ValueError(
                f"region: {self.region} is not known to the S3 driver of {self.image}, which knows "
                f"{', '.join(sorted(_DRIVER_REGIONS))}; use one of them or an image of your own (configured_by: image)"
            )
        if self.configured_by == "environment" and self.major_version is None:
            raise ValueError("configured_by: environment needs the stock image (registry:2.…), your own has image")
        return self

    def __repr__(self) -> str:
        return f"{self.title}\n{Document(self.model_dump())!r}"

    # What the steps need of one another, by name.

    @property
    def tags(self) -> dict[str, str]:
        """Our ownership tag, on everything that can carry one."""
        return {"runbook:deployment": self.name}

    @property
    def source(self) -> str:
        """The file that an error names."""
        return self._source

    @property
    def title(self) -> str:
        return f"deployment {self.name} ({self.cloud}, {self.region})"

    @property
    def major_version(self) -> int | None:
        """The registry's major version for the stock image, None for an image of one's own."""
        match = re.fullmatch(r"(?:docker\.io/)?(?:library/)?registry:(\d+)[.\d]*(?:@.*)?", self.image)
        return int(match[1]) if match else None

    @property
    def cluster_name(self) -> str:
        return self.name

    @property
    def family(self) -> str:
        return self.name

    @property
    def service_name(self) -> str:
        return self.name

    @property
    def balancer_name(self) -> str:
        return self.name

    @property
    def container_name(self) -> str:
        return "registry"

    @property
    def balancer_group(self) -> str:
        """Security group of the load balancer."""
        return f"{self.name}-balancer"

    @property
    def node_group(self) -> str:
        """Security group of the nodes."""
        return f"{self.name}-node"

    @property
    def node_role(self) -> str:
        """Role (and instance profile) of the nodes: joins ECS, answers SSM, reads the htpasswd secret."""
        return f"{self.name}-node"

    @property
    def execution_role(self) -> str:
        """Role with which ECS reads the task's secrets and writes its log."""
        return f"{self.name}-execution"

    @property
    def user_name(self) -> str:
        """IAM user whose key the registry uses for S3."""
        return f"{self.name}-s3"

    @property
    def log_group(self) -> str:
        return f"/ecs/{self.name}"

    @property
    def key_secret(self) -> str:
        """Secrets Manager: JSON with accesskey and secretkey of the IAM user."""
        return f"{self.name}/s3-key"

    @property
    def http_secret(self) -> str:
        """Secrets Manager: the registry's http.secret, one for all replicas."""
        return f"{self.name}/http-secret"

    @property
    def htpasswd_secret(self) -> str:
        """Secrets Manager: the htpasswd lines (bcrypt)."""
        return f"{self.name}/htpasswd"

    @property
    def htpasswd_tag(self) -> str:
        """Tag of a node: the VersionId of the htpasswd secret that was put on it."""
        return "runbook:htpasswd"

    def password_secret(self, user: str) -> str:
        """Secrets Manager: the generated password of one user."""
        return f"{self.name}/users/{user}"

    @property
    def auth_folder(self) -> str:
        """Folder on every node that holds the htpasswd file (the blog's)."""
        return "/home/ec2-user/auth"

    @property
    def port(self) -> int:
        return 5000

    @property
    def certificate_folder(self) -> Path | None:
        """The folder to import the certificate from, None when an ARN names one that is in ACM already."""
        if self.certificate.startswith("arn:"):
            return None
        return paths.home() / Path(self.certificate).expanduser()

    @property
    def url(self) -> str:
        return f"https://{self.domain}"

"""The names of everything that a deployment consists of, derived from its params: what steps need of one another."""

import re
from pathlib import Path

from . import paths


class Names:
    """The derived names of `params.Params`, which has the fields."""

    @property
    def tags(self) -> dict[str, str]:
        """Our ownership tag and the extra ones, on everything that can carry tags."""
        return {"runbook:deployment": self.name, **self.extra_tags}

    @property
    def scales(self) -> bool:
        """Whether the nodes are an Auto Scaling group: ports are dynamic then, the balancer is an application one."""
        return self.capacity == "auto-scaling-group"

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
        return self.version[0] if self.version else None

    @property
    def version(self) -> tuple[int, ...]:
        """The stock image's release as far as its tag says, (2, 8, 3); () for an image of one's own."""
        match = re.fullmatch(r"(?:docker\.io/)?(?:library/)?registry:(\d+(?:\.\d+)*)(?:@.*)?", self.image)
        return tuple(map(int, match[1].split("."))) if match else ()

    @property
    def cluster_name(self) -> str:
        return self.name

    @property
    def family(self) -> str:
        return self.name

    @property
    def service_name(self) -> str:
        """Another name for each capacity: the former service runs until the new one is proven."""
        return f"{self.name}-scaled" if self.scales else self.name

    @property
    def balancer_name(self) -> str:
        return f"{self.name}-alb" if self.scales else self.name

    @property
    def target_group_name(self) -> str:
        return f"{self.name}-targets"

    @property
    def scaling_group_name(self) -> str:
        """The Auto Scaling group, its launch template, and the tag Name of its instances."""
        return f"{self.name}-asg"

    @property
    def capacity_provider_name(self) -> str:
        """Must not begin with aws, ecs or fargate."""
        return f"runbook-{self.name}"

    @property
    def cache_name(self) -> str:
        """The ElastiCache replication group, its subnet group, its parameter group, its security group."""
        return f"{self.name}-cache"

    @property
    def task_role(self) -> str:
        """Role of the registry itself, with credentials: task-role."""
        return f"{self.name}-task"

    @property
    def container_name(self) -> str:
        return "registry"

    @property
    def balancer_group(self) -> str:
        """Security group of the load balancer."""
        return f"{self.name}-alb" if self.scales else f"{self.name}-balancer"

    @property
    def node_group(self) -> str:
        """Security group of the nodes."""
        return f"{self.name}-asg" if self.scales else f"{self.name}-node"

    @property
    def node_role(self) -> str:
        """Role (and instance profile) of the nodes."""
        return f"{self.name}-asg" if self.scales else f"{self.name}-node"

    @property
    def execution_role(self) -> str:
        """Role with which ECS reads the task's secrets and writes its log; the former service keeps its own."""
        return f"{self.name}-scaled-execution" if self.scales else f"{self.name}-execution"

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
        """Tag of a node or a service: the VersionId of the htpasswd secret that it has."""
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
        """The folder to import the certificate from; None when it is requested from ACM, or there already."""
        if self.certificate == "request" or self.certificate.startswith("arn:"):
            return None
        return paths.home() / Path(self.certificate).expanduser()

    @property
    def url(self) -> str:
        return f"https://{self.domain}"

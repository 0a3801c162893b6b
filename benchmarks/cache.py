"""What the shared cache saves: the registries' requests to S3 for each pull, with `cache: memory` and `elasticache`.

For each of the two it builds production on an embedded cloud of its own. Then, some times over: a rolling deployment
of the same revision, so that every registry is fresh, and after it pulls of one image through the balancer, as
containerd makes them: HEAD the tag, GET the manifest by its digest, then each blob, from S3 by the address that the
registry redirects to. A pull counts as the median over the deployments. The storage health checks go on meanwhile
(one ListObjects for each registry every ten seconds) and are too few to move it.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from statistics import median

from runbook import htpasswd, image, load, local, plan, rollout
from runbook.params import Params
from runbook.registry_api import Client, pull, push, short
from runbook.session import AWS

LAYERS, DEPLOYMENTS, PULLS = 8, 5, 6
OPERATIONS = ("GetObject", "HeadObject", "ListObjects")
CACHES = ("memory", "elasticache")
NAMES = {0: "first after the deployment", 1: "second", 2: "each later one"}


def main() -> int:
    pulls = {}
    for cache in CACHES:
        with tempfile.TemporaryDirectory(prefix="runbook-cache-") as home:
            os.environ["RUNBOOK_HOME"] = home
            try:
                pulls[cache] = measured(cache)
            finally:
                local.down()
    print(table(pulls))
    return 0


def measured(cache: str) -> list[list[Counter]]:
    """For each deployment the requests of each pull after it."""
    quick = {"deregistration_delay": 1, "bcrypt_cost": 5}
    p = load({**load("production").model_dump(), **quick, "cache": cache})
    aws = plan.start(p)
    for step in plan.STEPS:
        step.ensure(aws, p)
    made = image.make(layers=LAYERS, size=64 * 1024, seed="cache")
    found = []
    with aws.http() as session:
        client = Client(session, p, htpasswd.logins(aws, p)[0])
        push_image(client, made)
        for _ in range(DEPLOYMENTS):
            deploy(aws, p)
            found.append([requests_of_a_pull(client, made) for _ in range(PULLS)])
    return found


def push_image(client: Client, made: image.Image) -> None:
    for blob in made.blobs.values():
        push(client, blob, len(blob), [])
    kind = {"Content-Type": image.MANIFEST_TYPE}
    client.call("PUT", f"/v2/{image.REPOSITORY}/manifests/cache", data=made.manifest, headers=kind)


def deploy(aws: AWS, p: Params) -> None:
    service = rollout.describe(aws, p)
    former = {each["id"] for each in rollout.deployments(service)}
    aws.ecs.update_service(cluster=p.cluster_name, service=p.service_name, forceNewDeployment=True)
    rollout.wait_until_steady(aws, p, service["taskDefinition"], former=former)


def requests_of_a_pull(client: Client, made: image.Image) -> Counter:
    before = Counter(local.status()["s3_requests"])
    where = f"/v2/{image.REPOSITORY}"
    head = client.call("HEAD", f"{where}/manifests/cache", headers={"Accept": image.MANIFEST_TYPE})
    assert head.headers["Docker-Content-Digest"] == made.digest
    assert pull(client, f"{where}/manifests/{made.digest}") == f"200 {short(made.digest)}"
    for blob in made.blobs.values():
        assert pull(client, f"{where}/blobs/{image.digest(blob)}") == f"200 {short(image.digest(blob))}"
    return Counter(local.status()["s3_requests"]) - before


def table(pulls: dict[str, list[list[Counter]]]) -> str:
    """Markdown."""
    seen = [name for name in OPERATIONS if any(pull[name] for cache in CACHES for pull in flat(pulls[cache]))]
    lines = [
        "| pull | " + " | ".join(f"`{cache}`: {name}" for cache in CACHES for name in (*seen, "all")) + " |",
        "|---" * (1 + len(CACHES) * (len(seen) + 1)) + "|",
    ]
    for start, title in NAMES.items():
        cells = []
        for cache in CACHES:
            chosen = [pull for after in pulls[cache] for pull in (after[start:] if start == 2 else [after[start]])]
            counts = [median(pull[name] for pull in chosen) for name in seen]
            cells += [f"{count:g}" for count in (*counts, sum(counts))]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def flat(after: list[list[Counter]]) -> Iterable[Counter]:
    return (pull for pulls in after for pull in pulls)


if __name__ == "__main__":
    sys.exit(main())

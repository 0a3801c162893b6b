"""The stack of the blog's params in AWS's own words, as JSON, for the peers that shall make the same.

Left out is what no peer does: to bring the htpasswd file to the node, and to wait until a registry serves.
"""

import json
from typing import Any

from runbook import launching, node_role
from runbook.access_key import want_user
from runbook.classic_balancer import TLS_POLICY, want_balancer
from runbook.params import Params
from runbook.roles import INLINE
from runbook.service import want_service
from runbook.storage import want_bucket
from runbook.task import want_execution_role
from runbook.task_definition import want_task
from runbook.user_data import user_data


def wanted(p: Params, *, account: str, endpoint: str) -> str:
    """For the cloud at `endpoint`, whose furniture (zone, certificate files) is there."""
    bucket, balancer, service = want_bucket(p), want_balancer(p), want_service(p)
    folder = p.certificate_folder
    task = {key: value for key, value in want_task(p).items() if not key.endswith("RoleArn")}
    document: dict[str, Any] = {
        "endpoint": endpoint,
        "region": p.region,
        "tags": p.tags,
        "policy_name": INLINE,
        "bucket": {key: bucket[key] for key in bucket if key not in ("Tags", "Region")},
        "user": {"name": p.user_name, "policy": want_user(p)["Policy"]},
        "key_secret": p.key_secret,
        "other_secrets": [p.http_secret, p.htpasswd_secret, *map(p.password_secret, sorted(p.users))],
        "node_role": node_role.want_node_role(p, account=account),
        "execution_role": want_execution_role(p, account),
        "balancer_group": p.balancer_group,
        "node_group": p.node_group,
        "port": p.port,
        "client_networks": p.client_networks,
        "cluster": p.cluster_name,
        "node": f"{p.name}-node-1",
        "instance_type": p.instance_type,
        "ami_parameter": launching.AMI_PARAMETER,
        "volume": launching.VOLUME,
        "metadata": launching.metadata(p),
        "user_data": user_data(p),
        "log_group": p.log_group,
        "log_retention": p.log_retention,
        "task": task,
        "service": dict(service),
        "certificate": {name: (folder / f"{name}.pem").read_text() for name in ("cert", "chain", "privkey")},
        "balancer": {key: balancer[key] for key in ("LoadBalancerName", "HealthCheck", "Attributes")},
        "tls_policy": TLS_POLICY,
        "zone": p.zone,
        "domain": p.domain,
        "mark": f'"runbook:deployment={p.name}"',
    }
    return json.dumps({"want": document})

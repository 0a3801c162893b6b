"""New secrets reach the registries by new tasks; then a user pushes and pulls, which proves that they work."""

from . import image, rollout, service, task
from .errors import StepFailed
from .htpasswd import logins, password
from .params import Params
from .registry_api import Anew, Client, NoAnswer, pull, push, short
from .secret import Login
from .session import AWS
from .task_definition import compare_task
from .wait import wait

PRESENT = "with the present secrets"
_WITHIN = 120  # seconds in which a balancer finds a new registry
_SERVICE = ("exists", "taskDefinition", "deployments", "users")


def require_service(aws: AWS, p: Params) -> None:
    """StepFailed where no service runs: there is nothing to prove a new secret with."""
    found = rollout.describe(aws, p)
    if found is None or found["status"] != "ACTIVE":
        raise StepFailed(f"service {p.service_name} is not there; run notebook 04_launch_your_service first")


def find_tasks(aws: AWS, p: Params) -> str:
    """What the running tasks were started with, in words."""
    definition, running = compare_task(p, task.find_task(aws, p)), service.verify_service(aws, p)
    looked = [check for check in definition.checks if definition.absent or ".secrets." in check.name]
    looked += [check for check in running.checks if check.name in _SERVICE]
    return PRESENT if all(check.ok for check in looked) else "with older secrets"


def ensure_tasks(aws: AWS, p: Params) -> None:
    """A revision with the present secrets, tasks of it alone, and the proof."""
    task.ensure_task(aws, p)
    service.ensure_service(aws, p)
    present = rollout.describe(aws, p)["taskDefinition"]
    wait(f"service {p.service_name}", lambda: _alone(aws, p, present), timeout=rollout.stop_timeout(p))
    prove(aws, p)


def _alone(aws: AWS, p: Params, revision: str) -> tuple[bool | None, str]:
    """A deployment is complete while the old tasks still finish requests, for as long as the deregistration delay."""
    old = [task for task in rollout.living(aws, p) if task["taskDefinitionArn"] != revision]
    return not old or None, f"{len(old)} old tasks finish their requests"


def prove(aws: AWS, p: Params) -> None:
    """A small layer, pushed and pulled by a user through the balancer, as often as each registry may get its turn.

    TimedOut says what was seen instead.
    """
    client, blob = Client(Anew(aws), p, someone(aws, p)), image.make(layers=1, size=1024, seed="rotation").layers[0]
    digest = short(image.digest(blob))

    def look():
        try:
            pushed = push(client, blob, len(blob), [])
            pulled = pull(client, f"/v2/{image.REPOSITORY}/blobs/{image.digest(blob)}")
        except NoAnswer as error:
            return None, str(error)
        seen = f"push {pushed}, pull {pulled}"
        return (True if (pushed, pulled) == (f"201 {digest}", f"200 {digest}") else None), seen

    for _ in range(2 * p.replicas if p.replicas > 1 else 1):
        wait(f"push and pull at {p.url}", look, timeout=_WITHIN)


def someone(aws: AWS, p: Params) -> Login:
    """A user whose password is known here; where all type theirs, the first one is asked."""
    known = logins(aws, p)
    if known:
        return known[0]
    user = next(iter(p.users))
    return Login(user, password(aws, p, user))

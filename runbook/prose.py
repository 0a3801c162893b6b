"""What the notebooks say of a choice that the params make: its reason, and as a quote what the blog did."""

from .params import Params
from .report import Prose

_KEYS = {"access-key": "access key", "instance-role": "role, no key", "task-role": "role, no key"}
_S3_ACTIONS = "[official list](https://distribution.github.io/distribution/storage-drivers/s3/)"


def picture(p: Params) -> Prose:
    """The deployment as a Mermaid diagram, and the same in words."""
    return Prose(_scaled_picture(p) if p.scales else _blog_picture(p))


def identity(p: Params) -> Prose:
    """What the registry shows S3."""
    return Prose(
        {
            "access-key": f"""\
An IAM user may do with this bucket what Distribution's {_S3_ACTIONS} says, and nothing else. Its only access key lies
in Secrets Manager.

> **Differs from the blog**, which pastes the key into the task definition, where everyone with
> `ecs:DescribeTaskDefinition` can read it. Its first TODO, a role instead of the key, is done by
> `params/production.yml`.""",
            "instance-role": f"""\
No key exists. The role of the nodes may do with this bucket what Distribution's {_S3_ACTIONS} says, and nothing else;
the registry gets credentials from the instance metadata service, which last some hours and are renewed by themselves.
Two things follow. Every container on these nodes can get them, and so all that the role may do: the nodes run nothing
but registries. And the metadata service must let its answer travel two hops, because a container on a bridge network is
one hop further away than the node. A task role would need neither, but registry 2.x never asks the endpoint that hands
one out; registry 3.1.1 does (`credentials: task-role`).

> **In the blog:** an IAM user's key in the task definition, in plain text. Its first TODO is a role with write
> permission for the bucket; this is that role.""",
            "task-role": f"""\
No key exists. The registry's task has a role of its own, which may do with this bucket what Distribution's
{_S3_ACTIONS} says, and nothing else; ECS hands its credentials to this task alone, and renews them. The nodes' own role
cannot touch the bucket, and their metadata service answers one hop only, so that no container gets that role either.

> **In the blog:** an IAM user's key in the task definition, in plain text. Its first TODO is a role with write
> permission for the bucket; this is that role.""",
        }[p.credentials]
    )


def groups(p: Params) -> Prose:
    """Who reaches what."""
    cached = " Only the nodes reach the cache, which reaches nobody." if p.cache == "elasticache" else ""
    if not p.scales:
        return Prose(
            f"""\
> **Differs from the blog**, which says nothing of port 5000 and logs in by SSH: here only the balancer reaches port
> 5000, and port 22 is closed unless `ssh_from` names a network.{cached}"""
        )
    return Prose(
        f"""\
The clients reach ports 443 and 80 of the balancer (80 only sends them on to 443); the balancer alone reaches the
nodes, on the ports from which ECS takes a free one for each registry.{cached} Nothing leads to the registries' debug
port: it is bound inside the container.

> **In the blog:** one fixed port 5000, so that a node has no room for a second registry, nor for a change without a
> gap. Who may reach it is not said, and one logs in by SSH; here port 22 is closed unless `ssh_from` names a
> network."""
    )


def nodes(p: Params) -> Prose:
    """Where the registries run."""
    if not p.scales:
        return Prose(
            """\
> **Differs from the blog** in little: a fixed number of instances, as there, of the image that AWS names today, without
> SSH. Its TODO of an auto-scaling group is done by `params/production.yml`."""
        )
    hops = "two hops, as the registries need the nodes' role" if p.credentials == "instance-role" else "one hop"
    return Prose(
        f"""\
An Auto Scaling group launches the nodes from a launch template, spreads them over the zones, and replaces one that
dies. An ECS capacity provider makes it grow when a task finds no room and shrink when nodes are empty, between
{p.nodes} and {p.max_nodes}; a node that goes is drained first. Each takes the newest ECS-optimised image by AWS's
public parameter, requires IMDSv2 ({hops}), encrypts its disk, has no key pair and is reached through Systems Manager.

> **In the blog:** the console's sample cluster, whose instance somebody logs in to with a key. Its third TODO is an
> "auto-scale group for transparently scaling registry"."""
    )


def cache(p: Params) -> Prose:
    """Where blob descriptors are cached."""
    if p.cache == "memory":
        return Prose(
            """\
Each registry remembers in its own memory which blobs there are, as the blog has it. With more than one registry each
learns everything anew, and one may remember what another has deleted; `cache: elasticache` shares it."""
        )
    tls = (
        "The way to it is encrypted."
        if p.version >= (3, 1)
        else "Registry 2.x speaks no TLS to Redis: the way to it is inside the VPC, between two security groups, in "
        "plain text; it carries digests and sizes of layers, no content and no password."
    )
    return Prose(
        f"""\
One ElastiCache for all registries: what one of them learns of a blob, the others need not ask S3 for, nor those that a
change starts (`docs/cache.md` has figures). It evicts what was not used for longest (`allkeys-lru`), so it cannot run
full; it holds nothing that S3 does not, so it has one node and no backup, and the registries go on without it, only
slower. {tls}

> **In the blog:** `inmemory`, and as the last TODO "Caching into Redis or AWS-proprietary alternative"."""
    )


def task(p: Params) -> Prose:
    """The task definition."""
    common = """\
`secretsmanager:NAME` stands for the secret's ARN, `{role}` for the role that may read it."""
    if not p.scales:
        keyed = p.credentials == "access-key"
        key = "the access key comes through `secrets`, not `environment`" if keyed else "there is no access key in it"
        version = " The key's ARN has its present version in it, so that a new key is a new revision." if keyed else ""
        return Prose(
            f"""\
> **Differs from the blog:** {key}; `REGISTRY_HTTP_SECRET` is added,
> without which a second replica breaks uploads; and a log driver, without which the reason why a container died is
> lost. {common.format(role=p.execution_role)}{version}"""
        )
    return Prose(
        f"""\
The registry runs as a plain user on a file system that it cannot write to, takes any free port of its node
(`hostPort` 0), and waits for the container `htpasswd`, which writes the users' file and ends. Only that container gets
the users' secret, only the registry the `http.secret` that all replicas share. {common.format(role=p.execution_role)}

> **In the blog:** the S3 key in `environment`, in plain text; port 5000 fixed; the htpasswd file in a folder of the
> host; no shared `http.secret` and no log."""
    )


def users(p: Params) -> Prose:
    """How users reach the registry."""
    cost = """\
The registry computes bcrypt on *every* request, with no cache: cost 12 is about 240 ms of CPU each time, cost 10 about
60 ms, and each step less halves it. For a generated password of 192 bits a low cost is safe; for one that a person
chose it is not. That is why `bcrypt_cost` is 10, and less than 8 is allowed for generated passwords only."""
    made = "`docker run --entrypoint htpasswd registry:2` has failed since 2020, when the program left the image"
    if p.htpasswd == "node-folder":
        return Prose(
            f"""\
{cost}

The lines go into Secrets Manager, and each node fetches them from there into the blog's folder; the command that tells
it to carries no secret. The registry reads the file again when it changes: nobody has to restart anything.

> **Differs from the blog:** {made}; here passlib makes the lines. And no SSH: the file goes to the nodes by SSM Run
> Command."""
        )
    rolled = "in which the old registries answer until the new ones do (notebook 10 proves it with real requests)"
    if not p.scales:
        rolled = "some seconds without a registry"
    return Prose(
        f"""\
{cost}

The lines go into Secrets Manager and nowhere else. Each task writes them to a volume of its own before its registry
starts, so there is no file to deliver, and a node that comes at night has the users, too. ECS reads a secret when a
task starts: a change of users is a new version of the secret and a rolling deployment,
{rolled}.

> **In the blog:** somebody logs in to the node by SSH and appends a line to a file in a folder of the host;
> "complicated volume mounting", says its second TODO. ({made[0].upper()}{made[1:]}; passlib makes the lines here.)"""
    )


def service(p: Params) -> Prose:
    """How the registries are kept running."""
    if not p.scales:
        return Prose(
            """\
`minimumHealthyPercent` 0 follows from the blog's fixed host port: a second registry cannot start on a node before the
first has left its port 5000.

> **Differs from the blog**, whose service with ECS's default of 100 percent waits for ever at the first change. The
> price is some seconds without a registry at each change. The circuit breaker goes back to the last revision that
> worked when a new one keeps failing."""
        )
    return Prose(
        f"""\
At least {p.replicas} registries, spread over zones and then over nodes. A change starts new ones beside the old ones
(`maximumPercent` 200) and stops none before its successor is healthy (`minimumHealthyPercent` 100): no request fails.
The circuit breaker goes back to the last revision that worked when a new one keeps failing. How many there are is the
load's matter from notebook 05 on, so `desiredCount` is what it begins with.

> **In the blog:** a fixed port, so that each change is a gap, and with ECS's defaults one that never ends."""
    )


def certificate(p: Params) -> Prose:
    """Where the certificate comes from."""
    if p.certificate == "request":
        return Prose(
            """\
Requested from ACM, which asks for proof that the domain is ours: a record in the zone, which this notebook writes and
leaves there, as ACM renews the certificate by it every year without anybody's help.

> **In the blog:** "Here you can deploy your HTTPS certificate": one that somebody must get, upload and remember to
> renew."""
        )
    if p.certificate_folder is None:
        return Prose("It is in ACM already, under the ARN that the params name, and is never changed or deleted here.")
    return Prose(
        """\
Imported into ACM from the folder that the params name, with its chain. ACM does not renew an imported certificate:
after certbot has renewed the files, run this notebook again."""
    )


def balancer(p: Params) -> Prose:
    """The load balancer and its health check."""
    if not p.scales:
        return Prose(
            """\
> **Differs from the blog:** an idle timeout of five minutes instead of the default minute, which cuts uploads of large
> layers; TLS 1.2 at least; connection draining. And its reason for TCP:5000 is out of date: `/` has answered 200 since
> Distribution 2.2, so `HTTP:5000/` works today. TCP is kept here as the blog's choice, and it sees less: a registry
> that has lost its bucket still counts as healthy. An HTTP check would see that, and would take *every* node out of
> service when S3 alone is down."""
        )
    return Prose(
        f"""\
An application load balancer: HTTPS with a current TLS policy, port 80 sends on to 443, and a target group in which each
registry stands with the port that it got. The idle timeout of {p.idle_timeout} s lets large layers through; a registry
that leaves has {p.deregistration_delay} s to finish what it is doing.

The health check is HTTP on `/`, which answers 200 without a password (on `/v2/` it would be 401). It sees more than the
blog's TCP: with `health.storagedriver` the registry answers 503 when it cannot reach its bucket, and is replaced. The
price: when S3 itself is down, all registries are called unhealthy at once. The balancer then sends requests to all of
them, which answer 503 and say why, and ECS goes on replacing them until S3 is back; nothing that is stored is touched.

> **In the blog:** a classic load balancer with a check on TCP:5000, "as ELB expect HTTP 200 while it will be getting
> HTTP 404": untrue since Distribution 2.2.0. It calls a registry healthy that has lost its bucket. A fixed port 5000
> has room for one registry a node."""
    )


def record(p: Params) -> Prose:
    """The registry's name."""
    if not p.scales:
        return Prose(
            """\
The registry's name as a CNAME to the balancer. A DNS record carries no tags, so a TXT record beside it, the mark, says
whose it is."""
        )
    return Prose(
        """\
The registry's name as an alias to the balancer, which costs nothing to ask for and may stand at the zone's apex. A DNS
record carries no tags, so a TXT record beside it, the mark, says whose it is.

> **In the blog:** "a CNAME alias to ELB DNS name"."""
    )


def scaling(p: Params) -> Prose:
    """What makes the service grow and shrink."""
    if not p.scales:
        return Prose("A fixed number of registries, as in the blog. Its TODO is done by `params/production.yml`.")
    return Prose(
        f"""\
Between {p.replicas} and {p.max_replicas} registries: more when they use over {p.target_cpu} % of their CPU (which
bcrypt does first) or get over {p.target_requests} requests a minute each, fewer some minutes after it is over. The
nodes follow by themselves, as notebook 02 says.

> **In the blog:** the third TODO, "auto-scale group for transparently scaling registry"."""
    )


def alarms(p: Params) -> Prose:
    """Who is told when it breaks."""
    if not p.alarms:
        return Prose("No alarms: nobody is told when the registry breaks. `alarms: true` in the params makes them.")
    to = "the topic that `alarms_to` names" if p.alarms_to else "nobody yet: `alarms_to` takes an SNS topic"
    return Prose(
        f"""\
Three things go wrong slowly enough to be told in time: registries that fail their health check, answers of 5xx, and a
node's disk that fills up. The alarms go to {to}.

> **In the blog:** nothing. Without a log, a health check that sees the bucket, or an alarm, one learns of it from
> whoever cannot push."""
    )


def rotation(p: Params) -> Prose:
    """How secrets are made anew."""
    keyed = """\
**The key.** A second key is made, tried at S3, stored, and given to new tasks; a push and a pull through the balancer
prove it. Then the old key is made inactive, the proof is repeated, and only then the old key is deleted. If the proof
fails, the old key is active again."""
    signs = """\
**The `http.secret`** signs what a client sends back between two requests of one upload, and a registry knows one secret
only."""
    if not p.scales:
        key = keyed if p.credentials == "access-key" else "**The key.** There is none to rotate: AWS renews a role's."
        return Prose(
            f"""\
{key}

{signs} An upload that is under way is begun again: docker does so by itself, with skopeo one pushes again.

**Passwords.** An htpasswd file has one line a user: the old password ends in the moment in which the new one begins.
Until then the new one waits in Secrets Manager beside the old one. Where the users stand in a file on the node, nothing
is restarted. A user who must not have that moment gets a second name in notebook 10 first.

One node has room for one registry with a fixed port: the new key and the new `http.secret` cost a change of the task
each, and requests in the gap fail (a second or less on the embedded cloud, some seconds on AWS). With
`params/production.yml` none does.

> **Differs from the blog**, whose key stands in the task definition for good, and whose passwords are in a file that
> grows by a line with each change."""
        )
    key = keyed if p.credentials == "access-key" else "**The key.** There is none: AWS renews a role's every few hours."
    return Prose(
        f"""\
{key}

{signs} While new tasks take over from old ones, an upload that goes from one to the other is refused with
`BLOB_UPLOAD_INVALID` and must be begun again: docker does so by itself, with skopeo one pushes again. All other
requests are answered. Do it when few people push.

**Passwords.** An htpasswd file has one line a user, so while new tasks take over, the old password works at the old
ones and the new one at the new ones. Until they have, the new one waits in Secrets Manager beside the old one; the
requests of all other users are answered. A user who must not have that time gets a second name in notebook 10 first.

The cache has no password: security groups alone lead to it.

> **In the blog:** nothing of this. A key that leaks from its task definition is good for ever."""
    )


def renewal(p: Params) -> Prose:
    """How the certificate stays valid."""
    if p.certificate == "request":
        return Prose(
            """\
ACM renews it by itself, well before its end, as long as a balancer uses it and the record that proved the domain is
still in the zone. Both are looked at here, and a record that somebody deleted is put back.

> **In the blog:** a certificate that somebody must remember to renew."""
        )
    if p.certificate_folder is None:
        return Prose(
            "It is in ACM under the ARN that the params name; whoever put it there renews it. It is only looked at."
        )
    return Prose(
        """\
certbot renews the files 30 days before the end, where it runs. They are imported under the ARN that the balancer knows
already, so nothing changes there; a handshake shows when it has the new one. With a key of another size ACM makes
another certificate of it: then the balancer is told, and the old one is deleted.

`certificate: request` in the params (as `params/production.yml` has it) leaves all this to ACM."""
    )


def todos(p: Params) -> Prose:
    """The blog's four TODOs, and where this deployment stands with each."""
    role = {
        "access-key": "open: an IAM user's key, from Secrets Manager. Closed by `credentials: task-role`",
        "instance-role": "closed: the nodes' role"
        + (", as registry 2.x can use no other" if p.major_version == 2 else ""),
        "task-role": "closed: the task has a role of its own",
    }
    file = {
        "node-folder": "open: a file in a folder of each node. Closed by `htpasswd: init-container`",
        "init-container": "closed: from Secrets Manager into each task, when it starts",
    }
    group = {
        False: "open: the number of nodes is fixed. Closed by `capacity: auto-scaling-group`",
        True: f"closed: {p.nodes} to {p.max_nodes} nodes, {p.replicas} to {p.max_replicas} registries",
    }
    shared = {
        "memory": "open: each registry's own memory. Closed by `cache: elasticache`",
        "elasticache": "closed: one ElastiCache for all registries",
    }
    rows = (
        ("a role instead of S3 credentials in the task definition", role[p.credentials]),
        ("authentication without complicated volume mounting", file[p.htpasswd]),
        ("an auto-scale group", group[p.scales]),
        ("caching in Redis", shared[p.cache]),
    )
    lines = ["| the blog's TODO | here |", "|---|---|", *(f"| {todo} | {state} |" for todo, state in rows)]
    return Prose("\n".join(lines))


def _blog_picture(p: Params) -> str:
    key = _KEYS[p.credentials]
    at_start = p.htpasswd == "init-container"
    users = "init container" if at_start else "file"
    return f"""\
```mermaid
flowchart LR
  client["docker login<br/>push, pull"] -- "HTTPS 443" --> elb["classic load balancer<br/>certificate"]
  elb -- "HTTP 5000" --> node
  dns["Route 53<br/>CNAME"] -.-> elb
  subgraph node["ECS cluster: EC2 node"]
    htpasswd["htpasswd<br/>{users}"] -.-> registry["{p.image}"]
  end
  node -- "{key}" --> s3[("S3 bucket")]
  secrets["Secrets Manager"] -.-> node
```

The same in words: clients speak HTTPS to a classic load balancer, which sends plain HTTP to port 5000 of the EC2 nodes
of an ECS cluster; the registry there keeps its images in an S3 bucket and \
{"gets its users from Secrets Manager when it starts" if at_start else "reads its users from a file on the node"}."""


def _scaled_picture(p: Params) -> str:
    cached = p.cache == "elasticache"
    shared = ", share a cache" if cached else ""
    beyond = [f'-- "{_KEYS[p.credentials]}" --> s3[("S3 bucket")]']
    beyond += ['--> cache[("ElastiCache")]'] if cached else []
    beyond += [f'-.-> logs["CloudWatch<br/>{"logs, alarms" if p.alarms else "logs"}"]']
    return f"""\
```mermaid
flowchart LR
  client["docker login<br/>push, pull"] -- "HTTPS 443" --> alb["application load balancer<br/>certificate of ACM"]
  dns["Route 53<br/>alias"] -.-> alb
  alb -- "HTTP, dynamic ports" --> asg
  subgraph asg["Auto Scaling group: {p.nodes} to {p.max_nodes} nodes in several zones"]
    users["htpasswd<br/>init container"] -.-> registries["{p.image}<br/>{p.replicas} to {p.max_replicas} tasks"]
  end
  secrets["Secrets Manager"] -.-> users
{"".join(f"  registries {line}{chr(10)}" for line in beyond)}```

The same in words: clients speak HTTPS to an application load balancer, which spreads their requests over the registries
that an ECS service runs on an Auto Scaling group's nodes; these keep the images in an S3 bucket{shared}, and get
their users from Secrets Manager when they start. Both the registries and the nodes grow and shrink with the load."""

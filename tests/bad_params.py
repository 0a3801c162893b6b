"""Bad parameters: every value that a person may write by mistake, or to see what happens, and what must be said of it.

A row is a file's name, what is changed in it, and what the sentence must have in it: the key, and what would be right.
The texts are whole files. What no row has a key for stands below, with the reason.
"""

A = "a"
DIGEST = "@sha256:" + "0" * 64

# key: (what the sentence says is right, the values)
BLOG = {
    "region": (
        "eu-central-1|AWS region",
        ["", "us-east-9", "US-EAST-1", "eu-central-1\n", "us-gov-west-1", "cn-north-1", 1, None],
    ),
    "bucket": (
        "example-registry",
        ["Upper", "a..b", "192.168.1.1", "xn--x", "sthree-x", "amzn-s3-demo-x", "a-s3alias", "a--ol-s3", "a--x-s3",
         "a--table-s3", "ab", A * 64, "b/../c", "trailing.", "a.mrap", "${x}", "under_score", "-a", "a-", "a\n"],
    ),
    "name": (
        "such as registry|at most 24 characters|internal-|sg-|a valid string",
        ["", A * 25, A * 33, A * 32 + "b", "internal-x", "sg", "sg-x", "-a", "a-", "a--b", "ünicode", "a b", ";rm -rf",
         "Registry", "1e3", "0o17", "a\n", False, 1e3, 0o17, None],
    ),
    "domain": (
        "registry.example.com|zone elastic.io|ACM's limit",
        ["nodot", "registry.elastic.io.", "*.elastic.io", "elastic.io", f"{A * 64}.elastic.io", "registry.example.com",
         "régistry.elastic.io", "REGISTRY.elastic.io", "-a.elastic.io", "a_b.elastic.io", "a..elastic.io",
         ".".join([A * 50] * 5) + ".elastic.io"],
    ),
    "zone": ("example.com|zone", ["Z0123456789ABC", "/hostedzone/Z0123456789ABC", "elastic.io.", "io", "example.com"]),
    "certificate": (
        "an ACM certificate",
        ["", "arn:aws:iam::123456789012:server-certificate/x", "arn:aws:acm:eu-central-1:1:certificate/x", "~x/y",
         "a\0b", 5],
    ),
    "idle_timeout": ("seconds that the balancer", [0, 59, 65536, 4001, -1, "300", 300.0, "5000"]),
    "nodes": ("EC2 instances", [0, -1, 21, 1000, "1", 1.0, True, None, 10**30]),
    "replicas": ("tasks", [0, -1, 2, 1000, "1", 1.0]),
    "instance_type": ("t3.small|EC2 type", ["", "t3", "t3.small;", "T3.small", "t3.small\n", 4]),
    "vpc": ("Key=Value", ["", "vpc-1", "my vpc", "=x", "Name=", "Na me=x"]),
    "node_subnets": ("Key=Value|each one once|list", [["subnet-1"], ["subnet-0123456789abcdef0"] * 2, "subnet-1", [1]]),
    "balancer_subnets": ("Key=Value|each one once", [[""], ["role=x", "role=x"]]),
    "image": (
        "registry:2.8.3|registry:3.1.1|can be deployed|configured_by",
        ["registry:latest", "registry", "registry:2.8.3@sha256:abc", "registry:2.8.3@md5:" + "0" * 32, "http://registry:2",
         "registry:3", "registry:3.0.0", "registry:3.1.0", "registry:4.0.0", "registry:1.0", "registry:", ":2.8.3",
         "Registry:2.8.3", "registry:2.8.3 ", "registry:2.8.3\n", A * 300 + ":1", "example/own:1", ""],
    ),
    "users": (
        "where the password comes from|at most 64|at least 1|at most 500",
        [{}, {"a:b": "generate"}, {"a\r\nb": "generate"}, {"a\0": "generate"}, {"#a": "generate"}, {"a ": "generate"},
         {A * 300: "generate"}, {"": "generate"}, {"a": "hunter2"}, {"a": ""}, {"a": "env:"}, {"a": "env:1"},
         {"a": "secretsmanager:"}, {"a": "file:/run/x"}, {"a": "generate\n"}, {"a": None}, ["a"], "a", None,
         {f"user{n}": "generate" for n in range(501)}],
    ),
    "client_networks": (
        "203.0.113.0/24|port 443",
        [[], ["10.0.0.1/8"], ["anything"], "0.0.0.0/0", ["10.0.0.0/33"], ["fe80::%1/64"], ["010.0.0.0/8"], [8]],
    ),
    "ssh_from": (
        "203.0.113.0/24|never the whole world",
        [["0.0.0.0/0"], ["::/0"], ["0.0.0.0/0.0.0.0"], ["10.0.0.1/8"], ["everywhere"]],
    ),
    "bcrypt_cost": ("bcrypt cost", [0, 4, 15, "10", 10.5]),
    "configured_by": ("REGISTRY_", ["env", None]),
    "credentials": ("instance-role|IAM user|registry:3.1.1", ["key", "task-role", "instance-role", None]),
    "realm": ("up to 120 characters|a valid string", ["", 'a"b', "a\nb", "a\\b", A * 121, "a\ud800", None]),
    "cloud": ("'embedded' or 'aws'", ["gcp", "AWS", "", None]),
    "rotate_after": ("days", [0, 3651, "30", None]),
    "log_retention": ("days of container logs", [3, 0, "30", None]),
    "htpasswd": ("init-container", ["file", None]),
    "capacity": ("auto-scaling-group", ["fargate", "awsvpc", None]),
    "cache": ("ElastiCache", ["redis", None]),
    "cache_node_type": ("cache.t4g.micro", ["t3.small", "cache.t3", ""]),
    "max_nodes": ("auto-scaling-group", [1, 0, "2"]),
    "max_replicas": ("auto-scaling-group", [1, 101]),
    "access_logs": ("auto-scaling-group|example-registry", ["their-logs", "Upper"]),
    "alarms": ("auto-scaling-group", [True, "no", 1]),
    "deletion_protection": ("auto-scaling-group", [True, "yes"]),
    "alarms_to": ("SNS topic|alarms: true", ["ops", "arn:aws:sns:eu-central-1:123456789012:ops"]),
    "extra_tags": (
        "reserved|at most 256|valid dictionary|at most 40",
        [{"aws:x": "y"}, {"runbook:deployment": "other"}, {"Name": "x"}, {"": "x"}, {A * 129: "x"}, {"x": A * 257},
         {"x": "ü"}, {"x": "a\n"}, ["x"], {f"tag{n}": "" for n in range(41)}],
    ),
    "regoin": ("did you mean `region`", ["eu-central-1"]),
    "password": ("did you mean", ["hunter2"]),
    "desired_count": ("every key is listed by", [1]),
}  # fmt: skip
PRODUCTION = {
    "max_nodes": ("nodes", [None, 1, 21, "4"]),
    "max_replicas": ("replicas", [None, 1, 101]),
    "htpasswd": ("init-container", ["node-folder"]),
    "domain": ("ACM's limit", [f"{A * 60}.elastic.io"]),
    "target_cpu": ("percent", [9, 91, "60", 60.0]),
    "target_requests": ("requests", [9, 100_001]),
    "deregistration_delay": ("seconds", [-1, 3601]),
    "container_insights": ("CloudWatch", ["yes", 1]),
    "alarms_to": ("alarms: true|SNS topic", ["arn:aws:sqs:eu-central-1:123456789012:ops"]),
}
PAIRS = (
    # Two keys of which each is right by itself.
    ("blog", {"bcrypt_cost": 5, "users": {"a": "env:A"}}, "bcrypt_cost: below 8 is safe for generated passwords only"),
    ("blog", {"capacity": "auto-scaling-group"}, "max_nodes: at least nodes"),
    ("blog", {"region": "af-south-1"}, "region: af-south-1 is not known to the S3 driver of registry:2.8.3"),
    ("production", {"alarms": False, "alarms_to": "arn:aws:sns:eu-central-1:123456789012:ops"}, "alarms_to: needs"),
    ("production", {"capacity": "instances"}, "max_nodes: needs capacity: auto-scaling-group"),
    (
        "production",
        {"image": "registry:2.8.3"},
        "credentials: registry 2.x never asks .*registry:3.1.1",
    ),
    ("production", {"image": "registry:2.8.3", "credentials": "instance-role"}, "credentials: .* too old for IMDSv2"),
)


def rows():
    """(row, params file, changes, the key, what the sentence says is right) of every single value and every pair."""
    for file, table in (("blog", BLOG), ("production", PRODUCTION)):
        for key, (right, values) in table.items():
            yield from ((f"{file} {key} {value!r:.60}", file, {key: value}, key, right) for value in values)
    yield from ((said, file, changes, said.partition(":")[0], said) for file, changes, said in PAIRS)


def _bomb():
    """Each line has the one before it ten times."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return "params:\n" + "\n".join(f"  {line}" for line in lines)


# What is wrong with a file as a whole: how it comes from a right one, and what the sentence says.
TEXTS = {
    "an unknown key": (lambda good: good.replace(b"region:", b"regoin:"), "did you mean `region`"),
    "a key twice": (lambda good: good + b"\n  region: eu-west-1\n", "the key `region` stands twice, line"),
    "a user twice": (
        lambda good: good.replace(b"  users:", b"  users: {a: generate, a: prompt}\n  x:"),
        "the key `a` stands twice",
    ),
    "an alias": (lambda good: good + b"\n  extra_tags: &x {a: b}\n  x: *x\n", "aliases .* are not used here, line"),
    "a bomb of aliases": (lambda good: _bomb().encode(), "aliases .* are not used here, line 3"),
    "a merge": (lambda good: good + b"\n  <<: {region: eu-west-1}\n", "unknown key|stands twice|not valid YAML|`<<`"),
    "a tab": (lambda good: good.replace(b"\n  region", b"\n\tregion"), "not valid YAML: .*line"),
    "nothing": (lambda good: b"", "exactly one key at the top is expected: params"),
    "blanks": (lambda good: b" \n\n", "exactly one key at the top is expected: params"),
    "a list on top": (lambda good: b"- params\n", "exactly one key at the top is expected: params"),
    "a word on top": (lambda good: b"params\n", "exactly one key at the top is expected: params"),
    "another key on top": (lambda good: good + b"\nmore: 1\n", "exactly one key at the top is expected: params"),
    "no params": (lambda good: b"params:\n", "params must be a mapping"),
    "a list of params": (lambda good: b"params: [region]\n", "params must be a mapping"),
    "two documents": (lambda good: good + b"\n---\nparams: {}\n", "not valid YAML: .*another document.*line"),
    "a Python object": (lambda good: b"params: !!python/object/apply:os.system [id]\n", "tags .* not used here"),
    "a tag that builds": (lambda good: b"params: !!timestamp 2020-99-99\n", "tags .* are not used here, line 1"),
    "a key that is a list": (lambda good: good + b"\n  ? [a]\n  : b\n", "a key must be a plain word"),
    "a number for a key": (lambda good: good + b"\n  1: 2\n", "unknown key 1"),
    "UTF-16": (lambda good: good.decode().encode("utf-16"), "cannot be read"),
    "Latin-1": (lambda good: good + b"\n  # \xfc\n", "cannot be read: .*utf-8"),
    "a control character": (lambda good: good + b"\n  # \x01\n", "not valid YAML"),
    "NUL": (lambda good: good + b"\0", "not valid YAML"),
    "ten thousand levels": (lambda good: b"params: " + b"[" * 10_000, "too many levels deep"),
    "a number of 5000 digits": (
        lambda good: good.replace(b"nodes: 1", b"nodes: " + b"1" * 5000),
        "`nodes`: input should be a valid integer",
    ),
    "no for a truth": (lambda good: good + b"\n  alarms: no\n", "`alarms`: input should be a valid boolean"),
    "1e3 for a number": (lambda good: good.replace(b"nodes: 1", b"nodes: 1e3"), "`nodes`: .*valid integer"),
    "0o17 for a number": (lambda good: good.replace(b"nodes: 1", b"nodes: 0o17"), "`nodes`: .*valid integer"),
    "017 for a number": (lambda good: good.replace(b"nodes: 1", b"nodes: 017"), "`nodes`: .*valid integer"),
    "null for a name": (lambda good: good.replace(b"name: registry", b"name: null"), "`name`: .*valid string"),
    "1e3 for a name": (lambda good: good.replace(b"name: registry", b"name: 1e3"), "`name`: .*such as registry"),
    "0o17 for a name": (lambda good: good.replace(b"name: registry", b"name: 0o17"), "`name`: .*such as registry"),
}  # fmt: skip
# Oddities that change nothing: they must load, to the same params.
HARMLESS = {
    "a byte order mark": lambda good: b"\xef\xbb\xbf" + good,
    "line ends of Windows": lambda good: good.replace(b"\n", b"\r\n"),
    "an anchor that nobody uses": lambda good: good.replace(b"  region: ", b"  region: &here "),
}

# The corpus has these too, and the params no key for them.
NO_COUNTERPART = {
    "a name that is shortened to a collision": "a name has at most 24 characters and is never shortened",
    "YAML no as a name": "only true and false are truths here, so that `no` is a name like another",
    "zone id as /hostedzone/Z… and Z…": "the zone is given by its name; an id is refused (above)",
    "port 0, 65536, '5000', 5000.0, 22": "the ports are the blog's and cannot be chosen; idle_timeout has these values",
    "cpu and memory 0, 4 MB": "a task's size cannot be chosen; a node too small for it is found by the preflight",
    "CIDR 0.0.0.0/0 and ::/0 on port 5000": "port 5000 is open to the balancer alone; ssh_from has both",
    "awsvpc with a classic balancer": "the network mode follows the capacity; capacity: awsvpc is refused (above)",
    "kms without a key": "the bucket is encrypted with SSE-S3; no key can be named",
    "teardown with keep": "destroy has --confirm and --images, which do not exclude each other",
    "certificate PENDING, FAILED, expired, of another region or domain": "found by the preflight (test_preflight.py)",
    "subnets of another VPC, one alone, two in one zone; the zone wrong or private": "found by the preflight as well",
    "AWS_ENDPOINT_URL unreachable": "test_main.py",
}

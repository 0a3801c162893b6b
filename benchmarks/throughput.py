"""Push and pull of one layer: through the embedded balancer, as every client comes, and to the registry's own port.

The balancer's way has TLS, which the client works at, too; the registry's own port speaks plain HTTP. A pull is
redirected to S3 by the registry, so that its bytes go past the balancer both times. Each push is of new bytes into an
empty bucket; the two ways take turns at being first.
"""

import sys
import time
from statistics import median

import requests
import tables
from clouds import cloud, deploy
from pushing import MB, Client, Layer, empty
from tables import Row

from runbook import connect, load, local

PARAMS, SIZE, LEAST = "blog", 200 * MB, 0.9
BALANCER, ALONE = "through the balancer", "the registry alone"
VERBS = ("push", "pull")


def measure(rounds: int) -> list[Row]:
    seconds: dict[tuple[str, str], list[float]] = {}
    with cloud():
        deploy(PARAMS)
        p = load(PARAMS)
        aws = connect(p)
        (node,) = local.status()["nodes"]
        urls = {BALANCER: p.url, ALONE: f"http://{node['address']}:{p.port}"}
        with aws.http() as routed, requests.Session() as plain:
            plain.trust_env = False
            sessions = {BALANCER: routed, ALONE: plain}
            clients = {way: Client(sessions[way], aws, p, urls[way]) for way in urls}
            for count in range(rounds):
                tables.say(f"throughput: round {count + 1} of {rounds}")
                for way in sorted(urls, reverse=bool(count % 2)):
                    layer = Layer(SIZE)
                    for verb in VERBS:
                        begun = time.monotonic()
                        getattr(clients[way], verb)(layer)
                        seconds.setdefault((verb, way), []).append(time.monotonic() - begun)
                    empty(aws, p)
    speed = {key: SIZE / MB / median(each) for key, each in seconds.items()}
    lines = [(way, *(f"{speed[verb, way]:.0f}" for verb in VERBS)) for way in urls]
    print(tables.table(("MB/s", *VERBS), lines) + "\n")
    return [row(verb, speed[verb, BALANCER] / speed[verb, ALONE]) for verb in VERBS]


def row(verb: str, ratio: float) -> Row:
    return Row(f"{verb} through the balancer", f"{ratio:.2f} × the registry alone", f"≥ {LEAST}", ratio >= LEAST)


if __name__ == "__main__":
    sys.exit(tables.main(measure, __doc__))

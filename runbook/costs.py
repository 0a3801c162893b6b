"""What a deployment costs a month, from its params alone: AWS's list prices as they were known here, nothing is asked.

A price that is not in the tables below is said to be unknown and is in no sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from .launching import VOLUME
from .params import Params

HOURS = 730  # a month, as AWS's own calculator has it
UNKNOWN = "price not known here"
_GIGABYTES = 100  # of images
_LOGS = 1  # GB a month
_ZONES = 3  # in which the balancer has an address, where the params do not tell
# On-demand list prices in US dollars: https://aws.amazon.com/ec2/pricing/on-demand/,
# https://aws.amazon.com/ebs/pricing/, https://aws.amazon.com/elasticloadbalancing/pricing/,
# https://aws.amazon.com/elasticache/pricing/, https://aws.amazon.com/s3/pricing/,
# https://aws.amazon.com/cloudwatch/pricing/
_BY_REGION: dict[str, dict[str, float]] = {
    "eu-central-1": {
        # an hour
        "t3.micro": 0.012,
        "t3.small": 0.024,
        "t3.medium": 0.048,
        "t3.large": 0.096,
        "classic": 0.03,
        "application": 0.027,
        "LCU": 0.008,
        "cache.t4g.micro": 0.0152,
        # a GB and month, or a GB
        "gp3": 0.0952,
        "S3": 0.0245,
        "logs": 0.63,
    }
}
# Alike in the regions above; https://aws.amazon.com/vpc/pricing/, https://aws.amazon.com/secrets-manager/pricing/,
# https://aws.amazon.com/route53/pricing/
_ADDRESS = 0.005  # an hour
_SECRET, _ZONE, _ALARM, _METRIC = 0.40, 0.50, 0.10, 0.30  # a month each
# Target tracking keeps a high and a low alarm: of two policies of the service, and of the capacity provider.
_TRACKING_ALARMS = 6


@dataclass(frozen=True)
class Cost:
    """What one thing of a deployment costs. `thing` is that of a step of the plan; `dollars` are US dollars a month,
    None where the price is not known here; `assumption` is what the sum stands on, with the single price."""

    thing: str
    what: str
    dollars: float | None
    assumption: str

    @property
    def words(self) -> str:
        return UNKNOWN if self.dollars is None else f"{self.dollars:.1f}"


@dataclass(frozen=True)
class Costs:
    """The costs of a deployment, a month."""

    title: str
    rows: tuple[Cost, ...]

    @property
    def total(self) -> float:
        """US dollars a month, of what has a known price."""
        return sum(row.dollars or 0.0 for row in self.rows)

    @property
    def unknown(self) -> tuple[str, ...]:
        """What is in no sum, as its price is not known here."""
        return tuple(row.what for row in self.rows if row.dollars is None)

    @property
    def words(self) -> str:
        """The sum in a line."""
        without = f", without {', '.join(self.unknown)} ({UNKNOWN})" if self.unknown else ""
        return f"about {self.total:.0f} US dollars a month{without}"

    def of(self, thing: str) -> float | None:
        """US dollars a month of the thing of one step; None where a part of it has no price that is known here."""
        mine = [row.dollars for row in self.rows if row.thing == thing]
        return None if None in mine else sum(mine)

    def markdown(self) -> str:
        """The table for a page or a job's summary."""
        lines = ["| what | a month | assumption |", "|---|---|---|"]
        return "\n".join([*lines, *(f"| {row.what} | {row.words} | {row.assumption} |" for row in self.rows)])

    def __repr__(self) -> str:
        width = max(len(row.what) for row in self.rows)
        lines = [f"{self.title}: {self.words}"]
        for row in self.rows:
            number = f"{row.words:>7}" if row.dollars is not None else UNKNOWN
            lines.append(f"  {row.what:{width}}  {number}  {row.assumption}".rstrip())
        return "\n".join([*lines, f"  {ASSUMPTIONS}"])

    def _repr_html_(self) -> str:
        left, right = "text-align:left;vertical-align:top", "text-align:right;vertical-align:top"
        heads = (("what", left), ("US dollars a month", right), ("assumption", left))
        head = "".join(f'<th scope="col" style="{style}">{word}</th>' for word, style in heads)
        rows = "".join(
            f'<tr><th scope="row" style="{left};font-weight:normal">{escape(row.what)}</th>'
            f'<td style="{right}">{row.words}</td><td style="{left}">{escape(row.assumption)}</td></tr>'
            for row in self.rows
        )
        caption = f"{self.title}: {self.words}"
        return (
            f'<table><caption style="text-align:left;font-weight:bold">{escape(caption)}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{escape(ASSUMPTIONS)}</p>"
        )


ASSUMPTIONS = (
    f"On-demand list prices, rounded, {HOURS} hours, without traffic to the internet and without free tiers; "
    "look yours up before you rely on it."
)


def want_costs(p: Params) -> Costs:
    """What the deployment shall cost on AWS, with the least number of nodes and tasks that the params allow."""
    steps = (_bucket, _identity, _nodes, _cache, _task, _users, _balancer, _scaling, _record, _alarms)
    return Costs(p.title, tuple(row for step in steps for row in step(p)))


def another_node(p: Params) -> float | None:
    """US dollars a month of each node more, under load."""
    rows = [row.dollars for row in _nodes(p)]
    return None if None in rows else sum(rows) / p.nodes


def _price(p: Params, of: str) -> float | None:
    return _BY_REGION.get(p.region, {}).get(of)


def _row(p: Params, thing: str, what: str, of: str, times: float, assumption: str) -> Cost:
    """A row of the table of regions; `{price}` in the assumption is the single price."""
    price = _price(p, of)
    if price is None:
        return Cost(thing, what, None, f"{UNKNOWN}: {of} in {p.region}")
    return Cost(thing, what, price * times, assumption.format(price=price))


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _bucket(p: Params) -> Iterator[Cost]:
    yield _row(p, "bucket", "images in S3", "S3", _GIGABYTES, f"{_GIGABYTES} GB at {{price}}; requests are not counted")


def _secrets(thing: str, what: str, number: int) -> Cost:
    return Cost(thing, what, number * _SECRET, f"{_counted(number, 'secret')} at {_SECRET:.2f}")


def _identity(p: Params) -> Iterator[Cost]:
    if p.credentials == "access-key":
        yield _secrets("identity", "the S3 key in Secrets Manager", 1)


def _nodes(p: Params) -> Iterator[Cost]:
    hours = f"{_counted(p.nodes, 'node')}, {HOURS} hours at {{price}}"
    yield _row(p, "nodes", f"{p.nodes} × {p.instance_type}", p.instance_type, p.nodes * HOURS, hours)
    size = VOLUME["VolumeSize"]
    disk = f"{_counted(p.nodes, 'disk')} of {size} GB at {{price}}"
    yield _row(p, "nodes", "disks of the nodes (gp3)", VOLUME["VolumeType"], p.nodes * size, disk)
    yield _addresses("nodes", "public IPv4 addresses of the nodes", p.nodes, "one a node, as in a default VPC")


def _addresses(thing: str, what: str, number: int, why: str) -> Cost:
    return Cost(thing, what, number * HOURS * _ADDRESS, f"{why}: {number}, {HOURS} hours at {_ADDRESS}")


def _cache(p: Params) -> Iterator[Cost]:
    if p.cache == "elasticache":
        hours = f"Valkey, {HOURS} hours at {{price}}"
        yield _row(p, "cache", f"one {p.cache_node_type}", p.cache_node_type, HOURS, hours)


def _task(p: Params) -> Iterator[Cost]:
    yield _secrets("task", "http.secret in Secrets Manager", 1)
    yield _row(p, "task", "logs", "logs", _LOGS, f"{_LOGS} GB at {{price}}")
    if p.container_insights:
        yield Cost("cluster", "Container Insights", None, f"{_METRIC:.2f} a metric; their number follows the tasks")


def _users(p: Params) -> Iterator[Cost]:
    generated = sum(source == "generate" for source in p.users.values())
    yield _secrets("users", "users in Secrets Manager", 1 + generated)


def _balancer(p: Params) -> Iterator[Cost]:
    if p.scales:
        yield _row(p, "balancer", "application load balancer", "application", HOURS, f"{HOURS} hours at {{price}}")
        yield _row(p, "balancer", "its capacity units (LCU)", "LCU", HOURS, f"one, {HOURS} hours at {{price}}")
    else:
        without = f"{HOURS} hours at {{price}}; 0.008 a GB is not counted"
        yield _row(p, "balancer", "classic load balancer", "classic", HOURS, without)
    zones = len(p.balancer_subnets) or _ZONES
    yield _addresses("balancer", "public IPv4 addresses of the balancer", zones, "one a zone")


def _scaling(p: Params) -> Iterator[Cost]:
    if p.scales:
        words = f"{_TRACKING_ALARMS} at {_ALARM:.2f}, which target tracking keeps"
        yield Cost("scaling", "alarms of the scaling", _TRACKING_ALARMS * _ALARM, words)


def _record(p: Params) -> Iterator[Cost]:
    yield Cost("record", "hosted zone in Route 53", _ZONE, "if it serves nothing else; it is yours already")


def _alarms(p: Params) -> Iterator[Cost]:
    if p.alarms:
        metrics = p.nodes + 1
        words = f"4 alarms at {_ALARM:.2f}, {metrics} metrics of the disks at {_METRIC:.2f}"
        yield Cost("alarms", "alarms", 4 * _ALARM + metrics * _METRIC, words)

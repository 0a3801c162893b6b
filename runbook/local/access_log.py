"""What an application load balancer did, from its HAProxy's log: for the counters, and as AWS's access log."""

import gzip
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from .haproxy_application import ACCESS, ANSWERED, LOGGED, back, open_back
from .inside import access_logs
from .inside.elbv2 import Wanted

# AWS delivers every five minutes.
DELIVERED_EVERY = 5.0
# "%ts" of the log: the second letter of one that ended while or after the target's answer was sent on.
ANSWERING = "DLT-"


class Growing:
    """The file that HAProxy and its predecessors write to, read as it grows."""

    def __init__(self, file: Path):
        self._file = file
        self._read = 0

    def new_lines(self) -> list[str]:
        """The whole lines since the last call."""
        if not self._file.exists():
            return []
        with open(self._file, "rb") as file:
            file.seek(self._read)
            whole, _, _ = file.read().rpartition(b"\n")
        if not whole:
            return []
        self._read += len(whole) + 1
        return whole.decode(errors="replace").split("\n")


class AccessLog(Growing):
    """The entries of an application load balancer's file, and their way into a bucket."""

    def __init__(self, file: Path):
        super().__init__(file)
        self._lines: list[str] = []
        self._next_delivery = 0.0

    def read(self, balancer: Wanted) -> list[dict]:
        """The entries since the last call; delivered to the bucket, too, if the balancer's attributes say so."""
        entries = list(self._entries(balancer))
        if balancer.attributes["access_logs.s3.enabled"] == "true":
            self._lines += [aws_line(entry, balancer) for entry in entries]
            self._deliver(balancer)
        else:
            self._lines.clear()
        return entries

    def _entries(self, balancer: Wanted) -> Iterator[dict]:
        groups = {name(group.arn): group.arn for group in balancer.groups for name in (back, open_back)}
        for line in self.new_lines():
            marker, *fields = line.split("\t")
            if marker == ACCESS and len(fields) == len(LOGGED):
                yield judged(dict(zip(LOGGED, fields, strict=True)), groups)

    def _deliver(self, balancer: Wanted) -> None:
        if not self._lines or time.monotonic() < self._next_delivery:
            return
        self._next_delivery = time.monotonic() + DELIVERED_EVERY
        content = gzip.compress("".join(line + "\n" for line in self._lines).encode())
        self._lines.clear()
        attributes = balancer.attributes
        access_logs.put(
            attributes["access_logs.s3.bucket"],
            object_key(balancer, datetime.now(UTC), secrets.token_hex(4)),
            content,
        )


def judged(entry: dict, groups: Mapping[str, str]) -> dict:
    """An entry with `group` (an ARN or None), `elb_status` and `target_status` ("-" when the target did not answer)."""
    answered = entry["server"] != "<NOSRV>" and entry["ended"][1] in ANSWERING
    status = int(entry["status"])
    refused = not answered and (entry["ended"][0] in "SC" or entry["server"] != "<NOSRV>")
    shown = ANSWERED.get(status, status) if refused else status
    if status < 0:  # the client left before there was an answer: AWS's own number for that
        shown = 460
    return entry | {
        "group": groups.get(entry["backend"]),
        "elb_status": str(shown),
        "target_status": str(status) if answered else "-",
    }


def object_key(balancer: Wanted, now: datetime, chance: str) -> str:
    """ "Access log files": where in the bucket a file lies."""
    prefix = balancer.attributes["access_logs.s3.prefix"]
    account, region = balancer.arn.split(":")[4], balancer.region
    name = f"{account}_elasticloadbalancing_{region}_{balancer.arn.partition('/')[2].replace('/', '.')}"
    file = f"{name}_{now:%Y%m%dT%H%MZ}_127.0.0.1_{chance}.log.gz"
    folder = f"AWSLogs/{account}/elasticloadbalancing/{region}/{now:%Y/%m/%d}"
    return "/".join(filter(None, [prefix, folder, file]))


def aws_line(entry: Mapping, balancer: Wanted) -> str:
    """An entry as in https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-access-logs.html"""
    port = int(entry["frontend"].rstrip("~").removeprefix("port-"))
    listener = next((each for each in balancer.listeners if each.port == port), None)
    rule = next((each for each in listener.rules if each.priority == entry["rule"]), None) if listener else None
    secure = entry["frontend"].endswith("~")
    began = datetime.fromtimestamp(int(entry["seconds"]) + int(entry["milliseconds"]) / 1000, UTC)
    ended = datetime.fromtimestamp(began.timestamp() + max(int(entry["whole_time"].lstrip("+")), 0) / 1000, UTC)
    sent_on = entry["server"] != "<NOSRV>"
    target = entry["target"] if sent_on else "-"
    path = entry["uri"].partition("://")[2].partition("/")[2] if "://" in entry["uri"] else entry["uri"][1:]
    scheme = "https" if secure else "http"
    url = f"{scheme}://{entry['host']}:{port}/{path}"
    fields = [
        "h2" if entry["version"].startswith("HTTP/2") else scheme,
        _iso(ended),
        balancer.arn.partition(":loadbalancer/")[2],
        entry["client"],
        target,
        *_times(entry, sent_on),
        entry["elb_status"],
        entry["target_status"],
        entry["received"],
        entry["sent"],
        _quoted(f"{entry['method']} {url} {entry['version']}"),
        _quoted(entry["agent"]),
        entry["cipher"],
        entry["tls"],
        entry["group"] or "-",
        _quoted(entry["trace"]),
        _quoted(entry["host"] if secure else "-"),
        _quoted(listener.certificates[0] if secure and listener and listener.certificates else "-"),
        "0" if entry["rule"] == "default" else entry["rule"],
        _iso(began),
        _quoted(rule.action["Type"] if rule else "-"),
        _quoted(entry["location"]),
        _quoted("-"),
        _quoted(target),
        _quoted(entry["target_status"]),
        _quoted("-"),
        _quoted("-"),
        "-",
    ]
    return " ".join(fields)


def _times(entry: Mapping, sent_on: bool) -> list[str]:
    """Seconds of the request, the target and the response; -1 where there was no such part."""
    if not sent_on or int(entry["target_time"]) < 0:
        return ["-1", "-1", "-1"]
    before = sum(max(int(entry[name]), 0) for name in ("request_time", "queue_time", "connect_time"))
    after = max(int(entry["whole_time"].lstrip("+")) - before - int(entry["target_time"]), 0)
    return [f"{each / 1000:.3f}" for each in (before, int(entry["target_time"]), after)]


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "%22") + '"'

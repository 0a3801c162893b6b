"""CloudWatch Logs inside moto: the streams that containers write to."""

import time

from moto.core import DEFAULT_ACCOUNT_ID
from moto.logs.exceptions import ResourceNotFoundException
from moto.logs.models import logs_backends

KEPT = 10_000  # events of one stream; the oldest go, moto holds them all in memory


def open_stream(region: str, group: str, stream: str, *, create_group: bool) -> None:
    """Make the stream; LookupError in AWS's words if the group is not there."""
    backend = logs_backends[DEFAULT_ACCOUNT_ID][region]
    if create_group:
        backend.ensure_log_group(group)
    if group not in backend.groups:
        raise LookupError("ResourceNotFoundException: The specified log group does not exist.")
    backend.ensure_log_stream(group, stream)


def put(region: str, group: str, stream: str, lines: list[str]) -> bool:
    """Append the lines with the present time; False if somebody deleted the group or the stream."""
    now = int(time.time() * 1000)
    backend = logs_backends[DEFAULT_ACCOUNT_ID][region]
    try:
        backend.put_log_events(group, stream, [{"timestamp": now, "message": line} for line in lines])
        events = backend.groups[group].streams[stream].events
    except (ResourceNotFoundException, KeyError):
        return False
    del events[:-KEPT]
    return True

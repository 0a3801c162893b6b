"""When a secret is due for rotation: it was made before a moment, by AWS's own clock."""

import datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from .errors import ParamsError
from .params import Params
from .session import AWS


class Since(NamedTuple):
    """What was made before `moment` is due. `words` are the same for a report."""

    moment: datetime.datetime
    words: str


Given = Since | datetime.datetime | str | None


def now(aws: AWS) -> datetime.datetime:
    """AWS's time, in whole seconds: this computer's may differ from the one by which AWS dates a key."""
    answer = aws.sts.get_caller_identity()
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).astimezone(datetime.UTC)


def since(aws: AWS, p: Params, given: Given = None) -> Since:
    """From a time with its zone, also as text (ISO 8601). None: what is older than `rotate_after` days is due.

    ParamsError for a time without a zone, or one to come: nothing can be made after it.
    """
    if isinstance(given, Since):
        return given
    present = now(aws)
    if given is None:
        return Since(present - datetime.timedelta(days=p.rotate_after), f"within {p.rotate_after} days")
    try:
        moment = datetime.datetime.fromisoformat(given) if isinstance(given, str) else given
    except ValueError:
        raise ParamsError(f"since: {given!r} is no time; write it as 2026-11-23T19:30:00Z") from None
    if moment.tzinfo is None:
        raise ParamsError(f"since: {moment.isoformat()} has no zone; write 2026-11-23T19:30:00Z, or +01:00 at its end")
    moment = moment.astimezone(datetime.UTC)
    if moment > present:
        raise ParamsError(f"since: {moment:%Y-%m-%d %H:%M:%S} UTC is still to come; AWS has {present:%H:%M:%S} UTC")
    return Since(moment, f"since {moment:%Y-%m-%d %H:%M:%S} UTC")


def told(made: datetime.datetime | None, since: Since) -> str:
    """When a thing was made, in the words of `since` if that is late enough."""
    if made is None:
        return "absent"
    return since.words if made >= since.moment else f"before, {made:%Y-%m-%d}"


def days(made: datetime.datetime, present: datetime.datetime) -> int:
    return max((present - made).days, 0)  # services' clocks differ by a second or so

"""A new http.secret for all registries. It signs the state of an upload between two of its requests, nothing else.

A registry knows one secret only. While new tasks take over from old ones, an upload that goes from one to the other
is answered 404 BLOB_UPLOAD_INVALID: docker begins the layer again by itself, with skopeo (1.9) one pushes again. No
other request is touched. https://github.com/distribution/distribution/blob/v2.8.3/registry/handlers/hmac.go
"""

import datetime

from . import due, lease, turnover
from .params import Params
from .report import Changes, Document, Report, compare
from .secret import generate
from .secretsmanager import find_version, write_secret
from .session import AWS


def want_http_secret(p: Params, since: due.Since) -> Document:
    """A secret made since then, which all tasks have."""
    return Document(Made=since.words, Tasks=turnover.PRESENT)


def find_http_secret(aws: AWS, p: Params, since: due.Since) -> Document | None:
    """The same of what is; None without the secret."""
    when = made(aws, p)
    return Document(Made=due.told(when, since), Tasks=turnover.find_tasks(aws, p)) if when else None


@lease.exclusive
def ensure_http_secret(aws: AWS, p: Params, *, since: due.Given = None) -> Changes:
    """Make a new secret if this one was made before `since`, give it to new tasks, and prove that they work."""
    since = due.since(aws, p, since)
    found = find_http_secret(aws, p, since)
    report = compare(_title(p), want_http_secret(p, since), found)
    if report:
        return report.changes.done
    turnover.require_service(aws, p)
    if found is None or found["Made"] != since.words:
        write_secret(aws, p, p.http_secret, generate(), f"http.secret of the registries of deployment {p.name}")
    turnover.ensure_tasks(aws, p)
    return report.changes.done


def verify_http_secret(aws: AWS, p: Params, *, since: due.Given = None) -> Report:
    since = due.since(aws, p, since)
    return compare(_title(p), want_http_secret(p, since), find_http_secret(aws, p, since))


def made(aws: AWS, p: Params) -> datetime.datetime | None:
    """When the secret was made; None where there is none."""
    version = find_version(aws, p, p.http_secret)
    return version.made if version else None


def _title(p: Params) -> str:
    return f"secret {p.http_secret}"

"""The drills at the client's side: the embedded cloud is broken in the way of one row, and the doctor names that row."""

import pytest
from botocore.exceptions import ClientError  # noqa: F401

from runbook import doctor, htpasswd, plan, registry
from runbook.local import breaking
from runbook.local.breaking import outside

from .conftest import mend

pytestmark = [pytest.mark.embedded, pytest.mark.timeout(600), pytest.mark.usefixtures("outer_stations_alone")]

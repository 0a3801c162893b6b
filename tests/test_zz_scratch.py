import os
import pytest
from test_faults import deployment, report
pytestmark = pytest.mark.moto
def test_some(deployment, figure):
    kinds = os.environ["KINDS"].split(",")
    deployment.walk(lambda all_: [t for t in all_ if t.kind in kinds])
    report(deployment, figure)

"""`pytest --nbval notebooks`: the notebooks in their order, from an empty account to an empty account.

The committed outputs are those of a clean start, so a session of nbval has an embedded cloud of its own.
"""

import os
import shutil
import tempfile


def pytest_configure(config):
    if not config.getoption("nbval", default=False):
        return
    config.option.nbval_current_env = True
    config.option.randomly_reorganize = False
    config.runbook_home = tempfile.mkdtemp(prefix="runbook-nbval-")
    os.environ["RUNBOOK_HOME"] = config.runbook_home


def pytest_unconfigure(config):
    home = getattr(config, "runbook_home", None)
    if home:
        from runbook import local

        local.down()
        shutil.rmtree(home)

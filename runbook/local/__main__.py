"""The embedded cloud's process; `runbook.local.up()` starts it."""

import sys

from .server import main

sys.exit(main(port=int(sys.argv[1]), lock=int(sys.argv[2])))

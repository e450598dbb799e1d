"""Command line: `python -m monolith serve` and `python -m monolith migrate`."""

import sys

from monolith.settings import Settings
from shopcore.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(Settings, "Triptych's shop, one service."))

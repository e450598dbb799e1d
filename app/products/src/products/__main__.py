"""Command line: `python -m products serve` and `python -m products migrate`."""

import sys

from products.settings import Settings
from shopcore.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(Settings, "Triptych's catalogue: search, detail, stock."))

"""What tests tell the run that they are part of: progress, and the deployments they made.

`tests.runner` names a file in TRIPTYCH_TEST_RECORD; a line of JSON for each event goes there. Where
it does not, nothing is written.
"""

from __future__ import annotations

import json
import os
import time

VARIABLE = "TRIPTYCH_TEST_RECORD"
#: The event that a process has no test left that measures the host.
MEASURED = "measured"


def note(event: str, **fields: object) -> None:
    """Write one event with its time (seconds since 1970)."""
    if path := os.environ.get(VARIABLE):
        line = json.dumps({"event": event, "at_s": round(time.time(), 2), **fields})
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, line.encode() + b"\n")
        finally:
            os.close(file)


def say(text: str) -> None:
    """Tell about progress: it stands in the test's captured output, and in the record."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
    note("said", text=text)


def deployed(model: str, shape: str, by: str, count: int = 1) -> None:
    """Say that a shop was deployed where there was none before."""
    note("deployed", model=model, shape=shape, by=by, count=count)

"""Requests as fast as they are answered, by vegeta: what a handler carries at its limits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from probe.errors import ProbeError
from probe.vegeta import Request

#: How many requests are on their way at once.
WORKERS: Final = 4
_REQUEST_TIMEOUT_S: Final = 20


def throughput(vegeta: Path, request: Request, url: str, seconds: float) -> float:
    """Return how many good answers a second there were; raise ProbeError if any was not good."""
    attack = [
        str(vegeta),
        "attack",
        "-format=json",
        "-rate=0",
        f"-max-workers={WORKERS}",
        f"-workers={WORKERS}",
        f"-duration={seconds:g}s",
        f"-timeout={_REQUEST_TIMEOUT_S}s",
    ]
    try:
        results = subprocess.run(
            attack,
            input=f"{request.line(url)}\n".encode(),
            capture_output=True,
            check=True,
            timeout=seconds + 2 * _REQUEST_TIMEOUT_S,
        ).stdout
        report = subprocess.run(
            [str(vegeta), "report", "-type=json"], input=results, capture_output=True, check=True
        ).stdout
    except OSError as error:
        raise ProbeError(f"vegeta: {error.strerror}") from None
    except subprocess.SubprocessError as error:
        raise ProbeError(f"vegeta: {error}") from None
    return judged(json.loads(report), request)


def judged(report: Mapping[str, Any], request: Request) -> float:
    """Return the throughput of vegeta's report; raise ProbeError if an answer was not good."""
    if report["success"] != 1.0:
        codes = ", ".join(f"{code} {n}x" for code, n in sorted(report["status_codes"].items()))
        first = next(iter(report.get("errors") or []), "")
        raise ProbeError(f"{request.method} {request.path}: answers {codes}; {first}".rstrip("; "))
    return float(report["throughput"])

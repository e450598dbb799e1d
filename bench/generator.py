"""The load generator by itself: what it costs to keep a rate, and how punctual its requests are.

It asks a trivial server, the shop's frontend for its own health with all the CPU there is.
"""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
from docker.errors import DockerException

from bench.figures import Figure, bounded, not_tested
from probe import project
from probe.errors import ProbeError
from probe.models.docker import STACK_LABEL, connect
from shop import catalogue

RATE: Final = 5000
SECONDS: Final = 5.0
CPU_CORES: Final = 0.5
LATE_MS: Final = 1.0
FIGURES: Final = {
    "generator-cpu": ("cores", CPU_CORES),
    "generator-timing": ("ms", LATE_MS),
}
NAME: Final = "bench-generator"
_STARTED_S: Final = 20.0


def figures(artefacts: Mapping[str, Any], vegeta: Path) -> list[Figure]:
    """Return what the generator takes, and its 99th percentile of lateness, at its rate."""
    image = str(project.images_of(artefacts, "microservices")["frontend"]["ref"])
    with _server(image) as url, tempfile.TemporaryDirectory(prefix="triptych-load-") as folder:
        results = Path(folder, "results")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _run(
            [
                *(str(vegeta), "attack", f"-rate={RATE}", f"-duration={SECONDS:g}s"),
                f"-output={results}",
            ],
            f"GET {url}\n",
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        lines = _run([str(vegeta), "encode", "-to=json", str(results)]).splitlines()
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sent = sorted(datetime.fromisoformat(json.loads(line)["timestamp"]) for line in lines)
    reached = (len(sent) - 1) / (sent[-1] - sent[0]).total_seconds()
    note = f"{reached:.0f} of {RATE} requests a second for {SECONDS:.0f} s"
    if reached < 0.98 * RATE:
        reason = f"the generator was the bottleneck: {note}"
        return [
            not_tested(name, reason, unit=unit, limit=limit)
            for name, (unit, limit) in FIGURES.items()
        ]
    late_ms = lateness(sent, RATE) * 1000
    return [
        bounded("generator-cpu", [cpu_s / SECONDS], unit="cores", limit=CPU_CORES, note=note),
        bounded("generator-timing", [late_ms], unit="ms", limit=LATE_MS, note="99th percentile"),
    ]


def lateness(sent: Sequence[datetime], rate: float) -> float:
    """Return the 99th percentile of how late requests left (seconds), the most punctual as zero."""
    offsets = [(at - sent[0]).total_seconds() - n / rate for n, at in enumerate(sent)]
    late = sorted(offset - min(offsets) for offset in offsets)
    return late[min(len(late) - 1, round(0.99 * len(late)))]


def _run(argv: Sequence[str], text: str = "") -> str:
    try:
        done = subprocess.run(argv, input=text, capture_output=True, check=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ProbeError(f"vegeta: {error}") from None
    return done.stdout


@contextmanager
def _server(image: str) -> Iterator[str]:
    """Run the frontend by itself; give the address of what it answers at once."""
    service = next(s for s in catalogue.services("microservices") if s.name == "frontend")
    client = connect(None)
    try:
        container = client.containers.run(
            image,
            detach=True,
            remove=True,
            name=f"triptych-{NAME}",
            labels={STACK_LABEL: NAME},
        )
    except DockerException as error:
        client.close()
        raise ProbeError(f"the frontend's image does not run: {error}") from None
    try:
        container.reload()
        networks = container.attrs["NetworkSettings"]["Networks"].values()
        address = next(str(network["IPAddress"]) for network in networks)
        url = f"http://{address}:{service.port}{catalogue.LIVE_PATH}"
        _await(url)
        yield url
    finally:
        container.remove(force=True)
        client.close()


def _await(url: str) -> None:
    end = time.monotonic() + _STARTED_S
    while time.monotonic() < end:
        try:
            if httpx.get(url, timeout=1.0, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise ProbeError(f"the frontend did not answer at {url}")

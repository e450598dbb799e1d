"""The load generator by itself: what it costs to keep a rate, and how punctual its requests are.

It asks a trivial server, the shop's frontend for its own health with all the CPU there is.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import httpx
from docker.errors import DockerException

from bench.figures import Figure, bounded, not_tested
from probe import project
from probe.errors import ProbeError
from probe.models.docker import STACK_LABEL, connect
from probe.vegeta import Attack, Request
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


def figures(artefacts: Mapping[str, Any]) -> list[Figure]:
    """Return what the generator takes, and its 99th percentile of lateness, at its rate."""
    image = str(project.images_of(artefacts, "microservices")["frontend"]["ref"])
    with _server(image) as url:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        request = Request("GET", catalogue.LIVE_PATH)
        attack = Attack(url, [request], rate=RATE, seconds=SECONDS, ca="")
        try:
            attack.wait()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
        finally:
            answers = attack.stop()
    failed = [a.note for a in answers if not a.good]
    if failed:
        raise ProbeError(f"the frontend did not answer {len(failed)} requests: {failed[0]}")
    sent = [a.sent_at for a in answers]
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    reached = (len(sent) - 1) / (sent[-1] - sent[0])
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


def lateness(sent: Sequence[float], rate: float) -> float:
    """Return the 99th percentile of how late requests left (seconds), the most punctual as zero."""
    offsets = [at - sent[0] - n / rate for n, at in enumerate(sent)]
    late = sorted(offset - min(offsets) for offset in offsets)
    return late[min(len(late) - 1, round(0.99 * len(late)))]


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
        url = f"http://{address}:{service.port}"
        _await(f"{url}{catalogue.LIVE_PATH}")
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

"""How fine the readiness poller looks, and what of a core that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import docker
from docker.errors import DockerException

from bench.figures import Figure, bounded
from probe import sites
from probe.errors import ProbeError
from probe.poller import GatewayPoller, PollResult

WINDOW_S: Final = 5.0
RESOLUTION_MS: Final = 10.0
CPU_PERCENT: Final = 2.0


def watch(url: str, *, sleep: Callable[[float], None] = time.sleep) -> PollResult:
    """Poll for a while and return what the poller says about itself."""
    poller = GatewayPoller(url)
    poller.start()
    try:
        sleep(WINDOW_S)
    finally:
        result = poller.stop()
    if result.ready_at is not None:
        raise ProbeError(f"{url} was ready: the poller stopped before it could be measured")
    return result


def closed_port() -> PollResult:
    """Poll a port on which nothing listens: most of the time of a deployment."""
    return watch(f"https://127.0.0.1:{sites.free_port()}/health/ready")


def unready_gateway(url: str, datastore: str) -> PollResult:
    """Poll a gateway whose shop is not ready, which is had by stopping a datastore."""
    try:
        client = docker.from_env()
        try:
            client.containers.get(datastore).stop(timeout=5)
        finally:
            client.close()
    except DockerException as error:
        raise ProbeError(f"{datastore} could not be stopped: {error}") from None
    time.sleep(1)
    return watch(f"{url}/health/ready")


def figures(where: str, results: Sequence[PollResult]) -> list[Figure]:
    """Return resolution (each window's median gap) and share of a core."""
    seen: dict[str, int] = {}
    for result in results:
        for name, count in result.seen.items():
            seen[name] = seen.get(name, 0) + count
    answers = ", ".join(f"{name} {count}x" for name, count in sorted(seen.items()))
    late = max((r.gap(0.95) or 0.0) for r in results) * 1000
    return [
        bounded(
            f"poll-{where}-resolution",
            [(r.gap(0.5) or WINDOW_S) * 1000 for r in results],
            unit="ms",
            limit=RESOLUTION_MS,
            note=(
                f"median distance of {sum(r.attempts for r in results)} attempts,"
                f" 95 % within {late:.1f} ms; answers: {answers}"
            ),
        ),
        bounded(
            f"poll-{where}-cpu",
            [r.cpu_share * 100 for r in results],
            unit="%",
            limit=CPU_PERCENT,
            note="of one core, the polling thread's own CPU time",
        ),
    ]

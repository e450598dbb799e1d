"""What needs no clock: the images' size, and the start from nothing as it was recorded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import DockerException

from bench.figures import Figure, bounded, not_tested
from probe import project, store
from probe.errors import ProbeError
from toolchain.paths import Paths
from toolchain.unit_tests import command

IMAGES_MB: Final = 300.0
FIRST_ROW_S: Final = 900.0
UNIT_TESTS_S: Final = 60.0
_UNIT_TEST_PATIENCE_S: Final = 300.0
#: dockerd's figure and the build's may differ by this share before they contradict each other.
_TOLERANCE: Final = 0.02


def images(artefacts: Mapping[str, Any]) -> Figure:
    """Return what the monolith's images take beyond the common base, as build and dockerd say.

    The limit is for that shape; what the microservices' take stands beside it.
    """
    name, unit = "image-size", "MB"
    built = project.images_of(artefacts, "monolith")
    recorded = sum(int(image["own_bytes"]) for image in built.values())
    more = project.images_of(artefacts, "microservices")
    microservices = sum(int(image["own_bytes"]) for image in more.values())
    try:
        client = docker.from_env()
        try:
            base = int(artefacts["base"]["unpacked_bytes"])
            sizes = {k: int(client.images.get(v["ref"]).attrs["Size"]) for k, v in built.items()}
        finally:
            client.close()
    except (DockerException, KeyError) as error:
        return not_tested(
            name, f"dockerd does not have the images: {error}", unit=unit, limit=IMAGES_MB
        )
    measured = sum(size - base for size in sizes.values())
    if abs(measured - recorded) > _TOLERANCE * recorded:
        reason = f"artefacts.json says {recorded} bytes, dockerd {measured}: run `make build` again"
        return not_tested(name, reason, unit=unit, limit=IMAGES_MB, failed=True)
    parts = ", ".join(f"{k} {(v - base) / 1e6:.0f}" for k, v in sizes.items())
    # The larger of the two: a limit is to hold whoever counts.
    return bounded(
        name,
        [max(measured, recorded) / 1e6],
        unit=unit,
        limit=IMAGES_MB,
        note=(
            f"unpacked, beyond the base of {base / 1e6:.0f}: {parts};"
            f" the microservices' images together {microservices / 1e6:.0f}"
        ),
    )


def unit_tests(root: Path) -> Figure:
    """Return how long the unit tests take; if they fail there is nothing to time."""
    name = "unit-tests"
    argv = command(sys.executable, ["-q", "-p", "no:cacheprovider"])
    began = time.monotonic()
    try:
        done = subprocess.run(
            argv, cwd=root, capture_output=True, text=True, timeout=_UNIT_TEST_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        reason = f"they did not end within {_UNIT_TEST_PATIENCE_S:.0f} s"
        return not_tested(name, reason, unit="s", limit=UNIT_TESTS_S, failed=True)
    took = time.monotonic() - began
    lines = done.stdout.strip().splitlines()
    summary = lines[-1].strip("= ") if lines else "no output"
    if done.returncode != 0:
        return not_tested(name, f"they fail: {summary}", unit="s", limit=UNIT_TESTS_S, failed=True)
    return bounded(name, [took], unit="s", limit=UNIT_TESTS_S, note=summary)


def first_row(paths: Paths, results: Path) -> Figure:
    """Return the time from the toolchain's first start to the first finished deployment.

    Known only where the toolchain installed everything itself: it then has a duration for Debian's
    packages and for Pulumi's build, and its logs' folder is as old as its first start.
    """
    name = "first-row"

    def without(reason: str) -> Figure:
        return not_tested(name, reason, unit="s", limit=FIRST_ROW_S)

    try:
        durations = json.loads((paths.logs / "durations.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return without("the toolchain has recorded no durations")
    for step in ("debian-packages", "pulumi", "guest-monolith"):
        if step not in durations:
            return without(f"not a machine with nothing installed: {step} was there already")
    started = born(paths.logs)
    if started is None:
        return without("the file system does not say when the toolchain first ran")
    ended = first_trial_end(results)
    if ended is None:
        return without("no comparison has been run yet")
    if ended < started:
        return without("the first comparison is older than the cache")
    note = "from the toolchain's first start to the first deployment measured, pauses included"
    figure = bounded(name, [ended - started], unit="s", limit=FIRST_ROW_S, note=note)
    if not figure.holds:
        # Commands typed one by one, or the cache's folder from before: only `make compare` in one
        # go from nothing can show a miss.
        return without(f"{note} it was {ended - started:.0f} s: too long to be one run of commands")
    return figure


def born(path: Path) -> float | None:
    """Return when a file was made (seconds since the epoch), None if that is not known."""
    done = subprocess.run(
        ["stat", "--format=%W", str(path)], capture_output=True, text=True, check=False
    )
    text = done.stdout.strip()
    return float(text) if text.isdigit() and int(text) > 0 else None


def first_trial_end(results: Path) -> float | None:
    """Return when the first deployment of the oldest run was done (seconds since the epoch)."""
    for folder in sorted(p for p in results.glob("*") if p.is_dir()):
        try:
            run = store.read_run(folder)
        except ProbeError:
            continue
        good = [t for key in run.manifest.order if (t := run.done.get(key)) and t.outcome == "ok"]
        if good and good[0].key == run.manifest.order[0]:
            return datetime.fromisoformat(run.manifest.started).timestamp() + good[0].seconds
    return None

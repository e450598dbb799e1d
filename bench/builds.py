"""Builds for the bench: bare handlers' images, and how long an unchanged service takes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from bench.figures import Figure, bounded, not_tested
from probe.errors import ProbeError
from shop import catalogue
from toolchain.artefacts import build, recipes, registry
from toolchain.artefacts.keys import digest_files, image_key
from toolchain.buildah import Buildah
from toolchain.paths import Paths
from toolchain.steps import Outcome, Step, StepContext, StepError

UNCHANGED_S: Final = 2.0


class _Silent:
    """A reporter that says nothing: the log has it all."""

    def started(self, name: str, detail: str, last_s: float | None) -> None:
        pass

    def changed(self, name: str, detail: str) -> None:
        pass

    def ended(self, outcome: Outcome) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def bare_image(paths: Paths, service: str) -> str:
    """Return the reference of a service's bare handler in the registry, built if it has to be.

    It is the stage `bare` of the service's Dockerfile, and no image of the shop's.

    Raises:
        ProbeError: if the service has none, or it can't be built.
    """
    if not recipes.has_stage(paths.root, service, "bare"):
        raise ProbeError(f"app/{service}/Dockerfile has no stage `bare`")
    name = f"bench-{service}"
    key = digest_files(recipes.context_files(paths.root, service), build.have_base(paths).ref)
    ref = registry.reference(name, key)
    if registry.manifest(name, key) is None:
        _build(paths, service, ref, target="bare", push=True)
    return ref


def unchanged(paths: Paths) -> Figure:
    """Return how long `make build` takes over a service of which nothing has changed, the slowest.

    It knows an image by the hash of all that goes into it, and asks the registry. What buildah
    itself would take, with every layer there already, stands in the note.
    """
    name, unit = "unchanged-builds", "s"
    steps = {step.name: step for step in build.steps(paths)}
    services = dict.fromkeys(n for shape in catalogue.SHAPES for n in recipes.app_services(shape))
    taken: dict[str, float] = {}
    built: dict[str, float] = {}
    for service in services:
        began = time.monotonic()
        there = steps[f"image-{service}"].is_done()
        taken[service] = time.monotonic() - began
        if not there:
            reason = f"{service} has changed since it was built: run `make build` first"
            return not_tested(name, reason, unit=unit, limit=UNCHANGED_S, failed=True)
        ref = registry.reference(service, image_key(paths.root, service))
        # The first one makes sure of the layers: they may have been given up meanwhile.
        for _ in range(2):
            built[service] = _build(paths, service, ref)
    each = ", ".join(f"{service} {seconds:.1f}" for service, seconds in built.items())
    return bounded(
        name,
        [max(taken.values())],
        unit=unit,
        limit=UNCHANGED_S,
        note=f"the slowest of {len(taken)}; buildah, with every layer there: {each}",
    )


def _build(
    paths: Paths, service: str, ref: str, *, target: str | None = None, push: bool = False
) -> float:
    """Build a service's Dockerfile and return the seconds it took; raise ProbeError on failure."""
    log = paths.logs / f"bench-{service}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        return asyncio.run(_run(paths, service, ref, target, push, log))
    except StepError as error:
        raise ProbeError(f"build of {service}: {error} (see {log})") from None


async def _run(
    paths: Paths, service: str, ref: str, target: str | None, push: bool, log_path: Path
) -> float:
    async def nothing(_context: StepContext) -> None:
        pass

    arguments = {"BASE": build.have_base(paths).ref}
    for other in recipes.built_on(paths.root, service):
        key = image_key(paths.root, other)
        arguments[recipes.argument(other)] = registry.reference(other, key)
    with log_path.open("wb") as log:
        context = StepContext(Step(f"bench-{service}", nothing), log_path, log, _Silent())
        buildah = await Buildah.of(context, paths)
        began = time.monotonic()
        with recipes.build_directory() as directory:
            files = recipes.context_files(paths.root, service)
            await context.thread(recipes.assemble, directory, files)
            await buildah.build(context, directory, ref, arguments=arguments, target=target)
        took = time.monotonic() - began
        if push:
            await buildah.push(context, ref)
    return took

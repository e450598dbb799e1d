"""`make push REGISTRY=host[:port]`: the shop's images to a registry that a user's cluster has.

By dockerd, so that what a user has set up for it counts: logins, proxies, authorities, registries
without TLS.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from toolchain.errors import ToolchainError
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext

_REGISTRY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
_TIMEOUT_S = 900.0


def push_steps(paths: Paths, registry: str) -> Sequence[Step]:
    """Return a step per image; raise ToolchainError if there is none or the registry has no name.

    Paths and tags are the same there: what is pushed already is told by its layers, and costs
    nothing.
    """
    if not _REGISTRY.fullmatch(registry):
        raise ToolchainError(
            f'REGISTRY "{registry}" is not allowed: it must be a host or host:port,'
            " as in `make push REGISTRY=registry.example.org`"
        )
    try:
        built = json.loads(paths.artefacts_json.read_text(encoding="utf-8"))["images"]
    except (OSError, ValueError, KeyError):
        raise ToolchainError("nothing is built yet: run `make build` first") from None
    return [_push(name, image["ref"], registry) for name, image in sorted(built.items())]


def target(ref: str, registry: str) -> str:
    """Return what an image is called in another registry."""
    return f"{registry}/{ref.partition('/')[2]}"


def _push(name: str, ref: str, registry: str) -> Step:
    there = target(ref, registry)

    async def run(context: StepContext) -> None:
        await context.run("docker", "pull", "--quiet", ref, timeout_s=_TIMEOUT_S)
        await context.run("docker", "tag", ref, there)
        try:
            await context.run("docker", "push", "--quiet", there, timeout_s=_TIMEOUT_S)
        finally:
            # The name alone: the image goes on under its own.
            await context.run("docker", "rmi", there, check=False)
        context.conclude(there)

    return Step(f"push-{name}", run, detail=f"to {registry}")

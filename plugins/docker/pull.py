"""Images that the daemon has, and pulling those that it has not."""

from __future__ import annotations

from typing import Any

import docker.errors

from plugins.bridge import Operation, UserError
from plugins.docker.connection import DaemonProvider
from plugins.docker.reference import Reference


def find_image(client: Any, name: str) -> dict[str, Any] | None:
    """Return what the daemon knows about an image, None when it does not have it."""
    try:
        found: dict[str, Any] = client.inspect_image(name)
    except docker.errors.ImageNotFound:
        return None
    return found


def pull_image(provider: DaemonProvider, op: Operation, name: str, platform: str | None) -> None:
    """Pull an image from its registry."""
    reference = Reference.parse(name)
    op.status(f"Pulling {name}")
    lines = provider.client.pull(
        reference.repository,
        tag=reference.pull_tag,
        stream=True,
        decode=True,
        platform=platform,
        auth_config=provider.registry_auth(reference.registry),
    )
    for line in lines:
        if op.cancelled.is_set():
            raise UserError(f"the pull of {name} was cancelled")
        if "error" in line:
            raise UserError(f"can't pull the image {name}: {' '.join(line['error'].split())}")

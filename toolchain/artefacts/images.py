"""The shop's container images: built with buildah, pushed to the local registry."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from toolchain.artefacts import recipes, registry
from toolchain.artefacts.base import (
    OFFICIAL_IMAGE,
    POLICY,
    PULL_TIMEOUT_S,
    dockerfile,
    mmdebstrap,
)
from toolchain.buildah import Buildah
from toolchain.files import write_text
from toolchain.steps import StepContext, StepError


@dataclass(frozen=True)
class BaseImage:
    """The image all others are built on, with the digests of its layers."""

    ref: str
    digest: str
    source: str
    layers: tuple[str, ...]
    unpacked_bytes: int


@dataclass(frozen=True)
class Image:
    """A built image and what it weighs.

    `digest` is the manifest's, `image_id` the configuration's (what dockerd calls its Id).
    `shipped_bytes` is what a host without any of its layers pulls (compressed), `unpacked_bytes`
    what dockerd then keeps, `own_bytes` the part of that beyond the common base.
    """

    ref: str
    digest: str
    image_id: str
    shipped_bytes: int
    unpacked_bytes: int
    own_bytes: int
    build_s: float


def read_base(directory: Path, key: str) -> BaseImage | None:
    """Return the base image of this key; None unless the registry still has it."""
    try:
        values = json.loads((directory / f"base-{key}.json").read_text())
        base = BaseImage(**{**values, "layers": tuple(values["layers"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return base if registry.manifest("base", base.digest) else None


def read_image(directory: Path, name: str, key: str) -> Image | None:
    """Return the built image of this key; None unless the registry still has it."""
    try:
        image = Image(**json.loads((directory / f"{name}-{key}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    # By its digest: another user's build of the same sources may have the name by now.
    return image if registry.manifest(name, image.digest) else None


async def build_base(
    context: StepContext, buildah: Buildah, directory: Path, key: str
) -> BaseImage:
    """Make the base image, push it and record it.

    The official image is taken if an image registry gives it, else one is made from the mirror.
    """
    ref = registry.reference("base", key)
    source = OFFICIAL_IMAGE
    with recipes.build_directory() as build:
        try:
            argv = buildah.locked(*buildah.command, "pull", "--quiet", OFFICIAL_IMAGE)
            await context.run(*argv, env=buildah.environment, timeout_s=PULL_TIMEOUT_S)
        except StepError:
            source = "mmdebstrap"
            context.say("base image: Debian's minimal system")
            await mmdebstrap(context, build / "base.tar")
            write_text(build / "policy-rc.d", POLICY, 0o755)
        write_text(build / "Dockerfile", dockerfile(official=source == OFFICIAL_IMAGE))
        await buildah.build(context, build, ref, arguments={}, final=False)
    pushed = await _push(context, buildah, "base", key)
    size = await context.thread(registry.unpacked_bytes, "base", pushed.layers)
    base = BaseImage(ref, pushed.digest, source, pushed.layers, size)
    write_text(directory / f"base-{key}.json", json.dumps(asdict(base)) + "\n")
    return base


async def build_image(
    context: StepContext,
    buildah: Buildah,
    *,
    root: Path,
    directory: Path,
    name: str,
    key: str,
    base: BaseImage,
    others: Mapping[str, str],
    binaries: Mapping[str, Path],
) -> Image:
    """Build an image, push it and record what it weighs.

    `others` has the references of images that it is built on, `binaries` what the context holds
    besides the folder's files. Raises StepError if the build or the push fails; the log has the
    builder's words.
    """
    started_s = time.monotonic()
    context.say(f"image {name}: building")
    with recipes.build_directory() as build:
        files = {**recipes.context_files(root, name), **binaries}
        await context.thread(recipes.assemble, build, files)
        arguments = {"BASE": base.ref, **{recipes.argument(n): ref for n, ref in others.items()}}
        await buildah.build(context, build, registry.reference(name, key), arguments=arguments)
    context.say(f"image {name}: pushing")
    pushed = await _push(context, buildah, name, key)
    own = tuple(layer for layer in pushed.layers if layer not in base.layers)
    own_bytes = await context.thread(registry.unpacked_bytes, name, own)
    image = Image(
        ref=registry.reference(name, key),
        digest=pushed.digest,
        image_id=pushed.image_id,
        shipped_bytes=pushed.shipped_bytes,
        unpacked_bytes=base.unpacked_bytes + own_bytes,
        own_bytes=own_bytes,
        build_s=round(time.monotonic() - started_s, 1),
    )
    write_text(directory / f"{name}-{key}.json", json.dumps(asdict(image)) + "\n")
    return image


async def _push(context: StepContext, buildah: Buildah, name: str, key: str) -> registry.Manifest:
    ref = registry.reference(name, key)
    await buildah.push(context, ref)
    pushed = await context.thread(registry.manifest, name, key)
    if pushed is None:
        raise StepError(f"the registry does not have {ref} after the push", "see its log")
    return pushed

"""The steps of the goal `build`: each image, each shape's guest disk, the node, the index of them.

What takes longest comes first; what others are built on comes before them.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shop.catalogue import SHAPES, SURROUNDINGS
from toolchain.artefacts import guest_image, images, node, pool, recipes, registry
from toolchain.artefacts.guest_disk import (
    CMDLINE,
    NEEDED_BYTES,
    Disk,
    disk_files,
    make_disk,
    read_disk,
)
from toolchain.artefacts.keys import (
    base_key,
    guest_key,
    guest_system_key,
    image_key,
    source_keys,
)
from toolchain.buildah import Buildah
from toolchain.files import write_text
from toolchain.paths import Paths
from toolchain.steps import Step, StepContext, StepError
from toolchain.tools import tool_path

SCHEMA = 2
BASE = "base-image"
_DEBIAN = "debian-packages"
_SYSTEM = "guest-system"


def steps(paths: Paths) -> Sequence[Step]:
    """Return the steps that build everything that is shipped; `setup`'s steps are there before."""
    own: list[Step] = []
    around: list[Step] = []
    for name in recipes.image_names():
        others = (*SURROUNDINGS, *recipes.PLATFORM)
        (around if name in others else own).append(_image(paths, name))
    # First what another one waits for.
    awaited = {need for step in own for need in step.needs}
    own.sort(key=lambda step: step.name not in awaited)
    guests = [_guest(paths, shape) for shape in SHAPES]
    kubernetes = node.steps(paths, BASE, have_base)
    return [
        *base_steps(paths),
        *own,
        _system(paths),
        *around,
        *kubernetes,
        *guests,
        _index(paths),
    ]


def base_steps(paths: Paths) -> list[Step]:
    """Return the steps that whatever buildah builds has to come after."""
    return [_storage(paths), _base(paths)]


def _storage(paths: Paths) -> Step:
    async def run(context: StepContext) -> None:
        buildah = await Buildah.of(context, paths)
        await buildah.tidy(context)
        stored = await context.thread(buildah.stored_bytes)
        context.conclude(f"{stored / 1e9:.1f} GB of layers")

    return Step("buildah", run, (_DEBIAN,), detail="its storage")


def _base(paths: Paths) -> Step:
    def is_done() -> bool | str:
        base = images.read_base(paths.artefacts, base_key(paths.root))
        return base is not None and _base_weight(base)

    async def run(context: StepContext) -> None:
        buildah = await Buildah.of(context, paths)
        key = base_key(paths.root)
        base = await images.build_base(context, buildah, paths.artefacts, key)
        context.conclude(_base_weight(base))

    needs = ("buildah", "registry", _DEBIAN)
    return Step(BASE, run, needs, is_done, detail="Debian's userland", heavy=True)


def _base_weight(base: images.BaseImage) -> str:
    return f"{base.unpacked_bytes / 1e6:.0f} MB from {base.source}"


def have_base(paths: Paths) -> images.BaseImage:
    """Return the base image, built in an earlier step."""
    base = images.read_base(paths.artefacts, base_key(paths.root))
    if base is None:
        raise StepError("the base image has left the registry", "run the same command again")
    return base


def _refs(paths: Paths, names: Sequence[str]) -> dict[str, str]:
    return {name: registry.reference(name, image_key(paths.root, name)) for name in names}


def _image(paths: Paths, name: str) -> Step:
    def is_done() -> bool | str:
        image = images.read_image(paths.artefacts, name, image_key(paths.root, name))
        return image is not None and _weight(image)

    async def run(context: StepContext) -> None:
        image = await images.build_image(
            context,
            await Buildah.of(context, paths),
            root=paths.root,
            directory=paths.artefacts,
            name=name,
            key=image_key(paths.root, name),
            base=await context.thread(have_base, paths),
            others=_refs(paths, others),
            binaries={name: tool_path(paths, name)} if name in BINARIES else {},
        )
        context.conclude(_weight(image))

    others = recipes.built_on(paths.root, name)
    binary = [name] if name in BINARIES else []
    needs = (BASE, *binary, *(f"image-{other}" for other in others))
    return Step(f"image-{name}", run, needs, is_done, detail=f"image {name}", heavy=True)


#: Images whose program is a tool of ours, and comes into the build context.
BINARIES = ("stripe-mock",)


def _weight(image: images.Image) -> str:
    own, shipped = image.own_bytes / 1e6, image.shipped_bytes / 1e6
    return f"{own:.0f} MB beyond the base, {shipped:.0f} MB shipped"


def _system(paths: Paths) -> Step:
    """Return the step that has the layers in common ready before the services' images are."""

    def is_done() -> bool:
        return all(_read(paths, shape) for shape in SHAPES)

    async def run(context: StepContext) -> None:
        _want_space(paths)
        base = await context.thread(have_base, paths)
        await guest_image.build_system(
            context,
            await Buildah.of(context, paths),
            paths.root,
            key=guest_system_key(paths.root),
            base=base.ref,
        )

    return Step(_SYSTEM, run, (BASE,), is_done, detail="Debian for the guests", heavy=True)


def _read(paths: Paths, shape: str) -> Disk | None:
    return read_disk(paths.artefacts, shape, guest_key(paths.root, shape))


def _guest(paths: Paths, shape: str) -> Step:
    own = recipes.app_services(shape)

    def is_done() -> bool | str:
        disk = _read(paths, shape)
        there = disk is not None and pool.has_volumes(list(_volumes(paths, shape)))
        return there and disk is not None and _disk_weight(disk)

    async def run(context: StepContext) -> None:
        disk = _read(paths, shape)
        if disk is None:
            started_s = time.monotonic()
            _want_space(paths)
            buildah = await Buildah.of(context, paths)
            key = guest_key(paths.root, shape)
            base = await context.thread(have_base, paths)
            await guest_image.build_shape(
                context,
                buildah,
                paths.root,
                shape,
                key=key,
                base=base.ref,
                refs=_refs(paths, own),
                stripe_mock=tool_path(paths, "stripe-mock"),
            )
            disk = await make_disk(
                context,
                buildah,
                root=paths.root,
                directory=paths.artefacts,
                shape=shape,
                key=key,
                image=guest_image.shape_ref(shape, key),
                started_s=started_s,
            )
        context.say("guest disk: into libvirt's cache pool")
        current = {name for each in SHAPES for name in _volumes(paths, each)}
        await pool.keep(context, _volumes(paths, shape), current)
        context.conclude(_disk_weight(disk))

    needs = (_SYSTEM, *(f"image-{name}" for name in own), "stripe-mock", "libvirtd")
    # One at a time: they share the pool, and room for one disk in the making is enough.
    return Step(
        f"guest-{shape}", run, needs, is_done, f"golden disk, {shape}", "guest disk", heavy=True
    )


def _volumes(paths: Paths, shape: str) -> dict[str, Path]:
    """Return the cache pool's volumes by name, and the files they are made from."""
    files = disk_files(paths.artefacts, shape, guest_key(paths.root, shape))[:3]
    return {file.name: file for file in files}


def _disk_weight(disk: Disk) -> str:
    return f"{disk.unpacked_bytes / 1e6:.0f} MB, {disk.shipped_bytes / 1e6:.0f} MB shipped"


def _want_space(paths: Paths) -> None:
    paths.artefacts.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(paths.artefacts).free
    if free < NEEDED_BYTES:
        raise StepError(
            f"{free / 1e9:.1f} GB free at {paths.artefacts}, {NEEDED_BYTES / 1e9:.1f} GB wanted",
            "make room or set TRIPTYCH_CACHE to a directory on a larger disk",
        )


def _entries(paths: Paths) -> dict[str, Any] | None:
    """Return the index's content, None as long as something is not built."""
    root, directory = paths.root, paths.artefacts
    base = images.read_base(directory, base_key(root))
    built = {
        name: images.read_image(directory, name, image_key(root, name))
        for name in recipes.image_names()
    }
    guests = {shape: _guest_entry(paths, shape) for shape in SHAPES}
    of_kubernetes = node.read_node(paths)
    if base is None or None in built.values() or None in guests.values():
        return None
    return {
        "schema": SCHEMA,
        "sources": source_keys(root),
        "base": asdict(base),
        "images": {name: asdict(image) for name, image in built.items() if image is not None},
        "guests": guests,
        # Not built where no cluster is wanted.
        "kubernetes": {"node": asdict(of_kubernetes)} if of_kubernetes else {},
    }


def _guest_entry(paths: Paths, shape: str) -> dict[str, Any] | None:
    disk = _read(paths, shape)
    if disk is None:
        return None
    volume, kernel_volume, initrd_volume = _volumes(paths, shape)
    return {
        "key": guest_key(paths.root, shape),
        "pool": pool.POOL,
        "volume": volume,
        "kernel_volume": kernel_volume,
        "initrd_volume": initrd_volume,
        "cmdline": CMDLINE,
        **{k: str(v) if isinstance(v, Path) else v for k, v in asdict(disk).items()},
    }


def _index(paths: Paths) -> Step:
    def text() -> str | None:
        entries = _entries(paths)
        return json.dumps(entries, indent=2) + "\n" if entries else None

    def is_done() -> bool:
        wanted = text()
        there = paths.artefacts_json
        return wanted is not None and there.is_file() and there.read_text() == wanted

    async def run(context: StepContext) -> None:
        wanted = await context.thread(text)
        if wanted is None:
            raise StepError(
                "an artefact vanished while others were built", "run `make build` again"
            )
        write_text(paths.artefacts_json, wanted)

    needs = (
        *(f"image-{name}" for name in recipes.image_names()),
        *(f"guest-{shape}" for shape in SHAPES),
        node.STEP,
    )
    return Step("artefacts", run, needs, is_done, detail="index in .triptych/artefacts.json")

"""The guest's system as an image: what shop/guest/Dockerfile is built from for each shape.

It stands on the same base image as the services' containers, and the services' own bytes are those
of their images. `guest_disk` makes a disk of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shop.catalogue import SHAPES, services
from toolchain.artefacts import recipes
from toolchain.artefacts.units import rendered_files, users_file
from toolchain.buildah import Buildah
from toolchain.sources import source_files
from toolchain.steps import StepContext

_GUEST = "shop/guest"

#: Files of shop/images/ that go into the guest as well, and where to.
SHARED_FILES = {
    "gateway/Caddyfile": "etc/caddy/Caddyfile",
    "valkey/valkey.conf": "etc/valkey/valkey.conf",
    "postgres/postgresql.conf": "etc/triptych/postgres/postgresql.conf",
    "postgres/pg_hba.conf": "etc/triptych/postgres/pg_hba.conf",
    "postgres/triptych-postgres": "usr/local/bin/triptych-postgres",
}
_STRIPE_MOCK = "files/usr/local/bin/stripe-mock"

Files = tuple[dict[str, Path], dict[str, str]]


def dockerfile(root: Path, shape: str | None = None, refs: Mapping[str, str] | None = None) -> str:
    """Return shop/guest/Dockerfile, which for a shape takes its services out of their images."""
    text = (root / _GUEST / "Dockerfile").read_text()
    names = recipes.app_services(shape) if shape else ()
    return text + "".join(
        f"COPY --from={(refs or {})[name]} /opt/{name} /opt/{name}\n" for name in names
    )


def package_names(text: str) -> list[str]:
    """Return the names in a list of Debian packages: one a line, # begins a comment."""
    words = (line.partition("#")[0].strip() for line in text.splitlines())
    return [word for word in words if word]


def extra_packages(root: Path, shape: str) -> list[str]:
    """Return the Debian packages that a shape's services run on and no other shape's guest has."""
    wanted: set[str] = set()
    for name in recipes.app_services(shape):
        listed = root / recipes.folder(root, name) / "packages"
        wanted.update(package_names(listed.read_text()) if listed.is_file() else ())
    return sorted(wanted - set(package_names((root / _GUEST / "packages").read_text())))


def system_files(root: Path) -> Files:
    """Return what the stage `system` is built from: files to copy, files with their text."""
    names = ("packages", "add-users", "install-packages")
    copied = {f"system/{name}": root / _GUEST / name for name in names}
    copied["system/install-postgres"] = root / "shop/images/postgres/install-postgres"
    start = f"{_GUEST}/root/etc/initramfs-tools"
    for name, path in source_files(root, start).items():
        copied[f"initramfs-tools{name.removeprefix(start)}"] = path
    everywhere = set.intersection(*({s.name for s in services(shape)} for shape in SHAPES))
    common = [service for service in services(SHAPES[0]) if service.name in everywhere]
    return copied, {"system/users": users_file(common)}


def shape_files(root: Path, shape: str) -> Files:
    """Return what a shape's guest is built from beyond the system, other images and binaries."""
    copied = {f"files/{to}": root / "shop/images" / name for name, to in SHARED_FILES.items()}
    # Later than the shared ones, as the guest's own word on a file counts most.
    start = f"{_GUEST}/root/"
    for name, path in source_files(root, start).items():
        copied[f"files/{name.removeprefix(start)}"] = path
    copied["shape/finish"] = root / _GUEST / "finish"
    texts = {f"files/{name}": text for name, text in rendered_files(root, shape).items()}
    texts["shape/users"] = users_file(services(shape))
    texts["shape/packages"] = "".join(f"{name}\n" for name in extra_packages(root, shape))
    return copied, texts


def system_ref(key: str) -> str:
    """Return the name of the guests' common system in buildah's storage."""
    return f"localhost/triptych/guest-system:{key}"


def shape_ref(shape: str, key: str) -> str:
    """Return the name of a shape's guest in buildah's storage."""
    return f"localhost/triptych/guest-{shape}:{key}"


async def build_system(
    context: StepContext, buildah: Buildah, root: Path, *, key: str, base: str
) -> None:
    """Build what the guests have in common, for its layers."""
    with recipes.build_directory() as build:
        copied, texts = system_files(root)
        texts = {**texts, "Dockerfile": dockerfile(root)}
        await context.thread(recipes.assemble, build, copied, texts)
        # Debian's byte code is as good as its sources' times: those stay.
        await buildah.build(
            context,
            build,
            system_ref(key),
            arguments={"BASE": base},
            target="system",
            epoch=False,
        )


async def build_shape(
    context: StepContext,
    buildah: Buildah,
    root: Path,
    shape: str,
    *,
    key: str,
    base: str,
    refs: Mapping[str, str],
    stripe_mock: Path,
) -> None:
    """Build a shape's guest; `refs` has its services' images by name."""
    with recipes.build_directory() as build:
        copied, texts = system_files(root)
        more_copied, more_texts = shape_files(root, shape)
        copied = {**copied, **more_copied, _STRIPE_MOCK: stripe_mock}
        texts = {**texts, **more_texts, "Dockerfile": dockerfile(root, shape, refs)}
        await context.thread(recipes.assemble, build, copied, texts)
        await buildah.build(
            context,
            build,
            shape_ref(shape, key),
            arguments={"BASE": base},
            epoch=False,
        )
